"""Direct evidence of each comparison, and how much of the network's estimate it makes up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._input import Rows
    from comfrey.models.network._structure import Structure

__all__ = ["Direct", "direct_evidence"]


@dataclass(frozen=True, slots=True)
class Direct:
    """Direct evidence by comparison.

    Attributes
    ----------
    first, second : (c,) int arrays
        Treatments, first < second.
    k : (c,) int array
        Number of studies.
    estimate, variance : (c,) arrays
        Pooled first minus second, and its variance.
    comparison : (m,) int array
        Which comparison each row of the data belongs to.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    k: NDArray[np.int64]
    estimate: NDArray[np.float64]
    variance: NDArray[np.float64]
    comparison: NDArray[np.int64]


def direct_evidence(rows: Rows, structure: Structure, tau2: NDArray[np.float64]) -> Direct:
    """Inverse-variance mean of all studies that hold both treatments, at the network's heterogeneity.

    Parameters
    ----------
    rows : Rows
        The comparisons as given; those of multi-arm studies keep their own variances.
    structure : Structure
        The network.
    tau2 : (parts,) array
        Heterogeneity of each connected part.

    Returns
    -------
    Direct
        Sorted by treatments.
    """
    low, high = np.minimum(rows.first, rows.second), np.maximum(rows.first, rows.second)
    key, which = np.unique(low * structure.n + high, return_inverse=True)
    y = np.where(rows.first < rows.second, rows.yi, -rows.yi)
    w = 1.0 / (rows.vi + tau2[structure.island[rows.first]])
    total = np.bincount(which, w)
    return Direct(
        first=key // structure.n,
        second=key % structure.n,
        k=np.bincount(which),
        estimate=np.bincount(which, w * y) / total,
        variance=1.0 / total,
        comparison=which,
    )
