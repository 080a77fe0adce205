"""Funnel, bubble, radial, drapery and profile plots, and what they share: points and curves are those of the fit."""

import ast
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from scipy import stats

import comfrey as cf
from comfrey import figures


def read(name):
    path = Path(__file__).parents[1] / "reference" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["data"]


def offsets(artist):
    return np.asarray(artist.get_offsets())


def test_funnel_points_lines_and_contours(fit, drawing):
    seen = drawing(figures.funnel_plot(fit))
    assert_allclose(offsets(seen.one("_studies")), np.column_stack((fit.yi, np.sqrt(fit.vi))))
    assert_allclose(seen.one("_estimate").get_xdata(), fit.estimate)
    assert seen.ax.yaxis_inverted()
    top = seen.ax.get_ylim()[0]
    for level in (0.1, 0.05, 0.01):
        z = stats.norm.isf(level / 2)
        left, right = seen.all(f"_contour {z:g}")
        assert_allclose(left.get_xy()[1], [-z * top, top])
        assert_allclose(right.get_xy()[1], [z * top, top])
    assert [t.get_text() for t in seen.ax.get_xticklabels()] == ["0.1", "0.2", "0.5", "1", "2"]


def test_funnel_of_proportions_has_no_contours(drawing):
    fit = cf.pool(cf.effect_sizes("PLO", cases=[30, 12, 55], total=[100, 80, 240]))
    assert [p for p in drawing(figures.funnel_plot(fit)).ax.patches if "_contour" in str(p.get_label())] == []
    with pytest.raises(cf.InputError, match="contours"):
        figures.funnel_plot(fit, contours=[0.05])


def test_funnel_of_a_regression_shows_residuals(regression, drawing):
    seen = drawing(figures.funnel_plot(regression))
    assert_allclose(offsets(seen.one("_studies"))[:, 0], regression.yi - regression.X @ regression.beta)
    assert seen.ax.get_xlabel() == "Residual"


def test_funnel_table_and_names(fit, drawing):
    table = figures.funnel_table(fit)
    assert table["study"].tolist() == list(fit.labels)
    seen = drawing(figures.funnel_plot(fit, labels=["TPT Madras 1980"]))
    assert "TPT Madras 1980" in seen.texts()
    assert drawing(figures.funnel_plot(fit, labels=True)).overlaps() == []
    with pytest.raises(cf.InputError, match="nobody"):
        figures.funnel_plot(fit, labels=["nobody"])


def test_bubbles_line_and_bands(regression, trials, drawing):
    table = figures.bubble_table(regression, points=21)
    seen = drawing(figures.bubble_plot(regression, points=21))
    bubbles = seen.one("_studies")
    assert_allclose(offsets(bubbles), np.column_stack((trials["ablat"], regression.yi)))
    assert_allclose(bubbles.get_sizes() / bubbles.get_sizes().sum(), regression.weights / 100)
    grid = np.linspace(min(trials["ablat"]), max(trials["ablat"]), 21)
    expected = regression.predict({"ablat": grid})
    line = seen.one("_line")
    assert_allclose(line.get_xdata(), grid)
    assert_allclose(line.get_ydata(), expected["estimate"])
    drawn = table[table["kind"] == "line"]
    for name in ("ci_low", "ci_high", "pi_low", "pi_high"):
        assert_allclose(drawn[name], expected[name])
    band = seen.one("_confidence").get_paths()[0].vertices
    assert_allclose(band[:, 1].min(), expected["ci_low"].min())


