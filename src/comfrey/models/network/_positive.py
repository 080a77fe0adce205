"""Inverting positive definite matrices, with a check that the result can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpocon, dpotrf, dpotri

from comfrey.errors import NotEstimableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["invert_positive"]

# Below this reciprocal condition number small differences between effects would lose more than ten digits.
_LIMIT = 1e-11


def invert_positive(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Invert a positive definite matrix by Cholesky, scaled to a unit diagonal first.

    Parameters
    ----------
    matrix : (n, n) array
        Symmetric.

    Returns
    -------
    inverse : (n, n) array
    log_det : float

    Raises
    ------
    NotEstimableError
        If the matrix is singular to working precision, or so nearly that differences would be noise.

    Examples
    --------
    >>> inverse, log_det = invert_positive(np.array([[2.0, 0.0], [0.0, 4.0]]))
    >>> inverse.round(4).tolist(), round(log_det, 4)
    ([[0.5, 0.0], [0.0, 0.25]], 2.0794)
    """
    scale = np.sqrt(np.diagonal(matrix))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise NotEstimableError("an effect has no weight at all: the variances are too large, or too small, to count")
    scaled = matrix / (scale[:, None] * scale)
    norm = float(np.abs(scaled).sum(axis=0).max())
    factor, fault = dpotrf(scaled, lower=1)
    condition = 0.0 if fault else float(dpocon(factor, norm, uplo="L")[0])
    if condition < _LIMIT:
        raise NotEstimableError(
            "the equations are singular to working precision: variances differ by too many orders of size"
        )
    log_det = 2.0 * float(np.log(np.diagonal(factor)).sum() + np.log(scale).sum())
    half, _ = dpotri(factor, lower=1)
    inverse = np.tril(half) + np.tril(half, -1).T
    return inverse / (scale[:, None] * scale), log_det
