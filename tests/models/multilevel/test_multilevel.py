"""What a multilevel fit is and does: properties, boundaries, predictions, published values."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comfrey as cf

BCG = json.loads((Path(__file__).parents[2] / "reference" / "escalc_2x2_bcg.json").read_text())["data"]


def frame_of(seed=0, clusters=12, between=0.5, within=0.3):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, clusters)
    study = np.repeat(np.arange(clusters), sizes)
    k = study.size
    frame = pd.DataFrame({"study": study, "es": np.arange(k), "x": rng.normal(size=k), "vi": rng.uniform(0.02, 0.2, k)})
    frame["lab"] = rng.integers(0, 4, k)
    frame["arm"] = rng.choice(["low", "mid", "high"], k)
    effects = rng.normal(0, between, clusters)[study] + rng.normal(0, within, k)
    frame["yi"] = 0.3 + effects + rng.normal(0, np.sqrt(frame["vi"]))
    return frame


def bcg_arms():
    """Log odds of tuberculosis of each arm of the BCG trials (Colditz et al. 1994)."""
    trials = pd.DataFrame(BCG)
    arms = []
    for arm, cases, others in (("vaccinated", "ai", "bi"), ("control", "ci", "di")):
        logit, variance = np.log(trials[cases] / trials[others]), 1 / trials[cases] + 1 / trials[others]
        arms.append(pd.DataFrame({"trial": trials["study"], "arm": arm, "yi": logit, "vi": variance}))
    return pd.concat(arms)


def test_bivariate_model_of_bcg_trials_as_published():
    # van Houwelingen et al. (2002), Stat Med 21:589-624, doi:10.1002/sim.1040, p. 602
    fit = cf.multilevel(
        "yi", "vi", random="arm | trial", structure="UN", data=bcg_arms(), moderators="0 + arm", method="ML"
    )
    np.testing.assert_allclose(fit.coefficients["estimate"], [-4.0960, -4.8337], atol=5e-5)
    np.testing.assert_allclose(fit.coefficients["se"], [0.4347, 0.3396], atol=5e-5)
    np.testing.assert_allclose(fit.tau2, [2.4073, 1.4314], atol=5e-5)
    np.testing.assert_allclose(fit.rho, [0.9467], atol=5e-5)
    assert fit.tau2_names == ("control", "vaccinated")
    assert fit.random_covariance().loc["control", "vaccinated"] == pytest.approx(1.757, abs=5e-4)


def test_compound_symmetry_is_nesting():
    frame = frame_of(1)
    nested = cf.multilevel("yi", "vi", random="study/es", data=frame)
    frame["one"] = frame.groupby("study").cumcount()
    structured = cf.multilevel("yi", "vi", random="one | study", structure="CS", data=frame)
    assert structured.tau2[0] == pytest.approx(nested.sigma2.sum(), rel=1e-8)
    assert structured.rho[0] == pytest.approx(nested.sigma2[0] / nested.sigma2.sum(), rel=1e-8)
    assert structured.log_likelihood == pytest.approx(nested.log_likelihood, rel=1e-12)
    assert structured.se == pytest.approx(nested.se, rel=1e-8)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    random=st.sampled_from(["study/es", "study", "es", "lab", "lab+study/es", "arm | study"]),
)
def test_row_order_does_not_matter(seed, random):
    frame = frame_of(seed)
    terms = random.split("+")
    order = np.random.default_rng(seed).permutation(len(frame))
    first = cf.multilevel("yi", "vi", random=terms, data=frame, moderators="x")
    second = cf.multilevel("yi", "vi", random=terms, data=frame.iloc[order], moderators="x")
    np.testing.assert_allclose(first.log_likelihood, second.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(first.coefficients["estimate"], second.coefficients["estimate"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(first.coefficients["se"], second.coefficients["se"], rtol=1e-6)
    np.testing.assert_allclose(first.sigma2, second.sigma2, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(first.tau2, second.tau2, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("factor", [1e-120, 1e-9, 1000.0, 1e100])
def test_units_do_not_matter(factor):
    frame = frame_of(2)
    first = cf.multilevel("yi", "vi", random="study/es", data=frame)
    large = frame.assign(yi=frame["yi"] * factor, vi=frame["vi"] * factor**2)
    second = cf.multilevel("yi", "vi", random="study/es", data=large)
    assert second.estimate == pytest.approx(first.estimate * factor, rel=1e-10)
    assert second.se == pytest.approx(first.se * factor, rel=1e-10)
    np.testing.assert_allclose(second.sigma2, first.sigma2 * factor**2, rtol=1e-8)
    shift = (len(frame) - 1) * np.log(factor)
    assert second.log_likelihood == pytest.approx(first.log_likelihood - shift, rel=1e-10)
    np.testing.assert_allclose(
        np.array(list(second.profile_interval())), np.array(list(first.profile_interval())) * factor**2, rtol=1e-7
    )


@pytest.mark.parametrize("decades", [(-8, 8), (0, 12), (-15, 0)])
def test_sampling_variances_may_differ_by_many_decades(decades):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        study, vi = np.repeat(np.arange(15), 4), 10 ** rng.uniform(*decades, 60)
        y = rng.normal(0, 0.5, 15)[study] + rng.normal(0, 0.3, 60) + rng.normal(0, np.sqrt(vi))
        for random in ("study", "study/es"):
            fit = cf.multilevel(y, vi, random=random, data={"study": study, "es": np.arange(60)})
            low, high = fit.profile_interval("sigma2", 0)
            assert low <= fit.sigma2[0] <= high
            assert fit.distance < 1e-4


def test_a_shift_of_all_effects_shifts_the_estimate_only():
    frame = frame_of(3)
    first = cf.multilevel("yi", "vi", random="study/es", data=frame)
    second = cf.multilevel(frame["yi"] + 1e6, frame["vi"], random="study/es", data=frame)
    assert second.estimate - 1e6 == pytest.approx(first.estimate, abs=1e-8)
    np.testing.assert_allclose(second.sigma2, first.sigma2, rtol=1e-6)  # adding 1e6 costs ten digits of yi


def test_signs_of_all_effects_flip_the_estimate_only():
    frame = frame_of(4)
    first = cf.multilevel("yi", "vi", random="study/es", data=frame)
    second = cf.multilevel(-frame["yi"], "vi", random="study/es", data=frame)
    assert second.estimate == pytest.approx(-first.estimate, rel=1e-12)
    np.testing.assert_allclose(second.sigma2, first.sigma2, rtol=1e-10)


def test_clusters_of_one_effect_are_fine():
    frame = frame_of(5)
    extra = pd.DataFrame(
        {"study": [100, 101, 102], "es": [900, 901, 902], "yi": [0.2, 0.9, -0.1], "vi": [0.05, 0.1, 0.07]}
    )
    fit = cf.multilevel("yi", "vi", random="study/es", data=pd.concat([frame, extra]))
    assert fit.converged
    assert fit.groups.tolist() == [15, len(frame) + 3]
    assert fit.robust("study").n_clusters == 15


def test_all_clusters_of_one_effect_leave_one_variance():
    frame = frame_of(6)
    frame["study"] = frame["es"]
    with pytest.raises(cf.InputError, match="divide the effects in the same way"):
        cf.multilevel("yi", "vi", random="study/es", data=frame)
    assert cf.multilevel("yi", "vi", random="study", data=frame).sigma2.size == 1


def test_an_effect_without_information_changes_next_to_nothing():
    frame = frame_of(7)
    extra = pd.DataFrame({"study": [500], "es": [999], "yi": [0.3], "vi": [1e12]})
    first = cf.multilevel("yi", "vi", random="study/es", data=frame)
    second = cf.multilevel("yi", "vi", random="study/es", data=pd.concat([frame, extra]))
    np.testing.assert_allclose(second.sigma2, first.sigma2, rtol=1e-6)
    assert second.estimate == pytest.approx(first.estimate, rel=1e-6)


def test_homogeneous_effects_have_variances_of_exactly_zero():
    rng = np.random.default_rng(0)
    vi = rng.uniform(0.05, 0.1, 30)
    data = {"study": np.repeat(np.arange(10), 3), "es": np.arange(30), "yi": 0.2 + 0.1 * np.sqrt(vi), "vi": vi}
    fit = cf.multilevel("yi", "vi", random="study/es", data=data)
    assert fit.sigma2.tolist() == [0, 0]
    assert fit.boundary
    assert "sigma2 study is zero" in fit.notes[0]
    w = 1 / vi
    assert fit.estimate == pytest.approx(np.sum(w * data["yi"]) / w.sum(), rel=1e-12)
    assert fit.se == pytest.approx(w.sum() ** -0.5, rel=1e-12)
    assert fit.i2.tolist() == [0, 0]
    assert np.all(fit.blups()["estimate"] == 0)


def test_zero_is_certified_by_the_slope():
    frame = frame_of(8, between=0.0, within=0.0)
    for seed in range(20):
        frame = frame_of(seed, between=0.0, within=0.4)
        fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
        if fit.sigma2[0] > 0:
            continue
        problem = fit._state.problem
        _, slopes = problem.engine.value_and_gradient(problem.cells(fit._state.found.x), True)
        assert slopes[0] <= 0
        assert abs(slopes[1]) < 1e-7
        return
    pytest.fail("no sample had a variance of zero")


def test_singular_unstructured_covariance_is_the_maximum():
    # three outcomes that move as one: the best covariance matrix has rank one
    rng = np.random.default_rng(1)
    outcome, trial = np.tile([0, 1, 2], 8), np.repeat(np.arange(8), 3)
    vi = rng.uniform(0.05, 0.2, 24)
    y = rng.normal(0, 0.5, 8)[trial] * np.array([1, 0.8, 0.6])[outcome] + rng.normal(0, np.sqrt(vi))
    data = {"outcome": outcome, "trial": trial}
    fit = cf.multilevel(y, vi, random="outcome | trial", structure="UN", data=data, moderators=np.eye(3)[outcome])
    np.testing.assert_allclose(fit.rho, 1, atol=1e-7)
    assert fit.boundary
    problem = fit._state.problem
    w = problem.cells(fit._state.found.x)
    slope = problem.blocks[0].slope(problem.engine.value_and_gradient(w, True)[1])
    G = problem.blocks[0].full(w)
    # the conditions of a maximum over covariance matrices: S G = 0, and S has no positive direction
    np.testing.assert_allclose(slope @ G, 0, atol=1e-6)
    assert np.linalg.eigvalsh(slope)[-1] < 1e-6


def test_outcomes_that_never_meet_have_no_correlation():
    frame = frame_of(9, clusters=30)
    frame["kind"] = np.where(frame["study"] % 2 == 0, "a", "b")
    fit = cf.multilevel("yi", "vi", random="kind | study", structure="UN", data=frame)
    assert np.isnan(fit.rho[0])
    assert "no group has both levels" in " ".join(fit.notes)
    assert fit.to_dict()["rho"] == [None]
    with pytest.raises(cf.NotEstimableError, match="rho a, b has no estimate"):
        fit.profile_interval("rho")


def test_predicted_effects_are_those_of_the_closed_form(direct):
    frame = frame_of(10)
    V = cf.sampling_covariance("vi", "study", 0.4, data=frame)
    X = np.ones((len(frame), 1))
    fit = cf.multilevel("yi", V, random="study/es", data=frame)
    Z = np.hstack(
        [np.equal.outer(frame[name].to_numpy(), np.unique(frame[name])).astype(float) for name in ("study", "es")]
    )
    G = np.diag(np.repeat(fit.sigma2, [12, len(frame)]))
    expected, error = direct.best_linear_effects(frame["yi"].to_numpy(), X, V.toarray() + Z @ G @ Z.T, G, Z)
    found = fit.blups()
    # "study/es" groups come in the order of study, then es, as es alone does here
    np.testing.assert_allclose(found["estimate"], expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found["se"], np.sqrt(error), rtol=1e-8)
    assert found.loc[12, "group"] == "0/0"


def test_predicted_effects_of_a_structured_term(direct):
    frame = frame_of(11)
    fit = cf.multilevel("yi", "vi", random=["arm | study", "lab"], structure="UN", data=frame)
    levels = sorted(frame["arm"].unique())
    G = fit.random_covariance("arm | study").to_numpy()
    Z = np.zeros((len(frame), 36))
    Z[np.arange(len(frame)), frame["study"] * 3 + frame["arm"].map(levels.index)] = 1
    lab = np.equal.outer(frame["lab"].to_numpy(), np.unique(frame["lab"])).astype(float)
    Z = np.hstack([Z, lab])
    full = np.zeros((40, 40))
    full[:36, :36] = np.kron(np.eye(12), G)
    full[36:, 36:] = fit.sigma2[0] * np.eye(4)
    M = np.diag(frame["vi"]) + Z @ full @ Z.T
    expected, error = direct.best_linear_effects(frame["yi"].to_numpy(), np.ones((len(frame), 1)), M, full, Z)
    found = fit.blups()
    np.testing.assert_allclose(found["estimate"], expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found["se"], np.sqrt(np.maximum(error, 0)), rtol=1e-6, atol=1e-8)
    assert found.loc[:2, "level"].tolist() == levels


def test_predictions():
    frame = frame_of(12)
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
    row = fit.predict().iloc[0]
    assert row["estimate"] == fit.estimate
    assert row["pi_high"] - fit.estimate == pytest.approx(1.959964 * np.sqrt(fit.se**2 + fit.sigma2.sum()), rel=1e-6)
    slope = cf.multilevel("yi", "vi", random="study/es", data=frame, moderators="x")
    found = slope.predict(pd.DataFrame({"x": [0.0, 1.0]}))
    assert found["estimate"].tolist() == pytest.approx(
        [slope.estimate, slope.coefficients["estimate"].sum()], rel=1e-12
    )
    assert found["se"][0] == pytest.approx(slope.se, rel=1e-12)
    assert len(slope.predict()) == len(frame)
    np.testing.assert_allclose(slope.predict(np.array([[1.0, 1.0]])) if slope._state.design.spec is None else 0, 0)


def test_predictions_of_outcomes_with_their_own_variances():
    fit = cf.multilevel("yi", "vi", random="arm | trial", structure="UN", data=bcg_arms(), moderators="0 + arm")
    new = pd.DataFrame({"arm": ["vaccinated", "control"]})
    found = fit.predict(new)
    half = found["pi_high"] - found["estimate"]
    np.testing.assert_allclose(half, 1.959964 * np.sqrt(found["se"] ** 2 + fit.tau2[::-1]), rtol=1e-6)
    plain = cf.multilevel("yi", "vi", random="arm | trial", structure="UN", data=bcg_arms()).predict()
    assert np.isnan(plain["pi_low"][0])
    assert "depends on arm" in plain.attrs["notes"][0]


def test_t_tests_use_the_degrees_of_freedom_that_are_asked_for():
    frame = frame_of(13)
    k = len(frame)
    frame["of_study"] = frame["study"] % 2
    residual = cf.multilevel("yi", "vi", random="study/es", data=frame, moderators="of_study + x", test="t")
    assert residual.coefficients["df"].tolist() == [k - 3] * 3
    contained = cf.multilevel(
        "yi",
        "vi",
        random="study/es",
        data=frame,
        moderators="of_study + x",
        test="t",
        degrees_of_freedom="containment",
    )
    assert contained.coefficients["df"].tolist() == [9, 9, k - 3]
    assert contained.ci_high > residual.ci_high
    assert residual.qm_p > cf.multilevel("yi", "vi", random="study/es", data=frame, moderators="of_study + x").qm_p


def test_without_random_effects_it_is_weighted_least_squares():
    frame = frame_of(14)
    V = cf.sampling_covariance("vi", "study", 0.5, data=frame)
    fit = cf.multilevel("yi", V, data=frame, moderators="x")
    W = np.linalg.inv(V.toarray())
    X = np.column_stack((np.ones(len(frame)), frame["x"]))
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(X.T @ W @ X), rtol=1e-10)
    assert fit.sigma2.size == 0
    assert fit.q == pytest.approx(-2 * (fit.log_likelihood - _constant(X, V.toarray())), rel=1e-9)


def _constant(X, V):
    k, p = X.shape
    value = (k - p) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] - np.linalg.slogdet(X.T @ X)[1]
    return -0.5 * (value + np.linalg.slogdet(X.T @ np.linalg.solve(V, X))[1])


def test_time_structures_agree_where_they_are_the_same():
    rng = np.random.default_rng(2)
    time, trial = np.tile([1, 2, 3, 4], 20), np.repeat(np.arange(20), 4)
    step = np.linalg.cholesky(0.3 * 0.7 ** np.abs(np.subtract.outer(range(4), range(4))))
    vi = rng.uniform(0.02, 0.05, 80)
    y = (rng.normal(size=(20, 4)) @ step.T).ravel() + rng.normal(0, np.sqrt(vi))
    data = {"time": time, "trial": trial, "months": time * 6.0}
    autoregressive = cf.multilevel(y, vi, random="time | trial", structure="AR", data=data)
    months = cf.multilevel(y, vi, random="months | trial", structure="CAR", data=data)
    assert months.log_likelihood == pytest.approx(autoregressive.log_likelihood, rel=1e-12)
    assert months.rho[0] ** 6 == pytest.approx(autoregressive.rho[0], rel=1e-7)
    assert 0.4 < autoregressive.rho[0] < 0.95


def test_more_parameters_never_fit_worse():
    frame = frame_of(15, clusters=40)
    chain = ["ID", "CS", "HCS", "UN"]
    fits = [cf.multilevel("yi", "vi", random="arm | study", structure=kind, data=frame) for kind in chain]
    values = [fit.log_likelihood for fit in fits]
    assert values == sorted(values)
    assert fits[-1].aic == pytest.approx(-2 * values[-1] + 2 * 7, rel=1e-12)


def test_results_print_and_become_plain_values():
    frame = frame_of(16)
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
    assert "REML; random: study (12 groups)" in repr(fit)
    found = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert found["sigma2_names"] == ["study", "study/es"]
    assert found["qm"] is None
    assert not any(name.startswith("_") for name in found)
    assert fit.summary.loc["sigma2 study", "estimate"] == fit.sigma2[0]
    assert "<table" in fit._repr_html_()


def test_effects_and_variances_can_come_as_one_object():
    class Effects:
        yi = np.array([0.1, 0.5, 0.3, 0.2])
        vi = np.array([0.1, 0.1, 0.2, 0.1])

    data = {"study": [1, 1, 2, 3]}
    one = cf.multilevel(Effects(), random="study", data=data)
    assert one.estimate == cf.multilevel(Effects.yi, Effects.vi, random="study", data=data).estimate


@pytest.mark.slow
def test_intervals_cover_the_truth():
    # 40 studies of 1 to 6 effects: 95% robust intervals should hold the mean in about 95% of samples
    rng = np.random.default_rng(0)
    hits = {"robust": 0, "sigma2": 0}
    rounds = 1000
    for _ in range(rounds):
        study = np.repeat(np.arange(40), rng.integers(1, 7, 40))
        k = study.size
        vi = rng.uniform(0.02, 0.2, k)
        y = 0.3 + rng.normal(0, 0.4, 40)[study] + rng.normal(0, 0.3, k) + rng.normal(0, np.sqrt(vi))
        fit = cf.multilevel(y, vi, random="study/es", data={"study": study, "es": np.arange(k)})
        robust = fit.robust("study")
        hits["robust"] += robust.ci_low <= 0.3 <= robust.ci_high
        low, high = fit.profile_interval("sigma2", 0)
        hits["sigma2"] += low <= 0.16 <= high
    # four standard errors of a share of 0.95 in 1000 samples
    assert abs(hits["robust"] / rounds - 0.95) < 0.028
    assert abs(hits["sigma2"] / rounds - 0.95) < 0.028


@pytest.mark.slow
def test_robust_intervals_hold_with_a_wrong_working_model():
    # errors within studies correlate at 0.8, the model takes them as independent, and has no study effect
    rng = np.random.default_rng(1)
    hits, rounds = 0, 1000
    for _ in range(rounds):
        study = np.repeat(np.arange(30), rng.integers(2, 6, 30))
        vi = np.full(study.size, 0.1)
        shared = rng.normal(size=30)[study] * np.sqrt(0.8) + rng.normal(size=study.size) * np.sqrt(0.2)
        y = 0.3 + shared * np.sqrt(vi) + rng.normal(0, 0.2, 30)[study]
        fit = cf.multilevel(y, vi, random="es", data={"es": np.arange(study.size)})
        robust = fit.robust(study)
        hits += robust.ci_low <= 0.3 <= robust.ci_high
    assert abs(hits / rounds - 0.95) < 0.028


@pytest.mark.parametrize("structure", ["CS", "HCS", "AR"])
def test_a_correlation_that_no_group_can_show_is_not_a_number(structure):
    frame = pd.DataFrame({"study": np.repeat(range(6), 2), "vi": 0.05})
    frame["arm"] = frame["study"] % 2
    frame["yi"] = np.random.default_rng(0).normal(size=12)
    fit = cf.multilevel("yi", "vi", random="arm | study", structure=structure, data=frame)
    assert np.isnan(fit.rho[0])
    assert "no group has two levels" in fit.notes[0]
