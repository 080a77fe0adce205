"""Confidence intervals of tau2."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import comfrey as cf
from comfrey.models.tau2_intervals import weighted_chi_squared

REFERENCE = Path(__file__).parents[1] / "reference"


def load(name):
    content = json.loads((REFERENCE / f"pool_{name}.json").read_text(encoding="utf-8"))
    data = content["data"]
    return np.array(data["yi"], dtype=float), np.array(data["vi"], dtype=float), content["results"]


def test_ends_solve_their_equations():
    yi, vi, _ = load("bcg_logrr")
    fit = cf.pool(yi, vi)
    for end, upper in zip(fit.tau2_interval(), (0.975, 0.025), strict=True):
        w = 1 / (vi + end)
        q = np.sum(w * (yi - np.sum(w * yi) / np.sum(w)) ** 2)
        assert q == pytest.approx(stats.chi2.ppf(upper, 12), rel=1e-10)
    for end in fit.tau2_interval("profile-likelihood"):
        fall = fit.log_likelihood - cf.pool(yi, vi, tau2=end).log_likelihood
        assert fall == pytest.approx(stats.chi2.ppf(0.95, 1) / 2, rel=1e-9)


def test_generalised_q_of_two_studies_by_hand():
    # with two studies Q is a multiple (1 + 2 tau2/(v1+v2)) of one chi-squared variable
    fit = cf.pool([0.0, 5.0], [1.0, 2.0], method="DL")
    q = 25 / 3
    expected = [max(0.0, (q / stats.chi2.ppf(p, 1) - 1) * 3 / 2) for p in (0.975, 0.025)]
    assert fit.tau2_interval("generalised-q") == pytest.approx(expected, rel=1e-6)


def test_equal_variances_make_generalised_q_and_q_profile_one():
    yi = np.array([0.1, 0.9, -0.4, 1.3, 2.2])
    fit = cf.pool(yi, np.full(5, 0.2), method="DL")
    assert fit.tau2_interval("generalised-q") == pytest.approx(fit.tau2_interval("q-profile"), rel=1e-6)


def test_sum_of_weighted_chi_squared_against_simulation_free_cases():
    # with pairs of equal weights a, b: P = 1 - (a exp(-x/2a) - b exp(-x/2b))/(a - b)
    a, b, x = 3.0, 0.5, 4.0
    expected = 1 - (a * np.exp(-x / (2 * a)) - b * np.exp(-x / (2 * b))) / (a - b)
    assert weighted_chi_squared(x, np.array([a, a, b, b])) == pytest.approx(expected, abs=1e-8)


def test_intervals_refuse_what_cannot_be():
    with pytest.raises(cf.NotEstimableError, match="one study"):
        cf.pool([1.0], [1.0]).tau2_interval()
    with pytest.raises(cf.NotEstimableError, match="needs method ML or REML"):
        cf.pool([1.0, 2], [1.0, 1], method="DL").tau2_interval("profile-likelihood")
    with pytest.raises(cf.InputError, match="kind"):
        cf.pool([1.0, 2], [1.0, 1]).tau2_interval("wald")
    with pytest.raises(cf.InputError, match="level"):
        cf.pool([1.0, 2], [1.0, 1]).tau2_interval(level=95)


def test_intervals_of_regressions():
    rng = np.random.default_rng(5)
    x = np.arange(20.0)
    yi = 0.1 * x + rng.normal(0, 1, 20)
    fit = cf.pool(yi, np.full(20, 0.2), moderators="x", data={"x": x})
    low, high = fit.tau2_interval()
    assert low < fit.tau2 < high
    low, high = fit.tau2_interval("profile-likelihood")
    assert low < fit.tau2 < high


@pytest.mark.parametrize("factor", [1e-100, 1e100])
def test_intervals_scale_with_the_data(factor):
    yi, vi, _ = load("bcg_logrr")
    one, other = cf.pool(yi, vi), cf.pool(yi * factor, vi * factor**2)
    for kind in ("q-profile", "profile-likelihood"):
        assert np.array(other.tau2_interval(kind)) / factor**2 == pytest.approx(one.tau2_interval(kind), rel=1e-8)
