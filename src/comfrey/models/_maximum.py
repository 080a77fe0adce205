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
from typing import NamedTuple

from comfrey.errors import ConvergenceError
from comfrey.models._profile import Moments, Observed, log_likelihood, moments, moments_at
from comfrey.models._root import Place, crossing

__all__ = ["Certificate", "maximise", "maximise_with_moments"]

_ROUNDS = 60  # of splitting unsettled intervals
_SHARE = 0.4  # of a split interval that lies left of the cut: settles more pairs at once than a half
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
    >>> import numpy as np
    >>> tau2, certificate = maximise(Observed(np.array([0.0, 4.0]), np.array([1.0, 1.0]), None))
    >>> round(tau2, 9), certificate.global_maximum
    (7.0, True)
    """
    return maximise_with_moments(data, restricted)[:2]


def maximise_with_moments(
    data: Observed, restricted: bool
) -> tuple[float, Certificate, Moments[float], Moments[float]]:
    """Maximise as :func:`maximise` does, and give the moments at the maximum and at zero too."""
    low, high = (float(data.v.min()), float(data.v.max())) if data.few is None else (min(data.few[1]), max(data.few[1]))
    bound = _bound(data, low, high)
    start = moments_at(data, 0.0)
    b, b2 = (start.trace, start.trace2) if restricted else (start.sum_w, start.sum_w2)
    negative = start.ypp <= b
    end = min(bound, high - 2.0 * b / b2)
    settled, brackets = True, [] if negative or bound <= 0.0 else [_Interval(0.0, bound, start, None)]
    if end > 0.0:
        settled, brackets = _scan(data, restricted, low, _Interval(0.0, end, start, moments_at(data, end)), bound)
    maxima, steps = [0.0] if negative or not brackets else [], 0
    for bracket in brackets:
        tau2, count = _climb(data, restricted, bracket)
        maxima.append(tau2)
        steps += count
    best = maxima[0]
    if len(maxima) > 1:
        best = max(maxima, key=lambda tau2: log_likelihood(data, tau2, restricted))
    last = start if best == 0.0 else moments_at(data, best)
    gradient = 0.5 * (best or low) * (last.ypp - _falling(last, restricted))
    return best, Certificate(True, steps, gradient, best == 0.0, len(maxima), settled), last, start


def _falling(m: Moments[float], restricted: bool) -> float:
    """Take the part of the score that counts against a larger tau2, ``tr P`` or ``tr W``."""
    return m.trace if restricted else m.sum_w


def _bound(data: Observed, low: float, high: float) -> float:
    """Value of tau2 beyond which the score is negative.

    From ``y'PPy <= RSS/(min v + t)^2`` and ``tr P >= (k-p)/(max v + t)``.
    """
    if data.few is not None:
        ys = data.few[0]
        mean = sum(ys) / len(ys)
        squares = sum([(y - mean) * (y - mean) for y in ys])
    else:
        y, basis = data.y, data.basis
        residual = y - float(y.sum()) / y.size if basis is None else y - basis @ (basis.T @ y)
        squares = float(residual @ residual)
    ratio = squares / (data.k - data.p)
    if ratio == 0.0:
        return 0.0
    # (low + t)^2 = ratio (high + t), solved for low + t
    return (0.5 * ratio * (1.0 + math.sqrt(1.0 + 4.0 * (high - low) / ratio)) - low) * (1.0 + 1e-9)


class _Interval(NamedTuple):
    """A part of the way, with the moments at its ends where they are known."""

    left: float
    right: float
    at_left: Moments[float]
    at_right: Moments[float] | None


def _place(tau2: float, m: Moments[float], restricted: bool) -> Place[float]:
    """Value and slope of ``tr P / y'PPy - 1``, which is nearly straight and has the sign of minus the score."""
    b, b2 = (m.trace, m.trace2) if restricted else (m.sum_w, m.sum_w2)
    return Place(tau2, b / m.ypp - 1.0, (2.0 * b * m.yppp - b2 * m.ypp) / m.ypp / m.ypp)


