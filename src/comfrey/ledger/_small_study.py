"""The ledger's pages of small-study effects: tests, trim and fill, fail-safe N, selection models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from comfrey.ledger._asymmetry import PAGES as _ASYMMETRY
from comfrey.ledger._entry import CLOSED, EXACT, Tolerance
from comfrey.ledger._page import Page, open_page
from comfrey.models.henmi_copas import henmi_copas
from comfrey.models.pooling import Pooled, pool
from comfrey.models.small_study.excess_significance import excess_significance
from comfrey.models.small_study.fail_safe_n import fail_safe_n
from comfrey.models.small_study.rank_test import rank_test
from comfrey.models.small_study.regression_test import egger
from comfrey.models.small_study.selection import selection_model
from comfrey.models.small_study.trim_and_fill import trim_and_fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.ledger._entry import Entry

__all__ = ["PAGES"]

_SMOKING, _MAGNESIUM = "bias_passive_smoking", "bias_magnesium"
_REGRESSION = Tolerance(1e-8, 1e-12, "found by searches that close to the last digits on both sides")
_STOPPED = Tolerance(1e-5, 1e-12, "the reference's refits stop tau2 at 1e-5, absolute")
_NESTED = Tolerance(1e-5, 0.0, "a quadrature within a root search on either side")
_EARLY = Tolerance(3e-5, 1e-9, "the reference's search stops a little before the maximum; ours is the higher one")
_COARSE = "the reference integrates to about 1e-4 and stops its search early; ours is the higher maximum"
_SMOOTH = {
    "half-normal": "halfnorm", "negative-exponential": "negexp", "logistic": "logistic", "power": "power",
    "beta": "beta",
}  # fmt: skip


def _data(page: Page) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    return tuple(np.array(page.data[column], dtype=float) for column in ("yi", "vi"))


def _tests(name: str) -> Iterator[Entry]:
    page = open_page("small-study effects", name)
    yi, vi = _data(page)
    plain, fit = pool(yi, vi, test="z"), pool(yi, vi)
    predictors: tuple[tuple[Literal["se", "variance"], str], ...] = (("se", "sei"), ("variance", "vi"))
    for predictor, theirs in predictors:
        found = egger(plain, predictor=predictor)
        how, key = f"cf.egger(fit, predictor={predictor!r})", f"regtest_rma_{theirs}"
        names = {"z": "statistic", "p": "p_value", "est": "estimate"}
        yield from page.entries(key, found, names, how, _REGRESSION)
        ends, call = (found.ci_low, found.ci_high), f"({how}.ci_low, .ci_high)"
        yield page.entry(f"{key}/est_ci", page.results[key]["est_ci"], ends, call, _REGRESSION)
        found = egger(fit, model="weighted-regression", predictor=predictor)
        how = f"cf.egger(fit, model='weighted-regression', predictor={predictor!r})"
        names = {"t": "statistic", "p": "p_value", "est": "estimate"}
        yield from page.entries(f"regtest_lm_{theirs}", found, names, how, CLOSED)
        yield from page.entries(f"regtest_lm_{theirs}", found, {"df": "df"}, how, EXACT)
    names = {"tau": "tau", "p": "p_value"}
    yield from page.entries("ranktest", rank_test(fit), names, "cf.rank_test(fit)", CLOSED)
    excess, how = excess_significance(fit), "cf.excess_significance(fit)"
    yield from page.entries("tes", excess, {"O": "observed"}, how, EXACT)
    yield from page.entries("tes", excess, {"E": "expected", "p": "p_value"}, how, _STOPPED)
    for kind in ("rosenberg", "orwin", "general"):
        number, how = fail_safe_n(fit, kind).n, f"cf.fail_safe_n(fit, {kind!r}).n"
        yield page.entry(f"fsn_{kind}", page.results[f"fsn_{kind}"], number, how, EXACT)
    interval, how = henmi_copas(yi, vi), "cf.henmi_copas(yi, vi)"
    yield from page.entries("hc", interval, {"est": "estimate", "se": "se"}, how, CLOSED)
    ends = (interval.ci_low, interval.ci_high)
    yield page.entry("hc/ci", page.results["hc"]["ci"], ends, f"({how}.ci_low, .ci_high)", _NESTED)


def _fills(name: str) -> Iterator[Entry]:
    page = open_page("small-study effects", name)
    yi, vi = _data(page)
    for method in ("EE", "REML"):
        fit = pool(yi, vi, method=method, test="z")
        for estimator in ("L0", "R0", "Q0"):
            key = f"trimfill_{estimator}_{method}"
            if key in page.results:
                found = trim_and_fill(fit, estimator)
                how = f"cf.trim_and_fill(cf.pool(yi, vi, method={method!r}), {estimator!r})"
                yield from page.entries(key, found, {"k0": "k0"}, how, EXACT)
                names = {"b": "estimate", "se": "se", "tau2": "tau2"}
                yield from page.entries(key, found, names, how, CLOSED if method == "EE" else _STOPPED)


def _rosenthal() -> Iterator[Entry]:
    page = open_page("small-study effects", "influence_bcg")
    yi, vi = _data(page)
    how = "cf.fail_safe_n(cf.pool(yi, vi)).n"
    yield page.entry("fsn_rosenthal", page.results["fsn_rosenthal"], fail_safe_n(pool(yi, vi)).n, how, EXACT)


def _steps() -> Iterator[Entry]:
    page = open_page("small-study effects", _SMOKING)
    fit = pool(*_data(page))
    names = {"b": "estimate", "se": "se", "tau2": "tau2", "delta": "delta"}
    whole = {**names, "LRT": "lrt", "LRTp": "lrt_p"}
    found = selection_model(fit)
    yield from page.entries("selmodel_3psm", found, whole, "cf.selection_model(fit)", _EARLY)
    yield from page.entries("selmodel_3psm", found, {"loglik": "log_likelihood"}, "cf.selection_model(fit)", CLOSED)
    found, how = selection_model(fit, steps=(0.05, 0.1, 0.5, 1)), "cf.selection_model(fit, steps=(0.05, 0.1, 0.5, 1))"
    yield from page.entries("selmodel_step", found, {**names, "loglik": "log_likelihood"}, how, _EARLY)


def _smooth(name: str) -> Iterator[Entry]:
    page = open_page("small-study effects", name)
    fit: Pooled = pool(*_data(page))
    for kind, theirs in _SMOOTH.items():
        found = selection_model(fit, kind=kind, maximum="nearest")  # type: ignore[arg-type]
        how, key = f"cf.selection_model(fit, kind={kind!r}, maximum='nearest')", f"selmodel_{theirs}"
        inside = Tolerance(0.0, 0.005 * found.se, f"half a hundredth of the standard error: {_COARSE}")
        yield from page.entries(key, found, {"b": "estimate"}, how, inside)
        yield from page.entries(key, found, {"tau2": "tau2"}, how, Tolerance(3e-3, 0.0, _COARSE))
        yield from page.entries(key, found, {"loglik": "log_likelihood"}, how, Tolerance(0.0, 5e-4, _COARSE))
        yield from page.entries(key, found, {"LRT": "lrt"}, how, Tolerance(0.0, 1e-3, _COARSE))
        if name == _SMOKING or kind in {"power", "beta"}:  # elsewhere no selection is the maximum, on the boundary
            delta = np.atleast_1d(page.results[key]["delta"])
            yield page.entry(f"{key}/delta", delta, found.delta, f"{how}.delta", Tolerance(3e-3, 0.0, _COARSE))


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (
    *(partial(_tests, name) for name in (_SMOKING, _MAGNESIUM)),
    *(partial(_fills, name) for name in (_SMOKING, _MAGNESIUM)),
    _rosenthal,
    _steps,
    *(partial(_smooth, name) for name in (_SMOKING, _MAGNESIUM)),
    *_ASYMMETRY,
)
