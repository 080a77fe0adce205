"""Influence of effects and clusters: by dense algebra written down directly, by pooled fits, and by refits."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import comfrey as cf
from comfrey.diagnostics.multilevel import _deletion, _working
from comfrey.figures import baujat_plot, baujat_table

REFERENCE = Path(__file__).parents[2] / "reference"
MODELS = {
    "nested": {"random": "study/es"},
    "crossed": {"random": ["study", "lab", "es"]},
    "UN": {"random": "arm | study", "structure": "UN"},
    "CS": {"random": ["arm | study", "es"], "structure": "CS"},
    "none": {"random": None},
}


def frame_of(seed=0, clusters=9):
    rng = np.random.default_rng(seed)
    study = np.repeat(np.arange(clusters), rng.integers(2, 6, clusters))
    k = study.size
    frame = pd.DataFrame({"study": study, "es": np.arange(k), "x": rng.normal(size=k)})
    frame["vi"] = rng.uniform(0.02, 0.2, k)
    frame["arm"] = rng.choice(["low", "high"], k)
    frame["lab"] = rng.integers(0, 3, k)
    frame["yi"] = 0.3 + rng.normal(0, 0.5, clusters)[study] + rng.normal(0, 0.3, k)
    return frame


def fitted(name, frame, rho=0.5, **options):
    V = cf.sampling_covariance("vi", "study", rho, data=frame) if rho else "vi"
    return cf.multilevel("yi", V, data=frame, moderators="x", **MODELS[name], **options)


def marginal(fit):
    """M of all rows, (k, k), by the names of the fit's parameters alone."""
    state = fit._state
    w = state.problem.cells(state.found.x)
    rows = np.arange(fit.k)
    return _working.Working(state.problem).block(rows, w) * state.problem.scale**2


def directly(fit, M, S):
    """The model without rows S when M is known: coefficients, their covariance, and D of the deleted residuals."""
    X, y = fit._state.design.matrix, fit._state.y
    R = np.setdiff1d(np.arange(fit.k), S)
    W = np.linalg.inv(M[np.ix_(R, R)])
    C = np.linalg.inv(X[R].T @ W @ X[R])
    A = C @ X[R].T @ W  # b = A y_R
    beta = A @ y[R]
    together = np.zeros((S.size, fit.k))
    together[np.arange(S.size), S] = 1.0
    together[:, R] -= X[S] @ A
    return beta, C, y[S] - X[S] @ beta, together @ M @ together.T


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cluster", [None, "study", "lab"])
def test_held_variances_by_dense_algebra(name, cluster):
    frame = frame_of(3)
    fit = fitted(name, frame)
    found = fit.influence(cluster, reestimate=False)
    M, X, y = marginal(fit), fit._state.design.matrix, fit._state.y
    W = np.linalg.inv(M)
    C = np.linalg.inv(X.T @ W @ X)
    H = X @ C @ X.T @ W
    e = y - H @ y
    # closed forms on both sides; 1e-9 leaves room for the condition of M and of the leverages
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(found.residual, e, **close)
    spread = M - X @ C @ X.T
    np.testing.assert_allclose(found.rstandard, e / np.sqrt(np.diag(spread)), **close)
    np.testing.assert_allclose(found.effects["hat"], np.diag(H), **close)
    np.testing.assert_allclose(found.effects["weight"], 100 * np.diag(W) / np.trace(W), **close)
    V = fit._state.problem.covariance.toarray()
    for j in range(len(found.labels)):
        S = np.flatnonzero(found.unit == j)
        R = np.setdiff1d(np.arange(fit.k), S)
        beta, own, d, D = directly(fit, M, S)
        move = C @ X.T @ W @ y - beta
        np.testing.assert_allclose(found.deleted_residual[S], d, **close)
        np.testing.assert_allclose(found.rstudent[S], d / np.sqrt(np.diag(D)), **close)
        assert found.chi2[j] == pytest.approx(d @ np.linalg.solve(D, d), rel=1e-8)
        assert found.cook_distance[j] == pytest.approx(move @ np.linalg.solve(C, move), rel=1e-8)
        assert found.cov_ratio[j] == pytest.approx(np.linalg.det(own) / np.linalg.det(C), rel=1e-9)
        np.testing.assert_allclose(found.dfbetas[j], move / np.sqrt(np.diag(C)), **close)
        a = X[S].mean(axis=0)
        assert found.dffits[j] == pytest.approx(a @ move / np.sqrt(a @ C @ a), rel=1e-8)
        assert found.shift[j] == pytest.approx((a @ move) ** 2 / (a @ own @ a), rel=1e-8)
        block = M[np.ix_(S, S)]
        assert found.heterogeneity_share[j] == pytest.approx(e[S] @ np.linalg.solve(block, e[S]), rel=1e-9)
        assert found.hat[j] == pytest.approx(np.diag(H)[S].sum(), rel=1e-9)
        rest = np.linalg.inv(V[np.ix_(R, R)])
        inner = rest - rest @ X[R] @ np.linalg.solve(X[R].T @ rest @ X[R], X[R].T @ rest)
        assert found.q_deleted[j] == pytest.approx(y[R] @ inner @ y[R], rel=1e-9)


