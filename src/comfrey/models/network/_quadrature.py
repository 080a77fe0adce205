"""The posterior of a normal model by adaptive Gauss-Kronrod quadrature over tau."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from comfrey.errors import ConvergenceError, InputError
from comfrey.models.network._heterogeneity import fit_tau2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._gaussian import Evaluation, GaussianModel
    from comfrey.models.network._priors import Prior

__all__ = [
    "GAUSS",
    "KRONROD",
    "NODES",
    "Posterior",
    "mixture_cdf",
    "mixture_quantile",
    "panel_quantile",
    "posterior",
    "starting_scale",
]

# Gauss-Kronrod (7, 15): Piessens et al., QUADPACK, 1983.
_HALF_NODES = np.array([
    0.991455371120812639206854697526329, 0.949107912342758524526189684047851, 0.864864423359769072789712788640926,
    0.741531185599394439863864773280788, 0.586087235467691130294144691693013, 0.405845151377397166906606412076961,
    0.207784955007898467600689403773245, 0.0,
])  # fmt: skip
_HALF_KRONROD = np.array([
    0.022935322010529224963732008058970, 0.063092092629978553290700663189204, 0.104790010322250183839876322541518,
    0.140653259715525918745189590510238, 0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
    0.204432940075298892414161999234649, 0.209482141084727828012999174891714,
])  # fmt: skip
_HALF_GAUSS = np.array([
    0.0, 0.129484966168869693270611432679082, 0.0, 0.279705391489276667901467771423780,
    0.0, 0.381830050505118944950369775488975, 0.0, 0.417959183673469387755102040816327,
])  # fmt: skip
NODES = np.concatenate([-_HALF_NODES, _HALF_NODES[-2::-1]])
KRONROD = np.concatenate([_HALF_KRONROD, _HALF_KRONROD[-2::-1]])
GAUSS = np.concatenate([_HALF_GAUSS, _HALF_GAUSS[-2::-1]])

_TOLERANCE = 1e-9
_MAX_PANELS = 400


@dataclass(frozen=True, slots=True)
class Posterior:
    """The posterior as a mixture of normal distributions, one at each node of tau.

    Attributes
    ----------
    tau : (g,) array
        Nodes.
    weight : (g,) array
        Their posterior mass (sums to one).
    coarse : (g,) array
        The same by the coarser rule that is nested in it: what the two differ by bounds the error.
    theta, covariance : (g, p) and (g, p, p) arrays
        Effects given tau.
    error : float
        Bound of the relative error of the integrals (mass, and moments that exist).
    log_evidence : float
        Log of the integral of prior times restricted likelihood.
    evaluations : int
        How many values of tau were solved.
    order : int
        Highest moment of tau that exists, up to 2.
    panels : tuple of (start, end, densities)
        Pieces of the unit interval u, with tau = scale * u / (1 - u), and the density of u at their nodes.
    scale : float
        Of that map.
    """

    tau: NDArray[np.float64]
    weight: NDArray[np.float64]
    coarse: NDArray[np.float64]
    theta: NDArray[np.float64]
    covariance: NDArray[np.float64]
    error: float
    log_evidence: float
    evaluations: int
    order: int
    panels: tuple[tuple[float, float, NDArray[np.float64]], ...]
    scale: float

    def linear(self, contrasts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and variance of linear combinations (c, p), given tau: (c, g) arrays."""
        mean = contrasts @ self.theta.T
        half = np.einsum("cp,gpq->cgq", contrasts, self.covariance)
        return mean, np.maximum(np.einsum("cgq,cq->cg", half, contrasts), 0.0)

    def tau_quantile(self, probability: float) -> float:
        """Quantile of tau."""
        return panel_quantile(self.panels, self.scale, probability)


def panel_quantile(
    panels: tuple[tuple[float, float, NDArray[np.float64]], ...], scale: float, probability: float
) -> float:
    """Quantile of scale * u / (1 - u) from the densities of u at the nodes of its panels.

    Within a panel the density is the polynomial through its nodes, integrated exactly.
    """
    masses = np.array([0.5 * (b - a) * float(KRONROD @ f) for a, b, f in panels])
    cumulative = np.cumsum(masses)
    i = min(int(np.searchsorted(cumulative, probability)), len(masses) - 1)
    a, b, f = panels[i]
    rest = probability - (cumulative[i - 1] if i else 0.0)
    inner = np.polynomial.Legendre.fit(NODES, f, NODES.size - 1, domain=[-1, 1]).integ(lbnd=-1)
    half = 0.5 * (b - a)

    def miss(x: float) -> float:
        return half * float(inner(x)) - rest

    low, high = miss(-1.0), miss(1.0)
    x = -1.0 if low >= 0 else 1.0 if high <= 0 else float(brentq(miss, -1.0, 1.0, xtol=1e-13))
    u = a + half * (x + 1)
    return scale * u / (1 - u)


