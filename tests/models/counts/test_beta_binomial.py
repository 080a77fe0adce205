"""Beta-binomial model: likelihood against scipy, maximum against a plain search, edges."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import expit, logit

import comfrey as cf
from comfrey.models.counts._beta_binomial import _likelihood, _Sums
from comfrey.models.counts._input import Counts

DATA = json.loads((Path(__file__).parents[2] / "reference" / "glmm.json").read_text())["data"]
SURVEYS = {"xi": [1800, 90, 45, 7100, 12], "ni": [9000, 600, 150, 65000, 40]}


def fit_of(data, **options):
    return cf.count_model("PLO", cases=data["xi"], total=data["ni"], model="beta-binomial", **options)


def direct(parameters, data):
    p, gamma = expit(parameters[0]), np.exp(parameters[1])
    return stats.betabinom.logpmf(data["xi"], data["ni"], p / gamma, (1 - p) / gamma).sum()


@pytest.mark.parametrize("data", [DATA["vasospasm"], SURVEYS])
def test_maximum_agrees_with_a_plain_search(data):
    fit = fit_of(data)
    best = optimize.minimize(
        lambda p: -direct(p, data),
        [fit.estimate + 0.1, logit(fit.rho) + 0.1],
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 2000},
    )
    # The search compares log-likelihoods, which are flat at the top: 1e-6 is what it can find.
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-8)
    assert fit.estimate == pytest.approx(best.x[0], abs=2e-6)
    assert logit(fit.rho) == pytest.approx(best.x[1], abs=1e-5)
    at, h = np.array([fit.estimate, logit(fit.rho)]), 1e-3 * np.eye(2)
    hessian = [
        [sum(s * t * direct(at + s * u + t * v, data) for s in (1, -1) for t in (1, -1)) / 4e-6 for v in h] for u in h
    ]
    assert fit.se == pytest.approx(np.linalg.inv(-np.array(hessian))[0, 0] ** 0.5, rel=1e-4)  # second differences


@pytest.mark.parametrize("gamma", [0.0, 1e-7, 1e-3, 0.2, 5.0])
@pytest.mark.parametrize("p", [2e-4, 0.3])
def test_sums_agree_with_adding_term_by_term(gamma, p):
    limits = np.array([0.0, 1.0, 400.0, 999.0, 1000.0, 1001.0, 65000.0])
    j = [np.arange(limit) for limit in limits]
    expected = [
        sum(part(i, p + i * gamma).sum() for i in j)
        for part in (
            lambda i, v: np.log(v),
            lambda i, v: 1 / v,
            lambda i, v: i / v,
            lambda i, v: -1 / v**2,
            lambda i, v: -i / v**2,
            lambda i, v: -(i**2) / v**2,
        )
    ]
    np.testing.assert_allclose(_Sums.of(limits).log(p, gamma), expected, rtol=1e-10)


def test_derivatives_agree_with_differences():
    counts = Counts(np.array([SURVEYS["xi"]], float), np.array([SURVEYS["ni"]], float), tuple(range(5)), ())
    value, h = _likelihood(counts), 1e-6
    _, score, hessian = value(-1.2, 0.02)
    for i, step in enumerate(((h, 0), (0, h))):
        high, low = (value(-1.2 + s * step[0], 0.02 + s * step[1]) for s in (1, -1))
        assert (high[0] - low[0]) / (2 * h) == pytest.approx(score[i], rel=1e-5, abs=1e-3)
        np.testing.assert_allclose((high[1] - low[1]) / (2 * h), hessian[i], rtol=1e-5, atol=1e-3)


def test_rare_disease_in_millions_is_fitted():
    fit = fit_of(DATA["dmd"])
    logit_normal = cf.count_model("PLO", cases=DATA["dmd"]["xi"], total=DATA["dmd"]["ni"])
    assert fit.estimate == pytest.approx(logit_normal.estimate, abs=0.02)
    assert fit.gradient_norm < 1e-6
    # For a rare event rho / p is the squared coefficient of variation, about tau2 of the log.
    assert fit.rho / expit(fit.estimate) == pytest.approx(logit_normal.tau2, rel=0.1)


def test_equal_proportions_are_binomial():
    fit = fit_of({"xi": [20, 40, 10], "ni": [100, 200, 50]})
    assert (fit.rho, fit.boundary) == (0, True)
    assert fit.estimate == pytest.approx(logit(0.2), rel=1e-12)
    assert fit.se == pytest.approx((1 / 56) ** 0.5, rel=1e-10)
    assert (fit.pi_low, fit.pi_high) == (fit.ci_low, fit.ci_high)


def test_prediction_interval_agrees_with_simulation_free_integration():
    fit = fit_of(DATA["vasospasm"])
    mean = fit.estimate + fit.se * stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
    size = (1 - fit.rho) / fit.rho
    for end, probability in ((fit.pi_low, 0.025), (fit.pi_high, 0.975)):
        below = stats.beta.cdf(expit(end), expit(mean) * size, expit(-mean) * size).mean()
        assert below == pytest.approx(probability, abs=1e-5)


def test_tau2_is_not_a_number_and_says_why():
    fit = fit_of(DATA["vasospasm"], test="t")
    assert np.isnan(fit.tau2)
    assert any("rho" in note for note in fit.notes)
    assert fit.df == 13
    assert "rho" in repr(fit)
    assert fit.to_dict()["tau2"] is None


def test_studies_with_one_outcome_only_have_no_estimate():
    with pytest.raises(cf.NotEstimableError, match="goes to one"):
        fit_of({"xi": [0, 20, 0], "ni": [10, 20, 30]})


def test_one_study():
    fit = fit_of({"xi": [30], "ni": [100]})
    assert fit.estimate == pytest.approx(logit(0.3))
    assert np.isnan([fit.rho, fit.pi_low]).all()
