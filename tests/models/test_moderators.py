"""Moderators of any type a table can hold, and combinations that cannot be tested."""

import numpy as np
import pandas as pd
import pytest

import comfrey as cf

YI = [0.1, 0.5, 0.3, 0.9, 0.2, 0.7, 0.4, 0.6]
VI = [0.04, 0.05, 0.03, 0.08, 0.02, 0.06, 0.05, 0.04]
DOSE = [1, 2, 3, 4, 5, 7, 3, 1]
KIND = list("abababab")


def slopes(dose, formula="dose"):
    return cf.pool(YI, VI, moderators=formula, data=pd.DataFrame({"dose": dose}))


@pytest.mark.parametrize(
    "dose",
    [
        pd.Series(DOSE, dtype=object),
        pd.Series([float(value) for value in DOSE], dtype=object),
        np.array(DOSE, dtype=object),
        pd.array(DOSE, dtype="Int64"),
        pd.array(DOSE, dtype="Float64"),
        pd.Series([np.int64(value) for value in DOSE], dtype=object),
    ],
)
def test_numbers_of_any_type_are_a_slope(dose):
    expected = slopes(DOSE)
    found = slopes(dose)
    assert found.names == ("Intercept", "dose")  # not one coefficient for each value
    np.testing.assert_array_equal(found.beta, expected.beta)
    level = cf.multilevel(
        YI, VI, random="study", moderators="dose", data=pd.DataFrame({"study": range(8), "dose": dose})
    )
    assert level.p == 2


@pytest.mark.parametrize(
    "dose",
    [
        pd.Series([1, None, *DOSE[2:]], dtype=object),
        pd.Series([1, pd.NA, *DOSE[2:]], dtype=object),
        pd.Series([1.0, np.nan, *DOSE[2:]], dtype=object),
        pd.array([1, None, *DOSE[2:]], dtype="Int64"),
    ],
)
def test_gaps_among_numbers_drop_the_row_and_no_more(dose):
    found = slopes(dose)
    assert found.names == ("Intercept", "dose")
    assert found.dropped == ("row 1: dose missing",)
    expected = cf.pool(np.delete(YI, 1), np.delete(VI, 1), moderators="dose", data={"dose": np.delete(DOSE, 1)})
    np.testing.assert_array_equal(found.beta, expected.beta)


def test_numbers_as_text_are_categories_and_a_note_says_so():
    data = {"arm": list("12121212")}
    fit = cf.pool(YI, VI, moderators="arm", data=data)
    assert fit.names == ("Intercept", "arm[T.2]")
    assert fit.notes[0] == "arm holds numbers as text: each is a category of its own; give numbers for a slope"
    assert not any("as text" in note for note in cf.pool(YI, VI, moderators="C(arm)", data=data).notes)


@pytest.mark.parametrize(
    "kind",
    [
        pd.array(KIND, dtype="string"),
        pd.Series(KIND, dtype=object),
        pd.Categorical(KIND, categories=list("zabq")),  # z and q have no study
    ],
)
def test_categories_of_any_type_have_the_levels_that_occur(kind):
    data = pd.DataFrame({"kind": kind, "study": range(8)})
    fit = cf.pool(YI, VI, moderators="kind", data=data)
    assert fit.names == ("Intercept", "kind[T.b]")
    np.testing.assert_allclose(fit.beta, cf.pool(YI, VI, moderators="kind", data={"kind": KIND}).beta, rtol=1e-12)
    assert cf.multilevel(YI, VI, random="study", moderators="kind", data=data).p == 2
    np.testing.assert_allclose(fit.predict({"kind": ["b"]}).estimate, fit.beta.sum(), rtol=1e-12)


def test_a_level_that_only_a_dropped_row_has_is_no_level():
    kind = pd.Categorical(["a", "b", "c", *KIND[3:]])
    fit = cf.pool([*YI[:2], np.nan, *YI[3:]], VI, moderators="kind", data={"kind": kind})
    assert fit.names == ("Intercept", "kind[T.b]")


def test_a_gap_in_pandas_own_text():
    fit = cf.pool(YI, VI, moderators="kind", data={"kind": pd.array(["a", None, *KIND[2:]], dtype="string")})
    assert fit.dropped == ("row 1: kind missing",)


