"""Sums over strata: the Mantel-Haenszel and Peto estimates of any set of studies, from one row of numbers a study.

Each estimate and its variance are functions of a few sums over the studies, so every subset of them is a sum of rows.
Sources: those of :mod:`comfrey.models.stratified`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comfrey.effects.measure import Array

__all__ = ["ESTIMATORS", "Strata"]


class Strata(NamedTuple):
    """An estimator of a common effect over the studies.

    `terms` takes the cells (one array a column of the table) to what is summed, shape (k, m). `solve` takes sums of
    shape (n, m) to estimates and variances of shape (n,), not-a-number where there is none. `weight` is the column of
    the terms that holds the studies' weights.
    """

    terms: Callable[[Sequence[Array]], Array]
    solve: Callable[[Array], tuple[Array, Array]]
    weight: int


def _odds_terms(cells: Sequence[Array]) -> Array:
    a, n1, c, n2 = cells
    b, d, n = n1 - a, n2 - c, n1 + n2
    r, s, p, q = a * d / n, b * c / n, (a + d) / n, (b + c) / n
    return np.column_stack((r, s, p * r, p * s + q * r, q * s))


def _odds(sums: Array) -> tuple[Array, Array]:
    top, bottom, first, cross, last = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        some = (top > 0) & (bottom > 0)
        variance = first / (2 * top**2) + cross / (2 * top * bottom) + last / (2 * bottom**2)
        return np.where(some, np.log(top / bottom), np.nan), np.where(some, variance, np.nan)


def _risks_terms(cells: Sequence[Array]) -> Array:
    a, n1, c, n2 = cells
    n = n1 + n2
    return np.column_stack((a * n2 / n, c * n1 / n, (n1 * n2 * (a + c) - a * c * n) / n**2))


def _ratio(sums: Array) -> tuple[Array, Array]:
    top, bottom, spread = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        some = (top > 0) & (bottom > 0) & (spread > 0)
        return np.where(some, np.log(top / bottom), np.nan), np.where(some, spread / (top * bottom), np.nan)


def _difference_terms(cells: Sequence[Array]) -> Array:
    a, n1, c, n2 = cells
    n = n1 + n2
    p = (n1**2 * c - n2**2 * a + n1 * n2 * (n2 - n1) / 2) / n**2
    q = (a * (n2 - c) + c * (n1 - a)) / (2 * n)
    return np.column_stack((n1 * n2 / n, (a * n2 - c * n1) / n, p, q))


def _difference(sums: Array) -> tuple[Array, Array]:
    weight, excess, p, q = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = excess / weight
        return _positive(estimate, (estimate * p + q) / weight**2)


def _rate_terms(cells: Sequence[Array]) -> Array:
    x1, t1, x2, t2 = cells
    t = t1 + t2
    return np.column_stack((x1 * (t2 / t), x2 * (t1 / t), (x1 + x2) * (t1 / t) * (t2 / t)))


def _rate_difference_terms(cells: Sequence[Array]) -> Array:
    x1, t1, x2, t2 = cells
    one, two = t1 / (t1 + t2), t2 / (t1 + t2)
    return np.column_stack((t1 * two, x1 * two - x2 * one, x1 * two**2 + x2 * one**2))


def _rate_difference(sums: Array) -> tuple[Array, Array]:
    weight, excess, spread = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return _positive(excess / weight, spread / weight / weight)


def _peto_terms(cells: Sequence[Array]) -> Array:
    events_1, total_1, events_2, total_2 = cells
    total, events = total_1 + total_2, events_1 + events_2
    spread = total_1 * total_2 * events * (total - events) / (total**2 * np.maximum(total - 1, 1))
    return np.column_stack((spread, events_1 - events * total_1 / total))


def _peto(sums: Array) -> tuple[Array, Array]:
    spread, excess = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return _positive(excess / spread, 1.0 / spread)


def _positive(estimate: Array, variance: Array) -> tuple[Array, Array]:
    """Leave estimates that have a variance."""
    some = (variance > 0) & np.isfinite(variance)
    return np.where(some, estimate, np.nan), np.where(some, variance, np.nan)


# The weight of a study in a ratio is what it adds to the sum under the line: the estimate is the mean of the studies'
# own ratios with these weights.
ESTIMATORS: dict[str, Strata] = {
    "OR": Strata(_odds_terms, _odds, 1),
    "RR": Strata(_risks_terms, _ratio, 1),
    "RD": Strata(_difference_terms, _difference, 0),
    "IRR": Strata(_rate_terms, _ratio, 1),
    "IRD": Strata(_rate_difference_terms, _rate_difference, 0),
    "PETO": Strata(_peto_terms, _peto, 0),
}
