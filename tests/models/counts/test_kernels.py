"""Likelihoods of counts: values against other programs and exact sums, derivatives against differences."""

from fractions import Fraction
from math import comb, exp, log

import numpy as np
import pytest
from scipy import stats

from comfrey.models.counts._hypergeometric import Hypergeometric
from comfrey.models.counts._kernels import Binomial, Poisson

EVENTS = np.array([[4.0, 0.0, 62.0, 5.0, 0.0], [11.0, 3.0, 248.0, 0.0, 1.0]])
TOTAL = np.array([[123.0, 20.0, 13598.0, 5.0, 1.0], [139.0, 30.0, 12867.0, 7.0, 1.0]])
KERNELS = [Binomial.of(EVENTS, TOTAL), Poisson.of(EVENTS, TOTAL / 7), Hypergeometric.of(EVENTS, TOTAL)]


def at(kernel, theta):
    arms = 1 if isinstance(kernel, Hypergeometric) else 2
    return [part[..., 0] for part in kernel(np.full((arms, 1, 5, 1), theta))]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("theta", [-6.0, -0.7, 0.0, 1.3, 5.0])
def test_derivatives_agree_with_differences(kernel, theta):
    h = 1e-5
    (low, low_1, _), (_, first, second), (high, high_1, _) = (at(kernel, theta + d) for d in (-h, 0.0, h))
    # Differences of values as large as 1e5 lose digits: the tolerance is theirs.
    np.testing.assert_allclose((high - low) / (2 * h), first, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose((high_1 - low_1) / (2 * h), second, rtol=1e-6, atol=1e-6)


def test_binomial_and_poisson_agree_with_scipy():
    value = at(KERNELS[0], -0.7)[0]
    np.testing.assert_allclose(value[:, 0], stats.binom.logpmf(EVENTS, TOTAL, 1 / (1 + exp(0.7))), rtol=1e-10)
    value = at(KERNELS[1], -0.7)[0]
    np.testing.assert_allclose(value[:, 0], stats.poisson.logpmf(EVENTS, TOTAL / 7 * exp(-0.7)), rtol=1e-10)


@pytest.mark.parametrize("odds", [Fraction(1, 50), Fraction(1, 2), Fraction(1), Fraction(7)])
def test_hypergeometric_agrees_with_exact_sums(odds):
    theta = log(odds)
    value, first, second = (part[0, 0] for part in at(KERNELS[2], theta))
    for i in range(5):
        x, m = int(EVENTS[0, i]), int(EVENTS[:, i].sum())
        n1, n2 = (int(n) for n in TOTAL[:, i])
        mass = {j: comb(n1, j) * comb(n2, m - j) * odds**j for j in range(max(0, m - n2), min(m, n1) + 1)}
        total = sum(mass.values())
        mean = sum(j * p for j, p in mass.items()) / total
        variance = sum((j - mean) ** 2 * p for j, p in mass.items()) / total
        probability = mass[x] / total
        assert value[i] == pytest.approx(log(probability.numerator) - log(probability.denominator), rel=1e-11)
        assert first[i] == pytest.approx(float(x - mean), rel=1e-10, abs=1e-12)
        assert second[i] == pytest.approx(-float(variance), rel=1e-10)


def test_large_margins_lose_nothing_by_the_window():
    events, total = np.array([[4000.0], [6100.0]]), np.array([[100000.0], [120000.0]])
    kernel = Hypergeometric.of(events, total)
    j = np.arange(0, 10101.0)
    for theta in (-2.0, -0.25, 0.0, 3.0):
        value, first, second = (float(part[0, 0, 0, 0]) for part in kernel(np.full((1, 1, 1, 1), theta)))
        terms = kernel.log_coefficient + (j - 4000) * theta
        mass = np.exp(terms - terms.max())
        mass /= mass.sum()
        mean = mass @ j
        assert value == pytest.approx(-terms.max() - np.log(np.exp(terms - terms.max()).sum()), rel=1e-12)
        assert first == pytest.approx(4000 - mean, rel=1e-9, abs=1e-8)
        assert second == pytest.approx(-(mass @ (j - mean) ** 2), rel=1e-9)


def test_extreme_log_odds_ratios_stay_finite():
    value, first, second = (part[0, 0] for part in at(KERNELS[2], 500.0))
    assert np.isfinite([value, first, second]).all()
    assert (second <= 0).all()
    assert second == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_saturated_values_are_the_highest(kernel):
    eta, information, level = kernel.saturated()
    top = kernel(np.clip(eta, -40, 40)[:, None, :, None])
    assert top[0].sum() == pytest.approx(level, abs=1e-9)
    inside = np.isfinite(eta)
    np.testing.assert_allclose(top[1][:, 0, :, 0][inside], 0, atol=1e-8)
    np.testing.assert_allclose(-top[2][:, 0, :, 0][inside], information[inside], rtol=1e-8)
    assert (information[~inside] == 0).all()


def test_batch_in_pieces_equals_batch_at_once(monkeypatch):
    theta = np.random.default_rng(3).normal(size=(1, 4, 5, 3))
    whole = KERNELS[2](theta)
    monkeypatch.setattr("comfrey.models.counts._hypergeometric._ELEMENTS", 1)
    for one, other in zip(whole, KERNELS[2](theta), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
