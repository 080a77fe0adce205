"""Hierarchical class effects: treatments of a class are alike, and borrow from one another.

The effect of treatment t of class c against the reference is normal with mean m_c and standard deviation sigma, with
a flat prior for the class means. Given tau and sigma everything is normal, so the posterior is an integral over two
dimensions; both are cut into panels where the nested Gauss-Kronrod rules differ most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from comfrey.errors import ConvergenceError, InputError
from comfrey.models.network._gaussian import NetworkModel
from comfrey.models.network._positive import invert_positive
from comfrey.models.network._priors import HalfNormal, Prior
from comfrey.models.network._quadrature import (
    GAUSS,
    KRONROD,
    NODES,
    Posterior,
    mixture_quantile,
    panel_quantile,
    starting_scale,
)
from comfrey.models.network._solve import group_weights, laplacian, solve
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from comfrey.models.network._network import Network
    from comfrey.models.network._structure import Structure

__all__ = ["BayesianClasses", "class_network"]

_TOLERANCE = 1e-7
_MAX_NODES = 600


@dataclass(slots=True)
class _Axis:
    """One dimension: panels of the unit interval, with value = scale * u / (1 - u)."""

    scale: float
    edges: list[float]

    def nodes(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Values, log Jacobians, and Kronrod and Gauss weights of all panels."""
        a, b = np.array(self.edges[:-1]), np.array(self.edges[1:])
        half = 0.5 * (b - a)
        u = (0.5 * (a + b)[:, None] + half[:, None] * NODES).ravel()
        jacobian = math.log(self.scale) - 2 * np.log1p(-u)
        return self.scale * u / (1 - u), jacobian, np.outer(half, KRONROD).ravel(), np.outer(half, GAUSS).ravel()

    def split(self, error: NDArray[np.float64]) -> None:
        """Halve every panel that has a good part of the error."""
        by_panel = error.reshape(-1, NODES.size).sum(axis=1)
        new = [self.edges[0]]
        for a, b, e in zip(self.edges[:-1], self.edges[1:], by_panel, strict=True):
            new += [0.5 * (a + b), b] if e > 0.1 * by_panel.max() else [b]
        self.edges = new


