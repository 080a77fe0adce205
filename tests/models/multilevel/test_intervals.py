"""Profile-likelihood intervals against a search of the likelihood written down directly."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

import comfrey as cf

SCHOOL = json.loads((Path(__file__).parents[2] / "reference" / "multilevel_school.json").read_text())["data"]
TEETH = json.loads((Path(__file__).parents[2] / "reference" / "multivariate_periodontal.json").read_text())["data"]


def ends_by_search(climb, size, index, estimate, brackets):
    """Where twice the drop of the profile is the chi-square quantile, by Brent's method over dense refits."""

    def best(value):
        if size == 1:
            return climb(np.array([value]))
        free = [i for i in range(size) if i != index]

        def inner(x):
            full = np.empty(size)
            full[index], full[free] = value, x
            return climb(full)

        found = optimize.minimize(inner, estimate[free], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12})
        return found.fun

    top = climb(estimate)
    goal = stats.chi2.ppf(0.95, 1) / 2
    return [optimize.brentq(lambda at: best(at) - top - goal, *bracket, xtol=1e-11) for bracket in brackets]


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("index", [0, 1])
def test_ends_for_school_calendars(direct, index, method):
    fit = cf.multilevel("yi", "vi", random="district/school", data=SCHOOL, method=method)
    y, X = np.array(SCHOOL["yi"]), np.ones((56, 1))
    district = direct.group_matrix(SCHOOL["district"])

    def climb(variances):
        M = np.diag(SCHOOL["vi"]) + abs(variances[0]) * district + abs(variances[1]) * np.eye(56)
        return -direct.log_likelihood(y, X, M, method == "REML")

    at = fit.sigma2[index]
    expected = ends_by_search(climb, 2, index, fit.sigma2, [(1e-4, at), (at, 1.0)])
    interval = fit.profile_interval("sigma2", index)
    np.testing.assert_allclose(list(interval), expected, rtol=1e-7)
    assert interval.ci_low < interval.estimate < interval.ci_high
    assert interval.fits < 15
    assert fit.profile_interval("sigma2", fit.sigma2_names[index]).ci_low == interval.ci_low


@pytest.mark.parametrize("structure", ["UN", "HCS"])
def test_ends_for_two_outcomes(direct, structure):
    V = np.array(TEETH["V"])
    fit = cf.multilevel("yi", V, random="outcome | trial", structure=structure, data=TEETH, moderators="0 + outcome")
    X = fit._state.design.matrix
    inner = np.array([0 if name == "AL" else 1 for name in TEETH["outcome"]])

    def climb(values):
        covariance = values[2] * np.sqrt(abs(values[0] * values[1]))
        if abs(values[2]) > 1 or min(values[:2]) < 0:
            return 1e6
        G = np.array([[values[0], covariance], [covariance, values[1]]])
        return -direct.log_likelihood(np.array(TEETH["yi"]), X, V + direct.structured_matrix(G, inner, TEETH["trial"]))

    estimate = np.append(fit.tau2, fit.rho)
    for index, name in enumerate(["AL", "PD"]):
        at = fit.tau2[index]
        expected = ends_by_search(climb, 3, index, estimate, [(1e-6, at), (at, 2.0)])
        np.testing.assert_allclose(list(fit.profile_interval("tau2", name)), expected, rtol=1e-6)
    rho = fit.profile_interval("rho")
    expected = ends_by_search(climb, 3, 2, estimate, [(-0.999, fit.rho[0])])[0]
    np.testing.assert_allclose(rho.ci_low, expected, rtol=1e-6)
    # here the likelihood does not fall far enough before the correlation reaches 1
    assert rho.ci_high == pytest.approx(1, abs=1e-12)
    assert "edge" in rho.notes[0]


def test_a_variance_of_zero_has_an_interval_from_zero():
    rng = np.random.default_rng(1)
    vi = rng.uniform(0.05, 0.1, 30)
    data = {
        "study": np.repeat(np.arange(10), 3),
        "es": np.arange(30),
        "yi": rng.normal(0, 0.6 * np.sqrt(vi)),
        "vi": vi,
    }
    fit = cf.multilevel("yi", "vi", random="study/es", data=data)
    assert fit.boundary
    index = int(np.argmin(fit.sigma2))
    assert fit.sigma2[index] == 0
    low, high = fit.profile_interval("sigma2", index)
    assert low == 0
    assert high > 0


def test_intervals_widen_with_the_level():
    fit = cf.multilevel("yi", "vi", random="district/school", data=SCHOOL)
    narrow, wide = fit.profile_interval("sigma2", 0, level=0.8), fit.profile_interval("sigma2", 0, level=0.99)
    assert wide.ci_low < narrow.ci_low < narrow.ci_high < wide.ci_high


@pytest.mark.parametrize("structure", ["UN", "CS", "HCS", "DIAG", "ID", "AR", "HAR", "CAR"])
def test_every_parameter_has_an_interval_that_holds_its_estimate(structure):
    rng = np.random.default_rng(3)
    time, trial = np.tile([0.0, 1, 2], 25), np.repeat(np.arange(25), 3)
    effects = rng.normal(0, 0.5, 25)[trial] + rng.normal(0, 0.3, 75)
    vi = rng.uniform(0.02, 0.1, 75)
    data = {"time": time, "trial": trial, "yi": effects + rng.normal(0, np.sqrt(vi)), "vi": vi}
    fit = cf.multilevel("yi", "vi", random="time | trial", structure=structure, data=data)
    for kind in ("tau2", "rho"):
        for index, value in enumerate(getattr(fit, kind)):
            interval = fit.profile_interval(kind, index)
            assert interval.estimate == pytest.approx(value, rel=1e-6)
            assert interval.ci_low <= value <= interval.ci_high


def test_bad_arguments_name_themselves():
    fit = cf.multilevel("yi", "vi", random="district/school", data=SCHOOL)
    with pytest.raises(cf.InputError, match="parameter: expected sigma2, found 'tau2'"):
        fit.profile_interval("tau2")
    with pytest.raises(cf.InputError, match="index: expected 0 to 1, or one of district, district/school, found 2"):
        fit.profile_interval("sigma2", 2)
    with pytest.raises(cf.InputError, match="level: expected a number between 0 and 1"):
        fit.profile_interval("sigma2", 0, level=95)
