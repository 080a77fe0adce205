"""Formulas from the arms of a study to levels whose differences are the effects, with their covariance.

For every measure but SMD each arm has a level and a variance of its own: the effect of arm i against arm j is
``level[i] - level[j]`` with variance ``variance[i] + variance[j]``, and arms shared by two contrasts make the right
covariance by themselves (Franchini et al. 2012, doi:10.1002/jrsm.1049).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["COUNT_MEASURES", "MEASURES", "Levels", "hedges_factor", "standardised_levels"]

Array = "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Levels:
    """Level and sampling variance of each arm, (a,) arrays, and what every pair shares beyond that.

    `shared` multiplies the squared difference of two levels; it is zero but for SMD, whose standard deviation is
    estimated from all arms.
    """

    level: NDArray[np.float64]
    variance: NDArray[np.float64]
    shared: float = 0.0

    def pair(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Effects of arms i against arms j, and their variances."""
        y = self.level[i] - self.level[j]
        return y, self.variance[i] + self.variance[j] + self.shared * y * y


def _log_odds(events: NDArray[np.float64], total: NDArray[np.float64]) -> Levels:
    return Levels(np.log(events) - np.log(total - events), 1 / events + 1 / (total - events))


def _log_risk(events: NDArray[np.float64], total: NDArray[np.float64]) -> Levels:
    return Levels(np.log(events / total), 1 / events - 1 / total)


def _risk(events: NDArray[np.float64], total: NDArray[np.float64]) -> Levels:
    p = events / total
    return Levels(p, p * (1 - p) / total)


def _log_rate(events: NDArray[np.float64], time: NDArray[np.float64]) -> Levels:
    return Levels(np.log(events / time), 1 / events)


def _rate(events: NDArray[np.float64], time: NDArray[np.float64]) -> Levels:
    return Levels(events / time, events / time**2)


def _mean(mean: NDArray[np.float64], sd: NDArray[np.float64], n: NDArray[np.float64]) -> Levels:
    return Levels(mean, sd**2 / n)


def _log_mean(mean: NDArray[np.float64], sd: NDArray[np.float64], n: NDArray[np.float64]) -> Levels:
    return Levels(np.log(np.abs(mean)), sd**2 / (n * mean**2))


def hedges_factor(df: float) -> float:
    """Exact small-sample correction of a standardised mean difference (Hedges 1981, doi:10.3102/10769986006002107).

    Examples
    --------
    >>> round(hedges_factor(10), 6)
    0.922746
    """
    return float(np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def standardised_levels(mean: NDArray[np.float64], sd: NDArray[np.float64], n: NDArray[np.float64]) -> Levels:
    r"""Means over the standard deviation pooled from all arms of the study, corrected for small samples.

    .. math:: v_{ij} = 1/n_i + 1/n_j + g_{ij}^2 / (2 N), \qquad
              \mathrm{cov}(g_{i0}, g_{j0}) = 1/n_0 + g_{i0} g_{j0} / (2 N)

    with N the participants of all arms (Gleser & Olkin 2009, in the Handbook of Research Synthesis, ch. 19). With
    two arms this is the usual Hedges' g.
    """
    size = float(n.sum())
    df = size - n.size
    pooled = np.sqrt(float(((n - 1) * sd**2).sum()) / df)
    return Levels(hedges_factor(df) * mean / pooled, 1 / n, 1 / (2 * size))


COUNT_MEASURES = frozenset({"OR", "RR", "RD", "IRR", "IRD"})

# Measure -> the columns that it needs, and its formula.
MEASURES: dict[str, tuple[tuple[str, ...], Callable[..., Levels]]] = {
    "OR": (("events", "total"), _log_odds),
    "RR": (("events", "total"), _log_risk),
    "RD": (("events", "total"), _risk),
    "IRR": (("events", "time"), _log_rate),
    "IRD": (("events", "time"), _rate),
    "MD": (("mean", "sd", "n"), _mean),
    "ROM": (("mean", "sd", "n"), _log_mean),
    "SMD": (("mean", "sd", "n"), standardised_levels),
}
