"""Figures as files: text stays text, the same bytes each time, names for those who listen, colours with contrast."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from comfrey.figures.forest import forest_figure
from comfrey.figures.style import COLOURS, new_figure, to_png, to_svg


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_defines_it():
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", ["ink", "muted", "accent", "leaf"])
def test_text_and_marks_on_paper_pass_aa(name):
    assert contrast(COLOURS[name], COLOURS["paper"]) >= 4.5


def test_large_shapes_in_amber_and_edges_of_open_squares_pass_three_to_one():
    assert contrast(COLOURS["amber"], COLOURS["paper"]) >= 3
    assert contrast(COLOURS["accent"], COLOURS["paper"]) >= 3


def test_the_interval_stands_out_from_the_bar_beneath_it():
    assert contrast(COLOURS["accent"], COLOURS["faint"]) >= 3


@pytest.fixture
def finding(make_finding):
    return make_finding((0.6, 0.4, 0.85), ((0.5, 0.3, 0.9), (0.8, 0.4, 1.5)), scale="odds ratio", weights=(60, 40))


@pytest.fixture
def svg(finding):
    return to_svg(forest_figure(finding, "A < B & C"), "fig", "A < B & C", 'It "is"')


def test_text_in_an_svg_stays_text(svg):
    root = ET.fromstring(svg)  # noqa: S314 - our own
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Study 0", "Study 1", "A < B & C", "0.60 (0.40 to 0.85)"} <= {text.strip() for text in texts}


def test_an_svg_has_a_name_and_a_description_for_those_who_listen(svg):
    root = ET.fromstring(svg)  # noqa: S314 - our own
    assert root.get("role") == "img"
    ids = {node.get("id"): "".join(node.itertext()) for node in root.iter() if node.get("id")}
    title, description = root.get("aria-labelledby").split()
    assert ids[title] == "A < B & C"
    assert ids[description] == 'It "is"'


def test_ids_in_an_svg_are_its_own_and_every_reference_resolves(svg):
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("fig-") for name in ids)
    referred = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)
    assert set(referred) <= set(ids)


def test_an_svg_loads_nothing_and_carries_no_date(svg):
    assert not re.search(r'(href|src)="(?!#)', svg)
    assert "<image" not in svg
    assert "<script" not in svg
    assert "<metadata" not in svg
    assert "Comfrey Sans" not in svg


def test_the_same_figure_gives_the_same_bytes(finding):
    def drawn():
        return forest_figure(finding, "title")

    assert to_svg(drawn(), "a", "t", "d") == to_svg(drawn(), "a", "t", "d")
    assert to_png(drawn()) == to_png(drawn())


def test_a_figure_drawn_after_others_is_the_same(finding, make_finding):
    first = to_svg(forest_figure(finding, "title"), "a", "t", "d")
    to_png(forest_figure(make_finding((0.1, 0.05, 0.2), ((0.1, 0.05, 0.2),) * 4, scale="odds ratio"), "other"))
    assert to_svg(forest_figure(finding, "title"), "a", "t", "d") == first


def test_no_text_of_a_forest_plot_leaves_its_figure(finding, bcg_answers):
    for shown in (finding, bcg_answers.questions[0].findings[0]):
        figure = forest_figure(shown, shown.label, ("fewer events with the first", "more"))
        to_png(figure)
        whole = figure.bbox
        for ax in figure.axes:
            for text in (*ax.texts, ax.title):
                box = text.get_window_extent()
                assert box.x0 >= whole.x0 - 1, text.get_text()
                assert box.x1 <= whole.x1 + 1, text.get_text()
                assert box.y0 >= whole.y0 - 1, text.get_text()
                assert box.y1 <= whole.y1 + 1, text.get_text()


def test_the_house_style_leaves_the_users_own_settings_alone():
    import matplotlib as mpl

    from comfrey.figures.style import house_style

    before = dict(mpl.rcParams)
    with house_style():
        new_figure(2, 2)
    assert dict(mpl.rcParams) == before
