"""The parity ledger: published and program-made numbers, computed again where Comfrey is installed."""

from comfrey.ledger._entry import Entry, Tolerance
from comfrey.ledger._verify import GROUPS, Verification, verify

__all__ = ["GROUPS", "Entry", "Tolerance", "Verification", "verify"]
