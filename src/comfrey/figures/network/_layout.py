"""Where treatments of one connected part stand: on a ring with few crossings, one in the middle if that is clear."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["arrange", "crossings", "ring_angles"]

_CLEAR = 0.3  # a chord has to pass the middle at this share of the radius, or nothing stands there
_EXACT = 45  # more treatments than this are ordered by the length of lines alone


def crossings(place: NDArray[np.int64], edges: NDArray[np.int64]) -> int:
    """Count the pairs of straight lines that cross when treatments stand on a ring.

    Parameters
    ----------
    place : (n,) int array
        Position of each treatment on the ring.
    edges : (m, 2) int array
        Lines between treatments.

    Returns
    -------
    int

    Examples
    --------
    >>> crossings(np.array([0, 1, 2, 3]), np.array([[0, 2], [1, 3]])), crossings(np.arange(3), np.array([[0, 1]]))
    (1, 0)
    """
    ends = np.sort(place[edges], axis=1)
    low, high = ends[:, 0], ends[:, 1]
    inside = (low[:, None] < low[None, :]) & (low[None, :] < high[:, None]) & (high[:, None] < high[None, :])
    return int(inside.sum())


def _cost(order: Sequence[int], edges: NDArray[np.int64], n: int) -> float:
    """Crossings, and the length of lines to choose among equal ones; both count whole numbers, so ties are exact."""
    place = np.empty(n, dtype=np.int64)
    place[list(order)] = np.arange(len(order))
    span = np.abs(place[edges[:, 0]] - place[edges[:, 1]])
    length = float(np.minimum(span, len(order) - span).sum())
    return length if len(order) > _EXACT else 1e6 * crossings(place, edges) + length


def _improve(order: list[int], edges: NDArray[np.int64], n: int, sweeps: int) -> tuple[float, list[int]]:
    """Take one treatment after another to its best place until nothing gets better."""
    best = _cost(order, edges, n)
    for _ in range(sweeps):
        before = best
        for item in sorted(order):
            rest = [i for i in order if i != item]
            for at in range(len(rest)):
                trial = [*rest[:at], item, *rest[at:]]
                cost = _cost(trial, edges, n)
                if cost < best:
                    best, order = cost, trial
        if best >= before:
            break
    return best, order


def _walk(members: Sequence[int], edges: NDArray[np.int64]) -> list[int]:
    """Depth-first order from a treatment with the fewest comparisons."""
    near: dict[int, list[int]] = {i: [] for i in members}
    for a, b in edges.tolist():
        near[a].append(b)
        near[b].append(a)
    seen: list[int] = []
    for start in sorted(members, key=lambda i: (len(near[i]), i)):
        stack = [start]
        while stack:
            here = stack.pop()
            if here not in seen:
                seen.append(here)
                stack += sorted((j for j in near[here] if j not in seen), key=lambda j: (-len(near[j]), -j))
    return seen


def _ring(members: list[int], edges: NDArray[np.int64], n: int) -> list[int]:
    """Order of a ring with few crossings and short lines, beginning with its first member."""
    if len(members) < 4 or not edges.size:
        return members
    sweeps = 12 if len(members) <= 20 else 4 if len(members) <= _EXACT else 1
    starts = [members, _walk(members, edges)]
    order = min((_improve(list(start), edges, n, sweeps) for start in starts), key=lambda found: found[0])[1]
    at = order.index(members[0])
    order = order[at:] + order[:at]
    return order if order[1] < order[-1] else [order[0], *order[:0:-1]]


def arrange(
    members: Sequence[int],
    edges: NDArray[np.int64],
    weight: NDArray[np.float64],
    *,
    keep_order: bool = False,
    open_middle: bool = False,
) -> tuple[int | None, list[int]]:
    """Choose who stands in the middle, and the order of the ring around it.

    The treatment with the most comparisons stands in the middle if all lines between the others then pass it at a
    distance; otherwise all stand on the ring, and no line can run through a treatment.

    Parameters
    ----------
    members : sequence of int
        Treatments of one connected part, in their declared order.
    edges : (m, 2) int array
        Its comparisons.
    weight : (n,) array
        Studies of every treatment, to choose among equals.
    keep_order : bool
        Keep the declared order on the ring, and the middle empty.
    open_middle : bool
        Keep the middle empty.

    Returns
    -------
    middle : int or None
    ring : list of int
        Clockwise from the top.

    Examples
    --------
    >>> arrange([0, 1, 2, 3], np.array([[0, 1], [0, 2], [0, 3]]), np.ones(4))
    (0, [1, 2, 3])
    """
    members, n = list(members), weight.size
    if keep_order or len(members) < 4:
        return None, members
    degree = np.bincount(edges.ravel(), minlength=n)
    hub = max(members, key=lambda i: (degree[i], weight[i], -i))
    others = edges[(edges != hub).all(axis=1)]
    first = max((i for i in members if i != hub), key=lambda i: (weight[i], -i))
    rest = [first, *(i for i in members if i not in (hub, first))]
    if not open_middle and degree[hub] >= max(3, len(rest) / 2):
        ring = _ring(rest, others, n)
        place = np.zeros(n, dtype=np.int64)
        place[ring] = np.arange(len(ring))
        span = np.abs(place[others[:, 0]] - place[others[:, 1]])
        span = np.minimum(span, len(ring) - span)
        if math.cos(math.pi * int(span.max(initial=0)) / len(ring)) >= _CLEAR:
            return hub, ring
    return None, _ring([hub, *(i for i in members if i != hub)], edges, n)


def ring_angles(count: int) -> NDArray[np.float64]:
    """Angles of a ring, clockwise from the top in coordinates that run downwards; two stand side by side.

    Examples
    --------
    >>> ring_angles(4).round(3)
    array([-1.571,  0.   ,  1.571,  3.142])
    """
    if count == 2:
        return np.array([math.pi, 0.0])
    return -math.pi / 2 + 2 * math.pi * np.arange(count) / count
