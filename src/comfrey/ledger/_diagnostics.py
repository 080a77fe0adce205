"""The ledger's pages of diagnostics: influence, leave-one-out, cumulative, predictions of studies, subsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.ledger._effects import two_by_two, two_rates
from comfrey.ledger._entry import CLOSED, EXACT, Tolerance
from comfrey.ledger._page import open_page, read_reference
from comfrey.models.multilevel.fit import multilevel
from comfrey.models.multilevel.sampling import sampling_covariance
from comfrey.models.pooling import pool
from comfrey.models.stratified import mantel_haenszel, peto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.ledger._entry import Entry
    from comfrey.models.multilevel.result import MultilevelFit

__all__ = ["PAGES"]

_REFITS = Tolerance(1e-9, 1e-12, "refits whose searches close to the last digits on both sides")
_VARIANCES = Tolerance(
    1e-6, 2e-6, "the reference knows variances to about 1e-6 (2e-7 of the fit), and shifts are differences of estimates"
)
_DELETIONS = {
    "deleted": "deleted_residual", "rstudent": "rstudent", "X2": "chi2", "cook": "cook_distance", "dfbetas": "dfbetas",
}  # fmt: skip
_UNITS = {"resid": "residual", "rstandard": "rstandard", "X2_standard": "chi2_standard", "size": "size"}
_INFLUENCE = {
    "rstudent": "rstudent", "dffits": "dffits", "cook.d": "cook_distance", "cov.r": "cov_ratio",
    "tau2.del": "tau2_deleted", "QE.del": "q_deleted", "hat": "hat", "weight": "weight",
}  # fmt: skip
_LEAVE_ONE_OUT = {
    "estimate": "estimate", "se": "se", "pval": "p_value", "ci.lb": "ci_low", "ci.ub": "ci_high", "Q": "q",
    "tau2": "tau2", "I2": "i2",
}  # fmt: skip
_STUDIES = {"pred": "estimate", "se": "se", "pi.lb": "pi_low", "pi.ub": "pi_high"}
_DEVIATIONS = {
    "pred": "deviation", "se": "deviation_se", "pi.lb": "deviation_low", "pi.ub": "deviation_high",
}  # fmt: skip


def _influence() -> Iterator[Entry]:
    page = open_page("diagnostics", "influence_bcg")
    how = "cf.pool(yi, vi, test='z')"
    fit = pool(np.array(page.data["yi"]), np.array(page.data["vi"]), test="z")
    found = fit.influence()
    yield from page.entries("influence", found, _INFLUENCE, f"{how}.influence()", _REFITS)
    yield from page.entries("", found, {"dfbs": "dfbetas"}, f"{how}.influence()", _REFITS)
    flags = found.influential.astype(float)
    yield page.entry("is_infl", page.results["is_infl"], flags, f"{how}.influence().influential", EXACT)
    yield from page.entries("rstandard", found, {"resid": "residual", "z": "rstandard"}, f"{how}.influence()", _REFITS)
    yield from page.entries("rstudent", found, {"z": "rstudent"}, f"{how}.influence()", _REFITS)
    yield from page.entries("leave1out", fit.leave_one_out(), _LEAVE_ONE_OUT, f"{how}.leave_one_out()", _REFITS)
    steps = {name: name for name in ("estimate", "se", "tau2")}
    yield from page.entries("cumul_order_given", fit.cumulative(), steps, f"{how}.cumulative()", _REFITS)
    studies = fit.blups()
    yield from page.entries("blup", studies, _STUDIES, f"{how}.blups()", _REFITS)
    yield from page.entries("ranef", studies, _DEVIATIONS, f"{how}.blups()", _REFITS)
    yield from page.entries("", fit, {"weights": "weights"}, how, _REFITS)


def _subsets() -> Iterator[Entry]:
    page = open_page("diagnostics", "gosh_bcg_dl")
    how = "cf.pool(yi, vi, method='DL').subsets()"
    found = pool(np.array(page.data["yi"]), np.array(page.data["vi"]), method="DL").subsets()
    quantiles = np.quantile(found.estimate, [0.05, 0.25, 0.5, 0.75, 0.95])
    expected = page.results
    yield page.entry("n", expected["n"], len(found), f"len({how})", EXACT)
    yield page.entry(
        "mean_estimate", expected["mean_estimate"], found.estimate.mean(), f"mean of {how}.estimate", CLOSED
    )
    yield page.entry("quantiles", expected["quantiles"], quantiles, f"quantiles of {how}.estimate", CLOSED)
    yield page.entry("I2_mean", expected["I2_mean"], found.i2.mean(), f"mean of {how}.i2", CLOSED)


def _clusters() -> Iterator[Entry]:
    page = open_page("diagnostics", "influence_multilevel")
    for name, (fit, cluster, how) in _multilevel_fits(page.data["deltype"]).items():
        for unit, by in (("effect", None), ("cluster", cluster)):
            if f"{name}/{unit}" not in page.results:
                continue
            for way in ("refit", "held"):
                found = fit.influence(by, reestimate=way == "refit")
                call = f"{how}.influence({by!r}, reestimate={way == 'refit'})"
                yield from page.entries(f"{name}/{unit}/{way}", found, _DELETIONS, call, _VARIANCES)
            yield from page.entries(f"{name}/{unit}", found, _UNITS, call, _VARIANCES)
        for theirs in ("hat", "weight"):
            values = found.effects[theirs].to_numpy()
            yield page.entry(
                f"{name}/{theirs}", page.results[name][theirs], values, f"{call}.effects[{theirs!r}]", _VARIANCES
            )
        if f"{name}/gone" in page.results:
            found, call = fit.influence(cluster), f"{how}.influence({cluster!r})"
            names = {"components": "components", "cov_ratio": "cov_ratio"}
            yield from page.entries(f"{name}/gone", found, names, call, _VARIANCES)
            yield from page.entries(f"{name}/gone", found, {"q": "q_deleted"}, call, CLOSED)


def _multilevel_fits(deltype: list[str]) -> dict[str, tuple[MultilevelFit, str, str]]:
    """Name of each model -> the fit, its clusters, and the call."""
    school, periodontal, recidivism = (
        dict(read_reference(name)["data"])
        for name in ("multilevel_school", "multivariate_periodontal", "multilevel_recidivism")
    )
    year = np.array(school["year"], dtype=float)
    school["centred"], recidivism["deltype"] = year - year.mean(), deltype
    nested = multilevel("yi", "vi", random="district/school", data=school)
    by_year = multilevel("yi", "vi", random="district/school", data=school, moderators="centred")
    outcomes = multilevel(
        "yi", np.array(periodontal["V"]), random="outcome | trial", structure="CS", data=periodontal,
        moderators="outcome - 1",
    )  # fmt: skip
    blocks = sampling_covariance("vi", "study", 0.6, data=recidivism)
    dependent = multilevel("yi", blocks, random="study/esid", data=recidivism)
    crossed = multilevel("yi", "vi", random=["study", "deltype"], data=recidivism)
    call = "cf.multilevel(yi, vi, random="
    return {
        "school": (nested, "district", f"{call}'district/school')"),
        "school_year": (by_year, "district", f"{call}'district/school', moderators='centred')"),
        "periodontal_CS": (outcomes, "trial", "cf.multilevel(yi, V, random='outcome | trial', structure='CS')"),
        "recidivism_V": (dependent, "study", "cf.multilevel(yi, sampling_covariance(0.6), random='study/esid')"),
        "recidivism_crossed": (crossed, "study", f"{call}['study', 'deltype'])"),
    }


_RAW = Tolerance(1e-7, 1e-12, "years of nearly two thousand beside a constant cost both sides five digits")
_TESTS = {"z": "z", "knha": "hk", "adhoc": "hk-adhoc"}
_MORE = {
    **_INFLUENCE, "dfbs": "dfbetas", "resid": "residual", "z": "rstandard", "infl": "influential",
}  # fmt: skip
_SERIES = {**_LEAVE_ONE_OUT, "zval": "statistic", "Qp": "q_p", "H2": "h2"}


def _methods() -> Iterator[Entry]:
    """Diagnostics of every method and of regressions."""
    page = open_page("diagnostics", "influence_methods")
    for key in page.results:
        kind, method, test = key.split("_")
        formula = None if kind == "pooled" else "ablat + year" if method == "DL" else "ablat"
        options = {} if formula is None else {"moderators": formula}
        fit = pool("yi", "vi", data=page.data, method=method, test=_TESTS[test], **options)  # type: ignore[call-overload]
        how = (
            f"cf.pool(yi, vi, method={method!r}, test={_TESTS[test]!r}{f', moderators={formula!r}' if formula else ''})"
        )
        rule = _RAW if formula == "ablat + year" else _REFITS
        yield from page.entries(f"{key}/influence", fit.influence(), _MORE, f"{how}.influence()", rule)
        yield from page.entries(f"{key}/leave1out", fit.leave_one_out(), _SERIES, f"{how}.leave_one_out()", rule)
        yield from page.entries(f"{key}/cumul", fit.cumulative(), _SERIES, f"{how}.cumulative()", rule)
        yield from page.entries(f"{key}/blup", fit.blups(), _STUDIES, f"{how}.blups()", rule)


def _strata() -> Iterator[Entry]:
    """Diagnostics of Mantel-Haenszel and Peto estimates."""
    page = open_page("diagnostics", "mh_diagnostics")
    trials, rates = two_by_two(page.data["bcg"]), two_rates(page.data["warfarin"])
    for measure in ("OR", "RR", "RD", "IRR", "IRD", "PETO"):
        table = rates if measure.startswith("IR") else trials
        fit = peto(**table) if measure == "PETO" else mantel_haenszel(measure, **table)  # type: ignore[arg-type]
        how = "cf.peto(...)" if measure == "PETO" else f"cf.mantel_haenszel({measure!r}, ...)"
        without, steps = fit.leave_one_out(), fit.cumulative()
        yield from page.entries(f"{measure}/leave1out", without, _SERIES, f"{how}.leave_one_out()", CLOSED)
        yield from page.entries(f"{measure}/cumul", steps, _SERIES, f"{how}.cumulative()", CLOSED)
        yield from page.entries(measure, fit, {"weights": "weights"}, how, CLOSED)
        for axis, name in (("x", "heterogeneity_share"), ("y", "shift")):
            theirs, ours = page.results[measure]["baujat"][axis], fit.baujat[name]
            yield page.entry(f"{measure}/baujat/{axis}", theirs, ours, f"{how}.baujat[{name!r}]", CLOSED)
    few: dict[str, Any] = {name: np.asarray(column)[:8] for name, column in trials.items()}
    for key, fit in {
        "gosh_IRR": mantel_haenszel("IRR", **rates),
        "gosh_OR_first_eight": mantel_haenszel("OR", **few),
    }.items():
        found, expected, how = fit.subsets(), page.results[key], f"cf.mantel_haenszel({key[5:]!r}, ...).subsets()"
        several = found.k > 1
        quantiles = np.quantile(found.estimate, [0.05, 0.25, 0.5, 0.75, 0.95])
        yield page.entry(f"{key}/n", expected["n"], len(found), f"len({how})", EXACT)
        yield page.entry(f"{key}/mean_estimate", expected["mean_estimate"], found.estimate.mean(), how, CLOSED)
        yield page.entry(f"{key}/quantiles", expected["quantiles"], quantiles, how, CLOSED)
        yield page.entry(f"{key}/QE_mean", expected["QE_mean"], found.q[several].mean(), how, CLOSED)
        yield page.entry(f"{key}/I2_mean", expected["I2_mean"], found.i2[several].mean(), how, CLOSED)


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (_influence, _subsets, _clusters, _methods, _strata)
