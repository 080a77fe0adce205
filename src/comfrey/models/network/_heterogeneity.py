"""The between-study variance of a network: generalised DerSimonian-Laird, maximum and restricted likelihood.

The likelihoods are searched inside bounds that provably hold every maximum, on a grid first and then by bisection
and secant steps on the score, so that the search always ends at the highest maximum there is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import brentq

from comfrey.errors import ConvergenceError
from comfrey.models.network._solve import Solution, log_likelihood, solve

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfrey.models.network._structure import Structure

__all__ = ["Certificate", "Method", "estimate_tau2"]

Method = Literal["EE", "DL", "ML", "REML"]
_GRID = 24


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of an estimate of tau2.

    Attributes
    ----------
    converged : bool
        Always true: a search that fails raises.
    gradient : float
        Score times the standard error of tau2 at the estimate: zero at an inner maximum, negative at the boundary.
    at_boundary : bool
        The maximum is at tau2 = 0.
    maxima : int
        How many local maxima were met; the highest is the estimate.
    se_tau2 : float
        From the expected information; not a number where there is none.
    """

    converged: bool
    gradient: float
    at_boundary: bool
    maxima: int
    se_tau2: float


def leftover_information(structure: Structure, solution: Solution) -> float:
    """Trace of P: sum of the weights times one minus the leverages."""
    leverages = solution.leverages(structure)
    return sum(float((w * (1 - h)).sum()) for w, h in zip(solution.weights, leverages, strict=True))


def generalised_dersimonian_laird(structure: Structure, common: Solution | None = None) -> float:
    r"""Moment estimate of tau2 from Cochran's Q of the whole network.

    .. math:: \hat\tau^2 = \max\{0, (Q - \mathrm{df}) / \mathrm{tr}(P)\}

    as E(Q) = df + tau2 tr(P) when contrasts are independent with the same tau2.

    Parameters
    ----------
    structure : Structure
        A connected network.
    common : Solution, optional
        Its solution at tau2 = 0, if known.

    Returns
    -------
    float
        Zero where there are no degrees of freedom.

    References
    ----------
    Jackson D, White IR, Riley RD. Stat Med 2012;31:3805-3820, doi:10.1002/sim.5453.
    """
    if structure.df <= 0:
        return 0.0
    common = common or solve(structure, 0.0)
    return max(0.0, (common.q - structure.df) / leftover_information(structure, common))


def _score(structure: Structure, solution: Solution, restricted: bool) -> float:
    """Twice the derivative of the log likelihood to tau2."""
    pull = sum(float(((w * r) ** 2).sum()) for w, r in zip(solution.weights, solution.residuals, strict=True))
    if restricted:
        return pull - leftover_information(structure, solution)
    return pull - sum(float(w.sum()) for w in solution.weights)


def _information(structure: Structure, solution: Solution, restricted: bool) -> float:
    """Trace of P P (restricted) or of W W (not): twice the expected information for tau2."""
    total = sum(float((w * w).sum()) for w in solution.weights)
    if not restricted:
        return total
    n = structure.n
    middle = np.zeros(n * n)
    for group, w, h in zip(structure.groups, solution.weights, solution.leverages(structure), strict=True):
        total -= 2.0 * float((w * w * h).sum())
        block = np.einsum("kra,kr,krb->kab", group.design, w * w, group.design)
        middle += np.bincount((group.arms[:, :, None] * n + group.arms[:, None, :]).ravel(), block.ravel(), n * n)
    product = solution.inverse @ middle.reshape(n, n)
    return total + float((product * product.T).sum())


def _upper_bound(structure: Structure) -> float:
    """A tau2 above which both scores are negative.

    y'PPy <= RSS / tau2**2 with RSS the unweighted residual sum of squares, and tr(P) >= df / (v + tau2) with v the
    largest variance; so the score is negative once df * tau2**2 > RSS * (v + tau2).
    """
    largest = max(float(group.variance.max()) for group in structure.groups)
    far = solve(structure, 1e8 * largest)
    rss = far.q * 1e8 * largest * (1 + 1e-6)
    df = structure.df
    return (rss + math.sqrt(rss * rss + 4 * df * rss * largest)) / (2 * df)


def _maximise(structure: Structure, restricted: bool) -> tuple[float, Certificate]:
    """Highest maximum of the (restricted) log likelihood over tau2 >= 0."""
    score: Callable[[float], float] = lambda tau2: _score(structure, solve(structure, tau2), restricted)  # noqa: E731  # one expression, used as an argument
    typical = float(np.median(np.concatenate([group.variance.ravel() for group in structure.groups])))
    upper = _upper_bound(structure)
    low = min(1e-4 * typical, 1e-4 * upper) if upper > 0 else 0.0
    if upper <= 0 or low <= 0:  # every residual is zero: the likelihood falls from tau2 = 0 on
        grid = np.array([0.0, typical])
    else:
        # An astronomically imprecise study stretches the bound; the grid stays where the others speak.
        top = min(upper, 1e4 * (typical + _upper_typical(structure)))
        grid = np.concatenate([[0.0], np.geomspace(low, top, _GRID), [upper] if top < upper else []])
    values = np.array([score(float(t)) for t in grid])
    if not np.isfinite(values).all():
        raise ConvergenceError("the score of tau2 is not finite inside its bounds; check the scale of the variances")
    peaks = [0.0] if values[0] <= 0 else []
    turns = np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))
    for i in turns:
        root = brentq(score, grid[i], grid[i + 1], xtol=1e-15 * grid[i + 1] + 1e-300, rtol=4 * np.finfo(float).eps)
        peaks.append(float(root))
    if not peaks:
        raise ConvergenceError("the likelihood of tau2 still rises at its upper bound; check the scale of the data")
    free = structure.n - structure.n_islands
    heights = [log_likelihood(solve(structure, t), restricted=restricted, free=free) for t in peaks]
    best = peaks[int(np.argmax(heights))]
    solution = solve(structure, best)
    information = _information(structure, solution, restricted)
    se = math.sqrt(2.0 / information) if information > 0 else math.nan
    gradient = 0.5 * _score(structure, solution, restricted) * se
    if best > 0 and abs(gradient) > 1e-6:
        raise ConvergenceError(f"the search for tau2 ended at {best:.6g} with a scaled gradient of {gradient:.2e}")
    return best, Certificate(True, gradient, best == 0.0, len(peaks), se)


def _upper_typical(structure: Structure) -> float:
    """Spread of the contrasts around the unweighted fit of the better half of the studies: a scale for the grid."""
    cut = float(np.median(np.concatenate([group.variance.ravel() for group in structure.groups])))
    squares = [
        float((r[group.variance <= cut] ** 2).sum())
        for group, r in zip(structure.groups, solve(structure, cut).residuals, strict=True)
    ]
    return sum(squares)


def estimate_tau2(structure: Structure, method: Method) -> tuple[float, Certificate | None]:
    """Between-study variance of a connected network.

    Parameters
    ----------
    structure : Structure
        A connected network.
    method : "EE", "DL", "ML" or "REML"
        EE is the common-effect model: tau2 is zero by assumption.

    Returns
    -------
    tau2 : float
    certificate : Certificate or None
        None for the closed forms.

    Raises
    ------
    ConvergenceError
        If no maximum is found.
    """
    if method == "EE" or structure.df <= 0:
        return 0.0, None
    if method == "DL":
        return generalised_dersimonian_laird(structure), None
    return _maximise(structure, restricted=method == "REML")
