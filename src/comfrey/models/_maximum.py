"""The global maximum of the likelihood over tau2, with a proof where one can be had.

The score is half of ``y'PPy - tr P`` (REML) or ``y'PPy - tr W`` (ML). Both terms fall as tau2 grows (their
derivatives are
``-2 y'PPPy`` and ``-tr PP`` or ``-tr WW``), and so do the terms of the second derivative. Their values at the two
ends of
an interval therefore bound the score, and the slope of the score, in the whole interval. An interval is *settled* if

- ``y'PPy`` at its start is below ``tr P`` at its end (the score is negative throughout), or
- ``y'PPy`` at its end is above ``tr P`` at its start (positive throughout), or
- ``tr PP`` at its start is below ``2 y'PPPy`` at its end (the score falls throughout: one root at most), or
- ``tr PP`` at its end is above ``2 y'PPPy`` at its start (it rises throughout: no maximum inside), or
- ``2 y'PPPy / y'PPy`` at its end is above ``tr PP / tr P`` at its start: both fall as tau2 grows (Cauchy-Schwarz), so
  that ``log(y'PPy / tr P)`` falls throughout and has one root at most, or
- it lies above ``max v - 2 min v``, where ``log(y'PPy / tr P)`` falls throughout, because the eigenvalues of P lie
between
  ``1/(max v + tau2)`` and ``1/(min v + tau2)``.

Once all intervals from zero to a bound beyond which the score is negative are settled, every local maximum is known,
and
the highest of them is the global one: that is proved, not hoped for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from comfrey.errors import ConvergenceError
from comfrey.models._profile import Moments, Observed, log_likelihood, moments, moments_at

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["Certificate", "Peak", "find_peak", "maximise"]

_LOG_RATIO = 0.5  # from one point of the first scan to the next, in log(min(v) + tau2)
_ROUNDS = 24  # of splitting unsettled intervals
_STEPS = 200


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known about an iterative fit.

    Attributes
    ----------
    converged : bool
        Always true: a fit that did not converge raises ConvergenceError.
    iterations : int
        Steps of the search.
    gradient : float
        Derivative of the log-likelihood by log(tau2), zero at a maximum (at the boundary: by tau2, at most zero);
        free
        of the scale of the data. Of the estimating equation, relative, for PM and its kin.
    boundary : bool
        Whether tau2 is at zero because the likelihood falls from there.
    local_maxima : int
        How many local maxima were found.
    global_maximum : bool
        Whether it is proved that there is no higher one.
    """

    converged: bool
    iterations: int
    gradient: float
    boundary: bool
    local_maxima: int
    global_maximum: bool


class Peak(NamedTuple):
    """The global maximum, and the moments that the search has computed there and (perhaps) at zero."""

    tau2: float
    certificate: Certificate
    there: Moments
    at_zero: Moments | None


def maximise(data: Observed, restricted: bool = True) -> tuple[float, Certificate]:
    """Maximise the (restricted) likelihood over tau2 >= 0.

    Parameters
    ----------
    data : Observed
        Scaled data of one model, k > p.
    restricted : bool
        REML if true, else ML.

    Returns
    -------
    tau2 : float
    certificate : Certificate

    Raises
    ------
    ConvergenceError
        If a bracketed root cannot be reached (which rounding alone can cause).

    Examples
    --------
    >>> tau2, certificate = maximise(Observed(np.array([0.0, 4.0]), np.array([1.0, 1.0]), None))
    >>> round(tau2, 9), certificate.global_maximum
    (7.0, True)
    """
    return find_peak(data, restricted)[:2]


def find_peak(data: Observed, restricted: bool) -> Peak:
    """Maximise as :func:`maximise` does, and hand on the moments."""
    v = data.v
    low, high = float(v.min()), float(v.max())
    bound = _bound(data, low, high)
    if bound <= 0.0:
        return _at_zero(data, restricted, 0, 1, True)
    reach = math.log1p(bound / low)
    count = int(min(400, max(4, math.ceil(reach / _LOG_RATIO))))
    grid = low * np.expm1(np.arange(count + 1) * (reach / count))
    grid[-1] = bound
    found = moments(data, grid)
    falling = _falling(found, restricted)
    score = found.ypp - falling
    peaks = [
        _climb(data, restricted, grid[j], grid[j + 1], falling[j] / found.ypp[j], falling[j + 1] / found.ypp[j + 1])
        for j in np.flatnonzero((score[:-1] > 0) & (score[1:] <= 0)).tolist()
    ]
    settled, extra = _settle(data, restricted, grid, found, high - 2.0 * low, [peak[0] for peak in peaks])
    peaks += [_climb(data, restricted, *bracket) for bracket in extra]
    maxima = [tau2 for tau2, _ in peaks] + ([0.0] if score[0] <= 0 else [])
    steps = sum(count for _, count in peaks)
    if not maxima:
        raise ConvergenceError("no maximum of the likelihood was found; the data span too many orders of magnitude")
    best = maxima[0]
    if len(maxima) > 1:
        best = max(maxima, key=lambda tau2: log_likelihood(data, tau2, restricted))
    if best == 0.0:
        return _at_zero(data, restricted, steps, len(maxima), settled)
    last = moments_at(data, best)
    gradient = 0.5 * best * float(last.ypp - (last.trace if restricted else last.sum_w))
    at_zero = Moments(*(item[0] for item in found))
    return Peak(best, Certificate(True, steps, gradient, False, len(maxima), settled), last, at_zero)


