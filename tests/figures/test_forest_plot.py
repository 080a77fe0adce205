"""Forest plots of fits: what is drawn is what was fitted."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

import comfrey as cf
from comfrey.figures import LAYOUTS, forest_plot, forest_table, house_style, to_svg

LONG = "Łukasiewicz-Ångström and the International Collaborative Study Group on Something with a Long Name 1999"


def squares(seen):
    marks = [a for a in seen.ax.collections if str(a.get_label()).startswith("_study ")]
    return (
        np.array([m.get_offsets()[0][0] for m in marks]),
        np.array([m.get_offsets()[0][1] for m in marks]),
        np.array([m.get_sizes()[0] for m in marks]),
    )


def corners(patch):
    x = patch.get_xy()[:, 0]
    return x[0], x[1], x[2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_squares_whiskers_diamond_and_prediction_are_those_of_the_fit(fit, drawing, layout):
    seen = drawing(forest_plot(fit, layout=layout))
    x, y, area = squares(seen)
    assert_allclose(x, np.exp(fit.yi))
    assert (np.diff(y) < 0).all()  # in the order of the fit, downwards
    assert_allclose(area / area.sum(), fit.weights / 100)
    whiskers = [line.get_xdata() for line in seen.all("_interval")]
    half = 1.959963984540054 * np.sqrt(fit.vi)
    low, high = seen.ax.get_xlim()
    assert_allclose([ends[0] for ends in whiskers], np.maximum(np.exp(fit.yi - half), low))
    assert_allclose([ends[1] for ends in whiskers], np.minimum(np.exp(fit.yi + half), high))
    assert_allclose(corners(seen.all("_diamond")[0]), np.exp([fit.ci_low, fit.estimate, fit.ci_high]))
    (bar,) = seen.all("_span")
    assert_allclose(bar.get_xdata(), np.exp([fit.pi_low, fit.pi_high]))
    assert seen.ax.get_xscale() == "log"
    assert_allclose(seen.one("_null").get_xdata()[0], 1.0)


def test_table_holds_the_numbers_of_the_figure(fit, sizes):
    table = forest_table(fit, columns=sizes, arms=("Vaccinated", "Control"))
    studies = table[table["kind"] == "study"]
    assert_allclose(studies["estimate"], np.exp(fit.yi))
    assert_allclose(studies["weight"], fit.weights)
    assert studies["Vaccinated, events / total"].iloc[0] == "4 / 123"
    overall = table[table["kind"] == "overall"].iloc[0]
    assert_allclose([overall["low"], overall["high"]], np.exp([fit.ci_low, fit.ci_high]))
    assert overall["weight"] == 100
    prediction = table[table["kind"] == "prediction"].iloc[0]
    assert_allclose([prediction["low"], prediction["high"]], np.exp([fit.pi_low, fit.pi_high]))


def test_numbers_are_written_with_to_and_rounded_as_ratios(fit, drawing):
    texts = drawing(forest_plot(fit)).texts()
    assert "0.49 (0.33 to 0.73)" in texts
    assert "0.20 (0.086 to 0.49)" in texts  # two significant digits beyond a tenth
    assert "10.2%" in texts


def test_layouts_differ_by_data_alone(fit, drawing):
    revman, jama, bmj = (drawing(forest_plot(fit, layout=name)).texts() for name in ("revman", "jama", "bmj"))
    assert "0.49 [0.33, 0.73]" in revman
    assert "Test for overall effect: t = −3.95 (P = 0.002)" in revman
    assert "0.49 (0.33-0.73)" in jama
    assert any("P < .001" in text for text in jama)
    assert not any("tau²" in text for text in jama if text.startswith("Heterogeneity"))
    assert "0.49 (0.33 to 0.73)" in bmj
    own = dataclasses.replace(LAYOUTS["default"], interval="{low} < {estimate} < {high}", right=("estimate",))
    texts = drawing(forest_plot(fit, layout=own)).texts()
    assert "0.33 < 0.49 < 0.73" in texts
    assert "Weight" not in texts


def test_jama_writes_to_where_a_dash_could_be_a_minus(drawing):
    texts = drawing(forest_plot(cf.pool([-0.3, 0.6], [0.04, 0.05]), layout="jama")).texts()
    assert "−0.30 (−0.69 to 0.09)" in texts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_long_labels_never_overlap_numbers(layout, drawing):
    k = 12
    labels = [LONG, "Short 2001", "Χρήστου $5 and $6"] * 4
    fit = cf.pool(np.linspace(-1, 1, k), np.linspace(0.05, 0.6, k), study=labels)
    columns = {"Country": ["The United Kingdom of Great Britain and Northern Ireland", "Peru"] * 6, "Year": range(k)}
    ax = forest_plot(
        fit, layout=layout, columns=columns, title="A title", favours=("the new treatment", "usual care"),
        new=["Short 2001"],
    )  # fmt: skip
    seen = drawing(ax)
    assert seen.overlaps() == []
    plot = ax.get_window_extent()
    figure = ax.figure.bbox
    for text, box in seen.boxes():
        assert box.x0 >= figure.x0 - 1, text
        assert box.x1 <= figure.x1 + 1, text
        if plot.y0 + 1 < (box.y0 + box.y1) / 2 < plot.y1 - 1:
            assert box.x1 <= plot.x0 or box.x0 >= plot.x1, text


@pytest.mark.parametrize("k", [1, 2, 3, 60])
def test_any_number_of_studies(k, drawing):
    rng = np.random.default_rng(k)
    fit = cf.pool(rng.normal(0.2, 0.5, k), rng.uniform(0.02, 0.4, k))
    seen = drawing(forest_plot(fit))
    assert squares(seen)[0].size == k
    assert len(seen.all("_diamond")) == (1 if k > 1 else 0)
    assert seen.overlaps() == []


def test_intervals_beyond_the_axis_end_in_arrows(drawing):
    fit = cf.pool([0.3, -0.6], [0.04, 0.05])  # Knapp-Hartung with one degree of freedom: very wide
    seen = drawing(forest_plot(fit))
    low, high = seen.ax.get_xlim()
    assert fit.ci_low < low
    assert fit.ci_high > high
    arrows = seen.all("_arrow")
    assert sorted(a.get_xdata()[0] for a in arrows) == pytest.approx([low, low, high, high])
    assert_allclose(corners(seen.all("_diamond")[0]), [fit.ci_low, fit.estimate, fit.ci_high])


def test_long_titles_and_ends_are_broken_into_lines(drawing):
    title = (
        "A long title that says what was found and in whom and when, and that goes on for as long as it wants to go on"
    )
    for layout in LAYOUTS:
        ax = forest_plot(
            cf.pool([0.3, 0.5], [0.04, 0.05]), layout=layout, title=title,
            favours=("the new treatment with its long name", "usual care by the same people in the same place"),
        )  # fmt: skip
        seen = drawing(ax)
        assert seen.overlaps() == []
        for text, box in seen.boxes():
            assert 0 <= box.x0 < box.x1 <= ax.figure.bbox.x1, text
            assert 0 <= box.y0 < box.y1 <= ax.figure.bbox.y1 + 1, text


def test_limits_can_be_given(fit, drawing):
    seen = drawing(forest_plot(fit, limits=(0.2, 5)))
    assert seen.ax.get_xlim() == (0.2, 5)
    with pytest.raises(cf.InputError, match="limits"):
        forest_plot(fit, limits=(-1, 5))


def test_rows_left_out_are_listed_with_their_reason(drawing):
    fit = cf.pool([0.1, np.nan, 0.3], [0.04, 0.05, 0.03], study=["A", "B", "C"])
    ax = forest_plot(fit, columns={"Year": [1990, 1991, 1992]})
    texts = drawing(ax).texts()
    assert any("Left out: row 1 (B): yi or vi missing" in text for text in texts)
    assert "1992" in texts
    assert "1991" not in texts
    assert forest_table(fit)["kind"].tolist()[-1] == "left out"


def test_percentages_have_an_axis_from_0_to_100_and_no_null_line(drawing):
    es = cf.effect_sizes("PLO", cases=[30, 12, 55], total=[100, 80, 240])
    fit = cf.pool(es)
    seen = drawing(forest_plot(fit, columns=es))
    assert_allclose(squares(seen)[0], [30, 15, 100 * 55 / 240])
    assert seen.all("_null") == []
    assert "30 / 100" in seen.texts()
    assert seen.ax.get_xlim()[0] >= 0
    assert seen.ax.get_xscale() == "linear"


def test_double_arcsine_is_read_with_each_study_s_own_number(drawing):
    es = cf.effect_sizes("PFT", cases=[3, 12, 55], total=[10, 80, 240])
    fit = cf.pool(es)
    seen = drawing(forest_plot(fit))
    assert_allclose(squares(seen)[0], [30, 15, 100 * 55 / 240], rtol=1e-6)
    assert_allclose(corners(seen.all("_diamond")[0])[1], 100 * fit.reading.estimate)


def test_subgroups_have_diamonds_and_a_test(sizes, trials, drawing):
    groups = cf.subgroups(sizes, groups=trials["alloc"])
    seen = drawing(forest_plot(groups))
    drawn = [corners(patch) for patch in seen.all("_diamond")]
    expected = [*groups.fits.values(), groups.overall]
    assert_allclose(drawn, [np.exp([f.ci_low, f.estimate, f.ci_high]) for f in expected])
    assert any(text.startswith("Difference between groups: Q 1.86 on 2 df") for text in seen.texts(whole=True))
    table = forest_table(groups)
    for name, part in groups.fits.items():
        rows = table[(table["group"] == name) & (table["kind"] == "study")]
        assert_allclose(sorted(rows["estimate"]), sorted(np.exp(part.yi)))
    shares = table[table["kind"] == "subtotal"]["weight"]
    assert_allclose(shares.sum(), 100)


def test_groups_given_with_a_fit_are_pooled_as_the_fit_was(sizes, trials):
    fit = cf.pool(sizes, method="DL", test="z")
    same = cf.subgroups(sizes, groups=trials["alloc"], method="DL", test="z")
    pd.testing.assert_frame_equal(forest_table(fit, subgroups=trials["alloc"]), forest_table(same))
    pd.testing.assert_frame_equal(forest_table(fit, subgroups=same), forest_table(same))


def test_a_group_of_one_study_has_no_diamond(drawing):
    groups = cf.subgroups([0.1, 0.2, 0.9], [0.04, 0.03, 0.05], groups=["a", "a", "b"])
    assert forest_table(groups)["kind"].tolist().count("subtotal") == 1


def test_a_regression_shows_fitted_values(regression, drawing):
    seen = drawing(forest_plot(regression))
    fitted = regression.X @ regression.beta
    drawn = np.array([corners(patch) for patch in seen.all("_diamond")])
    assert_allclose(drawn[:, 1], np.exp(fitted))
    new = regression.predict({"ablat": regression.X[:, 1]})
    assert_allclose(drawn[:, 0], np.exp(new["ci_low"]))


def test_order_sorts_rows_and_their_cells(fit):
    table = forest_table(fit, order="estimate", columns={"place": range(13)})
    studies = table[table["kind"] == "study"]
    assert studies["estimate"].is_monotonic_increasing
    assert [int(cell) for cell in studies["place"]] == np.argsort(fit.yi, kind="stable").tolist()
    heaviest = forest_table(fit, order="weight").iloc[0]["label"]
    assert heaviest == fit.labels[int(np.argmax(fit.weights))]


def test_new_studies_have_a_shape_and_a_word(fit, drawing):
    seen = drawing(forest_plot(fit, new=["TPT Madras 1980"]))
    assert "TPT Madras 1980 (new)" in seen.texts()
    assert any("a new study" in text for text in seen.texts(whole=True))
    marks = {a.get_label(): a for a in seen.ax.collections}
    new, old = (marks[f"_study {name}"].get_paths()[0].vertices for name in ("TPT Madras 1980", "Aronson 1948"))
    assert not np.allclose(new, old)


def test_mantel_haenszel_peto_multilevel_and_count_models_are_drawn(trials, sizes, schools, drawing):
    columns = dict(sizes.inputs)
    for model in (cf.mantel_haenszel("RR", **columns), cf.peto(**columns)):
        seen = drawing(forest_plot(model))
        assert_allclose(corners(seen.all("_diamond")[0]), np.exp([model.ci_low, model.estimate, model.ci_high]))
        assert f"{model.weights[0]:.1f}%" in seen.texts()
    seen = drawing(forest_plot(schools))
    assert_allclose(corners(seen.all("_diamond")[0]), [schools.ci_low, schools.estimate, schools.ci_high])
    assert squares(seen)[0].size == schools.k
    odds = cf.effect_sizes("OR", **columns)
    counts = cf.count_model("OR", model="fixed-study", **columns)
    seen = drawing(forest_plot(counts, studies=odds))
    assert_allclose(corners(seen.all("_diamond")[0]), np.exp([counts.ci_low, counts.estimate, counts.ci_high]))
    with pytest.raises(cf.InputError, match="studies"):
        forest_plot(counts)


def test_axes_given_hold_the_whole_drawing(fit, sizes, drawing):
    figure = Figure(figsize=(13, 5.2))
    left, right = figure.subplots(1, 2)
    room = left.get_window_extent().frozen()
    ax = forest_plot(fit, left, columns=sizes, title="Left")
    forest_plot(fit, right, layout="bmj", favours=("a", "b"))
    assert ax is left
    for text, box in drawing(ax).boxes():
        assert room.x0 - 1 <= box.x0, text
        assert box.x1 <= room.x1 + 1, text
        assert room.y0 - 1 <= box.y0, text
        assert box.y1 <= room.y1 + 1, text
    assert drawing(ax).overlaps() == []


def test_axes_too_small_are_refused(fit, sizes):
    with pytest.raises(cf.InputError, match="ax: expected at least"):
        forest_plot(fit, Figure(figsize=(3, 2)).subplots(), columns=sizes)


def test_same_fit_same_bytes(fit, sizes):
    texts = [
        to_svg(forest_plot(fit, columns=sizes, layout=layout).figure, "forest", "Title", "What it is")
        for layout in ("default", "default")
    ]
    assert texts[0] == texts[1]
    assert ">TPT Madras 1980<" in texts[0].replace("\n", "")  # text stays text


def test_scaling_the_variances_of_tiny_and_huge_numbers(drawing):
    for size in (1e-6, 1e6):
        fit = cf.pool(np.array([0.1, 0.5, 0.3]) * size, np.array([0.04, 0.05, 0.03]) * size**2)
        seen = drawing(forest_plot(fit))
        assert seen.overlaps() == []
        assert_allclose(squares(seen)[0], fit.yi)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"layout": "lancet"}, "layout"),
        ({"labels": ["a"]}, "labels"),
        ({"columns": {"Year": [1, 2]}}, "columns"),
        ({"order": "size"}, "order"),
        ({"new": ["nobody"]}, "new"),
        ({"subgroups": ["a"] * 5}, "subgroups"),
        ({"columns": {}, "arms": ("one",)}, None),
        ({"ax": "figure"}, "ax"),
    ],
)
def test_bad_input_is_named(fit, options, word):
    if word is None:
        forest_plot(fit, **options)  # arms matter only for effect sizes
        return
    with pytest.raises(cf.InputError, match=word):
        forest_plot(fit, **options)


def test_something_that_is_no_fit_is_refused():
    with pytest.raises(cf.InputError, match="fit"):
        forest_plot([1, 2, 3])


def test_style_leaves_no_trace(fit):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    forest_plot(fit)
    with house_style():
        pass
    assert dict(mpl.rcParams) == before
