"""Bayesian networks and components without chains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from comfrey.errors import InputError
from comfrey.models.network._gaussian import LinearModel, NetworkModel
from comfrey.models.network._priors import HalfNormal, Prior
from comfrey.models.network._quadrature import Posterior, mixture_cdf, mixture_quantile, posterior
from comfrey.models.network._ranking import Ranking, make_ranking
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from comfrey.models.network._components import Components
    from comfrey.models.network._network import Network

__all__ = [
    "Bayesian",
    "BayesianComponents",
    "BayesianNetwork",
    "bayesian_components",
    "bayesian_network",
    "common_fields",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Bayesian(Result):
    """What all three have in common.

    Attributes
    ----------
    prior : str
        Prior for tau; effects have a flat one.
    level : float
        Of the equal-tailed credible intervals.
    tau_mean, tau_sd, tau_median, tau_low, tau_high : float
        Posterior of tau; mean and standard deviation are not a number where they do not exist (heavy tails).
    error : float
        Bound of the relative error of the integrals.
    log_evidence : float
        Log of the integral of prior times restricted likelihood: differences compare priors.
    evaluations : int
        How many values of tau were solved.
    notes : tuple of str
        Moments that do not exist.
    """

    prior: str
    level: float
    tau_mean: float
    tau_sd: float
    tau_median: float
    tau_low: float
    tau_high: float
    error: float
    log_evidence: float
    evaluations: int
    notes: tuple[str, ...]
    _posterior: Posterior
    _model: NetworkModel | LinearModel
    _prior: Prior

    def tau_density(self, tau: ArrayLike) -> NDArray[np.float64]:
        """Posterior density of tau at given values above zero."""
        x = np.atleast_1d(np.asarray(tau, dtype=np.float64))
        if not (x > 0).all():
            raise InputError("tau", found=float(x.min()), expected="values above zero")
        height = [self._model.evaluate(float(t * t)).log_likelihood(self._model.free, restricted=True) for t in x]
        inside = x <= self._prior.upper
        return np.where(inside, np.exp(np.array(height) + self._prior.log_density(x) - self.log_evidence), 0.0)

    def _describe(self, contrasts: NDArray[np.float64], *, predict: bool = True) -> pd.DataFrame:
        """Posterior of linear combinations, with a bound for the error of the interval's probability."""
        p = self._posterior
        mean, variance = p.linear(contrasts)
        average = mean @ p.weight
        total = np.maximum((variance + mean**2) @ p.weight - average**2, 0.0)
        sd = np.sqrt(variance)
        tail = 0.5 * (1 - self.level)
        low, middle, high = (mixture_quantile(q, mean, sd, p.weight) for q in (tail, 0.5, 1 - tail))
        table = {
            "mean": average if p.order >= 1 else np.full(average.size, np.nan),
            "sd": np.sqrt(total) if p.order >= 2 else np.full(average.size, np.nan),
            "median": middle,
            "ci_low": low,
            "ci_high": high,
            "probability_above_zero": 1 - mixture_cdf(np.zeros(average.size), mean, sd, p.weight),
            "probability_error": np.abs(mixture_cdf(high, mean, sd, p.weight) - mixture_cdf(high, mean, sd, p.coarse)),
        }
        if predict:
            wide = np.sqrt(variance + p.tau**2)
            table["pi_low"], table["pi_high"] = (mixture_quantile(q, mean, wide, p.weight) for q in (tail, 1 - tail))
        return pd.DataFrame(table)

    @property
    def _head(self) -> tuple[str, ...]:
        return (
            f"Prior for tau: {self.prior}; effects have a flat prior",
            f"tau: median {self.tau_median:.4f} [{self.tau_low:.4f}; {self.tau_high:.4f}]; "
            f"{100 * self.level:g}% credible intervals",
            f"Quadrature with {self.evaluations} evaluations, relative error below {max(self.error, 1e-15):.1e}",
            *self.notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Every public field and the summary, as plain JSON values."""
        result = Result.to_dict(self)
        result["effects"] = plain(self.summary.reset_index())
        return result


def common_fields(model: NetworkModel | LinearModel, prior: Prior | None, level: float) -> dict[str, Any]:
    """Integrate, and describe tau."""
    chosen = HalfNormal(1.0) if prior is None else prior
    if not isinstance(chosen, Prior):
        raise InputError("prior", found=type(chosen).__name__, expected="a prior for tau, such as HalfNormal(0.5)")
    if not 0 < level < 1:
        raise InputError("level", found=level, expected="a probability between 0 and 1")
    p = posterior(model, chosen)
    mean = float(p.tau @ p.weight) if p.order >= 1 else float("nan")
    sd = float(np.sqrt(max(0.0, float((p.tau**2) @ p.weight) - mean**2))) if p.order >= 2 else float("nan")
    tail = 0.5 * (1 - level)
    notes = () if p.order >= 2 else (
        "The tails of the posterior are so heavy that standard deviations"
        + (" " if p.order else " and means ")
        + "do not exist (not a number); medians and intervals do",
    )  # fmt: skip
    return {
        "prior": repr(chosen), "level": float(level), "tau_mean": mean, "tau_sd": sd,
        "tau_median": p.tau_quantile(0.5), "tau_low": p.tau_quantile(tail), "tau_high": p.tau_quantile(1 - tail),
        "error": p.error, "log_evidence": p.log_evidence, "evaluations": p.evaluations, "notes": notes,
        "_posterior": p, "_model": model, "_prior": chosen,
    }  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BayesianNetwork(Bayesian):
    """Posterior of a network."""

    treatments: tuple[str, ...] = ()
    reference: str = ""
    small_values: str | None = None
    _cache: dict[str, Any] = field(default_factory=dict)

    def _pair_rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        n = len(self.treatments)
        i, j = np.triu_indices(n, 1)
        rows = np.zeros((i.size, n))
        rows[np.arange(i.size), i], rows[np.arange(i.size), j] = 1.0, -1.0
        return i, j, rows

    def _matrix(self, column: str, mirror: str) -> pd.DataFrame:
        """One column of the pairwise table as row minus column; `mirror` turns round below the diagonal."""
        if "pairs" not in self._cache:
            i, j, rows = self._pair_rows()
            self._cache["pairs"] = (i, j, self._describe(rows))
        i, j, table = self._cache["pairs"]
        values = np.zeros((len(self.treatments),) * 2)
        values[i, j] = table[column]
        values[j, i] = table[mirror] if column in {"sd"} else -table[mirror]
        index = pd.Index(self.treatments, name="treatment")
        return pd.DataFrame(values, index=index, columns=index)

    @property
    def effects(self) -> pd.DataFrame:
        """Posterior means: row minus column."""
        return self._matrix("mean", "mean")

    @property
    def medians(self) -> pd.DataFrame:
        """Posterior medians."""
        return self._matrix("median", "median")

    @property
    def standard_deviations(self) -> pd.DataFrame:
        """Posterior standard deviations."""
        return self._matrix("sd", "sd")

    @property
    def ci_low(self) -> pd.DataFrame:
        """Lower ends of the credible intervals."""
        return self._matrix("ci_low", "ci_high")

    @property
    def ci_high(self) -> pd.DataFrame:
        """Upper ends of the credible intervals."""
        return self._matrix("ci_high", "ci_low")

    @property
    def pi_low(self) -> pd.DataFrame:
        """Lower ends of the predictive intervals of the effect in a new study."""
        return self._matrix("pi_low", "pi_high")

    @property
    def pi_high(self) -> pd.DataFrame:
        """Upper ends of the predictive intervals."""
        return self._matrix("pi_high", "pi_low")

    def _direction(self) -> float:
        if self.small_values is None:
            raise InputError(
                "small_values", found="nothing", expected="'desirable' or 'undesirable'",
                fix="Give small_values= to comfrey.network",
            )  # fmt: skip
        return -1.0 if self.small_values == "desirable" else 1.0

    @property
    def better(self) -> pd.DataFrame:
        """Posterior probability that the row treatment is better than the column one, exact."""
        sign = self._direction()
        i, j, rows = self._pair_rows()
        mean, variance = self._posterior.linear(rows)
        chance = ndtr(sign * mean / np.sqrt(variance)) @ self._posterior.weight
        values = np.full((len(self.treatments),) * 2, np.nan)
        values[i, j], values[j, i] = chance, 1 - chance
        index = pd.Index(self.treatments, name="treatment")
        return pd.DataFrame(values, index=index, columns=index)

    @property
    def p_scores(self) -> pd.Series:
        """Posterior SUCRA: the mean probability of being better than another treatment, exact."""
        return self.better.mean(axis=1).rename("p_score")

    def ranking(self) -> Ranking:
        """Rank probabilities by quasi-Monte Carlo (8 scrambled Sobol sets of 4,096 points, always the same ones).

        Returns
        -------
        Ranking
            `standard_error` is the largest standard error among the probabilities, from the 8 sets.
        """
        sign = self._direction()
        if "ranking" not in self._cache:
            shares = np.array([_rank_shares(self._posterior, sign, seed) for seed in range(8)])
            self._cache["ranking"] = make_ranking(
                self.treatments, shares.mean(axis=0), self.p_scores.to_numpy(), level=self.level,
                draws=8 * 4096, seed=0,
                standard_error=float((shares.std(axis=0, ddof=1) / np.sqrt(8)).max()),
            )  # fmt: skip
        return cast("Ranking", self._cache["ranking"])

    @property
    def rank_probabilities(self) -> pd.DataFrame:
        """Probability of each rank; see `ranking()`."""
        return self.ranking().probabilities.copy()

    @property
    def summary(self) -> pd.DataFrame:
        """One row a treatment, against the reference."""
        n = len(self.treatments)
        base = self.treatments.index(self.reference)
        rows = np.eye(n)
        rows[:, base] -= 1.0
        keep = [i for i in range(n) if i != base]
        table = self._describe(rows[keep]).drop(columns="probability_error")
        table.index = pd.Index([self.treatments[i] for i in keep], name="treatment")
        return table

    @property
    def headline(self) -> tuple[str, ...]:
        """Model, prior, tau, error."""
        return (
            f"Bayesian network meta-analysis: {len(self.treatments)} treatments, against {self.reference}",
            *self._head,
        )


def _rank_shares(p: Posterior, sign: float, seed: int) -> NDArray[np.float64]:
    """Frequencies of ranks, (n, n), from one scrambled Sobol set over tau and the effects."""
    n = p.theta.shape[1]
    live = np.flatnonzero(np.diagonal(p.covariance, axis1=1, axis2=2).max(axis=0) > 0)
    points = qmc.Sobol(live.size + 1, rng=np.random.default_rng(seed)).random(4096)
    node = np.minimum(np.searchsorted(np.cumsum(p.weight), points[:, 0]), p.weight.size - 1)
    normal = ndtri(np.clip(points[:, 1:], 1e-15, 1 - 1e-15))
    sample = p.theta[node]
    roots = {int(g): np.linalg.cholesky(p.covariance[g][np.ix_(live, live)]) for g in np.unique(node)}
    for g, root in roots.items():
        at = np.flatnonzero(node == g)
        sample[np.ix_(at, live)] += normal[at] @ root.T
    order = np.argsort(-sign * sample, axis=1)
    return np.bincount((order * n + np.arange(n)).ravel(), minlength=n * n).reshape(n, n) / 4096


def bayesian_network(net: Network, prior: Prior | None, *, level: float) -> BayesianNetwork:
    """Posterior of a connected network; see :meth:`Network.bayesian`."""
    net._one_part("a Bayesian analysis")
    if net.method == "MH":
        raise InputError("net", found="a Mantel-Haenszel network", expected="a network with a normal likelihood")
    return BayesianNetwork(
        **common_fields(NetworkModel(net._structure), prior, level),
        treatments=net.treatments, reference=net.reference, small_values=net.small_values,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BayesianComponents(Bayesian):
    """Posterior of an additive component model."""

    terms: tuple[str, ...] = ()
    _rows: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def components(self) -> pd.DataFrame:
        """One row a term; what the data do not identify is not a number."""
        known = np.isfinite(self._rows).all(axis=1)
        table = self._describe(self._rows[known], predict=False).drop(columns="probability_error")
        table = table.set_axis(np.flatnonzero(known)).reindex(range(len(self.terms)))
        table.insert(0, "term", self.terms)
        return table

    @property
    def summary(self) -> pd.DataFrame:
        """The components."""
        return self.components.set_index("term")

    @property
    def headline(self) -> tuple[str, ...]:
        """Model, prior, tau, error."""
        return (f"Bayesian additive component model: {len(self.terms)} terms", *self._head)


def bayesian_components(model: Components, prior: Prior | None, *, level: float) -> BayesianComponents:
    """Posterior of a component model; see :meth:`Components.bayesian`."""
    rows = np.where(np.array(model.identifiable)[:, None], model._basis, np.nan)
    return BayesianComponents(**common_fields(model._model, prior, level), terms=model.terms, _rows=rows)
