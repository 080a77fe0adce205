"""Rankings with their uncertainty: P-scores, rank probabilities, POTH, partial orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr

from comfrey.errors import InputError
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["PartialOrder", "Ranking", "p_scores", "partial_order", "precision_of_hierarchy", "rank_counts"]


def better(
    estimate: NDArray[np.float64], se: NDArray[np.float64], small_values: str, minimal_difference: float = 0.0
) -> NDArray[np.float64]:
    """Probability that the row treatment is better than the column one by at least `minimal_difference`, (n, n)."""
    sign = -1.0 if small_values == "desirable" else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (sign * estimate - minimal_difference) / se
    z = np.where((se == 0) & (sign * estimate == minimal_difference), 0.0, z)
    result = ndtr(z)
    np.fill_diagonal(result, np.nan)
    return np.asarray(result)


def p_scores(
    estimate: NDArray[np.float64], se: NDArray[np.float64], small_values: str, minimal_difference: float = 0.0
) -> NDArray[np.float64]:
    r"""Mean certainty that a treatment is better than another one.

    .. math:: P_i = \frac{1}{n - 1} \sum_{j \ne i} \Phi\left(\frac{\hat\theta_i - \hat\theta_j}{s_{ij}}\right)

    turned round where small values are desirable. It equals SUCRA when the posterior is normal.

    Parameters
    ----------
    estimate, se : (n, n) arrays
        Row minus column; not a number where treatments are not connected (such pairs do not count).
    small_values : "desirable" or "undesirable"
        Which direction is good.
    minimal_difference : float
        How much better it has to be (Mavridis et al. 2020, doi:10.1002/bimj.201900026).

    Returns
    -------
    (n,) array
        Between 0 and 1; not a number for a treatment that is connected with no other.

    References
    ----------
    Rücker G, Schwarzer G. BMC Med Res Methodol 2015;15:58, doi:10.1186/s12874-015-0060-8.

    Examples
    --------
    >>> p_scores(np.array([[0.0, -1.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0]]), "desirable").round(4)
    array([0.8413, 0.1587])
    """
    table = better(estimate, se, small_values, minimal_difference)
    count = np.isfinite(table).sum(axis=1)
    total = np.nansum(table, axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def precision_of_hierarchy(scores: NDArray[np.float64]) -> float:
    r"""Precision of the treatment hierarchy (POTH): how far P-scores or SUCRAs are spread out.

    .. math:: \mathrm{POTH} = \frac{12 (n - 1)}{n + 1} \cdot \frac{1}{n} \sum_i (p_i - 1/2)^2

    It is 0 when all treatments rank alike and 1 when their order is certain.

    Parameters
    ----------
    scores : (n,) array
        P-scores or SUCRAs.

    Returns
    -------
    float
        Not a number for fewer than two treatments.

    References
    ----------
    Wigle A, Béliveau A, Salanti G, et al. 2025, arXiv:2501.11596.

    Examples
    --------
    >>> precision_of_hierarchy(np.array([0.0, 0.5, 1.0]))
    1.0
    """
    n = scores.size
    if n < 2:
        return float("nan")
    return float(12 * (n - 1) / (n + 1) * np.mean((scores - 0.5) ** 2))


def rank_counts(
    theta: NDArray[np.float64], covariance: NDArray[np.float64], small_values: str, draws: int, seed: int
) -> NDArray[np.int64]:
    """How often each treatment takes each rank in draws from a normal distribution.

    Parameters
    ----------
    theta : (n,) array
        Effects against a held treatment (whose row in `covariance` is zero).
    covariance : (n, n) array
        Of `theta`.
    small_values : "desirable" or "undesirable"
        Rank 1 is the best.
    draws, seed : int
        Number of draws, and where the random numbers start.

    Returns
    -------
    (n, n) int array
        Row treatment, column rank (counted from 0).
    """
    n = theta.size
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    rng = np.random.default_rng(seed)
    counts = np.zeros(n * n, dtype=np.int64)
    sign = 1.0 if small_values == "desirable" else -1.0
    block = max(1, 4_000_000 // max(n, 1))
    places = np.arange(n)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        sample = sign * (theta + rng.standard_normal((size, n)) @ root.T)
        order = np.argsort(sample, axis=1)
        counts += np.bincount((order * n + places).ravel(), minlength=n * n)
    return counts.reshape(n, n)


@dataclass(frozen=True, slots=True, repr=False)
class Ranking(Result):
    """Ranks of the treatments, with their uncertainty.

    Attributes
    ----------
    treatments : tuple of str
        Labels.
    probabilities : DataFrame
        Probability of each rank: row treatment, column rank (1 is the best).
    p_scores : Series
        Exact, from the pairwise normal distributions.
    sucra : Series
        Surface under the cumulative ranking curve, from the draws.
    mean_rank, rank_low, rank_high : Series
        Mean rank (exact: n minus the sum of the pairwise probabilities) and interval of ranks from the draws.
    poth : float
        Precision of the hierarchy, from the P-scores.
    standard_error : float
        Largest Monte Carlo standard error among the probabilities.
    level : float
        Of the interval of ranks.
    draws, seed : int
        As asked for.
    notes : tuple of str
        What to know.
    """

    treatments: tuple[str, ...]
    probabilities: pd.DataFrame
    p_scores: pd.Series
    sucra: pd.Series
    mean_rank: pd.Series
    rank_low: pd.Series
    rank_high: pd.Series
    poth: float
    standard_error: float
    level: float
    draws: int
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> pd.DataFrame:
        """One row a treatment, the best first."""
        table = pd.DataFrame(
            {
                "p_score": self.p_scores,
                "sucra": self.sucra,
                "mean_rank": self.mean_rank,
                "rank_low": self.rank_low,
                "rank_high": self.rank_high,
                "probability_best": self.probabilities[1],
            }
        )
        return table.sort_values("p_score", ascending=False, kind="stable")

    @property
    def headline(self) -> tuple[str, ...]:
        """Method and overall precision."""
        return (
            f"Ranking of {len(self.treatments)} treatments (rank 1 is the best)",
            f"Precision of the hierarchy (POTH): {self.poth:.3f}; 0 is none, 1 is certainty",
            f"{100 * self.level:g}% intervals of ranks from {self.draws} draws, seed {self.seed}",
            *self.notes,
        )


def make_ranking(
    names: Sequence[str],
    counts: NDArray[np.float64],
    scores: NDArray[np.float64],
    *,
    level: float,
    draws: int,
    seed: int,
    standard_error: float,
    notes: tuple[str, ...] = (),
) -> Ranking:
    """Put rank frequencies and P-scores together."""
    n = len(names)
    probability = np.asarray(counts, dtype=np.float64)
    probability = probability / probability.sum(axis=1, keepdims=True)
    cumulative = np.cumsum(probability, axis=1)
    tail = 0.5 * (1 - level)
    low = (cumulative < tail - 1e-12).sum(axis=1) + 1
    high = np.minimum((cumulative < 1 - tail - 1e-12).sum(axis=1) + 1, n)
    sucra = cumulative[:, :-1].sum(axis=1) / (n - 1) if n > 1 else np.full(n, np.nan)
    index = pd.Index(names, name="treatment")
    return Ranking(
        treatments=tuple(names),
        probabilities=pd.DataFrame(probability, index=index, columns=pd.Index(range(1, n + 1), name="rank")),
        p_scores=pd.Series(scores, index=index, name="p_score"),
        sucra=pd.Series(sucra, index=index, name="sucra"),
        mean_rank=pd.Series(n - (n - 1) * scores, index=index, name="mean_rank"),
        rank_low=pd.Series(low, index=index, name="rank_low"),
        rank_high=pd.Series(high, index=index, name="rank_high"),
        poth=precision_of_hierarchy(scores),
        standard_error=standard_error,
        level=level,
        draws=draws,
        seed=seed,
        notes=notes,
    )


@dataclass(frozen=True, slots=True, repr=False)
class PartialOrder(Result):
    """Which treatments are better than which, for sure enough; the rest are left without an order.

    Attributes
    ----------
    treatments : tuple of str
        Labels.
    relation : DataFrame of bool
        True where the row treatment is better than the column one by more than the minimal difference.
    edges : tuple of (str, str)
        The relation without what follows from transitivity (Hasse diagram): better first.
    minimal_difference, confidence : float
        As asked for.
    """

    treatments: tuple[str, ...]
    relation: pd.DataFrame
    edges: tuple[tuple[str, str], ...]
    minimal_difference: float
    confidence: float

    @property
    def summary(self) -> pd.DataFrame:
        """One row a treatment: how many it beats, how many beat it."""
        table = pd.DataFrame({"better_than": self.relation.sum(axis=1), "worse_than": self.relation.sum(axis=0)})
        return table.sort_values(["better_than", "worse_than"], ascending=[False, True], kind="stable")

    @property
    def headline(self) -> tuple[str, ...]:
        """What counts as better."""
        return (
            f"Partial order of {len(self.treatments)} treatments",
            f"Better: by more than {self.minimal_difference:g} with probability of at least {self.confidence:g}",
        )


def partial_order(
    names: Sequence[str],
    tables: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], str]],
    minimal_difference: float,
    confidence: float,
) -> PartialOrder:
    """Order treatments only where the evidence is strong enough, for one outcome or several.

    A treatment is better than another one if, for every outcome, the probability that it is better by at least the
    minimal difference reaches `confidence`. The relation is closed under transitivity (it is acyclic for a
    confidence above one half), and its Hasse diagram is given.

    Parameters
    ----------
    names : sequence of str
        Treatments.
    tables : sequence of (estimate, se, small_values)
        One for each outcome; (n, n) arrays, row minus column.
    minimal_difference : float
        Smallest difference that matters, on the scale of analysis.
    confidence : float
        Above 1/2 and below 1.

    Returns
    -------
    PartialOrder

    Raises
    ------
    InputError
        If `confidence` or `minimal_difference` is out of range.

    References
    ----------
    Rücker G, Schwarzer G. Res Synth Methods 2017;8:526-536, doi:10.1002/jrsm.1270 (partial order of treatments).
    """
    if not 0.5 < confidence < 1:
        raise InputError("confidence", found=confidence, expected="a probability above 0.5 and below 1")
    if not minimal_difference >= 0:
        raise InputError("minimal_difference", found=minimal_difference, expected="zero or more")
    n = len(names)
    wins = np.ones((n, n), dtype=bool)
    for estimate, se, small_values in tables:
        chance = better(estimate, se, small_values, minimal_difference)
        wins &= np.nan_to_num(chance, nan=0.0) >= confidence
    closed = wins.copy()
    for via in range(n):
        closed |= closed[:, via, None] & closed[None, via, :]
    np.fill_diagonal(closed, False)
    detour = (closed.astype(np.int64) @ closed.astype(np.int64)) > 0
    cover = closed & ~detour
    edges = tuple((names[i], names[j]) for i, j in np.argwhere(cover))
    index = pd.Index(names, name="treatment")
    relation = pd.DataFrame(closed, index=index, columns=index)
    return PartialOrder(tuple(names), relation, edges, minimal_difference, confidence)
