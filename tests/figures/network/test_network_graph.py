"""The network graph draws what the fit holds, and no label lies over another one."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from comfrey.errors import InputError
from comfrey.figures.network import network_graph, network_graph_table
from comfrey.figures.network._labels import place_around
from comfrey.figures.network._layout import arrange, crossings, ring_angles
from comfrey.figures.style import to_svg
from comfrey.models.network import contrasts, network

ALL = ["smoking", "diabetes_REML", "depression", "parkinson", "star", "chain", "islands", "two", "forty",
       "star of forty"]  # fmt: skip


def circles(ax):
    return [patch for patch in ax.patches if isinstance(patch, Circle)]


def lines(ax):
    return [line for line in ax.lines if line.get_zorder() == 2]


@pytest.mark.parametrize("name", ALL)
def test_every_treatment_and_comparison_is_drawn_once(shape, name):
    net = shape(name)
    ax = network_graph(net)
    assert len(circles(ax)) == len(net.treatments)
    assert len(lines(ax)) == len(network_graph_table(net))
    words = [text.get_text() for text in ax.texts]
    for treatment in net.treatments:
        assert any(treatment in word for word in words) or all(part in " ".join(words) for part in treatment.split())


@pytest.mark.parametrize("name", ALL)
def test_no_word_lies_over_another_one(shape, name):
    ax = network_graph(shape(name))
    renderer = FigureCanvasAgg(ax.figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in ax.texts if text.get_text() and text.get_zorder() > 3]
    # a line of text is higher than its letters: neighbours may touch by this much of a pixel's height
    shrunk = [(b.x0 + 1, b.x1 - 1, b.y0 + 3, b.y1 - 3) for b in boxes]
    for a, b in itertools.combinations(shrunk, 2):
        assert not (a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3])
    page = ax.figure.bbox
    assert all(b.x0 >= -1 and b.x1 <= page.x1 + 1 and b.y0 >= -1 and b.y1 <= page.y1 + 1 for b in boxes)


def test_width_of_lines_is_proportional_to_studies(shape):
    net = shape("depression")
    ax, table = network_graph(net), network_graph_table(net)
    drawn = sorted(line.get_linewidth() for line in lines(ax))
    wanted = np.sort(table["k"].to_numpy())
    assert np.allclose(np.array(drawn) / drawn[-1], wanted / wanted[-1])
    assert table["k"].sum() == net.n_comparisons


def test_area_of_circles_is_proportional_to_participants(shape):
    net = shape("star")
    people = {t: 10.0 * (i + 1) for i, t in enumerate(net.treatments)}
    areas = sorted(c.get_radius() ** 2 for c in circles(network_graph(net, participants=people)))
    assert np.allclose(np.array(areas) / areas[-1], np.arange(1, 8) / 7)
    table = network_graph_table(net, of="treatments", participants=people)
    assert table["participants"].to_dict() == people


def test_contrasts_know_the_participants():
    arms = pd.DataFrame({"study": [1, 1, 2, 2], "treatment": list("ABAC"), "x": [5, 9, 7, 8], "n": [50, 60, 70, 80]})
    source = contrasts(arms, "OR", events="x", total="n")
    table = network_graph_table(network(source, method="EE"), of="treatments", participants=source)
    assert table["participants"].to_dict() == {"A": 120, "B": 60, "C": 80}


def test_parts_stand_apart_each_with_its_caption(shape):
    ax = network_graph(shape("islands"))
    captions = [t.get_text() for t in ax.texts if t.get_text().startswith("Part ")]
    assert sorted(captions) == [
        "Part 1: 4 treatments, 4 studies", "Part 2: 3 treatments, 2 studies", "Part 3: 2 treatments, 2 studies",
    ]  # fmt: skip


def test_lines_take_the_level_of_their_studies(shape):
    net = shape("star")
    levels = {str(i): "high" if i < 2 else "low" for i in range(12)}
    table = network_graph_table(net, risk_of_bias=levels)
    assert table.loc[("Drug 1", "Placebo"), ["low", "high"]].tolist() == [1, 1]
    assert table.loc[("Drug 1", "Placebo"), "risk_of_bias"] == "high"  # of equals, the worse one
    assert table.loc[("Drug 6", "Placebo"), "risk_of_bias"] == "low"
    best = network_graph_table(net, risk_of_bias=levels, judge=lambda found: min(found, key=["low", "high"].index))
    assert (best["risk_of_bias"] == "low").all()
    drawn = lines(network_graph(net, risk_of_bias=levels))
    assert len({(line.get_color(), str(line.get_linestyle())) for line in drawn}) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"participants": {"A": 1}}, "participants, row B"),
        ({"participants": {"A": 1, "B": -1}}, "above zero"),
        ({"risk_of_bias": {"0": "low"}}, "no level for 1, 2"),
        ({"risk_of_bias": dict.fromkeys("012", "odd")}, "levels"),
        ({"risk_of_bias": dict.fromkeys("012", "odd"), "levels": ["fine"]}, "without odd"),
        ({"risk_of_bias": dict.fromkeys("012", "low"), "judge": "mean"}, "judge"),
        ({"risk_of_bias": dict.fromkeys("012", "low"), "judge": lambda _: "odd"}, "judge"),
        ({"order": ["A"]}, "order"),
        ({"ax": Figure(figsize=(0.6, 0.3)).add_subplot()}, "at least"),
    ],
)
def test_bad_input_is_named(shape, options, words):
    with pytest.raises(InputError, match=words):
        network_graph(shape("two"), **options)


def test_what_is_no_network_is_refused():
    with pytest.raises(InputError, match=r"comfrey\.network"):
        network_graph({"A": 1})


def test_axes_that_are_given_are_used_and_hold_all(shape):
    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    assert network_graph(shape("smoking"), left) is left
    assert network_graph(shape("star"), right, title="", caption="") is right
    assert len(figure.axes) == 2


def test_the_same_network_gives_the_same_bytes(shape):
    for name in ("depression", "islands"):
        once, again = (to_svg(network_graph(shape(name)).figure, "net", "t", "d") for _ in range(2))
        assert once == again
        assert "<text" in once


def test_order_of_rows_does_not_change_the_picture(build):
    pairs = [("A", "B"), ("B", "C"), ("C", "D"), ("A", "D"), ("A", "C"), ("D", "E")]
    pictures = [to_svg(network_graph(build(p)).figure, "net", "t", "d") for p in (pairs, pairs[::-1])]
    assert pictures[0] == pictures[1]


def test_letters_that_the_font_lacks_are_drawn(build):
    ax = network_graph(build([("β-blocker", "Kava $5$"), ("β-blocker", "≥ 10 mg")]))
    to_svg(ax.figure, "net", "t", "d")


def test_a_planar_ring_has_no_crossings():
    cycle = np.array([[0, 3], [3, 1], [1, 4], [4, 2], [2, 0]])
    middle, ring = arrange(range(5), cycle, np.ones(5))
    place = np.argsort(ring)
    assert middle is None
    assert crossings(place, cycle) == 0


def test_declared_order_is_kept():
    edges = np.array([[0, 1], [0, 2], [0, 3], [1, 2]])
    assert arrange([3, 1, 0, 2], edges, np.ones(4), keep_order=True) == (None, [3, 1, 0, 2])


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 13, 27, 40, 90])
def test_labels_around_a_ring_never_overlap(count):
    rng = np.random.default_rng(count)
    for _ in range(20):
        sizes = [(float(w), float(h)) for w, h in zip(rng.uniform(0.1, 2.5, count), rng.uniform(0.1, 0.7, count),
                                                      strict=True)]  # fmt: skip
        radii, angles = rng.uniform(0.01, 0.2, count), ring_angles(count)
        boxes = place_around(angles, radii, 1.5, sizes)
        for a, b in itertools.combinations(boxes, 2):
            assert not a.overlaps(b)
        x, y = 1.5 * np.cos(angles), 1.5 * np.sin(angles)
        for box in boxes:
            low_x, high_x, low_y, high_y = box.edges
            away = np.hypot(x - np.clip(x, low_x, high_x), y - np.clip(y, low_y, high_y))
            assert (away > radii - 1e-9).all()
