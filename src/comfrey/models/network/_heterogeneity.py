"""The between-study variance: generalised DerSimonian-Laird, maximum and restricted likelihood.

The likelihoods are searched inside bounds that provably hold every maximum, on a grid first and then by Brent's
method on the score, so that the search always ends at the highest maximum there is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import brentq

from comfrey.errors import ConvergenceError
from comfrey.models import _maximum
from comfrey.models.network._gaussian import NetworkModel

if TYPE_CHECKING:
    from comfrey.models.network._gaussian import Evaluation, GaussianModel
    from comfrey.models.network._structure import Structure

__all__ = ["Certificate", "Method", "estimate_tau2", "fit_tau2"]

Method = Literal["EE", "DL", "ML", "REML"]
_GRID = 24


@dataclass(frozen=True, slots=True)
class Certificate(_maximum.Certificate):
    """What is known of an estimate of tau2 in a network; to what every certificate has it adds two numbers.

    `gradient` is the score times the standard error of tau2. The score was looked at over a grid up to a bound
    beyond which the likelihood falls, and every change of its sign was followed.

    Attributes
    ----------
    se_tau2 : float
        From the expected information.
    log_likelihood : float
        At the maximum (restricted for REML, without the constant log |X'X| / 2).
    """

    se_tau2: float
    log_likelihood: float

    @property
    def at_boundary(self) -> bool:
        """Another name of `boundary`."""
        return self.boundary

    @property
    def maxima(self) -> int:
        """Another name of `local_maxima`."""
        return self.local_maxima


def _leftover(model: GaussianModel, at: Evaluation) -> float:
    """Trace of P: sum of the weights times one minus the leverages."""
    return float((at.weights * (1 - model.leverages(at))).sum())


def dersimonian_laird(model: GaussianModel, common: Evaluation | None = None) -> float:
    r"""Moment estimate of tau2 from Cochran's Q of the whole model.

    .. math:: \hat\tau^2 = \max\{0, (Q - \mathrm{df}) / \mathrm{tr}(P)\}

    as E(Q) = df + tau2 tr(P) when contrasts are independent with the same tau2.

    Parameters
    ----------
    model : GaussianModel
        Network, components or pooling.
    common : Evaluation, optional
        The model at tau2 = 0, if known.

    Returns
    -------
    float
        Zero where there are no degrees of freedom.

    References
    ----------
    Jackson D, White IR, Riley RD. Stat Med 2012;31:3805-3820, doi:10.1002/sim.5453.
    """
    if model.df <= 0:
        return 0.0
    common = common or model.evaluate(0.0)
    return max(0.0, (common.q - model.df) / _leftover(model, common))


def _score(model: GaussianModel, at: Evaluation, restricted: bool) -> float:
    """Twice the derivative of the log likelihood to tau2."""
    pull = float(((at.weights * at.residuals) ** 2).sum())
    return pull - (_leftover(model, at) if restricted else float(at.weights.sum()))


def _information(model: GaussianModel, at: Evaluation, restricted: bool) -> float:
    """Trace of P P (restricted) or of W W (not): twice the expected information for tau2."""
    squares = at.weights**2
    total = float(squares.sum())
    if not restricted:
        return total
    product = at.covariance @ model.cross(squares)
    return total - 2.0 * float((squares * model.leverages(at)).sum()) + float((product * product.T).sum())


def _upper_bound(model: GaussianModel) -> float:
    """Bound tau2: above it both scores are negative.

    y'PPy <= RSS / tau2**2 with RSS the unweighted residual sum of squares, and tr(P) >= df / (v + tau2) with v the
    largest variance; so the score is negative once df * tau2**2 > RSS * (v + tau2).
    """
    largest = float(model.variances.max())
    rss = model.evaluate(1e8 * largest).q * 1e8 * largest * (1 + 1e-6)
    return (rss + math.sqrt(rss * rss + 4 * model.df * rss * largest)) / (2 * model.df)


def _search_grid(model: GaussianModel) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Values of tau2 between which the score is looked at for changes of sign."""
    variances = model.variances
    typical = float(np.median(variances))
    upper = _upper_bound(model)
    if not upper > 0:  # every residual is zero: the likelihood falls from tau2 = 0 on
        return np.array([0.0, typical])
    # A study of next to no precision stretches the bound; most of the grid stays where the others speak.
    near = model.evaluate(typical)
    speak = variances <= typical
    spread = float((near.residuals[speak] ** 2).sum())
    top = min(upper, 1e4 * (typical + spread))
    low = min(1e-4 * typical, 1e-4 * top)
    return np.concatenate([[0.0], np.geomspace(low, top, _GRID), [upper] if top < upper else []])


def _maximise(model: GaussianModel, restricted: bool) -> tuple[float, Certificate]:
    """Highest maximum of the (restricted) log likelihood over tau2 >= 0."""

    def score(tau2: float) -> float:
        return _score(model, model.evaluate(tau2), restricted)

    grid = _search_grid(model)
    values = np.array([score(float(t)) for t in grid])
    if not np.isfinite(values).all():
        raise ConvergenceError("the score of tau2 is not finite inside its bounds; check the scale of the variances")
    peaks = [0.0] if values[0] <= 0 else []
    steps = 0
    for i in np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0)):
        fine, rtol = 1e-15 * grid[i + 1] + 1e-300, 4 * np.finfo(float).eps
        root, search = brentq(score, grid[i], grid[i + 1], xtol=fine, rtol=rtol, full_output=True)
        peaks.append(float(root))
        steps += int(search.iterations)
    if not peaks:
        raise ConvergenceError("the likelihood of tau2 still rises at its upper bound; check the scale of the data")
    heights = [model.evaluate(t).log_likelihood(model.free, restricted=restricted) for t in peaks]
    top = int(np.argmax(heights))
    best, at = peaks[top], model.evaluate(peaks[top])
    information = _information(model, at, restricted)
    se = math.sqrt(2.0 / information) if information > 0 else math.inf
    gradient = 0.5 * _score(model, at, restricted) * se
    if best > 0 and abs(gradient) > 1e-6:
        raise ConvergenceError(f"the search for tau2 ended at {best:.6g} with a scaled gradient of {gradient:.2e}")
    return best, Certificate(True, steps, gradient, best == 0.0, len(peaks), False, se, heights[top])


def fit_tau2(model: GaussianModel, method: Method) -> tuple[float, Certificate | None]:
    """Between-study variance of a normal model.

    Parameters
    ----------
    model : GaussianModel
        Network, components or pooling.
    method : "EE", "DL", "ML" or "REML"
        EE is the common-effect model: tau2 is zero by assumption.

    Returns
    -------
    tau2 : float
        Zero where there are no degrees of freedom.
    certificate : Certificate or None
        None for the closed forms.

    Raises
    ------
    ConvergenceError
        If no maximum is found.
    """
    if method == "EE" or model.df <= 0:
        return 0.0, None
    if method == "DL":
        return dersimonian_laird(model), None
    return _maximise(model, restricted=method == "REML")


def estimate_tau2(structure: Structure, method: Method) -> tuple[float, Certificate | None]:
    """Between-study variance of a network, one for all of it; see :func:`fit_tau2`."""
    return fit_tau2(NetworkModel(structure), method)
