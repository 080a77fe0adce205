"""Confidence intervals of tau2.

Sources: Q-profile: Viechtbauer 2007 (doi:10.1002/sim.2514); profile likelihood: Hardy & Thompson 1996
(doi:10.1002/(SICI)1097-0258(19960330)15:6<619::AID-SIM188>3.0.CO;2-A); generalised Q: Jackson 2013
(doi:10.1002/jrsm.1081), with the distribution of a sum of weighted chi-squared variables by Imhof 1961
(doi:10.1093/biomet/48.3-4.419).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import integrate, optimize, special

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._equation import solve_q
from comfrey.models._maximum import maximise
from comfrey.models._observed import observe
from comfrey.models._profile import Observed, log_likelihood, moments_at

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["IntervalKind", "tau2_interval", "weighted_chi_squared"]

IntervalKind = Literal["q-profile", "profile-likelihood", "generalised-q"]


def tau2_interval(
    yi: Array, vi: Array, X: Array | None, kind: str, level: float, method: str = "REML"
) -> tuple[float, float]:
    """Confidence interval of tau2, (low, high), on the scale of the data.

    Parameters
    ----------
    yi, vi : arrays of shape (k,)
    X : array of shape (k, p) or None
        None is the model of a constant alone.
    kind : {"q-profile", "profile-likelihood", "generalised-q"}
    level : float
    method : str
        Which likelihood is profiled: REML or ML.

    Examples
    --------
    >>> low, high = tau2_interval(np.array([0.0, 1, 3, 2]), np.ones(4), None, "q-profile", 0.95)
    >>> round(low, 3), round(high, 3)
    (0.0, 22.17)
    """
    if not 0 < level < 1:
        raise InputError("level", found=level, expected="a number between 0 and 1")
    df = yi.size - (1 if X is None else X.shape[1])
    if df < 1:
        raise NotEstimableError("one study has no heterogeneity: there is no interval of tau2")
    data, scale, _, _ = observe(yi, vi, X)
    if kind == "q-profile":
        low, high = _q_profile(data, level, df)
    elif kind == "profile-likelihood":
        if method not in {"ML", "REML"}:
            raise NotEstimableError(f"a profile likelihood needs method ML or REML, not {method}")
        low, high = _profile(data, level, method == "REML")
    elif kind == "generalised-q":
        low, high = _generalised_q(data, level)
    else:
        expected = "'q-profile', 'profile-likelihood' or 'generalised-q'"
        raise InputError("kind", found=repr(kind), expected=expected)
    return low * scale**2, high * scale**2


def _q_profile(data: Observed, level: float, df: int) -> tuple[float, float]:
    """Find both tau2 at which ``y'Py`` equals a quantile of chi-squared (k-p); zero if there is none."""
    upper = 2.0 * special.gammaincinv(df / 2, (1 + level) / 2)
    lower = 2.0 * special.gammaincinv(df / 2, (1 - level) / 2)
    return solve_q(data, float(upper))[0], solve_q(data, float(lower))[0]


def _profile(data: Observed, level: float, restricted: bool) -> tuple[float, float]:
    """Find where the log-likelihood falls half a chi-squared(1) quantile below its maximum."""
    peak, _ = maximise(data, restricted)
    floor = log_likelihood(data, peak, restricted) - 0.5 * float(special.chdtri(1, 1 - level))

    def above(tau2: float) -> float:
        return log_likelihood(data, tau2, restricted) - floor

    low = 0.0
    if peak > 0 and above(0.0) < 0:
        low = float(optimize.brentq(above, 0.0, peak, xtol=1e-300, rtol=1e-14))
    high = max(2.0 * peak, float(data.v.min()), float(np.ptp(data.y)) ** 2 / data.k)
    while above(high) > 0:
        high *= 4.0
        if high > 1e300:
            raise NotEstimableError("the likelihood does not fall far enough: the interval has no upper end")
    if high == 0.0:
        return low, 0.0
    return low, float(optimize.brentq(above, peak, high, xtol=1e-300, rtol=1e-14))


def _generalised_q(data: Observed, level: float) -> tuple[float, float]:
    """Find the tau2 at which the observed Q is at the quantiles of its distribution (weights 1/v)."""
    v, basis = data.v, data.basis
    weights = 1.0 / v
    if basis is None:
        basis = np.full((data.k, 1), 1.0 / np.sqrt(data.k))
    if data.k > 2000:
        raise NotEstimableError("the generalised-Q interval is made for up to 2000 studies; use 'q-profile'")
    q = float(moments_at(data, 0.0).rss)
    root = basis * np.sqrt(weights)[:, None]
    project = np.eye(data.k) - root @ np.linalg.solve(root.T @ root, root.T)  # W^-1/2 P W^-1/2
    df = data.k - basis.shape[1]

    def tail(tau2: float) -> float:
        spread = np.sqrt(weights * (v + tau2))
        values = np.linalg.eigvalsh(project * np.outer(spread, spread))[-df:]
        return 1.0 - weighted_chi_squared(q, np.maximum(values, 0.0))

    def solve(target: float) -> float:
        if tail(0.0) >= target:
            return 0.0
        high = max(1.0, float(v.max()))
        while tail(high) < target:
            high *= 4.0
            if high > 1e200:
                return float("inf")
        return float(optimize.brentq(lambda tau2: tail(tau2) - target, 0.0, high, xtol=1e-12, rtol=1e-12))

    return solve((1 - level) / 2), solve((1 + level) / 2)


def weighted_chi_squared(x: float, weights: Array) -> float:
    """P(sum of `weights` times independent chi-squared(1) variables <= x), by Imhof's integral.

    Examples
    --------
    >>> round(weighted_chi_squared(3.0, np.array([1.0, 1.0])), 10)  # 1 - exp(-1.5)
    0.7768698399
    """
    weights = weights[weights > 1e-14 * weights.max()]
    if weights.size == 1 or np.ptp(weights) <= 1e-13 * weights.max():
        return float(special.chdtr(weights.size, x / weights.mean()))
    scaled, point = weights / weights.mean(), x / weights.mean()

    def integrand(u: Array) -> Array:
        angle = 0.5 * np.arctan(scaled * u[:, None]).sum(axis=1) - 0.5 * point * u
        size = 0.25 * np.log1p((scaled * u[:, None]) ** 2).sum(axis=1)
        return np.asarray(np.sin(angle) / u * np.exp(-size), dtype=float)

    # piece by piece, until what is left is below 1e-9 of the whole
    total, start, width = 0.0, 0.0, np.pi / max(point, 1.0)
    for _ in range(2500):
        value = integrate.fixed_quad(integrand, start, start + width, n=20)[0]
        total += float(value)
        start += width
        size = -0.25 * float(np.log1p((scaled * start) ** 2).sum()) - np.log(start)
        if size < -21.0:
            break
        width = min(width * 1.1, 2 * np.pi / max(point, 1e-300))
    return float(np.clip(0.5 - total / np.pi, 0.0, 1.0))
