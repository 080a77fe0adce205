"""Wald tests of linear combinations of coefficients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from comfrey.errors import InputError

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["WaldTest", "check_combinations", "wald_test"]


class WaldTest(NamedTuple):
    """A test that several linear combinations of coefficients are zero.

    `statistic` is chi-squared with `df` degrees of freedom, or, where `df_denominator` is given, F.
    """

    statistic: float
    df: int
    df_denominator: float | None
    p_value: float


def check_combinations(matrix: Array, labels: list[str]) -> None:
    """Refuse combinations that are no numbers, empty, or follow from each other."""
    bad = ~np.isfinite(matrix).all(axis=1) | ~(matrix != 0).any(axis=1)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise InputError("combinations", found=labels[at], expected="finite weights, one or more of them not zero")
    unit = matrix / np.abs(matrix).max(axis=1, keepdims=True)
    if np.linalg.matrix_rank(unit) < len(unit):
        raise InputError(
            "combinations", found="dependent rows", expected="rows that are not combinations of each other"
        )


def wald_test(estimate: Array, covariance: Array, df: float | None) -> WaldTest:
    """Test that all of `estimate` is zero: chi-squared, or F where there are degrees of freedom.

    Examples
    --------
    >>> wald_test(np.array([2.0]), np.array([[1.0]]), None).statistic
    4.0
    """
    count = int(estimate.size)
    if count == 0:
        return WaldTest(math.nan, 0, df, math.nan)
    size = np.sqrt(np.diag(covariance))  # scaled, so that moderators of any unit can be inverted
    z = estimate / size
    statistic = float(z @ np.linalg.solve(covariance / np.outer(size, size), z))
    if df is None:
        return WaldTest(statistic, count, None, float(special.chdtrc(count, statistic)))
    return WaldTest(statistic / count, count, df, float(special.fdtrc(count, df, statistic / count)))
