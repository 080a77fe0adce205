"""Comfrey makes and keeps living reviews: study data in; figures, tables, findings and a web page out.

This is the one public door. Names are loaded when they are first used, so that ``import comfrey`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from comfrey._version import __version__
from comfrey.errors import (
    ComfreyError,
    ConvergenceError,
    InputError,
    MissingExtraError,
    NotEstimableError,
    ReviewError,
)

# Public name -> the module that defines it.
_DOOR: dict[str, str] = {
    "CountModel": "comfrey.models.counts",
    "answer": "comfrey.findings.answer",
    "build_review": "comfrey.site.build",
    "check_review": "comfrey.review.folder",
    "copas": "comfrey.models.small_study.copas",
    "count_model": "comfrey.models.counts",
    "effect_sizes": "comfrey.effects.sizes",
    "egger": "comfrey.models.small_study.regression_test",
    "excess_significance": "comfrey.models.small_study.excess_significance",
    "fail_safe_n": "comfrey.models.small_study.fail_safe_n",
    "limit_meta_analysis": "comfrey.models.small_study.limit",
    "mantel_haenszel": "comfrey.models.stratified",
    "measures": "comfrey.effects.registry",
    "pet_peese": "comfrey.models.small_study.regression_test",
    "peto": "comfrey.models.stratified",
    "pool": "comfrey.models.pooling",
    "rank_test": "comfrey.models.small_study.rank_test",
    "read_review": "comfrey.review.folder",
    "selection_model": "comfrey.models.small_study.selection",
    "trim_and_fill": "comfrey.models.small_study.trim_and_fill",
}

__all__ = [
    "ComfreyError",
    "ConvergenceError",
    "CountModel",
    "InputError",
    "MissingExtraError",
    "NotEstimableError",
    "ReviewError",
    "__version__",
    "answer",
    "build_review",
    "check_review",
    "copas",
    "count_model",
    "effect_sizes",
    "egger",
    "excess_significance",
    "fail_safe_n",
    "limit_meta_analysis",
    "mantel_haenszel",
    "measures",
    "pet_peese",
    "peto",
    "pool",
    "rank_test",
    "read_review",
    "selection_model",
    "trim_and_fill",
]


def __getattr__(name: str) -> Any:
    if name in _DOOR:
        value = getattr(import_module(_DOOR[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'comfrey' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
