"""Many models of a constant at once: one column a meta-analysis, all with the same number of studies.

The same formulas, the same search and the same proof of a global maximum as for one model (:mod:`_profile`,
:mod:`_maximum`, :mod:`_equation`), with arrays of shape (k, c): k studies, c meta-analyses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from comfrey.errors import ConvergenceError
from comfrey.models._maximum import maximise
from comfrey.models._profile import Observed
from comfrey.models._root import Place, crossing, next_place

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["STAGES", "Block", "fit_block"]

_STEPS = 100
_Proof = np.ndarray[Any, np.dtype[np.bool_]]
STAGES = (1, 4, 20, 128, 0)  # points of the scans that prove a single maximum; what is left is taken one by one


class Block(NamedTuple):
    """Numbers of c models: arrays of shape (c,)."""

    estimate: Array
    sum_w: Array
    rss: Array  # weighted residual sum of squares at tau2
    tau2: Array
    q: Array
    typical: Array  # typical sampling variance (k-1)/tr P
    proved: _Proof  # whether the maximum is proved to be global


class _Moments(NamedTuple):
    mu: Array
    s1: Array
    s2: Array
    rss: Array  # y'Py
    c: Array  # y'PPPy
    a: Array  # y'PPy
    b: Array  # tr P, or tr W
    b2: Array  # tr PP, or tr WW


class _Work:
    """Data of c models, with room to compute in; `take` gives a part of the columns."""

    def __init__(self, y: Array, v: Array) -> None:
        self.y, self.v = y, v
        self._room = [np.empty_like(y) for _ in range(3)]

    def take(self, columns: np.ndarray[Any, np.dtype[np.intp]]) -> _Work:
        return _Work(np.take(self.y, columns, axis=1), np.take(self.v, columns, axis=1))

    def moments(self, tau2: Array, restricted: bool = True) -> _Moments:
        """All moments at one tau2 a model; sums of products in one pass each, the room is used again and again."""
        w, u, t = self._room
        np.add(self.v, tau2, out=w)
        np.divide(1.0, w, out=w)  # twice as quick as np.reciprocal
        s1 = w.sum(axis=0)
        mu = _dot("kc,kc->c", w, self.y) / s1
        np.subtract(self.y, mu, out=t)
        np.multiply(w, t, out=u)
        s2 = _dot("kc,kc->c", w, w)
        if restricted:
            share = s2 / s1
            b, b2 = s1 - share, s2 - 2.0 * _dot("kc,kc,kc->c", w, w, w) / s1 + share * share
        else:
            b, b2 = s1, s2
        wu = _dot("kc,kc->c", w, u)
        return _Moments(
            mu,
            s1,
            s2,
            _dot("kc,kc->c", u, t),
            _dot("kc,kc,kc->c", w, u, u) - wu * wu / s1,
            _dot("kc,kc->c", u, u),
            b,
            b2,
        )

    def short(self, tau2: Array) -> tuple[Array, Array, Array, Array]:
        """Estimate, sum of weights, weighted residual sum of squares and its negative slope ``y'PPy``."""
        w, u, t = self._room
        np.add(self.v, tau2, out=w)
        np.divide(1.0, w, out=w)
        s1 = w.sum(axis=0)
        mu = _dot("kc,kc->c", w, self.y) / s1
        np.subtract(self.y, mu, out=t)
        np.multiply(w, t, out=u)
        return mu, s1, _dot("kc,kc->c", u, t), _dot("kc,kc->c", u, u)

    def log_likelihood(self, tau2: Array, restricted: bool) -> Array:
        """Log-likelihood but for what does not depend on tau2."""
        _, s1, rss, _ = self.short(tau2)
        out = -np.log(self.v + tau2).sum(axis=0) - rss - (np.log(s1) if restricted else 0.0)
        return np.asarray(0.5 * out, dtype=float)


def _dot(pattern: str, *arrays: Array) -> Array:
    return np.asarray(np.einsum(pattern, *arrays), dtype=float)


