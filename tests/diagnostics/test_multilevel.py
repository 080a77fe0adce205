"""Leave-one-out, cumulative fits and subsets of multilevel models are the fits of those effects."""

import numpy as np
import pandas as pd
import pytest

import comfrey as cf
from comfrey.figures import gosh_plot, gosh_table

MODELS = [{"random": "study/es"}, {"random": ["study", "lab"]}, {"random": "arm | study", "structure": "CS"}]


def frame_of(seed=0, clusters=8):
    rng = np.random.default_rng(seed)
    study = np.repeat(np.arange(clusters), rng.integers(2, 5, clusters))
    k = study.size
    frame = pd.DataFrame({"study": study, "es": np.arange(k), "x": rng.normal(size=k), "vi": rng.uniform(0.02, 0.2, k)})
    frame["arm"] = rng.choice(["low", "high"], k)
    frame["lab"] = rng.integers(0, 3, k)
    frame["year"] = rng.integers(1990, 2020, clusters)[study]
    frame["yi"] = 0.3 + rng.normal(0, 0.5, clusters)[study] + rng.normal(0, 0.3, k)
    return frame


def check_row(found, row, other):
    """One row of a series is this fit."""
    for name in ("estimate", "se", "statistic", "p_value", "ci_low", "ci_high"):
        expected = other.coefficients[name].to_numpy()
        # two searches for the same variances, each right to about 1e-8 of a standard error
        np.testing.assert_allclose(getattr(found, name)[row], expected, rtol=1e-6, atol=1e-8, err_msg=name)
    np.testing.assert_allclose(found.components[row], other.variance_components["estimate"], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.i2[row], other.i2, rtol=1e-5, atol=1e-5)
    assert found.q[row] == pytest.approx(other.q, rel=1e-9)
    assert found.q_p[row] == pytest.approx(other.q_p, rel=1e-8)
    assert found.k[row] == other.k


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("cluster", ["study", None])
@pytest.mark.parametrize(
    "options", [{}, {"test": "t", "degrees_of_freedom": "containment", "method": "ML", "level": 0.9}]
)
def test_leave_one_out_refits(model, cluster, options):
    frame = frame_of(1)
    V = cf.sampling_covariance("vi", "study", 0.5, data=frame)
    fit = cf.multilevel("yi", V, data=frame, moderators="x", **model, **options)
    found = fit.leave_one_out(cluster)
    labels = [str(label) for label in np.unique(frame["study"])] if cluster else [f"row {i}" for i in range(fit.k)]
    assert list(found.labels) == labels
    assert found.by == ("cluster" if cluster else "effect")
    codes = frame["study"].to_numpy() if cluster else np.arange(fit.k)
    for row in range(0, len(labels), 3 if cluster else 9):
        kept = np.flatnonzero(codes != row)
        part = V.toarray()[np.ix_(kept, kept)]
        check_row(found, row, cf.multilevel("yi", part, data=frame.iloc[kept], moderators="x", **model, **options))


def test_leave_one_out_agrees_with_influence():
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame_of(2))
    one, two = fit.leave_one_out("study"), fit.influence("study")
    np.testing.assert_array_equal(one.components, two.components)
    np.testing.assert_allclose(one.q, two.q_deleted, rtol=1e-9)
    cook = (one.estimate - fit.estimate) ** 2 / fit.se**2
    np.testing.assert_allclose(cook, two.cook_distance, rtol=1e-7)


def test_a_cluster_that_cannot_be_spared_has_a_reason():
    frame = frame_of(1)
    frame["own"] = (frame["study"] == 3).astype(float)
    found = cf.multilevel("yi", "vi", random="study/es", data=frame, moderators="own").leave_one_out("study")
    assert np.isnan(found.estimate[3]).all()
    assert found.notes == ("Without 3: no fit. Some coefficients cannot be estimated.",)
    assert np.isfinite(found.estimate).sum() == 14
    assert "note: Without 3" in repr(found)


def test_variances_that_the_rest_cannot_tell_apart_have_a_reason():
    frame = pd.DataFrame({"study": [0, 0, 1, 2, 3, 4], "es": range(6), "vi": 0.1, "yi": [0, 1, 0.4, 0.9, 0.1, -0.5]})
    found = cf.multilevel("yi", "vi", random="study/es", data=frame).leave_one_out("study")
    assert np.isnan(found.estimate).tolist() == [True, False, False, False, False]
    assert "The variances cannot be told: study and study/es" in found.notes[0]


@pytest.mark.parametrize("model", MODELS)
def test_cumulative_adds_clusters(model):
    frame = frame_of(4)
    fit = cf.multilevel("yi", "vi", data=frame, **model)
    found = fit.cumulative("year", "study")
    years = frame.groupby("study")["year"].first().sort_values(kind="stable")
    assert list(found.labels) == [str(label) for label in years.index]
    assert np.isnan(found.estimate[0])
    assert "There is only one group of" in found.notes[0]
    for step in (4, 7):
        kept = frame["study"].isin(years.index[: step + 1])
        check_row(found, step, cf.multilevel("yi", "vi", data=frame[kept], **model))
    assert found.size.sum() == fit.k
    np.testing.assert_array_equal(found.order[frame["study"] == years.index[3]], 3)
    assert found.summary.index.name == "added"


