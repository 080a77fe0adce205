"""A network whose designs may disagree at random: heterogeneity and inconsistency as two variances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import minimize_scalar

from comfrey.errors import NotEstimableError
from comfrey.models.network._designs import fit_designs
from comfrey.models.network._gaussian import NetworkModel
from comfrey.models.network._heterogeneity import fit_tau2
from comfrey.models.network._solve import group_weights, solve
from comfrey.models.network._structure import ArmGroup, arm_group, build
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._structure import Structure

__all__ = ["RandomInconsistency", "random_inconsistency"]

_GRID = 16


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class RandomInconsistency(Result):
    """Restricted maximum likelihood fit of the design-by-treatment interaction with random effects.

    Attributes
    ----------
    treatments : tuple of str
        Labels.
    reference : str
        What `summary` compares with.
    level : float
        Of the normal intervals.
    tau2, omega2 : float
        Variance between studies of a design, and between designs.
    tau2_consistent : float
        Variance between studies in the consistency model.
    likelihood_ratio, p_value : float
        Twice the gain in restricted log likelihood over the consistency model; its p-value is half that of
        chi-squared with one degree of freedom, as omega2 = 0 is on the boundary.
    notes : tuple of str
        What to know.
    """

    treatments: tuple[str, ...]
    reference: str
    level: float
    tau2: float
    omega2: float
    tau2_consistent: float
    likelihood_ratio: float
    p_value: float
    notes: tuple[str, ...]
    _theta: NDArray[np.float64]
    _covariance: NDArray[np.float64]

    def _frame(self, values: NDArray[np.float64]) -> pd.DataFrame:
        index = pd.Index(self.treatments, name="treatment")
        return pd.DataFrame(values, index=index, columns=index)

    @property
    def effects(self) -> pd.DataFrame:
        """Mean effects over designs: row minus column."""
        return self._frame(self._theta[:, None] - self._theta)

    @property
    def standard_errors(self) -> pd.DataFrame:
        """Standard errors of `effects`."""
        own = np.diagonal(self._covariance)
        return self._frame(np.sqrt(np.maximum(own[:, None] + own - 2 * self._covariance, 0.0)))

    @property
    def summary(self) -> pd.DataFrame:
        """One row a treatment, against the reference."""
        estimate, se = self.effects[self.reference], self.standard_errors[self.reference]
        half = stats.norm.ppf(0.5 * (1 + self.level)) * se
        table = pd.DataFrame({"estimate": estimate, "se": se, "ci_low": estimate - half, "ci_high": estimate + half})
        return table.drop(index=self.reference)

    @property
    def headline(self) -> tuple[str, ...]:
        """Variances and test."""
        return (
            "Network meta-analysis with random inconsistency (REML)",
            f"tau2 = {self.tau2:.4f} between studies of a design, omega2 = {self.omega2:.4f} between designs",
            f"Against the consistency model: likelihood ratio {self.likelihood_ratio:.3f}, p {self.p_value:.4f}",
            *self.notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Every public field and the effects, as plain JSON values."""
        result = Result.to_dict(self)
        result["effects"] = plain(self.summary.reset_index())
        return result


def _between(structure: Structure, tau2: float) -> tuple[Structure, float]:
    """Make the network whose studies are the designs pooled at `tau2`, with the log likelihood within designs."""
    designs = fit_designs(structure, tau2)
    groups: list[ArmGroup] = []
    by_size: dict[int, list[int]] = {}
    for i, design in enumerate(designs):
        by_size.setdefault(design.arms.size, []).append(i)
    for members in by_size.values():
        arms = np.array([designs[i].arms for i in members])
        effects = np.array([designs[i].effect for i in members])
        covariance = np.linalg.inv(np.array([designs[i].precision for i in members]))
        groups.append(arm_group(np.array(members), arms, effects, covariance))
    log_weights = sum(float(np.log(w).sum()) for w in group_weights(structure, tau2))
    log_precision = sum(float(np.linalg.slogdet(d.precision)[1]) for d in designs)
    within = 0.5 * (log_weights - log_precision - sum(d.q for d in designs))
    names = tuple(str(i) for i in range(len(designs)))
    return build(structure.treatments, names, tuple(groups)), within


