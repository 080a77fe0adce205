"""Effect measures for the means (and spreads) of two groups, of one group, and of one group measured twice.

Sources: Hedges 1981 (doi:10.3102/10769986006002107) for the exact correction J and the standardised difference;
Bonett 2008, 2009 (doi:10.1037/a0012868, doi:10.3102/1076998609332755) for unequal variances and one group's SD;
Hedges, Gurevitch & Curtis 1999 (doi:10.2307/177062) for the ratio of means; Nakagawa et al. 2015
(doi:10.1111/2041-210X.12309) for VR and CVR; Becker 1988 (doi:10.1111/j.2044-8317.1988.tb00901.x), Gibbons et al.
1993
(doi:10.3102/10769986018003271) and Morris & DeShon 2002 (doi:10.1037/1082-989X.7.1.105) for changes; Lajeunesse 2011
(doi:10.1890/11-0423.1) for ROMC and 2015 (doi:10.1890/14-2402.1) for the bias of ROM; Jacobs & Viechtbauer 2017
(doi:10.1002/jrsm.1218) for the biserial.
"""

from __future__ import annotations

from math import nan

import numpy as np
from scipy import special

from comfrey.effects.measure import LOG, Array, Measure

__all__ = ["MEASURES", "small_sample_factor"]

TWO = ("mean_1", "sd_1", "n_1", "mean_2", "sd_2", "n_2")
PAIRED = ("mean_pre", "sd_pre", "mean_post", "sd_post", "n", "r")


def small_sample_factor(df: Array) -> Array:
    """Hedges' exact factor ``J(m) = Gamma(m/2) / (sqrt(m/2) Gamma((m-1)/2))`` (not the usual ``1 - 3/(4m-1)``).

    Examples
    --------
    >>> float(small_sample_factor(np.array(10.0)).round(6))
    0.922746
    """
    m = np.asarray(df, dtype=float)
    exact = np.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / np.sqrt(m / 2)
    return np.asarray(np.where(m > 1, exact, np.nan), dtype=float)


def _pooled_variance(sd_1: Array, n_1: Array, sd_2: Array, n_2: Array) -> Array:
    return ((n_1 - 1) * sd_1**2 + (n_2 - 1) * sd_2**2) / (n_1 + n_2 - 2)


