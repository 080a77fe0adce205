"""Labels around a ring: outside, level, and never over one another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Box", "place_around", "spread"]

_GAP = 0.07  # between a treatment and its label, inches
_AIR = 0.035  # between two labels


@dataclass(frozen=True, slots=True)
class Box:
    """Where a label stands: centre, size, the side its text is aligned to; inches, y downwards."""

    x: float
    y: float
    width: float
    height: float
    align: str

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, right, top, bottom."""
        half, tall = self.width / 2, self.height / 2
        return self.x - half, self.x + half, self.y - tall, self.y + tall

    def overlaps(self, other: Box, air: float = 0.0) -> bool:
        """Whether two labels touch."""
        a, b = self.edges, other.edges
        return a[0] < b[1] + air and b[0] < a[1] + air and a[2] < b[3] + air and b[2] < a[3] + air

    @property
    def anchor(self) -> float:
        """Return the x of the side that the text is aligned to."""
        left, right, _, _ = self.edges
        return {"left": left, "right": right}.get(self.align, self.x)


def spread(wanted: ArrayLike, sizes: Sequence[float], air: float = _AIR) -> NDArray[np.float64]:
    """Move intervals apart until none overlap, as little as possible (least squares, order kept).

    Parameters
    ----------
    wanted : (n,) sequence, ascending
        Centres where they would like to be.
    sizes : (n,) sequence
        Lengths.
    air : float
        Smallest gap.

    Returns
    -------
    (n,) array

    Examples
    --------
    >>> spread([0.0, 0.0, 5.0], [1.0, 1.0, 1.0], 0.0)
    array([-0.5,  0.5,  5. ])
    """
    size = np.asarray(sizes, dtype=float)
    step = np.concatenate([[0.0], np.cumsum((size[1:] + size[:-1]) / 2 + air)])
    target = np.asarray(wanted, dtype=float) - step
    blocks: list[list[float]] = []  # mean, count: pool adjacent violators
    for value in target:
        blocks.append([float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + mean * count) / (before[1] + count)
            before[1] += count
    return np.asarray(np.repeat([b[0] for b in blocks], [int(b[1]) for b in blocks]) + step, dtype=float)


def place_around(
    angles: NDArray[np.float64],
    radii: NDArray[np.float64],
    ring: float,
    sizes: Sequence[tuple[float, float]],
) -> list[Box]:
    """Place the labels of treatments that stand on a ring around (0, 0).

    Each label would like to stand outward of its treatment. Labels of a side are moved apart up and down, and then
    outward until they clear the ring and all treatments at their height. Labels at the very top and bottom stand
    above and below, beyond all others that would touch them.

    Parameters
    ----------
    angles : (n,) array
        Of the treatments, y downwards.
    radii : (n,) array
        Of the circles, in inches.
    ring : float
        Radius of the ring.
    sizes : sequence of (width, height)
        Of the labels.

    Returns
    -------
    list of Box
        No two overlap.
    """
    x, y = ring * np.cos(angles), ring * np.sin(angles)
    boxes: list[Box | None] = [None] * len(sizes)
    poles = [i for i, a in enumerate(angles) if abs(math.cos(a)) < 1e-9]
    for side in (-1, 1):
        here = [i for i in range(len(sizes)) if i not in poles and math.copysign(1, x[i]) == side]
        here.sort(key=lambda i: (y[i], i))
        reach = np.array([ring + radii[i] + _GAP + sizes[i][1] / 2 * abs(math.sin(angles[i])) for i in here])
        wanted = np.sort(reach * np.sin(angles[here])) if here else np.empty(0)
        for i, middle in zip(here, spread(wanted, [sizes[i][1] for i in here]), strict=True):
            start = _clear(i, float(middle), sizes[i][1], x * side, y, radii, ring)
            width = sizes[i][0]
            boxes[i] = Box(side * (start + width / 2), float(middle), *sizes[i], "left" if side > 0 else "right")
    circles = [Box(float(a), float(b), 2 * r, 2 * r, "center") for a, b, r in zip(x, y, radii, strict=True)]
    for i in poles:
        up = math.copysign(1, y[i])
        others = circles[:i] + circles[i + 1 :]
        box = Box(float(x[i]), up * (ring + radii[i] + _GAP / 2 + sizes[i][1] / 2), *sizes[i], "center")
        while hit := [b for b in (*boxes, *others) if b is not None and box.overlaps(b, _AIR)]:
            far = max(up * b.y + b.height / 2 for b in hit)
            box = Box(box.x, up * (far + _AIR * 1.01 + box.height / 2), *sizes[i], "center")
        boxes[i] = box
    return [box for box in boxes if box is not None]


def _clear(
    own: int,
    middle: float,
    height: float,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radii: NDArray[np.float64],
    ring: float,
) -> float:
    """Smallest distance from the middle line at which a label of this height clears ring and circles."""
    low, high = middle - height / 2, middle + height / 2
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    start = math.sqrt(max(ring**2 - nearest**2, 0.0)) + _GAP
    for i in range(x.size):
        down = max(low - y[i], y[i] - high, 0.0)
        if down < radii[i] + _GAP / 2:
            start = max(start, x[i] + math.sqrt(max((radii[i] + _GAP / 2) ** 2 - down**2, 0.0)) + _GAP / 2)
    slack = max(low - y[own], y[own] - high, 0.0)
    if slack < radii[own] + 2 * _GAP:  # a label beside its own circle; one moved away may come closer to the ring
        start = max(start, x[own] + math.sqrt(max((radii[own] + _GAP) ** 2 - slack**2, 0.0)))
    return max(start, _AIR)
