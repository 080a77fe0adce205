"""The log-likelihood with the coefficients profiled out, from what every covariance engine gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from comfrey.models.multilevel._grouping import Floats

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Moments:
    """What the data B = [y, Q] (k, 1 + p) say at one covariance M.

    Q has orthonormal columns that span the design, so that the constant log|X'X| of the restricted likelihood
    (Harville 1974, doi:10.1093/biomet/61.2.383) is zero.
    """

    log_det: float  # log |M|
    gram: Floats  # B' M^-1 B, (1 + p, 1 + p)


@dataclass(frozen=True, slots=True)
class Profile:
    """The likelihood at its best coefficients, given M."""

    log_likelihood: float
    beta: Floats  # (p,)
    beta_covariance: Floats  # (Q' M^-1 Q)^-1, (p, p)
    quadratic: float  # y' P y


class Engine(Protocol):
    """A way to work with M = V + sum of w_c K_c, where the w are the cells of all terms in order."""

    def moments(self, w: Floats) -> Moments:
        """Log-determinant and Gram matrix."""
        ...

    def value_and_gradient(self, w: Floats, restricted: bool) -> tuple[float, Floats]:
        """Log-likelihood and its derivatives by the cells."""
        ...

    def weighted(self, w: Floats) -> Floats:
        """M^-1 B, (k, 1 + p), in the order of the rows."""
        ...

    def group_blocks(self, w: Floats, term: int) -> Floats:
        """Z_g' M^-1 Z_g for each group g of a term, (groups, s, s)."""
        ...


def profile(moments: Moments, k: int, restricted: bool) -> Profile:
    """Profile the coefficients out of the likelihood.

    -2 l = (k - p) log 2 pi + log|M| + log|Q'M^-1 Q| + y'Py under REML; k log 2 pi + log|M| + y'Py under ML.
    """
    gram = moments.gram
    p = gram.shape[0] - 1
    constant = k * LOG_2PI + moments.log_det
    if p == 1:  # most models: one number needs no factor
        (square, along), (_, precision) = gram.tolist()
        if not precision > 0:
            raise np.linalg.LinAlgError("the coefficient has no precision")
        quadratic = square - along * along / precision
        total = constant + quadratic + (math.log(precision) - LOG_2PI if restricted else 0.0)
        return Profile(-0.5 * total, np.array([along / precision]), np.array([[1.0 / precision]]), quadratic)
    inverse, log_det_x = np.zeros((p, p)), 0.0
    if p:
        factor = np.linalg.cholesky(gram[1:, 1:])
        root = np.linalg.inv(factor)
        inverse = root.T @ root
        log_det_x = 2 * float(np.log(np.diag(factor)).sum())
    beta = inverse @ gram[1:, 0]
    quadratic = float(gram[0, 0] - gram[0, 1:] @ beta)
    total = constant + quadratic + (log_det_x - p * LOG_2PI if restricted else 0.0)
    return Profile(-0.5 * total, beta, inverse, quadratic)
