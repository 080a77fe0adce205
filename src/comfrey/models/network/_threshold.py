"""Threshold analysis: how far evidence would have to move before another treatment were preferred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from comfrey.errors import InputError
from comfrey.models.network._contribution import _edge_weights
from comfrey.models.network._solve import study_laplacians

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["threshold_analysis", "thresholds"]


def thresholds(
    margin: NDArray[np.float64], rate: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    r"""Smallest shifts, down and up, at which a margin becomes zero.

    .. math:: m_j + \delta r_j = 0

    Parameters
    ----------
    margin : (n,) array
        By how much the preferred treatment is better than each other one (zero or more); not a number for itself.
    rate : (c, n) array
        Change of each margin when a piece of evidence is shifted by one.

    Returns
    -------
    low, low_to, high, high_to : (c,) arrays
        Shift below zero, which treatment takes over, and the same above zero. Infinite, with -1, where no shift does.

    Examples
    --------
    >>> thresholds(np.array([np.nan, 1.0]), np.array([[0.0, -0.5]]))
    (array([-inf]), array([-1]), array([2.]), array([1]))
    """
    small = 1e-12 * max(1.0, float(np.abs(rate).max(initial=0.0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = -margin[None, :] / rate
    up = np.where((rate < -small) & np.isfinite(shift), shift, np.inf)
    down = np.where((rate > small) & np.isfinite(shift), shift, -np.inf)
    low, high = down.max(axis=1), up.min(axis=1)
    low_to = np.where(np.isfinite(low), down.argmax(axis=1), -1)
    high_to = np.where(np.isfinite(high), up.argmin(axis=1), -1)
    return low, low_to, high, high_to


def _margin(net: Any, decision: str | None) -> tuple[int, NDArray[np.float64], float]:
    """Find the preferred treatment, its margins over the others, and the sign that makes large values good."""
    net._one_part("a threshold analysis")
    sign = -1.0 if net._direction() == "desirable" else 1.0
    value = sign * net._random.theta
    if decision is None:
        best = int(np.argmax(value))
    elif str(decision) in net.treatments:
        best = net.treatments.index(str(decision))
    else:
        raise InputError("decision", found=repr(decision), expected=f"one of {', '.join(net.treatments)}")
    margin = value[best] - value
    if (margin < 0).any():
        winner = net.treatments[int(np.argmax(value))]
        raise InputError(
            "decision", found=repr(decision), expected=f"the treatment with the best effect, {winner}",
            fix="Thresholds are where the preferred treatment changes",
        )  # fmt: skip
    margin[best] = np.nan
    return best, margin, sign


def threshold_analysis(net: Any, *, decision: str | None = None, per: str = "comparison") -> pd.DataFrame:
    r"""How far each piece of evidence would have to move before the preferred treatment changed.

    A shift of the direct evidence of one comparison by delta moves the network's effects by delta times a column of
    the hat matrix, with the heterogeneity held; the threshold is the smallest delta at which another treatment
    draws level with the preferred one.

    Parameters
    ----------
    net : Network
        A connected network with a direction.
    decision : str, optional
        The preferred treatment; by default the one with the best effect.
    per : "comparison" or "study"
        Shift the direct evidence of a comparison in all studies, or one arm of one study.

    Returns
    -------
    DataFrame
        estimate, se (of the evidence), low and high (shifts), low_to and high_to (the treatment then preferred;
        empty where no shift does it, with an infinite threshold), and robust: whether the confidence interval of the
        evidence stays within the thresholds.

    Raises
    ------
    InputError
        For several parts, no direction, or a decision that is not the best treatment.

    References
    ----------
    Phillippo DM, Dias S, Ades AE, Didelez V, Welton NJ. J R Stat Soc A 2018;181:843-867, doi:10.1111/rssa.12341.
    """
    if per not in {"comparison", "study"}:
        raise InputError("per", found=repr(per), expected="'comparison' or 'study'")
    best, margin, sign = _margin(net, decision)
    structure, solution = net._structure, net._random
    names = np.asarray([*net.treatments, ""], dtype=object)
    if per == "comparison":
        direct = net._direct
        weight = _edge_weights(structure, solution)[direct.first, direct.second]
        move = (solution.inverse[:, direct.first] - solution.inverse[:, direct.second]) * weight
        estimate, se = direct.estimate, np.sqrt(direct.variance)
        index = pd.MultiIndex.from_arrays(
            [names[direct.first], names[direct.second]], names=["treatment_1", "treatment_2"]
        )
    else:
        move, estimate, se, index = _by_study(structure, solution)
    rate = sign * (move[best][:, None] - move.T)
    low, low_to, high, high_to = thresholds(margin, rate)
    half = stats.norm.ppf(0.5 * (1 + net.level)) * se
    return pd.DataFrame(
        {
            "estimate": estimate,
            "se": se,
            "low": low,
            "low_to": names[low_to],
            "high": high,
            "high_to": names[high_to],
            "robust": (low < -half) & (half < high),
        },
        index=index,
    )


def _by_study(
    structure: Any, solution: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], pd.MultiIndex]:
    """Move of the effects for a unit shift of an arm against the first arm of its study."""
    moves, estimates, ses, keys = [], [], [], []
    tables = study_laplacians(structure, solution.weights)
    for group, weight, table in zip(structure.groups, solution.weights, tables, strict=True):
        free = group.design[:, :, 1:]
        covariance = np.linalg.inv(np.einsum("kra,kr,krb->kab", free, weight, free))
        contrast = np.linalg.solve(free, group.response[:, :, None])[:, :, 0]
        for s in range(group.studies.size):
            arms = group.arms[s]
            for j in range(1, arms.size):
                moves.append(solution.inverse[:, arms] @ table[s][:, j])
                estimates.append(contrast[s, j - 1])
                ses.append(np.sqrt(covariance[s, j - 1, j - 1]))
                keys.append(
                    (
                        structure.studies[group.studies[s]],
                        structure.treatments[arms[j]],
                        structure.treatments[arms[0]],
                    )
                )
    index = pd.MultiIndex.from_tuples(keys, names=["study", "treatment_1", "treatment_2"])
    return np.column_stack(moves), np.asarray(estimates), np.asarray(ses), index
