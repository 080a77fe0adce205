"""One connected part of a network, laid out in inches around its own middle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.figures.network._labels import Box, place_around
from comfrey.figures.network._layout import arrange, ring_angles
from comfrey.figures.network._page import LINE, text_width, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Island", "lay_out", "place_counts", "ring_radius", "shelves"]

_LONGEST = 1.35  # a longer label is broken at its blanks, inches
_MANY = 14  # more treatments than this have their numbers beside the name, not below it


@dataclass(frozen=True, slots=True)
class Island:
    """Where things stand, in inches from the middle of the ring, y downwards.

    Attributes
    ----------
    members : tuple of int
        Treatments; all arrays have their order.
    x, y, radius : (n,) arrays
        Circles.
    labels : tuple of Box
        Where the labels stand.
    lines : tuple of tuple of str
        Their text, line by line; the last is the number, if `numbers`.
    middle : int or None
        Which member stands in the middle of the ring.
    """

    members: tuple[int, ...]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    radius: NDArray[np.float64]
    labels: tuple[Box, ...]
    lines: tuple[tuple[str, ...], ...]
    middle: int | None

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, right, top, bottom of circles and labels."""
        edges = np.array([box.edges for box in self.labels])
        return (
            float(min(edges[:, 0].min(), (self.x - self.radius).min())),
            float(max(edges[:, 1].max(), (self.x + self.radius).max())),
            float(min(edges[:, 2].min(), (self.y - self.radius).min())),
            float(max(edges[:, 3].max(), (self.y + self.radius).max())),
        )


def ring_radius(count: int) -> float:
    """Radius of a ring of so many treatments: room for circles, and for their labels at both sides."""
    natural = {2: 0.55, 3: 0.72, 4: 0.95}.get(count, min(1.05 + 0.085 * (count - 4), 2.3))
    line = (LINE + 0.035) if count > _MANY else 2 * LINE + 0.035
    return max(natural, math.ceil(count / 2) * line / 2.4)


def _words(name: str, number: str, *, many: bool) -> tuple[str, ...]:
    if many:
        return (name, number)
    return (*wrap(name, _LONGEST), number)


def _size(lines: tuple[str, ...], *, many: bool) -> tuple[float, float]:
    if many:
        return text_width(lines[0]) + text_width("  " + lines[1], 8.0), LINE
    return max(*(text_width(t) for t in lines[:-1]), text_width(lines[-1], 8.0)), LINE * len(lines)


def lay_out(
    members: Sequence[int],
    edges: NDArray[np.int64],
    names: Sequence[str],
    numbers: Sequence[str],
    area: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    keep_order: bool,
) -> Island:
    """Lay out one connected part.

    Parameters
    ----------
    members : sequence of int
        Its treatments.
    edges : (m, 2) int array
        Its comparisons.
    names, numbers : sequences of str
        Label of every treatment of the network, and the number below it.
    area, weight : (n,) arrays
        Square of the circle's radius in inches, and studies, of every treatment of the network.
    keep_order : bool
        Keep the order of `members` on the ring.
    """
    middle, ring = arrange(members, edges, weight, keep_order=keep_order)
    many = len(members) > _MANY
    lines = {i: _words(names[i], numbers[i], many=many) for i in members}
    size = {i: _size(text, many=many) for i, text in lines.items()}
    reach = ring_radius(len(members))
    inner: Box | None = None
    if middle is not None:
        inner = _label_of_middle(middle, ring, edges, reach, math.sqrt(area[middle]), size[middle])
        if inner is None:
            middle, ring = arrange(members, edges, weight, open_middle=True)
    angles, radius = ring_angles(len(ring)), np.sqrt(area[ring])
    boxes = place_around(angles, radius, reach, [size[i] for i in ring])
    x, y = reach * np.cos(angles), reach * np.sin(angles)
    at = None
    if middle is not None and inner is not None:
        at = len(ring)
        ring = [*ring, middle]
        x, y, radius = np.append(x, 0.0), np.append(y, 0.0), np.sqrt(area[ring])
        boxes.append(inner)
    return Island(tuple(ring), x, y, radius, tuple(boxes), tuple(lines[i] for i in ring), at)


