"""The highest maximum of a likelihood with a gradient, from several starts, certified where it ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from comfrey.errors import ConvergenceError
from comfrey.models._maximum import Certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfrey.effects.measure import Array

__all__ = ["Peak", "highest", "on_face"]

_STEPS = 60
_SAME = 1e-3  # ends whose likelihoods differ less are one maximum
_TOLERANCE = 1e-6  # of the gradient, in standard errors


class Peak(NamedTuple):
    """A maximum: parameters, log-likelihood, covariance (of the free ones; zero for others), and how it was found.

    `edge` is the highest end on a bound that is no part of the parameter space, if it is higher: value and parameters.
    `others` are lower maxima.
    """

    theta: Array
    value: float
    covariance: Array
    free: np.ndarray[Any, np.dtype[np.bool_]]
    certificate: Certificate
    edge: tuple[float, Array] | None = None
    others: tuple[tuple[float, Array], ...] = ()


def highest(
    function: Callable[[Array], tuple[float, Array]],
    lower: Array,
    starts: list[Array],
    upper: Array | None = None,
    excluded: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
) -> Peak:
    """Climb from every start (L-BFGS-B), finish the highest end by Newton's steps, and certify it.

    Parameters
    ----------
    function : callable
        Parameters in, log-likelihood and gradient out (minus infinity where there is none).
    lower : array
        Lower bounds, minus infinity where there is none.
    starts : list of arrays
    upper : array, optional
        Upper bounds.
    excluded : array of bool, optional
        Parameters whose lower bound is no part of the parameter space: an end there is no maximum.

    Raises
    ------
    ConvergenceError
        If the highest end is no maximum: the gradient does not vanish, the curvature is not negative, or a parameter
        runs away.

    Examples
    --------
    >>> def hill(x):
    ...     return float(-((x[0] - 1) ** 2)), np.array([-2 * (x[0] - 1)])
    >>> highest(hill, np.array([0.0]), [np.array([5.0])]).theta
    array([1.])
    """
    top = np.full(lower.size, np.inf) if upper is None else upper
    steps = 0
    tops: list[tuple[float, Array]] = []
    for start in starts:
        value, theta, more = _climb(function, lower, top, start)
        steps += more
        if math.isfinite(value):
            tops.append((value, theta))
    if not tops:
        raise ConvergenceError("no start has a finite likelihood")
    tops.sort(key=lambda top: -top[0])
    edge: tuple[float, Array] | None = None
    if excluded is not None:
        out = [(value, theta) for value, theta in tops if (theta - lower < 1e-5)[excluded].any()]
        tops = [(value, theta) for value, theta in tops if not (theta - lower < 1e-5)[excluded].any()]
        edge = out[0] if out else None
        if not tops:
            raise ConvergenceError("the likelihood rises to the edge of the parameter space: it has no maximum inside")
    peaks: list[Peak] = []
    failure: ConvergenceError | None = None
    for value, theta in tops:
        if any(abs(value - peak.value) < _SAME for peak in peaks):
            continue
        # lower hills do not stand in for one that could not be climbed to its top
        if not peaks and failure is not None and value < tops[0][0] - _SAME:
            break
        try:
            with np.errstate(all="ignore"):  # where numbers overflow there is no maximum, and the certificate says so
                peak, more = _finish(function, lower, top, theta)
        except ConvergenceError as error:
            failure = failure or error
            continue
        steps += more
        if not any(abs(peak.value - known.value) < _SAME for known in peaks):
            peaks.append(peak)
    if not peaks:
        raise failure or ConvergenceError("no start ends at a maximum")
    peaks.sort(key=lambda peak: -peak.value)
    best = peaks[0]
    end = best.certificate
    return best._replace(
        certificate=Certificate(True, steps, end.gradient, end.boundary, len(peaks), False),
        edge=edge if edge is not None and edge[0] > best.value else None,
        others=tuple((peak.value, peak.theta) for peak in peaks[1:]),
    )


def _climb(
    function: Callable[[Array], tuple[float, Array]], lower: Array, upper: Array, start: Array
) -> tuple[float, Array, int]:
    """Climb from one start: where it ends, and in how many steps."""
    from scipy import optimize

    def down(theta: Array) -> tuple[float, Array]:
        value, gradient = function(theta)
        if not math.isfinite(value):
            return 1e300, np.zeros(theta.size)
        return -value, -gradient

    bounds = [
        (a if math.isfinite(a) else None, b if math.isfinite(b) else None) for a, b in zip(lower, upper, strict=True)
    ]
    start = np.clip(start, lower, upper)
    end = optimize.minimize(down, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 200})
    value = -float(end.fun) if end.fun < 1e299 else -math.inf
    return value, np.asarray(end.x, dtype=float), int(end.nit)


def on_face(function: Callable[[Array], tuple[float, Array]], lower: Array, held: int, starts: list[Array]) -> Array:
    """Climb with one parameter held at its lower bound: the highest end.

    A hill that has its top on a bound can be missed by climbs that begin inside.
    """
    upper = np.full(lower.size, np.inf)
    upper[held] = lower[held]
    return max((_climb(function, lower, upper, start) for start in starts), key=lambda end: end[0])[1]


def _finish(
    function: Callable[[Array], tuple[float, Array]], lower: Array, upper: Array, theta: Array
) -> tuple[Peak, int]:
    """Newton's steps with halving, on the parameters that are not held by their bounds."""
    theta = theta.copy()
    value, gradient = function(theta)
    for step in range(1, _STEPS + 1):
        # a parameter so near its bound that the likelihood climbs towards it belongs on it
        theta = np.where((theta - lower < 1e-9) & (gradient < 0), lower, theta)
        theta = np.where((upper - theta < 1e-9) & (gradient > 0), upper, theta)
        free = _free(theta, gradient, lower, upper)
        hessian = _hessian(function, theta, lower, upper)[np.ix_(free, free)]
        size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
        values, vectors = np.linalg.eigh(hessian / np.outer(size, size))
        slope = gradient[free] / size
        # uphill in every direction: curvature of the wrong sign is turned round
        move = np.zeros(theta.size)
        move[free] = (vectors @ ((vectors.T @ slope) / np.maximum(np.abs(values), 1e-8))) / size
        left = float(np.abs(slope).max(initial=0.0))
        if left < 1e-10 or (
            step > 1 and left < _TOLERANCE and float(np.abs(move[free] * size).max(initial=0.0)) < 1e-9
        ):
            break
        taken = _line(function, theta, value, gradient, move, (lower, upper))
        if taken is None:
            break
        theta, value, gradient = taken
        if np.abs(theta[np.isinf(lower)]).max(initial=0.0) > 1e8:
            raise ConvergenceError("a parameter runs away: the likelihood has no maximum")
    free = _free(theta, gradient, lower, upper)
    hessian = _hessian(function, theta, lower, upper)[np.ix_(free, free)]
    return _certify(theta, value, gradient, free, hessian), step


