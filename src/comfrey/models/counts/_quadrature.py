"""Marginal likelihood of each study by adaptive Gauss-Hermite quadrature, with its exact-form derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import roots_hermitenorm

if TYPE_CHECKING:
    from comfrey.models.counts._kernels import Array, Kernel

__all__ = ["Evaluation", "Problem", "evaluate"]

_CLAMP = 3.0  # longest step of the mode search, in units of the predictor: within it g'' changes by e^3 at most
_MODE_STEPS = 200
_REACH = 9.0  # sinh(9) = 4000 standard deviations to each side


@dataclass(frozen=True, slots=True)
class Problem:
    """One-stage model in linear form: predictor of arm a in study i = offset + D b + L (sd z) + e alpha_i.

    Attributes
    ----------
    kernel : Kernel
        Likelihood of the counts given the predictor.
    offset : ndarray (arms, studies)
        Known part of the predictor.
    design : ndarray (arms, studies, p)
        Columns of the p shared coefficients; the effect is the first.
    loadings : ndarray (arms, r)
        How the r independent standard normal effects z of a study, times their sd, enter each arm.
    nuisance : ndarray (arms,) or None
        How the own parameter of each study enters each arm; None where there is none.
    """

    kernel: Kernel
    offset: Array
    design: Array
    loadings: Array
    nuisance: Array | None = None

    @property
    def studies(self) -> int:
        """Number of studies."""
        return int(self.design.shape[1])

    @property
    def shared(self) -> int:
        """Number p of shared coefficients."""
        return int(self.design.shape[2])

    @property
    def effects(self) -> int:
        """Number r of random effects in each study."""
        return int(self.loadings.shape[1])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Log-likelihood with its derivatives for a batch of G parameter vectors.

    `log_likelihood` (G,); `score` (G, s) and `hessian` (G, s, s) in the s = p + r shared parameters (coefficients,
    then standard deviations); `nuisance_score`, `nuisance_hessian` (G, k) and `nuisance_cross` (G, k, s) in the
    studies' own parameters; `modes` (G, k, r).
    """

    log_likelihood: Array
    score: Array
    hessian: Array
    modes: Array
    nuisance_score: Array
    nuisance_hessian: Array
    nuisance_cross: Array

    def profiled(self) -> tuple[Array, Array]:
        """Score and Hessian in the shared parameters with the studies' own parameters profiled out, in O(k)."""
        if self.nuisance_score.shape[1] == 0:
            return self.score, self.hessian
        ratio = self.nuisance_cross / self.nuisance_hessian[..., None]
        score = self.score - np.einsum("gks,gk->gs", ratio, self.nuisance_score)
        return score, self.hessian - np.einsum("gks,gkt->gst", ratio, self.nuisance_cross)


@lru_cache(maxsize=64)
def nodes(points: int, dimensions: int) -> tuple[Array, Array]:
    """Tensor grid of nodes (N, dimensions), and log weight against the flat measure (N,).

    Up to 100 points the rule is Gauss-Hermite. Above, it is the trapezium rule in t with x = sinh(t): a narrow and
    skewed core and long tails are both within its reach, as needed where studies differ enormously.
    """
    if dimensions == 0:
        return np.zeros((1, 0)), np.zeros(1)
    if points <= 100:
        x, w = roots_hermitenorm(points)
        log_w = np.log(w) - 0.5 * np.log(2 * np.pi) + 0.5 * x**2
    else:
        t = np.linspace(-_REACH, _REACH, points)
        x = np.sinh(t)
        log_w = np.log((t[1] - t[0]) * np.cosh(t)) - 0.5 * np.log(2 * np.pi)
    if dimensions == 1:
        return x[:, None], log_w
    first, second = (part.ravel() for part in np.meshgrid(x, x, indexing="ij"))
    return np.column_stack((first, second)), (log_w[:, None] + log_w[None, :]).ravel()


def _negative_inverse(hessian: Array) -> Array:
    """Inverse of minus a batch of 1 x 1 or 2 x 2 negative definite matrices."""
    if hessian.shape[-1] == 1:
        return -1.0 / hessian
    a, b, d = -hessian[..., 0, 0], -hessian[..., 0, 1], -hessian[..., 1, 1]
    inverse = np.empty_like(hessian)
    determinant = a * d - b * b
    inverse[..., 0, 0], inverse[..., 1, 1] = d / determinant, a / determinant
    inverse[..., 0, 1] = inverse[..., 1, 0] = -b / determinant
    return inverse


def _root(matrix: Array) -> Array:
    """Lower triangular root of a batch of 1 x 1 or 2 x 2 positive definite matrices."""
    return np.sqrt(matrix) if matrix.shape[-1] == 1 else np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)


def _modes(problem: Problem, base: Array, scaled: Array, start: Array) -> tuple[Array, Array]:
    """Modes of the studies' random effects, and minus the inverse Hessian there.

    Damped Newton steps on a concave function: a step that lowers it is halved, so that the search always arrives.
    `base` (arms, G, k), `scaled` = loadings times sd (arms, G, r), `start` (G, k, r).
    """
    effects = scaled.shape[2]
    outer = scaled[..., :, None] * scaled[..., None, :]

    def derivatives(z: Array) -> tuple[Array, Array, Array]:
        eta = base + np.einsum("agr,gkr->agk", scaled, z)
        value, first, second = (part[..., 0] for part in problem.kernel(eta[..., None]))
        gradient = np.einsum("agk,agr->gkr", first, scaled) - z
        hessian = np.einsum("agk,agrs->gkrs", second, outer) - np.eye(effects)
        return value.sum(axis=0) - 0.5 * (z**2).sum(axis=-1), gradient, _negative_inverse(hessian)

    reach = np.abs(scaled).sum(axis=(0, 2))[:, None]
    z = start
    value, gradient, inverse = derivatives(z)
    for _ in range(_MODE_STEPS):
        step = np.einsum("gkrs,gks->gkr", inverse, gradient)
        if np.einsum("gkr,gkr->gk", step, gradient).max() < 1e-12:
            break
        longest = np.abs(step).max(axis=-1) * reach
        step *= np.minimum(1.0, _CLAMP / np.maximum(longest, _CLAMP))[..., None]
        new_value, new_gradient, new_inverse = derivatives(z + step)
        worse = ~(new_value >= value - 1e-9 * (1.0 + np.abs(value)))
        while worse.any():
            step[worse] *= 0.5
            new_value, new_gradient, new_inverse = derivatives(z + step)
            worse &= ~(new_value >= value - 1e-9 * (1.0 + np.abs(value))) & (np.abs(step).max(axis=-1) > 1e-12)
        z, value, gradient, inverse = z + step, new_value, new_gradient, new_inverse
    return z, inverse


