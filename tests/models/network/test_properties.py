"""What must not change when the same data come in another guise."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfrey.errors import ComfreyError
from comfrey.models.network import network

METHODS = ["EE", "DL", "ML", "REML"]


def fit(columns, method="REML", **options):
    return network(*columns, method=method, small_values="desirable", **options)


@pytest.mark.parametrize("method", METHODS)
def test_plain_algebra_agrees(random_network, dense, method):
    columns = random_network(3)
    net, model = fit(columns, method), dense(*columns)
    theta, cov, _, _ = model.solve(net.tau2)
    np.testing.assert_allclose(net.effects.iloc[1:, 0], theta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(net.covariance.iloc[1:, 1:], cov, rtol=1e-9, atol=1e-12)
    assert net.q == pytest.approx(model.solve(0.0)[2], rel=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_renaming_treatments_renames_the_results(random_network, method):
    y, v, a, b, s = random_network(4)
    turn = {f"T{i}": f"Z{9 - i}" for i in range(6)}
    one = fit((y, v, a, b, s), method)
    two = fit((y, v, [turn[x] for x in a], [turn[x] for x in b], s), method)
    assert two.tau2 == pytest.approx(one.tau2, rel=1e-9)
    names = list(one.treatments)
    other = [turn[t] for t in names]
    np.testing.assert_allclose(two.effects.loc[other, other], one.effects.loc[names, names], atol=1e-9)
    np.testing.assert_allclose(two.p_scores[other], one.p_scores[names], atol=1e-9)
    for kind in ("random-walk", "shortest-path"):
        left, right = one.contributions(kind), two.contributions(kind)
        back = {new: old for old, new in turn.items()}
        right = right.rename(index=back, columns=back)
        for pair in left.index:
            for edge in left.columns:
                p = pair if pair in right.index else pair[::-1]
                e = edge if edge in right.columns else edge[::-1]
                assert right.loc[p, e] == pytest.approx(left.loc[pair, edge], abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_order_of_rows_and_direction_of_rows_do_not_matter(random_network, method):
    y, v, a, b, s = random_network(5)
    one = fit((y, v, a, b, s), method)
    order = np.random.default_rng(0).permutation(len(y))
    flip = np.random.default_rng(1).random(len(y)) < 0.5
    frame = pd.DataFrame({"y": y, "v": v, "a": a, "b": b, "s": s}).iloc[order]
    frame.index = range(100, 100 + len(frame))
    turned = frame.assign(
        y=np.where(flip, -frame.y, frame.y), a=np.where(flip, frame.b, frame.a), b=np.where(flip, frame.a, frame.b)
    )
    two = network("y", "v", "a", "b", "s", method=method, small_values="desirable", data=turned)
    pd.testing.assert_frame_equal(one.effects, two.effects, atol=1e-9)
    pd.testing.assert_frame_equal(one.split().sort_index(), two.split().sort_index(), atol=1e-7)
    assert two.q_inconsistency == pytest.approx(one.q_inconsistency, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-6, 1e5])
def test_scale_scales(random_network, method, scale):
    y, v, a, b, s = random_network(6)
    one = fit((y, v, a, b, s), method)
    two = fit((np.multiply(y, scale), np.multiply(v, scale**2), a, b, s), method)
    assert two.tau2 == pytest.approx(one.tau2 * scale**2, rel=1e-8)
    np.testing.assert_allclose(two.effects, one.effects * scale, rtol=1e-8, atol=1e-9 * scale)
    np.testing.assert_allclose(two.p_scores, one.p_scores, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_parts_are_analysed_as_if_alone(random_network, method):
    one, two = random_network(7), random_network(8)
    moved = (two[0], two[1], [f"U{x}" for x in two[2]], [f"U{x}" for x in two[3]], [f"U{x}" for x in two[4]])
    both = fit(tuple(x + y for x, y in zip(one, moved, strict=True)), method)
    assert both.n_parts == 2
    assert "2 parts" in " ".join(both.notes)
    for columns, sub in zip((one, moved), both.subnetworks, strict=True):
        alone = fit(columns, method)
        names = list(alone.treatments)
        pd.testing.assert_frame_equal(both.effects.loc[names, names], alone.effects)
        pd.testing.assert_frame_equal(both.pi_low.loc[names, names], alone.pi_low)
        pd.testing.assert_frame_equal(sub.effects, alone.effects)
        np.testing.assert_allclose(both.p_scores[names], alone.p_scores)
        np.testing.assert_allclose(
            both.contributions().loc[alone.contributions().index, alone.contributions().columns],
            alone.contributions(),
        )
        split = both.split()
        pd.testing.assert_frame_equal(split.loc[alone.split().index], alone.split())
    assert both.effects.loc["T0", "UT0"] != both.effects.loc["T0", "UT0"]
    assert np.isnan(both.tau2) == (method != "EE")
    assert both.to_dict()["tau2"] is None or method == "EE"
    assert both.q == pytest.approx(sum(net.q for net in both.subnetworks))


def test_one_tau2_for_all_parts_if_asked(random_network, dense):
    one, two = random_network(7), random_network(8)
    moved = (two[0], two[1], [f"U{x}" for x in two[2]], [f"U{x}" for x in two[3]], [f"U{x}" for x in two[4]])
    both = fit(tuple(x + y for x, y in zip(one, moved, strict=True)), "REML", shared_tau2=True)
    apart = [net.tau2 for net in both.subnetworks]
    assert min(apart) < both.tau2 < max(apart)


@pytest.mark.parametrize("method", ["EE", "ML", "REML"])
@pytest.mark.parametrize("variance", [1e10, 1e16])
def test_a_study_of_next_to_no_precision_changes_nothing(random_network, method, variance):
    # DL is not in the list: its degrees of freedom count every study alike.
    y, v, a, b, s = random_network(9)
    one = fit((y, v, a, b, s), method)
    two = fit(([*y, 0.7], [*v, variance], [*a, "T0"], [*b, "T4"], [*s, "new"]), method)
    assert two.tau2 == pytest.approx(one.tau2, rel=1e-6, abs=1e-9)
    pd.testing.assert_frame_equal(one.effects, two.effects, atol=1e-7)
    pd.testing.assert_frame_equal(one.standard_errors, two.standard_errors, atol=1e-7)


def test_a_pair_by_itself_is_a_part(random_network):
    y, v, a, b, s = random_network(10)
    net = fit(([*y, 0.5], [*v, 0.1], [*a, "X"], [*b, "Y"], [*s, "lone"]), "REML")
    assert net.n_parts == 2
    assert net.effects.loc["X", "Y"] == pytest.approx(0.5)
    assert net.effects["T0"].isna().sum() == 2
    assert net.summary.loc["Y", "compared_with"] == "X" or net.summary.loc["X", "compared_with"] == "Y"
    assert np.isnan(net.pi_low.loc["X", "Y"])
    assert any("degrees of freedom" in note for note in net.notes)
    assert net.parts["df"].tolist()[1] == 0
    net.designs()
    net.net_heat()
    net.league()
    net.split("SIDDE")


def test_two_treatments_are_a_pairwise_meta_analysis():
    y, v = np.array([0.1, 0.3, 0.35, 0.65, 0.45, 0.15]), np.array([0.03, 0.03, 0.05, 0.01, 0.05, 0.02])
    net = network(y, v, ["A"] * 6, ["B"] * 6, range(6), method="DL")
    w = 1 / v
    mean = (w * y).sum() / w.sum()
    q = (w * (y - mean) ** 2).sum()
    tau2 = (q - 5) / (w.sum() - (w**2).sum() / w.sum())
    w = 1 / (v + tau2)
    assert net.tau2 == pytest.approx(tau2, rel=1e-10)
    assert net.effects.loc["A", "B"] == pytest.approx((w * y).sum() / w.sum(), rel=1e-10)
    assert net.standard_errors.loc["A", "B"] == pytest.approx(w.sum() ** -0.5, rel=1e-10)
    assert net.q_inconsistency_df == 0
    assert net.q_heterogeneity == pytest.approx(q)
    assert net.contributions().iloc[0, 0] == pytest.approx(1)


def test_one_study_and_a_star_and_a_chain():
    one = network([0.4], [0.1], ["A"], ["B"], ["s"], small_values="desirable")
    assert (one.tau2, one.q, one.q_df) == (0.0, 0.0, 0)
    assert one.standard_errors.loc["A", "B"] == pytest.approx(0.1**0.5)
    assert one.ranking().p_scores.sum() == pytest.approx(1)
    star = network([0.1, 0.2, 0.3], [0.1] * 3, ["A", "B", "C"], ["P"] * 3, [1, 2, 3])
    assert star.split()["evidence"].isin(["direct only", "indirect only"]).all()
    assert star.contributions().loc[("A", "B")].tolist() == pytest.approx([0.5, 0.5, 0])
    chain = network([0.1, 0.2, 0.3], [0.1] * 3, ["A", "B", "C"], ["B", "C", "D"], [1, 2, 3])
    assert chain.effects.loc["A", "D"] == pytest.approx(0.6)
    assert chain.contributions().loc[("A", "D")].tolist() == pytest.approx([1 / 3] * 3)
    assert np.isnan(chain.q_inconsistency_p)
    assert "No loop" in " ".join(chain.designs().notes)


def test_tests_and_intervals(random_network):
    columns = random_network(11)
    from scipy import stats

    z, t, hk = (fit(columns, "REML", test=name) for name in ("z", "t", "hk"))
    se = z.standard_errors.loc["T0", "T1"]
    assert t.ci_high.loc["T0", "T1"] - t.effects.loc["T0", "T1"] == pytest.approx(stats.t.ppf(0.975, z.q_df) * se)
    assert z.ci_high.loc["T0", "T1"] - z.effects.loc["T0", "T1"] == pytest.approx(stats.norm.ppf(0.975) * se)
    factor = z._random.q / z.q_df
    assert hk.standard_errors.loc["T0", "T1"] == pytest.approx(se * factor**0.5)
    assert "Knapp-Hartung" in repr(hk)
    wide = fit(columns, "REML", level=0.99)
    assert wide.ci_low.loc["T0", "T1"] < z.ci_low.loc["T0", "T1"]


def test_nothing_beyond_the_fit_is_computed_until_it_is_asked_for(random_network):
    net = fit(random_network(12))
    assert net._cache == {}
    assert net.effects.shape == (6, 6)
    assert list(net._cache) == ["pairs"]


def test_results_speak(random_network):
    import json

    net = fit(random_network(13), measure="OR", reference="T2")
    assert "against T2" in repr(net)
    assert "<table" in net._repr_html_()
    json.dumps(net.to_dict(), allow_nan=False)
    assert net.summary.loc["T0", "estimate"] == net.effects.loc["T0", "T2"]
    for result in (net.designs(), net.net_heat(), net.ranking(), net.partial_order()):
        assert type(result).__name__ or repr(result)
        json.dumps(result.to_dict(), allow_nan=False)
        repr(result)


def test_league_reads_upper_left_against_lower_right(random_network):
    net = fit(random_network(14), "DL")
    names = list(net.p_scores.sort_values(ascending=False).index)
    table = net.league(digits=3)
    assert list(table.index) == names
    below = table.iloc[2, 0]
    assert float(below.split(" ")[0]) == pytest.approx(net.effects.loc[names[0], names[2]], abs=6e-4)
    both = net.league(upper="network", digits=3)
    assert both.iloc[0, 2] == both.iloc[2, 0]
    ratios = net.league(transform=True, digits=3, order=list(net.treatments))
    assert float(ratios.iloc[1, 0].split(" ")[0]) == pytest.approx(np.exp(net.effects.loc["T0", "T1"]), abs=6e-4)
    other = net.league(upper=fit(random_network(14), "EE"), digits=3, order=list(net.treatments))
    assert float(other.iloc[0, 1].split(" ")[0]) == pytest.approx(net.common_effects.loc["T0", "T1"], abs=6e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 7), st.sampled_from(METHODS))
def test_any_network_gives_numbers_or_a_clear_error(random_network, seed, n, method):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 10))
    y, v = rng.normal(size=k) * 10.0 ** rng.integers(-6, 6), 10.0 ** rng.uniform(-8, 8, k)
    a = rng.integers(0, n, k)
    b = (a + rng.integers(1, n, k)) % n
    try:
        net = fit((y, v, a, b, range(k)), method)
        table = net.split("SIDDE")
        walk = net.contributions()
    except ComfreyError:
        return
    inside = net._structure.island[:, None] == net._structure.island
    assert np.isfinite(net.effects.to_numpy()[inside]).all()
    assert (net._tau2 >= 0).all()
    total = walk.sum(axis=1, min_count=1).dropna()
    assert (np.abs(total - 1) < 1e-6).all()
    assert table["proportion"].between(0, 1).all()
