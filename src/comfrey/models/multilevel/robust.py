"""Cluster-robust inference: sandwich standard errors, small-sample degrees of freedom, Wald tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.multilevel._blocks import covariance_of, make_stacks
from comfrey.models.multilevel._grouping import Floats, Ints, combine, count, refines
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._problem import Problem

__all__ = ["RobustFit", "WaldTest"]

Kind = Literal["CR0", "CR1", "CR2"]
KINDS = ("CR0", "CR1", "CR2")


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """What tests need of each cluster, in the orthonormal basis of the design.

    With A the adjustment, W the weights, F the working covariance, C = (Q'WQ)^-1 and G = A W Q of a cluster:
    scores G'e (J, p), spread G'F G (J, p, p), overlap Q'G (J, p, p).
    """

    scores: Floats
    spread: Floats
    overlap: Floats
    bread: Floats
    factor: float = 1.0

    def covariance(self) -> Floats:
        """Sandwich (p, p) in the orthonormal basis."""
        root = self.bread @ self.scores.T
        return self.factor * (root @ root.T)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class WaldTest(Result):
    """A test that several combinations of coefficients are zero at once.

    `statistic` is F on `df_numerator` and `df_denominator` degrees of freedom.
    """

    statistic: float
    df_numerator: int
    df_denominator: float
    p_value: float
    kind: str
    method: str
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> pd.DataFrame:
        """One row: statistic, degrees of freedom, p-value."""
        names = ("statistic", "df_numerator", "df_denominator", "p_value")
        return pd.DataFrame([{name: getattr(self, name) for name in names}], index=["wald"])

    @property
    def headline(self) -> tuple[str, ...]:
        """Which test it is."""
        return (f"Wald test, {self.method}, {self.kind} covariance", *self.notes)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class RobustFit(Result):
    """Coefficients with standard errors that hold when the model for the dependence does not.

    `estimate` to `p_value` speak of the first coefficient; `coefficients` has all. `covariance` is (p, p).
    CR0 and CR1 use t with clusters minus coefficients as degrees of freedom; CR2 uses Satterthwaite's for each
    coefficient.
    """

    kind: str
    n_clusters: int
    level: float
    estimate: float
    se: float
    statistic: float
    df: float
    p_value: float
    ci_low: float
    ci_high: float
    coefficients: pd.DataFrame
    covariance: Floats
    notes: tuple[str, ...]
    _pieces: Pieces = field(repr=False)
    _back: Floats = field(repr=False)  # from the orthonormal basis to coefficients, (p, p)
    _scale: float = field(repr=False)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per coefficient."""
        return self.coefficients.set_index("term")

    @property
    def headline(self) -> tuple[str, ...]:
        """Kind, clusters, and which degrees of freedom."""
        how = "Satterthwaite" if self.kind == "CR2" else "clusters minus coefficients"
        line = f"Cluster-robust inference ({self.kind}), {self.n_clusters} clusters, t with df: {how}"
        return (line, *self.notes)

    def wald(self, contrast: Any, null: Any = 0.0) -> WaldTest:
        """Test that contrasts of the coefficients equal `null`.

        CR2 gives the approximate Hotelling test (AHT): F = Q (h - q + 1) / (h q) on q and h - q + 1 degrees of
        freedom, where h matches the total variance of the sandwich to that of a Wishart matrix. CR0 and CR1 give Q /
        q on q and J - p.

        Parameters
        ----------
        contrast : array (q, p), array (p,), or list of term names
            Rows are combinations of coefficients; names stand for single coefficients.
        null : float or array (q,)
            The values that are tested.

        References
        ----------
        Tipton E, Pustejovsky JE (2015). J Educ Behav Stat 40:604-634. doi:10.3102/1076998615606099
        """
        terms = list(self.coefficients["term"])
        matrix = _contrast(contrast, terms)
        q = matrix.shape[0]
        beta = self.coefficients["estimate"].to_numpy(dtype=float)
        gap = matrix @ beta - np.broadcast_to(np.asarray(null, dtype=float), (q,))
        middle = matrix @ self.covariance @ matrix.T
        if np.linalg.matrix_rank(middle, hermitian=True) < q:
            message = (
                f"The robust covariance of these {q} contrasts is singular: {self.n_clusters} clusters are too few."
            )
            raise NotEstimableError(message)
        wald = float(gap @ np.linalg.solve(middle, gap))
        if self.kind != "CR2":
            rest = float(self.n_clusters - len(terms))
            return _wald(wald / q, q, rest, self.kind, "F with clusters minus coefficients")
        eta = hotelling_df(self._pieces, matrix @ self._back)
        rest = eta - q + 1
        if rest <= 0:
            message = f"{q} contrasts need more than the {eta:.2g} degrees of freedom that these clusters give."
            raise NotEstimableError(message)
        return _wald(wald * rest / (eta * q), q, rest, self.kind, "approximate Hotelling (AHT)")


def model_wald(beta: Floats, covariance: Floats, df: float, contrast: Any, null: Any, terms: list[str]) -> WaldTest:
    """Test contrasts with the covariance of the model itself: F, or chi-squared / q where df is infinite."""
    matrix = _contrast(contrast, terms)
    q = matrix.shape[0]
    gap = matrix @ beta - np.broadcast_to(np.asarray(null, dtype=float), (q,))
    middle = matrix @ covariance @ matrix.T
    size = np.sqrt(np.diag(middle))  # scaled, so that moderators of any unit can be inverted
    wald = float(gap / size @ np.linalg.solve(middle / np.outer(size, size), gap / size))
    normal = np.isinf(df)
    p_value = float(stats.chi2.sf(wald, q) if normal else stats.f.sf(wald / q, q, df))
    method = "chi-squared divided by its degrees of freedom" if normal else "F"
    return WaldTest(wald / q, q, df, p_value, "model-based", method)


def _wald(statistic: float, q: int, rest: float, kind: str, method: str) -> WaldTest:
    return WaldTest(statistic, q, rest, float(stats.f.sf(statistic, q, rest)), kind, method)


def _contrast(contrast: Any, terms: list[str]) -> Floats:
    if isinstance(contrast, str):
        contrast = [contrast]
    if isinstance(contrast, (list, tuple)) and all(isinstance(item, str) for item in contrast):
        missing = [item for item in contrast if item not in terms]
        if missing or not contrast:
            raise InputError("contrast", found=repr(missing or contrast), expected="terms among " + ", ".join(terms))
        return np.eye(len(terms))[[terms.index(item) for item in contrast]]
    matrix = np.atleast_2d(np.asarray(contrast, dtype=float))
    if matrix.ndim != 2 or matrix.shape[1] != len(terms) or not np.all(np.isfinite(matrix)):
        raise InputError("contrast", found=f"shape {matrix.shape}", expected=f"finite rows of {len(terms)} numbers")
    if np.linalg.matrix_rank(matrix) < matrix.shape[0]:
        raise InputError("contrast", found="dependent rows", expected="rows that are not combinations of each other")
    return matrix


def hotelling_df(pieces: Pieces, contrast: Floats) -> float:
    """Degrees of freedom h of the Wishart matrix that matches the sandwich of contrasts (q, p).

    h = q (q + 1) / sum of the variances of the sandwich's entries, after it is standardised to have the identity as
    its expectation under the working model; for q = 1 this is Satterthwaite's formula. Clusters enter by p x p forms
    only: the covariance of their scores is block-diagonal minus a matrix of rank p.
    """
    q = contrast.shape[0]
    right = contrast @ pieces.bread  # (q, p)
    own = right @ pieces.spread @ right.T  # (J, q, q)
    lift = np.linalg.cholesky(pieces.bread).T
    reach = lift @ pieces.overlap @ right.T  # (J, p, q): columns v_j^s
    shared = reach.swapaxes(1, 2) @ reach
    expected = (own - shared).sum(axis=0)
    values, vectors = np.linalg.eigh(expected)
    root = vectors @ np.diag(1 / np.sqrt(values)) @ vectors.T
    own, reach = root @ own @ root, reach @ root
    shared = reach.swapaxes(1, 2) @ reach
    total = 0.0
    for s in range(q):
        for t in range(q):
            cross = reach[:, :, s].T @ reach[:, :, t]
            total += float(
                np.sum(own[:, s, s] * own[:, t, t] - own[:, s, s] * shared[:, t, t] - own[:, t, t] * shared[:, s, s])
                + np.sum(cross**2)
                + np.sum(own[:, s, t] ** 2 - 2 * own[:, s, t] * shared[:, s, t])
                + np.sum(cross * cross.T)
            )
    return float(q * (q + 1) / total)


def cluster_pieces(problem: Problem, w: Floats, kind: Kind, cluster: Ints) -> tuple[Pieces, tuple[str, ...]]:
    """Scores of each cluster, adjusted as `kind` says, at the cells w.

    CR2 uses A = L B^-1/2 L', with the working covariance F = L L' of a cluster and B = L' (F - Q C Q') L. The inverse
    root leaves out null directions (a cluster that alone decides a coefficient).

    Pustejovsky JE, Tipton E (2018). J Bus Econ Stat 36:672-683. doi:10.1080/07350015.2016.1247004
    """
    weighted = problem.engine.weighted(w)
    best = problem.best(w)
    basis, p, clusters = problem.basis, problem.p, count(cluster)
    residual = problem.residual / problem.scale - basis @ best.beta
    if clusters <= p:
        found = f"{clusters} cluster{'' if clusters == 1 else 's'} for {p} coefficient{'' if p == 1 else 's'}"
        message = f"Cluster-robust inference needs more clusters than coefficients, found {found}."
        raise NotEstimableError(message)
    whole = refines(problem.components, cluster)
    if kind != "CR2":
        scores = np.zeros((clusters, p))
        np.add.at(scores, cluster, weighted[:, 1:] * residual[:, None])
        factor = clusters / (clusters - p) if kind == "CR1" else 1.0
        none = np.zeros((0, p, p))
        notes = () if whole else ("Random effects or sampling errors link effects of different clusters.",)
        return Pieces(scores, none, none, best.beta_covariance, factor), notes
    if not whole:
        fix = "Use the outermost grouping, or kind='CR1'."
        expected = "clusters that hold the whole of every random effect and of every block of V"
        raise InputError("cluster", found="a random effect or block shared by clusters", expected=expected, fix=fix)
    scores, spread, overlap = np.empty((clusters, p)), np.empty((clusters, p, p)), np.empty((clusters, p, p))
    lost = 0
    for stack in make_stacks(problem.covariance.scaled(1 / problem.scale**2), problem.terms, cluster):
        working = covariance_of(stack, w)
        q = basis[stack.rows]
        lower = np.linalg.cholesky(working)
        middle = working - q @ best.beta_covariance @ q.swapaxes(1, 2)
        values, vectors = np.linalg.eigh(lower.swapaxes(1, 2) @ middle @ lower)
        largest = np.einsum("mij,mij->m", working, working)[:, None]  # of the eigenvalues of F^2, at least
        alive = values > 1e-11 * largest
        lost += int(np.sum(~alive))
        power = np.where(alive, 1 / np.sqrt(np.where(alive, values, 1.0)), 0.0)
        turned = lower @ vectors
        applied = turned.swapaxes(1, 2) @ weighted[stack.rows][:, :, 1:]
        adjusted = turned @ (power[:, :, None] * applied)
        where = cluster[stack.rows[:, 0]]
        flat = adjusted.swapaxes(1, 2)
        scores[where] = (flat @ residual[stack.rows][:, :, None])[:, :, 0]
        spread[where] = flat @ working @ adjusted
        overlap[where] = q.swapaxes(1, 2) @ adjusted
    notes = (f"{lost} combinations of effects decide a coefficient alone and add nothing.",) if lost else ()
    return Pieces(scores, spread, overlap, best.beta_covariance), notes


def robust_fit(
    problem: Problem, w: Floats, names: Sequence[str], beta: Floats, kind: str, cluster: Ints, level: float
) -> RobustFit:
    """Cluster-robust inference for the coefficients of a fit."""
    if kind not in KINDS:
        raise InputError("kind", found=repr(kind), expected="one of " + ", ".join(KINDS))
    cluster = combine([cluster])
    pieces, notes = cluster_pieces(problem, w, kind, cluster)  # type: ignore[arg-type]  # checked above
    back: Floats = np.asarray(np.linalg.inv(problem.triangle), dtype=float)
    covariance = back @ pieces.covariance() @ back.T * problem.scale**2
    clusters, p = count(cluster), problem.p
    if kind == "CR2":
        df = np.array([hotelling_df(pieces, back[[i]]) for i in range(p)])
    else:
        df = np.full(p, float(clusters - p))
    se = np.sqrt(np.diag(covariance))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = beta / se
    reach = stats.t.ppf(0.5 + level / 2, df) * se
    table = pd.DataFrame(
        {
            "term": list(names), "estimate": beta, "se": se, "statistic": statistic, "df": df,
            "p_value": 2 * stats.t.sf(np.abs(statistic), df), "ci_low": beta - reach, "ci_high": beta + reach,
        }
    )  # fmt: skip
    if np.any(se == 0):
        notes = (*notes, "A standard error is zero: the scores of all clusters agree, and there is no test.")
    if np.any(df < 4):
        notes = (*notes, "Below 4 degrees of freedom the p-values are rough: use a smaller significance level.")
    first = {name: float(table[name].iloc[0]) for name in table.columns if name != "term"}
    return RobustFit(
        kind=kind, n_clusters=clusters, level=level, coefficients=table, covariance=covariance, notes=notes,
        _pieces=pieces, _back=back, _scale=problem.scale, **first,
    )  # fmt: skip