def test_cumulative_adds_effects():
    frame = frame_of(5)
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
    found = fit.cumulative()
    assert found.labels[:2] == ("row 0", "row 1")
    assert found.estimate[-1] == pytest.approx(fit.estimate, rel=1e-7)
    assert np.isnan(found.estimate[0])
    assert found.k.tolist() == list(range(1, fit.k + 1))
    precise = fit.cumulative("precision")
    assert precise.labels[0] == f"row {int(frame['vi'].argmin())}"
    lowest = fit.cumulative("estimate", "study")
    assert lowest.labels[0] == str(frame.groupby("study")["yi"].mean().idxmin())


def test_cumulative_in_the_order_of_the_data():
    frame = frame_of(6).sample(frac=1, random_state=3)
    found = cf.multilevel("yi", "vi", random="study/es", data=frame).cumulative(cluster="study")
    assert list(found.labels) == [str(label) for label in frame["study"].unique()]


def test_bad_orders():
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame_of(2))
    with pytest.raises(cf.InputError, match="order: expected"):
        fit.cumulative([1, 2])
    with pytest.raises(cf.InputError, match="order, row 0"):
        fit.cumulative([np.nan, *range(fit.k - 1)])
    with pytest.raises(cf.InputError, match="order: expected a column"):
        fit.cumulative("when")
    with pytest.raises(cf.InputError, match="values of several kinds"):
        fit.cumulative(["a", *range(fit.k - 1)])
    with pytest.raises(cf.NotEstimableError, match="All effects are in one cluster"):
        fit.leave_one_out(np.zeros(fit.k))
    one = fit.cumulative(cluster=np.zeros(fit.k))
    assert one.estimate[0] == pytest.approx(fit.estimate, rel=1e-7)


def test_all_subsets():
    frame = frame_of(7, clusters=5)
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
    found = fit.subsets("study")
    assert found.complete
    assert len(found) == 31
    assert found.notes == ("5 subsets: no fit. There is only one group of study.",)
    members = np.stack([found.contains(j) for j in range(5)], axis=1)
    np.testing.assert_array_equal(members.sum(axis=1), found.units)
    for row in (2, 12, 30):
        kept = frame["study"].isin(np.flatnonzero(members[row]))
        other = cf.multilevel("yi", "vi", random="study/es", data=frame[kept])
        assert found.estimate[row] == pytest.approx(other.estimate, rel=1e-6)
        assert found.k[row] == other.k
        np.testing.assert_allclose(found.components[row], other.sigma2, rtol=1e-5, atol=1e-9)
        assert found.tau2[row] == pytest.approx(other.sigma2.sum(), rel=1e-5)
        assert found.i2[row] == pytest.approx(other.i2.sum(), rel=1e-5)
        assert found.q[row] == pytest.approx(other.q, rel=1e-9)
    np.testing.assert_array_equal(found.contains("2"), found.contains(2))
    assert found.summary.loc["max", "k"] == fit.k
    assert "all the non-empty subsets of 5 clusters" in repr(found)
    assert found.to_dict()["n"] == 31
    table = gosh_table(found, study="1")
    assert int(table["holds"].sum()) == 16
    assert "I²" in gosh_plot(found).get_ylabel()


def test_a_sample_of_subsets():
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame_of(8))
    one, two, three = (fit.subsets("study", maximum=12, seed=seed) for seed in (5, 5, 6))
    assert not one.complete
    assert one.seed == 5
    assert len(one) == 12
    np.testing.assert_array_equal(one.estimate, two.estimate)
    assert not np.array_equal(one.k, three.k)


def test_subsets_of_correlated_effects_have_no_total_variance():
    frame = frame_of(9)
    found = cf.multilevel("yi", "vi", random="arm | study", structure="CS", data=frame, moderators="arm").subsets(
        "study", maximum=6
    )
    assert np.isnan(found.tau2).all()
    assert found.estimate.shape == (6, 2)
    assert "estimate Intercept" in found.to_frame()


def test_bad_subsets():
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame_of(2))
    with pytest.raises(cf.InputError, match="maximum: expected a whole number above zero"):
        fit.subsets("study", maximum=0)
    with pytest.raises(cf.NotEstimableError, match="All effects are in one cluster"):
        fit.subsets(np.zeros(fit.k))
    found = fit.subsets("study", maximum=3)
    with pytest.raises(cf.InputError, match="unit: expected one of"):
        found.contains("nobody")
    with pytest.raises(cf.InputError, match="unit: expected a place from 0 to 7"):
        found.contains(8)