def test_bubbles_of_groups_and_of_several_moderators(sizes, trials, drawing):
    fit = cf.pool(sizes, moderators="ablat + C(alloc)", data=trials)
    with pytest.raises(cf.InputError, match="moderator"):
        figures.bubble_plot(fit)
    with pytest.raises(cf.InputError, match="data"):
        figures.bubble_plot(fit, "ablat")
    seen = drawing(figures.bubble_plot(fit, "alloc", data=trials))
    mean = fit.predict({"ablat": [np.mean(trials["ablat"])] * 3, "alloc": ["alternate", "random", "systematic"]})
    for i in range(3):
        assert_allclose(seen.one(f"_mean {i}").get_ydata(), mean["estimate"].iloc[i])
        assert_allclose(seen.one(f"_confidence {i}").get_ydata(), mean[["ci_low", "ci_high"]].iloc[i])
    table = figures.bubble_table(fit, "ablat", data=trials, at={"alloc": "systematic"}, points=5)
    held = fit.predict({"ablat": np.linspace(13, 55, 5), "alloc": ["systematic"] * 5})
    assert_allclose(table[table["kind"] == "line"]["estimate"], held["estimate"])
    with pytest.raises(cf.InputError, match="at"):
        figures.bubble_plot(fit, "ablat", data=trials, at={"year": 3})


def test_bubbles_of_a_spline_need_the_data(sizes, trials):
    fit = cf.pool(sizes, moderators="poly(ablat, 2)", data=trials)
    table = figures.bubble_table(fit, data=trials, points=7)
    line = table[table["kind"] == "line"]
    assert_allclose(line["estimate"], fit.predict({"ablat": np.linspace(13, 55, 7)})["estimate"])


def test_bubbles_leave_out_what_the_fit_left_out(trials, sizes, drawing):
    latitude = [None, *map(float, trials["ablat"][1:])]
    fit = cf.pool(sizes, moderators="ablat", data={"ablat": latitude})
    seen = drawing(figures.bubble_plot(fit, data={"ablat": latitude}))
    assert_allclose(offsets(seen.one("_studies"))[:, 0], trials["ablat"][1:])


def test_radial_points_line_and_interval(fit, drawing):
    seen = drawing(figures.radial_plot(fit))
    precision = 1 / np.sqrt(fit.vi + fit.tau2)
    assert_allclose(offsets(seen.one("_studies")), np.column_stack((precision, precision * fit.yi)))
    x, y = seen.one("_line").get_data()
    assert_allclose(y[1] / x[1], fit.estimate)
    ax, ay = seen.one("_interval").get_data()
    assert_allclose([ay[0] / ax[0], ay[-1] / ax[-1]], [fit.ci_low, fit.ci_high])
    assert drawing(figures.radial_plot(fit, labels=True)).overlaps() == []
    with pytest.raises(cf.InputError, match="fit"):
        figures.radial_plot(cf.pool([0.1, 0.2, 0.4], [0.1] * 3, moderators="x", data={"x": [1, 2, 4]}))


def test_drapery_crosses_the_level_where_the_intervals_end(fit, drawing):
    table = figures.drapery_table(fit, limits=(fit.pi_low - 1, fit.pi_high + 1), points=2001)
    at = table.index.to_numpy()
    for name, ends in (("pooled", (fit.ci_low, fit.ci_high)), ("prediction", (fit.pi_low, fit.pi_high))):
        assert_allclose(np.interp(ends, at, table[name]), 0.05, atol=1e-4)  # between two points of the grid
    assert_allclose(table.loc[fit.estimate, "pooled"], 1.0)
    assert_allclose(table[list(fit.labels)].max(), 1.0)
    seen = drawing(figures.drapery_plot(fit, labels=["TPT Madras 1980"]))
    assert_allclose(seen.one("_pooled").get_ydata(), figures.drapery_table(fit)["pooled"])
    assert len(seen.all("_study")) == fit.k


def test_drapery_without_heterogeneity_has_no_prediction(sizes):
    assert "prediction" not in figures.drapery_table(cf.pool(sizes, method="EE"))
    repeated = figures.drapery_table(cf.pool([0.1, 0.2], [0.1, 0.1], study=["pooled", "A"]))
    assert repeated.columns.tolist() == ["pooled (2)", "A", "pooled", "prediction"]