def _label_of_middle(
    middle: int, ring: list[int], edges: NDArray[np.int64], reach: float, radius: float, size: tuple[float, float]
) -> Box | None:
    """Find a place beside the circle in the middle where no line runs; None if there is none, except in a star."""
    angles = ring_angles(len(ring))
    place = {i: (reach * math.cos(a), reach * math.sin(a)) for i, a in zip(ring, angles, strict=True)}
    place[middle] = (0.0, 0.0)
    fine = np.linspace(0.0, 1.0, 81)[:, None]
    dots = np.concatenate([(1 - fine) * place[a] + fine * place[b] for a, b in edges.tolist()])
    width, height = size
    best, box = math.inf, None
    for away in (radius + 0.04, radius + 0.1, radius + 0.2):
        for angle in np.arange(0, 2 * math.pi, math.pi / 36):
            across, down = math.cos(angle), math.sin(angle)
            # the corner or side of the label that is nearest to the circle lies in this direction
            x = across * away + (math.copysign(width / 2, across) if abs(across) > 0.25 else 0.0)
            y = down * away + (math.copysign(height / 2, down) if abs(down) > 0.25 else 0.0)
            trial = Box(x, y, width, height, "center")
            left, right, top, bottom = trial.edges
            inside = (dots[:, 0] > left - 0.02) & (dots[:, 0] < right + 0.02)
            under = int((inside & (dots[:, 1] > top - 0.02) & (dots[:, 1] < bottom + 0.02)).sum())
            if math.hypot(abs(x) + width / 2, abs(y) + height / 2) > reach - 0.1:
                under += 1000
            if under < best:
                best, box = under, trial
    star = bool((edges == middle).any(axis=1).all())
    return box if best == 0 or star else None


def place_counts(
    island: Island, edges: NDArray[np.int64], sizes: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Find a place on each line for the number of its studies, clear of other lines, circles and labels.

    Parameters
    ----------
    island : Island
        The layout.
    edges : (m, 2) int array
        Comparisons, as positions in `island.members`.
    sizes : sequence of (width, height)
        Of the numbers.

    Returns
    -------
    list of (x, y)
    """
    start = np.column_stack([island.x, island.y])[edges[:, 0]]
    step = np.column_stack([island.x, island.y])[edges[:, 1]] - start
    fine = np.linspace(0.0, 1.0, 41)
    dots = start[:, None, :] + step[:, None, :] * fine[None, :, None]  # (m, 41, 2)
    placed: list[tuple[float, float]] = []
    for i, (width, height) in enumerate(sizes):
        best, where = -math.inf, (0.0, 0.0)
        for t in (0.5, 0.44, 0.56, 0.38, 0.62, 0.32, 0.68, 0.26, 0.74):
            point = start[i] + t * step[i]
            others = np.delete(dots, i, axis=0).reshape(-1, 2)
            room = min(
                _distance(point, others),
                _distance(point, np.array(placed).reshape(-1, 2)) - 0.06,
                float((np.hypot(island.x - point[0], island.y - point[1]) - island.radius).min()),
            )
            box = Box(float(point[0]), float(point[1]), width, height, "center")
            hits = sum(box.overlaps(label) for label in island.labels)
            score = min(room, 0.16) - hits - 0.02 * abs(t - 0.5)
            if score > best + 1e-9:
                best, where = score, (float(point[0]), float(point[1]))
        placed.append(where)
    return placed


def _distance(point: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    return float(np.hypot(*(others - point).T).min()) if others.size else math.inf


def shelves(sizes: Sequence[tuple[float, float]], most: float, gap: float) -> tuple[list[tuple[float, float]], float]:
    """Put boxes side by side in rows no wider than `most`; return their upper left corners and the whole height."""
    places: list[tuple[float, float]] = []
    x = y = tall = 0.0
    for width, height in sizes:
        if x > 0 and x + width > most + 1e-9:
            x, y, tall = 0.0, y + tall + gap, 0.0
        places.append((x, y))
        x, tall = x + width + gap, max(tall, height)
    return places, y + tall
