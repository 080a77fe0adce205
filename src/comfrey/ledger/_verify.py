"""Running the ledger: :func:`verify` and its result."""

from __future__ import annotations

import importlib
import math
import platform
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from comfrey._version import __version__
from comfrey.errors import InputError
from comfrey.ledger._entry import EXACT, Entry
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd

__all__ = ["GROUPS", "Verification", "verify"]

# Group -> the module and the name in it of what makes its entries.
_PAGES = {
    "published": ("comfrey.ledger._published", "PAGES"),
    "effects": ("comfrey.ledger._effects", "PAGES"),
    "pooling": ("comfrey.ledger._pooling", "PAGES"),
    "regression": ("comfrey.ledger._pooling", "REGRESSION_PAGES"),
    "stratified": ("comfrey.ledger._pooling", "STRATIFIED_PAGES"),
    "counts": ("comfrey.ledger._counts", "PAGES"),
    "multilevel": ("comfrey.ledger._multilevel", "PAGES"),
    "network": ("comfrey.ledger._network", "PAGES"),
    "components": ("comfrey.ledger._network", "COMPONENT_PAGES"),
    "diagnostics": ("comfrey.ledger._diagnostics", "PAGES"),
    "small-study effects": ("comfrey.ledger._small_study", "PAGES"),
}

#: The parts of the ledger, in the order in which they run.
GROUPS: tuple[str, ...] = tuple(_PAGES)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Verification(Result):
    """What :func:`verify` found.

    Attributes
    ----------
    entries : tuple of Entry
        Every quantity of the ledger, the one that agrees to the fewest digits first.
    versions : dict
        Of Comfrey, Python, NumPy and SciPy.
    seconds : float
        How long the run took.
    """

    entries: tuple[Entry, ...] = field(repr=False)
    versions: dict[str, str]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every quantity agrees within its tolerance."""
        return all(entry.agrees for entry in self.entries)

    @property
    def numbers(self) -> int:
        """How many numbers were compared; a quantity can have many."""
        return sum(entry.numbers for entry in self.entries)

    @property
    def summary(self) -> pd.DataFrame:
        """The ledger as a table, worst digits first: one row a quantity."""
        import pandas as pd

        rows = [_row(entry) for entry in self.entries]
        return pd.DataFrame(rows, columns=[*_COLUMNS]).set_index("id")

    @property
    def groups(self) -> pd.DataFrame:
        """For each group: quantities, numbers, the fewest digits, and how many differ."""
        import pandas as pd

        rows = []
        for group in GROUPS:
            here = [entry for entry in self.entries if entry.group == group]
            if here:
                rows.append(
                    {
                        "group": group, "quantities": len(here), "numbers": sum(entry.numbers for entry in here),
                        "fewest_digits": min(entry.digits for entry in here),
                        "median_digits": float(np.median([entry.digits for entry in here])),
                        "known_wrong": sum(entry.wrong is not None for entry in here),
                        "differ": sum(not entry.agrees for entry in here),
                    }
                )  # fmt: skip
        return pd.DataFrame(rows).set_index("group")

    @property
    def headline(self) -> tuple[str, ...]:
        """Counts and versions in words."""
        differ = sum(not entry.agrees for entry in self.entries)
        known = sum(entry.wrong is not None for entry in self.entries)
        what = "all agree" if differ == 0 else f"{differ} {'differs' if differ == 1 else 'differ'}"
        return (
            f"{self.numbers} numbers in {len(self.entries)} quantities: {what} ({self.seconds:.1f} s)",
            f"{known} quantities whose source is known to err are held to the right value",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: counts, versions, groups and every entry."""
        return {
            "passed": self.passed, "quantities": len(self.entries), "numbers": self.numbers, "seconds": self.seconds,
            "versions": dict(self.versions), "groups": plain(self.groups.reset_index()),
            "entries": [plain(_row(entry)) for entry in self.entries],
        }  # fmt: skip


_COLUMNS = (
    "id", "group", "quantity", "numbers", "where", "reference", "computed", "digits", "asked", "verdict", "wrong",
    "relative", "absolute", "reason", "source", "call", "how", "remark",
)  # fmt: skip


def _row(entry: Entry) -> dict[str, Any]:
    rule = entry.tolerance
    extra = {"relative": rule.relative, "absolute": rule.absolute, "reason": rule.reason}
    return {name: extra[name] if name in extra else getattr(entry, name) for name in _COLUMNS}


def verify(only: str | Iterable[str] | None = None) -> Verification:
    """Compute the numbers of the parity ledger here and compare each with its reference.

    The ledger holds numbers that other programs or papers give: each with its source, the call, the tolerance and the
    reason for it. Digits of agreement are ``-log10(|computed - reference| / |reference|)``. Where a source is known to
    err, the right value is asked for, and the wrong one refused.

    Parameters
    ----------
    only : str or several, optional
        The group or groups to run (see `comfrey.ledger.GROUPS`); all if not given.

    Returns
    -------
    Verification

    Raises
    ------
    InputError
        If there is no such group.

    Examples
    --------
    >>> found = verify("stratified")
    >>> found.passed, found.numbers
    (True, 24)
    """
    groups = GROUPS if only is None else (only,) if isinstance(only, str) else tuple(only)
    for group in groups:
        if group not in _PAGES:
            raise InputError("only", found=repr(group), expected=f"one of {', '.join(GROUPS)}")
    start = time.perf_counter()
    entries = [entry for group in groups for entry in _run(group)]
    entries.sort(key=lambda entry: (entry.agrees, entry.digits, entry.id))
    versions = {
        "Comfrey": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
    }
    return Verification(tuple(entries), versions, time.perf_counter() - start)


def _run(group: str) -> Iterator[Entry]:
    """Make the entries of a group; a page that cannot be computed is an entry that differs."""
    module, name = _PAGES[group]
    pages: tuple[Callable[[], Iterator[Entry]], ...] = getattr(importlib.import_module(module), name)
    for number, page in enumerate(pages):
        try:
            yield from page()
        except Exception as error:  # noqa: BLE001  # whatever goes wrong on this machine belongs into the report
            yield Entry(
                id=f"{group}/page {number}", group=group, quantity="page that could not be computed",
                source="", call="", how="", numbers=0, reference=math.nan, computed=math.nan, where="", tolerance=EXACT,
                remark=f"{type(error).__name__}: {error}",
            )  # fmt: skip
