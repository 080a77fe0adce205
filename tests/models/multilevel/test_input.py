"""Bad input, one by one: the error names the argument, the row, what was found and what was expected."""

import numpy as np
import pandas as pd
import pytest

import comfrey as cf

GOOD = pd.DataFrame(
    {
        "yi": [0.1, 0.4, -0.2, 0.5, 0.3, 0.2],
        "vi": [0.1, 0.2, 0.1, 0.3, 0.1, 0.2],
        "study": ["a", "a", "b", "b", "c", "c"],
        "es": range(6),
        "x": [1.0, 2, 3, 4, 5, 7],
        "time": [1, 2, 1, 4, 1, 2],
    }
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"yi": [0.1, np.nan, 0.2, 0.3, 0.1, 0.2]}, "yi, row 1: expected a finite number, found"),
        ({"yi": [0.1, "much", 0.2, 0.3, 0.1, 0.2]}, "yi, row 1: expected a finite number, found 'much'"),
        ({"yi": [0.1, np.inf, 0.2, 0.3, 0.1, 0.2]}, "yi, row 1: expected a finite number, found"),
        ({"yi": [0.1, 1e200, 0.2, 0.3, 0.1, 0.2]}, "yi, row 1: expected an effect below 1e+150, found 1e+200"),
        ({"yi": "effect"}, "yi: expected a column of data (yi, vi, study, es, x, time), found 'effect'"),
        ({"vi_or_V": [0.1, 0.0, 0.2, 0.3, 0.1, 0.2]}, "vi_or_V, row 1: expected a variance above zero, found 0.0"),
        ({"vi_or_V": [0.1, -1, 0.2, 0.3, 0.1, 0.2]}, "vi_or_V, row 1: expected a variance above zero, found -1.0"),
        ({"vi_or_V": [0.1, 0.2]}, "vi_or_V: expected 6 rows, one for each effect in yi, found 2 rows"),
        ({"vi_or_V": None}, "vi_or_V: expected sampling variances, or their covariance matrix, found None"),
        ({"random": "district/school"}, "random: expected a column of data"),
        ({"random": "study/"}, 'random: expected column names joined by "/"'),
        ({"random": ""}, "random: expected text such as"),
        ({"random": ["study", 3]}, "random: expected text such as"),
        ({"random": "es | "}, "random: expected one column on each side of the bar"),
        ({"random": "es | study/es"}, "random: expected one column on each side of the bar"),
        ({"random": ["study", "study"]}, "which divide the effects in the same way"),
        ({"random": "one"}, "random: expected two groups or more, found one group in one"),
        ({"random": "es | one"}, "random: expected two groups or more, found one group in one"),
        (
            {"random": ["arm | study", "study"]},
            "random: expected terms whose variances the data can tell apart, found arm | study and study",
        ),
        (
            {"random": ["arm | study", "es"], "structure": "UN"},
            "random: expected terms whose variances the data can tell apart, found arm | study and es",
        ),
        ({"moderators": "0 + study"}, "random: expected groups that differ at random, found study, whose groups"),
        ({"random": "gap"}, "random (gap), row 2: expected a label, found"),
        ({"random": "one | study"}, "random: expected two levels or more, found one level in one"),
        ({"structure": "UN"}, "structure: expected no structure without an inner | outer term"),
        (
            {"random": "es | study", "structure": "XX"},
            "structure: expected one of UN, CS, HCS, DIAG, ID, AR, HAR, CAR",
        ),
        (
            {"random": "es | study", "structure": ["UN", "CS"]},
            "structure: expected 1, one for each inner | outer term",
        ),
        ({"random": "time | study", "structure": "AR"}, "structure: expected equal gaps, found AR with unequal gaps"),
        ({"random": "study | es", "structure": "CAR"}, "random: expected numeric time points for structure CAR"),
        ({"method": "DL"}, "method: expected REML or ML, found 'DL'"),
        ({"test": "hk"}, "test: expected z or t, found 'hk'"),
        ({"degrees_of_freedom": "kr"}, "degrees_of_freedom: expected residual or containment"),
        ({"level": 95}, "level: expected a number between 0 and 1, such as 0.95, found 95"),
        ({"moderators": "nothing"}, "moderators: expected a formula over complete columns of data, found 'nothing'"),
        ({"moderators": "holes"}, "moderators: expected a formula over complete columns of data, found 'holes'"),
        ({"moderators": "x + twice"}, "moderators: expected columns that are not combinations of each other"),
        ({"moderators": np.ones(6)}, "moderators: expected a formula, or a matrix"),
        ({"moderators": np.ones((5, 1))}, "moderators: expected 6 rows, one for each effect, found 5 rows"),
        ({"moderators": np.full((6, 1), np.nan)}, "moderators, row 0: expected a finite number"),
        ({"moderators": np.zeros((6, 1))}, "moderators: expected columns that are not combinations of each other"),
    ],
)
def test_bad_input_is_named(change, message):
    data = GOOD.assign(
        one=1,
        arm=[1, 2, 1, 2, 1, 2],
        gap=["a", "b", None, "a", "b", "c"],
        holes=[1, 2, None, 3, 4, 5],
        twice=2 * GOOD["x"],
    )
    if "a column of data (" in message:
        data = GOOD
    arguments = {"yi": "yi", "vi_or_V": "vi", "random": "study", "data": data, **change}
    with pytest.raises(cf.InputError) as caught:
        cf.multilevel(**arguments)
    assert message in str(caught.value)


