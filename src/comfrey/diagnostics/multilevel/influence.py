"""How much each effect, or each cluster of effects, bears on a multilevel fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from comfrey.diagnostics.multilevel._deletion import delete, q_without
from comfrey.diagnostics.multilevel._measures import Leverages, Residuals, Shifts, leverages, residuals, shifts
from comfrey.diagnostics.multilevel._units import Units, read_units
from comfrey.diagnostics.multilevel._working import Working
from comfrey.errors import InputError
from comfrey.results import Result

if TYPE_CHECKING:
    from comfrey.models.multilevel._grouping import Floats, Ints
    from comfrey.models.multilevel.result import MultilevelFit, State

__all__ = ["MultilevelInfluence", "influence"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class MultilevelInfluence(Result):
    r"""Influence diagnostics of J units: single effects, or clusters of them.

    Attributes
    ----------
    labels : tuple of str
        The units; ``row i`` for single effects.
    unit : array of shape (k,)
        Place of each effect's unit in `labels`.
    size : array of shape (J,)
        Effects in each unit.
    residual, rstandard : arrays of shape (k,)
        ``y_i - x_i b``, and it divided by its standard error (internally standardised).
    deleted_residual, rstudent : arrays of shape (k,)
        ``y_i - x_i b_(j)`` from the fit without the effect's unit j, and it divided by its standard error (externally
        studentised).
    chi2_standard, chi2_standard_df : arrays of shape (J,)
        The unit's residuals together, ``e' Var(e)^- e``, and the rank of their covariance.
    chi2, chi2_df, chi2_p : arrays of shape (J,)
        The unit's deleted residuals together: chi-squared on as many degrees of freedom as the unit has effects.
    dffits, cook_distance, cov_ratio, q_deleted : arrays of shape (J,)
        Shift of the unit's mean fitted value in standard errors, shift of all coefficients, ratio of the
        determinants of their covariance, Cochran's Q without the unit.
    components, component_names : array of shape (J, m), tuple of m str
        Variances and correlations without the unit, as the fit names them.
    hat, weight : arrays of shape (J,)
        Sums over the unit of the leverages, and of the diagonal of M^-1 in percent of its trace; `effects` has them
        one by one.
    dfbetas : array of shape (J,), or (J, p)
        Shift of each coefficient, in standard errors.
    heterogeneity_share, shift : arrays of shape (J,)
        The axes of Baujat's plot: ``e' M^-1 e`` within the unit, and the squared shift of its mean fitted value over
        the variance of that value without it.
    influential : array of bool of shape (J,)
        Whether any of the `bounds` is passed.
    bounds : dict
        Of DFFITS and DFBETAS (without their sign), of Cook's distance and of the leverage.
    reestimated : bool
        Whether variances were estimated anew without each unit.
    notes : tuple of str
        Which numbers are missing, and why.
    """

    labels: tuple[str, ...]
    terms: tuple[str, ...]
    unit: Ints
    size: Ints
    residual: Floats
    rstandard: Floats
    deleted_residual: Floats
    rstudent: Floats
    chi2_standard: Floats
    chi2_standard_df: Floats
    chi2: Floats
    chi2_df: Ints
    chi2_p: Floats
    dffits: Floats
    cook_distance: Floats
    cov_ratio: Floats
    q_deleted: Floats
    components: Floats
    component_names: tuple[str, ...]
    hat: Floats
    weight: Floats
    dfbetas: Floats
    heterogeneity_share: Floats
    shift: Floats
    influential: np.ndarray[Any, np.dtype[np.bool_]]
    bounds: dict[str, float]
    effects: pd.DataFrame
    by: str
    reestimated: bool
    method: str
    test: str
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a unit."""
        table: dict[str, Any] = {}
        if self.by == "effect":
            table["rstudent"] = self.rstudent
        else:
            table |= {"size": self.size, "chi2": self.chi2, "chi2_df": self.chi2_df, "chi2_p": self.chi2_p}
        table |= {name: getattr(self, name) for name in ("dffits", "cook_distance", "cov_ratio")}
        table |= {name: self.components[:, i] for i, name in enumerate(self.component_names)}
        table |= {name: getattr(self, name) for name in ("q_deleted", "hat", "weight")}
        if self.dfbetas.ndim == 1:
            table["dfbetas"] = self.dfbetas
        else:
            table |= {f"dfbetas {term}": self.dfbetas[:, j] for j, term in enumerate(self.terms)}
        table["influential"] = self.influential
        return pd.DataFrame(table, index=pd.Index(self.labels, name=self.by))

    @property
    def baujat(self) -> pd.DataFrame:
        """Coordinates of Baujat's plot: heterogeneity_share (across) and shift (up), one row a unit."""
        table = {"heterogeneity_share": self.heterogeneity_share, "shift": self.shift}
        return pd.DataFrame(table, index=pd.Index(self.labels, name=self.by))

    @property
    def headline(self) -> tuple[str, ...]:
        """How many units are influential, and by which bounds."""
        count = int(self.influential.sum())
        which = f": {', '.join(name for name, flag in zip(self.labels, self.influential, strict=True) if flag)}"
        first = f"Influence of {len(self.labels)} {self.by}s; {count} influential{which if count else ''}"
        how = "estimated anew" if self.reestimated else "held"
        limits = ", ".join(f"{name} {bound:.3g}" for name, bound in self.bounds.items() if math.isfinite(bound))
        second = f"Variances by {self.method}, {how} without each {self.by}; influential above: {limits}"
        return (first, second, *(f"note: {text}" for text in self.notes))


