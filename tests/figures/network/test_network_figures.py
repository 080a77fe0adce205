"""Every other figure of a network draws the numbers of the fit, and its table holds the same."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import comfrey.figures.network as figures
from comfrey.errors import InputError
from comfrey.figures.style import to_svg
from comfrey.models.network import network

SHAPES = ["star", "chain", "islands", "two", "smoking", "diabetes_REML"]
NAMES = ["network_graph", "league_plot", "network_forest", "rankogram", "net_heat_plot", "comparison_funnel",
         "contribution_plot"]  # fmt: skip


def words(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", SHAPES)
def test_every_figure_is_drawn_alike_each_time_and_has_its_table(shape, name, kind):
    net = shape(kind)
    if name == "rankogram" and net.n_parts > 1:
        with pytest.raises(InputError, match="subnetworks"):
            figures.rankogram(net)
        net = net.subnetworks[0]
    draw, table = getattr(figures, name), getattr(figures, f"{name}_table")
    assert isinstance(table(net), pd.DataFrame)
    ax = draw(net)
    assert ax.texts
    assert "nan" not in " ".join(words(ax))
    if kind in {"islands", "smoking"}:
        once, again = (to_svg(figure, "f", "t", "d") for figure in (ax.figure, draw(net).figure))
        assert once == again
        assert "<text" in once


@pytest.mark.parametrize("name", [n for n in NAMES if n not in {"league_plot", "contribution_plot"}])
def test_forty_treatments_can_be_drawn(shape, name):
    assert getattr(figures, name)(shape("forty")) is not None


def test_forty_treatments_have_a_league_table_and_contributions(shape):
    assert len(figures.league_plot_table(shape("forty"))) == 40 * 39
    assert len(figures.contribution_plot_table(shape("forty"))) == 39


@pytest.mark.parametrize("name", NAMES)
def test_axes_that_are_given_are_used(shape, name):
    ax = Figure(figsize=(12, 12)).add_subplot()
    assert getattr(figures, name)(shape("smoking"), ax, title="Mine", caption="Also mine") is ax
    assert {"Mine", "Also mine"} <= set(words(ax))


@pytest.mark.parametrize("name", NAMES)
def test_axes_that_are_too_small_are_refused(shape, name):
    ax = Figure(figsize=(0.8, 0.5)).add_subplot()
    with pytest.raises(InputError, match="at least"):
        getattr(figures, name)(shape("smoking"), ax)


def test_forest_draws_the_effects_of_the_fit(shape):
    net = shape("smoking")
    ax = figures.network_forest(net, reference="A")
    panel = ax.child_axes[0]
    dots = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
    table = figures.network_forest_table(net, reference="A")
    assert np.allclose(dots, net.effects.loc[table.index, "A"])
    assert np.allclose(np.log(table["ci_low"]), net.ci_low.loc[table.index, "A"])
    assert np.allclose(np.log(table["pi_high"]), net.pi_high.loc[table.index, "A"])
    bars = [line.get_xdata() for line in panel.lines if line.get_alpha() == 0.42]
    assert np.allclose([bar[0] for bar in bars], net.ci_low.loc[table.index, "A"])
    assert list(table.index) == [t for t in net.p_scores.sort_values(ascending=False).index if t != "A"]
    assert table["k_direct"].to_dict() == {"B": 3, "C": 15, "D": 2}


def test_forest_keeps_a_declared_order_and_says_which_side_is_good(shape):
    net = shape("diabetes_REML")
    order = sorted(net.treatments, reverse=True)
    table = figures.network_forest_table(net, reference="plac", order=order)
    assert list(table.index) == [t for t in order if t != "plac"]
    texts = words(figures.network_forest(net, reference="plac", order=order))
    assert "favours plac" in texts
    assert "Ordered by P-score." not in " ".join(texts)
    with pytest.raises(InputError, match="reference"):
        figures.network_forest(net, reference="tea")


def test_forest_compares_each_part_with_its_own_reference(shape):
    table = figures.network_forest_table(shape("islands"))
    assert table.groupby("part")["compared_with"].nunique().eq(1).all()
    assert table["estimate"].notna().all()
    assert len(table) == 9 - 3
    assert table.loc[table["part"] == 2, "pi_low"].isna().all()  # a tree of single studies predicts nothing


def test_league_holds_network_below_and_direct_above(shape):
    net = shape("smoking")
    table = figures.league_plot_table(net, order=list("ABCD"))
    below, above = table.loc[("D", "A")], table.loc[("A", "D")]
    assert math.isclose(math.log(below["estimate"]), net.effects.loc["A", "D"])
    assert math.isclose(math.log(below["ci_high"]), net.ci_high.loc["A", "D"])
    assert (below["treatment_1"], above["treatment_1"]) == ("A", "A")
    direct = net._direct
    where = next(i for i in range(6) if (direct.first[i], direct.second[i]) == (0, 3))
    assert math.isclose(math.log(above["estimate"]), direct.estimate[where])
    texts = words(figures.league_plot(net, order=list("ABCD")))
    assert f"{below['estimate']:.2f}" in texts
    assert f"{below['ci_low']:.2f} to {below['ci_high']:.2f}" in texts


def test_league_shows_other_models_and_other_networks(shape, build):
    net = shape("smoking")
    table = figures.league_plot_table(net, upper="common", order=list("ABCD"))
    assert math.isclose(math.log(table.loc[("A", "D"), "estimate"]), net.common_effects.loc["A", "D"])
    other = network([0.3, 0.2], [0.1, 0.1], ["A", "A"], ["B", "D"], [1, 2], method="EE", measure="OR")
    table = figures.league_plot_table(net, upper=other, order=list("ABCD"))
    assert math.isclose(math.log(table.loc[("A", "D"), "estimate"]), 0.2)
    assert math.isnan(table.loc[("A", "C"), "estimate"])
    with pytest.raises(InputError, match="upper"):
        figures.league_plot(net, upper="best")


def test_league_hatches_what_no_chain_connects(shape):
    ax = figures.league_plot(shape("islands"))
    hatched = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_hatch()]
    assert len(hatched) == 9 * 8 - (4 * 3 + 3 * 2 + 2 * 1)


def test_rankogram_never_goes_without_uncertainty(shape):
    net = shape("depression")
    ranking = net.ranking()
    ax = figures.rankogram(net)
    table = figures.rankogram_table(net)
    assert np.allclose(table[list(range(1, 10))], ranking.probabilities.loc[table.index])
    bars = [p for p in ax.child_axes[0].patches if isinstance(p, Rectangle)]
    tall = max(p.get_height() for p in bars)
    drawn = sorted(p.get_height() / tall for p in bars)
    chances = ranking.probabilities.to_numpy().ravel()
    assert np.allclose(drawn, np.sort(chances[chances > 0]) / chances.max())
    texts = words(ax)
    first = table.iloc[0]
    assert f"{first['mean_rank']:.1f} ({first['rank_low']:.0f} to {first['rank_high']:.0f})" in texts
    assert any("POTH" in text for text in texts)
    lines = [line.get_xdata() for line in ax.child_axes[0].lines if line.get_zorder() == 3]
    assert [tuple(x) for x in lines] == list(zip(table["rank_low"], table["rank_high"], strict=True))


def test_rankogram_takes_a_bayesian_ranking_and_an_order(shape):
    net = shape("smoking")
    ranking = net.bayesian().ranking()
    assert list(figures.rankogram_table(ranking, order=list("DCBA")).index) == list("DCBA")
    figures.rankogram(ranking)
    with pytest.raises(InputError, match="order"):
        figures.rankogram(net, order=["A"])
    with pytest.raises(InputError, match="ranking"):
        figures.rankogram("net")


def test_net_heat_holds_the_matrix_of_the_fit(shape):
    net = shape("diabetes_REML")
    table, found = figures.net_heat_plot_table(net), net.net_heat()
    inside = net.designs().detached.query("in_a_loop").index
    for row in table.to_dict("records"):
        assert math.isclose(row["heat"], found.heat.loc[row["row_design"], row["column_design"]], abs_tol=1e-12)
    assert set(table["row_design"]) == set(inside)
    assert np.allclose(
        table["contribution"], [found.contribution.loc[r, c] for r, c in table.index.to_list()], atol=1e-12
    )


@pytest.mark.parametrize("name", ["star", "chain", "two"])
def test_without_a_loop_net_heat_says_so(shape, name):
    assert any("No loop" in text for text in words(figures.net_heat_plot(shape(name))))
    assert figures.net_heat_plot_table(shape(name)).empty


def test_funnel_centres_each_comparison_at_its_direct_mean(shape):
    net = shape("depression")
    order = list(net.treatments)
    table = figures.comparison_funnel_table(net, order=order)
    assert len(table) == net.n_comparisons
    assert np.allclose(table["adjusted"], table["yi"] - table["centre"])
    assert np.allclose(table.loc[table["k"] == 1, "adjusted"], 0)
    weight = 1 / (table["se"] ** 2 + net.tau2)
    middle = (weight * table["adjusted"]).groupby([table["treatment_1"], table["treatment_2"]]).sum()
    assert np.allclose(middle, 0, atol=1e-9)
    turned = figures.comparison_funnel_table(net, order=order[::-1])
    assert np.allclose(np.sort(turned["adjusted"]), np.sort(-table["adjusted"]))
    panel = figures.comparison_funnel(net, order=order).child_axes[0]
    dots = np.array([line.get_xydata()[0] for line in panel.lines if line.get_zorder() == 3])
    assert np.allclose(dots, table[["adjusted", "se"]])


def test_funnel_without_an_order_keeps_to_the_reference(shape):
    net = shape("depression")
    table = figures.comparison_funnel_table(net)
    assert (table["treatment_2"] == net.reference).all()
    assert net.reference not in set(table["treatment_1"])


@pytest.mark.parametrize("per", ["comparison", "study"])
def test_contributions_are_those_of_the_fit(shape, per):
    net = shape("smoking")
    table = figures.contribution_plot_table(net, per=per)
    given = net.contributions(per=per)
    assert np.allclose(table, given.loc[table.index, table.columns])
    assert np.allclose(table.sum(axis=1), 1)
    texts = words(figures.contribution_plot(net, per=per))
    top = f"{100 * table.to_numpy().max():.0f}"
    assert top in texts


def test_contributions_by_risk_of_bias_fill_a_bar(shape):
    net = shape("smoking")
    levels = {s: ("low", "some concerns", "high")[i % 3] for i, s in enumerate(net._structure.studies)}
    options = {"per": "risk of bias", "risk_of_bias": levels}
    table = figures.contribution_plot_table(net, **options)
    assert list(table.columns) == ["low", "some concerns", "high"]
    assert np.allclose(table.sum(axis=1), 1)
    ax = figures.contribution_plot(net, **options)
    bars = [p.get_width() for p in ax.patches if abs(p.get_height() - 0.155) < 1e-6]
    whole = sum(bars) / len(table)
    assert np.allclose(np.array(bars) / whole, table.to_numpy().ravel())
    with pytest.raises(InputError, match="risk_of_bias"):
        figures.contribution_plot(net, per="risk of bias")
    with pytest.raises(InputError, match="rows"):
        figures.contribution_plot(net, rows="some")


def test_contributions_skip_pairs_that_nothing_connects(shape):
    table = figures.contribution_plot_table(shape("islands"))
    assert table.notna().all(axis=None)
    assert len(table) == 6 + 3 + 1


def test_a_network_that_knows_no_direction_is_drawn_all_the_same(build):
    net = build([("A", "B"), ("B", "C"), ("A", "C")] * 2, small_values=None, measure=None)
    assert "lower than A" in words(figures.network_forest(net, reference="A"))
    figures.league_plot(net)
    figures.comparison_funnel(net)
    with pytest.raises(InputError, match="small_values"):
        figures.rankogram(net)


def test_the_door_holds_each_figure_and_its_table():
    assert set(figures.__all__) == {*NAMES, *(f"{name}_table" for name in NAMES)}
    assert dir(figures) == sorted(figures.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = figures.pie
