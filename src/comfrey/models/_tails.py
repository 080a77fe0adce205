"""Tails of the t and chi-squared distributions for many values and one whole number of degrees of freedom.

The finite sums of Abramowitz & Stegun 1964, 26.4.4, 26.4.5, 26.7.3 and 26.7.4: several times quicker than the general
functions, and exact to rounding where they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["chi_squared_tail", "t_two_sided"]

_MOST = 60  # degrees of freedom up to which the sums are short
_SMALL = 1e-3  # below this one minus the sum loses digits, and the general function is taken


def t_two_sided(statistic: Array, df: int) -> Array:
    """Two-sided p-values of t statistics.

    Examples
    --------
    >>> t_two_sided(np.array([2.262157]), 9).round(6)
    array([0.05])
    """
    size = np.abs(statistic)
    if df > _MOST:
        return np.asarray(2.0 * special.stdtr(df, -size), dtype=float)
    cosine2 = df / (df + size * size)
    sine = size / np.sqrt(df + size * size)
    total = np.ones_like(size)
    # Horner's scheme from the last term of the sum
    for j in range(df - 2, 1, -2):
        total = 1.0 + total * cosine2 * ((j - 1) / j)
    if df % 2:
        inside = sine * np.sqrt(cosine2) * total if df > 1 else 0.0
        p = 1.0 - 2.0 / np.pi * (np.arctan(size / np.sqrt(df)) + inside)
    else:
        p = 1.0 - sine * total
    far = p < _SMALL
    if far.any():
        p[far] = 2.0 * special.stdtr(df, -size[far])
    return np.asarray(p, dtype=float)


def chi_squared_tail(q: Array, df: int) -> Array:
    """P(chi-squared with df degrees of freedom > q); all terms are positive, so no digits are lost.

    Examples
    --------
    >>> chi_squared_tail(np.array([16.918978]), 9).round(6)
    array([0.05])
    """
    if df > _MOST:
        return np.asarray(special.chdtrc(df, q), dtype=float)
    x = 0.5 * q
    total = np.ones_like(x)
    if df % 2 == 0:
        for j in range(df // 2 - 1, 0, -1):
            total = 1.0 + total * x / j
        return np.asarray(np.exp(-x) * total, dtype=float)
    if df == 1:
        return np.asarray(special.erfc(np.sqrt(x)), dtype=float)
    for j in range((df - 1) // 2 - 1, 0, -1):
        total = 1.0 + total * x / (j + 0.5)
    return np.asarray(special.erfc(np.sqrt(x)) + np.exp(-x) * np.sqrt(x) * total * (2.0 / np.sqrt(np.pi)), dtype=float)
