"""The random-effects likelihood as a function of tau2 alone: weighted moments, no k-by-k matrix.

With ``W = diag(1/(v + tau2))`` and ``P = W - W X (X'WX)^-1 X'W`` the estimators of tau2 need nothing but
``y'Py, y'PPy, y'PPPy, tr P, tr PP`` (Harville 1977, doi:10.1080/01621459.1977.10480998; Viechtbauer 2005,
doi:10.3102/10769986030003261), each of which costs O(k p^2).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from comfrey.models._profile_apart import moments_apart

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

_sum = np.add.reduce  # the method of arrays takes half a microsecond more

__all__ = ["Moments", "Observed", "moments", "moments_at"]

Number = TypeVar("Number", float, "Array")
_LOG_2_PI = math.log(2.0 * math.pi)

# Above this many numbers in one block, the values of tau2 are taken one after the other (memory stays O(k)).
_BLOCK = 400_000


class Observed(NamedTuple):
    """Data of one model, already scaled: estimates, variances, and an orthonormal basis of the design.

    `basis` is None for the model with nothing but a constant; else shape (k, p) with orthonormal columns. `wide` says
    that the variances lie far apart; then, without a basis, the most precise study comes first, with an estimate of
    zero. `few` holds `y` and `v` once more as plain numbers, where there are so few that a loop over them is quicker
    than an array.
    """

    y: Array
    v: Array
    basis: Array | None
    wide: bool = False
    few: tuple[list[float], list[float]] | None = None

    @property
    def k(self) -> int:
        """Number of studies."""
        return int(self.y.size)

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return 1 if self.basis is None else int(self.basis.shape[1])


class Moments(NamedTuple, Generic[Number]):
    """Moments at one tau2 (floats), or of many models and values side by side (arrays of one shape)."""

    rss: Number  # y'Py
    ypp: Number  # y'PPy = -d(y'Py)/d(tau2)
    yppp: Number  # y'PPPy
    trace: Number  # tr P
    trace2: Number  # tr PP
    sum_w: Number  # tr W
    sum_w2: Number  # tr WW


def moments_at(data: Observed, tau2: float) -> Moments[float]:
    """Moments at one value of tau2.

    Examples
    --------
    >>> data = Observed(np.array([0.0, 2.0]), np.array([1.0, 1.0]), None)
    >>> moments_at(data, 0.0).rss
    2.0
    """
    if data.few is not None:
        return _moments_of_few(*data.few, tau2)
    if data.basis is not None and data.wide:
        return _one_each(*moments_apart(data.y, data.v, data.basis, np.array([tau2])))[0]
    if data.basis is not None:
        return _moments_with_design(data.y, data.v, data.basis, tau2)
    if data.wide:
        return _moments_wide(data.y, data.v, np.array([tau2]))[0]
    y, v = data.y, data.v
    w = 1.0 / (v + tau2)
    w2 = w * w
    s1, s2, s3 = _sum(w), _sum(w2), w2 @ w
    residual = y - (w @ y) / s1
    u = w * residual
    wu = w * u
    return _from_sums(*map(float, (s1, s2, s3, u @ residual, u @ u, wu @ u, _sum(wu))))


def _from_sums(s1: float, s2: float, s3: float, rss: float, ypp: float, wuu: float, along: float) -> Moments[float]:
    """Moments of the model of a constant from its sums of ``w, w^2, w^3, wr^2, w^2 r^2, w^3 r^2, w^2 r``."""
    share = s2 / s1
    return Moments(rss, ypp, wuu - along * along / s1, s1 - share, s2 - 2.0 * s3 / s1 + share * share, s1, s2)


def _moments_of_few(ys: list[float], vs: list[float], tau2: float) -> Moments[float]:
    """Form the same sums without arrays, whose every operation costs as much as a loop over ten studies."""
    s1 = s2 = s3 = wy = rss = ypp = wuu = along = 0.0
    weights = [1.0 / (v + tau2) for v in vs]
    for w, y in zip(weights, ys, strict=True):
        w2 = w * w
        s1 += w
        s2 += w2
        s3 += w2 * w
        wy += w * y
    mean = wy / s1
    for w, y in zip(weights, ys, strict=True):
        residual = y - mean
        u = w * residual
        u2 = u * u
        rss += u * residual
        ypp += u2
        wuu += w * u2
        along += w * u
    return _from_sums(s1, s2, s3, rss, ypp, wuu, along)


def _moments_with_design(y: Array, v: Array, basis: Array, tau2: float) -> Moments[float]:
    w = 1.0 / (v + tau2)
    once = basis * w[:, None]
    inverse = np.linalg.inv(once.T @ basis)
    residual = y - basis @ (inverse @ (once.T @ y))
    u = w * residual
    wu = w * u
    along = once.T @ u
    twice = once * w[:, None]
    m2 = inverse @ (once.T @ once)
    trace2 = w @ w - 2.0 * (inverse * (once.T @ twice)).sum() + (m2 * m2.T).sum()
    found = (u @ residual, u @ u, wu @ u - along @ inverse @ along, w.sum() - np.trace(m2), trace2, w.sum(), w @ w)
    return Moments(*map(float, found))


def _one_each(*columns: Array) -> list[Moments[float]]:
    """Turn arrays of shape (g,), one a moment, into the moments at each of g values of tau2."""
    return [Moments(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _moments_wide(y: Array, v: Array, tau2: Array) -> list[Moments[float]]:
    """Moments as sums of positive terms alone, so that the first study's weight does not drown the others'."""
    w = 1.0 / (v + tau2[:, None])
    others = w[:, 1:]
    sum_others = others.sum(axis=1)
    s1 = w[:, 0] + sum_others
    residual = y - (w @ y / s1)[:, None]
    u = w * residual
    middle = (w * u).sum(axis=1) / s1
    leverage_left = w - w * w / s1[:, None]  # the diagonal of P
    leverage_left[:, 0] = w[:, 0] * sum_others / s1
    squares = others * others
    sum_squares = squares.sum(axis=1)
    off = 2.0 * w[:, 0] ** 2 * sum_squares + (sum_squares**2 - (squares * squares).sum(axis=1))
    return _one_each(
        (u * residual).sum(axis=1),
        (u * u).sum(axis=1),
        (w * (u - middle[:, None]) ** 2).sum(axis=1),
        leverage_left.sum(axis=1),
        (leverage_left**2).sum(axis=1) + off / s1**2,
        s1,
        (w * w).sum(axis=1),
    )


def moments(data: Observed, values: list[float]) -> list[Moments[float]]:
    """Moments at several values of tau2, in O(g k p^2) and at most a block of memory."""
    if data.few is not None:
        return [_moments_of_few(*data.few, value) for value in values]
    k, p = data.k, data.p
    step = max(1, _BLOCK // max(1, k * (1 if data.basis is None else p * p)))
    if step < len(values):
        parts = (moments(data, values[start : start + step]) for start in range(0, len(values), step))
        return [item for part in parts for item in part]
    tau2, y, v, basis = np.array(values), data.y, data.v, data.basis
    if data.wide and basis is not None:
        return _one_each(*moments_apart(y, v, basis, tau2))
    if data.wide:
        return _moments_wide(y, v, tau2)
    w = 1.0 / (v + tau2[:, None])
    s1, s2 = w.sum(axis=1), np.einsum("gk,gk->g", w, w)
    if basis is None:
        residual = y - (w @ y / s1)[:, None]
        u = w * residual
        share, along = s2 / s1, np.einsum("gk,gk->g", w, u)
        yppp = np.einsum("gk,gk,gk->g", w, u, u) - along * along / s1
        trace, trace2 = s1 - share, s2 - 2.0 * np.einsum("gk,gk,gk->g", w, w, w) / s1 + share * share
    else:
        w2 = w * w
        products = (basis[:, :, None] * basis[:, None, :]).reshape(k, p * p)
        a1, a2, a3 = ((weight @ products).reshape(-1, p, p) for weight in (w, w2, w2 * w))
        inverse = np.linalg.inv(a1)
        beta = np.einsum("gij,gj->gi", inverse, (w * y) @ basis)
        residual = y - beta @ basis.T
        u = w * residual
        wu = w * u
        along = wu @ basis
        yppp = np.einsum("gk,gk->g", wu, u) - np.einsum("gi,gij,gj->g", along, inverse, along)
        m2 = inverse @ a2
        trace = s1 - np.einsum("gii->g", m2)
        trace2 = s2 - 2.0 * np.einsum("gij,gji->g", inverse, a3) + np.einsum("gij,gji->g", m2, m2)
    rss = np.einsum("gk,gk->g", u, residual)
    return _one_each(rss, np.einsum("gk,gk->g", u, u), yppp, trace, trace2, s1, s2)


def log_likelihood(data: Observed, tau2: float, restricted: bool, m: Moments[float] | None = None) -> float:
    """Log-likelihood at tau2 with the coefficients at their best; restricted: with ``log|X'X|/2`` for the basis of X.

    ``-(k-p)/2 log 2 pi - sum log(v + tau2)/2 - log|X'WX|/2 - y'Py/2`` (Harville 1977); the term of X is added by the
    caller, who knows X. Without `restricted` the terms of X are absent and k stands for k - p. `m` are the moments at
    tau2, where they are known.
    """
    m = m or moments_at(data, tau2)
    product = math.inf if data.few is None else math.prod([v + tau2 for v in data.few[1]])
    log_w = -math.log(product) if product < math.inf else -float(np.log(data.v + tau2).sum())
    if not restricted:
        return -0.5 * (data.k * _LOG_2_PI - log_w + m.rss)
    if data.basis is None:
        log_det = math.log(m.sum_w) - math.log(data.k)  # the basis of a constant is 1/sqrt k
    else:
        log_det = float(np.linalg.slogdet((data.basis / (data.v + tau2)[:, None]).T @ data.basis)[1])
    return -0.5 * ((data.k - data.p) * _LOG_2_PI - log_w + m.rss + log_det)
