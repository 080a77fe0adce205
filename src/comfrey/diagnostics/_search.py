"""Estimates of tau2 of many subsets at once, by every method of :mod:`comfrey.models.tau2`.

The likelihood methods scan, climb and settle as :mod:`comfrey.models._maximum` does, with the same proof that there is
no higher maximum, for all subsets together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from comfrey.diagnostics._moments import gram, heterogeneity_of_subsets, invert, moments_of_subsets, scan_of_subsets
from comfrey.errors import ConvergenceError
from comfrey.models._profile import Moments, Observed, log_likelihood
from comfrey.models._root import Place, crossing, next_place

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

    Rows = np.ndarray[Any, np.dtype[np.intp]]

__all__ = ["Found", "tau2_of_subsets"]

_RATIO = 1.65  # from one point of the scan to the next, in min(v) + tau2
_POINTS = 400
_ROUNDS = 6
_STEPS = 200


class Found(NamedTuple):
    """Estimates of tau2, shape (m,), and for each whether it is proved to be the global maximum."""

    tau2: Array
    proved: np.ndarray[Any, np.dtype[np.bool_]]


class _Intervals(NamedTuple):
    """Stretches of tau2 with the subset they belong to, and moments at both ends."""

    rows: Rows
    start: Array
    end: Array
    before: Moments[Array]
    after: Moments[Array]


def tau2_of_subsets(data: Observed, masks: Array, df: Array, method: str) -> Found:
    """Estimate tau2 for each subset (scaled data; each subset with at least one degree of freedom).

    Parameters
    ----------
    data : Observed
    masks : array of shape (m, k)
    df : array of shape (m,)
        Studies less coefficients.
    method : str
        One of :data:`comfrey.models.tau2.METHODS`.
    """
    sure = np.ones(masks.shape[0], dtype=bool)
    if method == "EE":
        return Found(np.zeros(masks.shape[0]), sure)
    if method in {"REML", "ML"}:
        return _maximise(data, masks, df, method == "REML")
    if method in {"PM", "EB"}:
        return Found(_solve_q(data, masks, df), sure)
    if method == "PMM":
        return Found(_solve_q(data, masks, np.asarray(2.0 * special.gammaincinv(df / 2.0, 0.5), dtype=float)), sure)
    return Found(np.maximum(_closed(data, masks, df, method), 0.0), sure)


def _closed(data: Observed, masks: Array, df: Array, method: str) -> Array:
    if method == "HE":
        return _moment(data, masks)
    if method in {"DL", "DL2"}:
        q, trace = heterogeneity_of_subsets(data, masks)
        first = (q - df) / trace
        return first if method == "DL" else _moment(data, masks / (data.v + np.maximum(first, 0.0)[:, None]))
    if method in {"HS", "HSk"}:
        count = masks.sum(axis=1)
        m = moments_of_subsets(data, masks, np.zeros(count.size))
        factor = count / df if method == "HSk" else 1.0
        return np.asarray((factor * m.rss - count) / m.sum_w, dtype=float)
    count = masks.sum(axis=1)  # Sidik-Jonkman
    mean = masks @ data.y / count
    start = np.einsum("nk,nk->n", masks, (data.y - mean[:, None]) ** 2) / count
    weights = masks / (data.v + np.where(start > 0, start, 1.0)[:, None])
    return np.asarray(start * _weighted(data, weights)[0] / df, dtype=float)


def _moment(data: Observed, weights: Array) -> Array:
    q, trace, trace_v = _weighted(data, weights)
    return (q - trace_v) / trace


def _weighted(data: Observed, weights: Array) -> tuple[Array, Array, Array]:
    """``y'P_w y``, ``tr P_w`` and ``tr(P_w V)`` for each row of weights."""
    y, v, basis = data.y, data.v, data.basis
    total = weights.sum(axis=1)
    if basis is None:
        residual = y - (weights @ y / total)[:, None]
        q = np.einsum("nk,nk->n", weights * residual, residual)
        squares = weights * weights
        return q, total - squares.sum(axis=1) / total, weights @ v - squares @ v / total
    inverse = invert(gram(basis, weights))
    residual = y - np.einsum("nij,nj->ni", inverse, (weights * y) @ basis) @ basis.T
    squares = np.einsum("ki,nij,kj->nk", basis, inverse, basis) * weights * weights
    q = np.einsum("nk,nk->n", weights * residual, residual)
    return q, total - squares.sum(axis=1), weights @ v - squares @ v


