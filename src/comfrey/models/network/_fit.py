"""The network meta-analysis itself: :func:`network` and its result, :class:`Network`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd
from scipy import stats

from comfrey.errors import InputError
from comfrey.models.network import _contribution, _inconsistency, _league, _splitting, _threshold
from comfrey.models.network._contrasts import Contrasts
from comfrey.models.network._designs import fit_designs
from comfrey.models.network._direct import Direct, direct_evidence
from comfrey.models.network._heterogeneity import Certificate, Method, estimate_tau2
from comfrey.models.network._input import Rows, column, read_rows, structure_of
from comfrey.models.network._intervals import Pairs, Test, compare_pairs, q_by_part
from comfrey.models.network._ranking import PartialOrder, Ranking, make_ranking, p_scores, partial_order, rank_counts
from comfrey.models.network._solve import Solution, solve
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from comfrey.models.network._bayes import BayesianNetwork
    from comfrey.models.network._priors import Prior
    from comfrey.models.network._structure import Structure

__all__ = ["Network", "network"]

_METHODS = ("EE", "DL", "ML", "REML")
_TESTS = ("z", "t", "hk")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Network(Result):
    """A network meta-analysis; what goes beyond the fit is computed when it is asked for, and kept.

    Attributes
    ----------
    treatments : tuple of str
        Labels, sorted.
    reference : str
        What `summary` compares with.
    method, test, level, measure, small_values : str, str, float, str, str or None
        As asked for.
    k, n_comparisons : int
        Number of studies, and of comparisons (rows).
    n_parts : int
        Number of connected parts; effects between parts do not exist and are not a number.
    tau2, tau : float
        Between-study variance and its root; not a number where each of several parts has its own (see `parts`).
    i2 : float
        Percent of Q beyond its degrees of freedom.
    q, q_df, q_p : float, int, float
        Cochran's Q of the whole network under the common-effect model.
    certificates : tuple
        For each part, what is known of the maximum of the likelihood; None for closed forms.
    notes : tuple of str
        What to know: parts, adjustments, numbers that do not exist.
    """

    treatments: tuple[str, ...]
    reference: str
    method: str
    test: str
    level: float
    measure: str | None
    small_values: str | None
    k: int
    n_comparisons: int
    n_parts: int
    tau2: float
    tau: float
    i2: float
    q: float
    q_df: int
    q_p: float
    certificates: tuple[Certificate | None, ...]
    notes: tuple[str, ...]
    _rows: Rows
    _structure: Structure
    _tau2: NDArray[np.float64]
    _common: Solution
    _random: Solution
    _cache: dict[str, Any] = field(default_factory=dict)

    def _keep(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._cache:
            self._cache[name] = make()
        return self._cache[name]

    # --- effects ---------------------------------------------------------------------------------------------

    @property
    def _pairs(self) -> Pairs:
        make = lambda: compare_pairs(  # noqa: E731  # deferred, so that nothing is computed before it is asked for
            self._structure, self._random, self._tau2, cast("Test", self.test), self.level,
            predict=self.method in {"DL", "ML", "REML"},
        )  # fmt: skip
        return cast("Pairs", self._keep("pairs", make))

    @property
    def _common_pairs(self) -> Pairs:
        make = lambda: compare_pairs(  # noqa: E731  # as above
            self._structure, self._common, np.zeros(self.n_parts), "z", self.level, predict=False
        )
        return cast("Pairs", self._keep("common pairs", make))

    def _frame(self, values: NDArray[Any]) -> pd.DataFrame:
        index = pd.Index(self.treatments, name="treatment")
        return pd.DataFrame(values, index=index, columns=index, copy=True)

    def _series(self, values: NDArray[np.float64], name: str) -> pd.Series:
        return pd.Series(values, index=pd.Index(self.treatments, name="treatment"), name=name)

    @property
    def effects(self) -> pd.DataFrame:
        """Effects under the model asked for: row treatment minus column treatment."""
        return self._frame(self._pairs.estimate)

    @property
    def standard_errors(self) -> pd.DataFrame:
        """Standard errors of `effects`."""
        return self._frame(self._pairs.se)

    @property
    def ci_low(self) -> pd.DataFrame:
        """Lower confidence limits of `effects`."""
        return self._frame(self._pairs.ci_low)

    @property
    def ci_high(self) -> pd.DataFrame:
        """Upper confidence limits of `effects`."""
        return self._frame(self._pairs.ci_high)

    @property
    def p_values(self) -> pd.DataFrame:
        """Two-sided p-values of `effects`."""
        return self._frame(self._pairs.p_value)

    @property
    def pi_low(self) -> pd.DataFrame:
        """Lower limits of the prediction intervals; a t quantile with the degrees of freedom of Q."""
        return self._frame(self._pairs.pi_low)

    @property
    def pi_high(self) -> pd.DataFrame:
        """Upper limits of the prediction intervals."""
        return self._frame(self._pairs.pi_high)

    @property
    def common_effects(self) -> pd.DataFrame:
        """Effects under the common-effect model."""
        return self._frame(self._common_pairs.estimate)

    @property
    def common_standard_errors(self) -> pd.DataFrame:
        """Standard errors of `common_effects`."""
        return self._frame(self._common_pairs.se)

    @property
    def covariance(self) -> pd.DataFrame:
        """Covariance of the effects against the first treatment of each part (whose own row is zero)."""
        return self._frame(self._random.inverse)

    # --- heterogeneity and inconsistency ---------------------------------------------------------------------

    @property
    def _q_parts(self) -> tuple[float, int]:
        designs = self._keep("common designs", lambda: fit_designs(self._structure, 0.0))
        return sum(d.q for d in designs), sum(d.df for d in designs)

    @property
    def q_heterogeneity(self) -> float:
        """Q within designs: studies of the same design that disagree."""
        return self._q_parts[0]

    @property
    def q_heterogeneity_df(self) -> int:
        """Degrees of freedom of `q_heterogeneity`."""
        return self._q_parts[1]

    @property
    def q_heterogeneity_p(self) -> float:
        """P-value of `q_heterogeneity`; not a number without degrees of freedom (no design has two studies)."""
        return chi2_p(*self._q_parts)

    @property
    def q_inconsistency(self) -> float:
        """Q between designs: direct and indirect evidence that disagree."""
        return max(0.0, self.q - self._q_parts[0]) if self.q_inconsistency_df else 0.0

    @property
    def q_inconsistency_df(self) -> int:
        """Degrees of freedom of `q_inconsistency`: the loops that can disagree."""
        return self.q_df - self._q_parts[1]

    @property
    def q_inconsistency_p(self) -> float:
        """P-value of `q_inconsistency`; not a number in a network without loops."""
        return chi2_p(self.q_inconsistency, self.q_inconsistency_df)

    @property
    def parts(self) -> pd.DataFrame:
        """One row a connected part: its treatments, studies, heterogeneity and Q."""
        q, df = q_by_part(self._structure, self._common)
        table = []
        for i in range(self.n_parts):
            inside = self._structure.island == i
            table.append(
                {
                    "treatments": ", ".join(t for t, here in zip(self.treatments, inside, strict=True) if here),
                    "n_treatments": int(inside.sum()),
                    "k": int((self._structure.island_of_study == i).sum()),
                    "tau2": float(self._tau2[i]),
                    "q": float(q[i]),
                    "df": int(df[i]),
                    "p_value": chi2_p(float(q[i]), int(df[i])),
                }
            )
        return pd.DataFrame(table, index=pd.Index(range(1, self.n_parts + 1), name="part"))

    @property
    def subnetworks(self) -> tuple[Network, ...]:
        """Each connected part as a network of its own, fitted with the same settings."""
        if self.n_parts == 1:
            return (self,)

        def make() -> tuple[Network, ...]:
            names = np.asarray(self.treatments)
            trials = np.asarray(self._rows.studies)
            result = []
            for i in range(self.n_parts):
                here = self._structure.island[self._rows.first] == i
                r = self._rows
                result.append(
                    network(
                        r.yi[here], r.vi[here], names[r.first[here]], names[r.second[here]], trials[r.study[here]],
                        method=cast("Method", self.method), test=cast("Test", self.test), level=self.level,
                        small_values=cast("Any", self.small_values), measure=self.measure,
                    )
                )  # fmt: skip
            return tuple(result)

        return cast("tuple[Network, ...]", self._keep("subnetworks", make))

    def split(
        self, method: Literal["back-calculation", "SIDDE"] = "back-calculation", *, tau2: Literal["network", "refit"] = "network"
    ) -> pd.DataFrame:
        """Split each comparison into direct and indirect evidence and test whether they agree.

        Parameters
        ----------
        method : "back-calculation" or "SIDDE"
            Back-calculation takes the direct estimate out of the network's (Dias et al. 2010,
            doi:10.1002/sim.3767; König et al. 2013, doi:10.1002/sim.6001). SIDDE refits the network without any
            study that holds both treatments (Efthimiou et al. 2019, doi:10.1002/sim.8158).
        tau2 : "network" or "refit"
            For SIDDE: keep the heterogeneity of the whole network, or estimate it anew without those studies.

        Returns
        -------
        DataFrame
            Index (treatment_1, treatment_2). Columns: k, proportion (of direct evidence), network, direct, indirect
            and their standard errors, difference, se_difference, ci_low, ci_high, statistic, p_value. What does not
            exist (no direct, or no indirect evidence) is not a number, and `evidence` says which.

        Raises
        ------
        InputError
            If `method` or `tau2` is none of these.
        """
        return cast("pd.DataFrame", self._keep(f"split {method} {tau2}", lambda: _splitting.split(self, method, tau2)))

    def designs(self, tau2_within: Literal["DL", "ML", "REML"] = "DL") -> _inconsistency.Designs:
        """Decompose Q by design and test the design-by-treatment interaction.

        Parameters
        ----------
        tau2_within : "DL", "ML" or "REML"
            How the heterogeneity within designs is estimated for the test under random effects.

        Returns
        -------
        Designs
            With `decomposition`, `within`, `detached`, and the random-effects test.
        """
        make = lambda: _inconsistency.decompose(self, tau2_within)  # noqa: E731  # deferred
        return cast("_inconsistency.Designs", self._keep(f"designs {tau2_within}", make))

    def net_heat(self, *, random: bool = False) -> _inconsistency.NetHeat:
        """Where inconsistency comes from: the net heat matrix of Krahn et al. 2013.

        Parameters
        ----------
        random : bool
            Add the network's heterogeneity to the variances.

        Returns
        -------
        NetHeat
            With `heat` (change of a design's Q when another one is detached) and `contribution` (hat matrix).
        """
        make = lambda: _inconsistency.net_heat(self, random=random)  # noqa: E731  # deferred
        return cast("_inconsistency.NetHeat", self._keep(f"heat {random}", make))

    # --- contributions, rankings, tables ----------------------------------------------------------------------

    def contributions(
        self,
        kind: Literal["shortest-path", "random-walk", "hat"] = "random-walk",
        *,
        per: Literal["comparison", "study", "risk of bias"] = "comparison",
        risk_of_bias: Mapping[str, str] | None = None,
        common: bool = False,
    ) -> pd.DataFrame:
        """How much each piece of direct evidence contributes to each estimate of the network.

        Parameters
        ----------
        kind : "random-walk", "shortest-path" or "hat"
            Streams of evidence weighed by a random walk (Davies et al. 2022, doi:10.1002/sim.9346), or taken one
            shortest path after another (Papakonstantinou et al. 2018, doi:10.12688/f1000research.14770.3), or the
            hat matrix itself, signed.
        per : "comparison", "study" or "risk of bias"
            What the columns are. Studies share a comparison's contribution by their weights.
        risk_of_bias : mapping of study to level
            Needed for ``per="risk of bias"``.
        common : bool
            Use the common-effect model.

        Returns
        -------
        DataFrame
            One row a pair of treatments; rows of the two stream methods sum to one. Rows of unconnected pairs are
            not a number.

        Raises
        ------
        InputError
            If an argument is none of these, or a study has no level of risk of bias.
        NotEstimableError
            If a study's covariance makes evidence flow in circles.
        """
        return _contribution.contributions(self, kind, per, risk_of_bias, common=common)

    def _direction(self) -> str:
        if self.small_values is None:
            raise InputError(
                "small_values", found="nothing", expected="'desirable' or 'undesirable'",
                fix="A ranking needs to know which direction is good: give small_values= to comfrey.network",
            )  # fmt: skip
        return self.small_values

    @property
    def p_scores(self) -> pd.Series:
        """P-scores under the model asked for, by treatment; within its part of the network."""
        return self._series(p_scores(self._pairs.estimate, self._pairs.se, self._direction()), "p_score")

    @property
    def common_p_scores(self) -> pd.Series:
        """P-scores under the common-effect model."""
        pairs = self._common_pairs
        return self._series(p_scores(pairs.estimate, pairs.se, self._direction()), "p_score")

    def ranking(self, *, draws: int = 20_000, seed: int = 1, minimal_difference: float = 0.0) -> Ranking:
        """Rank probabilities, SUCRA, mean ranks with intervals, and the precision of the hierarchy.

        Parameters
        ----------
        draws, seed : int
            Size and start of the simulation.
        minimal_difference : float
            P-scores and mean ranks only count what is better by at least this much.

        Returns
        -------
        Ranking

        Raises
        ------
        InputError
            If `small_values` was not given, or the network has several parts (rank each of `subnetworks`).
        """
        direction = self._direction()
        self._one_part("ranking")
        if draws < 1:
            raise InputError("draws", found=draws, expected="at least one")

        def make() -> Ranking:
            counts = rank_counts(self._random.theta, self._random.inverse, direction, draws, seed)
            share = counts / draws
            scores = p_scores(self._pairs.estimate, self._pairs.se, direction, minimal_difference)
            error = float(np.sqrt((share * (1 - share)).max() / draws))
            return make_ranking(
                self.treatments, counts.astype(np.float64), scores, level=self.level, draws=draws, seed=seed,
                standard_error=error,
            )  # fmt: skip

        return cast("Ranking", self._keep(f"ranking {draws} {seed} {minimal_difference}", make))

    @property
    def rank_probabilities(self) -> pd.DataFrame:
        """Probability of each rank, from 20,000 draws with seed 1; `ranking()` gives their uncertainty."""
        return self.ranking().probabilities.copy()

    def partial_order(
        self, *others: Network, minimal_difference: float = 0.0, confidence: float = 0.95
    ) -> PartialOrder:
        """Order treatments only where the evidence is strong enough; with `others`, on every outcome at once.

        Parameters
        ----------
        *others : Network
            Networks of other outcomes; only treatments that all networks hold are ordered.
        minimal_difference, confidence : float
            What counts as better, and how sure it has to be.

        Returns
        -------
        PartialOrder
        """
        nets = (self, *others)
        names = [t for t in self.treatments if all(t in net.treatments for net in others)]
        tables = []
        for net in nets:
            pick = [net.treatments.index(t) for t in names]
            at = np.ix_(pick, pick)
            tables.append((net._pairs.estimate[at], net._pairs.se[at], net._direction()))
        return partial_order(names, tables, minimal_difference, confidence)

    def league(
        self, *, upper: Literal["direct", "network"] | Network = "direct", digits: int = 2, transform: bool | None = None,
        order: Sequence[str] | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """League table: network estimates below the diagonal, direct ones (or another network's) above.

        Parameters
        ----------
        upper : "direct", "network" or Network
            What stands above the diagonal.
        digits : int
            Decimals.
        transform : bool, optional
            Show ratios; by default for measures that are analysed as logarithms.
        order : sequence of str, optional
            Treatments in this order; by default by P-score if the direction is known, else as sorted.

        Returns
        -------
        DataFrame of str
            Cell (row, column) below the diagonal compares the column treatment with the row one, above it the row
            treatment with the column one, so that both read "upper left against lower right".
        """
        return _league.league(self, upper, digits, transform, order)

    def threshold(self, *, decision: str | None = None) -> pd.DataFrame:
        """How far each comparison would have to move before another treatment were preferred.

        Parameters
        ----------
        decision : str, optional
            The preferred treatment; by default the one with the best effect.

        Returns
        -------
        DataFrame
            See :func:`comfrey.models.network.threshold_analysis`.
        """
        return _threshold.threshold_analysis(self, decision=decision)

    def bayesian(self, prior: Prior | None = None, *, level: float | None = None) -> BayesianNetwork:
        """Posterior under a prior for tau, by adaptive quadrature: no chains, no seed, an error bound.

        Parameters
        ----------
        prior : Prior, optional
            For tau; by default half-normal with scale 1.
        level : float, optional
            Of the credible intervals; by default that of the network.

        Returns
        -------
        BayesianNetwork
        """
        from comfrey.models.network._bayes import bayesian_network

        return bayesian_network(self, prior, level=self.level if level is None else level)

    def _one_part(self, purpose: str) -> None:
        if self.n_parts > 1:
            raise InputError(
                "network", found=f"{self.n_parts} parts that no study connects", expected=f"a connected network for {purpose}",
                fix="Ask each of .subnetworks",
            )  # fmt: skip

    @property
    def _direct(self) -> Direct:
        make = lambda: direct_evidence(self._rows, self._structure, self._tau2)  # noqa: E731  # deferred
        return cast("Direct", self._keep("direct", make))

    # --- the face ---------------------------------------------------------------------------------------------

    @property
    def summary(self) -> pd.DataFrame:
        """One row a treatment: its effect against the reference (of its part), best first if the direction is known."""
        base = np.full(self.n_parts, -1)
        base[self._structure.island[self.treatments.index(self.reference)]] = self.treatments.index(self.reference)
        studies = _studies_per_treatment(self._structure)
        for part in np.flatnonzero(base < 0):
            inside = np.flatnonzero(self._structure.island == part)
            base[part] = inside[int(np.argmax(studies[inside]))]
        rows, columns = np.arange(len(self.treatments)), base[self._structure.island]
        keep = rows != columns
        pairs, at = self._pairs, (rows[keep], columns[keep])
        names = np.asarray(self.treatments)
        table = pd.DataFrame(
            {
                "compared_with": names[columns[keep]],
                "k": studies[rows[keep]],
                "estimate": pairs.estimate[at],
                "se": pairs.se[at],
                "ci_low": pairs.ci_low[at],
                "ci_high": pairs.ci_high[at],
                "statistic": pairs.statistic[at],
                "p_value": pairs.p_value[at],
                "pi_low": pairs.pi_low[at],
                "pi_high": pairs.pi_high[at],
            },
            index=pd.Index(names[keep], name="treatment"),
        )
        if self.small_values is not None:
            table["p_score"] = self.p_scores.to_numpy()[keep]
            table = table.sort_values("p_score", ascending=False, kind="stable")
        return table

    @property
    def headline(self) -> tuple[str, ...]:
        """What was fitted and how it fits."""
        model = "common-effect" if self.method == "EE" else self.method if self.method == "MH" else f"random-effects ({self.method})"
        interval = {"z": "normal", "t": "t", "hk": "Knapp-Hartung"}[self.test]
        measure = f" of {self.measure}" if self.measure else ""
        lines = [
            f"Network meta-analysis{measure}: {len(self.treatments)} treatments, {self.k} studies, {self.n_comparisons} comparisons",
            f"Model: {model}; {100 * self.level:g}% {interval} intervals; effects against {self.reference}",
        ]
        if np.isfinite(self.tau2):
            lines.append(f"tau2 = {self.tau2:.4f}, I2 = {self.i2:.1f}%, Q = {self.q:.2f} (df {self.q_df}, p {_p(self.q_p)})")
        else:
            lines.append(f"Q = {self.q:.2f} (df {self.q_df}, p {_p(self.q_p)}); tau2 of each part: see .parts")
        return (*lines, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Every public field, the effects against the reference and the decomposition of Q, as plain JSON values."""
        result = Result.to_dict(self)
        result["certificates"] = [plain(None if c is None else {s: getattr(c, s) for s in c.__slots__}) for c in self.certificates]
        for name in ("q_heterogeneity", "q_inconsistency"):
            for suffix in ("", "_df", "_p"):
                result[name + suffix] = plain(getattr(self, name + suffix))
        result["parts"] = plain(self.parts)
        result["effects"] = plain(self.summary.reset_index())
        return result


def chi2_p(q: float, df: int) -> float:
    """Upper tail of the chi-squared distribution; not a number without degrees of freedom."""
    return float(stats.chi2.sf(q, df)) if df > 0 else float("nan")


def _p(value: float) -> str:
    return "not available" if np.isnan(value) else f"{value:.4f}" if value >= 1e-4 else "< 0.0001"


def _studies_per_treatment(structure: Structure) -> NDArray[np.int64]:
    return np.bincount(np.concatenate([g.arms.ravel() for g in structure.groups]), minlength=structure.n)


def _choose_reference(structure: Structure, reference: str | None) -> str:
    if reference is None:
        return structure.treatments[int(np.argmax(_studies_per_treatment(structure)))]
    if str(reference) not in structure.treatments:
        raise InputError(
            "reference", found=repr(reference), expected=f"one of the treatments ({', '.join(structure.treatments)})"
        )
    return str(reference)


def check_options(method: str, test: str, level: float, small_values: str | None) -> None:
    """Refuse options that do not exist."""
    if method not in _METHODS:
        raise InputError("method", found=repr(method), expected=f"one of {', '.join(_METHODS)}")
    if test not in _TESTS:
        raise InputError("test", found=repr(test), expected=f"one of {', '.join(_TESTS)}")
    if not (isinstance(level, (int, float)) and 0 < level < 1):
        raise InputError("level", found=level, expected="a probability between 0 and 1")
    if small_values not in {None, "desirable", "undesirable"}:
        raise InputError("small_values", found=repr(small_values), expected="'desirable' or 'undesirable'")


def network(
    yi: ArrayLike | str | Contrasts,
    vi: ArrayLike | str | None = None,
    treat_1: ArrayLike | str | None = None,
    treat_2: ArrayLike | str | None = None,
    study: ArrayLike | str | None = None,
    method: Literal["REML", "DL", "ML", "EE", "MH"] = "REML",
    *,
    small_values: Literal["desirable", "undesirable"] | None = None,
    test: Literal["z", "t", "hk"] = "z",
    level: float = 0.95,
    reference: str | None = None,
    measure: str | None = None,
    shared_tau2: bool = False,
    data: pd.DataFrame | None = None,
) -> Network:
    r"""Compare many treatments at once with all direct and indirect evidence.

    .. math:: y_s \sim N\{X_s \theta, V_s + \tau^2 \tfrac12 (I + J)\}

    for each study s, with y its contrasts against one arm, V their sampling covariance (from the variances of all
    its comparisons) and theta the effects, consistent over the network.

    Parameters
    ----------
    yi, vi : (m,) array-like or column names
        Effects (treatment 1 minus treatment 2, on the scale of analysis) and sampling variances. A study with a arms
        gives all a (a - 1) / 2 comparisons. Instead of these five, the result of :func:`comfrey.contrasts`.
    treat_1, treat_2, study : (m,) array-like or column names
        Labels.
    method : "REML", "DL", "ML", "EE" or "MH"
        Estimator of the between-study variance tau2; EE is the common-effect model. MH is the common-effect
        Mantel-Haenszel network of odds ratios, which needs the result of :func:`comfrey.contrasts`.
    small_values : "desirable" or "undesirable", optional
        Which direction is good; rankings need it.
    test : "z", "t" or "hk"
        Normal intervals; t with the degrees of freedom of Q; or t with variances multiplied by Q(tau2) / df.
    level : float
        Of the intervals.
    reference : str, optional
        What the summary compares with; by default the treatment with most studies.
    measure : str, optional
        Name of the effect measure, for labels; taken from the contrasts where these are given.
    shared_tau2 : bool
        In a network of several connected parts: one tau2 for all of them. By default each part is analysed by
        itself, as if it were the only one.
    data : DataFrame, optional
        Where column names point to.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        For input that cannot be used; the message names the argument, the row and the study.
    ConvergenceError
        If the likelihood has no maximum that can be found.

    References
    ----------
    Rücker G. Res Synth Methods 2012;3:312-324, doi:10.1002/jrsm.1058.
    Rücker G, Schwarzer G. Stat Med 2014;33:4353-4369, doi:10.1002/sim.6236.
    Jackson D, White IR, Riley RD. Stat Med 2012;31:3805-3820, doi:10.1002/sim.5453.

    Examples
    --------
    >>> net = network([-0.5, -0.3, 0.1], [0.04, 0.05, 0.06], ["A", "B", "A"], ["C", "C", "B"], [1, 2, 3],
    ...               method="EE", small_values="desirable", reference="C")
    >>> net.effects.loc["A", "C"].round(4)
    np.float64(-0.4467)
    >>> net.q_inconsistency_df
    1
    """
    if method in ("MH",):
        from comfrey.models.network._mantel_haenszel import mantel_haenszel_network

        check_options("EE", test, level, small_values)
        return mantel_haenszel_network(yi, small_values=small_values, level=level, reference=reference)
    check_options(method, test, level, small_values)
    notes: tuple[str, ...] = ()
    if isinstance(yi, Contrasts):
        source = yi
        measure, notes = source.measure, source.notes
        rows = read_rows(source.yi, source.vi, source.treat_1, source.treat_2, source.study)
    else:
        given = {"yi": yi, "vi": vi, "treat_1": treat_1, "treat_2": treat_2, "study": study}
        for name, value in given.items():
            if value is None:
                raise InputError(name, found="nothing", expected="an array, or contrasts as the only argument")
        rows = read_rows(*(column(value, name, data) for name, value in given.items()))
    structure, more = structure_of(rows)
    return assemble(
        rows, structure, method=method, test=test, level=level, small_values=small_values, reference=reference,
        measure=measure, shared_tau2=shared_tau2, notes=(*notes, *more),
    )  # fmt: skip


def assemble(
    rows: Rows,
    structure: Structure,
    *,
    method: str,
    test: str,
    level: float,
    small_values: str | None,
    reference: str | None,
    measure: str | None,
    shared_tau2: bool = False,
    notes: tuple[str, ...] = (),
    k: int | None = None,
    n_comparisons: int | None = None,
) -> Network:
    """Fit a network that has been read and checked."""
    chosen = _choose_reference(structure, reference)
    estimator = cast("Method", "EE" if method == "MH" else method)
    parts = structure.n_islands
    shared = shared_tau2 and parts > 1
    fits = [estimate_tau2(s, estimator) for s in ([structure] if shared else map(structure.part, range(parts)))]
    tau2 = np.full(parts, fits[0][0]) if shared else np.array([fit[0] for fit in fits])
    common = solve(structure, 0.0)
    random = common if not tau2.any() else solve(structure, tau2)
    one = parts == 1 or shared or estimator == "EE"
    q, df = common.q, structure.df
    q_parts = q_by_part(structure, common)[1]
    said = list(notes)
    if parts > 1:
        how = "with one tau2 for all" if shared else "each was analysed by itself"
        said.append(
            f"The network has {parts} parts that no study connects; {how}, and effects between them are not given "
            "(not a number)"
        )
    if estimator != "EE" and not (q_parts > 0).all():
        said.append(
            "Where Q has no degrees of freedom (no study repeats what others say), tau2 is set to 0, and t and "
            "prediction intervals are not given (not a number)"
        )
    if not one:
        said.append("tau2 is not one number here (not a number): each part has its own, see .parts")
    value = float(tau2[0]) if one else float("nan")
    return Network(
        treatments=structure.treatments,
        reference=chosen,
        method=method,
        test=test,
        level=float(level),
        measure=measure,
        small_values=small_values,
        k=structure.k if k is None else k,
        n_comparisons=rows.yi.size if n_comparisons is None else n_comparisons,
        n_parts=parts,
        tau2=value,
        tau=float(np.sqrt(value)),
        i2=100.0 * max(0.0, (q - df) / q) if q > 0 and df > 0 else 0.0,
        q=q,
        q_df=df,
        q_p=chi2_p(q, df),
        certificates=tuple(fit[1] for fit in fits),
        notes=tuple(said),
        _rows=rows,
        _structure=structure,
        _tau2=tau2,
        _common=common,
        _random=random,
    )
