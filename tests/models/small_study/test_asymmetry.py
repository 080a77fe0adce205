"""Tests of funnel asymmetry, trim and fill, fail-safe N, excess significance, limit meta-analysis, contours."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import comfrey as cf
from comfrey.models.small_study.contours import funnel_contours

REFERENCE = Path(__file__).parents[2] / "reference"
SETS = ("bias_magnesium", "bias_passive_smoking")


def load(name):
    content = json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))
    data = content["data"]
    return np.array(data["yi"], dtype=float), np.array(data["vi"], dtype=float), content["results"]


@pytest.fixture(params=SETS)
def reference(request):
    return load(request.param)


@pytest.mark.parametrize(("predictor", "theirs"), [("se", "sei"), ("variance", "vi")])
def test_egger_random_effects_agrees_with_reference(reference, predictor, theirs):
    yi, vi, results = reference
    found, expected = cf.egger(cf.pool(yi, vi, test="z"), predictor=predictor), results[f"regtest_rma_{theirs}"]
    assert found.statistic == pytest.approx(expected["z"], rel=1e-9)
    assert found.p_value == pytest.approx(expected["p"], rel=1e-8)
    assert found.estimate == pytest.approx(expected["est"], rel=1e-8)
    assert (found.ci_low, found.ci_high) == pytest.approx(expected["est_ci"], rel=1e-8)
    assert found.df is None


@pytest.mark.parametrize(("predictor", "theirs"), [("se", "sei"), ("variance", "vi")])
def test_egger_weighted_regression_agrees_with_reference(reference, predictor, theirs):
    yi, vi, results = reference
    fit, expected = cf.pool(yi, vi), results[f"regtest_lm_{theirs}"]
    found = cf.egger(fit, model="weighted-regression", predictor=predictor)
    assert found.statistic == pytest.approx(expected["t"], rel=1e-10)
    assert found.df == expected["df"]
    assert found.p_value == pytest.approx(expected["p"], rel=1e-10)
    assert found.estimate == pytest.approx(expected["est"], rel=1e-10)


def test_rank_test_agrees_with_reference(reference):
    yi, vi, results = reference
    found = cf.rank_test(cf.pool(yi, vi))
    assert found.tau == pytest.approx(results["ranktest"]["tau"], rel=1e-10)
    assert found.p_value == pytest.approx(results["ranktest"]["p"], rel=1e-10)
    assert found.exact


@pytest.mark.parametrize("method", ["EE", "REML"])
@pytest.mark.parametrize("estimator", ["L0", "R0", "Q0"])
def test_trim_and_fill_agrees_with_reference(reference, estimator, method):
    yi, vi, results = reference
    expected = results.get(f"trimfill_{estimator}_{method}")
    fit = cf.pool(yi, vi, method=method, test="z")
    if expected is None:  # the reference fails there too: more studies would be missing than there are
        with pytest.raises(cf.NotEstimableError):
            cf.trim_and_fill(fit, estimator)
        return
    found = cf.trim_and_fill(fit, estimator)
    # the reference's refits stop tau2 at its default of 1e-5, absolute
    tolerance = 1e-10 if method == "EE" else 5e-6
    assert found.k0 == expected["k0"]
    assert found.side == expected["side"]
    assert found.estimate == pytest.approx(expected["b"], rel=tolerance)
    assert found.se == pytest.approx(expected["se"], rel=tolerance)
    assert found.tau2 == pytest.approx(expected["tau2"], rel=1e-5, abs=1e-12)
    assert found.filled.sum() == found.k0
    again = cf.pool(found.yi, found.vi, method=method, test="z")
    assert found.estimate == pytest.approx(again.estimate, rel=1e-12)


@pytest.mark.parametrize("kind", ["rosenberg", "orwin", "general"])
def test_fail_safe_n_agrees_with_reference(reference, kind):
    yi, vi, results = reference
    assert cf.fail_safe_n(cf.pool(yi, vi), kind).n == results[f"fsn_{kind}"]


def test_fail_safe_n_of_rosenthal_agrees_with_reference():
    content = json.loads((REFERENCE / "influence_bcg.json").read_text(encoding="utf-8"))
    fit = cf.pool(content["data"]["yi"], content["data"]["vi"])
    assert cf.fail_safe_n(fit).n == content["results"]["fsn_rosenthal"]


def test_excess_significance_agrees_with_reference(reference):
    yi, vi, results = reference
    found, expected = cf.excess_significance(cf.pool(yi, vi)), results["tes"]
    assert found.observed == expected["O"]
    # the reference estimates tau2 anew with its default stop at 1e-5, absolute
    assert found.expected == pytest.approx(expected["E"], rel=5e-6)
    assert found.p_value == pytest.approx(expected["p"], rel=1e-5)


TABLE = {
    "events_1": [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27],
    "total_1": [123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913],
    "events_2": [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29],
    "total_2": [139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854],
}


def ordinary(x, y, w):
    """Weighted least squares from the normal equations, t of the slope."""
    X = np.column_stack((np.ones(len(x)), x))
    inverse = np.linalg.inv(X.T @ (w[:, None] * X))
    beta = inverse @ X.T @ (w * y)
    s2 = (w * (y - X @ beta) ** 2).sum() / (len(x) - 2)
    return beta, beta[1] / math.sqrt(s2 * inverse[1, 1])


def test_harbord_by_its_own_definition():
    # Harbord et al. 2006: regress Z/sqrt V on sqrt V; the intercept is the bias
    es = cf.effect_sizes("OR", **TABLE)
    a, n1, c, n0 = (np.array(TABLE[name], dtype=float) for name in ("events_1", "total_1", "events_2", "total_2"))
    total, events = n1 + n0, a + c
    z = a - n1 * events / total
    v = n1 * n0 * events * (total - events) / (total**2 * (total - 1))
    line = stats.linregress(np.sqrt(v), z / np.sqrt(v))
    found = cf.egger(cf.pool(es), "harbord", sizes=es)
    assert found.slope == pytest.approx(line.intercept, rel=1e-10)
    assert found.statistic == pytest.approx(line.intercept / line.intercept_stderr, rel=1e-10)
    assert found.df == 11


def test_peters_macaskill_and_deeks_by_their_definitions():
    es = cf.effect_sizes("OR", **TABLE)
    fit = cf.pool(es)
    a, n1, c, n0 = (np.array(TABLE[name], dtype=float) for name in ("events_1", "total_1", "events_2", "total_2"))
    n, events = n1 + n0, a + c
    w = 1 / (1 / events + 1 / (n - events))
    beta, t = ordinary(1 / n, es.yi, w)
    found = cf.egger(fit, "peters", sizes=es)
    assert found.statistic == pytest.approx(t, rel=1e-8)
    assert found.estimate == pytest.approx(beta[0], rel=1e-8)
    assert cf.egger(fit, "macaskill", sizes=es).statistic == pytest.approx(ordinary(n, es.yi, w)[1], rel=1e-8)
    ess = 4 * n1 * n0 / n
    assert cf.egger(fit, "deeks", sizes=es).statistic == pytest.approx(ordinary(ess**-0.5, es.yi, ess)[1], rel=1e-8)


def test_pustejovsky_is_for_standardised_differences_alone():
    # the error of a mean difference has the standard deviation in it: group sizes alone are no weight
    groups = {"sd_1": [1, 2, 3, 4.0], "n_1": [20, 30, 40, 55], "sd_2": [1, 2, 3, 4.0], "n_2": [22, 31, 39, 50]}
    sizes = cf.effect_sizes("MD", mean_1=[1, 2, 3, 3.5], mean_2=[0, 1, 1.5, 2], **groups)
    with pytest.raises(cf.InputError, match="standardised mean differences"):
        cf.egger(cf.pool(sizes), "pustejovsky", sizes=sizes)
    with pytest.raises(cf.InputError, match="ndarray"):
        cf.egger(cf.pool(sizes), "pustejovsky", sizes=np.ones(4))


def test_pustejovsky_for_standardised_differences():
    rng = np.random.default_rng(1)
    n1, n2 = rng.integers(10, 80, 12), rng.integers(10, 80, 12)
    es = cf.effect_sizes(
        "SMD", mean_1=rng.normal(0.5, 0.3, 12), sd_1=np.ones(12), n_1=n1, mean_2=np.zeros(12), sd_2=np.ones(12), n_2=n2
    )
    w = 1 / n1 + 1 / n2
    found = cf.egger(cf.pool(es), "pustejovsky", sizes=es)
    assert found.statistic == pytest.approx(ordinary(np.sqrt(w), es.yi, 1 / w)[1], rel=1e-8)


def test_egger_with_people_as_predictor():
    es = cf.effect_sizes("OR", **TABLE)
    fit = cf.pool(es, test="z")
    regression = cf.pool(es, moderators="x", data={"x": 1 / es.n}, test="z")
    assert cf.egger(fit, predictor="inverse-n").statistic == pytest.approx(regression.statistic[1], rel=1e-8)
    assert math.isnan(cf.egger(fit, predictor="n").estimate)


def test_egger_keeps_moderators():
    yi, vi, _ = load("bias_passive_smoking")
    x = np.sin(np.arange(37))
    both = cf.pool(yi, vi, moderators="x + se", data={"x": x, "se": np.sqrt(vi)})
    found = cf.egger(cf.pool(yi, vi, moderators="x", data={"x": x}))
    assert found.statistic == pytest.approx(both.statistic[2], rel=1e-9)
    assert found.slope == pytest.approx(both.beta[2], rel=1e-9)
    assert found.df == both.df


def test_pet_peese_are_the_intercepts_of_weighted_regressions(reference):
    yi, vi, results = reference
    fit = cf.pool(yi, vi)
    found = cf.pet_peese(fit)
    assert found.pet.estimate == pytest.approx(results["regtest_lm_sei"]["est"], rel=1e-10)
    assert found.peese.estimate == pytest.approx(results["regtest_lm_vi"]["est"], rel=1e-10)
    assert found.chosen == "PET"
    random = cf.pet_peese(cf.pool(yi, vi, test="z"), model="random-effects")
    assert random.pet.estimate == pytest.approx(results["regtest_rma_sei"]["est"], rel=1e-8)
    assert (random.pet.ci_low, random.pet.ci_high) == pytest.approx(results["regtest_rma_sei"]["est_ci"], rel=1e-8)


def test_pet_peese_picks_peese_where_there_is_an_effect():
    vi = np.linspace(0.01, 0.3, 15)
    yi = 1.0 + 0.3 * np.sqrt(vi) + 0.02 * np.sin(np.arange(15))
    assert cf.pet_peese(cf.pool(yi, vi)).chosen == "PEESE"


def test_limit_estimate_by_least_squares(reference):
    # y/s = beta/s + alpha + e with unit variance: the limit is beta + tau alpha
    yi, vi, _ = reference
    fit = cf.pool(yi, vi)
    found = cf.limit_meta_analysis(fit)
    s = np.sqrt(vi + fit.tau2)
    X = np.column_stack((1 / s, np.ones(s.size)))
    beta, alpha = np.linalg.lstsq(X, yi / s, rcond=None)[0]
    covariance = np.linalg.inv(X.T @ X)
    along = np.array([1.0, fit.tau])
    assert found.estimate == pytest.approx(beta + fit.tau * alpha, rel=1e-8)
    assert found.se == pytest.approx(math.sqrt(along @ covariance @ along), rel=1e-8)
    assert found.alpha == pytest.approx(alpha, rel=1e-8)
    assert found.q == pytest.approx(fit.q, rel=1e-10)
    assert found.study_limits.shape == yi.shape


def test_limit_error_is_the_spread_of_the_estimate():
    # 20,000 sets of the model with tau2 known: the standard deviation of the estimate is within 2 % (four of its
    # standard errors) of ours. An error without tau2 (0.168), which other programs print, is 15 % off
    content = json.loads((REFERENCE / "bias_third_wave.json").read_text(encoding="utf-8"))
    vi, tau2 = np.array(content["data"]["sei"]) ** 2, 0.08
    s = np.sqrt(vi + tau2)
    X = np.column_stack((1 / s, np.ones(s.size)))
    along = np.array([1.0, math.sqrt(tau2)]) @ np.linalg.pinv(X)
    y = -0.5 + s * (2.0 + np.random.default_rng(0).normal(size=(20_000, s.size)))
    found = cf.limit_meta_analysis(cf.pool(y[0], vi, tau2=tau2))
    drawn = (y / s) @ along
    assert found.estimate == pytest.approx(drawn[0], rel=1e-9)
    assert found.se == pytest.approx(drawn.std(), rel=0.02)


def test_limit_without_heterogeneity_is_eggers_line():
    yi, vi, results = load("bias_passive_smoking")
    found = cf.limit_meta_analysis(cf.pool(yi, vi, method="EE"))
    assert found.estimate == pytest.approx(results["regtest_lm_sei"]["est"], rel=1e-8)


def test_sign_flip_swaps_sides():
    yi, vi, _ = load("bias_magnesium")
    one, two = cf.trim_and_fill(cf.pool(yi, vi)), cf.trim_and_fill(cf.pool(-yi, vi))
    assert (one.k0, one.side, two.side) == (two.k0, "right", "left")
    assert two.estimate == pytest.approx(-one.estimate)
    assert cf.egger(cf.pool(-yi, vi)).statistic == pytest.approx(-cf.egger(cf.pool(yi, vi)).statistic)
    assert cf.rank_test(cf.pool(-yi, vi)).tau == pytest.approx(-cf.rank_test(cf.pool(yi, vi)).tau)
    ours, flipped = cf.limit_meta_analysis(cf.pool(yi, vi)), cf.limit_meta_analysis(cf.pool(-yi, vi))
    assert flipped.estimate == pytest.approx(-ours.estimate)


def test_row_order_changes_nothing():
    yi, vi, _ = load("bias_magnesium")
    order = np.random.default_rng(0).permutation(yi.size)
    one, two = cf.pool(yi, vi), cf.pool(yi[order], vi[order])
    assert cf.trim_and_fill(two).estimate == pytest.approx(cf.trim_and_fill(one).estimate)
    assert cf.egger(two).statistic == pytest.approx(cf.egger(one).statistic)
    assert cf.excess_significance(two).p_value == pytest.approx(cf.excess_significance(one).p_value)


@pytest.mark.parametrize("factor", [1e-120, 1e120])
def test_scale_changes_no_test(factor):
    yi, vi, _ = load("bias_magnesium")
    one, two = cf.pool(yi, vi), cf.pool(yi * factor, vi * factor**2)
    for call in (cf.egger, cf.rank_test, cf.excess_significance, cf.limit_meta_analysis, cf.pet_peese):
        assert call(two).statistic == pytest.approx(call(one).statistic, rel=1e-7), call
    assert cf.trim_and_fill(two).estimate == pytest.approx(factor * cf.trim_and_fill(one).estimate, rel=1e-8)
    assert cf.fail_safe_n(two, "general").n == cf.fail_safe_n(one, "general").n


def test_symmetric_funnel_fills_nothing():
    yi = np.array([-0.5, 0.5, -0.2, 0.2, 0.0, 0.31, -0.31])
    vi = np.array([0.1, 0.1, 0.02, 0.02, 0.01, 0.05, 0.05])
    found = cf.trim_and_fill(cf.pool(yi, vi), side="left")
    assert found.k0 == 0
    assert found.estimate == pytest.approx(0.0, abs=1e-12)


def test_excess_significance_by_each_distribution():
    yi, vi, _ = load("bias_magnesium")
    fit = cf.pool(yi, vi)
    binomial = cf.excess_significance(fit, test="binomial")
    p = binomial.expected / 16
    assert binomial.p_value == pytest.approx(stats.binom.sf(5, 16, p))
    exact = cf.excess_significance(fit)
    rng = np.random.default_rng(0)
    drawn = (rng.random((200_000, 16)) < exact.power).sum(axis=1) >= exact.observed
    assert exact.p_value == pytest.approx(drawn.mean(), abs=0.005)  # four standard errors of the simulation
    less = cf.excess_significance(fit, alternative="less")
    assert less.observed == int((yi / np.sqrt(vi) < -1.6448536).sum())


def test_fail_safe_n_undoes_the_result():
    # Rosenberg: with n null studies of mean weight the equal-effects test is just not significant, with n - 1 it is
    yi, vi, _ = load("bias_passive_smoking")
    n = cf.fail_safe_n(cf.pool(yi, vi), "rosenberg").n
    middle = vi.size / (1 / vi).sum()
    p = [
        cf.pool(np.append(yi, np.zeros(m)), np.append(vi, np.full(m, middle)), method="EE", test="z").p_value
        for m in (n - 1, n)
    ]
    assert p[0] < 0.05 < p[1]


def test_fail_safe_targets():
    fit = cf.pool([0.4, 0.6, 0.5], [0.1, 0.1, 0.1])
    assert cf.fail_safe_n(fit, "orwin", target=0.1).n == 12
    assert cf.fail_safe_n(fit, "orwin", target=0.7).n == 0
    assert cf.fail_safe_n(fit, "general", target=0.25).n == 3
    with pytest.raises(cf.NotEstimableError):
        cf.fail_safe_n(fit, "orwin", target=-0.1)


def test_contours_place_the_studies():
    fit = cf.pool([0.0, 0.33, 0.5, 0.9], [0.04, 0.04, 0.04, 0.04])
    found = funnel_contours(fit)
    assert found.band.tolist() == [0, 1, 2, 3]
    assert found.low.shape == (3, 101)
    assert found.high[1, -1] == pytest.approx(1.959964 * found.se_grid[-1], rel=1e-6)
    with pytest.raises(cf.InputError, match="levels"):
        funnel_contours(fit, levels=(0.0,))
    with pytest.raises(cf.InputError, match="points"):
        funnel_contours(fit, points=1)


def test_bad_choices_are_named():
    es = cf.effect_sizes("OR", **TABLE)
    fit, bare = cf.pool(es), cf.pool([0.1, 0.4, 0.3, 0.2], [0.1, 0.2, 0.3, 0.15])
    calls = [
        (lambda: cf.egger("fit"), "fit"),
        (lambda: cf.egger(fit, "other"), "variant"),
        (lambda: cf.egger(fit, model="lm"), "model"),
        (lambda: cf.egger(fit, predictor="size"), "predictor"),
        (lambda: cf.egger(bare, predictor="n"), "predictor"),
        (lambda: cf.egger(fit, "harbord"), "sizes"),
        (lambda: cf.egger(fit, "pustejovsky", sizes=es), "sizes"),
        (lambda: cf.egger(bare, "peters", sizes=es), "sizes"),
        (lambda: cf.trim_and_fill(fit, "L1"), "estimator"),
        (lambda: cf.trim_and_fill(fit, side="top"), "side"),
        (lambda: cf.trim_and_fill(cf.pool([1.0, 2, 3], [1.0, 1, 1])), "side"),
        (lambda: cf.fail_safe_n(fit, "other"), "kind"),
        (lambda: cf.fail_safe_n(fit, alpha=0), "alpha"),
        (lambda: cf.fail_safe_n(fit, target=0.1), "target"),
        (lambda: cf.fail_safe_n(fit, "orwin", target=0), "target"),
        (lambda: cf.excess_significance(fit, alpha=2), "alpha"),
        (lambda: cf.excess_significance(fit, test="t"), "test"),
        (lambda: cf.excess_significance(fit, alternative="up"), "alternative"),
        (lambda: cf.pet_peese(fit, alpha=0.9), "alpha"),
        (lambda: cf.pet_peese(fit, model="ols"), "model"),
    ]
    for call, word in calls:
        with pytest.raises(cf.InputError, match=word):
            call()


def test_regressions_are_refused_where_only_a_pooled_estimate_has_a_meaning():
    yi, vi, _ = load("bias_magnesium")
    fit = cf.pool(yi, vi, moderators="x", data={"x": np.arange(16.0)})
    for call in (cf.rank_test, cf.trim_and_fill, cf.fail_safe_n, cf.limit_meta_analysis, cf.pet_peese, cf.copas):
        with pytest.raises(cf.InputError, match="fit"):
            call(fit)
    assert cf.excess_significance(fit).k == 16


def test_studies_of_one_size_cannot_show_asymmetry():
    fit = cf.pool([0.1, 0.5, 0.3, 0.2, 0.6], [0.1] * 5)
    for call in (cf.egger, cf.rank_test, cf.limit_meta_analysis, cf.pet_peese, cf.copas):
        with pytest.raises(cf.NotEstimableError):
            call(fit)


def test_too_few_studies_are_refused():
    fit = cf.pool([0.1, 0.5], [0.1, 0.2])
    for call in (cf.egger, cf.rank_test, cf.trim_and_fill, cf.limit_meta_analysis, cf.pet_peese, cf.copas):
        with pytest.raises(cf.NotEstimableError):
            call(fit)


def test_tables_without_events_are_refused_by_the_variants():
    es = cf.effect_sizes("OR", events_1=[0, 2, 3, 4], total_1=[10] * 4, events_2=[0, 3, 5, 4], total_2=[12] * 4)
    for variant in ("harbord", "peters", "macaskill"):
        with pytest.raises(cf.InputError, match="row 0"):
            cf.egger(cf.pool(es), variant, sizes=es)


def test_results_print_and_become_plain():
    yi, vi, _ = load("bias_magnesium")
    fit = cf.pool(yi, vi)
    for call in (
        cf.egger, cf.rank_test, cf.pet_peese, cf.trim_and_fill, cf.fail_safe_n, cf.excess_significance,
        cf.limit_meta_analysis, funnel_contours,
    ):  # fmt: skip
        result = call(fit)
        assert "16" in repr(result)
        json.dumps(result.to_dict(), allow_nan=False)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e2, 1e2), st.floats(1e-2, 1e2)), min_size=1, max_size=12))
def test_any_studies_give_a_result_or_a_clear_error(studies):
    yi, vi = np.array(studies).T
    fit = cf.pool(yi, vi, method="DL", test="z")
    for call in (
        cf.egger, cf.rank_test, cf.pet_peese, cf.trim_and_fill, cf.fail_safe_n, cf.excess_significance,
        cf.limit_meta_analysis,
    ):  # fmt: skip
        try:
            result = call(fit)
        except cf.ComfreyError:
            continue
        p_value = getattr(result, "p_value", 0.5)
        assert math.isnan(p_value) or 0 <= p_value <= 1
