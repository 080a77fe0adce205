"""Streams of evidence: how much each comparison, study or level of bias contributes to each estimate.

The network estimate of s against t is a flow of one unit of evidence from s to t (König et al. 2013,
doi:10.1002/sim.6001). Currents in a network of resistors run downhill, so the flow has no circles, and the
contributions of all paths can be added up by their length: a walk's chance of having come to an arm in k steps times
its chance of reaching the end in l more, divided by its length k + l + 1. No path needs to be listed.
"""

from __future__ import annotations

from bisect import insort
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.network._solve import laplacian, study_laplacians

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from comfrey.models.network._solve import Solution
    from comfrey.models.network._structure import Structure

__all__ = ["contributions", "flows", "random_walk", "shortest_paths"]

_DUST = 1e-12  # flows below this share of the unit are rounding


def flows(weights: NDArray[np.float64], inverse: NDArray[np.float64], source: int, target: int) -> NDArray[np.float64]:
    """Flow of evidence from `source` to `target`: entry (i, j) is what runs from i to j, zero where it runs back."""
    potential = inverse[:, source] - inverse[:, target]
    flow = weights * (potential[:, None] - potential[None, :])
    return np.where(flow > _DUST, flow, 0.0)


def random_walk(flow: NDArray[np.float64], source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""Contributions of the edges to unit flows, by a random walk along each flow.

    .. math:: c_{ij} = p_{ij} \sum_{k, l} \frac{F_k(i) \, G_l(j)}{k + l + 1}

    with p the share of the flow out of i that goes to j, F_k(i) the chance to be at i after k steps from the source
    and G_l(j) the chance to need l more steps from j to the target.

    Parameters
    ----------
    flow : (c, n, n) array
        Flows, without circles.
    source, target : (c,) int arrays
        Where each begins and ends.

    Returns
    -------
    (c, n, n) array
        Each sums to one.

    Raises
    ------
    NotEstimableError
        If a flow runs in circles.

    References
    ----------
    Davies AL, Papakonstantinou T, Nikolakopoulou A, Rücker G, Galla T. Stat Med 2022;41:2091-2114,
    doi:10.1002/sim.9346.

    Examples
    --------
    >>> one = np.array([[[0.0, 0.5, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]]])
    >>> random_walk(one, np.array([0]), np.array([2]))[0]
    array([[0.  , 0.25, 0.5 ],
           [0.  , 0.  , 0.25],
           [0.  , 0.  , 0.  ]])
    """
    count, n, _ = flow.shape
    out = flow.sum(axis=2, keepdims=True)
    step = np.divide(flow, out, out=np.zeros_like(flow), where=out > 0)
    row = np.arange(count)
    at = np.zeros((count, n))
    at[row, source] = 1.0
    to = np.zeros((count, n))
    to[row, target] = 1.0
    step[row, target] = 0.0  # a walk ends at the target
    ahead, back = [at], [to]
    for _ in range(n - 1):
        at = (at[:, None, :] @ step)[:, 0, :]
        to = (step @ to[:, :, None])[:, :, 0]
        ahead.append(at)
        back.append(to)
        if at.max(initial=0.0) == 0 and to.max(initial=0.0) == 0:
            break
    else:
        if (at[:, None, :] @ step).max(initial=0.0) > 1e-9:
            raise NotEstimableError(
                "evidence flows in circles, because a study's covariance gives some of its comparisons negative "
                "weights; contributions do not exist. Check the variances of multi-arm studies"
            )
    k = np.arange(len(ahead))
    share = 1.0 / (k[:, None] + k[None, :] + 1.0)
    forward = np.stack(ahead, axis=2) @ share  # (c, n, l)
    return np.asarray(step * (forward @ np.stack(back, axis=1)))


def shortest_paths(flow: NDArray[np.float64], source: int, target: int) -> NDArray[np.float64]:
    """Contributions of the edges to a unit flow, taking one shortest path out of it after another.

    The method leaves open which of several paths with the fewest edges goes first. Here it is the one whose smallest
    flow is largest; if that ties, whose second smallest is, and so on. This does not depend on the names of
    treatments; only where all flows tie does their order decide. Each path takes the smallest flow on it away, shared
    evenly among its edges.

    Parameters
    ----------
    flow : (n, n) array
        A flow without circles.
    source, target : int
        Where it begins and ends.

    Returns
    -------
    (n, n) array
        Sums to one.

    References
    ----------
    Papakonstantinou T, Nikolakopoulou A, Rücker G, et al. F1000Research 2018;7:610,
    doi:10.12688/f1000research.14770.3.

    Examples
    --------
    >>> shortest_paths(np.array([[0.0, 0.5, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]]), 0, 2)
    array([[0.  , 0.25, 0.5 ],
           [0.  , 0.  , 0.25],
           [0.  , 0.  , 0.  ]])
    """
    left: list[dict[int, float]] = [
        {int(j): float(flow[i, j]) for j in np.flatnonzero(flow[i])} for i in range(flow.shape[0])
    ]
    result = np.zeros_like(flow)
    while (path := _widest_shortest(left, source, target)) is not None:
        steps = list(pairwise(path))
        amount = min(left[i][j] for i, j in steps)
        for i, j in steps:
            result[i, j] += amount / len(steps)
            left[i][j] -= amount
            if left[i][j] <= _DUST:
                del left[i][j]
    return result


def _widest_shortest(left: list[dict[int, float]], source: int, target: int) -> list[int] | None:
    """Of the paths with the fewest edges the one with the largest flows, smallest first; None where none is left."""
    came: dict[int, int] = {}
    carried: dict[int, list[float]] = {source: []}
    level = [source]
    while level and target not in carried:
        reached: dict[int, list[float]] = {}
        for here in level:
            for there, flow in left[here].items():
                if there in carried:
                    continue
                flows_so_far = carried[here].copy()
                insort(flows_so_far, flow)
                if flows_so_far > reached.get(there, []):
                    reached[there] = flows_so_far
                    came[there] = here
        carried.update(reached)
        level = sorted(reached)
    if target not in carried:
        return None
    path = [target]
    while path[-1] != source:
        path.append(came[path[-1]])
    return path[::-1]


def _edge_weights(structure: Structure, solution: Solution) -> NDArray[np.float64]:
    """Sum of the reduced weights of each comparison over studies, (n, n), zero diagonal."""
    weights = -laplacian(structure, solution.weights)[0]
    np.fill_diagonal(weights, 0.0)
    return weights


def _study_shares(
    structure: Structure, solution: Solution, first: NDArray[np.int64], second: NDArray[np.int64]
) -> coo_array:
    """Share of each study (column) in the weight of each comparison (row)."""
    n = structure.n
    key = first * n + second
    edge, study, weight = [], [], []
    for group, table in zip(structure.groups, study_laplacians(structure, solution.weights), strict=True):
        i, j = np.triu_indices(group.arms.shape[1], 1)
        low = np.minimum(group.arms[:, i], group.arms[:, j])
        high = np.maximum(group.arms[:, i], group.arms[:, j])
        edge.append(np.searchsorted(key, (low * n + high).ravel()))
        study.append(np.repeat(group.studies, i.size))
        weight.append(-table[:, i, j].ravel())
    e, s, w = np.concatenate(edge), np.concatenate(study), np.concatenate(weight)
    total = np.bincount(e, w, key.size)
    share = np.divide(w, total[e], out=np.zeros_like(w), where=total[e] != 0)
    return coo_array((share, (e, s)), shape=(key.size, structure.k))


def edge_contributions(
    structure: Structure, solution: Solution, kind: str, edges: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Contribution of each comparison with direct evidence to every connected pair.

    Returns
    -------
    first, second : (p,) int arrays
        The pairs.
    table : (p, c) array
        Their rows.
    """
    n = structure.n
    first, second = np.triu_indices(n, 1)
    weights = _edge_weights(structure, solution)
    low, high = edges
    table = np.full((first.size, low.size), np.nan)
    joined = np.flatnonzero(structure.island[first] == structure.island[second])
    m = solution.inverse
    if kind == "hat":
        potential = m[first[joined]] - m[second[joined]]
        table[joined] = (potential[:, low] - potential[:, high]) * weights[low, high]
        return first, second, table
    block = max(1, 2_000_000 // (n * n))
    for start in range(0, joined.size, block):
        rows = joined[start : start + block]
        flow = np.stack([flows(weights, m, int(i), int(j)) for i, j in zip(first[rows], second[rows], strict=True)])
        if kind == "random-walk":
            part = random_walk(flow, first[rows], second[rows])
        else:
            part = np.stack(
                [shortest_paths(f, int(i), int(j)) for f, i, j in zip(flow, first[rows], second[rows], strict=True)]
            )
        table[rows] = part[:, low, high] + part[:, high, low]
    if joined.size and np.abs(table[joined].sum(axis=1) - 1).max() > 1e-8:
        raise NotEstimableError("evidence flows are lost in rounding: variances differ by too many orders of size")
    return first, second, table


def contributions(
    net: Any, kind: str, per: str, risk_of_bias: Mapping[str, str] | None, *, common: bool
) -> pd.DataFrame:
    """Make the table of :meth:`Network.contributions`."""
    for name, value, allowed in (
        ("kind", kind, ("random-walk", "shortest-path", "hat")),
        ("per", per, ("comparison", "study", "risk of bias")),
    ):
        if value not in allowed:
            raise InputError(name, found=repr(value), expected=f"one of {', '.join(allowed)}")
    if kind == "hat" and per != "comparison":
        raise InputError(
            "kind", found="'hat'", expected="'random-walk' or 'shortest-path' for contributions per " + per
        )
    levels = _levels(net, risk_of_bias) if per == "risk of bias" else {}
    structure: Structure = net._structure
    solution: Solution = net._common if common else net._random
    edges = net._direct.first, net._direct.second
    first, second, table = net._keep(
        f"contributions {kind} {common}", lambda: edge_contributions(structure, solution, kind, edges)
    )
    names = np.asarray(structure.treatments, dtype=object)
    index = pd.MultiIndex.from_arrays([names[first], names[second]], names=["treatment_1", "treatment_2"])
    if per == "comparison":
        columns = pd.MultiIndex.from_arrays([names[edges[0]], names[edges[1]]], names=["treatment_1", "treatment_2"])
        return pd.DataFrame(table, index=index, columns=columns, copy=True)
    studies = table @ _study_shares(structure, solution, *edges).tocsr()
    frame = pd.DataFrame(np.asarray(studies), index=index, columns=pd.Index(structure.studies, name="study"))
    if per == "study":
        return frame
    order = list(dict.fromkeys(levels.values()))
    return pd.DataFrame(
        {lev: frame[[s for s in structure.studies if levels[s] == lev]].sum(axis=1, skipna=False) for lev in order},
        index=index,
    )


def _levels(net: Any, risk_of_bias: Mapping[str, str] | None) -> dict[str, str]:
    if risk_of_bias is None:
        raise InputError("risk_of_bias", found="nothing", expected="a level for each study, as a mapping")
    given = {str(study): str(level) for study, level in dict(risk_of_bias).items()}
    missing = [s for s in net._structure.studies if s not in given]
    if missing:
        raise InputError(
            "risk_of_bias", found=f"no level for {', '.join(missing[:6])}", expected="a level for each study"
        )
    return {s: given[s] for s in net._structure.studies}
