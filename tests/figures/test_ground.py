"""Figures on a dark ground, and columns and ticks that read alike."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import comfrey as cf
from comfrey.figures import forest_plot, funnel_plot, to_png
from comfrey.figures._forest_rows import _aligned


def luminance(colour):
    parts = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def dark_axes(width, height):
    return Figure(figsize=(width, height), facecolor="#12181A").add_subplot()


def test_text_on_a_dark_figure_can_be_read():
    fit = cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08], study=list("abcd"))
    for ax in (forest_plot(fit, ax=dark_axes(9, 6)), funnel_plot(fit, ax=dark_axes(6, 5), labels=True)):
        written = [text for text in [*ax.texts, *ax.get_xticklabels(), ax.xaxis.label] if text.get_text()]
        for text in written:
            contrast = (luminance(text.get_color()) + 0.05) / (luminance("#12181A") + 0.05)
            assert contrast > 4.5, text.get_text()  # WCAG AA
        assert to_png(ax.figure, dpi=50)[:4] == b"\x89PNG"
        assert to_rgb(ax.figure.get_facecolor()) == to_rgb("#12181A")


def test_own_figures_are_white_and_keep_their_colours():
    ax = forest_plot(cf.pool([0.1, 0.5], [0.04, 0.05]))
    assert ax.figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    assert {text.get_color() for text in ax.texts} <= {"#1E2A2E", "#56666B"}


def test_means_have_one_number_of_decimals():
    assert _aligned([1203.3, 5.1, -12.25]) == ["1,203.30", "5.10", "−12.25"]
    assert _aligned([0.012, np.nan, 0.03]) == ["0.012", "", "0.030"]


def test_missing_labels_are_rows():
    labels = ["Alpha", None, "", float("nan")]
    assert cf.pool([0.1, 0.2, 0.3, 0.4], 0.1, study=labels).labels == ("Alpha", "row 1", "row 2", "row 3")
