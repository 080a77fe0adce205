"""Where a nearly straight function is zero, from its values and slopes at two points: inverse cubic interpolation.

The inverse function's cubic through both points errs by a multiple of the product of both squared values (Hermite's
remainder), against the one squared value of Newton's step; repeated with the two latest points its order is 1 + sqrt 3
(Ostrowski 1966, Solution of Equations and Systems of Equations, chapter 12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["Place", "crossing", "next_place"]

Number = TypeVar("Number", float, "Array")


class Place(NamedTuple, Generic[Number]):
    """A function's value and slope at x: floats, or arrays of one shape."""

    x: Number
    value: Number
    slope: Number


def crossing(first: Place[Number], second: Place[Number]) -> Number:
    """Estimate where the function is zero; not a number where the values or a slope do not allow it.

    Examples
    --------
    >>> round(crossing(Place(0.5, -0.375, 1.5), Place(1.0, 0.5, 2.0)), 2)  # of x^2/2 + x - 1; the root is sqrt(3) - 1
    0.73
    """
    (x, low, slope), (z, high, slope_z) = first, second
    share = -low / (high - low)
    a, b, width = (high - low) / slope, (high - low) / slope_z, z - x
    return x + share * (a + share * (3.0 * width - 2.0 * a - b + share * (a + b - 2.0 * width)))


def next_place(here: Place[Array], last: Place[Array]) -> tuple[Array, Array]:
    """Estimate many zeros from the two latest places of each, by Newton's step where the last one does not help.

    Returns
    -------
    x : array
        Not a number, or infinite, where the slope is not positive.
    share : array
        By how much smaller the error of the step is than that of Newton's (squared, and not below 1e-4).
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        x, share = crossing(here, last), np.clip(last.value * last.value, 1e-4, 1.0)
        plain = ~(np.isfinite(x) & (last.slope > 0.0) & (here.slope > 0.0))
        if plain.any():
            newton = np.where(here.slope > 0.0, here.x - here.value / here.slope, np.inf)
            x, share = np.where(plain, newton, x), np.where(plain, 1.0, share)
    return x, share
