"""The global maximum of the likelihood over tau2, with a proof where one can be had.

The score is half of ``A - B`` with ``A = y'PPy`` and ``B = tr P`` (REML) or ``tr W`` (ML). With ``C = y'PPPy`` and
``B2 = tr PP`` or ``tr WW``: ``A' = -2C``, ``B' = -B2``. By Cauchy and Schwarz all of ``A, B, C, B2`` fall as tau2
grows,
and both ``A/C`` and ``B/B2`` rise at least as fast as tau2. Their values at the ends a, b of an interval therefore
bound
the score, its slope, and the slope of ``log(A/B)`` in the whole interval. An interval is *settled* if

- ``A(a) < B(b)`` (the score is negative throughout), or ``A(b) > B(a)`` (positive throughout), or
- ``B2(a) < 2 C(b)`` (the score falls throughout: one root at most), or ``B2(b) > 2 C(a)`` (it rises throughout: no
  maximum inside), or
- ``A/C(b) - (b - a) < 2 B/B2(a)`` (``log(A/B)`` falls throughout: one root at most).

Beyond ``max v - 2 B/B2(0)`` the last holds everywhere, as no eigenvalue of P but zero is below ``1/(max v + tau2)``;
and
beyond a bound from the sums of squares the score is negative. Once all intervals up to there are settled, every local
maximum is known, and the highest of them is the global one: that is proved, not hoped for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import ConvergenceError
from comfrey.models._profile import Moments, Observed, log_likelihood, moments, moments_at

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["Certificate", "maximise", "maximise_with_moments"]

_ROUNDS = 30  # of splitting unsettled intervals
_STEPS = 200


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known about an iterative fit; the `certificate` of every result that was searched for.

    Attributes
    ----------
    converged : bool
        Always true: a fit that did not converge raises ConvergenceError.
    iterations : int or None
        Steps of the search; None where they are not counted.
    gradient : float
        Derivative of the log-likelihood by log(tau2), zero at a maximum (at the boundary: by tau2, at most zero);
        free of the scale of the data. Of the estimating equation, relative, for PM and its kin. Where several
        parameters were searched for: how far the end is from the maximum, in standard errors.
    boundary : bool
        Whether tau2 (or another parameter) is at its bound because the likelihood falls from there.
    local_maxima : int
        How many local maxima were found.
    global_maximum : bool
        Whether it is proved that there is no higher one. Where it is not, a higher one was looked for (from several
        starts, or over a grid of the profile) and not found.
    """

    converged: bool
    iterations: int | None
    gradient: float
    boundary: bool
    local_maxima: int
    global_maximum: bool


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
    return maximise_with_moments(data, restricted)[:2]


def maximise_with_moments(data: Observed, restricted: bool) -> tuple[float, Certificate, Moments, Moments]:
    """Maximise as :func:`maximise` does, and give the moments at the maximum and at zero too."""
    low, high = float(data.v.min()), float(data.v.max())
    bound = _bound(data, low, high)
    start = moments_at(data, 0.0)
    b, b2 = (start.trace, start.trace2) if restricted else (start.sum_w, start.sum_w2)
    negative = bool(start.ypp <= b)
    end = min(bound, high - 2.0 * float(b / b2))
    settled, brackets = True, [] if negative or bound <= 0.0 else [(0.0, bound, start)]
    if end > 0.0:
        settled, brackets = _scan(data, restricted, low, end, bound, start)
    peaks = [_climb(data, restricted, *bracket) for bracket in brackets]
    maxima = [tau2 for tau2, _ in peaks] + ([0.0] if negative or not peaks else [])
    steps = sum(count for _, count in peaks)
    best = maxima[0]
    if len(maxima) > 1:
        best = max(maxima, key=lambda tau2: log_likelihood(data, tau2, restricted))
    last = start if best == 0.0 else moments_at(data, best)
    gradient = 0.5 * (best or low) * float(last.ypp - _falling(last, restricted))
    return best, Certificate(True, steps, gradient, best == 0.0, len(maxima), settled), last, start


