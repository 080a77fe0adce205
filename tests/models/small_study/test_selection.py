"""Selection models against reference values, other integrals, and simulation."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

import comfrey as cf
from comfrey.models.small_study._selection import CONTINUOUS, Continuous, Step
from comfrey.models.small_study.selection import _objective

REFERENCE = Path(__file__).parents[2] / "reference"
KINDS = {
    "half-normal": "halfnorm", "negative-exponential": "negexp", "logistic": "logistic", "power": "power",
    "beta": "beta",
}  # fmt: skip


def load(name):
    content = json.loads((REFERENCE / f"bias_{name}.json").read_text(encoding="utf-8"))
    data = content["data"]
    return np.array(data["yi"], dtype=float), np.array(data["vi"], dtype=float), content["results"]


# The reference integrates adaptively to about 1e-4 and stops its search early; where it stops short of the maximum our
# log-likelihood is the higher one. Estimates are compared in standard errors, at a hundredth.
@pytest.mark.parametrize("name", ["passive_smoking", "magnesium"])
@pytest.mark.parametrize("kind", KINDS)
def test_smooth_kinds_agree_with_reference(name, kind):
    yi, vi, results = load(name)
    expected = results[f"selmodel_{KINDS[kind]}"]
    # the maximum that one climb from the fit without selection ends at, as in the reference
    found = cf.selection_model(cf.pool(yi, vi), kind=kind, maximum="nearest")
    assert found.log_likelihood > expected["loglik"] - 1e-7
    assert found.log_likelihood == pytest.approx(expected["loglik"], abs=5e-4)
    assert abs(found.estimate - expected["b"]) < 0.005 * found.se
    assert found.tau2 == pytest.approx(expected["tau2"], rel=3e-3)
    assert found.lrt == pytest.approx(expected["LRT"], abs=1e-3)
    if name == "magnesium" and kind not in {"power", "beta"}:
        # no selection is the maximum, on the boundary; the reference stops at a delta of 1e-4 short of it, and its
        # standard errors there come from differences across the boundary
        assert found.delta.tolist() == [0.0]
        assert found.lrt_p == 1.0
        assert any("boundary" in note for note in found.notes)
    else:
        assert found.delta == pytest.approx(np.atleast_1d(expected["delta"]), rel=3e-3)
    if name == "passive_smoking":
        # the reference's standard errors are differences of noisy integrals
        assert found.se == pytest.approx(expected["se"], rel=0.02)


def test_highest_maximum_is_taken_and_the_others_are_named():
    # the beta model of the magnesium trials has a maximum two units higher than the reference's, without heterogeneity
    yi, vi, results = load("magnesium")
    found = cf.selection_model(cf.pool(yi, vi), kind="beta")
    assert found.log_likelihood > results["selmodel_beta"]["loglik"] + 2.0
    assert found.tau2 == 0.0
    assert found.certificate.local_maxima >= 2
    assert any("another maximum lies at the estimate -2.451" in note for note in found.notes)
    for kind in ("half-normal", "negative-exponential", "logistic", "power"):
        nearest = cf.selection_model(cf.pool(yi, vi), kind=kind, maximum="nearest")
        highest = cf.selection_model(cf.pool(yi, vi), kind=kind)
        assert highest.estimate == pytest.approx(nearest.estimate, rel=1e-6), kind
    yi, vi, _ = load("passive_smoking")
    for kind in KINDS:
        nearest = cf.selection_model(cf.pool(yi, vi), kind=kind, maximum="nearest")
        highest = cf.selection_model(cf.pool(yi, vi), kind=kind)
        assert highest.estimate == pytest.approx(nearest.estimate, rel=1e-6), kind


def test_three_parameter_model_agrees_with_reference():
    yi, vi, results = load("passive_smoking")
    expected, found = results["selmodel_3psm"], cf.selection_model(cf.pool(yi, vi))
    assert found.log_likelihood == pytest.approx(expected["loglik"], rel=1e-10)
    assert found.log_likelihood >= expected["loglik"]
    # the reference stops its search about 1e-6 before the maximum
    for ours, theirs in (("estimate", "b"), ("se", "se"), ("tau2", "tau2"), ("lrt", "LRT"), ("lrt_p", "LRTp")):
        assert getattr(found, ours) == pytest.approx(expected[theirs], rel=2e-6), ours
    assert found.delta == pytest.approx(expected["delta"], rel=2e-6)


def test_step_function_agrees_with_reference_and_print():
    # metafor's own tests record delta (1, 2.422079, .977543, .396713), LRT 7.066137, se (1.66085, .820387, .469235)
    yi, vi, results = load("passive_smoking")
    expected, found = results["selmodel_step"], cf.selection_model(cf.pool(yi, vi), steps=(0.05, 0.1, 0.5, 1))
    assert found.log_likelihood >= expected["loglik"]
    for ours, theirs in (("estimate", "b"), ("se", "se"), ("tau2", "tau2"), ("log_likelihood", "loglik")):
        assert getattr(found, ours) == pytest.approx(expected[theirs], rel=3e-5), ours  # its search stopped early
    assert found.delta == pytest.approx(expected["delta"], rel=3e-5)
    assert found.delta_se[1:] == pytest.approx([1.66085, 0.820387, 0.469235], rel=1e-4)
    assert found.lrt == pytest.approx(7.066137, abs=1e-6)
    assert sum(found.counts) == 37


def test_empty_interval_is_at_its_boundary_or_refused():
    yi, vi, results = load("magnesium")
    expected = results["selmodel_step"]
    found = cf.selection_model(cf.pool(yi, vi), steps=(0.05, 0.1, 0.5))
    assert found.counts == (1, 0, 1, 14)
    assert found.delta[1] == 0.0
    assert any("(0.05, 0.1]" in note for note in found.notes)
    # the reference stops at a weight of 2e-4 for the empty interval, short of the boundary
    assert found.log_likelihood == pytest.approx(expected["loglik"], abs=3e-4)
    assert found.log_likelihood > expected["loglik"]
    assert found.estimate == pytest.approx(expected["b"], rel=1e-4)
    assert found.tau2 == pytest.approx(expected["tau2"], rel=1e-3)
    with pytest.raises(cf.NotEstimableError, match=r"\(0.05, 0.1\]"):
        cf.selection_model(cf.pool(yi, vi), steps=(0.05, 0.1, 0.5), empty="error")


def test_empty_first_interval_is_refused():
    # the reference gives a weight of 70 for the rest, where its search stopped: the likelihood rises for ever
    yi, vi, _ = load("magnesium")
    with pytest.raises(cf.NotEstimableError, match=r"\(0, 0.025\]"):
        cf.selection_model(cf.pool(yi, vi))
    assert cf.selection_model(cf.pool(yi, vi), alternative="less").counts[0] > 0


def slow_area(weight, mean, se, total):
    """Integrate over the estimate by adaptive quadrature, cut at the bounds of p."""
    edge = stats.norm.isf(1e-5) * se
    inner = stats.norm.ppf(0.5 + 5e-6) * se  # where a two-sided p reaches its upper bound
    points = [mean - 40 * total, -edge, -0.1 * se, -inner, inner, 0.1 * se, edge, mean + 40 * total]
    points = sorted(min(max(x, points[0]), points[-1]) for x in points)

    def integrand(y):
        return weight(y / se) * stats.norm.pdf(y, mean, total)

    return sum(
        integrate.quad(integrand, a, b, epsabs=1e-12, epsrel=1e-10, limit=400)[0]
        for a, b in itertools.pairwise(points)
        if b > a
    )


@pytest.mark.parametrize(
    ("kind", "delta"),
    [
        ("beta", (0.5, 3.0)), ("beta", (1.6, 1.1)), ("beta", (8.0, 0.7)), ("half-normal", (2.0,)),
        ("half-normal", (60.0,)), ("negative-exponential", (5.0,)), ("logistic", (3.0,)), ("power", (0.6,)),
        ("power", (20.0,)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("both", [False, True])
def test_fixed_nodes_agree_with_adaptive_quadrature(kind, delta, both):
    mean, se, total = np.array([0.3, -2.0, 5.0]), np.array([0.4, 0.2, 1.0]), np.array([0.5, 2.0, 1.0])
    found = Continuous.make(kind, mean / se, both, 1e-5).area(mean, se, total, np.array(delta)).value

    def weight(z):
        p = 2 * stats.norm.sf(abs(z)) if both else stats.norm.sf(z)
        p = np.clip(p, 1e-5, 1 - 1e-5)
        a, b = (*delta, 0.0)[:2]
        return {
            "beta": lambda: p ** (a - 1) * (1 - p) ** (b - 1),
            "half-normal": lambda: math.exp(-a * p * p),
            "negative-exponential": lambda: math.exp(-a * p),
            "logistic": lambda: 2 * math.exp(-a * p) / (1 + math.exp(-a * p)),
            "power": lambda: (1 - p) ** a,
        }[kind]()

    expected = [slow_area(weight, *values) for values in zip(mean, se, total, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_step_areas_agree_with_adaptive_quadrature():
    mean, se, total = np.array([0.3, -2.0, 5.0]), np.array([0.4, 0.2, 1.0]), np.array([0.5, 2.0, 1.0])
    steps = np.array([0.025, 0.5, 1.0])
    z = np.array([3.0, 1.0, -1.0, 0.5, 2.0])
    for both in (False, True):
        model = Step.make(np.append(z, 0.1), steps, both)
        delta = np.log(np.array([0.4, 0.2]))
        found = model.area(mean, se, total, delta).value
        for i in range(3):
            cut = [stats.norm.isf(p / 2 if both else p) for p in (0.025, 0.5)]
            spread = stats.norm(mean[i], total[i])

            def above(x, spread=spread, i=i, both=both):
                return spread.sf(x * se[i]) + (spread.cdf(-x * se[i]) if both else 0.0)

            expected = above(cut[0]) + 0.4 * (above(cut[1]) - above(cut[0])) + 0.2 * (1 - above(cut[1]))
            assert found[i] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["step", *CONTINUOUS])
@pytest.mark.parametrize("both", [False, True])
def test_gradients_agree_with_differences(kind, both):
    yi, vi, _ = load("passive_smoking")
    z = yi / np.sqrt(vi)
    weights = Step.make(z, np.array([0.05, 0.5, 1.0]), both) if kind == "step" else Continuous.make(kind, z, both, 1e-5)
    X = np.column_stack((np.ones(37), np.sin(np.arange(37))))
    value = _objective(yi, X, vi, weights, None)
    theta = np.concatenate(([0.2, 0.1, 0.03], np.full(weights.null.size, 0.7)))
    gradient = value(theta)[1]
    for j in range(theta.size):
        step = np.zeros(theta.size)
        step[j] = 1e-6
        slope = (value(theta + step)[0] - value(theta - step)[0]) / 2e-6
        assert gradient[j] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_alternative_less_mirrors_greater():
    yi, vi, _ = load("passive_smoking")
    for kind in ("step", "beta", "half-normal"):
        one = cf.selection_model(cf.pool(yi, vi), kind=kind)
        two = cf.selection_model(cf.pool(-yi, vi), kind=kind, alternative="less")
        assert two.estimate == pytest.approx(-one.estimate, rel=1e-6)
        assert two.delta == pytest.approx(one.delta, rel=1e-6)


def test_scale_and_order_change_nothing():
    yi, vi, _ = load("passive_smoking")
    order = np.random.default_rng(0).permutation(37)
    one = cf.selection_model(cf.pool(yi, vi), kind="beta")
    two = cf.selection_model(cf.pool(1e60 * yi[order], 1e120 * vi[order]), kind="beta")
    assert two.estimate == pytest.approx(1e60 * one.estimate, rel=1e-6)
    assert two.lrt == pytest.approx(one.lrt, abs=1e-8)
    assert two.log_likelihood == pytest.approx(one.log_likelihood - 37 * math.log(1e60), rel=1e-8)


def test_a_regression_keeps_its_moderators():
    yi, vi, _ = load("passive_smoking")
    x = np.sin(np.arange(37.0))
    fit = cf.pool(yi, vi, moderators="x", data={"x": x})
    found = cf.selection_model(fit)
    assert found.terms == ("Intercept", "x")
    weights = Step.make(yi / np.sqrt(vi), np.array([0.025, 1.0]), False)
    value = _objective(yi, np.column_stack((np.ones(37), x)), vi, weights, None)
    at, gradient = value(np.array([*found.beta, found.tau2, math.log(found.delta[1])]))
    assert at == pytest.approx(found.log_likelihood, rel=1e-10)
    assert np.abs(gradient).max() < 1e-4


def test_equal_effects_and_known_tau2_are_held():
    yi, vi, _ = load("passive_smoking")
    assert cf.selection_model(cf.pool(yi, vi, method="EE")).tau2 == 0.0
    assert cf.selection_model(cf.pool(yi, vi, tau2=0.02)).tau2 == pytest.approx(0.02)


def test_no_selection_is_nested():
    rng = np.random.default_rng(2)
    for _ in range(6):
        vi = rng.uniform(0.01, 0.3, 15)
        yi = rng.normal(0.3, np.sqrt(vi + 0.02))
        ml = cf.pool(yi, vi, method="ML", test="z")
        for kind in CONTINUOUS:
            try:
                found = cf.selection_model(cf.pool(yi, vi), kind=kind)
            except cf.ConvergenceError as error:  # a beta likelihood may rise for ever
                assert kind == "beta"
                assert "edge of the parameter space" in str(error)  # noqa: PT017
                continue
            assert found.log_likelihood >= ml.log_likelihood - 1e-9
            assert found.log_likelihood_without == pytest.approx(ml.log_likelihood, rel=1e-9)
            assert found.certificate.gradient < 1e-6


def test_weights_are_those_of_the_model():
    yi, vi, _ = load("passive_smoking")
    step = cf.selection_model(cf.pool(yi, vi))
    assert step.weight([0.01, 0.025, 0.03, 1.0]).tolist() == [1.0, 1.0, step.delta[1], step.delta[1]]
    half = cf.selection_model(cf.pool(yi, vi), kind="half-normal")
    assert float(half.weight(0.5)) == pytest.approx(math.exp(-0.25 * half.delta[0]))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"kind": "gamma"}, "kind"), ({"steps": ()}, "steps"), ({"steps": (0.5, 0.1)}, "steps"),
        ({"steps": (0.0,)}, "steps"), ({"steps": "a"}, "steps"), ({"steps": (1.0,)}, "steps"),
        ({"steps": (0.5, math.nan)}, "steps"), ({"alternative": "up"}, "alternative"), ({"empty": "drop"}, "empty"),
        ({"maximum": "any"}, "maximum"),
        ({"p_min": 0.5}, "p_min"),
    ],
)  # fmt: skip
def test_bad_choices_are_named(arguments, word):
    yi, vi, _ = load("passive_smoking")
    with pytest.raises(cf.InputError, match=word):
        cf.selection_model(cf.pool(yi, vi), **arguments)


def test_too_few_studies_are_refused():
    with pytest.raises(cf.NotEstimableError):
        cf.selection_model(cf.pool([0.5, 0.6, 0.2], [0.01, 0.02, 0.1]))


def test_results_print_and_become_plain():
    yi, vi, _ = load("passive_smoking")
    for result in (cf.selection_model(cf.pool(yi, vi), kind="beta"), cf.copas(cf.pool(yi, vi))):
        assert "37 studies" in repr(result)
        json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_no_random_start_finds_a_higher_maximum():
    from comfrey.models.small_study._climb import highest

    rng = np.random.default_rng(7)
    for _ in range(25):
        k = int(rng.integers(8, 40))
        vi = rng.gamma(1.5, 0.05, k) + 0.005
        yi = rng.normal(rng.choice([-0.3, 0, 0.2, 1]), np.sqrt(vi + rng.choice([0, 0.02, 0.3])))
        for kind in ("beta", "half-normal", "power"):
            try:
                value_found = cf.selection_model(cf.pool(yi, vi), kind=kind).log_likelihood
            except cf.ConvergenceError:  # beta: no maximum inside, and random starts must find none either
                value_found = -math.inf
            weights = Continuous.make(kind, yi / np.sqrt(vi), False, 1e-5)
            lower = np.concatenate(([-np.inf, 0.0], weights.lower))
            value = _objective(yi, np.ones((k, 1)), vi, weights, None)
            starts = [
                np.concatenate((rng.normal(0, 1, 1), rng.exponential(0.2, 1), rng.exponential(2, weights.null.size)))
                for _ in range(30)
            ]
            excluded = np.array([False, False] + [kind == "beta"] * weights.null.size)
            try:
                value_there = highest(value, lower, starts, excluded=excluded).value
            except cf.ConvergenceError:
                value_there = -math.inf
            assert value_there <= value_found + 1e-6, (kind, k)
