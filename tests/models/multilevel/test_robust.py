"""Cluster-robust inference against its definitions with full matrices, and its edges."""

import numpy as np
import pandas as pd
import pytest

import comfrey as cf


def frame_of(seed=0, clusters=9, rho=0.0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, clusters)
    study = np.repeat(np.arange(clusters), sizes)
    k = study.size
    frame = pd.DataFrame({"study": study, "es": np.arange(k), "x": rng.normal(size=k), "vi": rng.uniform(0.02, 0.2, k)})
    frame["group"] = np.where(study % 3 == 0, "a", np.where(study % 3 == 1, "b", "c"))
    frame["yi"] = 0.3 + rng.normal(0, 0.4, clusters)[study] + rng.normal(0, 0.3, k)
    return frame


def fitted(frame, moderators="x + group", rho=0.5):
    V = cf.sampling_covariance("vi", "study", rho, data=frame)
    fit = cf.multilevel("yi", V, random="study/es", data=frame, moderators=moderators)
    M = (
        V.toarray()
        + fit.sigma2[0] * np.equal.outer(*[frame["study"].to_numpy()] * 2)
        + fit.sigma2[1] * np.eye(len(frame))
    )
    return fit, M


@pytest.mark.parametrize("seed", range(4))
def test_cr2_is_its_definition(direct, seed):
    frame = frame_of(seed)
    fit, M = fitted(frame)
    X = fit._state.design.matrix
    covariance, forms = direct.sandwich_cr2(frame["yi"].to_numpy(), X, M, frame["study"].to_numpy())
    robust = fit.robust("study", "CR2")
    np.testing.assert_allclose(robust.covariance, covariance, rtol=1e-8, atol=1e-12)
    df = [direct.satterthwaite(forms, M, row) for row in np.eye(X.shape[1])]
    np.testing.assert_allclose(robust.coefficients["df"], df, rtol=1e-8)
    np.testing.assert_allclose(robust.coefficients["se"], np.sqrt(np.diag(covariance)), rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_hotelling_test_is_its_definition(direct, seed):
    frame = frame_of(seed, clusters=14)
    fit, M = fitted(frame)
    X = fit._state.design.matrix
    covariance, forms = direct.sandwich_cr2(frame["yi"].to_numpy(), X, M, frame["study"].to_numpy())
    contrast = np.array([[0.0, 0, 1, 0], [0, 0, 0, 1]])
    eta = direct.hotelling(forms, M, contrast)
    gap = contrast @ fit.coefficients["estimate"].to_numpy()
    wald = gap @ np.linalg.solve(contrast @ covariance @ contrast.T, gap)
    found = fit.robust("study").wald(contrast)
    np.testing.assert_allclose(found.df_denominator, eta - 1, rtol=1e-8)
    np.testing.assert_allclose(found.statistic, wald * (eta - 1) / (2 * eta), rtol=1e-8)
    named = fit.robust("study").wald(list(fit.coefficients["term"])[2:])
    assert named.statistic == pytest.approx(found.statistic, rel=1e-12)
    assert 0 <= found.p_value <= 1


def test_hotelling_test_of_one_contrast_is_the_t_test():
    fit, _ = fitted(frame_of(1))
    robust = fit.robust("study")
    wald = robust.wald(["x"])
    row = robust.summary.loc["x"]
    assert wald.statistic == pytest.approx(row["statistic"] ** 2, rel=1e-12)
    assert wald.df_denominator == pytest.approx(row["df"], rel=1e-12)
    assert wald.p_value == pytest.approx(row["p_value"], rel=1e-10)


def test_cr0_and_cr1_are_their_definitions():
    frame = frame_of(2)
    fit, M = fitted(frame)
    X, W = fit._state.design.matrix, np.linalg.inv(M)
    C = np.linalg.inv(X.T @ W @ X)
    rest = frame["yi"].to_numpy() - X @ fit.coefficients["estimate"].to_numpy()
    score = X.T @ W * rest
    sums = np.stack([score[:, frame["study"] == label].sum(axis=1) for label in range(9)])
    expected = C @ sums.T @ sums @ C
    np.testing.assert_allclose(fit.robust("study", "CR0").covariance, expected, rtol=1e-9)
    np.testing.assert_allclose(fit.robust("study", "CR1").covariance, expected * 9 / 5, rtol=1e-9)
    assert fit.robust("study", "CR1").df == 5
    wald = fit.robust("study", "CR1").wald(np.eye(4)[2:])
    assert (wald.df_numerator, wald.df_denominator) == (2, 5)


def test_cr2_is_unbiased_under_the_working_model(direct):
    # E[V] = sum over clusters of p_j' M p_j; CR2 makes it the model's own covariance
    frame = frame_of(3)
    fit, M = fitted(frame)
    X = fit._state.design.matrix
    _, forms = direct.sandwich_cr2(frame["yi"].to_numpy(), X, M, frame["study"].to_numpy())
    np.testing.assert_allclose(sum(form @ M @ form.T for form in forms), fit.covariance, rtol=1e-9, atol=1e-12)


def test_effects_each_in_a_cluster_of_its_own():
    frame = frame_of(4)
    fit = cf.multilevel("yi", "vi", random="es", data=frame)
    robust = fit.robust("es")
    w = 1 / (frame["vi"] + fit.sigma2[0])
    share = w / w.sum()
    rest = frame["yi"] - fit.estimate
    # HC2 with weights: residuals over 1 - leverage
    assert robust.se == pytest.approx(np.sqrt(np.sum(share**2 * rest**2 / (1 - share))), rel=1e-10)


def test_row_order_does_not_matter():
    frame = frame_of(5)
    order = np.random.default_rng(0).permutation(len(frame))
    first = cf.multilevel("yi", "vi", random="study/es", data=frame, moderators="x").robust("study")
    second = cf.multilevel("yi", "vi", random="study/es", data=frame.iloc[order], moderators="x").robust("study")
    np.testing.assert_allclose(first.coefficients.iloc[:, 1:], second.coefficients.iloc[:, 1:], rtol=1e-8)


def test_a_cluster_that_alone_decides_a_coefficient_is_left_out_of_it():
    frame = frame_of(6)
    frame["own"] = (frame["study"] == 1).astype(float)
    robust = cf.multilevel("yi", "vi", random="study/es", data=frame, moderators="own").robust("study")
    assert "decide a coefficient alone" in " ".join(robust.notes)
    assert np.isfinite(robust.se)


def test_effects_that_all_agree_leave_no_test():
    data = {"study": [1, 1, 2, 2, 3, 3], "es": range(6)}
    robust = cf.multilevel(np.zeros(6), np.full(6, 0.1), random="study/es", data=data).robust("study")
    assert robust.se == 0
    assert np.isnan(robust.p_value)
    assert "standard error is zero" in robust.notes[0]


def test_one_cluster_or_too_few_is_a_clear_error():
    frame = frame_of(7)
    fit = cf.multilevel("yi", "vi", random="es", data=frame)
    with pytest.raises(cf.NotEstimableError, match="1 cluster for 1 coefficient"):
        fit.robust(np.zeros(len(frame)), "CR1")
    with pytest.raises(cf.NotEstimableError, match="more clusters than coefficients"):
        fit.robust(np.zeros(len(frame)))


def test_clusters_that_cut_random_effects():
    frame = frame_of(8)
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
    with pytest.raises(cf.InputError, match="cluster: expected clusters that hold the whole"):
        fit.robust("es", "CR2")
    assert "different clusters" in fit.robust("es", "CR1").notes[0]


def test_bad_arguments_name_themselves():
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame_of(9))
    with pytest.raises(cf.InputError, match="kind: expected one of CR0, CR1, CR2, found 'CR3'"):
        fit.robust("study", "CR3")
    with pytest.raises(cf.InputError, match="cluster: expected a column of data"):
        fit.robust("studies")
    with pytest.raises(cf.InputError, match=r"cluster: expected \d+ values"):
        fit.robust([1, 2, 3])
    robust = fit.robust("study")
    with pytest.raises(cf.InputError, match="contrast: expected terms among Intercept"):
        robust.wald(["slope"])
    with pytest.raises(cf.InputError, match="contrast: expected finite rows of 1 numbers"):
        robust.wald([[1, 0]])


def test_results_print_and_become_plain_values():
    robust = cf.multilevel("yi", "vi", random="study/es", data=frame_of(1)).robust("study")
    assert "CR2), 9 clusters" in repr(robust)
    assert robust.to_dict()["coefficients"][0]["term"] == "Intercept"
    assert "Hotelling" in repr(robust.wald(["Intercept"]))