def test_names_without_data():
    with pytest.raises(cf.InputError, match="data: expected a DataFrame with the column 'yi'"):
        cf.multilevel("yi", "vi")
    with pytest.raises(cf.InputError, match="data: expected a DataFrame with the columns that `moderators` names"):
        cf.multilevel([0.1, 0.2, 0.4], [0.1, 0.1, 0.1], moderators="x")


@pytest.mark.parametrize("k", [0, 1, 2])
def test_too_few_effects(k):
    data = GOOD.iloc[:k].assign(study=list("ab")[:k])
    if k < 2:
        with pytest.raises(cf.NotEstimableError):
            cf.multilevel("yi", "vi", random="study", data=data)
    else:
        fit = cf.multilevel("yi", "vi", random="study", data=data)
        assert fit.converged
        with pytest.raises(cf.NotEstimableError, match="2 effects cannot tell 2 coefficients"):
            cf.multilevel("yi", "vi", random="study", data=data, moderators="x")


def test_odd_index_and_mixed_types():
    shuffled = GOOD.set_index(pd.Index([9, 9, 2, 2, 5, 1]))
    mixed = shuffled.assign(
        study=[1, 1, "b", "b", 2.5, 2.5], yi=shuffled["yi"].astype(str), vi=shuffled["vi"].astype("Float32")
    )
    first = cf.multilevel("yi", "vi", random="study/es", data=GOOD)
    second = cf.multilevel("yi", "vi", random="study/es", data=mixed)
    np.testing.assert_allclose(second.estimate, first.estimate, rtol=1e-6)  # single precision in the variances
    categories = GOOD.assign(study=pd.Categorical(GOOD["study"], categories=["z", "c", "b", "a"]))
    third = cf.multilevel("yi", "vi", random="study/es", data=categories)
    np.testing.assert_allclose(third.estimate, first.estimate, rtol=1e-10)


def test_prediction_needs_the_columns_of_the_formula():
    fit = cf.multilevel("yi", "vi", random="study", data=GOOD, moderators="x")
    with pytest.raises(cf.InputError, match="new_data: expected the columns of the formula"):
        fit.predict(pd.DataFrame({"y": [1.0]}))
    matrix = cf.multilevel("yi", "vi", random="study", data=GOOD, moderators=np.column_stack((np.ones(6), GOOD["x"])))
    assert matrix.coefficients["term"].tolist() == ["Intercept", "x2"]
    np.testing.assert_allclose(matrix.predict([[1, 2.0]])["estimate"], fit.predict({"x": [2.0]})["estimate"], rtol=1e-9)
    with pytest.raises(cf.InputError, match="new_data: expected 2 columns: Intercept, x2, found 3 columns"):
        matrix.predict([[1, 2, 3]])
    with pytest.raises(cf.InputError, match="term: expected one of study"):
        fit.random_covariance("es")
