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
    "combine_groups": "comfrey.effects.derivations",
    "components": "comfrey.models.network",
    "contrasts": "comfrey.models.network",
    "count_model": "comfrey.models.counts",
    "effect_sizes": "comfrey.effects.sizes",
    "henmi_copas": "comfrey.models.henmi_copas",
    "location_scale": "comfrey.models.location_scale",
    "mantel_haenszel": "comfrey.models.stratified",
    "mean_sd_from_quantiles": "comfrey.effects.derivations",
    "measures": "comfrey.effects.registry",
    "multilevel": "comfrey.models.multilevel.fit",
    "network": "comfrey.models.network",
    "permutation_test": "comfrey.models.permutation",
    "peto": "comfrey.models.stratified",
    "pool": "comfrey.models.pooling",
    "pool_many": "comfrey.models.many",
    "profile_likelihood": "comfrey.models.profiles",
    "read_review": "comfrey.review.folder",
    "sampling_covariance": "comfrey.models.multilevel.sampling",
    "sd_from_interval": "comfrey.effects.derivations",
    "sd_from_se": "comfrey.effects.derivations",
    "subgroups": "comfrey.models.subgroups",
}

# Rooms that can be entered by name: comfrey.figures.
_ROOMS = ("figures",)

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
    "combine_groups",
    "components",
    "contrasts",
    "count_model",
    "effect_sizes",
    "figures",
    "henmi_copas",
    "location_scale",
    "mantel_haenszel",
    "mean_sd_from_quantiles",
    "measures",
    "multilevel",
    "network",
    "permutation_test",
    "peto",
    "pool",
    "pool_many",
    "profile_likelihood",
    "read_review",
    "sampling_covariance",
    "sd_from_interval",
    "sd_from_se",
    "subgroups",
]


def __getattr__(name: str) -> Any:
    if name in _DOOR:
        value = getattr(import_module(_DOOR[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"comfrey.{name}")
    raise AttributeError(f"module 'comfrey' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
