"""What is drawn is what the finding says: dots, bars, diamonds, arrows where an interval leaves the axis."""

from __future__ import annotations

import math

import pytest

from comfrey.figures.directions import direction_counts
from comfrey.figures.distribution import category_bars
from comfrey.figures.forest import forest, forest_figure
from comfrey.figures.prevalence import prevalence_by_group

STUDIES = ((10.0, 8.0, 12.0), (20.0, 15.0, 25.0), (40.0, 30.0, 55.0))


def bars(lines):
    return [(x[0], x[-1], y[0]) for x, y, marker in lines if len(x) == 2]


def dots(lines, *markers):
    return [(x[0], y[0]) for x, y, marker in lines if len(x) == 1 and marker in markers]


def test_a_row_of_prevalence_shows_estimate_both_intervals_and_each_study(axes, make_finding, lines_of, texts_of):
    finding = make_finding((20.0, 12.0, 30.0), STUDIES, pi=(5.0, 48.0))
    ax = prevalence_by_group([finding], ["Asia"], axes(), title="Lifetime", limit=60.0)
    drawn = lines_of(ax)
    assert (20.0, 0.0) in dots(drawn, "o")
    assert [x for x, y in dots(drawn, "o") if y != 0] == [10.0, 20.0, 40.0]
    assert {(12.0, 30.0, 0.0), (5.0, 48.0, 0.0)} <= set(bars(drawn))
    assert dots(drawn, ">") == []
    assert "Asia" in texts_of(ax)
    assert "20.0% (CI 12.0 to 30.0; PI 5.0 to 48.0)" in texts_of(ax)
    assert "3 studies, 300 people" in texts_of(ax)


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow_at_its_end(axes, make_finding, lines_of, texts_of):
    finding = make_finding((20.0, 12.0, 65.0), STUDIES, pi=(5.0, 90.0))
    ax = prevalence_by_group([finding], ["Asia"], axes(), title="", limit=60.0)
    drawn = lines_of(ax)
    assert dots(drawn, ">") == [(60.0, 0.0), (60.0, 0.0)]
    assert {(12.0, 60.0, 0.0), (5.0, 60.0, 0.0)} <= set(bars(drawn))
    assert "20.0% (CI 12.0 to 65.0; PI 5.0 to 90.0)" in texts_of(ax)


def test_one_study_is_a_diamond_without_a_faint_dot_behind(axes, make_finding, lines_of):
    ax = prevalence_by_group([make_finding((8.0, 7.0, 9.0), ((8.0, 7.0, 9.0),))], ["A"], axes(), title="", limit=60.0)
    drawn = lines_of(ax)
    assert dots(drawn, "D") == [(8.0, 0.0)]
    assert dots(drawn, "o") == []


def test_a_group_without_a_study_says_so_in_its_row(axes, make_finding, lines_of, texts_of):
    ax = prevalence_by_group([make_finding(None)], ["Africa"], axes(), title="", limit=60.0)
    assert lines_of(ax) == []
    assert texts_of(ax) == ["Africa", "no eligible study"]


def test_rows_stand_in_the_order_given(axes, make_finding):
    findings = [make_finding((value, value - 1, value + 1), STUDIES) for value in (30.0, 10.0, 20.0)]
    ax = prevalence_by_group(findings, ["c", "a", "b"], axes(), title="", limit=60.0)
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert heights["c"] > heights["a"] > heights["b"]


def test_the_axis_begins_at_nothing_and_ends_at_the_common_limit(axes, make_finding):
    ax = prevalence_by_group([make_finding((20.0, 12.0, 30.0), STUDIES)], ["A"], axes(), title="", limit=70.0)
    assert ax.get_xlim() == (0, 70)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0%", "20%", "40%", "60%"]


def test_a_bar_of_a_category_is_as_long_as_its_share(axes, make_finding, lines_of, texts_of):
    finding = make_finding((46.0, 30.0, 60.0), STUDIES, pi=(10.0, 85.0))
    ax = category_bars([finding, make_finding(None)], ["hitting", "biting"], axes(), title="")
    (bar,) = ax.patches
    assert (bar.get_x(), bar.get_width()) == (0, 46.0)
    assert {(30.0, 60.0, 0.0), (10.0, 85.0, 0.0)} <= set(bars(lines_of(ax)))
    assert "no eligible study" in texts_of(ax)


def test_intervals_of_a_category_that_leave_the_axis_end_in_arrows(axes, make_finding, lines_of):
    finding = make_finding((46.0, 30.0, 75.0), STUDIES, pi=(10.0, 85.0))
    drawn = lines_of(category_bars([finding], ["hitting"], axes(), title="", limit=60.0))
    assert dots(drawn, ">") == [(60.0, 0.0), (60.0, 0.0)]
    assert {(30.0, 60.0, 0.0), (10.0, 60.0, 0.0)} <= set(bars(drawn))


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_each_study_has_one_mark_on_its_side_and_meaning_is_not_by_colour_alone(narrow, axes, make_finding, lines_of):
    counts = {"lower": 3, "higher": 2, "no_difference": 1, "mixed": 1, "not_reported": 4}
    ax = direction_counts([make_finding(None, k=11, counts=counts)], axes(), title="", narrow=narrow)
    squares, middle = dots(lines_of(ax), "s"), dots(lines_of(ax), "o")
    assert len([x for x, _ in squares if x < 0]) == 3
    assert len([x for x, _ in squares if x > 0]) == 2
    assert len(middle) == 2
    assert max(abs(x) for x, _ in middle) < min(abs(x) for x, _ in squares)
    faces = {line.get_xdata()[0] > 0: line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "s"}
    assert faces[True] != faces[False]
    low, high = ax.get_xlim()
    assert all(low < x < high for x, _ in squares)