@dataclass(frozen=True, slots=True)
class _Slice:
    """All that one value of tau has to say, for every sigma at once.

    Class means and deviations from them are orthogonal coordinates of the effects. With the means integrated out, the
    deviations have precision S = Q diag(lambda) Q' from the data and 1 / sigma**2 from the classes, so that in the
    basis Q everything is a sum over eigenvalues, without loss for sigma small or large.
    """

    level: float
    values: NDArray[np.float64]
    scores: NDArray[np.float64]
    centre: NDArray[np.float64]
    lift: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def heights(self, sigma: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log of the restricted likelihood at each sigma."""
        grown = 1.0 + np.outer(sigma**2, self.values)
        return np.asarray(self.level - 0.5 * (self.scores**2 * self.values / grown + np.log(grown)).sum(axis=1))

    def means(self, sigma: NDArray[np.float64]) -> NDArray[np.float64]:
        """(h, n) effects given tau and each sigma."""
        grown = 1.0 + np.outer(sigma**2, self.values)
        return np.asarray(self.centre + (sigma[:, None] ** 2 * self.values * self.scores / grown) @ self.lift.T)

    def covariances(self, sigma: NDArray[np.float64]) -> NDArray[np.float64]:
        """(h, n, n) covariance of the effects given tau and each sigma."""
        share = sigma[:, None] ** 2 / (1.0 + np.outer(sigma**2, self.values))
        return np.asarray(self.covariance + np.einsum("nr,hr,mr->hnm", self.lift, share, self.lift))


def _slice(structure: Structure, base: int, penalty: NDArray[np.float64], rank: int, tau: float) -> _Slice:
    """Solve the network at one tau, in the coordinates of class means and deviations."""
    n = structure.n
    free = np.delete(np.arange(n), base)
    vectors = np.linalg.eigh(penalty)[1]  # eigenvalues are 0 (means) and 1 (deviations), in this order
    mean_axes, own_axes = np.zeros((n, free.size - rank)), np.zeros((n, rank))
    mean_axes[free], own_axes[free] = vectors[:, : free.size - rank], vectors[:, free.size - rank :]
    weights = group_weights(structure, tau * tau)
    plain_fit = solve(structure, tau * tau)
    matrix, load = laplacian(structure, weights)
    inverse, log_det = invert_positive(mean_axes.T @ matrix @ mean_axes)
    lean = inverse @ (mean_axes.T @ matrix @ own_axes)
    precision = own_axes.T @ matrix @ own_axes - (own_axes.T @ matrix @ mean_axes) @ lean
    values, turn = np.linalg.eigh(0.5 * (precision + precision.T))
    effect = plain_fit.theta - plain_fit.theta[base]
    log_weights = sum(float(np.log(w).sum()) for w in weights)
    return _Slice(
        level=0.5 * (log_weights - plain_fit.q - log_det),
        values=np.maximum(values, 0.0),
        scores=turn.T @ (own_axes.T @ effect),
        centre=mean_axes @ (inverse @ (mean_axes.T @ load)),
        lift=(own_axes - mean_axes @ lean) @ turn,
        covariance=mean_axes @ inverse @ mean_axes.T,
    )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BayesianClasses(Result):
    """Posterior of a network whose treatments belong to classes.

    Attributes
    ----------
    treatments : tuple of str
        Labels.
    reference : str
        The treatment with which classes are compared; it belongs to none.
    classes : dict
        Class of each treatment; those left out stand alone.
    prior_tau, prior_sigma : str
        Priors of the heterogeneity, and of the spread of treatments within classes.
    level : float
        Of the equal-tailed credible intervals.
    tau_median, tau_low, tau_high, sigma_median, sigma_low, sigma_high : float
        Posteriors of both.
    error : float
        Bound of the relative error of the integrals.
    evaluations : int
        How many pairs of tau and sigma were solved in the last round.
    notes : tuple of str
        What to know.
    """

    treatments: tuple[str, ...]
    reference: str
    classes: dict[str, str]
    prior_tau: str
    prior_sigma: str
    level: float
    small_values: str | None
    tau_median: float
    tau_low: float
    tau_high: float
    sigma_median: float
    sigma_low: float
    sigma_high: float
    error: float
    evaluations: int
    notes: tuple[str, ...]
    _posterior: Posterior
    _sigma: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def _describe(self, rows: NDArray[np.float64], extra: NDArray[np.float64] | float = 0.0) -> pd.DataFrame:
        p = self._posterior
        mean, variance = p.linear(rows)
        sd = np.sqrt(variance + extra)
        average = mean @ p.weight
        tail = 0.5 * (1 - self.level)
        low, middle, high = (mixture_quantile(q, mean, sd, p.weight) for q in (tail, 0.5, 1 - tail))
        spread = np.sqrt(np.maximum((sd**2 + mean**2) @ p.weight - average**2, 0.0))
        return pd.DataFrame({"mean": average, "sd": spread, "median": middle, "ci_low": low, "ci_high": high})

    @property
    def class_effects(self) -> pd.DataFrame:
        """Mean effect of each class with two treatments or more, against the reference."""
        names = [c for c in dict.fromkeys(self.classes.values()) if list(self.classes.values()).count(c) > 1]
        rows, extra = [], []
        for name in names:
            own = np.array([float(self.classes.get(t) == name) for t in self.treatments])
            rows.append(own / own.sum())
            extra.append(self._sigma**2 / own.sum())
        table = self._describe(np.array(rows), np.array(extra))
        table.index = pd.Index(names, name="class")
        return table

    @property
    def p_scores(self) -> pd.Series:
        """Posterior SUCRA of the treatments, exact."""
        if self.small_values is None:
            raise InputError("small_values", found="nothing", expected="'desirable' or 'undesirable'")
        sign = -1.0 if self.small_values == "desirable" else 1.0
        n = len(self.treatments)
        i, j = np.nonzero(~np.eye(n, dtype=bool))
        rows = np.zeros((i.size, n))
        rows[np.arange(i.size), i], rows[np.arange(i.size), j] = 1.0, -1.0
        mean, variance = self._posterior.linear(rows)
        chance = ndtr(sign * mean / np.sqrt(variance)) @ self._posterior.weight
        return pd.Series(
            chance.reshape(n, n - 1).mean(axis=1), index=pd.Index(self.treatments, name="treatment"), name="p_score"
        )

    @property
    def summary(self) -> pd.DataFrame:
        """One row a treatment, against the reference, with its class."""
        keep = [i for i, t in enumerate(self.treatments) if t != self.reference]
        table = self._describe(np.eye(len(self.treatments))[keep])
        table.index = pd.Index([self.treatments[i] for i in keep], name="treatment")
        table.insert(0, "class", [self.classes.get(t, "") for t in table.index])
        return table

    @property
    def headline(self) -> tuple[str, ...]:
        """Model, priors, tau and sigma, error."""
        return (
            f"Bayesian network meta-analysis with class effects: {len(self.treatments)} treatments, "
            f"against {self.reference}",
            f"Prior for tau: {self.prior_tau}; for sigma within classes: {self.prior_sigma}; class means: flat",
            f"tau: median {self.tau_median:.4f} [{self.tau_low:.4f}; {self.tau_high:.4f}]; "
            f"sigma: median {self.sigma_median:.4f} [{self.sigma_low:.4f}; {self.sigma_high:.4f}]",
            f"Quadrature with {self.evaluations} evaluations, relative error below {max(self.error, 1e-15):.1e}",
            *self.notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Every public field, the treatments and the classes, as plain JSON values."""
        result = Result.to_dict(self)
        result["effects"] = plain(self.summary.reset_index())
        result["class_effects"] = plain(self.class_effects.reset_index())
        return result


def _penalty(net: Network, classes: Mapping[str, str]) -> tuple[int, NDArray[np.float64], int]:
    """Index of the reference, the matrix of spread within classes (without the reference), and its rank."""
    unknown = [t for t in classes if t not in net.treatments]
    if unknown:
        raise InputError("classes", found=repr(unknown[0]), expected=f"treatments among {', '.join(net.treatments)}")
    if net.reference in classes:
        raise InputError(
            "classes", found=f"the reference {net.reference}", expected="treatments besides the reference",
            fix="Leave it out, or fit the network with another reference",
        )  # fmt: skip
    base = net.treatments.index(net.reference)
    free = [t for t in net.treatments if t != net.reference]
    names = [classes.get(t, f"\0{t}") for t in free]  # those without a class stand alone
    member = np.array([[float(a == b) for b in names] for a in names])
    rank = len(free) - len(set(names))
    if not rank:
        raise InputError("classes", found="no class with two treatments", expected="at least one")
    return base, np.eye(len(free)) - member / member.sum(axis=1, keepdims=True), rank


def _end(prior: Prior, scale: float) -> float:
    return prior.upper / (scale + prior.upper) if math.isfinite(prior.upper) else 1.0


def class_network(
    net: Network, classes: Mapping[str, str], prior: Prior | None, prior_sigma: Prior | None, *, level: float
) -> BayesianClasses:
    r"""Posterior of a network with hierarchical class effects.

    .. math:: \theta_t \sim N(m_{c(t)}, \sigma^2), \qquad m_c \propto 1

    Parameters
    ----------
    net : Network
        A connected network.
    classes : mapping of treatment to class
        Treatments left out stand alone; the reference belongs to no class.
    prior, prior_sigma : Prior, optional
        For tau and sigma; by default half-normal with scale 1.
    level : float
        Of the credible intervals.

    Returns
    -------
    BayesianClasses

    Raises
    ------
    InputError
        For classes that do not fit the network, or improper priors.
    ConvergenceError
        If the integrals do not settle.

    References
    ----------
    Dominici F, Parmigiani G, Wolpert RL, Hasselblad V. J R Stat Soc C 1999;48:323-338 (treatments within classes).
    Owen RK, Tincello DG, Abrams KR. Value Health 2015;18:116-126, doi:10.1016/j.jval.2014.10.006.
    """
    net._one_part("a Bayesian analysis")
    base, penalty, rank = _penalty(net, classes)
    for_tau = HalfNormal(1.0) if prior is None else prior
    for_sigma = HalfNormal(1.0) if prior_sigma is None else prior_sigma
    for name, chosen in (("prior", for_tau), ("prior_class", for_sigma)):
        if not isinstance(chosen, Prior) or (chosen.tail == 0 and not math.isfinite(chosen.upper)):
            raise InputError(name, found=repr(chosen), expected="a proper prior, such as HalfNormal(0.5)")
    structure = net._structure
    unit = 1.0 + np.abs(net._random.theta) + np.sqrt(np.diagonal(net._random.inverse))
    scale = starting_scale(NetworkModel(structure))
    spread = solve(structure, scale * scale).theta
    marks = np.array([0.0, 0.2, 0.5, 0.8, 1.0])
    wide = max(float(np.std(spread)), 1e-3 * scale)
    axes = (_Axis(scale, list(_end(for_tau, scale) * marks)), _Axis(wide, list(_end(for_sigma, wide) * marks)))
    while True:
        tau, tau_jacobian, tau_fine, tau_coarse = axes[0].nodes()
        sigma, sigma_jacobian, sigma_fine, sigma_coarse = axes[1].nodes()
        slices = [_slice(structure, base, penalty, rank, float(x)) for x in tau]
        height = np.array([s.heights(sigma) for s in slices]) + (for_tau.log_density(tau) + tau_jacobian)[:, None]
        height = height + (for_sigma.log_density(sigma) + sigma_jacobian)[None]
        density = np.exp(height - height.max())
        fine = tau_fine @ density @ sigma_fine
        theta = np.array([s.means(sigma) for s in slices])
        along_tau, along_sigma = _errors(
            density / fine, theta / unit, (tau_fine, tau_coarse), (sigma_fine, sigma_coarse)
        )
        error = float(along_tau.sum() + along_sigma.sum())
        if error < _TOLERANCE:
            break
        if max(tau.size, sigma.size) > _MAX_NODES:
            raise ConvergenceError(
                f"the posterior of tau and sigma was integrated to a relative error of {error:.1e} only"
            )
        worse = (along_tau, along_sigma)
        for axis, part in zip(axes, worse, strict=True):
            if part.sum() > 0.1 * error:
                axis.split(np.repeat(part / NODES.size, NODES.size))
    density = density / fine
    weight = (tau_fine[:, None] * sigma_fine[None] * density).ravel()
    coarse = (tau_coarse[:, None] * sigma_coarse[None] * density).ravel()
    keep = weight > 1e-10 * weight.max()
    n = structure.n
    covariances = [s.covariances(sigma[k]) for s, k in zip(slices, keep.reshape(density.shape), strict=True)]
    both = Posterior(
        tau=np.repeat(tau, sigma.size)[keep], weight=weight[keep] / weight[keep].sum(),
        coarse=coarse[keep] / coarse[keep].sum(), theta=theta.reshape(-1, n)[keep],
        covariance=np.concatenate(covariances),
        error=error,
        log_evidence=float(height.max() + math.log(fine)), evaluations=density.size, order=2, panels=(), scale=scale,
    )  # fmt: skip
    tail = 0.5 * (1 - level)
    margins = (density @ sigma_fine, tau_fine @ density)
    quantiles = [
        [panel_quantile(_panels(axis, margin), axis.scale, q) for q in (0.5, tail, 1 - tail)]
        for axis, margin in zip(axes, margins, strict=True)
    ]
    return BayesianClasses(
        treatments=net.treatments, reference=net.reference, classes=dict(classes), prior_tau=repr(for_tau),
        prior_sigma=repr(for_sigma), level=float(level), small_values=net.small_values,
        tau_median=quantiles[0][0], tau_low=quantiles[0][1], tau_high=quantiles[0][2],
        sigma_median=quantiles[1][0], sigma_low=quantiles[1][1], sigma_high=quantiles[1][2], error=error,
        evaluations=density.size, notes=(), _posterior=both, _sigma=np.tile(sigma, tau.size)[keep],
    )  # fmt: skip


Rules = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


def _errors(
    density: NDArray[np.float64], theta: NDArray[np.float64], tau: Rules, sigma: Rules
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Difference of the finer and the coarser rule by panel of each axis: the worst of mass and mean effects."""
    weighted = density[:, :, None] * np.concatenate([np.ones_like(theta[:, :, :1]), theta], axis=2)
    along_tau = np.einsum("gh...,h->g...", weighted, sigma[0]) * (tau[0] - tau[1])[:, None]
    along_sigma = np.einsum("gh...,g->h...", weighted, tau[0]) * (sigma[0] - sigma[1])[:, None]
    first, second = (
        np.abs(x.reshape(-1, NODES.size, x.shape[1]).sum(axis=1)).max(axis=1) for x in (along_tau, along_sigma)
    )
    return first, second


def _panels(axis: _Axis, margin: NDArray[np.float64]) -> tuple[tuple[float, float, NDArray[np.float64]], ...]:
    parts = margin.reshape(-1, NODES.size)
    return tuple((a, b, f) for a, b, f in zip(axis.edges[:-1], axis.edges[1:], parts, strict=True))
