"""One-stage models for counts: the likelihood of the counts themselves, with a normal random effect."""

from comfrey.models.counts.model import count_model
from comfrey.models.counts.result import CountModel

__all__ = ["CountModel", "count_model"]
