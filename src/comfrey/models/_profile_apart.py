"""Moments of the likelihood of a regression whose variances lie far apart, without differences of huge numbers.

``P`` weighs the ``k - p`` differences between studies that no coefficient can explain. With the p most precise studies
(base) taken to predict the others by the model, ``z = y_rest - C y_base`` holds them all, its covariance is
``M = D_rest + C D_base C'``, and with ``S = I + CC'`` (the derivative of M by tau2)

    y'Py = z'M^-1 z,  y'PPy = z'M^-1 S M^-1 z,  tr P = tr M^-1 S,  tr PP = tr M^-1 S M^-1 S ...

(Harville 1974, doi:10.1093/biomet/61.2.383: the restricted likelihood is that of any full set of error contrasts). The
weights of the base, which would drown all others, enter by their inverses alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["moments_apart"]


def moments_apart(y: Array, v: Array, basis: Array, tau2: Array) -> tuple[Array, ...]:
    """Give y'Py, y'PPy, y'PPPy, tr P, tr PP, tr W and tr WW, each of shape (g,), at the values of tau2 (g,).

    The cost is O(k p^2) for each value, the memory O(k p).

    Examples
    --------
    >>> basis = np.full((3, 1), 3**-0.5)
    >>> found = moments_apart(np.array([0.0, 1.0, 3.0]), np.array([1e-12, 1.0, 1.0]), basis, np.array([0.0]))
    >>> [round(float(item[0]), 6) for item in found[:5]]
    [10.0, 26.0, 74.0, 4.0, 10.0]
    """
    p = basis.shape[1]
    order = linalg.qr((basis / np.sqrt(v)[:, None]).T, mode="r", pivoting=True)[1]
    base, rest = order[:p], order[p:]
    C = np.asarray(np.linalg.solve(basis[base].T, basis[rest].T).T, dtype=float)
    z = y[rest] - C @ y[base]
    found = [_at(z, C, v[base], v[rest], float(value)) for value in tau2]
    return tuple(np.array(item) for item in zip(*found, strict=True))


def _at(z: Array, C: Array, v_base: Array, v_rest: Array, tau2: float) -> tuple[float, ...]:
    d, w = v_base + tau2, 1.0 / (v_rest + tau2)
    g1, g2, g3 = ((C * weight[:, None]).T @ C for weight in (w, w * w, w * w * w))
    root = np.sqrt(d)
    # (D_base^-1 + C'WC)^-1, scaled so that what is inverted lies near one for the precise
    K = root[:, None] * np.linalg.inv(np.eye(d.size) + root[:, None] * g1 * root) * root
    left = K / d[:, None]  # D^-1 K
    inside = g1 @ left.T  # C'M^-1 C, as I - K C'WC = K D^-1

    def solve(a: Array) -> Array:
        return np.asarray(w * a - w * (C @ (K @ (C.T @ (w * a)))), dtype=float)

    once = solve(z)
    across = C.T @ once
    twice = once + C @ across
    square = K @ g2
    weights = np.concatenate((1.0 / d, w))
    return (
        float(z @ once),
        float(once @ once + across @ across),
        float(twice @ solve(twice)),
        float(w.sum() - (K * g2).sum() + np.trace(inside)),
        float(
            w @ w
            - 2.0 * (K * g3).sum()
            + (square * square.T).sum()
            + 2.0 * np.einsum("ij,jk,ik->", left, g2, left)
            + (inside * inside.T).sum()
        ),
        float(weights.sum()),
        float(weights @ weights),
    )
