"""Diagnostics against reference values, against refits one by one, and their behaviour on odd input."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comfrey as cf
from comfrey.diagnostics._refit import all_but_one, blocks, refit
from comfrey.models._view import view_of

REFERENCE = Path(__file__).parents[1] / "reference"
METHODS = ("EE", "DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM")
BCG = json.loads((REFERENCE / "influence_bcg.json").read_text(encoding="utf-8"))
YI, VI = np.array(BCG["data"]["yi"]), np.array(BCG["data"]["vi"])
EXPECTED = BCG["results"]
# tau2 of the reference was stopped at 1e-13, so iterative values agree far beyond the 1e-6 asked for
TIGHT = 1e-9


@pytest.fixture(scope="module")
def fit():
    return cf.pool(YI, VI, test="z", study=BCG["data"]["study"])


INFLUENCE = {
    "rstudent": "rstudent", "dffits": "dffits", "cook_distance": "cook.d", "cov_ratio": "cov.r",
    "tau2_deleted": "tau2.del", "q_deleted": "QE.del", "hat": "hat", "weight": "weight",
}  # fmt: skip


@pytest.mark.parametrize("name", INFLUENCE)
def test_influence_agrees_with_reference(fit, name):
    found = getattr(fit.influence(), name)
    np.testing.assert_allclose(found, EXPECTED["influence"][INFLUENCE[name]], rtol=TIGHT)


def test_dfbetas_residuals_and_flags_agree_with_reference(fit):
    found = fit.influence()
    np.testing.assert_allclose(found.dfbetas, EXPECTED["dfbs"], rtol=TIGHT)
    np.testing.assert_allclose(found.residual, EXPECTED["rstandard"]["resid"], rtol=TIGHT)
    np.testing.assert_allclose(found.rstandard, EXPECTED["rstandard"]["z"], rtol=TIGHT)
    np.testing.assert_allclose(found.rstudent, EXPECTED["rstudent"]["z"], rtol=TIGHT)
    assert found.influential.tolist() == EXPECTED["is_infl"]


def test_leave_one_out_agrees_with_reference(fit):
    found = fit.leave_one_out()
    names = {
        "estimate": "estimate", "se": "se", "p_value": "pval", "ci_low": "ci.lb", "ci_high": "ci.ub", "q": "Q",
        "tau2": "tau2", "i2": "I2",
    }  # fmt: skip
    for ours, theirs in names.items():
        np.testing.assert_allclose(getattr(found, ours), EXPECTED["leave1out"][theirs], rtol=TIGHT, err_msg=ours)
    assert found.labels == tuple(BCG["data"]["study"])


def test_cumulative_agrees_with_reference(fit):
    found = fit.cumulative()
    for name in ("estimate", "se", "tau2"):
        np.testing.assert_allclose(getattr(found, name), EXPECTED["cumul_order_given"][name], rtol=TIGHT, atol=1e-12)
    assert found.estimate[-1] == pytest.approx(fit.estimate, rel=1e-12)


def test_blups_agree_with_reference(fit):
    found = fit.blups()
    for ours, theirs in {"estimate": "pred", "se": "se", "pi_low": "pi.lb", "pi_high": "pi.ub"}.items():
        np.testing.assert_allclose(getattr(found, ours), EXPECTED["blup"][theirs], rtol=TIGHT)
    pairs = {"deviation": "pred", "deviation_se": "se", "deviation_low": "pi.lb", "deviation_high": "pi.ub"}
    for ours, theirs in pairs.items():
        np.testing.assert_allclose(getattr(found, ours), EXPECTED["ranef"][theirs], rtol=TIGHT)


def test_subsets_agree_with_reference():
    expected = json.loads((REFERENCE / "gosh_bcg_dl.json").read_text(encoding="utf-8"))["results"]
    found = cf.pool(YI, VI, method="DL").subsets()
    assert len(found) == expected["n"]
    assert found.complete
    assert found.estimate.mean() == pytest.approx(expected["mean_estimate"], rel=1e-10)
    assert found.i2.mean() == pytest.approx(expected["I2_mean"], rel=1e-10)
    quantiles = np.quantile(found.estimate, [0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(quantiles, expected["quantiles"], rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("test", ["hk", "z"])
def test_batched_refits_equal_single_fits(method, test):
    found = refit(view_of(cf.pool(YI, VI, method=method, test=test)), all_but_one(13))
    for i in range(13):
        one = cf.pool(np.delete(YI, i), np.delete(VI, i), method=method, test=test)
        theirs = [one.tau2, one.estimate, one.se, one.i2, one.h2, one.q]
        ours = [found.tau2[i], found.beta[i, 0], found.covariance[i, 0, 0] ** 0.5, found.i2[i], found.h2[i], found.q[i]]
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_batched_refits_of_a_regression_equal_single_fits(method):
    data = {"x": np.linspace(-1, 2, 13) ** 2, "z": np.arange(13) % 3 - 1.0}
    found = refit(view_of(cf.pool(YI, VI, method=method, moderators="x + z", data=data)), all_but_one(13))
    for i in range(13):
        rest = {name: np.delete(values, i) for name, values in data.items()}
        one = cf.pool(np.delete(YI, i), np.delete(VI, i), method=method, moderators="x + z", data=rest)
        np.testing.assert_allclose(found.beta[i], one.beta, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(found.covariance[i], one.covariance, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose([found.tau2[i], found.q[i]], [one.tau2, one.q], rtol=1e-8, atol=1e-11)


def test_several_maxima_in_a_subset_are_compared():
    # two tight groups and one vague study: the likelihood has two maxima in some subsets
    yi = np.array([0.0, 0.01, 0.02, 4.0, 4.01, -7.0, 9.0])
    vi = np.array([1e-5, 1e-5, 1e-3, 1e-5, 8.0, 40.0, 30.0])
    masks = (np.arange(1, 128)[:, None] >> np.arange(7) & 1).astype(float)
    for method in ("REML", "ML"):
        found = refit(view_of(cf.pool(yi, vi, method=method)), blocks(masks))
        for row, mask in enumerate(masks):
            keep = mask > 0
            if keep.sum() > 1:
                one = cf.pool(yi[keep], vi[keep], method=method)
                assert found.tau2[row] == pytest.approx(one.tau2, rel=1e-8, abs=1e-12), (method, row)


def test_deleting_a_study_by_hand_gives_the_regression_diagnostics():
    # the definitions of Viechtbauer & Cheung 2010, study 3 left out
    data = {"x": np.linspace(-1, 2, 13) ** 2}
    whole = cf.pool(YI, VI, moderators="x", data=data, test="z")
    rest = cf.pool(np.delete(YI, 3), np.delete(VI, 3), moderators="x", data={"x": np.delete(data["x"], 3)}, test="z")
    row = whole.X[3]
    found = whole.influence()
    spread = row @ rest.covariance @ row
    assert found.rstudent[3] == pytest.approx((YI[3] - row @ rest.beta) / math.sqrt(VI[3] + rest.tau2 + spread))
    move = whole.beta - rest.beta
    assert found.cook_distance[3] == pytest.approx(move @ np.linalg.solve(whole.covariance, move))
    ratio = np.linalg.det(rest.covariance) / np.linalg.det(whole.covariance)
    assert found.cov_ratio[3] == pytest.approx(ratio)
    leverage = row @ whole.covariance @ row / (VI[3] + whole.tau2)
    assert found.hat[3] == pytest.approx(leverage)
    assert found.dffits[3] == pytest.approx(row @ move / math.sqrt(leverage * (VI[3] + rest.tau2)))
    assert found.dfbetas.shape == (13, 2)
    assert found.hat.sum() == pytest.approx(2.0)


def test_baujat_axes_add_up_to_q():
    fit = cf.pool(YI, VI, method="EE", test="z")
    frame = fit.influence().baujat
    assert frame["heterogeneity_share"].sum() == pytest.approx(fit.q)
    loo = fit.leave_one_out()
    np.testing.assert_allclose(frame["shift"], ((fit.estimate - loo.estimate) / loo.se) ** 2)


def test_cumulative_sorts_by_values_and_by_precision():
    fit = cf.pool(YI, VI)
    years = np.arange(13)[::-1] + 1950
    assert fit.cumulative(years).order.tolist() == list(range(12, -1, -1))
    assert fit.cumulative("precision").order[0] == int(np.argmin(VI))
    assert fit.cumulative(years).estimate[0] == pytest.approx(YI[12])


def test_cumulative_order_may_have_a_value_for_dropped_rows():
    yi = [0.1, np.nan, 0.3, 0.5]
    fit = cf.pool(yi, [0.1, 0.1, 0.1, 0.1])
    assert fit.cumulative([4, 3, 2, 1]).order.tolist() == [2, 1, 0]


def test_leave_one_out_marks_refits_that_a_moderator_forbids():
    data = {"x": [0.0] * 5 + [1.0]}
    fit = cf.pool(YI[:6], VI[:6], moderators="x", data=data)
    found = fit.leave_one_out()
    assert np.isnan(found.tau2).tolist() == [False] * 5 + [True]
    assert any("row 5" in note for note in found.notes)
    assert found.to_dict()["tau2"][5] is None
    assert np.isnan(fit.influence().rstudent[5])


def test_known_tau2_stays_known_in_refits():
    fit = cf.pool(YI, VI, tau2=0.2)
    assert (fit.leave_one_out().tau2 == 0.2).all()


def test_sampled_subsets_repeat_with_their_seed():
    rng = np.random.default_rng(5)
    yi, vi = rng.normal(0, 1, 30), rng.uniform(0.1, 0.5, 30)
    fit = cf.pool(yi, vi, method="DL")
    one, two, other = fit.subsets(2000, seed=1), fit.subsets(2000, seed=1), fit.subsets(2000, seed=2)
    assert len(one) == 2000
    assert not one.complete
    assert (one.estimate == two.estimate).all()
    assert (one.estimate != other.estimate).any()
    row = 17
    keep = np.array([one.contains(j)[row] for j in range(30)])
    assert keep.sum() == one.k[row]
    assert one.estimate[row] == pytest.approx(cf.pool(yi[keep], vi[keep], method="DL").estimate, rel=1e-10)


def test_subsets_of_a_regression():
    data = {"x": np.linspace(-1, 2, 8)}
    found = cf.pool(YI[:8], VI[:8], moderators="x", data=data).subsets()
    assert found.estimate.shape == (255, 2)
    assert np.isnan(found.tau2).sum() == 8  # single studies carry no slope
    assert "8 subsets" in found.notes[0]


def test_row_order_changes_nothing():
    order = np.random.default_rng(0).permutation(13)
    one, two = cf.pool(YI, VI).influence(), cf.pool(YI[order], VI[order]).influence()
    np.testing.assert_allclose(two.rstudent, one.rstudent[order], rtol=1e-10)
    np.testing.assert_allclose(two.cook_distance, one.cook_distance[order], rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-150, 1e-6, 1e6, 1e120])
def test_scale_changes_only_what_has_a_unit(factor):
    one, two = cf.pool(YI, VI), cf.pool(YI * factor, VI * factor**2)
    np.testing.assert_allclose(two.influence().cook_distance, one.influence().cook_distance, rtol=1e-9)
    np.testing.assert_allclose(two.influence().rstudent, one.influence().rstudent, rtol=1e-9)
    np.testing.assert_allclose(two.leave_one_out().se / factor, one.leave_one_out().se, rtol=1e-9)


def test_too_few_studies_are_refused():
    one = cf.pool([0.1], [0.1])
    for call in (one.influence, one.leave_one_out, one.blups):
        with pytest.raises(cf.NotEstimableError):
            call()


def test_two_studies_leave_single_ones():
    found = cf.pool([0.0, 1.0], [0.1, 0.2]).leave_one_out()
    assert found.estimate.tolist() == [1.0, 0.0]
    assert found.tau2.tolist() == [0.0, 0.0]
    assert np.isnan(found.q_p).all()


@pytest.mark.parametrize(
    ("order", "word"), [([1, 2], "values"), (["a", 1] * 6 + [None], "missing"), ("size", "precision")]
)
def test_bad_order_is_named(fit, order, word):
    with pytest.raises(cf.InputError, match=word):
        fit.cumulative(order)


@pytest.mark.parametrize("maximum", [0, -1, 2.5, True])
def test_bad_maximum_is_named(fit, maximum):
    with pytest.raises(cf.InputError, match="maximum"):
        fit.subsets(maximum)


def test_unknown_study_is_named(fit):
    found = fit.subsets(100)
    with pytest.raises(cf.InputError, match="study"):
        found.contains("nobody")
    with pytest.raises(cf.InputError, match="study"):
        found.contains(13)


def test_results_print_and_become_plain(fit):
    for result in (fit.influence(), fit.leave_one_out(), fit.cumulative(), fit.blups(), fit.subsets(200)):
        assert "tau2 by REML" in repr(result)
        json.dumps(result.to_dict(), allow_nan=False)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(1e-3, 10)), min_size=3, max_size=7),
    st.sampled_from(["REML", "ML", "DL", "PM"]),
)
def test_any_data_agree_with_single_fits(studies, method):
    yi, vi = np.array(studies).T
    fit = cf.pool(yi, vi, method=method, test="z")
    found = fit.leave_one_out()
    for i in range(yi.size):
        one = cf.pool(np.delete(yi, i), np.delete(vi, i), method=method, test="z")
        assert found.tau2[i] == pytest.approx(one.tau2, rel=1e-6, abs=1e-8)
        assert found.estimate[i] == pytest.approx(one.estimate, rel=1e-6, abs=1e-7)


def test_subsets_hold_where_variances_lie_a_million_million_apart():
    # plain sums of squared weights gave the pair of the first and the last a maximum above zero that it does not have
    yi = np.array([0.0, 48.766805, -15.646378, 1.0, 2.5, -1.0, -8.1e-10, 1.0])
    vi = np.array([1.18e-7, 8217.57, 1.0, 0.55162559, 22702.725, 0.01, 1.0157859e-4, 1.0])
    found = cf.pool(yi, vi, test="z").subsets()
    for row in range(len(found)):
        keep = np.array([found.contains(j)[row] for j in range(8)])
        if keep.sum() > 1:
            one = cf.pool(yi[keep], vi[keep], test="z")
            # searches end within 1e-8 of each other, where the score is the difference of numbers a million times it
            assert found.tau2[row] == pytest.approx(one.tau2, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("method", ["REML", "DL", "PM", "EE"])
def test_a_study_far_away_in_a_moderator_can_be_left_out(method):
    # without it the others vary by a millionth of what the moderator varies in all: a poor basis to share
    x = np.array([0.0, 1.0, 2.0, 0.5, 1.5, 3.0, 1e9])
    yi, vi = YI[:7], VI[:7]
    found = cf.pool(yi, vi, moderators="x", data={"x": x}, method=method).leave_one_out()
    one = cf.pool(yi[:6], vi[:6], moderators="x", data={"x": x[:6]}, method=method)
    np.testing.assert_allclose(found.estimate[6], one.beta, rtol=1e-6)  # found alone, from six digits of a billion
    np.testing.assert_allclose(found.se[6], one.se, rtol=1e-6)
    assert found.tau2[6] == pytest.approx(one.tau2, rel=1e-6, abs=1e-12)
    assert found.notes == ()
