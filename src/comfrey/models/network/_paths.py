"""How direct and how broad the evidence of each pair is, from the hat matrix of the designs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from comfrey.models.network._designs import fit_designs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._designs import Design

__all__ = ["evidence_paths", "path_measures"]


def _precision_against(design: Design, base: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Arms besides arm `base`, and the precision of their contrasts with it."""
    a = design.arms.size
    level = np.vstack([np.zeros(a - 1), np.eye(a - 1)])
    rest = [i for i in range(a) if i != base]
    turn = np.linalg.inv(level[rest] - level[base])
    return design.arms[rest], turn.T @ design.precision @ turn


def path_measures(
    designs: list[Design], inverse: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Mean path length and minimal parallelism of pairs of treatments.

    .. math:: \sum_d |h_d|, \qquad 1 / \max_d |h_d|

    with h the row of the hat matrix over the contrasts of the designs. The contrasts of a multi-arm design can be
    taken against any of its arms; both measures take what makes them smallest.

    Parameters
    ----------
    designs : list of Design
        At the heterogeneity of the network.
    inverse : (n, n) array
        Covariance of the effects.
    first, second : (p,) int arrays
        The pairs.

    Returns
    -------
    mean_path_length, minimal_parallelism : (p,) arrays

    References
    ----------
    König J, Krahn U, Binder H. Stat Med 2013;32:5414-5429, doi:10.1002/sim.6001.
    """
    difference = inverse[first] - inverse[second]
    length, largest = np.zeros(first.size), np.zeros(first.size)
    for design in designs:
        shortest = np.full(first.size, np.inf)
        for base in range(design.arms.size if design.arms.size > 2 else 1):
            rest, precision = _precision_against(design, base)
            hat = np.abs((difference[:, rest] - difference[:, design.arms[base]][:, None]) @ precision)
            shortest = np.minimum(shortest, hat.sum(axis=1))
            largest = np.maximum(largest, hat.max(axis=1))
        length += shortest
    return length, 1.0 / largest


def evidence_paths(net: Any) -> pd.DataFrame:
    """Make the table of :attr:`Network.evidence_paths`."""
    structure, n = net._structure, net._structure.n
    first, second = np.triu_indices(n, 1)
    joined = structure.island[first] == structure.island[second]
    length, parallelism = np.full(first.size, np.nan), np.full(first.size, np.nan)
    designs = fit_designs(structure, net._tau2)
    length[joined], parallelism[joined] = path_measures(designs, net._random.inverse, first[joined], second[joined])
    names = np.asarray(net.treatments, dtype=object)
    index = pd.MultiIndex.from_arrays([names[first], names[second]], names=["treatment_1", "treatment_2"])
    return pd.DataFrame(
        {
            "proportion": net.split()["proportion"].reindex(index),
            "mean_path_length": length,
            "minimal_parallelism": parallelism,
        },
        index=index,
    )