def influence(fit: MultilevelFit, cluster: Any = None, *, reestimate: bool = True) -> MultilevelInfluence:
    r"""Compute influence diagnostics of a multilevel fit, from the model without each effect or each cluster.

    With ``b`` and ``M`` (the marginal covariance of the effects) of the fit, ``C = (X'M^-1 X)^-1``, and ``b_(j), M_(j),
    C_(j)`` without unit j, whose rows are S and whose other rows are R:

    - rstandard: ``e_i / sqrt([M - X C X']_ii)``;
    - rstudent: ``d_i / sqrt([D]_ii)`` with ``d = y_S - X_S b_(j)`` and ``D = M_SS + X_S C_(j) X_S' - N C_(j) X_S' -
      (N C_(j) X_S')'``, where ``N = M_SR M_RR^-1 X_R`` is what unit and rest share through random effects and sampling
      errors (all but ``X_S`` at ``M_(j)``); nothing if they share none;
    - chi2: ``d' D^-1 d``;
    - DFFITS: shift of the mean fitted value of the unit, ``a (b - b_(j))`` with ``a`` the mean of its rows of X, over
      ``sqrt(a C a' f)``, where f is the variance of the unit's mean effect in ``M_(j)`` over that in ``M``;
    - Cook's distance ``(b - b_(j))' C^-1 (b - b_(j))``, covariance ratio ``det C_(j) / det C``;
    - DFBETAS: ``(b_l - b_l(j)) / sqrt([(X' M_(j)^-1 X)^-1]_ll)``, with all rows in X.

    A unit is called influential if ``|DFFITS| > 3 sqrt(p/(J-p))``, Cook's distance lies above the median of
    chi-squared (p), its leverage above ``3 p/J``, or any ``|DFBETAS| > 1``. For single effects and one random effect
    each these are the diagnostics of :func:`comfrey.diagnostics.influence.influence` with a normal test.

    Parameters
    ----------
    fit : MultilevelFit
    cluster : array (k,) or column name, optional
        What is left out together; without it, one effect at a time.
    reestimate : bool
        Whether to estimate the variances anew without each unit. If not they are held at those of the fit, and the
        model without a unit is found by exact updates of low rank.

    Raises
    ------
    InputError
        If there is not one label for each effect.
    NotEstimableError
        If all effects are in one cluster.

    Notes
    -----
    The cost is one fit for each unit, started at the whole fit: for nested terms O(J k). metafor's ``rstudent`` leaves
    out N, so that it differs where an effect shares a random effect with others that stay; its clusters agree.

    References
    ----------
    Viechtbauer & Cheung 2010, doi:10.1002/jrsm.11; Demidenko & Stukel 2005, doi:10.1002/sim.1974; Baujat et al. 2002,
    doi:10.1002/sim.1221.

    Examples
    --------
    >>> import comfrey as cf
    >>> frame = {"study": [1, 1, 2, 2, 3, 3, 4, 4], "es": range(8), "vi": [0.02] * 8,
    ...          "yi": [0.1, 0.2, 0.5, 0.7, -0.1, 0.1, 0.3, 0.6]}
    >>> found = cf.multilevel("yi", "vi", random="study/es", data=frame).influence("study")
    >>> found.cook_distance.round(2), found.chi2.round(2)
    (array([0.13, 0.53, 0.53, 0.13]), array([0.48, 3.14, 3.14, 2.56]))
    """
    if not isinstance(reestimate, bool):
        raise InputError("reestimate", found=repr(reestimate), expected="True or False")
    state = fit._state  # the methods of a fit work on what it keeps
    units = read_units(state, cluster)
    working = Working(state.problem)
    found = delete(state, units, working, reestimate)
    rest = residuals(state, units, found, working)
    moved = shifts(state, units, found, rest.inflation)
    notes = list(found.notes)
    if not np.isfinite(rest.rstandard).all():
        notes.append("an effect that a coefficient of its own fits perfectly has no standardised residual")
    return _assemble(fit, state, units, leverages(state), rest, moved, found.components, reestimate, notes)