def fit_block(y: Array, v: Array, method: str, points: int = STAGES[0]) -> Block:
    """Fit c models of k >= 2 studies each; `y` and `v` have shape (k, c) and are scaled already.

    Where `points` do not prove the maximum of a likelihood, `proved` is false and the numbers do not hold: fit those
    columns again with more points, or with none (``points=0``), which takes them one by one.

    Raises
    ------
    ConvergenceError
        If a search does not end.
    """
    k, count = y.shape
    middle = y[k // 2].copy()
    work = _Work(y - middle, v)
    at_zero = work.moments(np.zeros(count))
    q = at_zero.rss
    proved = np.ones(count, dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        if method in {"REML", "ML"}:
            restricted = method == "REML"
            start = at_zero if restricted else at_zero._replace(b=at_zero.s1, b2=at_zero.s2)
            tau2, proved = _likelihood(work, restricted, start, points) if points else _one_by_one(work, restricted)
        elif method in {"PM", "EB", "PMM"}:
            target = k - 1.0 if method != "PMM" else 2.0 * float(special.gammaincinv((k - 1) / 2, 0.5))
            tau2 = _equation(work, target, q, at_zero.a)
        else:
            tau2 = np.maximum(_CLOSED[method](work, q, at_zero), 0.0)
    mu, s1, rss, _ = work.short(tau2)
    return Block(mu + middle, s1, rss, tau2, q, (k - 1) / at_zero.b, proved)


def _moment(work: _Work, weights: Array) -> Array:
    """General method of moments with the weights given, shape (k, c)."""
    total, squares = weights.sum(axis=0), weights * weights
    residual = work.y - (weights * work.y).sum(axis=0) / total
    q = (weights * residual * residual).sum(axis=0)
    trace_v = (weights * work.v).sum(axis=0) - (squares * work.v).sum(axis=0) / total
    return np.asarray((q - trace_v) / (total - squares.sum(axis=0) / total), dtype=float)


def _dersimonian_laird(work: _Work, q: Array, at_zero: _Moments) -> Array:
    return np.asarray((q - (work.y.shape[0] - 1)) / at_zero.b, dtype=float)


def _two_step(work: _Work, q: Array, at_zero: _Moments) -> Array:
    return _moment(work, 1.0 / (work.v + np.maximum(_dersimonian_laird(work, q, at_zero), 0.0)))


def _hedges(work: _Work, q: Array, at_zero: _Moments) -> Array:
    del q, at_zero
    return np.asarray(work.y.var(axis=0, ddof=1) - work.v.mean(axis=0), dtype=float)


def _hunter_schmidt(work: _Work, q: Array, at_zero: _Moments) -> Array:
    return np.asarray((q - work.y.shape[0]) / at_zero.s1, dtype=float)


def _hunter_schmidt_small(work: _Work, q: Array, at_zero: _Moments) -> Array:
    k = work.y.shape[0]
    return np.asarray((q * k / (k - 1) - k) / at_zero.s1, dtype=float)


def _sidik_jonkman(work: _Work, q: Array, at_zero: _Moments) -> Array:
    del q, at_zero
    start = work.y.var(axis=0)
    _, _, rss, _ = work.short(start)
    return np.asarray(start * rss / (work.y.shape[0] - 1), dtype=float)


def _equal(work: _Work, q: Array, at_zero: _Moments) -> Array:
    del work, at_zero
    return np.zeros_like(q)


_CLOSED = {
    "EE": _equal,
    "DL": _dersimonian_laird,
    "DL2": _two_step,
    "HE": _hedges,
    "HS": _hunter_schmidt,
    "HSk": _hunter_schmidt_small,
    "SJ": _sidik_jonkman,
}


def _equation(work: _Work, target: float, q: Array, slope_at_zero: Array) -> Array:
    """Newton on ``1/(y'Py)`` from zero: it never passes the root."""
    tau2 = np.zeros(work.y.shape[1])
    active = np.flatnonzero(q > target)
    move = (q / target - 1.0)[active] * (q / slope_at_zero)[active]
    part = work.take(active)
    for _ in range(_STEPS):
        if not active.size:
            return tau2
        tau2[active] += move
        _, _, rss, slope = part.short(tau2[active])
        excess = rss / target - 1.0
        move = excess * rss / slope
        going = (excess > 0.0) & (np.abs(move) > 4e-16 * tau2[active])
        tau2[active[~going]] += move[~going]
        active, move = active[going], move[going]
        part = part.take(np.flatnonzero(going))
    raise ConvergenceError(f"tau2 of {active.size} groups was not found after {_STEPS} steps")


def _one_by_one(work: _Work, restricted: bool) -> tuple[Array, _Proof]:
    """Search each column by itself, with as many points as it takes."""
    found = [
        maximise(Observed(np.ascontiguousarray(y), np.ascontiguousarray(v), None), restricted)
        for y, v in zip(work.y.T, work.v.T, strict=True)
    ]
    return np.array([tau2 for tau2, _ in found]), np.array([proof.global_maximum for _, proof in found])


def _likelihood(work: _Work, restricted: bool, at_zero: _Moments, points: int) -> tuple[Array, _Proof]:
    """Maxima over tau2 >= 0, and for which columns it is proved (as in :mod:`_maximum`) that there is no other."""
    low, high = work.v.min(axis=0), work.v.max(axis=0)
    k, count = work.y.shape
    from_mean = work.y - work.y.sum(axis=0) / k
    ratio = _dot("kc,kc->c", from_mean, from_mean) / (k - 1)
    bound = (0.5 * (ratio + np.sqrt(ratio) * np.sqrt(ratio + 4.0 * (high - low))) - low) * (1.0 + 1e-9)
    end = np.clip(np.minimum(high - 2.0 * at_zero.b / at_zero.b2, bound), 0.0, None)  # beyond: one root at most
    growth = np.log1p(end / low) / points
    tau2 = np.empty((points + 1, count))
    a, b, c, b2 = (np.empty((points + 1, count)) for _ in range(4))
    for point in range(points + 1):
        tau2[point] = low * np.expm1(point * growth) if point < points else end
        m = work.moments(tau2[point], restricted) if point else at_zero
        a[point], b[point], c[point], b2[point] = m.a, m.b, m.c, m.b2
    settled = a[1:] * b2[:-1] < (2.0 * b[:-1] + np.diff(tau2, axis=0) * b2[:-1]) * c[1:]
    settled |= (a[:-1] < b[1:]) | (a[1:] > b[:-1]) | (b2[:-1] < 2.0 * c[1:]) | (b2[1:] > 2.0 * c[:-1])
    negative = a <= b
    peaks = ~negative[:-1] & negative[1:]
    count_peaks = peaks.sum(axis=0) + ~negative[-1]
    # one inner maximum at most, and perhaps one at zero: more than that is left to the search for one model
    proved = (settled.all(axis=0) & (count_peaks <= 1)) | (end == 0.0) | (bound <= 0.0)
    rising = np.flatnonzero(proved & (count_peaks == 1) & (bound > 0))
    out = np.zeros(count)
    if rising.size:
        first = np.where(negative[-1, rising], peaks[:, rising].argmax(axis=0) + 1, points + 1)
        before, within = first - 1, first <= points
        after = np.minimum(first, points)
        left, right = (
            _place(tau2[at, rising], a[at, rising], b[at, rising], b2[at, rising], c[at, rising])
            for at in (before, after)
        )
        end_of = np.where(within, right.x, bound[rising])
        start = np.where(within, crossing(left, right), left.x - left.value / left.slope)
        start = np.where((start > left.x) & (start < end_of), start, 0.5 * (left.x + end_of))
        nearer = within & (np.abs(right.value) < np.abs(left.value))
        last = Place(*(np.where(nearer, z, x) for x, z in zip(left, right, strict=True)))
        part = work if rising.size == count else work.take(rising)
        out[rising] = _climb(part, restricted, left.x, end_of, start, last)
        twofold = rising[negative[0, rising]]
        if twofold.size:
            part = work.take(twofold)
            at_zero_wins = part.log_likelihood(np.zeros(twofold.size), restricted) >= part.log_likelihood(
                out[twofold], restricted
            )
            out[twofold[at_zero_wins]] = 0.0
    return out, proved


def _place(tau2: Array, a: Array, b: Array, b2: Array, c: Array) -> Place[Array]:
    """Value and slope of ``tr P / y'PPy - 1``, which is nearly straight in tau2."""
    return Place(tau2, b / a - 1.0, (2.0 * b * c - b2 * a) / (a * a))


def _climb(work: _Work, restricted: bool, low: Array, high: Array, tau2: Array, last: Place[Array]) -> Array:
    """Roots of the score in brackets, by inverse cubic interpolation from the two latest places (see :mod:`_root`)."""
    out = tau2.copy()
    active = np.arange(tau2.size)
    for _ in range(_STEPS):
        m = work.moments(tau2, restricted)
        rising = m.a > m.b
        low, high = np.where(rising, tau2, low), np.where(rising, high, tau2)
        here = _place(tau2, m.a, m.b, m.b2, m.c)
        new, share = next_place(here, last)
        step = new - tau2
        # the next step is of the order of this one squared, times the last value squared: below rounding
        near = step * step * m.b2 * share <= 1e-16 * tau2 * m.b
        new = np.where(((new > low) & (new < high)) | near, new, 0.5 * (low + high))
        out[active] = new
        going = ~(near | (high - low <= 1e-15 * high))
        left = int(np.count_nonzero(going))
        if left == 0:
            return out
        if left < 0.8 * going.size:
            active, low, high, new = active[going], low[going], high[going], new[going]
            here = Place(*(item[going] for item in here))
            work = work.take(np.flatnonzero(going))
        tau2, last = new, here
    raise ConvergenceError(f"tau2 of {active.size} groups was not found after {_STEPS} steps")
