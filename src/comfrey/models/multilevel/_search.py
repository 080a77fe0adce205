"""A bounded Newton search for the highest point of a smooth function, with a certificate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from comfrey.models.multilevel._grouping import Floats, Ints

Flags = npt.NDArray[np.bool_]


class Function(Protocol):
    """A smooth function to climb: value and gradient, at one place or at several."""

    @property
    def side_by_side(self) -> bool:
        """Whether several places at once cost little more than one."""
        ...

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient at x."""
        ...

    def many(self, places: Floats) -> list[tuple[float, Floats]]:
        """Value and gradient at each row of places."""
        ...


LONGEST = 2.0  # of a step in any coordinate
STEP = 1e-6  # of the differences of the gradient that make the Hessian
NOISE = 1e-13  # of the value, relative
PATIENCE = 3  # steps without a rise that can be told from rounding
CLOSE = 1e-4  # distance, in standard errors, that is accepted when rounding stops the search


@dataclass(frozen=True, slots=True)
class Found:
    """Where a search ended.

    `distance` is the Newton decrement: how far the end is from the maximum, in standard errors. `gradient_norm` is
    the largest slope among the coordinates that are free to move (at a bound only an inward slope counts).
    """

    x: Floats
    value: float
    gradient: Floats
    gradient_norm: float
    distance: float
    iterations: int
    converged: bool


class Point(NamedTuple):
    """Value, gradient and second derivatives (None where they are not known yet) at x."""

    x: Floats
    value: float
    gradient: Floats
    curvature: Floats | None


def hessian(function: Function, x: Floats, gradient: Floats, free: Flags, upper: Floats) -> Floats:
    """Second derivatives among the free coordinates, by differences of the analytic gradient."""
    places, index = _neighbours(x, free, upper)
    return _differences(places, x, [slope for _, slope in function.many(places)], gradient, index)


def _neighbours(x: Floats, free: Flags, upper: Floats) -> tuple[Floats, Ints]:
    """Places a small step away from x, one a free coordinate."""
    index = np.flatnonzero(free)
    steps = STEP * np.maximum(1.0, np.abs(x[index]))
    places = np.tile(x, (index.size, 1))
    places[np.arange(index.size), index] += np.where(x[index] + steps > upper[index], -steps, steps)
    return places, index


def _differences(places: Floats, x: Floats, slopes: list[Floats], gradient: Floats, index: Ints) -> Floats:
    out = np.zeros((index.size, index.size))
    for row, (i, place, slope) in enumerate(zip(index, places, slopes, strict=True)):
        out[row] = (slope[index] - gradient[index]) / (place[i] - x[i])
    return 0.5 * (out + out.T)


