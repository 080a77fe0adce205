"""The ledger's pages of multilevel and multivariate models, and of robust errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from comfrey.ledger._entry import CLOSED, EXACT, ITERATIVE, Tolerance
from comfrey.ledger._page import Page, open_page
from comfrey.models.multilevel.fit import multilevel
from comfrey.models.multilevel.sampling import sampling_covariance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.ledger._entry import Entry
    from comfrey.models.multilevel.result import MultilevelFit
    from comfrey.models.multilevel.robust import RobustFit

__all__ = ["PAGES"]

_COEFFICIENTS = {"b": "estimate", "se": "se", "ci_lb": "ci_low", "ci_ub": "ci_high"}
_LOOSE = Tolerance(1e-4, 1e-9, "the likelihood that the reference reaches is lower than ours by 4e-9")
_LIMIT = Tolerance(1e-6, 2e-7, "a limit near zero is a difference of larger numbers")
_ROOT = Tolerance(0.0, 1.2e-4, "R's root search stops at 1.2e-4 in a variance; ours goes on to the last digit")
_ROBUST = Tolerance(1e-7, 0.0, "a closed form of variances that the reference knows to about 1e-7")


def _fit(page: Page, key: str, fit: MultilevelFit, how: str, rule: Tolerance = ITERATIVE) -> Iterator[Entry]:
    expected, table = page.results[key], fit.coefficients
    for theirs, ours in _COEFFICIENTS.items():
        values = table[ours].to_numpy()
        near = _LIMIT if theirs.startswith("ci") and rule is ITERATIVE else rule
        reference = np.atleast_1d(expected[theirs])
        yield page.entry(f"{key}/{theirs}", reference, values, f"{how}.coefficients[{ours!r}]", near)
    yield page.entry(f"{key}/QE", expected["QE"], fit.q, f"{how}.q", CLOSED)
    likelihood = Tolerance(1e-8, 0.0, _LOOSE.reason) if rule is _LOOSE else ITERATIVE
    yield page.entry(f"{key}/loglik", expected["loglik"], fit.log_likelihood, f"{how}.log_likelihood", likelihood)
    for name, values in (("sigma2", fit.sigma2), ("tau2", fit.tau2), ("rho", fit.rho)):
        if len(values):
            yield page.entry(f"{key}/{name}", np.atleast_1d(expected[name]), values, f"{how}.{name}", rule)
    if fit.qm is not None:
        yield page.entry(f"{key}/QM", expected["QM"], fit.qm, f"{how}.qm", rule)


def _robust(page: Page, key: str, robust: RobustFit, how: str) -> Iterator[Entry]:
    whole = float(page.results[key]["dfs"]).is_integer()
    yield from page.entries(key, robust, {"b": "estimate"}, how, ITERATIVE)
    yield from page.entries(key, robust, {"se": "se"}, how, _ROBUST)
    yield from page.entries(key, robust, {"dfs": "df"}, how, EXACT if whole else _ROBUST)
    ends = (robust.ci_low, robust.ci_high)
    rule = Tolerance(_ROBUST.relative, 2e-8, _ROBUST.reason)
    yield page.entry(f"{key}/ci", page.results[key]["ci"], ends, f"({how}.ci_low, .ci_high)", rule)


def _school() -> Iterator[Entry]:
    page = open_page("multilevel", "multilevel_school")
    year = np.array(page.data["year"], dtype=float)
    data = {**page.data, "centred": year - year.mean()}
    call = "cf.multilevel(yi, vi, random='district/school'"
    for method in ("REML", "ML"):
        fit = multilevel("yi", "vi", random="district/school", data=data, method=method)
        yield from _fit(page, method, fit, f"{call}, method={method!r})")
    fit = multilevel("yi", "vi", random="district/school", data=data, moderators="centred")
    yield from _fit(page, "mod_year", fit, f"{call}, moderators='centred')")
    fit = multilevel("yi", "vi", random="district/school", data=data)
    for index, expected in enumerate(page.results["sigma2_profile_ci"]):
        ends = tuple(fit.profile_interval("sigma2", index))
        how = f"{call}).profile_interval('sigma2', {index})"
        yield page.entry(f"sigma2_profile_ci/{index}", expected, ends, how, _ROOT)
    for key, kind in (("robust_CR1", "CR1"), ("robust_CR2_satterthwaite", "CR2")):
        yield from _robust(page, key, fit.robust("district", kind), f"{call}).robust('district', {kind!r})")


def _recidivism() -> Iterator[Entry]:
    page = open_page("multilevel", "multilevel_recidivism")
    fit = multilevel("yi", "vi", random="study/esid", data=page.data)
    yield from _fit(page, "REML", fit, "cf.multilevel(yi, vi, random='study/esid')")
    blocks = sampling_covariance("vi", "study", 0.6, data=page.data)
    fit = multilevel("yi", blocks, random="study/esid", data=page.data)
    how = "cf.multilevel(yi, cf.sampling_covariance(vi, study, 0.6), random='study/esid')"
    yield from _fit(page, "V_rho06", fit, how)
    yield from _robust(page, "CR2", fit.robust("study", "CR2"), f"{how}.robust('study', 'CR2')")


def _periodontal() -> Iterator[Entry]:
    page = open_page("multilevel", "multivariate_periodontal")
    for key in ("UN", "CS", "HCS", "DIAG", "UN_ML"):
        structure, method = key.removesuffix("_ML"), "ML" if key.endswith("ML") else "REML"
        fit = multilevel(
            "yi", np.array(page.data["V"]), random="outcome | trial", data=page.data, moderators="outcome - 1",
            structure=structure, method=method,
        )  # fmt: skip
        how = f"cf.multilevel(yi, V, random='outcome | trial', structure={structure!r}, method={method!r})"
        yield from _fit(page, key, fit, how, _LOOSE if structure == "UN" else ITERATIVE)


_SEARCH = Tolerance(2e-5, 1e-7, "the reference's optimiser stops a little before the top")
_OF_SEARCH = Tolerance(2e-5, 1e-6, "a closed form of variances that the reference knows to about 1e-6")
_SIMULATED: dict[str, dict[str, object]] = {
    "nested": {"random": "study/es", "moderators": "x + w", "test": "t", "degrees_of_freedom": "containment"},
    "nested_res": {"random": "study/es", "moderators": "x + w", "test": "t"},
    "mixed": {"random": ["out | study", "lab"], "structure": ["CS"]},
}


def _structures() -> Iterator[Entry]:
    page = open_page("multilevel", "multilevel_structures")
    data = {name: values for name, values in page.data.items() if name != "V"}
    V = sampling_covariance("vi", "study", 0.5, data=data)
    yield page.entry("V", page.data["V"], V.toarray(), "cf.sampling_covariance(vi, study, 0.5).toarray()", CLOSED)
    by_time = sampling_covariance("vi", "study", 1, time="time", phi=0.7, data=data)
    how = "cf.sampling_covariance(vi, study, 1, time=time, phi=0.7).toarray()[0]"
    yield page.entry("vcalc_time/row0", page.results["vcalc_time"]["row0"], by_time.toarray()[0], how, CLOSED)
    for key in page.results:
        structure, _, method = key.partition(" ")
        if method in {"REML", "ML"}:
            random = "time | study" if "AR" in structure else "out | study"
            fit = multilevel("yi", V, random=random, structure=structure, moderators="x", method=method, data=data)
            how = f"cf.multilevel(yi, V, random={random!r}, structure={structure!r}, method={method!r})"
            yield from _simulated(page, key, fit, how)
        elif key in _SIMULATED:
            fit = multilevel("yi", "vi", data=data, **_SIMULATED[key])  # type: ignore[arg-type]  # options by name
            yield from _simulated(page, key, fit, f"cf.multilevel(yi, vi, **{_SIMULATED[key]})")
    fit = multilevel("yi", V, random=["study", "lab"], method="ML", data=data)
    yield from _simulated(page, "crossed_ML", fit, "cf.multilevel(yi, V, random=['study', 'lab'], method='ML')")
    fit = multilevel("yi", V, random="study/es", moderators="x + g", data=data)
    base = "cf.multilevel(yi, V, random='study/es', moderators='x + g').robust('study', {!r})"
    for kind in ("CR0", "CR1", "CR2"):
        robust, how = fit.robust("study", kind), base.format(kind)
        for theirs, ours in (("se", "se"), ("p", "p_value")):
            values, call = robust.coefficients[ours], f"{how}.coefficients[{ours!r}]"
            yield page.entry(f"{kind}/{theirs}", page.results[kind][theirs], values, call, _OF_SEARCH)
        wald = robust.wald(["x", "g[T.B]", "g[T.C]"])
        yield from page.entries(kind, wald, {"QM": "statistic", "QMp": "p_value"}, f"{how}.wald(...)", _OF_SEARCH)
    robust, how = fit.robust("study"), base.format("CR2")
    for key, terms in (("aht", ["g[T.B]", "g[T.C]"]), ("aht3", ["x", "g[T.B]", "g[T.C]"])):
        names = {"F": "statistic", "df2": "df_denominator", "p": "p_value"}
        yield from page.entries(key, robust.wald(terms), names, f"{how}.wald({terms})", _OF_SEARCH)


def _simulated(page: Page, key: str, fit: MultilevelFit, how: str) -> Iterator[Entry]:
    expected, table = page.results[key], fit.coefficients
    for theirs, ours in (("b", "estimate"), ("se", "se"), ("lb", "ci_low"), ("p", "p_value")):
        call = f"{how}.coefficients[{ours!r}]"
        yield page.entry(f"{key}/{theirs}", np.atleast_1d(expected[theirs]), table[ours], call, _SEARCH)
    names = {"ll": "log_likelihood", "AIC": "aic", "BIC": "bic", "QE": "q"}
    yield from page.entries(key, fit, names, how, Tolerance(1e-7, 0.0, _SEARCH.reason))
    for name, values in (("sigma2", fit.sigma2), ("tau2", fit.tau2), ("rho", fit.rho)):
        if len(values):
            reference = np.atleast_1d(expected[name])[: len(values)]
            yield page.entry(f"{key}/{name}", reference, values, f"{how}.{name}", _SEARCH)


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (_school, _recidivism, _periodontal, _structures)
