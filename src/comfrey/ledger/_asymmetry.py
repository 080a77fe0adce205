"""More pages of small-study effects: tests by measure, PET-PEESE, limit meta-analysis, and Copas's model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from comfrey.effects.sizes import effect_sizes
from comfrey.ledger._entry import CLOSED, EXACT, ITERATIVE, Tolerance
from comfrey.ledger._page import open_page
from comfrey.models.pooling import pool
from comfrey.models.small_study.copas import copas
from comfrey.models.small_study.excess_significance import excess_significance
from comfrey.models.small_study.fail_safe_n import fail_safe_n
from comfrey.models.small_study.limit import limit_meta_analysis
from comfrey.models.small_study.rank_test import rank_test
from comfrey.models.small_study.regression_test import egger, pet_peese
from comfrey.models.small_study.selection import selection_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.effects.sizes import EffectSizes
    from comfrey.ledger._entry import Entry
    from comfrey.ledger._page import Page
    from comfrey.models.pooling import Pooled
    from comfrey.models.small_study.regression_test import EggerTest, Variant

__all__ = ["PAGES"]

_GROUP = "small-study effects"
_SEARCH = Tolerance(1e-8, 1e-12, "found by searches that close to the last digits on both sides")
_STOPPED = Tolerance(5e-5, 1e-6, "the reference estimates tau2 anew, with its stop at 1e-5, absolute")
_CURVED = Tolerance(2e-6, 1e-9, "the reference's curvature comes from differences of differences")
_EARLY = Tolerance(3e-5, 1e-9, "the reference's search stops a little before the maximum; ours is the higher one")
_STOPS = "the reference integrates to about 1e-4 and stops its search early; ours is the higher maximum"
_COARSE = Tolerance(3e-3, 1e-3, _STOPS)
_BORDER = Tolerance(3e-5, 2e-4, "a weight has its maximum on its boundary, which the reference stops short of")
_INTEGRAL = Tolerance(0.0, 5e-4, _STOPS)
_SLOPE = {"slope": "slope", "slope_se": "slope_se", "t": "statistic", "p": "p_value"}
_LIMIT = {
    name: name
    for name in (
        "tau2", "estimate", "se", "beta", "alpha", "alpha_se", "alpha_p", "q", "q_small_study", "q_small_study_p",
        "q_residual", "q_residual_p", "study_limits",
    )
} | {"p": "p_value"}  # fmt: skip


def _line(page: Page, key: str, found: EggerTest, how: str, *, limit: bool = True) -> Iterator[Entry]:
    """Compare a weighted regression: its slope, and its value where the predictor is zero if the test gives one."""
    names = _SLOPE | ({"limit": "estimate"} if limit else {})
    yield from page.entries(key, found, names, how, CLOSED)
    yield from page.entries(key, found, {"df": "df"}, how, EXACT)
    expected = page.results[key]
    ends = (found.slope_ci_low, found.slope_ci_high)
    yield page.entry(f"{key}/slope_ci", expected["slope_ci"], ends, f"({how}.slope_ci_low, .slope_ci_high)", CLOSED)
    if limit:
        ends = (found.ci_low, found.ci_high)
        yield page.entry(f"{key}/limit_ci", expected["limit_ci"], ends, f"({how}.ci_low, .ci_high)", CLOSED)


def _limit(page: Page, fit: Pooled) -> Iterator[Entry]:
    found, how = limit_meta_analysis(fit), "cf.limit_meta_analysis(fit)"
    yield from page.entries("limit", found, _LIMIT, how, _SEARCH)
    ends = (found.ci_low, found.ci_high)
    yield page.entry("limit/ci", page.results["limit"]["ci"], ends, f"({how}.ci_low, .ci_high)", _SEARCH)


def _adjusted(page: Page, keys: tuple[str, str], fit: Pooled, model: Literal["weighted-regression", "random-effects"],
              tolerance: Tolerance) -> Iterator[Entry]:  # fmt: skip
    both = pet_peese(fit, model=model)
    for key, found, name in ((keys[0], both.pet, "pet"), (keys[1], both.peese, "peese")):
        how = f"cf.pet_peese(fit, model={model!r}).{name}"
        names = {"limit": "estimate", "limit_se": "se", "limit_p": "p_value", "limit_t": "statistic"}
        yield from page.entries(key, found, names, how, tolerance)
        ends = (found.ci_low, found.ci_high)
        yield page.entry(f"{key}/limit_ci", page.results[key]["limit_ci"], ends, f"({how}.ci_low, .ci_high)", tolerance)


def _third_wave() -> Iterator[Entry]:
    page = open_page(_GROUP, "bias_third_wave")
    yi, se = np.array(page.data["yi"]), np.array(page.data["sei"])
    fit, how = pool(yi, se * se), "cf.egger(fit, model='weighted-regression')"
    yield from _line(page, "egger", egger(fit, model="weighted-regression"), how)
    yield from _limit(page, fit)
    spread = 1.0 / np.array(page.data["n1"]) + 1.0 / np.array(page.data["n2"])
    modified, how = pool(yi, spread), "cf.egger(cf.pool(yi, 1/n1 + 1/n2), model='weighted-regression')"
    found = egger(modified, model="weighted-regression")
    yield from _line(page, "modified", found, how, limit=False)
    yield from page.entries("modified_regtest", found, {"t": "statistic", "p": "p_value"}, how, CLOSED)
    yield from _adjusted(page, ("modified", "modified_peese"), modified, "weighted-regression", CLOSED)


def _stay() -> Iterator[Entry]:
    page = open_page(_GROUP, "bias_stay")
    names = {"mean_1": "m1i", "sd_1": "sd1i", "n_1": "n1i", "mean_2": "m2i", "sd_2": "sd2i", "n_2": "n2i"}
    sizes = effect_sizes("SMD", **{ours: page.data[theirs] for ours, theirs in names.items()})
    found, how = egger(pool(sizes), "pustejovsky", sizes=sizes), "cf.egger(fit, 'pustejovsky', sizes=sizes)"
    yield from _line(page, "pustejovsky", found, how)
    yield from page.entries("pustejovsky_regtest", found, {"t": "statistic", "p": "p_value"}, how, CLOSED)


def _tables(name: str) -> Iterator[Entry]:
    page = open_page(_GROUP, name)
    names = {"events_1": "ai", "total_1": "n1i", "events_2": "ci", "total_2": "n2i"}
    sizes: EffectSizes = effect_sizes("OR", **{ours: page.data[theirs] for ours, theirs in names.items()})
    fit = pool(sizes)
    variants: tuple[Variant, ...] = ("harbord", "peters", "macaskill", "deeks")
    for variant in variants:
        found, how = egger(fit, variant, sizes=sizes), f"cf.egger(fit, {variant!r}, sizes=sizes)"
        yield from _line(page, variant, found, how, limit=variant in {"peters", "deeks"})
        if variant == "harbord":
            yield from page.entries("harbord_regtest", found, {"t": "statistic", "p": "p_value"}, how, CLOSED)


def _more(name: str) -> Iterator[Entry]:
    page = open_page(_GROUP, name)
    yi, vi = np.array(page.data["yi"]), np.array(page.data["vi"])
    fit, plain = pool(yi, vi), pool(yi, vi, test="z")
    yield from _limit(page, fit)
    yield from _adjusted(page, ("pet_lm", "peese_lm"), fit, "weighted-regression", CLOSED)
    yield from _adjusted(page, ("pet_rma", "peese_rma"), plain, "random-effects", _SEARCH)
    pet, how = pet_peese(fit, model="random-effects").pet, "cf.pet_peese(fit, model='random-effects').pet"
    names = {"limit": "estimate", "limit_se": "se", "limit_p": "p_value", "tau2": "tau2"}
    yield from page.entries("pet_hk", pet, names, how, _SEARCH)
    for key, arguments in {
        "tes_exact": {"test": "exact"}, "tes_chi2": {"test": "chi-squared"}, "tes_binom": {"test": "binomial"},
        "tes_greater": {"test": "chi-squared", "alternative": "greater"},
        "tes_less": {"test": "chi-squared", "alternative": "less"}, "tes_10": {"test": "binomial", "alpha": 0.1},
    }.items():  # fmt: skip
        if key in page.results:
            excess, how = excess_significance(fit, **arguments), f"cf.excess_significance(fit, **{arguments})"  # type: ignore[arg-type]
            yield from page.entries(key, excess, {"O": "observed"}, how, EXACT)
            yield from page.entries(key, excess, {"E": "expected", "p": "p_value", "X2": "statistic"}, how, _STOPPED)
    digits = 10.0 ** np.floor(np.log10(vi))
    ranks = rank_test(pool(np.round(yi, 1), np.round(vi / digits) * digits))
    yield from page.entries("ranktest_ties", ranks, {"tau": "tau", "p": "p_value"}, "cf.rank_test(rounded)", CLOSED)
    side = "less" if name.endswith("magnesium") else "greater"
    target = -0.05 if side == "less" else 0.05
    for key, number, how in (
        ("fsn_rosenthal", fail_safe_n(fit).n, "cf.fail_safe_n(fit).n"),
        ("fsn_rosenthal_01", fail_safe_n(fit, alpha=0.01).n, "cf.fail_safe_n(fit, alpha=0.01).n"),
        ("fsn_rosenberg_01", fail_safe_n(fit, "rosenberg", 0.01).n, "cf.fail_safe_n(fit, 'rosenberg', 0.01).n"),
        ("fsn_orwin_target", fail_safe_n(fit, "orwin", target=target).n, "cf.fail_safe_n(fit, 'orwin', target=...).n"),
    ):
        yield page.entry(key, page.results[key], number, how, EXACT)
    for key, kind, steps, alternative in (
        ("selmodel_3psm_side", "step", (0.025,), side), ("selmodel_4psm_side", "step", (0.025, 0.5), side),
        ("selmodel_3psm_two", "step", (0.05,), "two-sided"), ("selmodel_halfnorm_side", "half-normal", (0.025,), side),
        ("selmodel_negexp_side", "negative-exponential", (0.025,), side),
        ("selmodel_halfnorm_two", "half-normal", (0.025,), "two-sided"),
    ):  # fmt: skip
        model = selection_model(fit, kind=kind, steps=steps, alternative=alternative)  # type: ignore[arg-type]
        how = f"cf.selection_model(fit, kind={kind!r}, alternative={alternative!r}, ...)"
        border = key == "selmodel_4psm_side" and side == "less"
        rule = _COARSE if kind != "step" else _BORDER if border else _EARLY
        yield from page.entries(key, model, {"b": "estimate", "tau2": "tau2"}, how, rule)
        rule = _INTEGRAL if kind != "step" else _BORDER if border else CLOSED
        yield from page.entries(key, model, {"loglik": "log_likelihood"}, how, rule)


def _copas(name: str) -> Iterator[Entry]:
    page = open_page(_GROUP, "bias_copas")
    data, expected = page.data[name], page.results[name]
    fit = pool(data["yi"], data["vi"])
    found = copas(fit, probabilities=expected["probability"])
    for theirs, ours, rule in (
        ("estimate", "estimates", ITERATIVE), ("se", "ses", _CURVED), ("tau2", "tau2s", ITERATIVE),
        ("rho", "rhos", ITERATIVE), ("log_likelihood", "log_likelihoods", CLOSED),
        ("residual_p", "residual_p", ITERATIVE), ("unpublished", "unpublished", CLOSED),
    ):  # fmt: skip
        how = f"cf.copas(fit, probabilities).{ours}"
        yield page.entry(f"{name}/{theirs}", expected[theirs], getattr(found, ours), how, rule)


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (
    _third_wave,
    _stay,
    *(partial(_tables, name) for name in ("bias_tables_bcg", "bias_tables_magnesium")),
    *(partial(_more, name) for name in ("bias_more_passive_smoking", "bias_more_magnesium")),
    *(partial(_copas, name) for name in ("passive_smoking", "magnesium")),
)