def _spectrum(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues, rising, and eigenvectors; of one or two rows in closed form, as most searches have no more."""
    if matrix.shape[0] == 1:
        return matrix[0], np.ones((1, 1))
    if matrix.shape[0] > 2:
        values, vectors = np.linalg.eigh(matrix)
        return values, vectors
    (a, b), (_, d) = matrix.tolist()
    angle = 0.5 * math.atan2(2.0 * b, a - d)
    middle, reach = 0.5 * (a + d), math.hypot(0.5 * (a - d), b)
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([middle - reach, middle + reach]), np.array([[-sine, cosine], [cosine, sine]])


def _ascent(curvature: Floats, slope: Floats) -> tuple[Floats, float, Floats | None]:
    """Newton step with a curvature made negative definite, its decrement, and a way that curves upwards, if any."""
    values, vectors = _spectrum(-curvature)
    largest = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    floor = 1e-10 * largest
    strength = np.maximum(np.abs(values), floor)
    turned = vectors.T @ slope
    step = vectors @ (turned / strength)
    # The differences that make the curvature are right to about 1e-7 of its largest value: less than that is flat.
    if values.min(initial=np.inf) < -1e-6 * largest:
        return step, np.inf, vectors[:, 0]
    return step, float(np.sqrt(np.sum(turned**2 / strength))), None


def _attempt(function: Function, x: Floats, held: Flags, upper: Floats) -> Point | None:
    """Look at a place, and at its neighbours too where that costs little; None where there is nothing to see."""
    try:
        point = _look(function, x, held, upper)
    except np.linalg.LinAlgError:
        return None
    return point if np.isfinite(point.value) and np.isfinite(point.gradient).all() else None


def _look(function: Function, x: Floats, held: Flags, upper: Floats) -> Point:
    if not function.side_by_side:
        return Point(x, *function(x), None)
    places, index = _neighbours(x, ~held, upper)
    try:
        (value, gradient), *around = function.many(np.vstack((x, places)))
    except np.linalg.LinAlgError:  # of a neighbour, perhaps
        return Point(x, *function(x), None)
    curvature = np.zeros((x.size, x.size))
    curvature[np.ix_(index, index)] = _differences(places, x, [slope for _, slope in around], gradient, index)
    return Point(x, value, gradient, curvature)


def _line(function: Function, start: Point, step: Floats, held: Flags, lower: Floats, upper: Floats) -> Point | None:
    """Walk along a step, kept inside the box, until the value has risen enough."""
    length = 1.0
    for _ in range(40):
        target = np.clip(start.x + length * step, lower, upper)
        move = target - start.x
        if not move.any():
            return None
        gain = float(start.gradient @ move)
        tried = _attempt(function, target, held, upper) if gain > 0 else None
        if tried and tried.value >= start.value + 1e-4 * gain - NOISE * max(1.0, abs(start.value)):
            return tried
        length *= 0.4
    return None


def _leap(function: Function, start: Point, way: Floats, held: Flags, lower: Floats, upper: Floats) -> Point | None:
    """Leave a saddle, where the slope is nothing, along the way that curves upwards."""
    for size in (0.5, 0.1, 0.02, 0.004):
        for sign in (1.0, -1.0):
            target = np.clip(start.x + sign * size * way, lower, upper)
            tried = _attempt(function, target, held, upper)
            if tried and tried.value > start.value + 10 * NOISE * max(1.0, abs(start.value)):
                return tried
    return None


def _arrived(x: Floats, value: float, known: Found) -> bool:
    near = float(np.abs(x - known.x).max(initial=0.0)) < 0.2  # coordinates are of order one
    return known.converged and near and value <= known.value + 1e-9 * max(1.0, abs(known.value))


def _is_idle(here: Point, step: Floats, distance: float, known: Found | None, above: float | None) -> bool:
    """Whether a climb in a concave place leads to what is known, or will not get high enough."""
    if known and _arrived(here.x + step, here.value, known):
        return True
    return above is not None and here.value + 2.0 * distance**2 < above


def maximise(
    function: Function,
    start: Floats,
    lower: Floats,
    upper: Floats,
    *,
    fixed: npt.NDArray[np.bool_] | None = None,
    tolerance: float = 1e-9,
    limit: int = 100,
    known: Found | None = None,
    above: float | None = None,
) -> Found:
    """Climb to a maximum of `function` (value, gradient) inside a box, with some coordinates held fixed if asked.

    Each step is a Newton step on the coordinates that may move, with a curvature forced to be negative definite, at
    most `LONGEST` long, and shortened until the value rises (Armijo's rule on the projected path).

    A climb that comes close to a `known` maximum, and no higher, ends there, or where the likelihood is concave and the
    next step leads there: it has nothing new to find. A climb that
    is to get `above` a value ends where the likelihood is concave and four times the rise that its slope and
    curvature promise would not do.

    Bertsekas DP (1982). SIAM J Control Optim 20:221-246. doi:10.1137/0320018
    """
    held = np.zeros(start.size, dtype=bool) if fixed is None else fixed
    x = np.where(held, start, np.clip(start, lower, upper))
    here = _attempt(function, x, held, upper)
    if here is None:
        return Found(x, -np.inf, np.zeros_like(x), np.inf, np.inf, 0, False)
    distance, steps, still = np.inf, 0, 0
    free = ~held
    for _ in range(limit):
        x, value, gradient, _ = here
        if known and _arrived(x, value, known):
            break
        steps += 1
        free = ~held & ~((x <= lower) & (gradient <= 0)) & ~((x >= upper) & (gradient >= 0))
        if not free.any():
            distance = 0.0
            break
        step, way = np.zeros_like(x), None
        bends = _curvature(function, here, free, upper)
        step[free], distance, bend = _ascent(bends, gradient[free])
        if bend is not None:
            way = np.zeros_like(x)
            way[free] = bend
        if distance <= tolerance or still >= PATIENCE:
            break
        if bend is None and _is_idle(here, step, distance, known, above):
            break
        longest = float(np.abs(step).max())
        if longest > LONGEST:
            step *= LONGEST / longest
        moved = _line(function, here, step, held, lower, upper)
        if moved is None:  # the box bends the Newton step downhill: climb straight
            uphill = np.where(free, gradient, 0.0)
            uphill *= min(1.0, LONGEST / max(float(np.abs(uphill).max()), 1e-300))
            moved = _line(function, here, uphill, held, lower, upper)
        flat = moved is None or moved.value - value <= NOISE * max(1.0, abs(value))
        if flat and way is not None:
            moved = _leap(function, here, way, held, lower, upper) or moved
            flat = moved is None or moved.value - value <= NOISE * max(1.0, abs(value))
        still = still + 1 if flat else 0
        if moved is None:
            still = PATIENCE
            break
        here = moved
    norm = float(np.abs(here.gradient[free]).max(initial=0.0))
    converged = distance <= tolerance or (still >= PATIENCE and distance <= CLOSE)
    return Found(here.x, here.value, here.gradient, norm, distance, steps, converged)


def _curvature(function: Function, here: Point, free: Flags, upper: Floats) -> Floats:
    """Second derivatives, or none (a straight climb) where a neighbour cannot be reached."""
    if here.curvature is not None:
        return here.curvature[np.ix_(free, free)]
    try:
        return hessian(function, here.x, here.gradient, free, upper)
    except np.linalg.LinAlgError:
        return -np.eye(int(free.sum()))
