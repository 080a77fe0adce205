"""Permutation tests and subgroup analyses."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import comfrey as cf

CONTENT = json.loads((Path(__file__).parents[1] / "reference" / "metareg_bcg.json").read_text(encoding="utf-8"))


def bcg():
    return pd.DataFrame(CONTENT["data"])


def test_all_signs_by_hand():
    yi, vi = np.array([0.4, 0.5, -0.1, 0.9, 0.7]), np.array([0.04, 0.05, 0.03, 0.08, 0.06])
    fit = cf.pool(yi, vi, method="DL", test="z")
    sizes = [
        abs(cf.pool(yi * sign, vi, method="DL", test="z").statistic) for sign in itertools.product((1, -1), repeat=5)
    ]
    found = cf.permutation_test(fit)
    assert found.exact
    assert found.permutations == 32
    assert found.p_value[0] == np.mean(np.array(sizes) >= abs(fit.statistic) - 1e-9)


def test_all_orders_by_hand():
    frame = pd.DataFrame({"x": [1.0, 2, 3, 5], "y": [0.1, 0.4, 0.3, 1.2], "v": [0.1, 0.2, 0.1, 0.3]})
    fit = cf.pool("y", "v", data=frame, moderators="x", test="z")
    found = cf.permutation_test(fit)
    sizes = [
        abs(
            cf.pool(
                "y", "v", data=frame.assign(x=frame["x"].to_numpy()[list(order)]), moderators="x", test="z"
            ).statistic[1]
        )
        for order in itertools.permutations(range(4))
    ]
    assert found.permutations == 24
    assert found.p_value[1] == np.mean(np.array(sizes) >= abs(fit.statistic[1]) - 1e-9)
    assert found.omnibus_p == found.p_value[1]


def test_a_sample_is_repeatable():
    fit = cf.pool("yi", "vi", data=bcg(), moderators="ablat")
    one, two = cf.permutation_test(fit, 200, seed=3), cf.permutation_test(fit, 200, seed=3)
    assert one.p_value.tolist() == two.p_value.tolist()
    assert not one.exact
    # Higgins & Thompson 2004 report that the latitude effect survives permutation
    assert one.omnibus_p < 0.05
    assert "sample" in repr(one)


def test_permutation_refuses():
    with pytest.raises(cf.NotEstimableError, match="one study"):
        cf.permutation_test(cf.pool([1.0], [1.0]))
    with pytest.raises(cf.InputError, match="permutations"):
        cf.permutation_test(cf.pool([1.0, 2], [1.0, 1]), 0)


def test_subgroups_are_pools_of_their_studies():
    frame = bcg()
    found = cf.subgroups("yi", "vi", groups="alloc", data=frame)
    for name, fit in found.fits.items():
        own = frame[frame["alloc"] == name]
        assert fit.estimate == pytest.approx(cf.pool(own["yi"], own["vi"]).estimate)
    assert found.overall.k == 13
    assert list(found.summary.index) == ["random", "alternate", "systematic", "all studies"]


def test_a_common_tau2_makes_the_test_that_of_the_regression():
    found = cf.subgroups("yi", "vi", groups="alloc", data=bcg(), method="ML", test="z", common_tau2=True)
    expected = CONTENT["results"]["ML_z_alloc_treatment_coded"]
    assert found.q_between == pytest.approx(expected["QM"], rel=1e-8)
    assert found.q_between_p == pytest.approx(expected["QMp"], rel=1e-8)
    assert found.fits["random"].tau2 == pytest.approx(expected["tau2"], rel=1e-8)


def test_groups_of_one_study_are_pointed_at():
    found = cf.subgroups([1.0, 2, 3], [1.0, 1, 1], groups=["a", "a", "b"])
    assert found.notes[0].startswith("group b has one study")
    assert json.loads(json.dumps(found.to_dict()))["fits"]["b"]["tau2"] is None
    alone = cf.subgroups([1.0, 2], [1.0, 1], groups=["a", "b"], common_tau2=True)
    assert not alone.common_tau2


@pytest.mark.parametrize(
    ("groups", "message"),
    [(["a", "a", "a"], "two groups or more"), (["a", "b"], "3, one a study"), (["a", None, "b"], "groups, row 1")],
)
def test_bad_groups_are_refused(groups, message):
    with pytest.raises(cf.InputError, match=message):
        cf.subgroups([1.0, 2, 3], [1.0, 1, 1], groups=groups)


def test_subgroups_keep_their_counts_whole_and_their_names():
    yi, vi = [0.1, 0.2, 0.8, 0.9], [0.01] * 4
    table = cf.subgroups(yi, vi, groups=["a", "a", "all studies", "all studies"]).summary
    assert table["k"].tolist() == [2, 2, 4]
    assert table.index.tolist() == ["a", "all studies", "all studies"]


def test_a_group_of_one_study_says_how_the_test_weighs_it():
    yi, vi, groups = [0.1, 0.3, 0.8, 0.9], [0.01] * 4, ["a", "a", "a", "b"]
    assert "as if it had no heterogeneity" in cf.subgroups(yi, vi, groups=groups).notes[0]
    assert cf.subgroups(yi, vi, groups=groups, common_tau2=True).notes == ("group b has one study",)
