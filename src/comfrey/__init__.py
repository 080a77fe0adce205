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
    "copas": "comfrey.models.small_study.copas",
    "count_model": "comfrey.models.counts",
    "effect_sizes": "comfrey.effects.sizes",
    "egger": "comfrey.models.small_study.regression_test",
    "excess_significance": "comfrey.models.small_study.excess_significance",
    "fail_safe_n": "comfrey.models.small_study.fail_safe_n",
    "henmi_copas": "comfrey.models.henmi_copas",
    "limit_meta_analysis": "comfrey.models.small_study.limit",
    "location_scale": "comfrey.models.location_scale",
    "mantel_haenszel": "comfrey.models.stratified",
    "mean_sd_from_quantiles": "comfrey.effects.derivations",
    "measures": "comfrey.effects.registry",
    "multilevel": "comfrey.models.multilevel.fit",
    "network": "comfrey.models.network",
    "permutation_test": "comfrey.models.permutation",
    "pet_peese": "comfrey.models.small_study.regression_test",
    "peto": "comfrey.models.stratified",
    "pool": "comfrey.models.pooling",
    "pool_many": "comfrey.models.many",
    "profile_likelihood": "comfrey.models.profiles",
    "rank_test": "comfrey.models.small_study.rank_test",
    "read_review": "comfrey.review.folder",
    "sampling_covariance": "comfrey.models.multilevel.sampling",
    "sd_from_interval": "comfrey.effects.derivations",
    "sd_from_se": "comfrey.effects.derivations",
    "selection_model": "comfrey.models.small_study.selection",
    "subgroups": "comfrey.models.subgroups",
    "trim_and_fill": "comfrey.models.small_study.trim_and_fill",
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
    "copas",
    "count_model",
    "effect_sizes",
    "egger",
    "excess_significance",
    "fail_safe_n",
    "figures",
    "henmi_copas",
    "limit_meta_analysis",
    "location_scale",
    "mantel_haenszel",
    "mean_sd_from_quantiles",
    "measures",
    "multilevel",
    "network",
    "permutation_test",
    "pet_peese",
    "peto",
    "pool",
    "pool_many",
    "profile_likelihood",
    "rank_test",
    "read_review",
    "sampling_covariance",
    "sd_from_interval",
    "sd_from_se",
    "selection_model",
    "subgroups",
    "trim_and_fill",
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
