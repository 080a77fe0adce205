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
    "count_model": "comfrey.models.counts",
    "effect_sizes": "comfrey.effects.sizes",
    "mantel_haenszel": "comfrey.models.stratified",
    "measures": "comfrey.effects.registry",
    "peto": "comfrey.models.stratified",
    "pool": "comfrey.models.pooling",
    "read_review": "comfrey.review.folder",
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
    "count_model",
    "effect_sizes",
    "mantel_haenszel",
    "measures",
    "peto",
    "pool",
    "read_review",
]


def __getattr__(name: str) -> Any:
    if name in _DOOR:
        value = getattr(import_module(_DOOR[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'comfrey' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