def _solve_q(data: Observed, masks: Array, target: Array) -> Array:
    """Solve ``y'Py = target`` for each subset by the monotone Newton steps of :mod:`comfrey.models._equation`."""
    tau2 = np.zeros(target.size)
    active = np.arange(target.size)
    for _ in range(500):
        m = moments_of_subsets(data, masks, tau2[active], active)
        excess = m.rss / target[active] - 1.0
        with np.errstate(invalid="ignore", divide="ignore"):
            move = np.where(excess > 0, excess * m.rss / m.ypp, 0.0)
        tau2[active] += move
        active = active[(excess > 0) & (move > 4e-16 * tau2[active])]
        if active.size == 0:
            return tau2
    raise ConvergenceError(f"the equation y'Py was not solved for {active.size} subsets after 500 steps")


def _score(m: Moments[Array], restricted: bool) -> Array:
    return m.ypp - (m.trace if restricted else m.sum_w)


def _place(tau2: Array, m: Moments[Array], restricted: bool, k: int) -> Place[Array]:
    """Value and slope of ``tr P / y'PPy - 1`` (or ``tr W`` in its place): nearly straight, zero where the score is."""
    b, b2 = (m.trace, m.trace2) if restricted else (m.sum_w, m.sum_w2)
    # by Cauchy and Schwarz; rounding can leave less where variances lie far apart, and a step would seem small
    b2 = np.maximum(b2, b * b / k)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return Place(tau2, b / m.ypp - 1.0, (2.0 * b * m.yppp - b2 * m.ypp) / m.ypp / m.ypp)


def _maximise(data: Observed, masks: Array, df: Array, restricted: bool) -> Found:
    count = masks.shape[0]
    low, high = float(data.v.min()), float(data.v.max())
    plain = Observed(data.y, np.ones(data.k), data.basis)
    ratio = float((moments_of_subsets(plain, masks, np.zeros(count)).rss / df).max())
    # beyond this tau2 every score is negative, see comfrey.models._maximum
    bound = (0.5 * (ratio + np.sqrt(ratio * ratio + 4.0 * ratio * (high - low))) - low) * (1.0 + 1e-9)
    tau2, proved = np.zeros(count), np.ones(count, dtype=bool)
    if bound <= 0.0:
        return Found(tau2, proved)
    points = int(min(_POINTS, max(4, np.ceil(np.log1p(bound / low) / np.log(_RATIO)))))
    grid = low * np.expm1(np.linspace(0.0, np.log1p(bound / low), points + 1))
    found = scan_of_subsets(data, masks, grid)
    score = _score(found, restricted)
    rows, left = np.nonzero((score[:, :-1] > 0) & (score[:, 1:] <= 0))
    ends = (
        _place(grid[place], Moments(*(item[rows, place] for item in found)), restricted, data.k)
        for place in (left, left + 1)
    )
    roots = _climb(data, masks, restricted, rows, *ends)
    new_rows, new_roots, proved = _settle(data, masks, restricted, grid, found, max(0.0, high - 2.0 * low), rows, roots)
    rows, roots = np.concatenate((rows, new_rows)), np.concatenate((roots, new_roots))
    tau2[rows] = roots
    maxima = np.bincount(rows, minlength=count) + (score[:, 0] <= 0)
    for row in np.flatnonzero(maxima > 1):
        candidates = list(roots[rows == row]) + ([0.0] if score[row, 0] <= 0 else [])
        tau2[row] = max(candidates, key=lambda t: _likelihood(data, masks[row], t, restricted))
    return Found(tau2, proved)


def _likelihood(data: Observed, mask: Array, tau2: float, restricted: bool) -> float:
    """Log-likelihood of one subset, but for terms that do not depend on tau2."""
    keep = mask > 0
    part = Observed(data.y[keep], data.v[keep], None if data.basis is None else data.basis[keep])
    return log_likelihood(part, tau2, restricted)


def _climb(
    data: Observed, masks: Array, restricted: bool, rows: Rows, left: Place[Array], right: Place[Array]
) -> Array:
    """Roots of the scores between two places, by inverse cubic interpolation (:mod:`comfrey.models._root`)."""
    low, high = left.x.copy(), right.x.copy()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tau2 = crossing(left, right)
    tau2 = np.where((low < tau2) & (tau2 < high), tau2, 0.5 * (low + high))
    nearer = np.abs(left.value) < np.abs(right.value)
    last = Place(*(np.where(nearer, x, z) for x, z in zip(left, right, strict=True)))
    active = np.arange(rows.size)
    for _ in range(_STEPS):
        if active.size == 0:
            return tau2
        now = tau2[active]
        m = moments_of_subsets(data, masks, now, rows[active])
        score, here = _score(m, restricted), _place(now, m, restricted, data.k)
        low[active] = np.where(score > 0, now, low[active])
        high[active] = np.where(score > 0, high[active], now)
        new, share = next_place(here, last)
        # the next step is of the order of this one squared, times the last value squared: below rounding
        b, b2 = (m.trace, m.trace2) if restricted else (m.sum_w, m.sum_w2)
        with np.errstate(invalid="ignore", over="ignore"):
            near = (new - now) ** 2 * np.maximum(b2, b * b / data.k) * share <= 1e-17 * now * b
        inside = (low[active] < new) & (new < high[active])
        done = near | (high[active] - low[active] <= 1e-14 * high[active]) | (score == 0)
        new = np.where(near, np.clip(new, low[active], high[active]), new)
        new = np.where(inside | near, new, np.where(done, now, 0.5 * (low[active] + high[active])))
        tau2[active] = new
        active, last = active[~done], Place(*(item[~done] for item in here))
    wide = active[(high - low)[active] > 1e-9 * high[active]]
    if wide.size:
        raise ConvergenceError(f"the search for tau2 did not end for {wide.size} subsets")
    return tau2


