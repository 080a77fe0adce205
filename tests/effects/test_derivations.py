"""Means and SDs from quantiles, standard errors, intervals and groups."""

import numpy as np
import pytest
from scipy import special, stats

import comfrey as cf


def test_luo_and_wan_by_their_formulas():
    n = 50.0
    five = {"minimum": 2.0, "q1": 5.0, "median": 8.0, "q3": 10.0, "maximum": 20.0}
    found = cf.mean_sd_from_quantiles(n=n, **five)
    outer, inner = 2.2 / (2.2 + n**0.75), 0.7 - 0.72 / n**0.55
    assert found.mean[0] == pytest.approx(outer * 11 + inner * 7.5 + (1 - outer - inner) * 8)
    wide = 18 / (2 * special.ndtri((n - 0.375) / (n + 0.25)))
    narrow = 5 / (2 * special.ndtri((0.75 * n - 0.125) / (n + 0.25)))
    assert found.sd[0] == pytest.approx((wide + narrow) / 2)
    extremes = cf.mean_sd_from_quantiles(n=n, minimum=2, median=8, maximum=20)
    w = 4 / (4 + n**0.75)
    assert (extremes.mean[0], extremes.sd[0]) == pytest.approx((w * 11 + (1 - w) * 8, wide))
    quartiles = cf.mean_sd_from_quantiles(n=n, q1=5, median=8, q3=10)
    assert quartiles.mean[0] == pytest.approx((0.7 + 0.39 / n) * 7.5 + (0.3 - 0.39 / n) * 8)
    assert "Luo" in quartiles.method


@pytest.mark.parametrize(
    "distribution",
    [stats.norm(10, 2), stats.lognorm(0.5, scale=3), stats.gamma(3, scale=2), stats.weibull_min(1.7, scale=4)],
)
def test_quantile_estimation_recovers_the_distribution(distribution):
    # each distribution's own quantiles are fitted without a rest by that distribution
    q1, median, q3 = distribution.ppf([0.25, 0.5, 0.75])
    low, high = distribution.ppf([1 / 200, 1 - 1 / 200])
    found = cf.mean_sd_from_quantiles(n=200, minimum=low, q1=q1, median=median, q3=q3, maximum=high, method="mcgrath")
    assert found.mean[0] == pytest.approx(distribution.mean(), rel=1e-4)
    assert found.sd[0] == pytest.approx(distribution.std(), rel=1e-4)


def test_skewed_quantiles_are_pointed_at():
    found = cf.mean_sd_from_quantiles(n=[100, 100], q1=[8, 8], median=[10, 8.3], q3=[12, 12])
    assert found.warnings == ("row 1: the quantiles show skewed data; the mean is doubtful",)


@pytest.mark.slow
def test_the_bounds_of_skewness_hold_their_level():
    rng = np.random.default_rng(0)
    x = np.sort(rng.normal(size=(4000, 101)), axis=1)
    ends, hinges = {"minimum": x[:, 0], "maximum": x[:, -1]}, {"q1": x[:, 25], "q3": x[:, 75]}
    for given in (ends, hinges, {**ends, **hinges}):
        share = len(cf.mean_sd_from_quantiles(n=101, median=x[:, 50], **given).warnings) / 4000
        assert 0.035 < share < 0.065


def test_standard_errors_intervals_and_groups():
    assert cf.sd_from_se([0.5, 1], [100, 25]).sd == pytest.approx([5, 5])
    sd, n = 4.0, 30
    half = stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n)
    found = cf.sd_from_interval(10 - half, 10 + half, n)
    assert (found.mean[0], found.sd[0]) == pytest.approx((10, sd))
    rng = np.random.default_rng(1)
    one, two = rng.normal(1, 2, 12), rng.normal(3, 1, 20)
    both = np.concatenate([one, two])
    found = cf.combine_groups([12, 20], [one.mean(), two.mean()], [one.std(ddof=1), two.std(ddof=1)])
    assert (found.mean[0], found.sd[0], found.n[0]) == pytest.approx((both.mean(), both.std(ddof=1), 32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cf.mean_sd_from_quantiles(n=10, median=5), "q1 with q3"),
        (lambda: cf.mean_sd_from_quantiles(n=10, median=5, q1=4, minimum=1, maximum=9), "q1 with q3"),
        (
            lambda: cf.mean_sd_from_quantiles(n=10, median=5, q1=6, q3=7),
            r"q1, row 0: expected at most the median \(5\)",
        ),
        (lambda: cf.mean_sd_from_quantiles(n=1, median=5, q1=4, q3=7), "n, row 0: expected 3 or more"),
        (lambda: cf.mean_sd_from_quantiles(n=9, median=5, q1=4, q3=7, method="x"), "method"),
        (lambda: cf.sd_from_se([0.5, 0], 10), "se, row 1"),
        (lambda: cf.sd_from_interval(2, 1, 10), "ci_low, row 0"),
        (lambda: cf.combine_groups([1, 0], [1, 1], [1, 1]), "n, row 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(cf.InputError, match=message):
        call()


def test_missing_values_stay_missing_and_results_print():
    found = cf.mean_sd_from_quantiles(n=[20, None], q1=[1, 1], median=[2, 2], q3=[3, 3], method="mcgrath")
    assert np.isnan(found.sd).tolist() == [False, True]
    assert "McGrath" in repr(found)
    assert found.to_dict()["sd"][1] is None