def diamond(ax):
    (patch,) = ax.patches
    return [tuple(float(value) for value in corner) for corner in patch.get_xy()[:4]]


def test_the_corners_of_the_diamond_are_the_pooled_estimate_and_its_interval(axes, make_finding, lines_of):
    studies = ((0.5, 0.3, 0.9), (0.8, 0.4, 1.5))
    finding = make_finding((0.6, 0.4, 0.85), studies, scale="odds ratio", pi=(0.3, 1.2), weights=(60.0, 40.0))
    ax = forest(finding, axes(), title="")
    left, top, right, bottom = diamond(ax)
    assert (left[0], right[0], top[0], bottom[0]) == (0.4, 0.85, 0.6, 0.6)
    assert left[1] == right[1]
    drawn = lines_of(ax)
    assert dots(drawn, "s") == [(0.5, 0.0), (0.8, -1.0)]
    assert {(0.3, 0.9, 0.0), (0.4, 1.5, -1.0)} <= set(bars(drawn))
    assert [(low, high) for low, high, y in bars(drawn) if y < -2] == [(0.3, 1.2)]
    assert ax.get_xscale() == "log"


def test_the_areas_of_squares_go_with_the_weights(axes, make_finding):
    studies = ((0.5, 0.3, 0.9), (0.8, 0.4, 1.5), (0.7, 0.2, 2.0))
    finding = make_finding((0.6, 0.4, 0.85), studies, scale="odds ratio", weights=(60.0, 30.0, 10.0))
    sizes = [line.get_markersize() for line in forest(finding, axes(), title="").lines if line.get_marker() == "s"]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_a_wide_interval_of_a_study_is_cut_with_arrows_at_both_ends_and_its_numbers_stay(
    axes, make_finding, lines_of, texts_of
):
    studies = ((0.5, 0.3, 0.9), (1.5, 0.001, 900.0))
    finding = make_finding((0.6, 0.4, 0.85), studies, scale="odds ratio", pi=(0.00001, 90000.0), weights=(99.0, 1.0))
    ax = forest(finding, axes(), title="")
    low, high = ax.get_xlim()
    drawn = lines_of(ax)
    assert (low, -1.0) in dots(drawn, "<")
    assert (high, -1.0) in dots(drawn, ">")
    assert len(dots(drawn, "<")) == len(dots(drawn, ">")) == 2
    assert "1.50 (0.0010 to 900)" in texts_of(ax)
    assert low < 0.3 < 0.9 < high
    assert math.isclose(low * high, 1)


def test_the_line_of_no_difference_stands_at_one_for_ratios_and_at_nought_for_differences(axes, make_finding):
    for scale, null in (("odds ratio", 1.0), ("standardised mean difference", 0.0)):
        finding = make_finding((0.6, 0.4, 0.85), ((0.5, 0.3, 0.9), (0.8, 0.4, 1.5)), scale=scale)
        ax = forest(finding, axes(), title="")
        assert any(list(line.get_xdata()) == [null, null] for line in ax.lines)


def test_where_there_is_no_prediction_interval_the_reason_is_written(axes, make_finding, texts_of):
    finding = make_finding((0.6, 0.4, 0.85), ((0.5, 0.3, 0.9), (0.8, 0.4, 1.5)), scale="odds ratio")
    assert any(text.startswith("No prediction interval") for text in texts_of(forest(finding, axes(), title="")))


@pytest.mark.parametrize("name", ["nssi", "bcg"])
def test_every_forest_plot_of_the_shipped_reviews_holds_its_numbers(name, request):
    for question in request.getfixturevalue(f"{name}_answers").questions:
        for finding in question.findings:
            if finding.role != "main" or finding.k < 2:
                continue
            ax = forest_figure(finding, finding.label).axes[0]
            texts = [text.get_text() for text in ax.texts]
            assert [tick.get_text() for tick in ax.get_yticklabels()] == []
            marks = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "s"]
            shown = [line.result.estimate for line in finding.studies if line.result]
            assert marks == pytest.approx(shown), finding.id
            assert {line.label for line in finding.studies} <= set(texts)
            if finding.result is not None:
                left, top, right, _ = diamond(ax)
                low, high = ax.get_xlim()
                result = finding.result
                assert (left[0], top[0], right[0]) == pytest.approx(
                    (max(result.ci_low, low), result.estimate, min(result.ci_high, high))
                )
                assert low <= top[0] <= high


def test_the_prevalence_figure_of_the_shipped_review_shows_every_region_at_its_estimate(nssi, nssi_answers):
    from comfrey.site.pictures import _panels, _row_label

    spec = nssi.spec.questions[0]
    main = [finding for finding in nssi_answers.questions[0].findings if finding.role == "main"]
    panels = [(split, [f for f in main if f.group["recall"] == split]) for split in spec.splits]
    for narrow in (False, True):
        figure = _panels(nssi, spec, panels, 70.0, narrow=narrow)
        for ax, (_, findings) in zip(figure.axes, panels, strict=True):
            big = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines
                   if line.get_marker() in {"o", "D"} and line.get_zorder() == 3]  # fmt: skip
            expected = [(f.result.estimate, -i) for i, f in enumerate(findings) if f.result]
            assert [x for x, _ in big] == pytest.approx([x for x, _ in expected])
            assert [y for _, y in big] == [y for _, y in expected]
            texts = [text.get_text() for text in ax.texts]
            assert {_row_label(nssi, spec, finding) for finding in findings} <= set(texts)
            assert texts.count("no eligible study") == sum(finding.k == 0 for finding in findings)