@pytest.mark.parametrize("name", ["nested", "crossed", "UN", "CS"])
@pytest.mark.parametrize("cluster", [None, "study", "lab"])
def test_variances_estimated_anew_are_those_of_other_fits(name, cluster):
    frame = frame_of(5)
    fit = fitted(name, frame)
    V = cf.sampling_covariance("vi", "study", 0.5, data=frame).toarray()
    found = fit.influence(cluster)
    X = fit._state.design.matrix
    checked = np.flatnonzero(np.isfinite(found.cook_distance))
    assert checked.size > 1
    checked = checked[:: max(1, checked.size // 3)]
    for j in checked:
        S = np.flatnonzero(found.unit == j)
        R = np.setdiff1d(np.arange(fit.k), S)
        other = cf.multilevel("yi", V[np.ix_(R, R)], data=frame.iloc[R], moderators="x", **MODELS[name])
        # searches from different starts end within 1e-7 standard errors of each other; variances follow to about 1e-6
        names = list(other.variance_components["name"])
        at = [found.component_names.index(item) for item in names]
        np.testing.assert_allclose(found.components[j, at], other.variance_components["estimate"], rtol=1e-5, atol=1e-8)
        beta = other.coefficients["estimate"].to_numpy()
        np.testing.assert_allclose(found.deleted_residual[S], (frame["yi"] - X @ beta)[S], rtol=1e-6, atol=1e-8)
        move = fit.coefficients["estimate"].to_numpy() - beta
        cook = move @ np.linalg.solve(fit.covariance, move)
        assert found.cook_distance[j] == pytest.approx(cook, rel=1e-5, abs=1e-10)
        ratio = np.linalg.det(other.covariance) / np.linalg.det(fit.covariance)
        assert found.cov_ratio[j] == pytest.approx(ratio, rel=1e-5)
        assert found.q_deleted[j] == pytest.approx(other.q, rel=1e-9)


def test_shared_effects_are_in_the_variance_of_a_deleted_residual():
    frame = frame_of(6)
    fit = fitted("nested", frame, rho=0)
    found = fit.influence()
    state = fit._state
    for i in (0, 5, 11):
        rest = np.flatnonzero(np.arange(fit.k) != i)
        again = cf.multilevel("yi", "vi", random="study/es", data=frame.iloc[rest], moderators="x")
        study = (frame["study"].to_numpy()[:, None] == frame["study"].to_numpy()).astype(float)
        M = np.diag(frame["vi"] + again.sigma2[1]) + again.sigma2[0] * study
        _, _, d, D = directly(fit, M, np.array([i]))
        assert found.rstudent[i] == pytest.approx(d[0] / np.sqrt(D[0, 0]), rel=1e-6)
        whole = np.linalg.inv(state.design.matrix.T @ np.linalg.inv(M) @ state.design.matrix)
        move = fit.coefficients["estimate"] - again.coefficients["estimate"]
        np.testing.assert_allclose(found.dfbetas[i], move / np.sqrt(np.diag(whole)), rtol=1e-5)


@pytest.mark.parametrize("moderators", [None, "x"])
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_one_random_effect_each_is_a_pooled_fit(moderators, method):
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"id": range(14), "vi": rng.uniform(0.02, 0.3, 14), "x": rng.normal(size=14)})
    frame["yi"] = 0.2 + rng.normal(0, 0.4, 14)
    one = cf.multilevel("yi", "vi", random="id", data=frame, moderators=moderators, method=method).influence()
    pooled = {} if moderators is None else {"moderators": moderators, "data": frame}
    two = cf.pool(frame["yi"], frame["vi"], test="z", method=method, **pooled).influence()
    for name in (
        "residual", "rstandard", "rstudent", "dffits", "cook_distance", "cov_ratio", "q_deleted", "hat", "weight",
        "dfbetas", "heterogeneity_share", "shift",
    ):  # fmt: skip
        # two searches for the same variances: each is right to about 1e-8
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-6, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(one.components[:, 0], two.tau2_deleted, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(one.influential, two.influential)
    assert one.labels == two.labels


@pytest.mark.parametrize("name", ["nested", "crossed", "UN"])
def test_order_of_rows_does_not_matter(name):
    frame = frame_of(9)
    shuffled = frame.sample(frac=1, random_state=1)
    one, two = (fitted(name, data).influence("study") for data in (frame, shuffled))
    assert one.labels == two.labels
    # sums in another order, and searches that stop at another rounding
    np.testing.assert_allclose(
        one.summary.drop(columns="influential"), two.summary.drop(columns="influential"), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("cluster", [None, "study"])
def test_scaling_by_a_power_of_two_changes_no_digit(cluster):
    frame = frame_of(10)
    large = frame.assign(yi=frame["yi"] * 2.0**20, vi=frame["vi"] * 2.0**40)
    one, two = (fitted("nested", data, rho=0).influence(cluster) for data in (frame, large))
    for name in ("rstandard", "rstudent", "dffits", "cook_distance", "cov_ratio", "q_deleted", "dfbetas", "chi2"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    np.testing.assert_array_equal(one.components * 2.0**40, two.components)


def test_larger_sets_of_linked_rows_are_solved_for_by_columns(monkeypatch):
    for name in ("nested", "crossed", "UN"):
        fit = fitted(name, frame_of(11))
        one = fit.influence("lab", reestimate=False)
        monkeypatch.setattr(_working, "DENSE", 1)
        two = fit.influence("lab", reestimate=False)
        monkeypatch.undo()
        np.testing.assert_allclose(one.rstudent, two.rstudent, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(one.weight, two.weight, rtol=1e-10)


@pytest.mark.parametrize("cluster", [None, "study", "lab"])
def test_updates_and_refits_at_the_same_variances_agree(monkeypatch, cluster):
    fit = fitted("crossed", frame_of(12))
    one = fit.influence(cluster, reestimate=False)
    monkeypatch.setattr(_deletion, "LEVERAGE", 2.0)  # no unit is left to updates
    two = fit.influence(cluster, reestimate=False)
    np.testing.assert_allclose(
        one.summary.drop(columns="influential"), two.summary.drop(columns="influential"), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("reestimate", [True, False])
def test_a_cluster_that_cannot_be_spared_has_a_reason(reestimate):
    frame = frame_of(1)
    frame["own"] = (frame["study"] == 3).astype(float)
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame, moderators="own")
    found = fit.influence("study", reestimate=reestimate)
    assert "Without 3: no fit. Some coefficients cannot be estimated." in found.notes
    for name in ("cook_distance", "cov_ratio", "dffits", "chi2", "q_deleted", "shift"):
        np.testing.assert_array_equal(np.isnan(getattr(found, name)), np.arange(9) == 3, err_msg=name)
    assert np.isnan(found.components[3]).all()
    assert np.isnan(found.dfbetas[3]).all()
    assert found.to_dict()["cook_distance"][3] is None


def test_an_effect_with_a_coefficient_of_its_own_has_no_standardised_residual():
    frame = frame_of(2)
    frame["own"] = (frame["es"] == 4).astype(float)
    found = cf.multilevel("yi", "vi", random="es", data=frame, moderators="own").influence()
    np.testing.assert_array_equal(np.isnan(found.rstandard), frame["es"] == 4)
    np.testing.assert_array_equal(np.isnan(found.rstudent), frame["es"] == 4)
    assert any("fits perfectly" in note for note in found.notes)


def test_a_level_that_is_gone_has_no_variance():
    frame = frame_of(4)
    frame["arm"] = np.where(frame["study"] == 2, "rare", frame["arm"])
    fit = cf.multilevel("yi", "vi", random="arm | study", structure="DIAG", data=frame)
    found = fit.influence("study")
    rare = found.component_names.index("tau2 rare")
    np.testing.assert_array_equal(np.isnan(found.components[:, rare]), np.arange(9) == 2)
    assert np.isfinite(found.cook_distance).all()
    # how the effects of that level vary is not known without them, nor is how far they are from what was expected
    np.testing.assert_array_equal(np.isnan(found.rstudent), frame["study"] == 2)
    np.testing.assert_array_equal(np.isnan(found.dffits), np.arange(9) == 2)
    np.testing.assert_array_equal(np.isnan(found.dfbetas), np.arange(9) == 2)
    assert found.notes == (
        "Without 2: tau2 rare is NaN: no effect is of that level.",
        "Without 2: the rest says nothing of tau2 rare, and so of the deleted residuals.",
    )
    assert fit.leave_one_out("study").notes == found.notes[:1]
    assert np.isfinite(fit.influence("study", reestimate=False).rstudent).all()


def test_bad_arguments():
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame_of(2))
    with pytest.raises(cf.NotEstimableError, match="All effects are in one cluster"):
        fit.influence(np.zeros(fit.k))
    with pytest.raises(cf.InputError, match=r"cluster: expected \d+ values, one for each effect, found 3 values"):
        fit.influence([1, 2, 3])
    with pytest.raises(cf.InputError, match="cluster: expected a column of data"):
        fit.influence("nowhere")
    with pytest.raises(cf.InputError, match="cluster, row 1"):
        fit.influence([1.0, np.nan, *range(fit.k - 2)])
    with pytest.raises(cf.InputError, match="reestimate: expected True or False"):
        fit.influence(reestimate="no")


def test_baujat_takes_the_fit_and_its_influence():
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame_of(2))
    found = fit.influence("study")
    table = baujat_table(found)
    assert table["study"].tolist() == list(found.labels)
    np.testing.assert_array_equal(table["shift"], found.baujat["shift"])
    assert len(baujat_table(fit)) == fit.k
    assert "Squared" in baujat_plot(found).get_xlabel()


def test_faces():
    found = cf.multilevel("yi", "vi", random="study/es", data=frame_of(2)).influence("study")
    text = repr(found)
    assert "Influence of 9 clusters" in text
    assert "influential above: |dffits| 1.06" in text
    assert found.summary.index.name == "cluster"
    assert "_repr_html_" in dir(found)
    assert found.to_dict()["bounds"]["hat"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("unit", ["effect", "cluster"])
def test_metafor_leaves_out_what_unit_and_rest_share(monkeypatch, unit):
    """Its numbers are ours when deleted residuals are taken to be independent of the rest: the one difference."""
    content = json.loads((REFERENCE / "influence_multilevel.json").read_text())
    data = json.loads((REFERENCE / "multilevel_recidivism.json").read_text())["data"]
    fit = cf.multilevel("yi", "vi", random=["study", "deltype"], data={**data, "deltype": content["data"]["deltype"]})
    by = "study" if unit == "cluster" else None
    expected = content["results"][f"recidivism_crossed/{unit}/held"]
    with_share = fit.influence(by, reestimate=False)
    monkeypatch.setattr(_deletion, "linked", lambda problem, codes: np.zeros(codes.max() + 1, dtype=bool))
    found = fit.influence(by, reestimate=False)
    # the reference knows variances to about 1e-7
    np.testing.assert_allclose(found.rstudent, expected["rstudent_independent"], rtol=1e-6, atol=1e-7)
    if unit == "cluster":
        np.testing.assert_allclose(found.chi2, expected["X2_independent"], rtol=1e-6)
    assert np.abs(with_share.rstudent - found.rstudent).max() > 0.1