def _falling(m: Moments, restricted: bool) -> Array:
    """Take the part of the score that counts against a larger tau2, ``tr P`` or ``tr W``."""
    return m.trace if restricted else m.sum_w


def _bound(data: Observed, low: float, high: float) -> float:
    """Value of tau2 beyond which the score is negative.

    From ``y'PPy <= RSS/(min v + t)^2`` and ``tr P >= (k-p)/(max v + t)``.
    """
    y, basis = data.y, data.basis
    residual = y - float(y.sum()) / y.size if basis is None else y - basis @ (basis.T @ y)
    ratio = float(residual @ residual) / (data.k - data.p)
    if ratio == 0.0:
        return 0.0
    # (low + t)^2 = ratio (high + t), solved for low + t
    return (0.5 * ratio * (1.0 + math.sqrt(1.0 + 4.0 * (high - low) / ratio)) - low) * (1.0 + 1e-9)


def _climb(data: Observed, restricted: bool, low: float, high: float, m: Moments) -> tuple[float, int]:
    """Root of the score in a bracket: Newton on ``tr P / y'PPy``, which is nearly straight, held by the bracket.

    `m` are the moments at `low`, where the search starts.
    """
    tau2 = low
    for step in range(_STEPS):
        if step > 0:
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


def _scan(
    data: Observed, restricted: bool, low: float, end: float, bound: float, start: Moments
) -> tuple[bool, list[tuple[float, float, Moments]]]:
    """Split the way from zero to `end` until all is settled; give the brackets of all maxima above zero.

    A bracket is its two ends and the moments at the first.
    """
    last = moments_at(data, end)
    a0, b0, a1, b1, c1 = start.ypp, _falling(start, restricted), last.ypp, _falling(last, restricted), last.yppp
    bend = start.trace2 if restricted else start.sum_w2
    if a0 < b1 or a1 > b0 or bend < 2.0 * c1 or a1 * bend < (2.0 * b0 + end * bend) * c1:  # settled at once
        if a1 > b1:
            return True, [(end, bound, last)]
        return True, [(0.0, end, start)] if a0 > b0 else []
    points = np.array([0.0, end])
    found = Moments(*(np.array(pair) for pair in zip(start, last, strict=True)))
    settled = False
    for _ in range(_ROUNDS):
        b, b2 = (found.trace, found.trace2) if restricted else (found.sum_w, found.sum_w2)
        a, c = found.ypp, found.yppp
        one_sign = (a[:-1] < b[1:]) | (a[1:] > b[:-1])
        monotone = (b2[:-1] < 2.0 * c[1:]) | (b2[1:] > 2.0 * c[:-1])
        straight = a[1:] * b2[:-1] < (2.0 * b[:-1] + np.diff(points) * b2[:-1]) * c[1:]
        rough = np.flatnonzero(~(one_sign | monotone | straight))
        if not rough.size:
            settled = True
            break
        left, right = low + points[rough], low + points[rough + 1]
        inner = (left[:, None] * (right / left)[:, None] ** _SHARES - low).ravel()
        fresh = moments(data, inner)
        points = np.concatenate([points, inner])
        order = np.argsort(points, kind="stable")
        points = points[order]
        found = Moments(*(np.concatenate([old, new])[order] for old, new in zip(found, fresh, strict=True)))
    score = found.ypp - _falling(found, restricted)
    brackets = [
        (float(points[j]), float(points[j + 1]), Moments(*(item[j] for item in found)))
        for j in np.flatnonzero((score[:-1] > 0) & (score[1:] <= 0)).tolist()
    ]
    if score[-1] > 0:
        brackets.append((end, bound, last))
    return settled, brackets


_SHARES = np.array([0.25, 0.5, 0.75])
