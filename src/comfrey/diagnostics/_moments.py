"""Moments of many subsets of the same studies at once, each with its own tau2.

The moments are those of :mod:`comfrey.models._profile`; a subset is a row of zeros and ones that multiplies the
weights. The cost is O(n k p^2) for n subsets of k studies, without a loop over subsets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.models._profile import Moments, Observed

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["gram", "heterogeneity_of_subsets", "invert", "is_rough", "moments_of_subsets", "scan_of_subsets"]

_BLOCK = 200_000  # numbers in one block: it should stay in the cache
# Above this size of y^2/v plain sums of squares lose too many digits, and differences are taken first: twelve digits
# are kept in results, nine where only the sign of a score is wanted.
_ROUGH, _ROUGH_SCAN = 1e4, 1e7


def is_rough(data: Observed, bound: float = _ROUGH) -> bool:
    """Whether estimates lie so many standard errors apart that plain sums of squares lose digits."""
    return float(((data.y - np.median(data.y)) ** 2 / data.v).max()) > bound


def invert(matrices: Array) -> Array:
    """Inverses of matrices of shape (n, p, p); for p = 1 without the cost of a decomposition.

    Examples
    --------
    >>> invert(np.array([[[4.0]]]))
    array([[[0.25]]])
    """
    if matrices.shape[-1] == 1:
        return np.asarray(1.0 / matrices, dtype=float)
    return np.asarray(np.linalg.inv(matrices), dtype=float)


def gram(basis: Array, weights: Array) -> Array:
    """``X'WX`` for each row of weights: shape (n, p, p) from a basis (k, p) and weights (n, k)."""
    k, p = basis.shape
    products = (basis[:, :, None] * basis[:, None, :]).reshape(k, p * p)
    return np.asarray((weights @ products).reshape(-1, p, p), dtype=float)


def moments_of_subsets(data: Observed, masks: Array, tau2: Array, rows: Any = None) -> Moments[Array]:
    """Moments of each subset at its tau2.

    Parameters
    ----------
    data : Observed
        Scaled data of all studies.
    masks : array of shape (m, k)
        Ones for the studies of a subset, zeros for the others.
    tau2 : array of shape (n,)
    rows : array of int of shape (n,), optional
        Which mask belongs to each tau2; default: one each, in order.

    Examples
    --------
    >>> data = Observed(np.array([0.0, 2.0, 9.0]), np.ones(3), None)
    >>> moments_of_subsets(data, np.array([[1.0, 1.0, 0.0]]), np.array([1.0])).rss
    array([1.])
    """
    n = tau2.size
    step = max(1, _BLOCK // (data.k * (1 if data.basis is None else data.p)))
    parts = []
    for start in range(0, max(n, 1), step):
        part = slice(start, start + step)
        chosen = masks[part] if rows is None else masks[rows[part]]
        w = chosen / (data.v + tau2[part, None])
        parts.append(_constant(data.y, w) if data.basis is None else _general(data.y, data.basis, w))
    if len(parts) == 1:
        return parts[0]
    return Moments(*(np.concatenate(items) for items in zip(*parts, strict=True)))


def _constant(y: Array, w: Array) -> Moments[Array]:
    s1 = w @ np.ones(y.size)  # quicker than a sum over rows as short as these
    residual = y - (w @ y / s1)[:, None]
    w2 = w * w
    u = w * residual
    wu = w * u
    s2 = np.einsum("nk,nk->n", w, w)
    share = s2 / s1
    return Moments(
        np.einsum("nk,nk->n", u, residual),
        np.einsum("nk,nk->n", u, u),
        np.einsum("nk,nk->n", wu, u) - np.einsum("nk,nk->n", w, u) ** 2 / s1,
        s1 - share,
        s2 - 2.0 * np.einsum("nk,nk->n", w2, w) / s1 + share * share,
        s1,
        s2,
    )


def _general(y: Array, basis: Array, w: Array) -> Moments[Array]:
    w2 = w * w
    inverse = invert(gram(basis, w))
    a2, a3 = gram(basis, w2), gram(basis, w2 * w)
    beta = np.einsum("nij,nj->ni", inverse, (w * y) @ basis)
    residual = y - beta @ basis.T
    u = w * residual
    wu = w * u
    along = wu @ basis
    m2 = inverse @ a2
    s1, s2 = w.sum(axis=1), w2.sum(axis=1)
    return Moments(
        np.einsum("nk,nk->n", u, residual),
        np.einsum("nk,nk->n", u, u),
        np.einsum("nk,nk->n", wu, u) - np.einsum("ni,nij,nj->n", along, inverse, along),
        s1 - np.einsum("nii->n", m2),
        s2 - 2.0 * np.einsum("nij,nji->n", inverse, a3) + np.einsum("nij,nji->n", m2, m2),
        s1,
        s2,
    )


def heterogeneity_of_subsets(data: Observed, masks: Array) -> tuple[Array, Array]:
    """Cochran's Q and ``tr P`` at tau2 = 0 of each subset, arrays of shape (m,)."""
    if data.basis is not None or is_rough(data):
        m = moments_of_subsets(data, masks, np.zeros(masks.shape[0]))
        return m.rss, m.trace
    y, w = data.y - np.median(data.y), 1.0 / data.v
    s1, y1, yy1, s2 = (masks @ np.column_stack((w, w * y, w * y * y, w * w))).T
    return np.maximum(yy1 - y1 * y1 / s1, 0.0), s1 - s2 / s1


def scan_of_subsets(data: Observed, masks: Array, grid: Array) -> Moments[Array]:
    """Moments of every subset at every tau2 of a common grid: arrays of shape (m, g).

    For a constant alone the sums over studies are one matrix product. They are taken about the middle of the data,
    which costs digits only where the estimates lie thousands of standard errors apart; then differences come first.
    """
    m, g = masks.shape[0], grid.size
    # squared weights cost as many digits again as the variances lie apart
    apart = float(data.v.max() / data.v.min())
    if data.basis is not None or is_rough(data, _ROUGH_SCAN / apart):
        found = [moments_of_subsets(data, masks, np.full(m, tau2)) for tau2 in grid]
        return Moments(*(np.column_stack(items) for items in zip(*found, strict=True)))
    y = data.y - np.median(data.y)
    w = 1.0 / (data.v + grid[:, None])
    w2 = w * w
    w3 = w2 * w
    stack = np.concatenate([w, w2, w3, w * y, w2 * y, w3 * y, w * y * y, w2 * y * y, w3 * y * y])
    # computed with the subsets in the last place, side by side in memory, and handed out turned
    s1, s2, s3, y1, y2, y3, yy1, yy2, yy3 = (stack @ masks.T).reshape(9, g, m)
    mean = y1 / s1
    slope = y2 - mean * s2
    share = s2 / s1
    scan = Moments(
        yy1 - mean * y1,
        yy2 - 2.0 * mean * y2 + mean * mean * s2,
        yy3 - 2.0 * mean * y3 + mean * mean * s3 - slope * slope / s1,
        s1 - share,
        s2 - 2.0 * s3 / s1 + share * share,
        s1,
        s2,
    )
    return Moments(*(item.T for item in scan))
