"""The likelihood of Copas's model, with its gradient, and where on a grid its hills stand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfrey.effects.measure import Array

__all__ = ["RHO", "hills", "hills_with_slope", "likelihood"]

#: The highest rho: at one, selection is a step, and the likelihood has no gradient.
RHO = 0.9999

_RHOS = np.array([0.02, 0.2, 0.4, 0.6, 0.75, 0.85, 0.93, 0.98, RHO])
_SLOPES = np.array([-16.0, -8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
_WALLS = 8
_FULL = 3000  # studies: with more, fewer means are tried


def mills(x: Array) -> Array:
    """Density of the normal over its distribution function, without underflow."""
    return np.asarray(math.sqrt(2.0 / math.pi) / special.erfcx(-x / math.sqrt(2.0)), dtype=float)


def likelihood(y: Array, se: Array, u: Array, slope: bool) -> Callable[[Array], tuple[float, Array]]:
    """Log-likelihood of (mu, tau2, rho), with a slope on the standard error if asked, and its gradient.

    Examples
    --------
    >>> value = likelihood(np.array([0.1, 0.4]), np.array([0.2, 0.3]), np.array([1.0, 0.5]), False)
    >>> round(value(np.array([0.2, 0.01, 0.5]))[0], 4)
    0.574
    """
    ratio = mills(u)
    c2 = ratio * (u + ratio)
    constant = -float(special.log_ndtr(u).sum()) - 0.5 * y.size * math.log(2.0 * math.pi)

    def at(theta: Array) -> tuple[float, Array]:
        mu, tau2, rho = theta[:3]
        within = se * se / (1.0 - c2 * rho * rho)
        total = tau2 + within
        root = np.sqrt(total)
        r = (y - mu - (theta[3] * se if slope else 0.0)) / root
        link = np.sqrt(within) * rho / root
        rest = 1.0 - link * link
        x = (u + link * r) / np.sqrt(rest)
        value = constant + float((-0.5 * np.log(total) - 0.5 * r * r + special.log_ndtr(x)).sum())
        if not math.isfinite(value):
            return -math.inf, np.zeros(theta.size)
        pull = mills(x)
        by_link = pull * (r / np.sqrt(rest) + x * link / rest)
        by_r = pull * link / np.sqrt(rest) - r
        by_total = -0.5 / total - 0.5 * (by_r * r + by_link * link) / total
        by_within = by_total + 0.5 * by_link * link / within
        within_rho = within * 2.0 * c2 * rho / (1.0 - c2 * rho * rho)
        gradient = np.empty(theta.size)
        gradient[0] = -float((by_r / root).sum())
        gradient[1] = float(by_total.sum())
        gradient[2] = float((by_within * within_rho + by_link * np.sqrt(within) / root).sum())
        if slope:
            gradient[3] = -float((by_r * se / root).sum())
        return value, gradient

    return at


def _means(y: Array, se: Array, u: Array) -> Array:
    """Tell where a mean may lie: among the estimates, at both pooled ones, below all, and before each wall.

    What was published is high, so the mean may be below all. At the highest rho and without heterogeneity, selection
    is nearly a step: a study cannot have been published if the mean is above ``y + u s/rho``, and a hill may stand
    before each such wall.
    """
    w = 1.0 / (se * se)
    low, spread = float(y.min()), float(np.ptp(y)) + float(np.median(se))
    tried = [*np.quantile(y, np.linspace(0.0, 1.0, 13)), float(w @ y) / float(w.sum()), float(y.mean())]
    tried += [low - 0.25 * spread, low - spread]
    ratio = mills(u)
    error = se / np.sqrt(1.0 - ratio * (u + ratio) * RHO * RHO)
    wall = y + u * error / RHO - 0.03 * error
    tried += np.sort(wall)[:_WALLS].tolist()
    stride = min(5, 1 + y.size // _FULL)
    return np.sort(np.array(tried))[::stride]


def _tau2s(y: Array, se: Array, tau2: float) -> Array:
    middle = float(np.median(se)) ** 2
    tried = [0.0, 0.1 * middle, middle, tau2, 0.1 * float(y.var()), 0.5 * float(y.var()), 2.0 * float(y.var())]
    return np.unique(tried)


def _values(y: Array, se: Array, u: Array, means: Array, tau2s: Array, rhos: Array) -> Array:
    """Log-likelihoods, less their constant, of shape (rhos, tau2s, means)."""
    ratio = mills(u)
    c2 = ratio * (u + ratio)
    out = np.empty((rhos.size, tau2s.size, means.size))
    away = y[None, :] - means[:, None]
    for i, rho in enumerate(rhos.tolist()):
        within = se * se / (1.0 - c2 * rho * rho)
        for j, tau2 in enumerate(tau2s.tolist()):
            total = tau2 + within
            link = rho * np.sqrt(within / total)
            r = away / np.sqrt(total)
            x = (u + link * r) / np.sqrt(1.0 - link * link)
            out[i, j] = (-0.5 * r * r + special.log_ndtr(x)).sum(axis=1) - 0.5 * float(np.log(total).sum())
    return out


def _tops(values: Array, most: int) -> list[tuple[int, int]]:
    """Places of a table that no neighbour is above, the highest first."""
    known = np.full((values.shape[0] + 2, values.shape[1] + 2), -np.inf)
    known[1:-1, 1:-1] = np.where(np.isnan(values), -np.inf, values)
    inner = known[1:-1, 1:-1]
    top = np.isfinite(inner)
    for i in range(3):
        for j in range(3):
            top &= inner >= known[i : i + inner.shape[0], j : j + inner.shape[1]]
    places = [(int(i), int(j)) for i, j in np.argwhere(top)]
    places.sort(key=lambda place: -float(inner[place]))
    return places[:most]


def hills(y: Array, se: Array, u: Array, tau2: float) -> list[Array]:
    """Find where to start a climb over (mu, tau2, rho): the hills of a grid for every rho, since ridges run askew."""
    means, tau2s = _means(y, se, u), _tau2s(y, se, tau2)
    values = _values(y, se, u, means, tau2s, _RHOS)
    return [
        np.array([means[m], tau2s[t], rho])
        for rho, table in zip(_RHOS.tolist(), values, strict=True)
        for t, m in _tops(table, 4 if rho == RHO else 2)
    ]


def hills_with_slope(
    y: Array, se: Array, u: Array, tau2: float, rho: float, slope: float, slope_se: float
) -> list[Array]:
    """Find where to start a climb over (mu, tau2, slope) with rho held, for slopes around that without selection."""
    tau2s, held = _tau2s(y, se, tau2), np.array([rho])
    starts = []
    for tried in (0.0, *(slope + slope_se * _SLOPES).tolist()):
        left = y - tried * se
        means = _means(left, se, u)
        table = _values(left, se, u, means, tau2s, held)[0]
        starts += [np.array([means[m], tau2s[t], tried]) for t, m in _tops(table, 1)]
    return starts
