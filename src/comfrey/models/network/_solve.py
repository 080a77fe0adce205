"""Least squares in a network whose contrasts are independent: effects, leverages, likelihood.

With weights w = 1 / (variance + tau2) the normal equations have the weighted Laplacian of the graph of treatments,
L = X' W X, as their matrix (Rücker 2012, doi:10.1002/jrsm.1058; multi-arm studies as in Rücker & Schwarzer 2014,
doi:10.1002/sim.6236). One treatment of each connected part is held at zero, and the rest of L is inverted by
Cholesky.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.models.network._positive import invert_positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from comfrey.models.network._structure import Structure

__all__ = ["Solution", "group_weights", "invert", "laplacian", "solve"]


@dataclass(frozen=True, slots=True)
class Solution:
    """Weighted least squares at given heterogeneity.

    Attributes
    ----------
    theta : (n,) array
        Effects; the first treatment of each connected part is at zero.
    inverse : (n, n) array
        Covariance of `theta`: the inverse of the Laplacian without the held treatments, zero in their rows.
    log_det : float
        Log determinant of the Laplacian without the held treatments.
    q : float
        Weighted residual sum of squares.
    weights, residuals : tuple of (k, a - 1) arrays
        By group of studies.
    """

    theta: NDArray[np.float64]
    inverse: NDArray[np.float64]
    log_det: float
    q: float
    weights: tuple[NDArray[np.float64], ...]
    residuals: tuple[NDArray[np.float64], ...]


def group_weights(structure: Structure, tau2: float | NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Weights 1 / (variance + tau2), by group; `tau2` is one number or one for each connected part."""
    per_part = np.broadcast_to(np.asarray(tau2, dtype=np.float64), (structure.n_islands,))
    return [
        1.0 / (group.variance + per_part[structure.island_of_study[group.studies]][:, None])
        for group in structure.groups
    ]


def study_laplacians(structure: Structure, weights: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """(k, a, a) Laplacian of each study, by group; off the diagonal stand minus the reduced weights of its edges."""
    result = []
    for group, weight in zip(structure.groups, weights, strict=True):
        result.append(np.einsum("kra,kr,krb->kab", group.design, weight, group.design))
    return result


def laplacian(
    structure: Structure, weights: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted Laplacian (n, n) and right-hand side (n,) of the normal equations."""
    n = structure.n
    places, values, heads, loads = [], [], [], []
    for group, weight in zip(structure.groups, weights, strict=True):
        weighted = weight[:, :, None] * group.design
        places.append((group.arms[:, :, None] * n + group.arms[:, None, :]).ravel())
        values.append((np.swapaxes(weighted, 1, 2) @ group.design).ravel())
        heads.append(group.arms.ravel())
        loads.append(np.einsum("kra,kr->ka", weighted, group.response).ravel())
    matrix: NDArray[np.float64] = np.bincount(np.concatenate(places), np.concatenate(values), n * n).astype(float)
    load: NDArray[np.float64] = np.bincount(np.concatenate(heads), np.concatenate(loads), n).astype(float)
    return matrix.reshape(n, n), load


def held(structure: Structure) -> NDArray[np.bool_]:
    """Mark the first treatment of each connected part: it is held at zero."""
    mark = np.zeros(structure.n, dtype=bool)
    mark[np.unique(structure.island, return_index=True)[1]] = True
    return mark


def invert(matrix: NDArray[np.float64], hold: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Invert a Laplacian without its held rows, and give its log determinant; held rows of the inverse are zero."""
    n = matrix.shape[0]
    free = np.flatnonzero(~hold)
    full = np.zeros((n, n))
    if not free.size:
        return full, 0.0
    full[np.ix_(free, free)], log_det = invert_positive(matrix[np.ix_(free, free)])
    return full, log_det


def solve(structure: Structure, tau2: float | NDArray[np.float64]) -> Solution:
    """Effects, their covariance and Q at given heterogeneity.

    Parameters
    ----------
    structure : Structure
        The network.
    tau2 : float or (parts,) array
        Heterogeneity, one number or one for each connected part.

    Returns
    -------
    Solution

    Raises
    ------
    NotEstimableError
        If the equations are singular to working precision.
    """
    weights = group_weights(structure, tau2)
    matrix, load = laplacian(structure, weights)
    inverse, log_det = invert(matrix, held(structure))
    theta = inverse @ load
    theta += inverse @ (load - matrix @ theta)  # one step of iterative refinement: full accuracy for a few flops
    residuals, q = [], 0.0
    for group, weight in zip(structure.groups, weights, strict=True):
        residual = group.response - np.einsum("kra,ka->kr", group.design, theta[group.arms])
        residuals.append(residual)
        q += float((weight * residual * residual).sum())
    return Solution(theta, inverse, log_det, q, tuple(weights), tuple(residuals))
