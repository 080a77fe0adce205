"""Designs: the sets of treatments that studies compare, and how far they disagree.

Numbers for :meth:`Network.designs` and :meth:`Network.net_heat`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.models.network._solve import group_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._structure import ArmGroup, Structure

__all__ = ["Design", "fit_designs", "leftover_within"]


@dataclass(frozen=True, slots=True)
class Design:
    """Studies that compare the same treatments, pooled.

    Attributes
    ----------
    arms : (a,) int array
        Treatments.
    studies : (k,) int array
        Studies.
    effect : (a - 1,) array
        Pooled contrasts of the other arms with the first.
    precision : (a - 1, a - 1) array
        Inverse of their covariance.
    q : float
        Heterogeneity within the design; df is (k - 1)(a - 1).
    leftover : float
        Sum of weights times one minus leverages within the design.
    """

    arms: NDArray[np.int64]
    studies: NDArray[np.int64]
    effect: NDArray[np.float64]
    precision: NDArray[np.float64]
    q: float
    leftover: float

    @property
    def df(self) -> int:
        """Degrees of freedom of the heterogeneity within the design."""
        return (self.studies.size - 1) * (self.arms.size - 1)


def _fit_group(group: ArmGroup, weight: NDArray[np.float64]) -> list[Design]:
    arms, label = np.unique(group.arms, axis=0, return_inverse=True)
    label = label.ravel()
    free = group.design[:, :, 1:]
    weighted = weight[:, :, None] * free
    count, a = arms.shape
    precision = np.zeros((count, a - 1, a - 1))
    load = np.zeros((count, a - 1))
    np.add.at(precision, label, np.swapaxes(weighted, 1, 2) @ free)
    np.add.at(load, label, np.einsum("kra,kr->ka", weighted, group.response))
    effect = np.linalg.solve(precision, load[:, :, None])[:, :, 0]
    residual = group.response - np.einsum("kra,ka->kr", free, effect[label])
    spread = np.einsum("kra,kab,krb->kr", free, np.linalg.inv(precision)[label], free)
    q = np.bincount(label, (weight * residual**2).sum(axis=1), count)
    leftover = np.bincount(label, (weight * (1 - weight * spread)).sum(axis=1), count)
    order = np.argsort(label, kind="stable")
    members = np.split(group.studies[order], np.cumsum(np.bincount(label, minlength=count))[:-1])
    return [
        Design(
            arms[d], members[d], effect[d], precision[d], float(q[d]) if members[d].size > 1 else 0.0,
            float(leftover[d]) if members[d].size > 1 else 0.0,
        )
        for d in range(count)
    ]  # fmt: skip


def fit_designs(structure: Structure, tau2: float | NDArray[np.float64]) -> list[Design]:
    """Pool the studies of each design by themselves.

    Parameters
    ----------
    structure : Structure
        The network.
    tau2 : float or (parts,) array
        Heterogeneity.

    Returns
    -------
    list of Design
        Two-arm designs first, then three-arm ones, and so on; each sorted by treatment.
    """
    weights = group_weights(structure, tau2)
    return [
        design for group, weight in zip(structure.groups, weights, strict=True) for design in _fit_group(group, weight)
    ]


def leftover_within(designs: list[Design]) -> float:
    """Sum of the factors of tau2 in the expectation of Q within designs."""
    return sum(design.leftover for design in designs)
