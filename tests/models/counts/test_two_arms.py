"""Odds ratios and rate ratios: four models, against other programs, published tables and direct integration."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import gammaln, logsumexp

import comfrey as cf
from comfrey.models.counts._fit import held
from comfrey.models.counts._input import Counts
from comfrey.models.counts._problems import two_arms
from comfrey.models.counts._quadrature import evaluate

FOLDER = Path(__file__).parents[2] / "reference"
REFERENCE = json.loads((FOLDER / "glmm.json").read_text())["results"]
BCG, WARFARIN = (json.loads((FOLDER / "glmm.json").read_text())["data"][name] for name in ("bcg", "warfarin"))
CATHETERS = json.loads((FOLDER / "catheters.json").read_text())

TRIALS = {
    "events_1": BCG["ai"],
    "total_1": np.add(BCG["ai"], BCG["bi"]),
    "events_2": BCG["ci"],
    "total_2": np.add(BCG["ci"], BCG["di"]),
}
RATES = {f"{new}_{arm}": WARFARIN[f"{old}{arm}i"] for new, old in (("events", "x"), ("time", "t")) for arm in (1, 2)}
SMALL = {
    "events_1": [0, 4, 9, 2],
    "total_1": [40, 52, 81, 30],
    "events_2": [3, 11, 10, 0],
    "total_2": [41, 50, 80, 33],
}
MODELS = ("conditional-exact", "conditional-approximate", "fixed-study", "random-study")


def odds(model, data=TRIALS, **options):
    return cf.count_model("OR", model=model, **data, **options)


def swapped(data):
    return {name[:-1] + ("2" if name.endswith("1") else "1"): values for name, values in data.items()}


# R: rma.glmm(measure="OR", ai=ai, bi=bi, ci=ci, di=di, data=dat.bcg, model=...), metafor 5.1.12.


def test_conditional_exact_agrees_with_metafor():
    fit, expected = odds("conditional-exact"), REFERENCE["OR_CM.EL"]
    # Both integrate to many digits here: agreement to the seventh.
    assert fit.estimate == pytest.approx(expected["b"], rel=1e-7)
    assert fit.tau2 == pytest.approx(expected["tau2"], rel=1e-6)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], rel=1e-8)
    assert fit.se == pytest.approx(expected["se"], rel=1e-4)  # its Hessian is a numerical one
    assert fit.q_lr == pytest.approx(expected["QE_LRT"], rel=1e-8)


def test_conditional_exact_wald_test_agrees_with_scipy():
    # The reference has QE_Wld 268.6 (from a numerical Hessian), at odds with its own likelihood ratio of 176.9 and
    # with 163.2 of the fixed-study model. Here each study's information is the variance by scipy's distribution.
    fit = odds("conditional-exact")
    theta, information = [], []
    for x, n1, y, n2 in zip(*TRIALS.values(), strict=True):
        low, high = -4.0, 4.0
        for _ in range(60):
            middle = (low + high) / 2
            mean = stats.nchypergeom_fisher.mean(n1 + n2, n1, x + y, np.exp(middle))
            low, high = (middle, high) if mean < x else (low, middle)
        theta.append(middle)
        information.append(stats.nchypergeom_fisher.var(n1 + n2, n1, x + y, np.exp(middle)))
    centre = np.average(theta, weights=information)
    assert fit.q_wald == pytest.approx(information @ (np.array(theta) - centre) ** 2, rel=1e-6)


@pytest.mark.parametrize(("model", "key"), [("conditional-approximate", "OR_CM.AL"), ("fixed-study", "OR_UM.FS")])
def test_other_models_agree_with_metafor(model, key):
    fit, expected = odds(model), REFERENCE[key]
    # The other program's optimiser stops at about 1e-5.
    assert fit.estimate == pytest.approx(expected["b"], rel=2e-5)
    assert fit.se == pytest.approx(expected["se"], rel=3e-5)
    assert fit.tau2 == pytest.approx(expected["tau2"], rel=5e-5)
    # It reports the log-likelihood given the modes of the random effects (from lme4's deviance).
    assert fit.conditional_log_likelihood == pytest.approx(expected["loglik"], rel=1e-5)
    assert fit.q_wald == pytest.approx(expected["QE_Wld"], rel=1e-6)
    assert fit.q_lr == pytest.approx(expected["QE_LRT"], rel=1e-9)


def test_random_study_agrees_with_metafor_up_to_its_laplace_approximation():
    fit, expected = odds("random-study"), REFERENCE["OR_UM.RS"]
    # With two random effects the other program falls back to one point (Laplace): half a percent in tau2 and se.
    assert fit.estimate == pytest.approx(expected["b"], rel=1e-3)
    assert fit.se == pytest.approx(expected["se"], rel=1e-2)
    assert fit.tau2 == pytest.approx(expected["tau2"], rel=1e-2)
    assert fit.q_lr == pytest.approx(expected["QE_LRT"], rel=2e-5)
    assert fit.q_wald == pytest.approx(expected["QE_Wld"], rel=5e-3)


def test_laplace_log_likelihood_is_that_of_metafor():
    counts = Counts(np.array([BCG["ai"], BCG["ci"]], float), np.array([TRIALS["total_1"], TRIALS["total_2"]], float),
                    tuple(range(13)), ())  # fmt: skip
    problem = two_arms(counts, "random-study", "half", rates=False).problem
    # The maximum of the Laplace approximation, found once with Nelder and Mead.
    beta, sd = np.array([[-0.7616489, -4.4972]]), np.sqrt([[0.3198597, 1.8616004]])
    found = max(
        evaluate(problem, beta + np.array([[0.0, shift]]), sd, np.zeros((1, 0)), 1, None).log_likelihood[0]
        for shift in np.linspace(-0.02, 0.02, 41)
    )
    assert found == pytest.approx(REFERENCE["OR_UM.RS"]["loglik"], rel=1e-6)


@pytest.mark.parametrize(
    ("model", "key"),
    [("conditional-exact", "IRR_CM.EL"), ("fixed-study", "IRR_UM.FS"), ("random-study", "IRR_UM.RS")],
)
def test_rate_ratios_agree_with_metafor(model, key):
    # R: rma.glmm(measure="IRR", x1i=x1i, t1i=t1i, x2i=x2i, t2i=t2i, data=dat.hart1999, model=...)
    fit, expected = cf.count_model("IRR", model=model, **RATES), REFERENCE[key]
    laplace = model == "random-study"
    assert fit.estimate == pytest.approx(expected["b"], rel=1e-5 if laplace else 1e-9)
    assert fit.se == pytest.approx(expected["se"], rel=1e-2 if laplace else 1e-7)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], rel=1e-3 if laplace else 1e-10)
    assert (fit.tau2, fit.boundary) == (0, True)
    assert expected["tau2"] < 1e-8


# Stijnen, Hamza, Ozdemir 2010, Tables II and III: printed to four decimals, with another program's quadrature.


def test_published_values_for_single_proportions():
    for arm, name in ((1, "PLO_treatment"), (2, "PLO_control")):
        data, expected = CATHETERS["data"], CATHETERS["results"][name]
        fit = cf.count_model("PLO", cases=data[f"events_{arm}"], total=data[f"total_{arm}"])
        assert fit.estimate == pytest.approx(expected["estimate"], abs=3e-4)
        assert fit.tau2 == pytest.approx(expected["tau2"], abs=1.5e-3)


def test_published_values_for_odds_ratios():
    data = {name: values for name, values in CATHETERS["data"].items() if name != "study"}
    exact, approximate = (CATHETERS["results"][f"OR_conditional_{kind}"] for kind in ("exact", "approximate"))
    fit = odds("conditional-exact", data)
    assert fit.estimate == pytest.approx(exact["estimate"], abs=5e-5)
    assert fit.tau2**0.5 == pytest.approx(exact["tau"], abs=5e-5)
    assert fit.excluded == ((14, "no events in either arm: it says nothing of the comparison under this likelihood"),)
    assert odds("conditional-approximate", data).estimate == pytest.approx(approximate["estimate"], abs=1e-4)


# Direct integration: a fixed fine grid, nothing shared with the package.

Z = np.linspace(-10, 10, 1201)
LOG_WEIGHT = -0.5 * Z**2 + np.log((Z[1] - Z[0]) / np.sqrt(2 * np.pi))


def log_binomial(x, n, eta):
    return x * eta - n * np.logaddexp(0, eta) + gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)


def direct_fixed(parameters, data, code=(0.5, -0.5)):
    mu, tau, *alpha = parameters
    theta = mu + tau * Z
    return sum(
        logsumexp(log_binomial(x, n, a + code[0] * theta) + log_binomial(y, m, a + code[1] * theta) + LOG_WEIGHT)
        for x, n, y, m, a in zip(*data.values(), alpha, strict=True)
    )


def direct_random(parameters, data):
    (mu, baseline, tau, sigma), z = parameters, Z[::6]
    theta, alpha = mu + tau * z[:, None], baseline + sigma * z[None, :]
    weight = (-0.5 * z**2)[:, None] + (-0.5 * z**2)[None, :] + 2 * np.log((z[1] - z[0]) / np.sqrt(2 * np.pi))
    return sum(
        logsumexp(log_binomial(x, n, alpha + theta / 2) + log_binomial(y, m, alpha - theta / 2) + weight)
        for x, n, y, m in zip(*data.values(), strict=True)
    )


def direct_exact(parameters, data, fine=1):
    (mu, tau), z = parameters, np.linspace(-10, 10, 1200 * fine + 1)
    log_weight = -0.5 * z**2 + np.log((z[1] - z[0]) / np.sqrt(2 * np.pi))
    total = 0.0
    for x, n, y, m in zip(*data.values(), strict=True):
        j = np.arange(max(0, x + y - m), min(x + y, n) + 1)[:, None]
        log_c = -(gammaln(j + 1) + gammaln(n - j + 1) + gammaln(x + y - j + 1) + gammaln(m - x - y + j + 1))
        terms = log_c + j * (mu + tau * z)
        total += logsumexp(terms[int(x - j[0, 0])] - logsumexp(terms, axis=0) + log_weight)
    return total


def differences(function, at, h=2e-4):
    """Gradient and Hessian by central differences."""
    at, unit = np.asarray(at, float), np.eye(len(at)) * h
    gradient = np.array([(function(at + u) - function(at - u)) / (2 * h) for u in unit])
    hessian = [
        [(function(at + u + v) - function(at + u - v) - function(at - u + v) + function(at - u - v)) for v in unit]
        for u in unit
    ]
    return gradient, np.array(hessian) / (4 * h * h)


def test_conditional_exact_is_the_maximum_of_the_direct_integral():
    data = {name: np.array(values)[[1, 4, 5, 6, 9]] for name, values in TRIALS.items()}
    fit = odds("conditional-exact", data)
    at = (fit.estimate, fit.tau2**0.5)
    gradient, hessian = differences(lambda p: direct_exact(p, data), at)
    covariance = np.linalg.inv(-hessian)
    assert fit.log_likelihood == pytest.approx(direct_exact(at, data), abs=1e-7)
    assert abs(gradient @ covariance @ gradient) ** 0.5 < 1e-5
    assert fit.se == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-4)  # second differences, 1e-4 at best


def test_enormous_differences_between_studies_are_integrated():
    # One study without, and one with nothing but, events in arm 1: integrands with a flat part and a sharp edge.
    data = {"events_1": [5, 20, 31], "total_1": [135, 91, 31], "events_2": [29, 0, 0], "total_2": [47, 76, 25]}
    fit = odds("conditional-exact", data)
    assert fit.tau2 > 100
    at = (fit.estimate, fit.tau2**0.5)
    assert fit.log_likelihood == pytest.approx(direct_exact(at, data, fine=20), abs=1e-6)
    assert fit.quadrature_error < 1e-7


@pytest.mark.parametrize("coding", ["half", "treatment", "control"])
def test_fixed_study_is_the_maximum_of_the_direct_integral(coding):
    data = {name: np.array(values)[[1, 4, 5, 6, 9]] for name, values in TRIALS.items()}
    fit = odds("fixed-study", data, coding=coding)
    code = {"half": (0.5, -0.5), "treatment": (1, 0), "control": (0, -1)}[coding]
    alpha = np.log((data["events_2"] + 0.5) / (data["total_2"] - data["events_2"] + 0.5)) - code[1] * fit.estimate
    function = lambda p: direct_fixed(p, data, code)  # noqa: E731
    at = np.array([fit.estimate, fit.tau2**0.5, *alpha])
    for _ in range(4):  # the own parameters of the studies are not part of the result: find them
        gradient, hessian = differences(lambda a, at=at: function([*at[:2], *a]), at[2:])
        at[2:] -= np.linalg.solve(hessian, gradient)
    gradient, hessian = differences(function, at)
    covariance = np.linalg.inv(-hessian)
    assert fit.log_likelihood == pytest.approx(function(at), abs=1e-7)
    assert abs(gradient @ covariance @ gradient) ** 0.5 < 1e-5
    assert fit.se == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-4)


def test_random_study_is_the_maximum_of_the_direct_integral():
    data = {name: np.array(values)[[0, 1, 2, 6, 11]] for name, values in TRIALS.items()}
    fit = odds("random-study", data)
    at = (*fit.coefficients["estimate"], fit.tau2**0.5, fit.sigma2**0.5)
    gradient, hessian = differences(lambda p: direct_random(p, data), at)
    covariance = np.linalg.inv(-hessian)
    assert fit.log_likelihood == pytest.approx(direct_random(at, data), abs=1e-7)
    assert abs(gradient @ covariance @ gradient) ** 0.5 < 1e-5
    assert list(fit.coefficients["se"]) == pytest.approx(list(np.diag(covariance)[:2] ** 0.5), rel=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_tau2_interval_ends_where_the_profile_does(model):
    fit = odds(model)
    low, high = fit.tau2_interval()
    assert 0 < low < fit.tau2 < high
    problem, found = fit._source
    drop = stats.chi2.ppf(0.95, 1) / 2
    for end in (low, high):
        assert held(problem, end**0.5, found).log_likelihood == pytest.approx(fit.log_likelihood - drop, abs=1e-7)


def test_tau2_interval_on_the_direct_integral():
    data = {name: np.array(values)[[1, 4, 5, 6, 9]] for name, values in TRIALS.items()}
    fit = odds("conditional-exact", data, level=0.9)
    for end in fit.tau2_interval():
        best = optimize.minimize_scalar(lambda mu, end=end: -direct_exact((mu, end**0.5), data), bounds=(-2, 1))
        level = fit.log_likelihood - stats.chi2.ppf(0.9, 1) / 2
        assert -best.fun == pytest.approx(level, abs=1e-6) or (end == 0 and -best.fun > level)


def test_tau2_interval_from_the_edge_and_where_there_is_none():
    low, high = cf.count_model("IRR", model="fixed-study", **RATES).tau2_interval()
    assert low == 0
    assert 0.1 < high < 2
    with pytest.raises(cf.InputError, match="profile-likelihood"):
        odds("fixed-study").tau2_interval("q-profile")
    one = {"events_1": [4], "total_1": [52], "events_2": [11], "total_2": [50]}
    with pytest.raises(cf.NotEstimableError, match="no tau2"):
        odds("fixed-study", one).tau2_interval()


# Properties.


@pytest.mark.parametrize("model", ["conditional-exact", "fixed-study", "random-study"])
def test_swapping_arms_flips_the_sign(model):
    for data in (TRIALS, SMALL):
        one, other = odds(model, data), odds(model, swapped(data))
        assert other.estimate == pytest.approx(-one.estimate, rel=1e-6, abs=1e-9)
        assert (other.se, other.tau2, other.log_likelihood) == pytest.approx(
            (one.se, one.tau2, one.log_likelihood), rel=1e-6, abs=1e-9
        )
        assert (other.ci_low, other.pi_high) == pytest.approx((-one.ci_high, -one.pi_low), rel=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_order_of_rows_does_not_matter(model):
    order = np.random.default_rng(5).permutation(13)
    one, other = odds(model), odds(model, {name: np.array(values)[order] for name, values in TRIALS.items()})
    assert (other.estimate, other.tau2, other.q_lr) == pytest.approx((one.estimate, one.tau2, one.q_lr), rel=1e-7)


@pytest.mark.parametrize("model", MODELS)
def test_a_study_without_events_in_either_arm(model):
    added = {name: [*values, 0 if name.startswith("events") else 50] for name, values in SMALL.items()}
    without, fit = odds(model, SMALL), odds(model, added)
    if model == "random-study":
        assert fit.k == 5
        assert fit.excluded == ()
        assert any("1 study without events" in note for note in fit.notes)
        assert fit.log_likelihood != without.log_likelihood
    else:
        assert fit.k == 4
        assert [row for row, _ in fit.excluded] == [4]
        assert "1 row could not enter the fit: see excluded" in fit.notes
        assert (fit.estimate, fit.log_likelihood) == (without.estimate, without.log_likelihood)


def test_a_study_with_nothing_but_events_in_both_arms_is_listed():
    added = {name: [*values, 7] for name, values in SMALL.items()}
    fit = odds("conditional-exact", added)
    assert fit.excluded[0][0] == 4
    assert "nothing but events" in fit.excluded[0][1]


def test_only_the_half_coding_is_symmetric():
    fits = {coding: odds("fixed-study", coding=coding) for coding in ("half", "treatment", "control")}
    assert len({round(fit.tau2, 3) for fit in fits.values()}) == 3
    turned = odds("fixed-study", swapped(TRIALS), coding="control")
    assert turned.estimate == pytest.approx(-fits["treatment"].estimate, rel=1e-7)


def test_rate_ratio_does_not_depend_on_the_unit_of_time():
    for model in ("conditional-exact", "fixed-study", "random-study"):
        scaled = {name: np.multiply(values, 1e-4 if name.startswith("time") else 1) for name, values in RATES.items()}
        one, other = (cf.count_model("IRR", model=model, **data) for data in (RATES, scaled))
        assert (other.estimate, other.se) == pytest.approx((one.estimate, one.se), rel=1e-7)


def test_one_study_gives_its_own_odds_ratio():
    data = {"events_1": [4], "total_1": [52], "events_2": [11], "total_2": [50]}
    fit = odds("fixed-study", data)
    assert fit.estimate == pytest.approx(np.log(4 / 48) - np.log(11 / 39), rel=1e-9)
    assert fit.se == pytest.approx((1 / 4 + 1 / 48 + 1 / 11 + 1 / 39) ** 0.5, rel=1e-9)
    assert np.isnan([fit.tau2, fit.q_lr]).all()
    assert odds("random-study", data).estimate == pytest.approx(fit.estimate, rel=1e-9)


def test_large_margins_are_fitted():
    data = {"events_1": [40000, 300, 21], "total_1": [10**6, 65000, 50],
            "events_2": [61000, 280, 30], "total_2": [12 * 10**5, 60000, 52]}  # fmt: skip
    exact, fixed = odds("conditional-exact", data), odds("fixed-study", data)
    assert exact.estimate == pytest.approx(fixed.estimate, abs=1e-3)
    assert exact.quadrature_error < 1e-7


def test_common_outcomes_are_noted_for_the_approximate_likelihood():
    assert any(
        "rare events" in note for note in odds("conditional-approximate", {**SMALL, "events_1": [9, 9, 9, 9]}).notes
    )
    assert not any("rare events" in note for note in odds("conditional-approximate").notes)


def test_counts_that_cannot_tell_heterogeneity_say_so():
    # One event in each study: any tau2 is as likely as none, with another mean to match it.
    data = {"events_1": [0, 0, 1], "total_1": [10, 20, 30], "events_2": [1, 1, 0], "total_2": [10, 20, 30]}
    for model in ("conditional-exact", "conditional-approximate"):
        fit = odds(model, data)
        assert np.isnan([fit.tau2, fit.pi_low, fit.pi_high]).all()
        assert any("cannot tell heterogeneity" in note for note in fit.notes)
        assert fit.estimate == pytest.approx(np.log(1 / 2), rel=1e-6)
        assert fit.se == pytest.approx(1.5**0.5, rel=1e-6)


def test_margins_beyond_memory_are_refused(monkeypatch):
    monkeypatch.setattr("comfrey.models.counts._hypergeometric._LARGEST", 1000)
    with pytest.raises(cf.InputError, match=r"total_1: .*2588 tables.*fixed-study"):
        odds("conditional-exact")


def test_default_model_and_reading_scale():
    fit = cf.count_model("OR", **SMALL)
    assert fit.model == "conditional-exact"
    assert fit.back_transformed()["scale"] == "odds ratio"
    assert fit.back_transformed()["estimate"] == pytest.approx(np.exp(fit.estimate))
    assert fit.n == 407


def test_heterogeneity_tests_of_equal_studies_find_nothing():
    data = {"events_1": [4, 8, 12], "total_1": [50, 100, 150], "events_2": [8, 16, 24], "total_2": [50, 100, 150]}
    for model in MODELS:
        fit = odds(model, data)
        assert (fit.tau2, fit.q_df) == (0, 2)
        assert fit.q_wald == pytest.approx(0, abs=0.05)  # conditional estimates move a little with the size
        assert fit.q_lr == pytest.approx(0, abs=0.05)
        assert fit.q_lr_p == pytest.approx(stats.chi2.sf(fit.q_lr, 2))


@pytest.mark.parametrize("model", MODELS)
def test_no_events_in_one_arm_of_all_studies_has_no_estimate(model):
    data = {"events_1": [0, 0], "total_1": [40, 52], "events_2": [3, 11], "total_2": [41, 50]}
    for given, sign in ((data, "minus|arm 1"), (swapped(data), "plus|arm 2")):
        with pytest.raises(cf.NotEstimableError, match=sign):
            odds(model, given)


def test_no_events_at_all_has_no_estimate():
    data = {"events_1": [0, 0], "total_1": [40, 52], "events_2": [0, 0], "total_2": [41, 50]}
    for model in MODELS:
        with pytest.raises(cf.NotEstimableError):
            odds(model, data)


@pytest.mark.parametrize(
    ("measure", "options", "message"),
    [
        ("OR", {"model": "UM.FS"}, r"model: expected conditional-exact or fixed-study"),
        ("OR", {"model": "fixed-study", "coding": "quarter"}, r"coding: expected half or treatment or control"),
        ("OR", {"model": "conditional-exact", "coding": "treatment"}, r"coding: expected no coding"),
        ("IRR", {"model": "conditional-approximate"}, r"nothing to approximate"),
        ("OR", {"events_2": [1, 2]}, r"events_2: expected 4 rows"),
        ("OR", {"total_2": [1, 20, 30, 40]}, r"events_2, row 0: expected no more than total_2, found 3 of 1"),
        ("OR", {"time_1": [1, 2, 3, 4]}, r"time_1: expected only events_1, total_1, events_2, total_2"),
    ],
)
def test_bad_input_is_named(measure, options, message):
    data = SMALL if measure == "OR" else RATES
    with pytest.raises(cf.InputError, match=message):
        cf.count_model(measure, **{**data, **options})
