"""The result of a network meta-analysis: :class:`Network`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from comfrey.errors import InputError
from comfrey.models.network import (
    _contribution,
    _inconsistency,
    _league,
    _paths,
    _random_inconsistency,
    _splitting,
    _threshold,
)
from comfrey.models.network._estimates import NetworkEstimates
from comfrey.models.network._ranking import PartialOrder, Ranking, make_ranking, p_scores, partial_order, rank_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from comfrey.models.network._bayes import BayesianNetwork
    from comfrey.models.network._classes import BayesianClasses
    from comfrey.models.network._priors import Prior
    from comfrey.models.network._random_inconsistency import RandomInconsistency

__all__ = ["Network"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Network(NetworkEstimates):
    """A network meta-analysis; what goes beyond the fit is computed when it is asked for, and kept.

    Its fields, effects and Q statistics are those of :class:`NetworkEstimates`.
    """

    @property
    def subnetworks(self) -> tuple[Network, ...]:
        """Each connected part as a network of its own, fitted with the same settings."""
        if self.n_parts == 1:
            return (self,)

        from comfrey.models.network._fit import network as refit

        def make() -> tuple[Network, ...]:
            names = np.asarray(self.treatments)
            trials = np.asarray(self._rows.studies)
            result = []
            for i in range(self.n_parts):
                here = self._structure.island[self._rows.first] == i
                r = self._rows
                result.append(
                    refit(
                        r.yi[here], r.vi[here], names[r.first[here]], names[r.second[here]], trials[r.study[here]],
                        method=cast("Any", self.method), test=cast("Any", self.test), level=self.level,
                        small_values=cast("Any", self.small_values), measure=self.measure,
                    )
                )  # fmt: skip
            return tuple(result)

        return cast("tuple[Network, ...]", self._keep("subnetworks", make))

    def split(
        self,
        method: Literal["back-calculation", "SIDDE"] = "back-calculation",
        *,
        tau2: Literal["network", "refit"] = "network",
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

    def random_inconsistency(self) -> RandomInconsistency:
        """Fit a variance between designs besides that between studies; see Jackson et al. 2014.

        Returns
        -------
        RandomInconsistency
        """
        return cast(
            "RandomInconsistency",
            self._keep("random inconsistency", lambda: _random_inconsistency.random_inconsistency(self)),
        )

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

    @property
    def evidence_paths(self) -> pd.DataFrame:
        """How direct and how broad the evidence of each pair is (König et al. 2013, doi:10.1002/sim.6001).

        Columns: proportion (of direct evidence), mean_path_length (1 where all is direct) and minimal_parallelism
        (1 where all evidence passes through one design).
        """
        return _paths.evidence_paths(self)

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
        self,
        *,
        upper: Literal["direct", "network"] | Network = "direct",
        digits: int = 2,
        transform: bool | None = None,
        order: Sequence[str] | None = None,
    ) -> pd.DataFrame:
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

    def bayesian_classes(
        self,
        classes: Mapping[str, str],
        prior: Prior | None = None,
        prior_class: Prior | None = None,
        *,
        level: float | None = None,
    ) -> BayesianClasses:
        """Posterior when treatments of a class are alike: they borrow from one another, as far as the data let them.

        Parameters
        ----------
        classes : mapping of treatment to class
            Treatments left out stand alone; the reference belongs to no class.
        prior, prior_class : Prior, optional
            For tau, and for the standard deviation within classes; by default half-normal with scale 1.
        level : float, optional
            Of the credible intervals; by default that of the network.

        Returns
        -------
        BayesianClasses
        """
        from comfrey.models.network._classes import class_network

        return class_network(self, classes, prior, prior_class, level=self.level if level is None else level)
