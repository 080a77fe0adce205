"""The result of a multilevel or multivariate meta-analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._maximum import Certificate
from comfrey.models.multilevel._design import Design, read_new
from comfrey.models.multilevel._effects import predicted_effects, random_covariance
from comfrey.models.multilevel._intervals import ProfileInterval, profile_interval
from comfrey.models.multilevel._methods import Diagnosable
from comfrey.models.multilevel._reading import codes_of, column
from comfrey.models.multilevel._terms import StructuredTerm
from comfrey.models.multilevel.robust import RobustFit, WaldTest, model_wald, robust_fit
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from comfrey.models.multilevel._grouping import Floats, Ints
    from comfrey.models.multilevel._parameters import Parameter
    from comfrey.models.multilevel._problem import Problem
    from comfrey.models.multilevel._search import Found

__all__ = ["MultilevelFit"]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What the methods of a fit work on."""

    problem: Problem
    found: Found
    design: Design
    parameters: tuple[Parameter, ...]
    data: Any
    y: Floats
    options: dict[str, Any]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class MultilevelFit(Result, Diagnosable):
    """A fitted model with dependent effects: y = X b + Z u + e, with known V for e.

    Attributes
    ----------
    method, test, level : str, str, float
        Estimator of the variances (REML, ML), test of the coefficients (z, t), level of intervals.
    random, structure : tuple of str
        The random-effects terms, and the structure of each ("" for a plain variance).
    k, p : int
        Numbers of effects and coefficients.
    groups : ndarray (terms,)
        Number of groups of each term.
    coefficients : DataFrame (a property)
        term estimate se statistic df p_value ci_low ci_high; df is infinite for z.
    estimate, se, statistic, df, p_value, ci_low, ci_high : float
        The first coefficient (the pooled effect when there is no moderator).
    covariance : ndarray (p, p)
        Of the coefficients.
    sigma2, sigma2_names : ndarray, tuple
        One variance per nested or crossed term, outermost first, and its term.
    tau2, rho, tau2_names, rho_names : ndarray, tuple
        Variances and correlations of the inner | outer terms. Correlations of an unstructured matrix go down the rows
        of its lower triangle.
    log_likelihood, aic, bic : float
        With all constants; the restricted likelihood includes log|X'X| / 2. For bic it has k - p observations.
    q, q_df, q_p : float, int, float
        Heterogeneity: y' (V^-1 - ...) y with V alone.
    qm, qm_df, qm_p : float, int, float
        Wald test of all coefficients but the intercept (an F statistic when test is t); None if there are none.
    i2 : ndarray (terms,)
        Share of each sigma2 in the total variance of a typical effect, percent; empty with inner | outer terms.
    converged, gradient_norm, distance, iterations, climbs : bool, float, float, int, int
        Certificate: the largest slope at the maximum, the distance to it in standard errors, steps, and number of
        climbs, one from each hill of a survey of the likelihood or from several starts, that found none higher.
    boundary : bool
        True when a variance is zero, or a correlation or a covariance matrix is at the edge of what is possible.
    notes : tuple of str
        What a reader must know, each non-finite number explained.
    """

    method: str
    test: str
    level: float
    random: tuple[str, ...]
    structure: tuple[str, ...]
    k: int
    p: int
    groups: Ints
    estimate: float
    se: float
    statistic: float
    df: float
    p_value: float
    ci_low: float
    ci_high: float
    _tests: dict[str, Floats]
    covariance: Floats
    sigma2: Floats
    sigma2_names: tuple[str, ...]
    tau2: Floats
    tau2_names: tuple[str, ...]
    rho: Floats
    rho_names: tuple[str, ...]
    log_likelihood: float
    aic: float
    bic: float
    q: float
    q_df: int
    q_p: float
    qm: float | None
    qm_df: int
    qm_p: float | None
    i2: Floats
    converged: bool
    gradient_norm: float
    distance: float
    iterations: int
    climbs: int
    boundary: bool
    notes: tuple[str, ...]
    _state: State = field(repr=False)

    @property
    def yi(self) -> Floats:
        """The effects fitted, shape (k,)."""
        problem = self._state.problem
        return problem.basis @ problem.offset + problem.residual

    @property
    def vi(self) -> Floats:
        """Their sampling variances, shape (k,)."""
        return self._state.problem.covariance.variances

    @property
    def certificate(self) -> Certificate:
        """What is known about the search, which found none higher from any hill of a survey or from several starts."""
        return Certificate(self.converged, self.iterations, self.distance, self.boundary, 1, False)

    @property
    def coefficients(self) -> pd.DataFrame:
        """One row a coefficient: term estimate se statistic df p_value ci_low ci_high; df is infinite for z."""
        return pd.DataFrame({"term": list(self._state.design.names), **self._tests})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the table of coefficients among them."""
        return {**Result.to_dict(self), "coefficients": plain(self.coefficients)}

    @property
    def summary(self) -> pd.DataFrame:
        """Coefficients, then variances and correlations, one row each."""
        table = self.coefficients.set_index("term")
        found = self.variance_components.set_index("name")[["estimate"]]
        return pd.concat([table, found])

    @property
    def variance_components(self) -> pd.DataFrame:
        """Every variance and correlation: kind, name, estimate."""
        values = {"sigma2": iter(self.sigma2), "tau2": iter(self.tau2), "rho": iter(self.rho)}
        found = [(item.kind, f"{item.kind} {item.name}") for item in self._state.parameters]
        rows = [(kind, name, float(next(values[kind]))) for kind, name in found]
        return pd.DataFrame(rows, columns=["kind", "name", "estimate"])

    @property
    def headline(self) -> tuple[str, ...]:
        """What was fitted and how."""
        terms = ", ".join(
            f"{name} ({kind + ', ' if kind else ''}{int(n)} groups)"
            for name, kind, n in zip(self.random, self.structure, self.groups, strict=True)
        )
        first = f"Multilevel model of {self.k} effects, {self.method}; random: {terms or 'none'}"
        test = "normal distribution (z)" if self.test == "z" else "t distribution"
        second = f"Test and {100 * self.level:g}% intervals by the {test}; log-likelihood {self.log_likelihood:.4f}"
        return (first, second, *self.notes)

    def random_covariance(self, term: int | str = 0) -> pd.DataFrame:
        """Covariance matrix G of the random effects of a term, with its levels as labels."""
        at = self.random.index(term) if isinstance(term, str) and term in self.random else term
        if not isinstance(at, int) or not -len(self.random) <= at < len(self.random):
            raise InputError("term", found=repr(term), expected="one of " + ", ".join(self.random))
        state, at = self._state, at % len(self.random)
        problem = state.problem
        matrix = random_covariance(problem, problem.cells(state.found.x), at) * problem.scale**2
        chosen = problem.terms[at]
        labels = list(chosen.inner_labels) if isinstance(chosen, StructuredTerm) else [chosen.name]
        return pd.DataFrame(matrix, index=labels, columns=labels)

    def robust(self, cluster: Any, kind: str = "CR2") -> RobustFit:
        """Cluster-robust standard errors, tests and intervals.

        Parameters
        ----------
        cluster : array (k,) or column name
            Effects of different clusters are taken as independent.
        kind : {"CR2", "CR1", "CR0"}
            CR2 is unbiased under the working model and uses Satterthwaite degrees of freedom; CR1 multiplies CR0 by
            J / (J - p).

        Raises
        ------
        NotEstimableError
            If there are no more clusters than coefficients.
        InputError
            If, for CR2, clusters share random effects or sampling errors.

        References
        ----------
        Hedges LV, Tipton E, Johnson MC (2010). Res Synth Methods 1:39-65. doi:10.1002/jrsm.5
        Pustejovsky JE, Tipton E (2018). J Bus Econ Stat 36:672-683. doi:10.1080/07350015.2016.1247004

        Examples
        --------
        >>> import comfrey as cf
        >>> frame = {"study": [1, 1, 2, 2, 3, 3, 4, 4], "es": range(8), "vi": [0.02] * 8,
        ...          "yi": [0.1, 0.2, 0.5, 0.7, -0.1, 0.1, 0.3, 0.6]}
        >>> fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
        >>> robust = fit.robust("study")
        >>> round(robust.se, 4), round(robust.df, 4)
        (0.1369, 3.0)
        """
        state = self._state
        codes = codes_of(column(cluster, "cluster", state.data), "cluster", self.k)[0]
        beta = self._tests["estimate"]
        w = state.problem.cells(state.found.x)
        return robust_fit(state.problem, w, state.design.names, beta, kind, codes, self.level)

    def wald(self, contrast: Any, null: Any = 0.0) -> WaldTest:
        """Test contrasts of the coefficients with the covariance of the model: F, or chi-squared / q for test z.

        Parameters
        ----------
        contrast, null : as in :meth:`RobustFit.wald`
            Weights (q, p), or names of terms, such as all levels of a moderator; and the values tested.
        """
        table = self.coefficients
        beta, df = table["estimate"].to_numpy(dtype=float), float(table["df"].min())
        return model_wald(beta, self.covariance, df, contrast, null, list(table["term"]))

    def profile_interval(
        self, parameter: str = "sigma2", index: int | str = 0, level: float | None = None
    ) -> ProfileInterval:
        """Profile-likelihood interval of a variance or a correlation.

        Parameters
        ----------
        parameter : {"sigma2", "tau2", "rho"}
            Which kind.
        index : int or str
            Its place in that field, or its name in `sigma2_names`, `tau2_names` or `rho_names`.
        level : float, optional
            Level of the interval; the fit's own if not given.

        Examples
        --------
        >>> import comfrey as cf
        >>> frame = {"study": [1, 1, 2, 2, 3, 3, 4, 4], "es": range(8), "vi": [0.02] * 8,
        ...          "yi": [0.1, 0.2, 0.5, 0.7, -0.1, 0.1, 0.3, 0.6]}
        >>> fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
        >>> low, high = fit.profile_interval("sigma2", "study")
        >>> round(low, 4), round(high, 4)
        (0.0, 0.643)
        """
        level = check_level(self.level if level is None else level)
        known = [item for item in self._state.parameters if item.kind == parameter]
        if not known:
            kinds = ", ".join(dict.fromkeys(item.kind for item in self._state.parameters)) or "no parameter at all"
            raise InputError("parameter", found=repr(parameter), expected=kinds)
        names = [item.name for item in known]
        if isinstance(index, str) and index in names:
            index = names.index(index)
        if isinstance(index, str) or not -len(known) <= index < len(known):
            raise InputError(
                "index", found=repr(index), expected=f"0 to {len(known) - 1}, or one of {', '.join(names)}"
            )
        chosen = known[index]
        if not np.isfinite(getattr(self, parameter)[index]):
            message = f"{parameter} {chosen.name} has no estimate, and so no interval; the notes of the fit say why."
            raise NotEstimableError(message)
        where = (chosen.term, "rho" if parameter == "rho" else "variance", chosen.levels)
        name = f"{parameter} {chosen.name}"
        return profile_interval(self._state.problem, self._state.found, where, level, name)

    def blups(self, level: float | None = None) -> pd.DataFrame:
        """Predicted random effects: term group level estimate se pi_low pi_high.

        The intervals use the distribution of the fit's tests: normal, or t with the fewest degrees of freedom that a
        coefficient has.
        """
        level = check_level(self.level if level is None else level)
        problem = self._state.problem
        df = float(self._tests["df"].min())
        return predicted_effects(problem, problem.cells(self._state.found.x), level, df)

    def predict(self, new_data: Any = None, level: float | None = None) -> pd.DataFrame:
        """Mean effects with confidence and prediction intervals.

        The prediction interval holds for a new effect of a new group of every term: its variance adds all
        random-effects variances to that of the mean. Where variances differ between levels of inner, a row's own
        level is used; if it is not known, the limits are NaN and ``.attrs["notes"]`` says so.

        Parameters
        ----------
        new_data : DataFrame or array (m, p), optional
            Moderators (and the inner column). Without it: the one pooled effect, or the effects of the fit when there
            are moderators.
        level : float, optional
            Level of both intervals.

        Returns
        -------
        DataFrame
            estimate se ci_low ci_high pi_low pi_high
        """
        state, level = self._state, check_level(self.level if level is None else level)
        own = new_data is None and not state.design.intercept_only
        if new_data is None:
            matrix = np.ones((1, 1)) if state.design.intercept_only else state.design.matrix
        else:
            matrix = read_new(state.design, new_data)
        estimate = matrix @ self._tests["estimate"]
        variance = np.einsum("ij,jk,ik->i", matrix, self.covariance, matrix)
        spread, notes = self._spread(len(matrix), own, new_data)
        df = float(self._tests["df"].min())
        quantile = float(stats.norm.ppf(0.5 + level / 2) if np.isinf(df) else stats.t.ppf(0.5 + level / 2, df))
        se = np.sqrt(variance)
        wide = quantile * np.sqrt(variance + spread)
        out = pd.DataFrame(
            {
                "estimate": estimate, "se": se,
                "ci_low": estimate - quantile * se, "ci_high": estimate + quantile * se,
                "pi_low": estimate - wide, "pi_high": estimate + wide,
            }
        )  # fmt: skip
        out.attrs["notes"] = notes
        return out

    def _spread(self, rows: int, own: bool, new_data: Any) -> tuple[Floats, tuple[str, ...]]:
        """Variance of the random effects of each predicted row, NaN where its level is not known."""
        out, notes = np.full(rows, float(self.sigma2.sum())), []
        for i, term in enumerate(self._state.problem.terms):
            if not isinstance(term, StructuredTerm):
                continue
            variances = np.diag(self.random_covariance(i).to_numpy(dtype=float))
            name = term.name.split(" | ", maxsplit=1)[0]
            if np.ptp(variances) == 0:
                out += variances[0]
            elif own:
                out += variances[term.inner]
            elif isinstance(new_data, pd.DataFrame) and name in new_data:
                table = dict(zip(term.inner_labels, variances, strict=True))
                out += np.array([table.get(str(label), np.nan) for label in new_data[name]])
            else:
                out += np.nan
                notes.append(f"No prediction limits: the variance depends on {name}, and new_data does not give it.")
        return out, tuple(notes)


def check_level(level: float) -> float:
    """Check a confidence level."""
    if not isinstance(level, (int, float)) or not 0 < level < 1:
        raise InputError("level", found=repr(level), expected="a number between 0 and 1, such as 0.95")
    return float(level)
