"""Rows that belong together: codes, batches of equal size, connected components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def combine(codes: Sequence[Ints]) -> Ints:
    """Give each distinct combination of several codings its own code, counted from 0 in sorted order."""
    out = np.unique(codes[0], return_inverse=True)[1].astype(np.intp)
    for extra in codes[1:]:
        mixed = out * (int(extra.max()) + 1) + extra
        out = np.unique(mixed, return_inverse=True)[1].astype(np.intp)
    return out


def count(codes: Ints) -> int:
    """Tell how many groups a coding from 0 has."""
    return int(codes.max()) + 1 if codes.size else 0


def refines(fine: Ints, coarse: Ints) -> bool:
    """Tell whether every group of `fine` lies inside one group of `coarse`."""
    first = np.full(count(fine), -1, dtype=np.intp)
    first[fine] = coarse  # the last row of a group speaks for it; all others must say the same
    return bool(np.array_equal(first[fine], coarse))


def batches(codes: Ints) -> list[Ints]:
    """Rows of the groups, stacked by group size: one (groups, size) index array per distinct size."""
    order = np.argsort(codes, kind="stable").astype(np.intp)
    sizes = np.bincount(codes)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.intp)
    return [order[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes[sizes > 0])]


def connected(links: Sequence[Ints], k: int) -> Ints:
    """Components of rows that are linked by sharing a group in any of the codings."""
    if not links:
        return np.arange(k, dtype=np.intp)
    offset, columns = 0, []
    for codes in links:
        columns.append(codes + offset)
        offset += count(codes)
    rows = np.tile(np.arange(k), len(links))
    groups = np.concatenate(columns) + k
    graph = sparse.coo_array((np.ones(rows.size), (rows, groups)), shape=(k + offset, k + offset))
    labels = connected_components(graph, directed=False)[1][:k]
    return combine([np.asarray(labels, dtype=np.intp)])
