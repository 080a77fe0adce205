"""The ledger's page of published numbers: one function a paper, giving our value of each quantity it prints."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.effects.sizes import effect_sizes
from comfrey.ledger._effects import two_by_two
from comfrey.ledger._entry import printed
from comfrey.ledger._page import Page, read_reference
from comfrey.models.counts import count_model
from comfrey.models.henmi_copas import henmi_copas
from comfrey.models.multilevel.fit import multilevel
from comfrey.models.network import network
from comfrey.models.pooling import pool
from comfrey.models.small_study.copas import copas
from comfrey.models.small_study.limit import limit_meta_analysis
from comfrey.models.small_study.regression_test import egger, pet_peese
from comfrey.models.small_study.selection import selection_model
from comfrey.models.small_study.trim_and_fill import trim_and_fill
from comfrey.models.stratified import mantel_haenszel, peto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from comfrey.effects.sizes import EffectSizes
    from comfrey.ledger._entry import Entry
    from comfrey.models.network import Network

__all__ = ["PAGES"]

Data = dict[str, Any]
_ARMS = ("events_1", "total_1", "events_2", "total_2")


def _arms(data: Data) -> dict[str, Any]:
    return {name: data[name] for name in _ARMS}


def _sizes(measure: str, data: Data) -> EffectSizes:
    return effect_sizes(measure, **(_arms(data) if "events_1" in data else two_by_two(data)))


def _berkey1995(data: Data) -> dict[str, float]:
    cells = {name: np.array(data[name], dtype=float) for name in ("ai", "bi", "ci", "di")}
    # Each study's variance takes the risks of all studies together, and its own numbers.
    a, b, c, d = cells.values()
    vi = np.mean(b / a) / (a + b) + np.mean(d / c) / (c + d)
    yi = _sizes("RR", data).yi
    alone = pool(yi, vi, method="EB", test="z")
    latitude = np.array(data["ablat"], dtype=float) - 33.46
    fit = pool(yi, vi, moderators="latitude", data={"latitude": latitude}, method="EB", test="z")
    return {
        "tau2": alone.tau2, "estimate": alone.estimate, "se": alone.se, "regression_tau2": fit.tau2,
        "regression_intercept": fit.beta[0], "regression_slope": fit.beta[1],
    }  # fmt: skip


def _berkey1998(data: Data) -> dict[str, float]:
    fit = multilevel(
        "yi", np.array(data["V"]), random="outcome | trial", data=data, moderators="outcome - 1", structure="UN",
        method="ML",
    )  # fmt: skip
    return {"tau2_1": fit.tau2[0], "tau2_2": fit.tau2[1], "rho": fit.rho[0]}


def _henmi2010(data: Data) -> dict[str, float]:
    sizes = _sizes("OR", data)
    found = henmi_copas(sizes)
    tau2 = pool(sizes, method="DL").tau2
    return {"tau2": tau2, "estimate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high}


def _ishak2007(data: Data) -> dict[str, float]:
    study, time, vi = np.array(data["study"]), np.array(data["time"]), np.array(data["vi"])
    same = study[:, None] == study[None, :]
    lag = np.abs(time[:, None] - time[None, :])
    covariance = np.where(same, np.sqrt(np.outer(vi, vi)) * 0.97**lag, 0.0)
    columns = {"yi": data["yi"], "study": study, "time": time, "occasion": time.astype(str)}
    fit = multilevel("yi", covariance, random="time | study", data=columns, moderators="occasion - 1", structure="HAR")
    apart = multilevel("yi", vi, random="time | study", data=columns, moderators="occasion - 1", structure="HAR")
    mean = apart.coefficients["estimate"][1]
    return {"rho": fit.rho[0], "mean_2": mean, **{f"tau2_{i + 1}": value for i, value in enumerate(fit.tau2)}}


def _konstantopoulos2011(data: Data) -> dict[str, float]:
    year = np.array(data["year"], dtype=float)
    columns = {**data, "centred": year - year.mean()}
    ml, reml = (multilevel("yi", "vi", random="district/school", data=columns, method=m) for m in ("ML", "REML"))
    by_year = multilevel("yi", "vi", random="district/school", data=columns, moderators="centred", method="ML")
    return {
        "ml_estimate": ml.estimate, "ml_sigma2_1": ml.sigma2[0], "ml_sigma2_2": ml.sigma2[1],
        "reml_log_likelihood": reml.log_likelihood, "reml_sigma2_1": reml.sigma2[0], "reml_sigma2_2": reml.sigma2[1],
        "ml_year_intercept": by_year.coefficients["estimate"][0],
    }  # fmt: skip


def _lipsey2001(data: Data) -> dict[str, float]:
    fit = pool(data["yi"], data["vi"], method="EE", test="z")
    return {"estimate": fit.estimate, "q": fit.q, "tau2": pool(data["yi"], data["vi"], method="DL").tau2}


def _normand1999(data: Data) -> dict[str, float]:
    m1, s1, n1, m2, s2, n2 = (np.array(data[x], dtype=float) for x in ("m1i", "sd1i", "n1i", "m2i", "sd2i", "n2i"))
    vi = ((n1 - 1) * s1**2 + (n2 - 1) * s2**2) / (n1 + n2 - 2) * (1 / n1 + 1 / n2)
    common, moments, reml = (pool(m1 - m2, vi, method=m, test="z") for m in ("EE", "DL", "REML"))
    return {
        "estimate": common.estimate, "dl_estimate": moments.estimate, "dl_tau2": moments.tau2, "reml_tau2": reml.tau2,
    }  # fmt: skip


def _raudenbush1985(data: Data) -> dict[str, float]:
    fit = pool(data["yi"], data["vi"], test="z")
    return {"tau2": fit.tau2, "estimate": fit.estimate, "q": fit.q}


def _vanhouwelingen1993(data: Data) -> dict[str, float]:
    fit = count_model("OR", model="conditional-exact", **_arms(data))
    return {"estimate": fit.estimate, "se": fit.se, "tau2": fit.tau2, "log_likelihood": fit.log_likelihood}


def _vanhouwelingen2002(data: Data) -> dict[str, float]:
    table = two_by_two(data)
    events = np.concatenate([table["events_1"], table["events_2"]])
    total = np.concatenate([table["total_1"], table["total_2"]])
    arms = effect_sizes("PLO", cases=events, total=total)
    k = len(table["events_1"])
    columns = {
        "yi": arms.yi,
        "vi": arms.vi,
        "arm": np.repeat(["vaccinated", "control"], k),
        "trial": np.arange(2 * k) % k,
    }
    both = multilevel("yi", "vi", random="arm | trial", data=columns, moderators="arm - 1", structure="UN", method="ML")
    return {
        "tau2": pool(_sizes("OR", data), method="ML").tau2, "bivariate_tau2_control": max(both.tau2),
        "bivariate_tau2_vaccinated": min(both.tau2), "bivariate_rho": both.rho[0],
    }  # fmt: skip


def _viechtbauer2007a(data: Data) -> dict[str, float]:
    sizes = _sizes("OR", data)
    reml, ml = pool(sizes), pool(sizes, method="ML")
    ends = {
        "q_profile": reml.tau2_interval("q-profile"),
        "profile_ml": ml.tau2_interval("profile-likelihood"),
        "profile_reml": reml.tau2_interval("profile-likelihood"),
    }
    return {
        f"{name}_{end}": value for name, both in ends.items() for end, value in zip(("low", "high"), both, strict=True)
    }


def _viechtbauer2007b(data: Data) -> dict[str, float]:
    sizes = _sizes("RR", data)
    alone = pool(sizes, method="DL", test="z")
    fit = pool(sizes.yi, sizes.vi, moderators="dose * baseline", data=data, method="DL", test="z")
    return {"q": alone.q, "tau2": alone.tau2, "regression_tau2": fit.tau2}


def _yusuf1985(data: Data) -> dict[str, float]:
    fit = peto(**_arms(data))
    ends = np.exp([fit.estimate, fit.ci_low, fit.ci_high])
    return dict(zip(("odds_ratio", "ci_low", "ci_high"), ends, strict=True))


def _network_of(data: Data) -> Network:
    return network(data["TE"], np.square(data["seTE"]), data["treat1"], data["treat2"], data["studlab"], method="DL")


def _cell(frame: pd.DataFrame, row: str, column: str) -> float:
    return float(frame[column].to_numpy()[frame.index.get_loc(row)])


def _senn2013(data: Data) -> dict[str, float]:
    net = _network_of(data)
    found = {
        "q": net.q,
        "q_heterogeneity": net.q_heterogeneity,
        "q_inconsistency": net.q_inconsistency,
        "tau2": net.tau2,
    }
    for drug in ("rosi", "piog", "metf"):
        found[drug] = _cell(net.effects, drug, "plac")
        found[f"{drug}_se"] = _cell(net.standard_errors, drug, "plac")
    return found


def _hasselblad1998(data: Data) -> dict[str, float]:
    net = _network_of(data)
    found = {name: float(np.exp(_cell(net.effects, name, "A"))) for name in "BCD"}
    return found | {f"{name}_se": _cell(net.standard_errors, name, "A") for name in "BCD"}


def _bcg_twelve_digits(data: Data) -> dict[str, float]:
    yi, vi = data["yi"], data["vi"]
    reml, ml, eb, pm = (pool(yi, vi, method=m, test="z") for m in ("REML", "ML", "EB", "PM"))
    hk = pool(yi, vi)
    low, high = hk.tau2_interval("q-profile")
    trials = two_by_two(read_reference("escalc_2x2_bcg")["data"])
    odds = mantel_haenszel("OR", **trials)
    return {
        "reml_tau2": reml.tau2, "reml_estimate": reml.estimate, "reml_se": reml.se,
        "reml_log_likelihood": reml.log_likelihood, "ml_tau2": ml.tau2, "eb_tau2": eb.tau2, "pm_tau2": pm.tau2,
        "hk_ci_low": hk.ci_low, "hk_ci_high": hk.ci_high, "q_profile_low": low, "q_profile_high": high,
        "mh_or": odds.estimate, "mh_or_se": odds.se, "peto": peto(**trials).estimate,
    }  # fmt: skip


def _bcg_no_intercept(data: Data) -> dict[str, float]:
    fit = pool("yi", "vi", data=data, moderators="0 + ablat", test="z")
    return {"tau2": fit.tau2, "q": fit.q, "slope": fit.beta[0]}


def _hackshaw1998_steps(data: Data) -> dict[str, float]:
    fit = selection_model(pool(data["yi"], data["vi"]), steps=(0.05, 0.1, 0.5, 1))
    return {f"delta_{place}": fit.delta[place - 1] for place in (2, 3, 4)}


def _harrer2022(data: Data) -> dict[str, float]:
    fit = pool(data["yi"], np.square(data["sei"]))
    line = egger(fit, model="weighted-regression")
    pet, limit = pet_peese(fit).pet, limit_meta_analysis(fit)
    both = pet_peese(pool(data["yi"], 1.0 / np.array(data["n1"]) + 1.0 / np.array(data["n2"])))
    return {
        "egger_slope": line.slope, "egger_slope_se": line.slope_se, "egger_t": line.statistic, "egger_p": line.p_value,
        "egger_limit": pet.estimate, "egger_limit_se": pet.se, "egger_limit_t": pet.statistic,
        "egger_limit_p": pet.p_value, "pet_modified": both.pet.estimate, "peese_modified": both.peese.estimate,
        "limit": limit.estimate,
    }  # fmt: skip


def _copas2000(data: Data) -> dict[str, float]:
    found = copas(pool(data["yi"], data["vi"]), probabilities=(1.0, 0.4, 0.35))
    share = found.k / (found.k + found.unpublished)  # of all studies, those that were published
    of_60 = np.interp(0.6, share[:0:-1], found.estimates[:0:-1])
    return {"excess": np.expm1(found.unadjusted), "excess_of_60_percent": np.expm1(of_60)}


def _lungcancer2006(data: Data) -> dict[str, float]:
    found = trim_and_fill(pool(data["yi"], data["vi"], test="z"))
    ends = np.exp([found.estimate, found.ci_low, found.ci_high])
    return {"filled": found.k0, **dict(zip(("relative_risk", "ci_low", "ci_high"), ends, strict=True))}


_CASES: dict[str, Callable[[Data], dict[str, float]]] = {
    function.__name__[1:]: function
    for function in (
        _berkey1995, _berkey1998, _henmi2010, _ishak2007, _konstantopoulos2011, _lipsey2001, _normand1999,
        _raudenbush1985, _vanhouwelingen1993, _vanhouwelingen2002, _viechtbauer2007a, _viechtbauer2007b,
        _yusuf1985, _senn2013, _hasselblad1998, _bcg_twelve_digits, _bcg_no_intercept, _hackshaw1998_steps,
        _harrer2022, _copas2000, _lungcancer2006,
    )
}  # fmt: skip


def _case(name: str) -> Iterator[Entry]:
    case = next(item for item in read_reference("published")["cases"] if item["id"] == name)
    data = case["data"] if "data" in case else read_reference(case["data_from"])["data"]
    doi = f", doi:{case['doi']}" if case["doi"] else ""
    source = f"{case['paper']}{doi}; {case['place']}"
    page = Page("published", f"published/{name}", data, case["results"], source, case["call"], case["kind"])
    found = _CASES[name](data)
    for quantity, text in case["results"].items():
        error = case.get("wrong", {}).get(quantity)
        loose = case.get("loose", {}).get(quantity)
        rule = printed(text, loose["units"], f": {loose['why']}") if loose else printed(text)
        yield page.entry(
            quantity, float(text), found[quantity], case["call"], rule,
            wrong=float(error["given"]) if error else None, remark=error["why"] if error else "",
        )  # fmt: skip


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = tuple(partial(_case, name) for name in _CASES)
