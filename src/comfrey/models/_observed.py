"""Data made ready for the search: scaled, centred, and with the most precise study first.

Scaling is by a power of two, so it costs no digits and keeps squares and fourth powers of tiny and huge values within
range. Centring at the most precise study keeps the digits of estimates that share a large common part.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from comfrey.effects._columns import FEW
from comfrey.errors import InputError
from comfrey.models._profile import Observed

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["Ready", "observe", "scale_of"]

# Ratio of the largest to the smallest variance from which sums are formed so that no weight drowns the others.
_WIDE = 1e5
_WIDE_REGRESSION = 1e3  # the digits that tr PP loses are twice those of the ratio
_LARGEST_RATIO = {True: 1e30, False: 1e8}  # a constant alone; with moderators
_LARGEST = 1e150  # estimate: its square must be a number too
_FARTHEST = 1e60  # of an estimate from the most precise one, in that one's standard errors


class Ready(NamedTuple):
    """Scaled data, and the way back: estimates are ``y * scale + middle``, variances ``v * scale**2``."""

    data: Observed
    scale: float
    middle: float
    triangle: Array | None  # the design is the basis times this


def scale_of(vi: Array) -> float:
    """Power of two near the root of the smallest variance.

    Examples
    --------
    >>> scale_of(np.array([1e-300, 2e-300, 4e-300])) < 1e-149
    True
    >>> scale_of(np.array([0.8, 1.1]))
    1.0
    """
    return math.ldexp(1.0, round(0.5 * math.log2(float(vi.min()))))


def observe(yi: Array, vi: Array, X: Array | None) -> Ready:
    """Make data ready; X None is the model of a constant alone.

    Raises
    ------
    InputError
        If the variances, or the estimates, lie so far apart that sums of them have no meaning in double precision.
    """
    if X is None and yi.size <= FEW and (ready := _few(yi.tolist(), vi.tolist())):
        return ready
    if not float(np.abs(yi).max()) <= _LARGEST:
        found = f"{yi[np.abs(yi).argmax()]:g}"
        raise InputError("yi", found=found, expected="estimates whose squares are below 1e300", fix="Change the unit.")
    scale = scale_of(vi)
    v = vi / scale / scale
    first = int(v.argmin())
    middle = float(yi[first]) if X is None else 0.0
    with np.errstate(over="ignore"):
        y = (yi - middle) / scale
    ratio = float(v.max() / v[first])
    if not ratio <= _LARGEST_RATIO[X is None]:
        limit = f"variances at most {_LARGEST_RATIO[X is None]:g}-fold of each other"
        raise InputError("vi", found=f"{vi.min():g} to {vi.max():g}", expected=limit)
    if not float(np.abs(y).max()) <= _FARTHEST:
        found = f"estimates from {yi.min():g} to {yi.max():g} with variances from {vi.min():g}"
        raise InputError("yi", found=found, expected="estimates that are not 1e60 standard errors apart")
    if X is not None:
        basis, triangle = np.linalg.qr(X)
        return Ready(Observed(y, v, basis, wide=ratio > _WIDE_REGRESSION), scale, middle, triangle)
    if ratio > _WIDE:
        order = np.arange(y.size)
        order[0], order[first] = first, 0
        return Ready(Observed(y[order], v[order], None, wide=True), scale, middle, None)
    return Ready(Observed(y, v, None), scale, middle, None)


def _few(yi: list[float], vi: list[float]) -> Ready | None:
    """Make few data ready by plain numbers; None where they lie so far apart that they need more care."""
    low, high = min(vi), max(vi)
    scale = math.ldexp(1.0, round(0.5 * math.log2(low)))
    middle = yi[vi.index(low)]
    y, v = [(value - middle) / scale for value in yi], [value / scale / scale for value in vi]
    farthest, largest = max(*y, -min(y)), max(*yi, -min(yi))
    if not (high <= _WIDE * low and largest <= _LARGEST and farthest <= _FARTHEST):
        return None
    return Ready(Observed(np.array(y), np.array(v), None, few=(y, v)), scale, middle, None)
