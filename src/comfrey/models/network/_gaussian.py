"""Normal models whose observations are independent given tau2: one face for networks, components and pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from comfrey.models.network._positive import invert_positive
from comfrey.models.network._solve import solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._structure import Structure

__all__ = ["Evaluation", "GaussianModel", "LinearModel", "NetworkModel"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model solved at one tau2.

    Attributes
    ----------
    tau2 : float
        Between-study variance.
    theta, covariance : (p,) and (p, p) arrays
        Weighted least squares; held parameters are zero in both.
    log_det : float
        Log determinant of the information matrix X' W X.
    q : float
        Weighted residual sum of squares.
    weights, residuals : (m,) arrays
        Of the independent contrasts.
    """

    tau2: float
    theta: NDArray[np.float64]
    covariance: NDArray[np.float64]
    log_det: float
    q: float
    weights: NDArray[np.float64]
    residuals: NDArray[np.float64]

    def log_likelihood(self, free: int, *, restricted: bool) -> float:
        """Log likelihood; the restricted one leaves out log |X'X| / 2, which does not depend on tau2."""
        m = self.weights.size
        constant = (m - free if restricted else m) * math.log(2 * math.pi)
        value = 0.5 * (float(np.log(self.weights).sum()) - self.q - constant)
        return value - 0.5 * self.log_det if restricted else value


class GaussianModel(Protocol):
    """What the estimation of tau2, and the Bayesian analysis, need to know of a model."""

    @property
    def variances(self) -> NDArray[np.float64]:
        """(m,) sampling variances of the independent contrasts."""

    @property
    def free(self) -> int:
        """Number of estimated effects."""

    @property
    def df(self) -> int:
        """Contrasts minus effects."""

    def evaluate(self, tau2: float) -> Evaluation:
        """Solve at `tau2`."""

    def leverages(self, at: Evaluation) -> NDArray[np.float64]:
        """(m,) diagonal of the hat matrix."""

    def cross(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(p, p) matrix X' diag(weights) X."""


@dataclass(frozen=True, slots=True)
class NetworkModel:
    """A network with one tau2."""

    structure: Structure

    @property
    def variances(self) -> NDArray[np.float64]:
        """(m,) sampling variances."""
        return np.concatenate([group.variance.ravel() for group in self.structure.groups])

    @property
    def free(self) -> int:
        """Treatments minus connected parts."""
        return self.structure.n - self.structure.n_islands

    @property
    def df(self) -> int:
        """Degrees of freedom of Q."""
        return self.structure.df

    def evaluate(self, tau2: float) -> Evaluation:
        """Solve at `tau2`."""
        s = solve(self.structure, tau2)
        weights = np.concatenate([w.ravel() for w in s.weights])
        residuals = np.concatenate([r.ravel() for r in s.residuals])
        return Evaluation(tau2, s.theta, s.inverse, s.log_det, s.q, weights, residuals)

    def leverages(self, at: Evaluation) -> NDArray[np.float64]:
        """(m,) diagonal of the hat matrix."""
        result = []
        for group in self.structure.groups:
            block = at.covariance[group.arms[:, :, None], group.arms[:, None, :]]
            result.append(np.einsum("kra,kab,krb->kr", group.design, block, group.design).ravel())
        return np.asarray(at.weights * np.concatenate(result))

    def cross(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, n) matrix X' diag(weights) X."""
        n, start = self.structure.n, 0
        places, values = [], []
        for group in self.structure.groups:
            w = weights[start : start + group.variance.size].reshape(group.variance.shape)
            start += group.variance.size
            places.append((group.arms[:, :, None] * n + group.arms[:, None, :]).ravel())
            values.append((np.swapaxes(w[:, :, None] * group.design, 1, 2) @ group.design).ravel())
        flat: NDArray[np.float64] = np.bincount(np.concatenate(places), np.concatenate(values), n * n).astype(float)
        return flat.reshape(n, n)


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Independent observations y with design X of full column rank and variances v + tau2."""

    y: NDArray[np.float64]
    v: NDArray[np.float64]
    X: NDArray[np.float64]

    @property
    def variances(self) -> NDArray[np.float64]:
        """(m,) sampling variances."""
        return self.v

    @property
    def free(self) -> int:
        """Number of columns of X."""
        return int(self.X.shape[1])

    @property
    def df(self) -> int:
        """Rows minus columns of X."""
        return int(self.X.shape[0] - self.X.shape[1])

    def evaluate(self, tau2: float) -> Evaluation:
        """Solve at `tau2`."""
        w = 1.0 / (self.v + tau2)
        matrix = self.cross(w)
        inverse, log_det = invert_positive(matrix)
        load = self.X.T @ (w * self.y)
        theta = inverse @ load
        theta += inverse @ (load - matrix @ theta)
        residuals = self.y - self.X @ theta
        return Evaluation(tau2, theta, inverse, log_det, float((w * residuals**2).sum()), w, residuals)

    def leverages(self, at: Evaluation) -> NDArray[np.float64]:
        """(m,) diagonal of the hat matrix."""
        return np.asarray(at.weights * ((self.X @ at.covariance) * self.X).sum(axis=1))

    def cross(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(p, p) matrix X' diag(weights) X."""
        return np.asarray((self.X * weights[:, None]).T @ self.X)
