"""Additive components of combined treatments: :func:`components`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.network._component_design import TOLERANCE, parse_components, row_space, what_is_unknown
from comfrey.models.network._gaussian import Evaluation, LinearModel
from comfrey.models.network._heterogeneity import Certificate, fit_tau2
from comfrey.models.network._intervals import chi2_p
from comfrey.models.network._ranking import p_scores
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from comfrey.models.network._bayes import BayesianComponents
    from comfrey.models.network._network import Network
    from comfrey.models.network._priors import Prior
    from comfrey.models.network._structure import Structure

__all__ = ["Components", "components"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Components(Result):
    """An additive component model of a network.

    Attributes
    ----------
    terms : tuple of str
        Components and interactions with an effect of their own.
    treatments : tuple of str
        Treatments of the network.
    inactive : str or None
        The component whose effect is zero by definition.
    separator : str
        What joins components in a label.
    method, test, level : str, str, float
        As in the network.
    tau2, tau, i2 : float
        Between-study variance of the additive model, its root, and percent of Q beyond its degrees of freedom.
    q, q_df, q_p : float, int, float
        Cochran's Q of the additive model.
    q_standard, q_standard_df : float, int
        Q of the network model, in which every combination has an effect of its own.
    q_difference, q_difference_df, q_difference_p : float, int, float
        Test of additivity: how much worse the additive model fits.
    identifiable : tuple of bool
        For each term, whether the data identify its effect. What they do not identify is not a number.
    notes : tuple of str
        Which effects are not identified, and why.
    """

    terms: tuple[str, ...]
    treatments: tuple[str, ...]
    inactive: str | None
    separator: str
    method: str
    test: str
    level: float
    small_values: str | None
    measure: str | None
    tau2: float
    tau: float
    i2: float
    q: float
    q_df: int
    q_p: float
    q_standard: float
    q_standard_df: int
    q_difference: float
    q_difference_df: int
    q_difference_p: float
    identifiable: tuple[bool, ...]
    certificate: Certificate | None
    notes: tuple[str, ...]
    _parts: tuple[tuple[str, ...], ...]
    _design: NDArray[np.float64]
    _basis: NDArray[np.float64]
    _model: LinearModel
    _random: Evaluation
    _common: Evaluation
    _cache: dict[str, Any] = field(default_factory=dict)

    def _table(self, contrasts: NDArray[np.float64], at: Evaluation, *, test: str) -> pd.DataFrame:
        """Estimates of linear combinations of the terms, (c, terms); what is not identified is not a number."""
        known = np.abs(contrasts - contrasts @ self._basis @ self._basis.T).max(axis=1, initial=0.0) < TOLERANCE
        free = contrasts @ self._basis
        estimate = free @ at.theta
        variance = np.maximum(((free @ at.covariance) * free).sum(axis=1), 0.0)
        df = float(self.q_df) if self.q_df > 0 else np.nan
        if test == "hk":
            variance = variance * at.q / df
        se = np.sqrt(variance)
        estimate, se = np.where(known, estimate, np.nan), np.where(known, se, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic = np.where(se > 0, estimate / se, np.nan)
        tail = 0.5 * (1 + self.level)
        quantile = stats.norm.ppf(tail) if test == "z" else stats.t.ppf(tail, df)
        p = 2 * (stats.norm.sf(np.abs(statistic)) if test == "z" else stats.t.sf(np.abs(statistic), df))
        return pd.DataFrame(
            {
                "estimate": estimate,
                "se": se,
                "ci_low": estimate - quantile * se,
                "ci_high": estimate + quantile * se,
                "statistic": statistic,
                "p_value": p,
            }
        )

    @property
    def components(self) -> pd.DataFrame:
        """One row a term: what it adds to a treatment, with `identifiable`."""
        table = self._table(np.eye(len(self.terms)), self._random, test=self.test)
        table.insert(0, "term", self.terms)
        table["identifiable"] = self.identifiable
        return table

    @property
    def common_components(self) -> pd.DataFrame:
        """The same under the common-effect model."""
        table = self._table(np.eye(len(self.terms)), self._common, test="z")
        table.insert(0, "term", self.terms)
        table["identifiable"] = self.identifiable
        return table

    def _pairs(self, at: Evaluation, column: str, test: str) -> pd.DataFrame:
        n = len(self.treatments)
        i, j = np.divmod(np.arange(n * n), n)
        values = self._table(self._design[i] - self._design[j], at, test=test)[column].to_numpy().reshape(n, n).copy()
        if column in {"estimate", "se"}:
            np.fill_diagonal(values, 0.0)
        index = pd.Index(self.treatments, name="treatment")
        return pd.DataFrame(values, index=index, columns=index)

    @property
    def effects(self) -> pd.DataFrame:
        """Effects of the treatments under additivity: row minus column."""
        return self._pairs(self._random, "estimate", self.test)

    @property
    def standard_errors(self) -> pd.DataFrame:
        """Standard errors of `effects`."""
        return self._pairs(self._random, "se", self.test)

    @property
    def common_effects(self) -> pd.DataFrame:
        """Effects under the common-effect model."""
        return self._pairs(self._common, "estimate", "z")

    @property
    def common_standard_errors(self) -> pd.DataFrame:
        """Standard errors of `common_effects`."""
        return self._pairs(self._common, "se", "z")

    @property
    def p_scores(self) -> pd.Series:
        """P-scores of the treatments among those that the data allow to compare."""
        if self.small_values is None:
            raise InputError(
                "small_values", found="nothing", expected="'desirable' or 'undesirable'",
                fix="Give small_values= to comfrey.network",
            )  # fmt: skip
        scores = p_scores(self.effects.to_numpy(), self.standard_errors.to_numpy(), self.small_values)
        return pd.Series(scores, index=pd.Index(self.treatments, name="treatment"), name="p_score")

    def combination(self, treatment: str, against: str) -> pd.Series:
        """Effect of any combination of the components against another one, studied or not.

        Parameters
        ----------
        treatment, against : str
            Components joined by the separator.

        Returns
        -------
        Series
            estimate, se, ci_low, ci_high, statistic, p_value.

        Raises
        ------
        InputError
            For a component that the model does not have.
        NotEstimableError
            If the data do not identify this effect.
        """
        known = {part for own in self._parts for part in own} | ({self.inactive} if self.inactive else set())
        sides = []
        for name, label in (("treatment", treatment), ("against", against)):
            parts = [p.strip() for p in label.split(self.separator)]
            unknown = [p for p in parts if p not in known]
            if unknown:
                raise InputError(name, found=repr(unknown[0]), expected=f"components among {', '.join(sorted(known))}")
            sides.append([float(all(p in parts for p in own)) for own in self._parts])
        row = self._table(np.array([sides[0]]) - np.array([sides[1]]), self._random, test=self.test).iloc[0]
        if np.isnan(row["estimate"]):
            raise NotEstimableError(
                f"the data do not identify {treatment} against {against}: no combination of the studies gives it"
            )
        return row.rename(f"{treatment} against {against}")

    def bayesian(self, prior: Prior | None = None, *, level: float | None = None) -> BayesianComponents:
        """Posterior of the components under a prior for tau, by adaptive quadrature."""
        from comfrey.models.network._bayes import bayesian_components

        return bayesian_components(self, prior, level=self.level if level is None else level)

    @property
    def summary(self) -> pd.DataFrame:
        """The components."""
        return self.components.set_index("term")

    @property
    def headline(self) -> tuple[str, ...]:
        """What was fitted and whether additivity holds."""
        zero = f"; {self.inactive} has no effect by definition" if self.inactive else ""
        test = (
            f"Additivity: Q = {self.q_difference:.2f} (df {self.q_difference_df}, p {self.q_difference_p:.4f})"
            if self.q_difference_df
            else "Additivity cannot be tested: the additive model has as many effects as the network"
        )
        return (
            f"Additive component model: {len(self.terms)} terms, {len(self.treatments)} treatments{zero}",
            f"Model: {self.method}; tau2 = {self.tau2:.4f}, I2 = {self.i2:.1f}%, Q = {self.q:.2f} (df {self.q_df})",
            test,
            *self.notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Every public field and the components, as plain JSON values."""
        result = Result.to_dict(self)
        c = self.certificate
        result["certificate"] = plain(None if c is None else asdict(c))
        result["components"] = plain(self.components)
        return result


