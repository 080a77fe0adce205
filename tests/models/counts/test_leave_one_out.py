"""One-stage models without each study in turn: as if each had been fitted alone."""

import numpy as np
import pytest

import comfrey as cf

TWO = {
    "events_1": [4, 6, 3, 62, 0], "total_1": [123, 306, 231, 1359, 80],
    "events_2": [11, 29, 11, 248, 5], "total_2": [139, 303, 220, 1286, 82],
}  # fmt: skip
ONE = {"cases": [30, 12, 55, 8, 0], "total": [100, 80, 240, 31, 40]}
RATES = {"events_1": [9, 8, 3, 6], "time_1": [413, 263, 487, 237], "events_2": [19, 19, 13, 9], "time_2": [398, 245, 435, 241]}  # fmt: skip  # noqa: E501
CASES = {
    "PLO": ("PLO", ONE, {}),
    "beta-binomial": ("PLO", ONE, {"model": "beta-binomial"}),
    "IRLN": ("IRLN", {"events": [9, 8, 3, 16], "time": [413, 263, 487, 237]}, {}),
    "OR": ("OR", {name: values[:4] for name, values in TWO.items()}, {}),
    "fixed": ("OR", TWO, {"model": "fixed-study", "coding": "treatment", "test": "t"}),
    "approximate": ("OR", TWO, {"model": "conditional-approximate"}),
    "IRR": ("IRR", RATES, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_refit_is_the_fit_without_the_study(name):
    measure, counts, options = CASES[name]
    found = cf.count_model(measure, **counts, **options).leave_one_out()
    for i in range(len(found.labels)):
        rest = {column: np.delete(values, i) for column, values in counts.items()}
        one = cf.count_model(measure, **rest, **options)
        # other starts, the same maximum: searches end 1e-13 standard errors from it
        ours = [found.estimate[i], found.se[i], found.p_value[i], found.ci_low[i], found.tau2[i], found.q[i]]
        theirs = [one.estimate, one.se, one.p_value, one.ci_low, one.tau2, one.q_wald]
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
        assert found.k[i] == one.k
    assert "no I2" in found.notes[0]
    assert "one-stage model" in repr(found)


def test_a_refit_that_has_no_maximum_says_why():
    fit = cf.count_model("OR", events_1=[1, 2, 0], total_1=[20] * 3, events_2=[3, 0, 0], total_2=[20] * 3)
    found = fit.leave_one_out()
    assert found.labels == ("row 0", "row 1")  # the third says nothing under this likelihood
    assert np.isnan(found.estimate).tolist() == [True, False]
    assert any("row 0: no fit to the other studies" in text for text in found.notes)
    assert any("row 1: the other studies do not tell tau2" in text for text in found.notes)


def test_one_study_is_refused():
    with pytest.raises(cf.NotEstimableError, match="at least 2"):
        cf.count_model("PLO", cases=[3], total=[9]).leave_one_out()
