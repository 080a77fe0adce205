"""Single proportions and rates: binomial-normal and Poisson-normal models."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats
from scipy.special import gammaln, logit

import comfrey as cf

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "glmm.json").read_text())
VASOSPASM, DMD = REFERENCE["data"]["vasospasm"], REFERENCE["data"]["dmd"]


def marginal(mu, tau, log_density, points):
    """Marginal log-likelihood on a fixed fine grid: the trapezium rule is exact to rounding for such integrands."""
    grid = np.linspace(-14, 14, 6001)
    total = 0.0
    for point in points:
        values = log_density(mu + tau * grid, point) - 0.5 * grid**2
        top = values.max()
        total += top + np.log(np.exp(values - top).sum() * (grid[1] - grid[0]) / (2 * np.pi) ** 0.5)
    return total


def log_binomial(theta, point):
    choose = gammaln(point[1] + 1) - gammaln(point[0] + 1) - gammaln(point[1] - point[0] + 1)
    return choose + point[0] * theta - point[1] * np.logaddexp(0, theta)


def log_poisson(theta, point):
    return point[0] * (theta + np.log(point[1])) - point[1] * np.exp(theta) - gammaln(point[0] + 1)


def plo(data, **options):
    return cf.count_model("PLO", cases=data["xi"], total=data["ni"], **options)


# R: rma.glmm(measure="PLO", xi=xi, ni=ni, data=dat), metafor 5.1.12, 7 points.


def test_vasospasm_agrees_with_metafor():
    fit, expected = plo(VASOSPASM, points=7), REFERENCE["results"]["PLO"]
    # The same 7 points, but the other program's optimiser stops at about 1e-5 and it scales its nodes differently.
    assert fit.estimate == pytest.approx(expected["b"], rel=1e-4)
    assert fit.se == pytest.approx(expected["se"], rel=1e-4)
    assert fit.tau2 == pytest.approx(expected["tau2"], rel=2e-4)


def test_exact_quadrature_agrees_with_metafor_to_four_digits():
    fit, expected = plo(VASOSPASM), REFERENCE["results"]["PLO"]
    assert (fit.estimate, fit.se, fit.tau2) == pytest.approx(
        (expected["b"], expected["se"], expected["tau2"]), rel=1e-4
    )
    reading = fit.back_transformed()
    assert reading["estimate"] == pytest.approx(expected["pred"], rel=1e-5)
    assert [reading["ci_low"], reading["ci_high"]] == pytest.approx(expected["ci"], rel=1e-4)
    assert [reading["pi_low"], reading["pi_high"]] == pytest.approx(expected["pi"], rel=1e-4)


def test_rare_disease_agrees_with_metafor():
    fit, expected = plo(DMD), REFERENCE["results"]["PLO_rare"]
    assert fit.estimate == pytest.approx(expected["b"], rel=1e-6)
    assert fit.se == pytest.approx(expected["se"], rel=1e-4)
    assert fit.tau2 == pytest.approx(expected["tau2"], rel=1e-4)


@pytest.mark.parametrize(("data", "key"), [(VASOSPASM, "PLO"), (DMD, "PLO_rare")])
def test_log_likelihood_of_metafor_is_the_conditional_one(data, key):
    # metafor takes it from lme4's deviance, which conditions on the modes of the random effects.
    fit = plo(data)
    assert fit.conditional_log_likelihood == pytest.approx(REFERENCE["results"][key]["loglik"], rel=1e-5)
    assert fit.log_likelihood < fit.conditional_log_likelihood


def test_log_likelihood_agrees_with_adaptive_integration():
    fit = plo(VASOSPASM)
    tau, total = fit.tau2**0.5, 0.0
    for point in zip(VASOSPASM["xi"], VASOSPASM["ni"], strict=True):
        integrand = lambda z, point=point: np.exp(log_binomial(fit.estimate + tau * z, point) - 0.5 * z**2)  # noqa: E731
        total += np.log(integrate.quad(integrand, -12, 12, epsabs=1e-12, limit=200)[0] / (2 * np.pi) ** 0.5)
    assert fit.log_likelihood == pytest.approx(total, abs=1e-7)


@pytest.mark.parametrize("data", [VASOSPASM, {"xi": [0, 3, 0, 11], "ni": [20, 41, 7, 52]}])
def test_maximum_agrees_with_direct_integration(data):
    fit = plo(data)
    points = list(zip(data["xi"], data["ni"], strict=True))
    here = marginal(fit.estimate, fit.tau2**0.5, log_binomial, points)
    assert fit.log_likelihood == pytest.approx(here, abs=1e-7)
    best = optimize.minimize(
        lambda par: -marginal(par[0], par[1], log_binomial, points),
        [fit.estimate + 0.01, fit.tau2**0.5 + 0.01],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-13},
    )
    assert fit.estimate == pytest.approx(best.x[0], abs=1e-6)
    assert fit.tau2 == pytest.approx(best.x[1] ** 2, rel=1e-5)  # the search of the check stops at 1e-7 in tau
    assert fit.log_likelihood >= -best.fun - 1e-8


def test_standard_error_agrees_with_differences_of_direct_integration():
    fit = plo(VASOSPASM)
    points = list(zip(VASOSPASM["xi"], VASOSPASM["ni"], strict=True))
    x, h = np.array([fit.estimate, fit.tau2**0.5]), 1e-3

    def value(i, j, a, b):
        at = x.copy()
        at[i] += a * h
        at[j] += b * h
        return marginal(at[0], at[1], log_binomial, points)

    hessian = np.array(
        [
            [(value(i, j, 1, 1) - value(i, j, 1, -1) - value(i, j, -1, 1) + value(i, j, -1, -1)) / 4 for j in (0, 1)]
            for i in (0, 1)
        ]
    ) / h**2  # fmt: skip
    covariance = np.linalg.inv(-hessian)
    assert fit.se == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-5)  # differences of order h^2
    assert fit.se_tau2 == pytest.approx(2 * x[1] * covariance[1, 1] ** 0.5, rel=1e-5)


def test_rates_agree_with_direct_integration():
    events, time = [3, 0, 12, 7, 30], [210.0, 55.5, 301.0, 250.0, 198.0]
    fit = cf.count_model("IRLN", events=events, time=time)
    points = list(zip(events, time, strict=True))
    best = optimize.minimize(
        lambda par: -marginal(par[0], par[1], log_poisson, points),
        [fit.estimate + 0.01, fit.tau2**0.5 + 0.01],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-13},
    )
    assert fit.estimate == pytest.approx(best.x[0], abs=1e-6)
    assert fit.tau2 == pytest.approx(best.x[1] ** 2, rel=1e-5)
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-7)
    assert fit.back_transformed()["scale"] == "rate"
    assert (fit.n, fit.time, fit.events) == (None, 1014.5, 52)


def test_equal_proportions_give_no_heterogeneity_and_the_pooled_logit():
    fit = cf.count_model("PLO", cases=[20, 40, 10], total=[100, 200, 50])
    assert fit.boundary
    assert fit.tau2 == 0
    assert fit.estimate == pytest.approx(logit(0.2), rel=1e-12)
    assert fit.se == pytest.approx((1 / 70 + 1 / 280) ** 0.5, rel=1e-10)
    assert fit.log_likelihood == pytest.approx(stats.binom.logpmf([20, 40, 10], [100, 200, 50], 0.2).sum(), rel=1e-12)
    assert np.isnan(fit.se_tau2)
    assert any("edge" in note for note in fit.notes)
    assert fit.to_dict()["se_tau2"] is None


def test_large_surveys_are_fitted():
    total = np.array([65000, 61000, 40000, 23000, 900, 15000])
    fit = cf.count_model("PLO", cases=np.round(total * [0.17, 0.22, 0.09, 0.31, 0.4, 0.12]), total=total)
    y = logit([0.17, 0.22, 0.09, 0.31, 0.4, 0.12])
    # With surveys this large the model is nearly the normal one with known y: its maximum is the mean and variance.
    assert fit.estimate == pytest.approx(y.mean(), abs=2e-3)
    assert fit.tau2 == pytest.approx(y.var(), rel=0.01)
    assert fit.gradient_norm < 1e-6
    assert fit.quadrature_error < 1e-7


def test_studies_without_events_are_handled_by_the_likelihood():
    with_zero = cf.count_model("PLO", cases=[0, 3, 0, 11], total=[20, 41, 7, 52])
    without = cf.count_model("PLO", cases=[3, 11], total=[41, 52])
    assert with_zero.k == 4
    assert with_zero.estimate < without.estimate
    assert any("2 studies without events" in note for note in with_zero.notes)


def test_swapping_events_for_non_events_flips_the_sign():
    fit = plo(VASOSPASM)
    other = cf.count_model("PLO", cases=np.subtract(VASOSPASM["ni"], VASOSPASM["xi"]), total=VASOSPASM["ni"])
    assert other.estimate == pytest.approx(-fit.estimate, rel=1e-8)
    assert (other.se, other.tau2, other.log_likelihood) == pytest.approx(
        (fit.se, fit.tau2, fit.log_likelihood), rel=1e-8
    )


def test_order_of_rows_does_not_matter():
    order = np.random.default_rng(1).permutation(14)
    fit, other = plo(VASOSPASM), plo({name: np.array(VASOSPASM[name])[order] for name in ("xi", "ni")})
    assert (other.estimate, other.tau2) == pytest.approx((fit.estimate, fit.tau2), rel=1e-9)


def test_rates_move_with_the_unit_of_time():
    events, time = [3, 0, 12, 7, 30], np.array([210.0, 55.5, 301.0, 250.0, 198.0])
    fit, other = (cf.count_model("IRLN", events=events, time=t) for t in (time, time * 1e6))
    assert other.estimate == pytest.approx(fit.estimate - np.log(1e6), rel=1e-9)
    assert (other.tau2, other.log_likelihood) == pytest.approx((fit.tau2, fit.log_likelihood), rel=1e-8)


def test_heterogeneity_tests_agree_with_closed_forms():
    x, n = np.array([5.0, 30, 12, 44]), np.array([50.0, 60, 100, 91])
    fit = cf.count_model("PLO", cases=x, total=n)
    saturated, pooled = (stats.binom.logpmf(x, n, p).sum() for p in (x / n, x.sum() / n.sum()))
    weight = x * (n - x) / n
    centre = np.average(logit(x / n), weights=weight)
    assert fit.q_lr == pytest.approx(2 * (saturated - pooled), rel=1e-10)
    assert fit.q_wald == pytest.approx(weight @ (logit(x / n) - centre) ** 2, rel=1e-10)
    assert fit.q_wald_p == pytest.approx(stats.chi2.sf(fit.q_wald, 3), rel=1e-8)
    rates = cf.count_model("IRLN", events=x, time=n)
    saturated, pooled = (stats.poisson.logpmf(x, mean).sum() for mean in (x, n * x.sum() / n.sum()))
    assert rates.q_lr == pytest.approx(2 * (saturated - pooled), rel=1e-10)
    assert rates.q_wald == pytest.approx(x @ (np.log(x / n) - np.average(np.log(x / n), weights=x)) ** 2, rel=1e-10)


def test_t_uses_k_minus_one_degrees_of_freedom_for_both_intervals():
    z, t = plo(VASOSPASM), plo(VASOSPASM, test="t", level=0.9)
    half = stats.t.ppf(0.95, 13)
    assert (t.df, t.pi_df, z.pi_df) == (13, 13, np.inf)
    assert t.ci_high - t.estimate == pytest.approx(half * z.se, rel=1e-10)
    assert t.pi_high - t.estimate == pytest.approx(half * (z.se**2 + z.tau2) ** 0.5, rel=1e-10)
    assert t.p_value == pytest.approx(2 * stats.t.sf(abs(z.estimate / z.se), 13), rel=1e-9)


def test_one_study_has_an_estimate_and_no_heterogeneity():
    fit = cf.count_model("PLO", cases=[30], total=[100])
    assert fit.estimate == pytest.approx(logit(0.3), rel=1e-10)
    assert fit.se == pytest.approx((1 / 30 + 1 / 70) ** 0.5, rel=1e-10)
    assert np.isnan([fit.tau2, fit.pi_low, fit.pi_high]).all()
    assert any("one study" in note for note in fit.notes)


def test_columns_of_a_frame_with_an_odd_index_and_missing_cells():
    frame = pd.DataFrame({"x": [5, 9, None, 12], "n": [50, 60, 70, 100]}, index=["b", "a", "a", "z"])
    fit = cf.count_model("PLO", cases="x", total="n", data=frame)
    assert fit.k == 3
    assert fit.excluded == ((2, "a number is missing"),)
    assert fit.estimate == cf.count_model("PLO", cases=[5, 9, 12], total=[50, 60, 100]).estimate


@pytest.mark.parametrize(
    ("cases", "message"), [([0, 0, 0], "no study has an event"), ([10, 20, 30], "every participant")]
)
def test_nothing_but_one_outcome_has_no_estimate(cases, message):
    with pytest.raises(cf.NotEstimableError, match=message):
        cf.count_model("PLO", cases=cases, total=[10, 20, 30])


def test_a_likelihood_that_keeps_rising_has_no_estimate():
    with pytest.raises((cf.ConvergenceError, cf.NotEstimableError)):
        cf.count_model("PLO", cases=[0, 200, 0, 300], total=[200, 200, 300, 300])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cases": [1, -2], "total": [5, 5]}, r"cases, row 1: expected a whole number of zero or more, found -2"),
        ({"cases": [1, 2.5], "total": [5, 5]}, r"cases, row 1: expected a whole number"),
        ({"cases": [1, np.inf], "total": [5, 5]}, r"cases, row 1"),
        ({"cases": [1, 6], "total": [5, 5]}, r"cases, row 1: expected no more than total, found 6 of 5"),
        ({"cases": [0, 1], "total": [0, 5]}, r"total, row 0: expected a whole number above zero"),
        ({"cases": [1, 2], "total": [5]}, r"total: expected 2 rows, as many as cases, found 1 rows"),
        ({"cases": [1, "two"], "total": [5, 5]}, r"cases, row 1: expected a number, found 'two'"),
        ({"cases": [[1, 2]], "total": [5, 5]}, r"cases: expected one number for each study"),
        ({"cases": [1, 2]}, r"total: expected each of cases, total, found nothing"),
        ({"cases": "x", "total": [5, 5]}, r"cases: expected an array.*data="),
        ({"cases": "x", "total": "n", "data": {"n": [5]}}, r"cases: expected a column of data \(n\), found 'x'"),
        ({"cases": [1, 2], "total": [5, 5], "time": [1, 2]}, r"time: expected only cases, total"),
        ({"cases": [1, 2], "total": [5, 5], "test": "hk"}, r'test: expected "z" or "t"'),
        ({"cases": [1, 2], "total": [5, 5], "level": 95}, r"level: expected a number between 0 and 1, found 95"),
        ({"cases": [1, 2], "total": [5, 5], "level": "0.9"}, r"level: .* found '0.9'"),
        ({"cases": [1, 2], "total": [5, 5], "points": 2}, r"points"),
        ({"cases": [1, 2], "total": [5, 5], "points": [7]}, r"points"),
        ({"cases": "x", "total": "n", "data": [5]}, r"data: expected a DataFrame or a mapping, found list"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(cf.InputError, match=message):
        cf.count_model("PLO", **arguments)


def test_studies_of_one_person_cannot_tell_heterogeneity():
    fit = cf.count_model("PLO", cases=[1, 0, 1, 0, 1], total=[1] * 5)
    assert np.isnan([fit.tau2, fit.pi_low]).all()
    assert any("cannot tell heterogeneity" in note for note in fit.notes)
    assert fit.estimate == pytest.approx(logit(0.6))


def test_too_few_points_are_noted():
    data = {"cases": [0, 3, 0, 11, 5, 2], "total": [20, 41, 7, 22, 6, 39]}
    few, enough = cf.count_model("PLO", points=5, **data), cf.count_model("PLO", **data)
    assert any("points are doubled" in note for note in few.notes)
    assert not any("points are doubled" in note for note in enough.notes)
    assert enough.quadrature_error < 1e-7


def test_extreme_units_of_time():
    for unit in (1e-290, 1e290):
        fit = cf.count_model("IRLN", events=[3, 5, 29], time=np.array([1.0, 2.0, 1.0]) * unit)
        one = cf.count_model("IRLN", events=[3, 5, 29], time=[1.0, 2.0, 1.0])
        assert fit.estimate == pytest.approx(one.estimate - np.log(unit), rel=1e-9)
        assert fit.tau2 == pytest.approx(one.tau2, rel=1e-6)


def test_no_rows_and_only_missing_rows():
    for cases, total in (([], []), ([np.nan, 3], [4, None])):
        with pytest.raises(cf.NotEstimableError, match="no study"):
            cf.count_model("PLO", cases=cases, total=total)


def test_unknown_measure():
    with pytest.raises(cf.InputError, match="measure: expected PLO"):
        cf.count_model("RR", cases=[1], total=[2])


def test_result_prints_and_turns_into_plain_values():
    fit = plo(VASOSPASM)
    assert "binomial-normal" in repr(fit)
    assert "tau2" in repr(fit)
    values = json.loads(json.dumps(fit.to_dict()))
    assert values["k"] == 14
    assert values["coefficients"][0]["term"] == "effect"
    assert values["pi_df"] is None