def components(
    net: Network,
    inactive: str | None = None,
    separator: str = "+",
    interactions: Sequence[str | tuple[str, ...]] = (),
) -> Components:
    r"""Additive effects of the components of combined treatments.

    .. math:: \theta_t = \sum_{c \in t} \beta_c

    plus a term for each interaction whose components all are in t. The network may have several connected parts:
    components that they share bridge them. Which effects the data identify is computed, never assumed.

    Parameters
    ----------
    net : Network
        Network whose labels name the components.
    inactive : str, optional
        Component without an effect (placebo, usual care); spelt as in the data, but for upper and lower case.
    separator : str
        What joins components in a label.
    interactions : sequence of str or tuples
        Such as "A*B" or ("A", "B"): the combination has an effect beyond the sum.

    Returns
    -------
    Components

    Raises
    ------
    InputError
        For an inactive component or an interaction that the labels do not have.
    NotEstimableError
        If no comparison differs in its components.

    References
    ----------
    Rücker G, Petropoulou M, Schwarzer G. Biom J 2020;62:808-821, doi:10.1002/bimj.201800167.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([0.5, 0.3, 0.9], [0.1, 0.1, 0.1], ["A", "B", "A+B"], ["P", "P", "P"], [1, 2, 3], method="EE")
    >>> components(net, inactive="P").components[["term", "estimate"]].round(3)
      term  estimate
    0    A     0.533
    1    B     0.333
    """
    structure: Structure = net._structure
    parts, spelt, design = parse_components(net.treatments, separator, inactive, interactions)
    terms = tuple("*".join(own) for own in parts)
    basis = row_space(structure, design)
    reduced = design @ basis
    X = np.concatenate(
        [np.einsum("kra,kac->krc", g.design, reduced[g.arms]).reshape(-1, basis.shape[1]) for g in structure.groups]
    )
    y = np.concatenate([g.response.ravel() for g in structure.groups])
    v = np.concatenate([g.variance.ravel() for g in structure.groups])
    model = LinearModel(y, v, X)
    method = "EE" if net.method == "MH" else net.method
    tau2, certificate = fit_tau2(model, method)  # type: ignore[arg-type]  # checked when the network was made
    common = model.evaluate(0.0)
    random = model.evaluate(tau2)
    identifiable, notes = what_is_unknown(terms, basis, spelt)
    if net.n_parts > 1:
        notes.append(
            f"The network has {net.n_parts} parts that no study connects; components bridge them where they can"
        )
    df_difference = model.df - net.q_df
    difference = max(0.0, common.q - net.q) if df_difference else 0.0
    return Components(
        terms=terms,
        treatments=net.treatments,
        inactive=spelt,
        separator=separator,
        method=net.method,
        test=net.test,
        level=net.level,
        small_values=net.small_values,
        measure=net.measure,
        tau2=tau2,
        tau=float(np.sqrt(tau2)),
        i2=100 * max(0.0, (common.q - model.df) / common.q) if common.q > 0 and model.df > 0 else 0.0,
        q=common.q,
        q_df=model.df,
        q_p=chi2_p(common.q, model.df),
        q_standard=net.q,
        q_standard_df=net.q_df,
        q_difference=difference,
        q_difference_df=df_difference,
        q_difference_p=chi2_p(difference, df_difference),
        identifiable=tuple(identifiable),
        certificate=certificate,
        notes=tuple(notes),
        _parts=parts,
        _design=design,
        _basis=basis,
        _model=model,
        _random=random,
        _common=common,
    )
