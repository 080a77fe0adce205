"""Leaving out clusters is refitting without them."""

import numpy as np
import pandas as pd
import pytest

import comfrey as cf


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


@pytest.mark.parametrize("random", ["study/es", ["study", "lab"], "arm | study"])
@pytest.mark.parametrize("cluster", ["study", "es"])
def test_rows_are_refits(random, cluster):
    frame = frame_of()
    V = cf.sampling_covariance("vi", "study", 0.5, data=frame)
    fit = cf.multilevel("yi", V, random=random, data=frame, moderators="x")
    table = fit.leave_one_out(cluster)
    assert table["left_out"].tolist() == [str(label) for label in np.unique(frame[cluster])]
    for row, label in enumerate(np.unique(frame[cluster])[:6]):
        kept = (frame[cluster] != label).to_numpy()
        part = V.toarray()[np.ix_(kept, kept)]
        other = cf.multilevel("yi", part, random=random, data=frame[kept], moderators="x")
        assert table.loc[row, "k"] == kept.sum()
        found = table.loc[row, ["estimate", "se", "ci_low", "ci_high", "p_value"]].to_numpy(dtype=float)
        expected = [other.estimate, other.se, other.ci_low, other.ci_high, other.p_value]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
        names = other.variance_components["name"]
        np.testing.assert_allclose(
            table.loc[row, list(names)].to_numpy(dtype=float),
            other.variance_components["estimate"],
            rtol=1e-5,
            atol=1e-8,
        )
        gap = other.coefficients["estimate"].to_numpy() - fit.coefficients["estimate"].to_numpy()
        cook = gap @ np.linalg.solve(fit.covariance, gap)
        assert table.loc[row, "cook_distance"] == pytest.approx(cook, rel=1e-5)


def test_a_cluster_that_cannot_be_spared_has_a_reason():
    frame = frame_of(1)
    frame["own"] = (frame["study"] == 3).astype(float)
    table = cf.multilevel("yi", "vi", random="study/es", data=frame, moderators="own").leave_one_out("study")
    assert np.isnan(table.loc[3, "estimate"])
    assert "Without 3: no fit. The rest cannot estimate" in table.attrs["notes"][0]
    assert table["estimate"].notna().sum() == 8


def test_one_cluster_is_a_clear_error():
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame_of(2))
    with pytest.raises(cf.NotEstimableError, match="All effects are in one cluster"):
        fit.leave_one_out(np.zeros(fit.k))
