"""Tests that all studies share one effect: Wald and likelihood ratio, against the model with an effect for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from comfrey.errors import ConvergenceError
from comfrey.models.counts._fit import fit_fixed, maximise
from comfrey.models.counts._kernels import Binomial, Poisson

if TYPE_CHECKING:
    import numpy.typing as npt

    from comfrey.models.counts._kernels import Array
    from comfrey.models.counts._problems import Setup

__all__ = ["Heterogeneity", "heterogeneity"]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Wald and likelihood-ratio statistics with their chi-square p-values; NaN has its reason in `notes`."""

    wald: float
    wald_p: float
    lr: float
    lr_p: float
    df: int
    notes: tuple[str, ...] = ()


def heterogeneity(setup: Setup, points: int | None) -> Heterogeneity:
    r"""Test that tau2 is zero against studies with an effect each [1]_.

    The likelihood ratio is :math:`2(\ell_{saturated} - \ell_{\tau^2=0})`; the Wald statistic is
    :math:`\sum_i I_i(\hat\theta_i - \bar\theta)^2` with the information :math:`I_i` of the saturated model. A study
    at the edge of its range (no events in an arm) has no information there and adds nothing to the Wald statistic.
    Both have k - 1 degrees of freedom. In the random-study model the saturated model gives each study an effect in
    arm 1, and a random baseline in arm 2.

    References
    ----------
    .. [1] Jackson D, Law M, Stijnen T, Viechtbauer W, White IR. Stat Med 2018;37:1059-1085. doi:10.1002/sim.7588
    """
    df = setup.problem.studies - 1
    if df == 0:
        nan = float("nan")
        return Heterogeneity(nan, nan, nan, nan, 0, ("one study: there is no test of heterogeneity",))
    if "baseline" in setup.kinds:
        return _random_study(setup, points, df)
    one = fit_fixed(setup.problem, setup.beta, setup.alpha).log_likelihood
    eta, information, saturated = setup.problem.kernel.saturated()
    if setup.problem.nuisance is None:
        theta, weight = eta[0] - setup.problem.offset[0], information[0]
    else:
        inside = (information > 0).all(axis=0)
        weight = np.where(inside, 1.0 / (1.0 / np.where(information > 0, information, 1.0)).sum(axis=0), 0.0)
        with np.errstate(invalid="ignore"):
            theta = eta[0] - eta[1]
    edge = weight <= 0
    theta = np.where(edge, 0.0, theta)
    notes: tuple[str, ...] = ()
    if edge.any():
        notes = (_edge_note(edge),)
    wald = float((weight * (theta - (weight @ theta) / weight.sum()) ** 2).sum()) if not edge.all() else 0.0
    return _tested(wald, saturated - one, df, notes)


def _tested(wald: float, gain: float, df: int, notes: tuple[str, ...]) -> Heterogeneity:
    """Both statistics with their p-values."""
    lr = max(2.0 * gain, 0.0)
    return Heterogeneity(wald, float(chdtrc(df, wald)), lr, float(chdtrc(df, lr)), df, notes)


def _random_study(setup: Setup, points: int | None, df: int) -> Heterogeneity:
    """Test in the model with random baselines, those of arm 2: two fits with that random effect alone."""
    counts, problem = setup.counts, setup.problem
    one = replace(problem, loadings=problem.loadings[:, 1:])
    # A study whose arm 1 has no events, or nothing else, is fitted perfectly by its own effect: only arm 2 remains.
    kind = Poisson if isinstance(problem.kernel, Poisson) else Binomial
    edge = (counts.events[0] == 0) | ((counts.events[0] == counts.size[0]) & (kind is Binomial))
    keep = np.stack((~edge, np.ones_like(edge)))
    kernel = kind.of(counts.events * keep, counts.size * keep)
    each = replace(one, kernel=kernel, design=one.design[:, :, 1:], nuisance=np.array([1.0, 0.0]))
    try:
        single = maximise(one, setup.beta, np.zeros(0), points)
        full = maximise(each, setup.beta[1:], np.full(problem.studies, setup.beta[0]), points)
    except ConvergenceError:
        nan = float("nan")
        note = "no test of heterogeneity: the model with an effect for each study has no maximum"
        return Heterogeneity(nan, nan, nan, nan, df, (note,))
    own, cross, shared = full.own_information
    wald = _wald(full.alpha[~edge], own[~edge], cross[~edge], shared)
    notes = (_edge_note(edge),) if edge.any() else ()
    return _tested(wald, full.log_likelihood - single.log_likelihood, df, notes)


def _edge_note(edge: npt.NDArray[np.bool_]) -> str:
    """Say why the Wald test may mislead."""
    return f"{int(edge.sum())} of {len(edge)} studies are at the edge of their range: prefer q_lr to q_wald"


def _wald(theta: Array, own: Array, cross: Array, shared: Array) -> float:
    """Wald statistic that all `theta` (k,) are equal, when their information is diag(own) - C S^-1 C'.

    Never forms a k x k matrix: `own` (k,), `cross` C (k, s), `shared` S (s, s).
    """
    core = np.linalg.pinv(shared, hermitian=True)

    def product(a: Array, b: Array) -> float:
        return float((own * a) @ b - (cross.T @ a) @ core @ (cross.T @ b))

    ones = np.ones_like(theta)
    return product(theta, theta) - product(theta, ones) ** 2 / product(ones, ones)
