"""The ledger's pages of regressions by every method and test, of what is made of them, and of location-scale models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from comfrey.ledger._entry import CLOSED, ITERATIVE, Tolerance
from comfrey.ledger._page import open_page
from comfrey.models.location_scale import location_scale
from comfrey.models.permutation import permutation_test
from comfrey.models.pooling import pool
from comfrey.models.subgroups import subgroups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.ledger._entry import Entry
    from comfrey.ledger._page import Page
    from comfrey.models.regression import MetaRegression

__all__ = ["PAGES"]

_TESTS = {"z": "z", "t": "t", "knha": "hk", "adhoc": "hk-adhoc"}
_SEARCHED = {"ML", "REML", "EB", "PM", "PMM"}
_FIT = {
    "b": "beta", "se": "se", "p": "p_value", "ci_lb": "ci_low", "ci_ub": "ci_high", "tau2": "tau2",
    "se_tau2": "se_tau2", "I2": "i2", "H2": "h2", "R2": "r2", "QE": "q", "QEp": "q_p", "QM": "omnibus.statistic",
    "QMp": "omnibus.p_value", "loglik": "log_likelihood",
}  # fmt: skip
_INTERVALS = {"ci": "q-profile", "pl": "profile-likelihood"}
_ROOT = Tolerance(1e-6, 1e-8, "found by root searches on both sides")
_SMALL = Tolerance(1e-8, 1e-10, "a limit near zero is a difference of larger numbers")
_SCALE = Tolerance(1e-5, 1e-6, "the reference's search ends where the likelihood is flat")


def _rule(method: str, name: str) -> Tolerance:
    if method in _SEARCHED:
        return ITERATIVE
    return _SMALL if name.startswith("ci") else CLOSED


def _methods() -> Iterator[Entry]:
    page = open_page("regression", "metareg_methods")
    data = pd.DataFrame(page.data)
    for key, expected in page.results.items():
        formula, method, theirs = key.rsplit("_", maxsplit=2)
        test = _TESTS[theirs]
        fit = pool("yi", "vi", data=data, moderators=formula, method=method, test=test)  # type: ignore[call-overload]
        how = f"cf.pool(yi, vi, moderators={formula!r}, method={method!r}, test={test!r})"
        yield from page.entries(key, fit, _FIT, how, partial(_rule, method))
        for name, kind in _INTERVALS.items():
            if name in expected:
                found = fit.heterogeneity_intervals(kind)
                for theirs_too, ours in (("tau2", "tau2"), ("i2", "i2"), ("h2", "h2")):
                    ends = [value or 0.0 for value in expected[name][theirs_too]]
                    call = f"{how}.heterogeneity_intervals({kind!r}).{ours}"
                    yield page.entry(f"{key}/{name}/{theirs_too}", ends, getattr(found, ours), call, _ROOT)
        if "contrast" in expected:
            yield from _combinations(page, key, fit, how, _rule(method, ""))


def _combinations(page: Page, key: str, fit: MetaRegression, how: str, rule: Tolerance) -> Iterator[Entry]:
    expected = page.results[key]
    term = fit.test_term("g:x")
    value = (term.statistic, term.p_value)
    yield page.entry(f"{key}/test_term", expected["test_term"], value, f"{how}.test_term('g:x')", rule)
    table = fit.contrast([[0, 1, -1, 0, 0, 0], [0, 0, 0, 1, 0.5, 0.5]])
    for theirs, ours in (("Xb", "estimate"), ("se", "se"), ("p", "p_value")):
        call = f"{how}.contrast(...)[{ours!r}]"
        yield page.entry(f"{key}/contrast/{theirs}", expected["contrast"][theirs], table[ours], call, rule)
    joint = table.attrs["joint"]
    both = (expected["contrast"]["QM"], expected["contrast"]["QMp"])
    value = (joint.statistic, joint.p_value)
    yield page.entry(f"{key}/contrast/joint", both, value, f"{how}.contrast(...).attrs['joint']", rule)
    if "vif" in expected:
        vif = fit.vif().set_index("term").loc[["g", "x", "g:x"], "vif"]
        yield page.entry(f"{key}/vif", expected["vif"], vif, f"{how}.vif()", rule)


def _more() -> Iterator[Entry]:
    page = open_page("regression", "metareg_more")
    data = pd.DataFrame(open_page("regression", "metareg_methods").data)
    data["z2"] = (data["z"] - 1985) / 10
    expected = page.results["spline"]
    found = pool("yi", "vi", data=data, moderators="bs(x, df=4)").predict({"x": expected["x"]})
    how = "cf.pool(yi, vi, moderators='bs(x, df=4)').predict(...)"
    for theirs, ours in (("pred", "estimate"), ("se", "se"), ("ci", "ci_low"), ("pi", "pi_low")):
        yield page.entry(f"spline/{theirs}", expected[theirs], found[ours], f"{how}[{ours!r}]", ITERATIVE)
    for key, common in (("sub_sep", False), ("sub_common", True)):
        groups = subgroups("yi", "vi", groups="g", data=data, test="z", common_tau2=common)
        how = f"cf.subgroups(yi, vi, groups=g, common_tau2={common})"
        names = {"QM": "q_between", "p": "q_between_p"}
        yield from page.entries(key, groups, names, how, ITERATIVE)
        values = [groups.fits[name].estimate for name in "abc"]
        yield page.entry(f"{key}/b", page.results[key]["b"], values, f"{how}.fits[...].estimate", ITERATIVE)
    for key, formula, rows, test in (("perm_mod", "x", 6, "z"), ("perm_fac", "g", 6, "z"), ("perm_int", None, 9, "hk")):
        fit = pool("yi", "vi", data=data[:rows], moderators=formula, test=test)  # type: ignore[call-overload]
        shuffled = permutation_test(fit, permutations=720)
        how = f"cf.permutation_test(cf.pool(yi, vi, moderators={formula!r}), permutations=720)"
        yield from page.entries(key, shuffled, {"p": "p_value", "qm": "omnibus_p"}, how, CLOSED)
    names = {"b": "beta", "se": "se", "a": "alpha", "sea": "se_alpha", "tau2": "tau2"}
    for key in page.results:
        if key.startswith("ls "):
            _, method, scale = key.split(" ")
            scale = scale.removeprefix("~").replace("z", "z2")
            both = location_scale("yi", "vi", data=data, moderators="x + g", scale=scale, method=method)  # type: ignore[arg-type]
            how = f"cf.location_scale(yi, vi, moderators='x + g', scale={scale!r}, method={method!r})"
            yield from page.entries(key, both, names, how, _SCALE)
            yield from page.entries(key, both, {"ll": "log_likelihood"}, how, CLOSED)


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (_methods, _more)