def mean_difference(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Difference of means, variance ``s1^2/n1 + s2^2/n2``."""
    return mean_1 - mean_2, sd_1**2 / n_1 + sd_2**2 / n_2


def _cohen_d(mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array) -> Array:
    return (mean_1 - mean_2) / np.sqrt(_pooled_variance(sd_1, n_1, sd_2, n_2))


def standardised_difference(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Hedges' g, ``J (m1 - m2)/s_pooled``, variance ``1/n1 + 1/n2 + g^2/2(n1+n2)``."""
    g = small_sample_factor(n_1 + n_2 - 2) * _cohen_d(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    return g, 1 / n_1 + 1 / n_2 + g**2 / (2 * (n_1 + n_2))


def standardised_difference_unequal(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Standardised by the root of the mean of both variances, which need not be equal (Bonett)."""
    s1, s2 = sd_1**2, sd_2**2
    mean_variance = (s1 + s2) / 2
    g = small_sample_factor(n_1 + n_2 - 2) * (mean_1 - mean_2) / np.sqrt(mean_variance)
    spread = g**2 * (s1**2 / (n_1 - 1) + s2**2 / (n_2 - 1)) / (8 * mean_variance**2)
    return g, spread + (s1 / (n_1 - 1) + s2 / (n_2 - 1)) / mean_variance


def standardised_by_group_2(
    mean_1: Array,
    sd_1: Array,  # noqa: ARG001  # one family, one set of columns
    n_1: Array,
    mean_2: Array,
    sd_2: Array,
    n_2: Array,
) -> tuple[Array, Array]:
    """Glass's delta: standardised by the SD of group 2, equal variances assumed for its own variance."""
    g = small_sample_factor(n_2 - 1) * (mean_1 - mean_2) / sd_2
    return g, 1 / n_1 + 1 / n_2 + g**2 / (2 * n_2)


def standardised_by_group_2_unequal(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Glass's delta without assuming equal variances (Bonett)."""
    g = small_sample_factor(n_2 - 1) * (mean_1 - mean_2) / sd_2
    return g, (sd_1 / sd_2) ** 2 / (n_1 - 1) + 1 / (n_2 - 1) + g**2 / (2 * (n_2 - 1))


def ratio_of_means(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Log ratio of means (of one sign), ``log(m1/m2) + (c1 - c2)/2`` with ``c = s^2/(n m^2)``, variance ``c1 + c2``.

    The second term is Lajeunesse's correction of the bias in small samples.
    """
    c1, c2 = sd_1**2 / (n_1 * mean_1**2), sd_2**2 / (n_2 * mean_2**2)
    return np.log(mean_1 / mean_2) + (c1 - c2) / 2, c1 + c2


def variability_ratio(sd_1: Array, n_1: Array, sd_2: Array, n_2: Array) -> tuple[Array, Array]:
    """Log ratio of SDs, ``log(s1/s2) + 1/2(n1-1) - 1/2(n2-1)``."""
    h1, h2 = 1 / (2 * (n_1 - 1)), 1 / (2 * (n_2 - 1))
    return np.log(sd_1 / sd_2) + h1 - h2, h1 + h2


def variation_ratio(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Log ratio of the coefficients of variation: the log ratio of SDs minus the log ratio of means, independent."""
    spread, spread_variance = variability_ratio(sd_1, n_1, sd_2, n_2)
    means, means_variance = ratio_of_means(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    return spread - means, spread_variance + means_variance


def _d_and_variance(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    d = _cohen_d(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    return d, 1 / n_1 + 1 / n_2 + d**2 / (2 * (n_1 + n_2))


def d_to_odds_normal(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Log odds ratio from the standardised difference, normal outcome: ``1.65 d``."""
    d, v = _d_and_variance(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    return 1.65 * d, 1.65**2 * v


def d_to_odds_logistic(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Log odds ratio from the standardised difference, logistic outcome: ``d pi / sqrt 3``."""
    d, v = _d_and_variance(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    return d * np.pi / np.sqrt(3), v * np.pi**2 / 3


def point_biserial(
    mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array
) -> tuple[Array, Array]:
    """Point-biserial correlation, ``d / sqrt(d^2 + h)``, groups of fixed size (delta method on d)."""
    d = _cohen_d(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    m = n_1 + n_2 - 2
    h = m / n_1 + m / n_2
    return d / np.sqrt(d**2 + h), h**2 / (h + d**2) ** 3 * (1 / n_1 + 1 / n_2 + d**2 / (2 * (n_1 + n_2)))


def biserial(mean_1: Array, sd_1: Array, n_1: Array, mean_2: Array, sd_2: Array, n_2: Array) -> tuple[Array, Array]:
    """Biserial correlation, ``r_pb sqrt(pq)/f``, with Soper's variance."""
    r_pb, _ = point_biserial(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    n = n_1 + n_2
    p = n_1 / n
    z = special.ndtri(p)
    share, ordinate = p * (1 - p), np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    r_b = r_pb * np.sqrt(share) / ordinate
    middle = share * z**2 / ordinate**2 - (2 * p - 1) * z / ordinate - 2.5
    return r_b, (r_b**4 + r_b**2 * middle + share / ordinate**2) / (n - 1)


def mean_of_one_group(mean: Array, sd: Array, n: Array) -> tuple[Array, Array]:
    """Mean, variance ``s^2/n``."""
    return mean, sd**2 / n


def _change_sd(sd_pre: Array, sd_post: Array, r: Array) -> Array:
    return np.asarray(np.sqrt(sd_pre**2 + sd_post**2 - 2 * r * sd_pre * sd_post), dtype=float)


def mean_change(
    mean_pre: Array, sd_pre: Array, mean_post: Array, sd_post: Array, n: Array, r: Array
) -> tuple[Array, Array]:
    """Mean change, post minus pre, variance ``s_change^2/n``."""
    return mean_post - mean_pre, _change_sd(sd_pre, sd_post, r) ** 2 / n


def change_by_change_sd(
    mean_pre: Array, sd_pre: Array, mean_post: Array, sd_post: Array, n: Array, r: Array
) -> tuple[Array, Array]:
    """Mean change standardised by the SD of the changes, variance ``1/n + g^2/2n``."""
    g = small_sample_factor(n - 1) * (mean_post - mean_pre) / _change_sd(sd_pre, sd_post, r)
    return g, 1 / n + g**2 / (2 * n)


def change_by_raw_sd(
    mean_pre: Array,
    sd_pre: Array,
    mean_post: Array,
    sd_post: Array,  # noqa: ARG001  # one family, one set of columns
    n: Array,
    r: Array,
) -> tuple[Array, Array]:
    """Mean change standardised by the SD before, variance ``2(1-r)/n + g^2/2n``."""
    g = small_sample_factor(n - 1) * (mean_post - mean_pre) / sd_pre
    return g, 2 * (1 - r) / n + g**2 / (2 * n)


def ratio_of_change(
    mean_pre: Array, sd_pre: Array, mean_post: Array, sd_post: Array, n: Array, r: Array
) -> tuple[Array, Array]:
    """Log ratio of the mean after to the mean before."""
    shared = 2 * r * sd_pre * sd_post / (mean_pre * mean_post * n)
    vi = sd_pre**2 / (n * mean_pre**2) + sd_post**2 / (n * mean_post**2) - shared
    return np.log(mean_post / mean_pre), vi


_N2 = ("n_1", "n_2")
_STD = "standardised difference"

MEASURES = (
    Measure("MD", "mean difference", TWO, mean_difference, n_inputs=_N2),
    Measure("SMD", "standardised mean difference", TWO, standardised_difference, unit=_STD, n_inputs=_N2),
    Measure("SMDH", "standardised mean difference (unequal variances)", TWO, standardised_difference_unequal,
            unit=_STD, n_inputs=_N2),
    Measure("SMD1", "standardised mean difference (SD of group 2)", TWO, standardised_by_group_2,
            unit=_STD, n_inputs=_N2),
    Measure("SMD1H", "standardised mean difference (SD of group 2, unequal variances)", TWO,
            standardised_by_group_2_unequal, unit=_STD, n_inputs=_N2),
    Measure("ROM", "ratio of means", TWO, ratio_of_means, LOG, unit="ratio", n_inputs=_N2),
    Measure("VR", "variability ratio", ("sd_1", "n_1", "sd_2", "n_2"), variability_ratio, LOG, unit="ratio",
            n_inputs=_N2),
    Measure("CVR", "coefficient of variation ratio", TWO, variation_ratio, LOG, unit="ratio", n_inputs=_N2),
    Measure("D2ORN", "odds ratio (from standardised difference, normal)", TWO, d_to_odds_normal, LOG, unit="ratio",
            n_inputs=_N2),
    Measure("D2ORL", "odds ratio (from standardised difference, logistic)", TWO, d_to_odds_logistic, LOG,
            unit="ratio", n_inputs=_N2),
    Measure("RPB", "point-biserial correlation", TWO, point_biserial, unit="correlation", n_inputs=_N2),
    Measure("RBIS", "biserial correlation", TWO, biserial, unit="correlation", n_inputs=_N2),
    Measure("MN", "mean", ("mean", "sd", "n"), mean_of_one_group, null=nan, unit="mean", n_inputs=("n",)),
    Measure("MC", "mean change", PAIRED, mean_change, n_inputs=("n",)),
    Measure("SMCC", "standardised mean change (SD of the changes)", PAIRED, change_by_change_sd, unit=_STD,
            n_inputs=("n",)),
    Measure("SMCR", "standardised mean change (SD before)", PAIRED, change_by_raw_sd, unit=_STD, n_inputs=("n",)),
    Measure("ROMC", "ratio of means, after to before", PAIRED, ratio_of_change, LOG, unit="ratio", n_inputs=("n",)),
)  # fmt: skip
