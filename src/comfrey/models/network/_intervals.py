"""Tests, confidence intervals and prediction intervals for every pair of treatments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._solve import Solution
    from comfrey.models.network._structure import Structure

__all__ = ["Pairs", "Test", "chi2_p", "compare_pairs", "q_by_part"]

Test = Literal["z", "t", "hk"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every treatment compared with every other: (n, n) arrays, row minus column.

    What is not connected, or cannot be computed, is not a number. The diagonal is zero.
    """

    estimate: NDArray[np.float64]
    se: NDArray[np.float64]
    statistic: NDArray[np.float64]
    p_value: NDArray[np.float64]
    ci_low: NDArray[np.float64]
    ci_high: NDArray[np.float64]
    pi_low: NDArray[np.float64]
    pi_high: NDArray[np.float64]


def chi2_p(q: float, df: int) -> float:
    """Upper tail of the chi-squared distribution; not a number without degrees of freedom."""
    return float(stats.chi2.sf(q, df)) if df > 0 else float("nan")


def q_by_part(structure: Structure, solution: Solution) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Weighted residual sum of squares and degrees of freedom of each connected part."""
    parts = structure.n_islands
    q, df = np.zeros(parts), -(np.bincount(structure.island, minlength=parts) - 1)
    for group, w, r in zip(structure.groups, solution.weights, solution.residuals, strict=True):
        where = structure.island_of_study[group.studies]
        q += np.bincount(where, (w * r * r).sum(axis=1), parts)
        df = df + np.bincount(where, minlength=parts) * w.shape[1]
    return q, df.astype(np.int64)


def differences(structure: Structure, solution: Solution) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Effects and variances of every pair, (n, n); unconnected pairs are not a number."""
    apart = structure.island[:, None] != structure.island[None, :]
    estimate = solution.theta[:, None] - solution.theta[None, :]
    own = np.diagonal(solution.inverse)
    variance = np.maximum(own[:, None] + own[None, :] - 2.0 * solution.inverse, 0.0)
    if apart.any():
        estimate[apart] = variance[apart] = np.nan
    return estimate, variance


def compare_pairs(
    structure: Structure, solution: Solution, tau2: NDArray[np.float64], test: Test, level: float, *, predict: bool
) -> Pairs:
    r"""Interval estimates for all pairs.

    Parameters
    ----------
    structure, solution : Structure, Solution
        The network, solved at `tau2`.
    tau2 : (parts,) array
        Heterogeneity of each connected part.
    test : "z", "t" or "hk"
        Normal quantiles; t quantiles with the degrees of freedom of Q; or these with variances multiplied by
        Q(tau2) / df, Knapp & Hartung's correction for a network.
    level : float
        Of the intervals.
    predict : bool
        Whether prediction intervals are wanted: estimate plus or minus a t quantile (degrees of freedom of Q) times
        the root of se**2 + tau2.

    Returns
    -------
    Pairs

    References
    ----------
    Rücker G. Res Synth Methods 2012;3:312-324, doi:10.1002/jrsm.1058.
    Jackson D, Riley RD. Stat Med 2014;33:541-554, doi:10.1002/sim.5957 (the correction).
    """
    estimate, variance = differences(structure, solution)
    q, df = q_by_part(structure, solution)
    free = np.where(df > 0, df, np.nan)
    if test == "hk":
        variance = variance * (q / free)[structure.island][:, None]
    se = np.sqrt(variance)
    part = np.broadcast_to(structure.island[:, None], se.shape)
    tail = 0.5 * (1.0 + level)
    t_quantile = np.asarray(stats.t.ppf(tail, free))
    quantile = np.full(structure.n_islands, stats.norm.ppf(tail)) if test == "z" else t_quantile
    off = ~np.eye(structure.n, dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.where(off, estimate / se, np.nan)
        size = np.abs(statistic)
        p_value = 2.0 * np.asarray(stats.norm.sf(size) if test == "z" else stats.t.sf(size, free[part]))
    half = quantile[part] * se
    reach = (
        np.where(off, t_quantile[part] * np.sqrt(se * se + tau2[part]), 0.0) if predict else np.full_like(se, np.nan)
    )
    return Pairs(estimate, se, statistic, p_value, estimate - half, estimate + half, estimate - reach, estimate + reach)
