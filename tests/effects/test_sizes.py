"""What effect_sizes takes in, what it reports, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import comfrey as cf

TABLE = {"events_1": [4, 6, 3], "total_1": [123, 306, 231], "events_2": [11, 29, 11], "total_2": [139, 303, 220]}


def test_column_names_with_a_frame_of_odd_index_give_the_same_as_arrays():
    frame = pd.DataFrame({**TABLE, "trial": ["a", "b", "c"]}, index=[7, 7, -1])
    by_name = cf.effect_sizes("OR", data=frame, study="trial", **{name: name for name in TABLE})
    np.testing.assert_array_equal(by_name.yi, cf.effect_sizes("OR", **TABLE).yi)
    assert by_name.study == ("a", "b", "c")
    assert by_name.n.tolist() == [262, 609, 451]


@pytest.mark.parametrize("measure", ["RR", "OR", "RD", "AS", "PETO", "PHI", "YUQ", "YUY"])
def test_swapping_the_arms_flips_the_sign(measure):
    swapped = {
        "events_1": TABLE["events_2"], "total_1": TABLE["total_2"],
        "events_2": TABLE["events_1"], "total_2": TABLE["total_1"],
    }  # fmt: skip
    one, two = cf.effect_sizes(measure, **TABLE), cf.effect_sizes(measure, **swapped)
    np.testing.assert_allclose(one.yi, -two.yi, rtol=1e-13)
    np.testing.assert_allclose(one.vi, two.vi, rtol=1e-13)


def test_zero_cells_get_the_increment_and_it_is_reported():
    sizes = cf.effect_sizes("OR", events_1=[0, 5], total_1=[20, 20], events_2=[3, 4], total_2=[20, 20])
    assert sizes.increments.tolist() == [0.5, 0.0]
    assert sizes.yi[0] == pytest.approx(np.log(0.5 * 17.5 / (20.5 * 3.5)))
    assert "rows with a zero" in sizes.increment_rule


def test_increment_rules_differ_as_they_say():
    table = {"events_1": [0, 5], "total_1": [20, 30], "events_2": [3, 4], "total_2": [20, 10]}
    assert cf.effect_sizes("RR", **table, increment_to="all-rows").increments.tolist() == [0.5, 0.5]
    assert cf.effect_sizes("RR", **table, increment_to="all-if-any-zero").increments.tolist() == [0.5, 0.5]
    none = cf.effect_sizes("RR", **table, increment_to="none")
    assert np.isnan(none.yi[0])
    assert "no RR can be computed" in str(none.warnings[0])
    assert cf.effect_sizes("RR", **table, increment="other-arm", increment_to="all-rows").increments.tolist() == [
        0.5,
        0.75,
    ]


def test_double_zero_rows_can_be_left_out():
    table = {"events_1": [0, 5], "total_1": [20, 30], "events_2": [0, 4], "total_2": [20, 10]}
    assert np.isfinite(cf.effect_sizes("RR", **table).yi).all()
    dropped = cf.effect_sizes("RR", **table, double_zero="drop")
    assert np.isnan(dropped.yi[0])
    assert [note.code for note in dropped.warnings] == ["double-zero"]


def test_missing_values_stay_as_rows_without_an_estimate():
    sizes = cf.effect_sizes("PLO", cases=[3, None, 5], total=[10, 12, pd.NA], study=["a", "b", "c"])
    assert np.isnan(sizes.yi).tolist() == [False, True, True]
    assert [str(note) for note in sizes.warnings] == [
        "row 1 (b): no estimate: cases missing",
        "row 2 (c): no estimate: total missing",
    ]
    assert cf.pool(sizes).dropped == (
        "row 1 (b): no estimate: cases missing",
        "row 2 (c): no estimate: total missing",
    )


@pytest.mark.parametrize(
    ("measure", "columns", "message"),
    [
        ("XX", {}, "measure: expected the name of an effect measure, found 'XX'"),
        ("SDM", {}, "Near names: .*SMD"),
        ("RR", {"events_1": [1]}, "total_1: expected a column; RR needs events_1"),
        ("PLO", {"cases": [1], "total": [2], "n": [3]}, "n: expected for PLO: cases, total"),
        ("PLO", {"cases": [1, 5], "total": [2, 4]}, r"cases, row 1: expected at most total \(4\), found 5"),
        ("PLO", {"cases": [1, -5], "total": [2, 4]}, "cases, row 1: expected a count of zero or more, found -5"),
        ("PLO", {"cases": [1, 0], "total": [2, 0]}, "total, row 1: expected a number above zero, found 0"),
        ("PLO", {"cases": [1, 2], "total": [2, np.inf]}, "total, row 1: expected a finite number"),
        ("PLO", {"cases": [1, "two"], "total": [2, 4]}, "cases"),
        ("PLO", {"cases": [1, 2, 3], "total": [2, 4]}, "total: expected 3 values"),
        ("PLO", {"cases": [[1], [2]], "total": [2, 4]}, "cases: expected one value a study"),
        ("PLO", {"cases": "x", "total": "n"}, "Give data= to use column names"),
        (
            "PLO",
            {"cases": "x", "total": "n", "data": {"x": [1]}},
            r"total: expected a column of data \(x\), found 'n'",
        ),
        ("ZCOR", {"r": [1.5], "n": [20]}, "r, row 0: expected a correlation between -1 and 1"),
        ("MN", {"mean": [1.5], "sd": [-1], "n": [20]}, "sd, row 0"),
        ("GEN", {"estimate": [1.0]}, "exactly one of variance, se"),
        ("GEN", {"estimate": [1.0], "se": [0.1], "variance": [0.2]}, "exactly one of"),
        ("GEN", {"estimate": [1.0], "ci_low": [1.1], "ci_high": [1.2]}, "a value inside its interval"),
        ("GEN", {"estimate": [1.0], "ci_low": [1.1], "ci_high": [0.2]}, "less than ci_high"),
        ("GEN", {"estimate": [1.0], "p": [0.0]}, "p-value between 0 and 1"),
        ("OR", {"estimate": [-1.0], "se": [0.1], "scale": "reading"}, "estimate, row 0"),
        ("RR", {**TABLE, "increment": -1}, "increment: expected zero or a number above it"),
        ("RR", {**TABLE, "increment_to": "some"}, "increment_to: expected one of"),
    ],
)
def test_bad_input_is_named(measure, columns, message):
    with pytest.raises(cf.InputError, match=message):
        cf.effect_sizes(measure, **columns)


def test_given_estimates_in_every_form_agree():
    se = np.array([0.2, 0.5])
    yi = np.array([0.7, -0.4])
    forms = {
        "se": {"se": se},
        "variance": {"variance": se**2},
        "interval": {"ci_low": yi - stats.norm.ppf(0.975) * se, "ci_high": yi + stats.norm.ppf(0.975) * se},
        "t": {"t": yi / se},
        "f": {"f": (yi / se) ** 2},
        "p": {"p": 2 * stats.norm.sf(np.abs(yi / se))},
        "p with df": {"p": 2 * stats.t.sf(np.abs(yi / se), 20), "df": [20, 20]},
    }
    for form in forms.values():
        found = cf.effect_sizes("given", estimate=yi, **form)
        np.testing.assert_allclose(found.vi, se**2, rtol=1e-12)
        assert found.warnings == ()


def test_a_ratio_interval_read_as_logs_is_refused_or_pointed_at():
    table = {"estimate": [2.0], "ci_low": [1.0], "ci_high": [4.0]}
    assert cf.effect_sizes("OR", **table, scale="reading").warnings == ()
    with pytest.raises(
        cf.InputError, match=r"scale, row 0: .* or scale='reading', found 2 .1 to 4., which is symmetric as a ratio"
    ):
        cf.effect_sizes("OR", **table)
    assert [note.code for note in cf.effect_sizes("OR", **table, scale="analysis").warnings] == ["asymmetric-interval"]
    assert cf.effect_sizes("OR", estimate=[0.7], ci_low=[0.0], ci_high=[1.4]).warnings == ()


def test_delta_method_for_a_standard_error_on_the_reading_scale():
    found = cf.effect_sizes("PLO", estimate=[0.2], se=[0.04], scale="reading")
    assert found.vi[0] == pytest.approx((0.04 / 0.16) ** 2)


def test_a_standard_error_in_place_of_an_sd_is_pointed_at():
    sizes = cf.effect_sizes(
        "SMD", mean_1=[10, 11, 12, 10, 11], sd_1=[5, 6, 5.5, 0.5, 5], n_1=[100] * 5,
        mean_2=[9, 10, 12, 9, 10], sd_2=[5, 6, 5, 0.52, 5], n_2=[100] * 5,
    )  # fmt: skip
    assert {(note.row, note.code) for note in sizes.warnings} == {(3, "sd-like-se")}


def test_an_impossible_standardised_difference_is_pointed_at():
    one = {"sd_1": [1], "n_1": [30], "mean_2": [0], "sd_2": [1], "n_2": [30]}
    assert cf.effect_sizes("SMD", mean_1=[8], **one).warnings[0].code == "impossible-difference"
    assert cf.effect_sizes("SMD", mean_1=[1], **one).warnings == ()


def test_means_of_two_signs_have_no_ratio():
    sizes = cf.effect_sizes("ROM", mean_1=[-1], sd_1=[1], n_1=[10], mean_2=[2], sd_2=[1], n_2=[10])
    assert np.isnan(sizes.yi[0])
    assert sizes.warnings[0].code == "not-estimable"


def test_change_measures_by_hand():
    paired = {"mean_pre": [10.0], "sd_pre": [4.0], "mean_post": [12.0], "sd_post": [5.0], "n": [20], "r": [0.6]}
    change_sd = np.sqrt(16 + 25 - 2 * 0.6 * 20)
    j = 0.9599  # Hedges' J for 19 degrees of freedom, four digits
    assert cf.effect_sizes("MC", **paired).vi[0] == pytest.approx(change_sd**2 / 20)
    assert cf.effect_sizes("SMCC", **paired).yi[0] == pytest.approx(2 / change_sd * j, rel=1e-3)
    assert cf.effect_sizes("SMCR", **paired).yi[0] == pytest.approx(2 / 4 * j, rel=1e-3)
    assert cf.effect_sizes("ROMC", **paired).yi[0] == pytest.approx(np.log(1.2))


@pytest.mark.parametrize("measure", ["PR", "PLN", "PLO", "PRZ", "PAS", "PFT"])
def test_back_transformation_returns_the_proportion(measure):
    sizes = cf.effect_sizes(measure, cases=[3, 10, 45], total=[30, 20, 50])
    back = sizes.measure.back_transform(sizes.yi, sizes.n)
    np.testing.assert_allclose(back, [0.1, 0.5, 0.9], rtol=1e-10)
    np.testing.assert_allclose(sizes.measure.transform([0.1, 0.5, 0.9], sizes.n), sizes.yi, rtol=1e-10)


def test_double_arcsine_ends_at_zero_and_one():
    sizes = cf.effect_sizes("PFT", cases=[0, 10], total=[10, 10])
    np.testing.assert_allclose(sizes.measure.back_transform(sizes.yi, sizes.n), [0, 1], atol=1e-12)


def test_measures_compare_with_names_and_print():
    sizes = cf.effect_sizes("RR", **TABLE)
    assert sizes.measure == "RR"
    assert sizes.measure != "OR"
    assert f"{sizes.measure}" == "RR"
    assert sizes.measure.reading_null == 1.0
    assert "log of the risk ratio" in repr(sizes)
    assert sizes.to_dict()["measure"] == "RR"
    assert list(sizes.to_frame()["reading"]) == pytest.approx(list(np.exp(sizes.yi)))


def test_every_measure_has_a_unique_name_and_labels():
    names = [measure.name for measure in cf.measures()]
    assert len(names) == len(set(names))
    assert all(measure.label and measure.axis_label for measure in cf.measures())


def test_test_statistics_give_back_the_effects_they_came_from():
    groups = {"mean_1": [10.0], "sd_1": [2.0], "n_1": [25], "mean_2": [9.0], "sd_2": [3.0], "n_2": [30]}
    own = cf.effect_sizes("SMD", **groups)
    pooled = np.sqrt((24 * 4 + 29 * 9) / 53)
    t = 1 / (pooled * np.sqrt(1 / 25 + 1 / 30))
    sizes = {"n_1": [25], "n_2": [30]}
    for form in ({"t": [t]}, {"f": [t**2], "sign": [1]}, {"p": [2 * stats.t.sf(t, 53)], "sign": [1]}):
        found = cf.effect_sizes("SMD", **form, **sizes)
        assert found.yi[0] == pytest.approx(own.yi[0], rel=1e-10)
        assert found.vi[0] == pytest.approx(own.vi[0], rel=1e-10)
        assert "reported" in found.derivation
    r, n = -0.4, 30
    t = r * np.sqrt((n - 2) / (1 - r**2))
    assert cf.effect_sizes("ZCOR", t=[t], n=[n]).yi[0] == pytest.approx(np.arctanh(r))
    assert cf.effect_sizes("COR", f=[t**2], n=[n], sign=[-1]).yi[0] == pytest.approx(r)
    with pytest.raises(cf.InputError, match="sign: expected a column"):
        cf.effect_sizes("SMD", f=[4.0], **sizes)
    with pytest.raises(cf.InputError, match="sign, row 0"):
        cf.effect_sizes("SMD", f=[4.0], sign=[0], **sizes)
    with pytest.raises(cf.InputError, match="p, row 0"):
        cf.effect_sizes("SMD", p=[0.0], sign=[1], **sizes)


def test_masked_values_are_missing_values():
    sizes = cf.effect_sizes("PLO", cases=np.ma.masked_array([3, 4], [False, True]), total=[10, 10])
    assert np.isnan(sizes.yi).tolist() == [False, True]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([m.name for m in cf.measures() if m.inputs]),
    st.lists(st.lists(st.floats(-1e4, 1e4), min_size=6, max_size=6), min_size=1, max_size=4),
)
def test_any_numbers_give_estimates_notes_or_a_named_error(name, rows):
    measure = next(m for m in cf.measures() if m == name)
    table = np.array(rows).T[: len(measure.inputs)]
    try:
        sizes = cf.effect_sizes(name, **dict(zip(measure.inputs, table, strict=True)))
    except cf.InputError:
        return
    noted = {note.row for note in sizes.warnings}
    for row in range(sizes.k):
        assert (np.isfinite(sizes.yi[row]) and np.isfinite(sizes.vi[row])) or row in noted


counts = st.integers(0, 60)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["RR", "OR", "RD", "AS", "PETO", "PHI", "YUQ", "YUY", "RTET", "OR2DN", "OR2DL"]),
    st.lists(st.tuples(counts, counts, counts, counts), min_size=1, max_size=5),
)
def test_any_table_gives_an_estimate_or_a_note(name, tables):
    a, b, c, d = np.array(tables).T
    sizes = cf.effect_sizes(name, events_1=a, total_1=a + b + 1, events_2=c, total_2=c + d + 1)
    noted = {note.row for note in sizes.warnings}
    for row in range(sizes.k):
        assert (np.isfinite(sizes.yi[row]) and sizes.vi[row] > 0) or row in noted


def test_the_tetrachoric_solves_its_equation():
    a, b, c, d = 12.0, 40.0, 30.0, 25.0
    rho = cf.effect_sizes("RTET", events_1=[a], total_1=[a + b], events_2=[c], total_2=[c + d]).yi[0]
    total = a + b + c + d
    limits = stats.norm.ppf([(a + c) / total, (a + b) / total])
    below = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf(limits)
    assert below == pytest.approx(a / total, rel=1e-6)


@pytest.mark.parametrize("cells", [(0, 20, 4, 30), (3, 30, 0, 22), (5, 0, 9, 20), (30, 2, 14, 0)])
def test_the_tetrachoric_of_a_table_with_an_empty_cell_is_no_number(cells):
    a, b, c, d = cells
    sizes = cf.effect_sizes("RTET", events_1=[a], total_1=[a + b], events_2=[c], total_2=[c + d])
    assert np.isnan(sizes.yi[0])  # the correlation is at its limit of -1 or 1, and has no variance there
    assert [note.code for note in sizes.warnings] == ["not-estimable"]


def test_a_partial_correlation_from_the_t_of_its_coefficient():
    r, n, m = np.array([0.3, -0.5]), np.array([40, 25]), np.array([3, 5])
    t = r * np.sqrt((n - m - 1) / (1 - r**2))
    own = cf.effect_sizes("PCOR", r=r, n=n, predictors=m)
    for form in ({"t": t}, {"f": t**2, "sign": np.sign(t)}):
        found = cf.effect_sizes("PCOR", **form, n=n, predictors=m)
        np.testing.assert_allclose(found.yi, own.yi, rtol=1e-13)
        np.testing.assert_allclose(found.vi, own.vi, rtol=1e-13)
        assert found.n.tolist() == [40, 25]


def test_degrees_of_freedom_that_are_not_needed_are_said_to_be():
    for precision in ({"se": [0.2, 0.3]}, {"t": [2.0, 3.0]}):
        sizes = cf.effect_sizes("GEN", estimate=[0.4, 0.9], df=[20, 30], **precision)
        assert sizes.derivation.endswith("df was given and is not needed for it")
    assert "not needed" not in cf.effect_sizes("GEN", estimate=[0.4, 0.9], p=[0.04, 0.01], df=[20, 30]).derivation