def _line(
    function: Callable[[Array], tuple[float, Array]],
    theta: Array,
    value: float,
    gradient: Array,
    move: Array,
    bounds: tuple[Array, Array],
) -> tuple[Array, float, Array] | None:
    """Take the longest of the halved steps that climbs; None where rounding leaves none."""
    share = 1.0
    for _ in range(40):
        new = np.clip(theta + share * move, *bounds)
        new_value, new_gradient = function(new)
        rise = float(gradient @ (new - theta))
        if math.isfinite(new_value) and new_value >= value + 1e-4 * rise - 1e-13 * (1.0 + abs(value)):
            return (new, new_value, new_gradient) if (new != theta).any() else None
        share *= 0.5
    return None


def _free(theta: Array, gradient: Array, lower: Array, upper: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which parameters are not held by a bound."""
    return ((theta > lower) | (gradient > 0)) & ((theta < upper) | (gradient < 0))


def _hessian(function: Callable[[Array], tuple[float, Array]], theta: Array, lower: Array, upper: Array) -> Array:
    """Second derivatives from central differences of the gradient (one-sided next to a bound)."""
    n = theta.size
    out = np.empty((n, n))
    for j in range(n):
        step = 1e-5 * max(1.0, abs(float(theta[j])))
        up, down = theta.copy(), theta.copy()
        up[j] = min(theta[j] + step, upper[j])
        down[j] = max(theta[j] - step, lower[j])
        out[j] = (function(up)[1] - function(down)[1]) / (up[j] - down[j])
    if not np.isfinite(out).all():
        raise ConvergenceError("the likelihood has no curvature where the search ended")
    return 0.5 * (out + out.T)


def _certify(
    theta: Array, value: float, gradient: Array, free: np.ndarray[Any, np.dtype[np.bool_]], hessian: Array
) -> Peak:
    """Check that the gradient vanishes, in units of the standard errors, and that the curvature is negative."""
    size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
    information = -hessian / np.outer(size, size)
    curvature = np.linalg.eigvalsh(information) if free.any() else np.ones(1)
    if not curvature.min() > 1e-8:
        raise ConvergenceError(
            "the likelihood is flat or rises where the search ended: it has no certain maximum there"
        )
    covariance = np.zeros((theta.size, theta.size))
    covariance[np.ix_(free, free)] = np.linalg.inv(information) / np.outer(size, size)
    left = float(np.sqrt(max(0.0, gradient[free] @ covariance[np.ix_(free, free)] @ gradient[free])))
    if not left < _TOLERANCE:
        raise ConvergenceError(f"the gradient does not vanish where the search ended ({left:.1e} standard errors)")
    held = np.flatnonzero(~free)
    covariance[held, held] = math.nan
    return Peak(theta, value, covariance, free, Certificate(True, 0, left, bool(held.size), 1, False))