def _settle(
    data: Observed,
    masks: Array,
    restricted: bool,
    grid: Array,
    found: Moments[Array],
    single_above: float,
    known_rows: Rows,
    known: Array,
) -> tuple[Rows, Array, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Split stretches that could hide a maximum until none is left; give maxima that turn up, and what is proved."""
    count = found.rss.shape[0]
    roots = np.full(count, np.nan)
    roots[known_rows] = known
    before, after = Moments(*(item[:, :-1] for item in found)), Moments(*(item[:, 1:] for item in found))
    rows, left = np.nonzero(_is_open(before, after, restricted) & (grid[:-1] < single_above))
    part = _Intervals(
        rows,
        grid[left],
        grid[left + 1],
        Moments(*(item[rows, left] for item in found)),
        Moments(*(item[rows, left + 1] for item in found)),
    )
    extra_rows: list[Rows] = []
    extra: list[Array] = []
    for _ in range(_ROUNDS):
        if part.rows.size == 0:
            return _joined(extra_rows, np.intp), _joined(extra, float), np.ones(count, dtype=bool)
        inner = _cut(part.start, part.end, roots[part.rows])
        middle = moments_of_subsets(data, masks, inner.ravel(), np.repeat(part.rows, 3))
        columns = [
            np.column_stack((a, m.reshape(-1, 3), b)) for a, m, b in zip(part.before, middle, part.after, strict=True)
        ]
        ends = np.column_stack((part.start, inner, part.end))
        score = _score(Moments(*columns), restricted)
        rising = (score[:, :-1] > 0) & (score[:, 1:] <= 0)
        outer = (score[:, 0] > 0) & (score[:, -1] <= 0)  # that root is known already
        i, j = np.nonzero(rising & (rising.sum(axis=1) > outer)[:, None])
        if i.size:
            bracket = (
                _place(ends[i, at], Moments(*(item[i, at] for item in columns)), restricted, data.k)
                for at in (j, j + 1)
            )
            root = _climb(data, masks, restricted, part.rows[i], *bracket)
            extra_rows.append(part.rows[i])
            extra.append(root)
        rows = np.repeat(part.rows, 4)
        part = _Intervals(
            rows,
            ends[:, :-1].ravel(),
            ends[:, 1:].ravel(),
            Moments(*(item[:, :-1].ravel() for item in columns)),
            Moments(*(item[:, 1:].ravel() for item in columns)),
        )
        part = _open(part, restricted, single_above)
    proved = np.ones(count, dtype=bool)
    proved[part.rows] = False
    return _joined(extra_rows, np.intp), _joined(extra, float), proved


def _joined(parts: list[Any], kind: Any) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)


def _open(part: _Intervals, restricted: bool, single_above: float) -> _Intervals:
    """Only the stretches that may hold a maximum not yet known."""
    before, after = part.before, part.after
    keep = _is_open(before, after, restricted) & (part.start < single_above)
    return _Intervals(
        part.rows[keep],
        part.start[keep],
        part.end[keep],
        Moments(*(item[keep] for item in before)),
        Moments(*(item[keep] for item in after)),
    )


def _is_open(before: Moments[Array], after: Moments[Array], restricted: bool) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether none of the rules of :mod:`comfrey.models._maximum` settles a stretch with these moments at its ends."""
    b0, b1 = (before.trace, after.trace) if restricted else (before.sum_w, after.sum_w)
    c0, c1 = (before.trace2, after.trace2) if restricted else (before.sum_w2, after.sum_w2)
    settled = (before.ypp < b1) | (after.ypp > b0) | (c0 < 2.0 * after.yppp) | (c1 > 2.0 * before.yppp)
    settled |= 2.0 * after.yppp * b0 > c0 * after.ypp
    return ~settled


def _cut(start: Array, end: Array, root: Array) -> Array:
    """Three inner points of each stretch: evenly, or close about the root that lies in it."""
    inner = start[:, None] + (end - start)[:, None] * np.array([0.25, 0.5, 0.75])
    here = (start < root) & (root < end)
    left, right = (root - start)[here], (end - root)[here]
    inner[here] = np.column_stack((root[here] - 0.3 * left, root[here], root[here] + 0.3 * right))
    return np.asarray(inner, dtype=float)
