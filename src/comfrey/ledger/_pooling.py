"""The ledger's pages of pooled estimates and their intervals, of regressions, and of stratified tables."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from comfrey.ledger._effects import two_by_two, two_rates
from comfrey.ledger._entry import CLOSED, EXACT, ITERATIVE, Tolerance
from comfrey.ledger._page import Page, open_page
from comfrey.ledger._regression import PAGES as MORE_REGRESSION_PAGES
from comfrey.models.location_scale import location_scale
from comfrey.models.pooling import Pooled, pool
from comfrey.models.stratified import mantel_haenszel, peto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.ledger._entry import Entry

__all__ = ["PAGES", "REGRESSION_PAGES", "STRATIFIED_PAGES"]

_SETS = ("bcg_logrr", "stay_smd", "adherence_z", "expectancy", "co2_rom")
_ITERATIVE = {"ML", "REML", "EB", "PM", "PMM"}
_TESTS = {"z": "z", "knha": "hk", "adhoc": "hk-adhoc", "t": "t"}
_FIT = {
    "b": "estimate", "se": "se", "stat": "statistic", "p": "p_value", "ci_lb": "ci_low", "ci_ub": "ci_high",
    "pi_lb": "pi_low", "pi_ub": "pi_high", "tau2": "tau2", "se_tau2": "se_tau2", "I2": "i2", "H2": "h2", "QE": "q",
    "QEp": "q_p", "loglik": "log_likelihood", "k": "k",
}  # fmt: skip
_ROOT = Tolerance(0.0, 2e-4, "the reference's root search stops at 1e-4 in tau2; ours goes on to the last digit")
_ROOT_RATIO = Tolerance(5e-3, 0.0, "follows from tau2, which the reference's root search leaves at 1e-4")


def _whole_or(rule: Tolerance, name: str) -> Tolerance:
    return EXACT if name in {"k", "df"} else rule


def _pooled(name: str) -> Iterator[Entry]:
    page = open_page("pooling", f"pool_{name}")
    yi, vi = (np.array(page.data[column], dtype=float) for column in ("yi", "vi"))
    for key, expected in page.results.items():
        method, _, theirs = key.partition("_")
        test = _TESTS[theirs]
        fit = pool(yi, vi, method=method, test=test)  # type: ignore[call-overload]  # both are names from the file
        how = f"cf.pool(yi, vi, method={method!r}, test={test!r})"
        yield from page.entries(key, fit, _FIT, how, partial(_whole_or, ITERATIVE if method in _ITERATIVE else CLOSED))
        if "qp" in expected:
            yield from _intervals(page, key, fit, how)


def _intervals(page: Page, key: str, fit: Pooled, how: str) -> Iterator[Entry]:
    expected = page.results[key]
    both = fit.heterogeneity_intervals()
    ends = fit.tau2_interval("q-profile")
    yield page.entry(f"{key}/qp/tau2", expected["qp"]["tau2"], ends, f"{how}.tau2_interval('q-profile')", _ROOT)
    for theirs, value in (("I2", both.i2), ("H2", both.h2)):
        quantity, call = f"{key}/qp/{theirs}", f"{how}.heterogeneity_intervals().{theirs.lower()}"
        yield page.entry(quantity, expected["qp"][theirs], value, call, _ROOT_RATIO)
    if expected.get("pl") and fit.method in {"ML", "REML"}:
        ends = fit.tau2_interval("profile-likelihood")
        call = f"{how}.tau2_interval('profile-likelihood')"
        yield page.entry(f"{key}/pl/tau2", expected["pl"]["tau2"], ends, call, _ROOT)


_TIGHT = Tolerance(1e-8, 1e-12, "found by searches that close to the last digits on both sides")
_REGRESSIONS = {
    "REML_z_ablat_year": ("ablat + year", "REML", "z"),
    "REML_knha_ablat": ("ablat", "REML", "hk"),
    "ML_z_alloc_treatment_coded": ("alloc", "ML", "z"),
}
_REGRESSION = {
    **_FIT, "b": "beta", "R2": "r2", "QM": "omnibus.statistic", "QMp": "omnibus.p_value",
}  # fmt: skip
_PREDICTION = {
    "pred": "estimate", "se": "se", "ci_lb": "ci_low", "ci_ub": "ci_high", "pi_lb": "pi_low", "pi_ub": "pi_high",
}  # fmt: skip


def _regressions() -> Iterator[Entry]:
    page = open_page("regression", "metareg_bcg")
    data = pd.DataFrame(page.data)
    for key, (formula, method, test) in _REGRESSIONS.items():
        fit = pool("yi", "vi", data=data, moderators=formula, method=method, test=test)  # type: ignore[call-overload]
        how = f"cf.pool(yi, vi, moderators={formula!r}, method={method!r}, test={test!r})"
        yield from page.entries(key, fit, _REGRESSION, how, partial(_whole_or, _TIGHT))
        yield page.entry(f"{key}/QMdf", page.results[key]["QMdf"][0], fit.omnibus.df, f"{how}.omnibus.df", EXACT)
    fit = pool("yi", "vi", data=data, moderators="ablat")
    found = fit.predict({"ablat": [0, 20, 40, 60]})
    how = "cf.pool(yi, vi, moderators='ablat').predict(...)"
    yield from page.entries("predict_ablat_0_20_40_60", found, _PREDICTION, how, _TIGHT)
    both = pool("yi", "vi", data=data, moderators="ablat + year", test="z")
    how = "cf.pool(yi, vi, moderators='ablat + year', test='z').vif()"
    yield page.entry("vif", page.results["vif"], both.vif()["vif"], how, _TIGHT)


_FLAT = "the likelihood is nearly flat in the scale (-0.0007, error 0.08); the reference stops a little before the top"
_SCALE = {
    "beta": ITERATIVE,
    "loglik": CLOSED,
    "se": Tolerance(1e-5, 0.0, _FLAT),
    "alpha": Tolerance(1e-5, 1e-6, _FLAT),
    "se_alpha": Tolerance(1e-4, 0.0, _FLAT),
}


def _scales() -> Iterator[Entry]:
    page = open_page("regression", "location_scale_bcg")
    fit = location_scale("yi", "vi", data=pd.DataFrame(page.data), moderators="ablat", scale="ablat")
    names = {"beta": "beta", "se": "se", "alpha": "alpha", "se_alpha": "se_alpha", "loglik": "log_likelihood"}
    how = "cf.location_scale(yi, vi, moderators='ablat', scale='ablat')"
    yield from page.entries("", fit, names, how, _SCALE.__getitem__)


_STRATIFIED = {
    "b": "estimate", "se": "se", "QE": "q", "MH": "association.statistic", "MHp": "association.p_value",
    "TA": "homogeneity.statistic",
}  # fmt: skip


def _tables() -> Iterator[Entry]:
    page = open_page("stratified", "mh_peto")
    trials, rates = two_by_two(page.data["bcg"]), two_rates(page.data["warfarin"])
    fits = {
        "RR": mantel_haenszel("RR", **trials),
        "OR": mantel_haenszel("OR", **trials),
        "RD": mantel_haenszel("RD", **trials),
        "IRR": mantel_haenszel("IRR", **rates),
        "PETO": peto(**trials),
    }
    for measure, fit in fits.items():
        how = "cf.peto(...)" if measure == "PETO" else f"cf.mantel_haenszel({measure!r}, ...)"
        yield from page.entries(measure, fit, _STRATIFIED, how, CLOSED)
        if "ci" in page.results[measure]:
            ends, call = (fit.ci_low, fit.ci_high), f"({how}.ci_low, .ci_high)"
            yield page.entry(f"{measure}/ci", page.results[measure]["ci"], ends, call, CLOSED)


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = tuple(partial(_pooled, name) for name in _SETS)
REGRESSION_PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (_regressions, _scales, *MORE_REGRESSION_PAGES)
STRATIFIED_PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (_tables,)