def evaluate(problem: Problem, beta: Array, sd: Array, alpha: Array, points: int, start: Array | None) -> Evaluation:
    r"""Log-likelihood of a batch of parameter vectors, with score and Hessian.

    The marginal likelihood of a study, :math:`\int \exp\{g(\eta(z))\}\varphi(z)\,dz`, is computed with Gauss-Hermite
    nodes placed at the mode of the integrand and scaled by its curvature [1]_. Score and Hessian are the identities
    of Fisher and Louis [2]_: moments of the complete-data derivatives over the same nodes.

    `beta` (G, p), `sd` (G, r) of either sign (the likelihood is even in each), `alpha` (G, k) or (G, 0),
    `start` (G, k, r) a start for the modes.

    References
    ----------
    .. [1] Liu Q, Pierce DA. Biometrika 1994;81:624-629. doi:10.1093/biomet/81.3.624
    .. [2] Louis TA. J R Stat Soc B 1982;44:226-233. doi:10.1111/j.2517-6161.1982.tb01203.x
    """
    batch, studies, effects = beta.shape[0], problem.studies, problem.effects
    base = problem.offset[:, None, :] + np.einsum("akp,gp->agk", problem.design, beta)
    if problem.nuisance is not None:
        base = base + problem.nuisance[:, None, None] * alpha
    scaled = problem.loadings[:, None, :] * sd
    x, log_weight = nodes(points, effects)
    if effects:
        z0 = np.zeros((batch, studies, effects)) if start is None else start
        modes, covariance = _modes(problem, base, scaled, z0)
        root = _root(covariance)
        z = modes[:, :, None, :] + np.einsum("gkrs,ns->gknr", root, x)
        eta = base[..., None] + np.einsum("agr,gknr->agkn", scaled, z)
        log_volume = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    else:
        modes, z = np.zeros((batch, studies, 0)), np.zeros((batch, studies, 1, 0))
        eta, log_volume = base[..., None], np.zeros((batch, studies))
    value, first, second = problem.kernel(eta)
    log_terms = value.sum(axis=0) - 0.5 * (z**2).sum(axis=-1) + log_weight
    top = log_terms.max(axis=-1, keepdims=True)
    weight = np.exp(log_terms - top)
    total = weight.sum(axis=-1, keepdims=True)
    weight /= total
    log_likelihood = (np.log(total) + top)[..., 0] + log_volume
    return _derivatives(problem, log_likelihood.sum(axis=-1), weight, z, first, second, modes)


def _derivatives(
    problem: Problem, log_likelihood: Array, weight: Array, z: Array, first: Array, second: Array, modes: Array
) -> Evaluation:
    """Score and Hessian from the nodes: Fisher's and Louis's identities, one pair of parameters at a time."""
    arms = range(problem.design.shape[0])
    # Derivative of the predictor of each arm in each parameter: (arms) lists of arrays that broadcast to (G, k, N).
    columns: list[list[Array]] = [[problem.design[a, None, :, None, j] for a in arms] for j in range(problem.shared)]
    columns += [[problem.loadings[a, r] * z[..., r] for a in arms] for r in range(problem.effects)]
    if problem.nuisance is not None:
        columns.append([np.full((1, 1, 1), problem.nuisance[a]) for a in arms])
    complete = [sum((first[a] * column[a] for a in arms), np.zeros(1)) for column in columns]
    mean = [(weight * part).sum(axis=-1) for part in complete]
    count, shared = len(columns), problem.shared + problem.effects
    batch, studies = log_likelihood.shape[0], problem.studies
    hessian = np.empty((batch, studies, count, count))
    for i in range(count):
        weighted = weight * (complete[i] - mean[i][..., None])
        for j in range(i, count):
            curvature = sum((second[a] * columns[i][a] * columns[j][a] for a in arms), np.zeros(1))
            part = (weight * curvature).sum(axis=-1) + (weighted * complete[j]).sum(axis=-1)
            hessian[..., i, j] = hessian[..., j, i] = part
    score = np.stack(mean, axis=-1)
    own = slice(shared, None) if problem.nuisance is not None else slice(0, 0)
    own_hessian = hessian[..., own, own].reshape(batch, -1)
    return Evaluation(
        log_likelihood=log_likelihood,
        score=score[..., :shared].sum(axis=1),
        hessian=hessian[..., :shared, :shared].sum(axis=1),
        modes=modes,
        nuisance_score=score[..., own].reshape(batch, -1),
        # A study whose counts do not touch its own parameter leaves it where it is.
        nuisance_hessian=np.where(own_hessian == 0.0, -1.0, own_hessian),
        nuisance_cross=hessian[..., shared:, :shared].reshape(batch, -1, shared)
        if problem.nuisance is not None
        else np.empty((batch, 0, shared)),
    )
