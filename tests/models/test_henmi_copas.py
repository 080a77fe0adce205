"""The interval of Henmi and Copas; its reference values are in the parity ledger."""

import numpy as np
import pytest

import comfrey as cf


def test_scale_fits_and_refusals():
    yi, vi = np.array([0.1, 0.5, 0.3, 0.9]), np.array([0.04, 0.05, 0.03, 0.08])
    one, other = cf.henmi_copas(yi, vi), cf.henmi_copas(yi * 1e100, vi * 1e200)
    assert other.ci_low / 1e100 == pytest.approx(one.ci_low, rel=1e-8)
    assert cf.henmi_copas(cf.pool(yi, vi)).ci_high == one.ci_high
    assert one.estimate == pytest.approx(cf.pool(yi, vi, method="EE").estimate)
    assert "Henmi-Copas" in repr(one)
    assert one.to_dict()["k"] == 4
    with pytest.raises(cf.NotEstimableError, match="one study"):
        cf.henmi_copas([1.0], [1.0])
    with pytest.raises(cf.InputError, match="level"):
        cf.henmi_copas(yi, vi, level=2)


@pytest.mark.slow
def test_the_interval_holds_its_level_in_simulation():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        vi = rng.uniform(0.02, 0.3, 10)
        found = cf.henmi_copas(rng.normal(0, np.sqrt(vi + 0.1)), vi)
        hits += found.ci_low < 0 < found.ci_high
    assert hits / 400 > 0.91