def _panel(
    model: GaussianModel, prior: Prior, scale: float, a: float, b: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[Evaluation]]:
    """Values of tau at the nodes, log of prior times likelihood times Jacobian, and the solved models."""
    u = 0.5 * (a + b) + 0.5 * (b - a) * NODES
    tau = scale * u / (1 - u)
    solved = [model.evaluate(float(t * t)) for t in tau]
    height = np.array([s.log_likelihood(model.free, restricted=True) for s in solved])
    return tau, height + prior.log_density(tau) + math.log(scale) - 2 * np.log1p(-u), solved


def starting_scale(model: GaussianModel) -> float:
    """Find a scale for tau: roughly where the restricted likelihood has its mass."""
    tau2, certificate = fit_tau2(model, "REML")
    spread = (
        certificate.se_tau2 if certificate and math.isfinite(certificate.se_tau2) else float(np.median(model.variances))
    )
    return math.sqrt(max(tau2, spread))


def _moments(
    tau: NDArray[np.float64], solved: list[Evaluation], order: int, unit: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rows of integrands (per unit mass) that must be right: 1, powers of tau, moments of the effects."""
    rows = [np.ones_like(tau)]
    theta = np.array([s.theta for s in solved]) / unit
    rows.extend(theta.T)
    if order >= 1:
        rows.append(tau / tau.mean())
    if order >= 2:
        spread = np.array([np.diagonal(s.covariance) for s in solved]) / unit**2
        rows.extend((theta**2 + spread).T)
    return np.array(rows)


def posterior(model: GaussianModel, prior: Prior) -> Posterior:
    r"""Posterior of a normal model with a flat prior for its effects.

    .. math:: p(\tau \mid y) \propto p(\tau) \, L_R(\tau^2), \qquad
              \theta \mid \tau, y \sim N\{\hat\theta(\tau), C(\tau)\}

    with the restricted likelihood, as the integral over flat effects is its constant multiple. The unit interval
    u, tau = s u / (1 - u), is cut where the nested rules differ most, until mass, tau and the first two moments of
    all effects (where they exist) differ by less than 1e-9 of their size.

    Parameters
    ----------
    model : GaussianModel
        Network, components or pooling.
    prior : Prior
        For tau.

    Returns
    -------
    Posterior

    Raises
    ------
    InputError
        If the posterior is improper: an endless uniform prior with too few studies.
    ConvergenceError
        If the tolerance is not reached.

    References
    ----------
    Röver C. J Stat Softw 2020;93(6):1-51, doi:10.18637/jss.v093.i06 (the idea, for one effect).
    """
    tail = prior.tail + max(model.df, 0)
    if not math.isfinite(prior.upper) and tail <= 1 and prior.tail == 0:
        raise InputError(
            "prior", found=prior, expected="a proper prior, as there are too few studies for an endless uniform one",
            fix="Give the uniform prior an upper end, or use another one",
        )  # fmt: skip
    finite = math.isfinite(prior.upper)
    order = 2 if finite or tail > 3 else 1 if tail > 2 else 0
    scale = starting_scale(model)
    end = prior.upper / (scale + prior.upper) if finite else 1.0
    edges = np.unique(np.concatenate([[0.0], end * np.array([0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0])]))
    panels: dict[int, tuple[float, float, NDArray[np.float64], NDArray[np.float64], list[Evaluation]]] = {}
    for i, (a, b) in enumerate(pairwise(edges)):
        panels[i] = (float(a), float(b), *_panel(model, prior, scale, float(a), float(b)))
    peak = max(float(p[3].max()) for p in panels.values())
    middle = model.evaluate(scale * scale)
    unit = np.abs(middle.theta) + np.sqrt(np.diagonal(middle.covariance))
    unit = np.where(unit > 0, unit, 1.0)

    def integrate(key: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        a, b, tau, height, solved = panels[key]
        rows = _moments(tau / scale, solved, order, unit) * np.exp(height - peak)
        half = 0.5 * (b - a)
        fine = half * rows @ KRONROD
        return fine, np.abs(fine - half * rows @ GAUSS)

    pieces = {key: integrate(key) for key in panels}
    heap = [(-float(e.max()), key) for key, (_, e) in pieces.items()]
    heapq.heapify(heap)
    fresh = len(panels)
    while True:
        size = np.abs(sum(f for f, _ in pieces.values()))
        bound = sum(e for _, e in pieces.values())
        relative = float((bound / np.maximum(size, size[0])).max())
        if relative < _TOLERANCE or len(panels) >= _MAX_PANELS:
            break
        _, worst = heapq.heappop(heap)
        a, b = panels.pop(worst)[:2]
        pieces.pop(worst)
        for low, high in ((a, 0.5 * (a + b)), (0.5 * (a + b), b)):
            panels[fresh] = (low, high, *_panel(model, prior, scale, low, high))
            pieces[fresh] = integrate(fresh)
            heapq.heappush(heap, (-float(pieces[fresh][1].max()), fresh))
            fresh += 1
    if relative > 1e-4:
        raise ConvergenceError(f"the posterior of tau was integrated to a relative error of {relative:.1e} only")
    return _collect(panels, peak, size[0], relative, 15 * fresh, order, scale)


def _collect(
    panels: dict[int, tuple[float, float, NDArray[np.float64], NDArray[np.float64], list[Evaluation]]],
    peak: float,
    mass: float,
    error: float,
    evaluations: int,
    order: int,
    scale: float,
) -> Posterior:
    """Put the panels in order and drop nodes that carry no mass."""
    ordered = sorted(panels.values(), key=lambda p: p[0])
    tau = np.concatenate([p[2] for p in ordered])
    density = [np.exp(p[3] - peak) / mass for p in ordered]
    fine = np.concatenate([0.5 * (p[1] - p[0]) * KRONROD * f for p, f in zip(ordered, density, strict=True)])
    coarse = np.concatenate([0.5 * (p[1] - p[0]) * GAUSS * f for p, f in zip(ordered, density, strict=True)])
    solved = [s for p in ordered for s in p[4]]
    reach = np.maximum(fine, coarse) * np.maximum(1.0, (tau / scale) ** 2)
    keep = reach > 1e-14 * reach.max()
    chosen = [s for s, k in zip(solved, keep, strict=True) if k]
    return Posterior(
        tau=tau[keep],
        weight=fine[keep] / fine[keep].sum(),
        coarse=coarse[keep] / coarse[keep].sum(),
        theta=np.array([s.theta for s in chosen]),
        covariance=np.array([s.covariance for s in chosen]),
        error=error,
        log_evidence=peak + math.log(mass),
        evaluations=evaluations,
        order=order,
        panels=tuple((p[0], p[1], f) for p, f in zip(ordered, density, strict=True)),
        scale=scale,
    )


def mixture_cdf(
    x: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distribution function of normal mixtures: (c,) values x, (c, g) means and standard deviations."""
    return np.asarray(ndtr((x[:, None] - mean) / sd) @ weight)


def mixture_quantile(
    probability: float, mean: NDArray[np.float64], sd: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Quantiles of normal mixtures, by safeguarded Newton steps.

    Parameters
    ----------
    probability : float
        Between 0 and 1.
    mean, sd : (c, g) arrays
        Components of each mixture.
    weight : (g,) array
        Their masses.

    Returns
    -------
    (c,) array

    Raises
    ------
    ConvergenceError
        If the steps do not settle.

    Examples
    --------
    >>> mixture_quantile(0.975, np.array([[0.0]]), np.array([[1.0]]), np.array([1.0])).round(4)
    array([1.96])
    """
    z = float(ndtri(probability))
    each = mean + z * sd
    low, high = each.min(axis=1), each.max(axis=1)
    centre = mean @ weight
    x = np.clip(centre + z * np.sqrt(np.maximum((mean**2 + sd**2) @ weight - centre**2, 0.0)), low, high)
    span = np.maximum(high - low, 0.0)
    for _ in range(200):
        t = (x[:, None] - mean) / sd
        miss = ndtr(t) @ weight - probability
        low, high = np.where(miss < 0, x, low), np.where(miss > 0, x, high)
        slope = (np.exp(-0.5 * t * t) / sd) @ weight / math.sqrt(2 * math.pi)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = x - miss / slope
        near = 1e-13 * (np.abs(x) + span)
        done = (miss == 0) | (np.abs(step - x) <= near) | (high - low <= near)
        if done.all():
            return np.asarray(x)
        inside = (step > low) & (step < high)
        x = np.where(done, x, np.where(inside, step, 0.5 * (low + high)))
    raise ConvergenceError("a quantile of the posterior did not settle")