def _profile(structure: Structure, tau2: float, omega2: float | None = None) -> tuple[float, float]:
    """Restricted log likelihood at `tau2`, maximised over omega2 if that is not given, and omega2."""
    between, within = _between(structure, tau2)
    model = NetworkModel(between)
    if omega2 is None:
        omega2 = fit_tau2(model, "REML")[0]
    return within + model.evaluate(omega2).log_likelihood(model.free, restricted=True), omega2


def random_inconsistency(net: Any) -> RandomInconsistency:
    r"""Fit heterogeneity within designs and inconsistency between them as two variances.

    .. math:: y_s \sim N\{X_s \theta + w_{d(s)}, V_s + \tau^2 \tfrac12 (I + J)\}, \qquad
              w_d \sim N\{0, \omega^2 \tfrac12 (I + J)\}

    Studies are pooled within designs at each tau2, after which omega2 is to the designs what tau2 is to studies in
    the consistency model; the profile in tau2 is searched on a grid and then by Brent's method.

    Parameters
    ----------
    net : Network
        A connected network with loops.

    Returns
    -------
    RandomInconsistency

    Raises
    ------
    InputError
        If the network has several parts.
    NotEstimableError
        If it has no loop, so that nothing can be inconsistent.

    References
    ----------
    Jackson D, Barrett JK, Rice S, White IR, Higgins JPT. Stat Med 2014;33:3639-3654, doi:10.1002/sim.6188.
    Law M, Jackson D, Turner R, Rhodes K, Viechtbauer W. BMC Med Res Methodol 2016;16:87,
    doi:10.1186/s12874-016-0184-5.
    """
    net._one_part("random inconsistency")
    if not net.q_inconsistency_df:
        raise NotEstimableError("this network has no loop: nothing in it can be inconsistent")
    structure = net._structure
    consistent, _ = fit_tau2(NetworkModel(structure), "REML")
    base = _profile(structure, consistent, 0.0)[0]
    notes = []
    best, height = 0.0, _profile(structure, 0.0)[0]
    if net.q_heterogeneity_df:
        typical = float(np.median(np.concatenate([g.variance.ravel() for g in structure.groups])))
        top = 1e2 * max(consistent, typical)
        grid = np.concatenate([[0.0], np.geomspace(1e-4 * typical, top, _GRID)])
        heights = np.array([height, *(_profile(structure, float(t))[0] for t in grid[1:])])
        i = int(np.argmax(heights))
        low, high = grid[max(i - 1, 0)], grid[min(i + 1, grid.size - 1)]
        found = minimize_scalar(
            lambda t: -_profile(structure, float(t))[0],
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-9 * high},
        )
        if -found.fun > height:
            best, height = float(found.x), -float(found.fun)
    else:
        notes.append("No design has two studies: all disagreement is counted as inconsistency, tau2 is 0")
    if height < base:  # the consistency model is the best there is
        best, height, omega2 = consistent, base, 0.0
    else:
        omega2 = _profile(structure, best)[1]
    ratio = max(0.0, 2 * (height - base))
    between, _ = _between(structure, best)
    solution = solve(between, omega2)
    return RandomInconsistency(
        treatments=net.treatments,
        reference=net.reference,
        level=net.level,
        tau2=best,
        omega2=omega2,
        tau2_consistent=consistent,
        likelihood_ratio=ratio,
        p_value=0.5 * float(stats.chi2.sf(ratio, 1)) if ratio > 0 else 1.0,
        notes=tuple(notes),
        _theta=solution.theta,
        _covariance=solution.inverse,
    )