@pytest.mark.parametrize(
    ("formula", "data", "message"),
    [
        ("kind", {"kind": ["a"] * 8}, "kind has one level in all studies"),
        ("dose", {"dose": [value * 1e300 for value in DOSE]}, "found values of dose up to 7e[+]300. Change the unit"),
        ("dose", {"dose": [value * 1e-300 for value in DOSE]}, "found values of dose up to 7e-300. Change the unit"),
        ("dose", {"dose": [value + 1e12 for value in DOSE]}, "adds nothing to Intercept.*centre it"),
        ("cr(dose, df=3)", {"dose": DOSE}, "need constraints='center'"),
        ("ns(dose, df=3)", {"dose": DOSE}, "found 'ns'. Functions of formulas: C, bs, cr"),
        ("odd name", {"odd name": DOSE}, "Names with spaces or signs go in backticks"),
        ("dose", {"dose": DOSE[:5]}, "8 rows"),
        ("dose", {"dose": DOSE, "kind": KIND[:3]}, "a table, columns of one length"),
    ],
)  # fmt: skip
def test_what_a_moderator_cannot_be_is_said(formula, data, message):
    with pytest.raises(cf.ComfreyError, match=message) as caught:
        cf.pool(YI, VI, moderators=formula, data=data)
    assert "\x1b" not in str(caught.value)  # no colours of a terminal
    assert "\n" not in str(caught.value)


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame(np.column_stack([DOSE, DOSE]), columns=["dose", "dose"])
    with pytest.raises(cf.InputError, match="one column of each name, found 2 columns named 'dose'"):
        cf.pool(YI, VI, moderators="dose", data=frame)


def test_an_infinite_moderator_is_named_by_its_row_in_the_table():
    with pytest.raises(cf.InputError, match="moderators, row 3: expected finite values of dose"):
        cf.pool([np.nan, *YI[1:]], VI, moderators="dose", data={"dose": [*DOSE[:3], np.inf, *DOSE[4:]]})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 0], "finite weights, one or more of them not zero, found row 0"),
        ([[0, 1], [np.nan, 0]], "found row 1"),
        ([[0, 1], [0, 2]], "rows that are not combinations of each other"),
    ],
)
def test_combinations_that_cannot_be_tested(rows, message):
    with pytest.raises(cf.InputError, match=message):
        slopes(DOSE).contrast(rows)


def test_a_perfect_fit_has_no_test_though_rounding_leaves_a_residual():
    fit = cf.pool([0.1, 0.2, 0.3], [0.1, 0.1, 0.2], moderators="dose", data={"dose": [1, 2, 3]})
    assert fit.se.tolist() == [0.0, 0.0]
    assert np.isnan(fit.p_value).all()
    assert "fits perfectly" in fit.notes[0]
    with pytest.raises(cf.NotEstimableError, match="fits perfectly"):
        fit.contrast([0, 1])


def test_predictions_of_the_studies_themselves_and_of_one_row():
    fit = slopes(DOSE)
    np.testing.assert_allclose(fit.predict().estimate, fit.X @ fit.beta, rtol=1e-14)
    np.testing.assert_array_equal(fit.predict({"dose": 2}).to_numpy(), fit.predict({"dose": [2]}).to_numpy())


def test_predictions_on_the_scale_that_people_read():
    sizes = cf.effect_sizes("PFT", cases=[3, 10, 20, 8, 15], total=[30, 40, 90, 20, 60])
    fit = cf.pool(sizes, moderators="dose", data={"dose": DOSE[:5]})
    plain, read = fit.predict({"dose": [1, 6]}), fit.predict({"dose": [1, 6]}, scale="reading")
    n = 5 / np.sum(1 / np.array([30, 40, 90, 20, 60]))  # the harmonic mean
    assert list(read.columns) == ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
    for name in read.columns:
        np.testing.assert_allclose(read[name], sizes.measure.back_transform(plain[name].to_numpy(), n), rtol=1e-12)
    with pytest.raises(cf.InputError, match="scale: expected effect sizes that know their measure"):
        slopes(DOSE).predict(scale="reading")
    with pytest.raises(cf.InputError, match="scale"):
        slopes(DOSE).predict(scale="odds")


def test_a_model_of_a_constant_alone_prints_no_test_of_moderators():
    assert "nan" not in repr(slopes(DOSE, "1")).split("\n\n")[0]


@pytest.mark.parametrize(
    ("new_data", "message"),
    [({"kind": ["q"]}, "levels that were fitted"), ({"kind": [None, "a"]}, "complete"), ({"dose": [1]}, "kind")],
)
def test_new_data_that_a_multilevel_fit_cannot_use(new_data, message):
    fit = cf.multilevel(YI, VI, random="study", moderators="kind", data={"kind": KIND, "study": range(8)})
    with pytest.raises(cf.InputError, match=message):
        fit.predict(new_data)