def test_profile_is_highest_at_the_estimate_and_cut_where_the_interval_ends(fit, drawing):
    curve = cf.profile_likelihood(fit)
    assert curve.maximum == pytest.approx(fit.log_likelihood, rel=1e-12)
    low, high = fit.tau2_interval("profile-likelihood")
    heights = dict(zip(curve.values, curve.log_likelihood, strict=True))
    assert heights[low] == pytest.approx(curve.cutoff, abs=1e-8)
    assert heights[high] == pytest.approx(curve.cutoff, abs=1e-8)
    assert heights[fit.tau2] == pytest.approx(curve.maximum, abs=1e-12)
    assert curve.log_likelihood.max() <= curve.maximum + 1e-12
    seen = drawing(figures.profile_plot(fit))
    assert_allclose(seen.one("_profile").get_ydata(), curve.log_likelihood)
    assert_allclose(seen.one("_estimate").get_xdata(), fit.tau2)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_profile_of_any_unit(sizes, scale):
    fit = cf.pool(sizes.yi * scale, sizes.vi * scale**2, method="ML")
    curve = cf.profile_likelihood(fit)
    assert curve.maximum == pytest.approx(fit.log_likelihood, rel=1e-9)


def test_profiles_of_regressions_multilevel_and_count_models(regression, schools, sizes):
    for model in (regression, schools, cf.count_model("OR", model="fixed-study", **dict(sizes.inputs))):
        curve = cf.profile_likelihood(model, points=15)
        assert curve.maximum == pytest.approx(model.log_likelihood, rel=1e-9)
        heights = dict(zip(curve.values, curve.log_likelihood, strict=True))
        assert heights[curve.estimate] == pytest.approx(curve.maximum, rel=1e-8)
        assert heights[curve.ci_high] == pytest.approx(curve.cutoff, abs=1e-5)
    inner = cf.profile_likelihood(schools, "district/school", points=9)
    assert inner.estimate == pytest.approx(schools.sigma2[1])
    assert figures.profile_plot(inner).get_xlabel() == "sigma² (district/school)"
    with pytest.raises(cf.InputError, match="parameter"):
        cf.profile_likelihood(schools, "town")
    with pytest.raises(cf.NotEstimableError):
        cf.profile_likelihood(cf.pool(sizes, method="DL"))


def test_trim_and_fill_and_egger_are_drawn_in_the_funnel(drawing):
    data = read("bias_magnesium")
    fit = cf.pool(data["yi"], data["vi"], study=data["study"])
    found, test = cf.trim_and_fill(fit), cf.egger(fit)
    assert found.k0 > 0
    seen = drawing(figures.funnel_plot(fit, filled=found, regression=test))
    added = np.column_stack((found.yi[found.filled], np.sqrt(found.vi[found.filled])))
    assert_allclose(offsets(seen.one("_filled")), added)
    x, y = seen.one("_egger").get_data()
    assert_allclose(x, test.estimate + test.slope * y)
    assert figures.funnel_table(fit, filled=found)["filled"].sum() == found.k0
    curve = drawing(figures.funnel_plot(fit, regression=cf.egger(fit, predictor="variance"))).one("_egger")
    assert np.ptp(np.diff(curve.get_xdata())) > 0  # bent
    for bad in ({"filled": fit}, {"regression": fit}):
        with pytest.raises(cf.InputError, match=next(iter(bad))):
            figures.funnel_plot(fit, **bad)
    table = figures.forest_table(found)
    assert (table["kind"] == "study").sum() == fit.k + found.k0


def test_baujat_shows_the_influence_of_the_fit(fit, drawing):
    seen = drawing(figures.baujat_plot(fit))
    expected = fit.influence().baujat
    assert_allclose(offsets(seen.one("_studies")), expected.to_numpy())
    assert "Hart & Sutherland 1977" in seen.texts()
    assert seen.overlaps() == []
    again = drawing(figures.baujat_plot(fit.influence(), labels=False))
    assert_allclose(offsets(again.one("_studies")), expected.to_numpy())
    assert again.texts() == []
    with pytest.raises(cf.InputError, match="fit"):
        figures.baujat_plot(3)