def _falling(m: Moments, restricted: bool) -> Array:
    """Take the part of the score that counts against a larger tau2, ``tr P`` or ``tr W``."""
    return m.trace if restricted else m.sum_w


def _at_zero(data: Observed, restricted: bool, steps: int, maxima: int, settled: bool) -> Peak:
    m = moments_at(data, 0.0)
    gradient = 0.5 * float(data.v.min()) * float(m.ypp - _falling(m, restricted))
    return Peak(0.0, Certificate(True, steps, gradient, True, maxima, settled), m, m)


def _bound(data: Observed, low: float, high: float) -> float:
    """Value of tau2 beyond which the score is negative.

    From ``y'PPy <= RSS/(min v + t)^2`` and ``tr P >= (k-p)/(max v + t)``.
    """
    y, _, basis = data
    residual = y - y.mean() if basis is None else y - basis @ (basis.T @ y)
    ratio = float(residual @ residual) / (data.k - data.p)
    if ratio == 0.0:
        return 0.0
    # (low + t)^2 = ratio (high + t), solved for low + t
    return (0.5 * ratio * (1.0 + math.sqrt(1.0 + 4.0 * (high - low) / ratio)) - low) * (1.0 + 1e-9)


def _climb(
    data: Observed, restricted: bool, low: float, high: float, at_low: float, at_high: float
) -> tuple[float, int]:
    """Root of the score in a bracket: Newton on ``tr P / y'PPy``, which is nearly straight, held by the bracket.

    `at_low` and `at_high` are the values of ``tr P / y'PPy`` at the ends, below and above one.
    """
    low, high = float(low), float(high)
    tau2 = low + (high - low) * float((1.0 - at_low) / (at_high - at_low))
    for step in range(1, _STEPS + 1):
        if not low < tau2 < high:
            tau2 = 0.5 * (low + high)
        m = moments_at(data, tau2)
        a, c = float(m.ypp), float(m.yppp)
        b, b2 = (float(m.trace), float(m.trace2)) if restricted else (float(m.sum_w), float(m.sum_w2))
        if a > b:
            low = tau2
        else:
            high = tau2
        slope = 2.0 * b * c - b2 * a
        move = (a - b) * a / slope if slope > 0 else math.inf
        # quadratic: after a step this small the next one is below rounding
        if move * move * b2 <= 1e-17 * tau2 * b:
            return tau2 + move, step
        if high - low <= 1e-15 * high:
            return tau2, step
        tau2 += move
    raise ConvergenceError(f"the search for tau2 did not end: it lies between {low:g} and {high:g}")


def _settle(
    data: Observed, restricted: bool, grid: Array, found: Moments, single_above: float, roots: list[float]
) -> tuple[bool, list[tuple[float, float, float, float]]]:
    """Split the intervals that are not settled until they are; give further brackets of maxima if some turn up."""
    start, end = grid[:-1], grid[1:]
    before, after = Moments(*[item[:-1] for item in found]), Moments(*[item[1:] for item in found])
    brackets: list[tuple[float, float, float, float]] = []
    for _ in range(_ROUNDS):
        b0, b1 = (before.trace, after.trace) if restricted else (before.sum_w, after.sum_w)
        c0, c1 = (before.trace2, after.trace2) if restricted else (before.sum_w2, after.sum_w2)
        one_sign = (before.ypp < b1) | (after.ypp > b0)
        monotone = (c0 < 2.0 * after.yppp) | (c1 > 2.0 * before.yppp) | (2.0 * after.yppp * b0 > c0 * after.ypp)
        open_ = ~(one_sign | monotone | (start >= max(single_above, 0.0)))
        if not open_.any():
            return True, brackets
        start, end = start[open_], end[open_]
        inner = _cut(start, end, roots)
        new = moments(data, inner.ravel())
        shape = inner.shape
        columns = [
            np.column_stack((a[open_], m.reshape(shape), b[open_])) for a, m, b in zip(before, new, after, strict=True)
        ]
        points = np.column_stack((start, inner, end))
        falling = columns[3] if restricted else columns[5]
        ratio, score = falling / columns[1], columns[1] - falling
        rising = (score[:, :-1] > 0) & (score[:, 1:] <= 0)
        outer = (score[:, 0] > 0) & (score[:, -1] <= 0)  # that root is known already
        for i in np.flatnonzero(rising.sum(axis=1) > outer):
            js = np.flatnonzero(rising[i])
            fresh = [j for j in js if not any(points[i, j] <= root <= points[i, j + 1] for root in roots)]
            brackets += [(points[i, j], points[i, j + 1], ratio[i, j], ratio[i, j + 1]) for j in fresh]
        start, end = points[:, :-1].ravel(), points[:, 1:].ravel()
        before = Moments(*(item[:, :-1].ravel() for item in columns))
        after = Moments(*(item[:, 1:].ravel() for item in columns))
    return False, brackets


def _cut(start: Array, end: Array, roots: list[float]) -> Array:
    """Inner points of the intervals: three between the ends, or three close about a root."""
    share = np.array([0.25, 0.5, 0.75])
    inner = start[:, None] + (end - start)[:, None] * share
    for root in roots:
        here = (start <= root) & (root <= end)
        if here.any():
            left, right = (root - start[here]), (end[here] - root)
            inner[here] = np.column_stack((root - 0.3 * left, np.full(left.size, root), root + 0.3 * right))
    return np.asarray(inner, dtype=float)
