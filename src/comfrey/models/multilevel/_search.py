"""A bounded Newton search for the highest point of a smooth function, with a certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comfrey.models.multilevel._grouping import Floats

Function = Callable[[Floats], tuple[float, Floats]]

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


def hessian(function: Function, x: Floats, gradient: Floats, free: npt.NDArray[np.bool_], upper: Floats) -> Floats:
    """Second derivatives among the free coordinates, by differences of the analytic gradient."""
    index = np.flatnonzero(free)
    out = np.zeros((index.size, index.size))
    for row, i in enumerate(index):
        step = STEP * max(1.0, abs(float(x[i])))
        if x[i] + step > upper[i]:
            step = -step
        moved = x.copy()
        moved[i] += step
        slope = function(moved)[1]
        out[row] = (slope[index] - gradient[index]) / (moved[i] - x[i])
    return 0.5 * (out + out.T)


def _ascent(curvature: Floats, slope: Floats) -> tuple[Floats, float, Floats | None]:
    """Newton step with a curvature made negative definite, its decrement, and a way that curves upwards, if any."""
    values, vectors = np.linalg.eigh(-curvature)
    largest = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    floor = 1e-10 * largest
    strength = np.maximum(np.abs(values), floor)
    turned = vectors.T @ slope
    step = vectors @ (turned / strength)
    # The differences that make the curvature are right to about 1e-7 of its largest value: less than that is flat.
    if values.min(initial=np.inf) < -1e-6 * largest:
        return step, np.inf, vectors[:, 0]
    return step, float(np.sqrt(np.sum(turned**2 / strength))), None


def _attempt(function: Function, x: Floats) -> tuple[float, Floats] | None:
    try:
        value, gradient = function(x)
    except np.linalg.LinAlgError:
        return None
    return (value, gradient) if np.isfinite(value) and np.all(np.isfinite(gradient)) else None


def _line(
    function: Function, x: Floats, value: float, gradient: Floats, step: Floats, lower: Floats, upper: Floats
) -> tuple[Floats, float, Floats] | None:
    """Walk along a step, kept inside the box, until the value has risen enough."""
    length = 1.0
    for _ in range(40):
        target = np.clip(x + length * step, lower, upper)
        move = target - x
        if not np.any(move):
            return None
        tried = _attempt(function, target)
        gain = float(gradient @ move)
        if tried and gain > 0 and tried[0] >= value + 1e-4 * gain - NOISE * max(1.0, abs(value)):
            return target, tried[0], tried[1]
        length *= 0.4
    return None


def _leap(
    function: Function, x: Floats, value: float, way: Floats, lower: Floats, upper: Floats
) -> tuple[Floats, float, Floats] | None:
    """Leave a saddle, where the slope is nothing, along the way that curves upwards."""
    for size in (0.5, 0.1, 0.02, 0.004):
        for sign in (1.0, -1.0):
            target = np.clip(x + sign * size * way, lower, upper)
            tried = _attempt(function, target)
            if tried and tried[0] > value + 10 * NOISE * max(1.0, abs(value)):
                return target, tried[0], tried[1]
    return None


def _arrived(x: Floats, value: float, known: Found) -> bool:
    near = float(np.abs(x - known.x).max(initial=0.0)) < 0.2  # coordinates are of order one
    return known.converged and near and value <= known.value + 1e-9 * max(1.0, abs(known.value))


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

    A climb that comes close to a `known` maximum, and no higher, ends there: it has nothing new to find. A climb that
    is to get `above` a value ends where the likelihood is concave and four times the rise that its slope and
    curvature promise would not do.

    Bertsekas DP (1982). SIAM J Control Optim 20:221-246. doi:10.1137/0320018
    """
    held = np.zeros(start.size, dtype=bool) if fixed is None else fixed
    x = np.where(held, start, np.clip(start, lower, upper))
    first = _attempt(function, x)
    if first is None:
        return Found(x, -np.inf, np.zeros_like(x), np.inf, np.inf, 0, False)
    value, gradient = first
    distance, steps, still = np.inf, 0, 0
    free = ~held
    for _ in range(limit):
        if known and _arrived(x, value, known):
            break
        steps += 1
        free = ~held & ~((x <= lower) & (gradient <= 0)) & ~((x >= upper) & (gradient >= 0))
        if not free.any():
            distance = 0.0
            break
        step, way = np.zeros_like(x), None
        step[free], distance, bend = _ascent(_curvature(function, x, gradient, free, upper), gradient[free])
        if bend is not None:
            way = np.zeros_like(x)
            way[free] = bend
        if distance <= tolerance or still >= PATIENCE:
            break
        if above is not None and bend is None and value + 2.0 * distance**2 < above:
            break
        longest = float(np.abs(step).max())
        if longest > LONGEST:
            step *= LONGEST / longest
        moved = _line(function, x, value, gradient, step, lower, upper)
        if moved is None:  # the box bends the Newton step downhill: climb straight
            uphill = np.where(free, gradient, 0.0)
            uphill *= min(1.0, LONGEST / max(float(np.abs(uphill).max()), 1e-300))
            moved = _line(function, x, value, gradient, uphill, lower, upper)
        flat = moved is None or moved[1] - value <= NOISE * max(1.0, abs(value))
        if flat and way is not None:
            moved = _leap(function, x, value, way, lower, upper) or moved
            flat = moved is None or moved[1] - value <= NOISE * max(1.0, abs(value))
        still = still + 1 if flat else 0
        if moved is None:
            still = PATIENCE
            break
        x, value, gradient = moved
    norm = float(np.abs(gradient[free]).max(initial=0.0))
    converged = distance <= tolerance or (still >= PATIENCE and distance <= CLOSE)
    return Found(x, value, gradient, norm, distance, steps, converged)


def _curvature(function: Function, x: Floats, gradient: Floats, free: npt.NDArray[np.bool_], upper: Floats) -> Floats:
    """Second derivatives, or none (a straight climb) where a neighbour cannot be reached."""
    try:
        return hessian(function, x, gradient, free, upper)
    except np.linalg.LinAlgError:
        return -np.eye(int(free.sum()))