def _climb(data: Observed, restricted: bool, bracket: _Interval) -> tuple[float, int]:
    """Root of the score in a bracket, by Newton's step and then by inverse cubic interpolation, held by the bracket."""
    low, high, m, at_right = bracket
    here, last = _place(low, m, restricted), None if at_right is None else _place(high, at_right, restricted)
    for step in range(_STEPS):
        move, share = math.inf, 1.0
        if here.slope > 0.0:
            if last is None or last.slope <= 0.0 or last.value == here.value:
                move = -here.value / here.slope
            else:
                move, share = crossing(here, last) - here.x, min(max(last.value * last.value, 1e-4), 1.0)
        tau2 = here.x + move
        b, b2 = (m.trace, m.trace2) if restricted else (m.sum_w, m.sum_w2)
        # the next step is of the order of this one squared, times the last value squared: below rounding
        if move * move * b2 * share <= 1e-17 * here.x * b:
            return tau2, step
        if high - low <= 1e-15 * high:
            return here.x, step
        if not low < tau2 < high:
            tau2 = 0.5 * (low + high)
        if last is None or abs(here.value) < abs(last.value):
            last = here
        m = moments_at(data, tau2)
        here = _place(tau2, m, restricted)
        low, high = (tau2, high) if here.value < 0.0 else (low, tau2)
    raise ConvergenceError(f"the search for tau2 did not end: it lies between {low:g} and {high:g}")


def _scan(data: Observed, restricted: bool, low: float, whole: _Interval, bound: float) -> tuple[bool, list[_Interval]]:
    """Split the way from zero until all is settled; give the brackets of all maxima above zero."""
    end, last = whole.right, whole.at_right or moments_at(data, whole.right)
    rough, brackets = [whole], []
    for _ in range(_ROUNDS):
        left_over = []
        for part in rough:
            if not _is_settled(part, restricted):
                left_over.append(part)
            elif _holds_peak(part, restricted):
                brackets.append(part)
        if not left_over:
            rough = left_over
            break
        rough = _split(data, low, left_over)
    brackets += [part for part in rough if _holds_peak(part, restricted)]
    if len(brackets) > 1:
        brackets.sort()
    if last.ypp > _falling(last, restricted):
        brackets.append(_Interval(end, bound, last, None))
    return not rough, brackets


def _is_settled(part: _Interval, restricted: bool) -> bool:
    """Whether the score has one sign in the interval, falls or rises throughout, or crosses zero once at most."""
    left, right, m, n = part
    if n is None:
        return False
    if restricted:
        b, b2, b_right, b2_right = m.trace, m.trace2, n.trace, n.trace2
    else:
        b, b2, b_right, b2_right = m.sum_w, m.sum_w2, n.sum_w, n.sum_w2
    return (
        m.ypp < b_right
        or n.ypp > b
        or b2 < 2.0 * n.yppp
        or b2_right > 2.0 * m.yppp
        or n.ypp * b2 < (2.0 * b + (right - left) * b2) * n.yppp
    )


def _holds_peak(part: _Interval, restricted: bool) -> bool:
    """Whether the score goes from above zero to zero or below."""
    m, n = part.at_left, part.at_right
    return m.ypp > _falling(m, restricted) and n is not None and n.ypp <= _falling(n, restricted)


def _split(data: Observed, low: float, parts: list[_Interval]) -> list[_Interval]:
    """Cut each interval in two, by its logarithm (of the smallest total variance)."""
    inner = [(low + part.left) * ((low + part.right) / (low + part.left)) ** _SHARE - low for part in parts]
    out = []
    for (left, right, at_left, at_right), middle, there in zip(parts, inner, moments(data, inner), strict=True):
        out += [_Interval(left, middle, at_left, there), _Interval(middle, right, there, at_right)]
    return out