def _assemble(
    fit: MultilevelFit, state: State, units: Units, lever: Leverages, rest: Residuals, moved: Shifts,
    components: Floats, reestimate: bool, notes: list[str],
) -> MultilevelInfluence:  # fmt: skip
    p, count, sizes = fit.p, len(units), units.sizes
    hat, weight = units.sums(lever.hat), units.sums(lever.weight)
    bounds = {
        "|dffits|": 3 * math.sqrt(p / (count - p)) if count > p else math.inf,
        "cook_distance": 2 * float(special.gammaincinv(p / 2, 0.5)),
        "hat": 3 * p / count,
        "|dfbetas|": 1.0,
    }
    with np.errstate(invalid="ignore"):
        flags = np.abs(moved.dffits) > bounds["|dffits|"]
        flags |= moved.cook_distance > bounds["cook_distance"]
        flags |= (hat > bounds["hat"]) | (np.abs(moved.dfbetas) > bounds["|dfbetas|"]).any(axis=1)
    effects = pd.DataFrame(
        {
            units.word: [units.labels[j] for j in units.codes], "residual": rest.residual,
            "rstandard": rest.rstandard, "deleted_residual": rest.deleted, "rstudent": rest.rstudent,
            "hat": lever.hat, "weight": lever.weight,
        }
    )  # fmt: skip
    return MultilevelInfluence(
        labels=units.labels, terms=tuple(state.design.names), unit=units.codes, size=sizes, residual=rest.residual,
        rstandard=rest.rstandard, deleted_residual=rest.deleted, rstudent=rest.rstudent,
        chi2_standard=rest.chi2_standard, chi2_standard_df=rest.df_standard, chi2=rest.chi2, chi2_df=sizes,
        chi2_p=np.asarray(special.chdtrc(sizes, rest.chi2), dtype=float), dffits=moved.dffits,
        cook_distance=moved.cook_distance, cov_ratio=moved.cov_ratio,
        q_deleted=q_without(state, units), components=components,
        component_names=tuple(f"{item.kind} {item.name}" for item in state.parameters), hat=hat, weight=weight,
        dfbetas=moved.dfbetas[:, 0] if p == 1 else moved.dfbetas, heterogeneity_share=rest.share, shift=moved.baujat,
        influential=flags, bounds=bounds, effects=effects, by=units.word, reestimated=reestimate, method=fit.method,
        test=fit.test, notes=tuple(notes),
    )  # fmt: skip
