"""Location-scale models against reference values."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import comfrey as cf

CONTENT = json.loads((Path(__file__).parents[1] / "reference" / "location_scale_bcg.json").read_text(encoding="utf-8"))


def bcg():
    return pd.DataFrame(CONTENT["data"])


def test_agrees_with_reference():
    found = cf.location_scale("yi", "vi", data=bcg(), moderators="ablat", scale="ablat")
    expected = CONTENT["results"]
    assert found.log_likelihood == pytest.approx(expected["loglik"], rel=1e-10)
    np.testing.assert_allclose(found.beta, expected["beta"], rtol=1e-6)
    np.testing.assert_allclose(found.se, expected["se"], rtol=1e-5)
    # the likelihood is nearly flat in alpha: -0.0007 with an error of 0.08; the reference stops a little before the
    # top
    np.testing.assert_allclose(found.alpha, expected["alpha"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.se_alpha, expected["se_alpha"], rtol=1e-4)
    assert found.gradient < 1e-8


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_a_constant_scale_is_the_random_effects_model(method):
    found = cf.location_scale("yi", "vi", data=bcg(), scale="1", method=method)
    fit = cf.pool("yi", "vi", data=bcg(), method=method, test="z")
    assert math.exp(found.alpha[0]) == pytest.approx(fit.tau2, rel=1e-7)
    assert found.beta[0] == pytest.approx(fit.estimate, rel=1e-8)
    assert found.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-10)


def test_two_groups_have_their_own_tau2():
    rng = np.random.default_rng(2)
    group = np.repeat(["a", "b"], 30)
    vi = np.full(60, 0.02)
    yi = rng.normal(0, np.where(group == "a", 0.2, 0.8))
    both = cf.location_scale(yi, vi, data={"g": group}, moderators="0 + g", scale="0 + g", method="ML")
    for place, name in enumerate("ab"):
        own = cf.pool(yi[group == name], vi[group == name], method="ML", test="z")
        assert math.exp(both.alpha[place]) == pytest.approx(own.tau2, rel=1e-6)
        assert both.beta[place] == pytest.approx(own.estimate, rel=1e-8)
    tested = cf.location_scale(yi, vi, data={"g": group}, moderators="g", scale="g")
    assert tested.likelihood_ratio_p < 1e-6


@pytest.mark.parametrize("factor", [1e-60, 1e60])
def test_units_shift_the_intercept_of_the_scale(factor):
    frame = bcg()
    one = cf.location_scale("yi", "vi", data=frame, scale="ablat")
    other = cf.location_scale(frame["yi"] * factor, frame["vi"] * factor**2, data=frame, scale="ablat")
    assert other.alpha[1] == pytest.approx(one.alpha[1], rel=1e-5)
    assert other.alpha[0] - 2 * math.log(factor) == pytest.approx(one.alpha[0], rel=1e-5)


def test_no_heterogeneity_has_no_maximum():
    with pytest.raises(cf.ConvergenceError, match="no maximum inside"):
        cf.location_scale([0.1] * 8, [1.0] * 8, data={"x": range(8)}, scale="x")


def test_result_prints_and_refuses():
    found = cf.location_scale("yi", "vi", data=bcg(), scale="ablat")
    assert "Location-scale model, 13 studies" in repr(found)
    assert list(found.coefficients["part"]) == ["location", "scale", "scale"]
    assert json.loads(json.dumps(found.to_dict()))["k"] == 13
    with pytest.raises(cf.InputError, match="method"):
        cf.location_scale("yi", "vi", data=bcg(), scale="ablat", method="DL")
    with pytest.raises(cf.InputError, match="columns of data"):
        cf.location_scale("yi", "vi", data=bcg(), scale="nothing")
