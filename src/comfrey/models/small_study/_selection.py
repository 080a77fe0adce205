"""Weight functions of selection models, and what they integrate to.

A study with standard error s and one-sided p-value p is published with a probability proportional to w(p). The density
of a published estimate is ``w(p) N(y; m, s^2 + tau2) / A`` with ``A = integral of w(p(u)) N(u; m, s^2 + tau2) du``. In
z = u/s the weights do not depend on the study, so that one set of quadrature nodes serves all studies and A costs
O(k N). A step function has A in closed form.

Sources: Hedges 1992 (doi:10.1214/ss/1177011364) and Vevea & Hedges 1995 (doi:10.1007/BF02294384) for steps; Citkowicz &
Vevea 2017 (doi:10.1037/met0000119) for the beta density; Preston, Ashby & Smyth 2004 (doi:10.1002/sim.1623) for
half-normal, negative exponential and logistic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfrey.effects.measure import Array

__all__ = ["CONTINUOUS", "Area", "Continuous", "Step", "Weights", "Zs"]

_ROOT_2PI = float(np.sqrt(2.0 * np.pi))


class Area(NamedTuple):
    """Normalising constants of k studies and their derivatives by mean, variance and weight parameters."""

    value: Array  # (k,)
    by_mean: Array  # (k,)
    by_variance: Array  # (k,)
    by_delta: Array  # (d, k)


class Zs(NamedTuple):
    """Logarithms of p and 1 - p at points z, with p held between its bounds."""

    p: Array
    log_p: Array
    log_q: Array


class Weights(Protocol):
    """A weight function with parameters delta."""

    null: Array  # delta without selection
    lower: Array
    starts: tuple[Array, ...]
    names: tuple[str, ...]

    def observed(self, delta: Array) -> tuple[Array, Array]:
        """Log-weights of the studies observed, shape (k,), and their derivatives, shape (d, k)."""

    def area(self, mean: Array, se: Array, total: Array, delta: Array) -> Area:
        """Normalising constants for means, standard errors and total standard deviations of shape (k,)."""


class _Function(NamedTuple):
    """Log-weight and its derivatives by delta at points of p."""

    log_weight: Callable[[Zs, Array], Array]
    slope: Callable[[Zs, Array], Array]
    null: tuple[float, ...]
    lower: tuple[float, ...]
    starts: tuple[tuple[float, ...], ...]


def _beta(z: Zs, delta: Array) -> Array:
    return np.asarray((delta[0] - 1.0) * z.log_p + (delta[1] - 1.0) * z.log_q, dtype=float)


def _beta_slope(z: Zs, delta: Array) -> Array:
    del delta
    return np.stack((z.log_p, z.log_q))


def _logistic(z: Zs, delta: Array) -> Array:
    return np.asarray(np.log(2.0) - np.logaddexp(0.0, delta[0] * z.p), dtype=float)


def _logistic_slope(z: Zs, delta: Array) -> Array:
    return np.asarray(-z.p * special.expit(delta[0] * z.p), dtype=float)[None, :]


_ONE: tuple[tuple[float, ...], ...] = ((0.0,), (1.0,), (5.0,), (30.0,))
CONTINUOUS: dict[str, _Function] = {
    "beta": _Function(
        _beta,
        _beta_slope,
        (1.0, 1.0),
        (1e-6, 1e-6),
        ((1.0, 1.0), (0.6, 1.5), (1.5, 0.6), (1.5, 1.5), (0.6, 0.6), (0.9, 4.0), (4.0, 0.9), (0.2, 1.0)),
    ),
    "half-normal": _Function(lambda z, d: -d[0] * z.p**2, lambda z, _: -(z.p[None, :] ** 2), (0.0,), (0.0,), _ONE),
    "negative-exponential": _Function(lambda z, d: -d[0] * z.p, lambda z, _: -z.p[None, :], (0.0,), (0.0,), _ONE),
    "logistic": _Function(_logistic, _logistic_slope, (0.0,), (0.0,), _ONE),
    "power": _Function(lambda z, d: d[0] * z.log_q, lambda z, _: z.log_q[None, :], (0.0,), (0.0,), _ONE),
}


def _zs(z: Array, two_sided: bool, p_min: float) -> Zs:
    """P-values of points z for the alternative "greater" or "two-sided", held within p_min and 1 - p_min."""
    if two_sided:
        log_p = np.log(2.0) + special.log_ndtr(-np.abs(z))
        log_q = np.log(np.maximum(special.erf(np.abs(z) / np.sqrt(2.0)), 1e-300))
    else:
        log_p, log_q = special.log_ndtr(-z), special.log_ndtr(z)
    low, high = np.log(p_min), np.log1p(-p_min)
    log_p, log_q = np.clip(log_p, low, high), np.clip(log_q, low, high)
    return Zs(np.exp(log_p), log_p, log_q)


def _one_side(edge: float, p_min: float | None) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights from zero to the edge.

    Two-sided (p_min given), 1 - p is about proportional to z near zero, and a power of it is not smooth there: it is
    constant up to the bound of p, then nodes are spaced by the logarithm of z up to 0.1.
    """
    if p_min is None:
        return _panel(0.0, edge, math.ceil(6.0 * edge))
    first = float(special.ndtri(0.5 + p_min / 2.0))
    logs, sizes = _panel(math.log(first), math.log(0.1), 24)
    parts = [_panel(0.0, first, 2), (np.exp(logs), np.exp(logs) * sizes), _panel(0.1, edge, 32)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _panel(start: float, end: float, count: int) -> tuple[Array, Array]:
    points, sizes = np.polynomial.legendre.leggauss(count)
    half = 0.5 * (end - start)
    return start + half * (points + 1.0), half * sizes


@dataclass(slots=True)
class Continuous:
    """A smooth weight function, integrated by Gauss-Legendre nodes common to all studies.

    Beyond the nodes p is at its bounds and the weight is constant, so that the rest is a normal tail: the integral has
    no cut-off. In z every study's normal density has a standard deviation of at least one, so that six nodes to a unit
    leave an error below 1e-9.
    """

    function: _Function
    seen: Zs
    nodes: Array
    node_weights: Array
    at: Zs
    edge: float
    ends: Zs
    null: Array
    lower: Array
    starts: tuple[Array, ...]
    names: tuple[str, ...]

    @classmethod
    def make(cls, kind: str, z: Array, two_sided: bool, p_min: float) -> Continuous:
        """Prepare nodes for the estimates over their standard errors, z."""
        function = CONTINUOUS[kind]
        edge = float(-special.ndtri(p_min / 2.0 if two_sided else p_min))
        points, sizes = _one_side(edge, p_min if two_sided else None)
        nodes = np.concatenate((-points[::-1], points))
        node_weights = np.concatenate((sizes[::-1], sizes))
        count = len(function.null)
        return cls(
            function=function,
            seen=_zs(z, two_sided, p_min),
            nodes=nodes,
            node_weights=node_weights,
            at=_zs(nodes, two_sided, p_min),
            edge=edge,
            ends=_zs(np.array([-edge - 1.0, edge + 1.0]), two_sided, p_min),
            null=np.array(function.null),
            lower=np.array(function.lower),
            starts=tuple(np.array(start) for start in function.starts),
            names=tuple(f"delta {j + 1}" for j in range(count)),
        )

    def observed(self, delta: Array) -> tuple[Array, Array]:
        """Log-weights and derivatives at the studies."""
        return self.function.log_weight(self.seen, delta), self.function.slope(self.seen, delta)

    def area(self, mean: Array, se: Array, total: Array, delta: Array) -> Area:
        """Integrate the weights over the normal densities of the studies."""
        weight = np.exp(self.function.log_weight(self.at, delta)) * self.node_weights
        tails = np.exp(self.function.log_weight(self.ends, delta))
        slope, tail_slope = self.function.slope(self.at, delta), self.function.slope(self.ends, delta)
        r = (np.multiply.outer(se, self.nodes) - mean[:, None]) / total[:, None]
        density = np.exp(-0.5 * r * r) * (se / (total * _ROOT_2PI))[:, None]
        first = density @ np.column_stack((weight, *(weight * slope)))
        high, low = (self.edge * se - mean) / total, (-self.edge * se - mean) / total
        above, below = special.ndtr(-high), special.ndtr(low)
        at_high, at_low = np.exp(-0.5 * high * high) / _ROOT_2PI, np.exp(-0.5 * low * low) / _ROOT_2PI
        density *= r
        by_mean = density @ weight
        density *= r
        by_square = density @ weight
        value = first[:, 0] + tails[1] * above + tails[0] * below
        by_mean = (by_mean + tails[1] * at_high - tails[0] * at_low) / total
        by_variance = by_square - first[:, 0] + tails[1] * at_high * high - tails[0] * at_low * low
        by_delta = first[:, 1:].T + (
            np.multiply.outer(tail_slope[:, 1] * tails[1], above)
            + np.multiply.outer(tail_slope[:, 0] * tails[0], below)
        )
        return Area(value, by_mean, by_variance / (2.0 * total * total), by_delta)


@dataclass(slots=True)
class Step:
    """A weight constant between steps of p; the first is one. Parameters are logarithms of the others.

    Intervals without studies have weight zero (their maximum), and no parameter.
    """

    cuts: Array  # z at the inner steps, falling
    place: np.ndarray[tuple[int], np.dtype[np.intp]]  # interval of each study
    free: np.ndarray[tuple[int], np.dtype[np.intp]]  # intervals with a parameter
    count: int
    two_sided: bool
    null: Array
    lower: Array
    starts: tuple[Array, ...]
    names: tuple[str, ...]

    @classmethod
    def make(cls, z: Array, steps: Array, two_sided: bool) -> Step:
        """Prepare for steps (the last of which is one)."""
        p = 2.0 * special.ndtr(-np.abs(z)) if two_sided else special.ndtr(-z)
        place = np.searchsorted(steps, p, side="left")
        count = steps.size
        held = np.bincount(place, minlength=count)
        free = np.array([j for j in range(1, count) if held[j] > 0], dtype=np.intp)
        cuts = -special.ndtri(steps[:-1] / 2.0 if two_sided else steps[:-1])
        d = free.size
        edges = (0.0, *steps.tolist())
        return cls(
            cuts=cuts,
            place=place,
            free=free,
            count=count,
            two_sided=two_sided,
            null=np.zeros(d),
            lower=np.full(d, -np.inf),
            starts=tuple(np.full(d, start) for start in (0.0, -1.2, 1.2)),
            names=tuple(f"delta ({edges[j]:g}, {edges[j + 1]:g}]" for j in range(count)),
        )

    def deltas(self, parameters: Array) -> Array:
        """Weights of all intervals."""
        out = np.zeros(self.count)
        out[0] = 1.0
        out[self.free] = np.exp(parameters)
        return out

    def observed(self, delta: Array) -> tuple[Array, Array]:
        """Log-weights and derivatives at the studies."""
        logs = np.zeros(self.count)
        logs[self.free] = delta
        return logs[self.place], (self.free[:, None] == self.place[None, :]).astype(float)

    def area(self, mean: Array, se: Array, total: Array, delta: Array) -> Area:
        """Sum the weights times the probabilities of the intervals."""
        weights = self.deltas(delta)
        sign = np.array([1.0, -1.0]) if self.two_sided else np.array([1.0])
        value = by_mean = by_variance = np.zeros(se.size)
        by_delta = np.zeros((self.free.size, se.size))
        for side in sign:
            # probability above each cut on this side; the interval j lies between cut j and cut j - 1
            b = (np.multiply.outer(self.cuts, se) - side * mean) / total
            above, at = special.ndtr(-b), np.exp(-0.5 * b * b) / _ROOT_2PI
            last = -side * mean / total if self.two_sided else None  # the last interval ends at z = 0
            parts = _between(above, last if last is None else special.ndtr(-last), 1.0)
            means = _between(at, last if last is None else np.exp(-0.5 * last * last) / _ROOT_2PI, 0.0)
            squares = _between(at * b, last if last is None else last * np.exp(-0.5 * last * last) / _ROOT_2PI, 0.0)
            value = value + weights @ parts
            by_mean = by_mean + side * (weights @ means)
            by_variance = by_variance + weights @ squares
            by_delta += weights[self.free, None] * parts[self.free]
        return Area(value, by_mean / total, by_variance / (2.0 * total * total), by_delta)


def _between(values: Array, last: Array | None, otherwise: float) -> Array:
    """Differences of what lies above the cuts: first as it is, last up to everything (or to z = 0)."""
    end = np.full((1, values.shape[1]), otherwise) if last is None else last[None, :]
    return np.diff(np.concatenate((np.zeros((1, values.shape[1])), values, end)), axis=0)