def test_subsets_are_counted_cell_by_cell(sizes, drawing):
    fit = cf.pool(sizes.yi[:9], sizes.vi[:9], method="EE", study=sizes.study[:9])
    found = fit.subsets()
    table = figures.gosh_table(found, study="TPT Madras 1980")
    assert len(table) == 2**9 - 1
    assert table["holds"].sum() == 2**8
    seen = drawing(figures.gosh_plot(found, study="TPT Madras 1980", bins=30))
    one, two = seen.all("_density")
    several = table[table["k"] > 1]
    low, high, floor, top = one.get_extent()
    assert low < several["estimate"].min() < several["estimate"].max() < high
    assert (floor, top) == (0, 100)
    for image, part in ((one, several[several["holds"]]), (two, several[~several["holds"]])):
        counts = np.histogram2d(part["estimate"], part["i2"], bins=30, range=[(low, high), (0, 100)])[0].T
        assert_allclose(np.asarray(image.get_array())[..., 3] > 0, counts > 0)
    with pytest.raises(cf.InputError, match="against"):
        figures.gosh_plot(found, against="i3")
    with pytest.raises(cf.InputError, match="study"):
        figures.gosh_plot(found, study="nobody")


@pytest.mark.parametrize("name", ["funnel_plot", "radial_plot", "drapery_plot", "profile_plot", "baujat_plot"])
def test_axes_in_axes_out_with_any_number_of_studies(name):
    for k in (3, 60):
        rng = np.random.default_rng(k)
        fit = cf.pool(rng.normal(0.2, 0.5, k), rng.uniform(0.02, 0.4, k))
        ax = Figure(figsize=(5, 4)).subplots()
        assert getattr(figures, name)(fit, ax=ax, title="A title") is ax


@pytest.mark.parametrize("name", ["funnel_plot", "radial_plot", "drapery_plot"])
def test_one_study_alone(name):
    getattr(figures, name)(cf.pool([0.3], [0.04]))


def test_same_bytes_each_time(fit, regression):
    for draw in (
        lambda: figures.funnel_plot(fit, labels=True),
        lambda: figures.bubble_plot(regression),
        lambda: figures.radial_plot(fit),
        lambda: figures.drapery_plot(fit),
        lambda: figures.profile_plot(fit),
        lambda: figures.baujat_plot(fit),
        lambda: figures.gosh_plot(fit),
    ):
        one, two = (figures.to_svg(draw().figure, "x", "Title", "Words") for _ in range(2))
        assert one == two


def test_every_name_of_the_room_loads():
    assert sorted(figures._DOOR) == sorted(figures.__all__)
    assert all(getattr(figures, name) is not None for name in figures.__all__)
    assert cf.figures is figures
    with pytest.raises(AttributeError):
        figures.pie_chart  # noqa: B018


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(figures.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert {alias.name: node.module for node in block.body for alias in node.names} == figures._DOOR


def test_a_spline_with_a_gap_in_its_moderator_is_drawn_as_a_curve(drawing):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"dose": rng.uniform(0, 10, 30), "vi": rng.uniform(0.05, 0.3, 30)})
    data["yi"] = np.sin(data["dose"] / 2) + rng.normal(0, 0.2, 30)
    data.loc[3, "dose"] = np.nan
    fit = cf.pool("yi", "vi", moderators="bs(dose, df=4)", data=data)
    line = drawing(figures.bubble_plot(fit, data=data)).one("_line")
    predicted = fit.predict({"dose": line.get_xdata()})["estimate"]
    assert_allclose(line.get_ydata(), predicted.to_numpy())
