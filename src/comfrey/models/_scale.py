"""Scaling by a power of two: exact, and it keeps squares and cubes of tiny and huge values within range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["scale_of"]


def scale_of(vi: Array) -> float:
    """Power of two near the root of the middle variance; dividing by it brings variances to about one.

    Examples
    --------
    >>> scale_of(np.array([1e-300, 2e-300, 4e-300])) < 1e-149
    True
    >>> scale_of(np.array([0.8, 1.1]))
    1.0
    """
    middle = math.sqrt(float(np.partition(vi, vi.size // 2)[vi.size // 2]))
    return math.ldexp(1.0, round(math.log2(middle)))
