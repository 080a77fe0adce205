"""Many meta-analyses at once: the numbers of pool(), for every group."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comfrey as cf

METHODS = ("EE", "DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM")
COLUMNS = (
    "k", "estimate", "se", "statistic", "p_value", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2",
    "h2", "q", "q_p",
)  # fmt: skip


def ragged(seed, count=60, spread=1.5):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 14, count)
    groups = np.repeat(np.arange(count), sizes)
    vi = np.exp(rng.normal(-2, spread, groups.size))
    yi = rng.normal(0, np.sqrt(vi + rng.choice([0, 0.05, 0.5], count)[groups]))
    order = rng.permutation(groups.size)
    return yi[order], vi[order], groups[order]


def same(one, other, name):
    if isinstance(other, float) and math.isnan(other):
        return math.isnan(one)
    return one == pytest.approx(other, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("test", ["z", "hk", "hk-adhoc", "t"])
def test_every_group_has_the_numbers_of_pool(method, test):
    yi, vi, groups = ragged(1)
    table = cf.pool_many(yi, vi, groups, method=method, test=test)
    for group, row in table.iterrows():
        fit = cf.pool(yi[groups == group], vi[groups == group], method=method, test=test)
        for name in COLUMNS:
            assert same(row[name], getattr(fit, name), name), (group, name)
        assert row["global_maximum"] == fit.certificate.global_maximum


def test_groups_come_in_the_order_of_their_first_rows():
    table = cf.pool_many([1, 2, 3, 4.0], [1, 1, 1, 1], ["b", "a", "b", "a"], method="DL")
    assert list(table.index) == ["b", "a"]
    assert table["estimate"].tolist() == [2.0, 3.0]


def test_column_names_and_effect_sizes_work():
    frame = pd.DataFrame({"y": [1.0, 2, 3], "v": [1.0, 1, 2], "g": ["x", "x", "y"]}, index=[5, 5, 5])
    by_name = cf.pool_many("y", "v", "g", data=frame)
    sizes = cf.effect_sizes("GEN", estimate=frame["y"], variance=frame["v"])
    pd.testing.assert_frame_equal(by_name, cf.pool_many(sizes, groups=frame["g"]))
    assert "one study" in by_name.loc["y", "note"]


def test_missing_rows_are_counted_and_empty_groups_kept():
    table = cf.pool_many([1.0, np.nan, np.nan, 2.0], [1.0, 1, 1, 1], [0, 0, 1, 2])
    assert table["dropped"].tolist() == [1, 1, 0]
    assert table["k"].tolist() == [1, 0, 1]
    assert table.loc[1, "note"] == "no usable study"
    assert math.isnan(table.loc[1, "estimate"])


def test_equal_estimates_and_extreme_scales():
    base = np.array([0.1, 0.5, 0.9, 0.2])
    yi = np.concatenate([np.full(3, 0.3), base * 1e-140, base * 1e140])
    vi = np.concatenate([np.full(3, 0.1), np.full(4, 0.02) * 1e-280, np.full(4, 0.02) * 1e280])
    table = cf.pool_many(yi, vi, np.repeat([0, 1, 2], [3, 4, 4]))
    assert table.loc[0, "tau2"] == 0
    assert "all equal" in table.loc[0, "note"]
    fit = cf.pool(base, np.full(4, 0.02))
    assert table.loc[1, "tau2"] * 1e280 == pytest.approx(fit.tau2)
    assert table.loc[2, "tau2"] / 1e280 == pytest.approx(fit.tau2)


def test_no_studies_give_an_empty_table():
    assert len(cf.pool_many([], [], [])) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1, 0], [0, 0]), "vi, row 1"),
        (([1, 2], [1, 1], [0]), "the same number of each"),
        (([1, 2], [1, 1]), "the group of each study"),
        (([1, 2],), "the sampling variances"),
        (([1, 2], [1, 1], ["a", None]), "groups, row 1"),
        (([1, 2], [1, 1], [[0, 0]]), "one group a study|same number"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(cf.InputError, match=message):
        cf.pool_many(*arguments)


def test_ten_thousand_groups_are_all_proved_and_agree():
    rng = np.random.default_rng(8)
    vi = rng.gamma(1.0, 0.2, (10_000, 8)) + 0.003
    yi = rng.normal(0, np.sqrt(vi + 0.1))
    table = cf.pool_many(yi.ravel(), vi.ravel(), np.repeat(np.arange(10_000), 8))
    assert table["global_maximum"].all()
    for row in range(0, 10_000, 500):
        assert table.loc[row, "tau2"] == pytest.approx(cf.pool(yi[row], vi[row]).tau2, rel=1e-9, abs=1e-12)


rows = st.lists(st.tuples(st.floats(-20, 20), st.floats(-5, 3).map(lambda x: 10.0**x)), min_size=2, max_size=9)


@settings(max_examples=80, deadline=None)
@given(rows, st.sampled_from(METHODS))
def test_one_group_is_pool(found, method):
    yi, vi = np.array(found).T
    row, fit = cf.pool_many(yi, vi, np.zeros(yi.size, int), method=method).iloc[0], cf.pool(yi, vi, method=method)
    scale = max(1e-12, float(vi.min()))
    assert row["tau2"] == pytest.approx(fit.tau2, rel=1e-7, abs=1e-9 * scale)
    assert row["estimate"] == pytest.approx(fit.estimate, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_equal_estimates_far_from_zero_have_no_tau2(method):
    table = cf.pool_many(np.full(4, 1e18), np.array([7.6e20, 1e20, 3.7e20, 7e19]), np.zeros(4, int), method=method)
    assert table.loc[0, "tau2"] == 0.0
    assert table.loc[0, "global_maximum"]
