"""Comfrey makes and keeps living reviews: study data in; figures, tables, findings and a web page out.

This is the one public door. Names are loaded when they are first used, so that ``import comfrey`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from comfrey._version import __version__
from comfrey.errors import (
    ComfreyError,
    ConvergenceError,
    InputError,
    MissingExtraError,
    NotEstimableError,
    ReviewError,
)

if TYPE_CHECKING:
    # The same names for type checkers and editors; tests/test_door.py holds the two lists together.
    from comfrey.effects.derivations import combine_groups as combine_groups
    from comfrey.effects.derivations import mean_sd_from_quantiles as mean_sd_from_quantiles
    from comfrey.effects.derivations import sd_from_interval as sd_from_interval
    from comfrey.effects.derivations import sd_from_se as sd_from_se
    from comfrey.effects.registry import measures as measures
    from comfrey.effects.sizes import effect_sizes as effect_sizes
    from comfrey.findings.answer import answer as answer
    from comfrey.ledger import verify as verify
    from comfrey.models.counts import CountModel as CountModel
    from comfrey.models.counts import count_model as count_model
    from comfrey.models.henmi_copas import henmi_copas as henmi_copas
    from comfrey.models.location_scale import location_scale as location_scale
    from comfrey.models.many import pool_many as pool_many
    from comfrey.models.multilevel.fit import multilevel as multilevel
    from comfrey.models.multilevel.sampling import sampling_covariance as sampling_covariance
    from comfrey.models.network import components as components
    from comfrey.models.network import contrasts as contrasts
    from comfrey.models.network import network as network
    from comfrey.models.permutation import permutation_test as permutation_test
    from comfrey.models.pooling import pool as pool
    from comfrey.models.profiles import profile_likelihood as profile_likelihood
    from comfrey.models.small_study.copas import copas as copas
    from comfrey.models.small_study.excess_significance import excess_significance as excess_significance
    from comfrey.models.small_study.fail_safe_n import fail_safe_n as fail_safe_n
    from comfrey.models.small_study.limit import limit_meta_analysis as limit_meta_analysis
    from comfrey.models.small_study.rank_test import rank_test as rank_test
    from comfrey.models.small_study.regression_test import egger as egger
    from comfrey.models.small_study.regression_test import pet_peese as pet_peese
    from comfrey.models.small_study.selection import selection_model as selection_model
    from comfrey.models.small_study.trim_and_fill import trim_and_fill as trim_and_fill
    from comfrey.models.stratified import mantel_haenszel as mantel_haenszel
    from comfrey.models.stratified import peto as peto
    from comfrey.models.subgroups import subgroups as subgroups
    from comfrey.review.folder import check_review as check_review
    from comfrey.review.folder import read_review as read_review
    from comfrey.site.build import build_review as build_review

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
    "verify": "comfrey.ledger",
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
    "verify",
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
