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
CLOSE = 1e-5  # distance, in standard errors, that is accepted when rounding stops the search


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


def _ascent(curvature: Floats, slope: Floats) -> tuple[Floats, float]:
    """Newton step with the curvature made negative definite, and its decrement."""
    values, vectors = np.linalg.eigh(-curvature)
    floor = 1e-10 * max(float(np.abs(values).max(initial=0.0)), 1e-300)
    strength = np.maximum(np.abs(values), floor)
    turned = vectors.T @ slope
    step = vectors @ (turned / strength)
    if values.min(initial=np.inf) < -floor:
        return step, np.inf if np.linalg.norm(slope) > 0 else 0.0
    return step, float(np.sqrt(np.sum(turned**2 / strength)))


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
) -> Found:
    """Climb to a maximum of `function` (value, gradient) inside a box, with some coordinates held fixed if asked.

    Each step is a Newton step on the coordinates that may move, with a curvature forced to be negative definite, at
    most `LONGEST` long, and shortened until the value rises (Armijo's rule on the projected path).

    A climb that comes close to a `known` maximum, and no higher, ends there: it has nothing new to find.

    Bertsekas DP (1982). SIAM J Control Optim 20:221-246. doi:10.1137/0320018
    """
    held = np.zeros(start.size, dtype=bool) if fixed is None else fixed
    x = np.where(held, start, np.clip(start, lower, upper))
    first = _attempt(function, x)
    if first is None:
        return Found(x, -np.inf, np.zeros_like(x), np.inf, np.inf, 0, False)
    value, gradient = first
    distance, steps, stuck = np.inf, 0, False
    free = ~held
    for _ in range(limit):
        steps += 1
        free = ~held & ~((x <= lower) & (gradient <= 0)) & ~((x >= upper) & (gradient >= 0))
        if not free.any():
            distance = 0.0
            break
        step = np.zeros_like(x)
        try:
            step[free], distance = _ascent(hessian(function, x, gradient, free, upper), gradient[free])
        except np.linalg.LinAlgError:
            step[free], distance = gradient[free], np.inf
        if distance <= tolerance or (known and _arrived(x, value, known)):
            break
        longest = float(np.abs(step).max())
        if longest > LONGEST:
            step *= LONGEST / longest
        moved = _line(function, x, value, gradient, step, lower, upper)
        if moved is None:  # the box bends the Newton step downhill: climb straight
            uphill = np.where(free, gradient, 0.0)
            uphill *= min(1.0, LONGEST / float(np.abs(uphill).max()))
            moved = _line(function, x, value, gradient, uphill, lower, upper)
        if moved is None:
            stuck = True
            break
        x, value, gradient = moved
    norm = float(np.abs(gradient[free]).max(initial=0.0))
    converged = distance <= tolerance or (stuck and distance <= CLOSE)
    return Found(x, value, gradient, norm, distance, steps, converged)
