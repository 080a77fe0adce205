"""Meta-regression: what it does and refuses; its reference values are in the parity ledger."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import comfrey as cf

REFERENCE = Path(__file__).parents[1] / "reference"
CONTENT = json.loads((REFERENCE / "metareg_bcg.json").read_text(encoding="utf-8"))


@pytest.fixture
def bcg():
    return pd.DataFrame(CONTENT["data"])


def fit(frame, formula, **more):
    return cf.pool("yi", "vi", data=frame, moderators=formula, **more)


def test_reml_without_intercept_is_that_of_the_stated_model(bcg):
    # direct REML gives tau2 .0865, Q 48.70; a program that centres the estimates first gives .2986 and 209.69
    found = fit(bcg, "0 + ablat", test="z")
    assert found.tau2 == pytest.approx(0.0865, abs=5e-5)
    assert found.q == pytest.approx(48.70, abs=5e-3)
    assert math.isnan(found.r2)
    assert "no intercept" in found.notes[0]


def test_a_formula_of_a_constant_is_the_pooled_model(bcg):
    one, other = fit(bcg, "1"), cf.pool(bcg["yi"], bcg["vi"])
    assert one.beta[0] == pytest.approx(other.estimate, rel=1e-10)
    assert one.tau2 == pytest.approx(other.tau2, rel=1e-10)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10)


def test_units_of_a_moderator_do_not_matter(bcg):
    one = fit(bcg, "ablat")
    for factor in (1e-12, 1e12):
        other = fit(bcg.assign(ablat=bcg["ablat"] * factor), "ablat")
        assert other.tau2 == pytest.approx(one.tau2, rel=1e-8)
        assert other.beta[1] * factor == pytest.approx(one.beta[1], rel=1e-8)
        assert other.omnibus.p_value == pytest.approx(one.omnibus.p_value, rel=1e-8)


def test_contrasts_between_levels(bcg):
    found = fit(bcg, "alloc", test="z")
    by_name = found.contrast("`alloc[T.random]` - `alloc[T.systematic]` = 0")
    by_weight = found.contrast([[0, 1, -1]])
    assert by_name["estimate"][0] == pytest.approx(found.beta[1] - found.beta[2])
    assert by_name["p_value"][0] == pytest.approx(by_weight["p_value"][0])
    joint = found.contrast([[0, 1, 0], [0, 0, 1]]).attrs["joint"]
    assert joint == pytest.approx(found.omnibus)
    assert found.test_term("alloc") == pytest.approx(found.omnibus)


def test_splines_and_interactions_fit_and_predict(bcg):
    found = fit(bcg, "bs(ablat, df=3) + alloc", method="ML")
    assert found.test_term("bs(ablat, df=3)").df == 3
    table = found.predict({"ablat": [20, 40], "alloc": ["random", "systematic"]})
    assert np.isfinite(table.to_numpy()).all()
    np.testing.assert_allclose(found.predict(bcg)["estimate"], found.X @ found.beta)
    assert fit(bcg, "ablat * year").X.shape == (13, 4)
    assert found.vif()["df"].tolist() == [3, 2]


def test_rows_without_a_moderator_are_dropped_and_listed(bcg):
    gaps = bcg.assign(ablat=bcg["ablat"].astype(float).mask(bcg.index == 2))
    gaps.index = range(100, 113)
    found = fit(gaps, "ablat", study="study")
    assert found.k == 12
    assert found.dropped == ("row 2 (Rosenthal et al 1960): ablat missing",)
    whole = cf.pool("yi", "vi", data=bcg.drop(index=2), moderators="ablat")
    assert found.tau2 == pytest.approx(whole.tau2)


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("ablat +", cf.InputError, "a formula that can be read"),
        ("yi ~ ablat", cf.InputError, "right-hand side"),
        ("latitude", cf.InputError, "columns of data"),
        ("", cf.InputError, "a formula such as"),
        ("ablat + I(2 * ablat)", cf.NotEstimableError, "adds nothing"),
        ("C(year) + alloc", cf.NotEstimableError, "too few|adds nothing"),
        ("0", cf.InputError, "at least one"),
        ("log(0 * ablat)", cf.InputError, "finite|errors?"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_bad_formulas_are_refused(bcg, formula, error, message):
    with pytest.raises(error, match=message):
        fit(bcg, formula)


def test_data_of_another_length_are_refused(bcg):
    with pytest.raises(cf.InputError, match="13 rows, one a study"):
        cf.pool(bcg["yi"], bcg["vi"], moderators="ablat", data=bcg.head(5))
    with pytest.raises(cf.InputError, match="a table of the moderators"):
        cf.pool(bcg["yi"], bcg["vi"], moderators="ablat")


def test_new_levels_and_missing_variables_are_refused(bcg):
    found = fit(bcg, "alloc + bs(ablat, df=3)")
    for bad in ({"alloc": ["other"], "ablat": [30]}, {"alloc": ["random"]}, {"alloc": ["random"], "ablat": [99]}):
        with pytest.raises(cf.InputError, match="new_data"):
            found.predict(bad)
    with pytest.raises(cf.InputError, match="one of Intercept"):
        found.test_term("year")
    with pytest.raises(cf.InputError, match="equations over the coefficients"):
        found.contrast("nothing = 0")
    with pytest.raises(cf.InputError, match="6"):
        found.contrast([1, 2])


def test_results_print_and_turn_into_plain_values(bcg):
    found = fit(bcg, "ablat")
    assert "Meta-regression on ablat, 13 studies" in repr(found)
    assert json.loads(json.dumps(found.to_dict()))["names"] == ["Intercept", "ablat"]
    assert list(found.coefficients.columns) == [
        "term", "estimate", "se", "statistic", "df", "p_value", "ci_low", "ci_high",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "formula",
    ["year", "bs(year, df=3)", "cs(year, df=3) - 1", "poly(year, 2)", "center(year)", "bs(np.log(year), df=3)",
     "C(kind) + bs(year, df=3)", "bs(`year of print`, df=3)"],
)  # fmt: skip
def test_a_row_without_its_moderator_is_left_out_and_named_whatever_the_term(formula):
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"yi": rng.normal(size=20), "vi": 0.1, "kind": ["a", "b"] * 10})
    data["year"] = data["year of print"] = np.arange(1.0, 21.0)
    data.loc[7, ["year", "year of print"]] = np.nan
    fit = cf.pool("yi", "vi", moderators=formula, data=data)
    whole = cf.pool("yi", "vi", moderators=formula, data=data.drop(index=7))
    name = "year of print" if "`" in formula else "year"
    assert fit.dropped == (f"row 7: {name} missing",)
    assert fit.k == 19
    assert fit.beta.tolist() == whole.beta.tolist()
