"""Permutation tests: what the test statistics would be if the moderators (or the signs) had fallen otherwise.

Sources: Higgins & Thompson 2004 (doi:10.1002/sim.1752) for meta-regression; Follmann & Proschan 1999
(doi:10.1111/j.0006-341X.1999.00732.x) for the pooled effect.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._fit import fit_model
from comfrey.models._wald import wald_test
from comfrey.models.pooling import Pooled
from comfrey.models.regression import MetaRegression
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from comfrey.effects.measure import Array

__all__ = ["PermutationTest", "permutation_test"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PermutationTest(Result):
    """Permutation p-values of the coefficients, and of all moderators together.

    Attributes
    ----------
    terms : tuple of str
    statistic : array of shape (p,)
        Of the data as they are.
    p_value : array of shape (p,)
        Two-sided: the share of permutations with a statistic at least as large. For a random sample of them the data
        themselves are counted in (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).
    omnibus_p : float
        Of all moderators together; not-a-number for a pooled effect.
    permutations : int
    exact : bool
        Whether all permutations were taken, not a sample.
    seed : int
    """

    terms: tuple[str, ...]
    statistic: Array
    p_value: Array
    omnibus_p: float
    permutations: int
    exact: bool
    seed: int

    @property
    def summary(self) -> pd.DataFrame:
        """Statistic and permutation p-value by term."""
        import pandas as pd

        return pd.DataFrame(
            {"statistic": self.statistic, "p_value": self.p_value}, index=pd.Index(self.terms, name="term")
        )

    @property
    def headline(self) -> tuple[str, ...]:
        """How many permutations, and of which kind."""
        kind = "all" if self.exact else f"a sample of (seed {self.seed})"
        lines = [f"Permutation test over {kind} {self.permutations} permutations"]
        if math.isfinite(self.omnibus_p):
            lines.append(f"all moderators: p = {self.omnibus_p:.4g}")
        return tuple(lines)


def permutation_test(fit: Pooled | MetaRegression, permutations: int = 1000, seed: int = 0) -> PermutationTest:
    """Test a pooled effect by changing signs, or moderators by reordering them among the studies.

    All arrangements are taken where there are at most `permutations` of them, else a random sample. Each one is
    fitted
    anew, tau2 included, by the method and test of `fit`.

    Parameters
    ----------
    fit : Pooled or MetaRegression
    permutations : int
    seed : int
        The same seed gives the same sample.

    Returns
    -------
    PermutationTest

    Raises
    ------
    NotEstimableError
        For a single study.

    Examples
    --------
    >>> from comfrey import pool
    >>> found = permutation_test(pool([0.4, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08], test="z"))
    >>> found.exact, found.permutations, found.p_value.tolist()
    (True, 16, [0.125])
    """
    if permutations < 1:
        raise InputError("permutations", found=permutations, expected="one or more")
    if fit.k < 2:
        raise NotEstimableError("one study cannot be permuted")
    rng = np.random.default_rng(seed)
    terms: tuple[str, ...] = ("Intercept",)
    if isinstance(fit, Pooled):
        exact = 2**fit.k <= permutations
        signs: Iterator[Array] = (
            (np.array(row, dtype=float) for row in itertools.product((1.0, -1.0), repeat=fit.k))
            if exact
            else (rng.choice((-1.0, 1.0), fit.k) for _ in range(permutations))
        )
        found = np.array([_statistics(fit.yi * sign, fit.vi, None, fit) for sign in signs])
        own = np.array([fit.statistic, math.nan])
    else:
        exact = math.factorial(fit.k) <= permutations if fit.k < 20 else False
        orders: Iterator[np.ndarray[Any, np.dtype[np.int64]]] = (
            (np.array(row) for row in itertools.permutations(range(fit.k)))
            if exact
            else (rng.permutation(fit.k) for _ in range(permutations))
        )
        found = np.array([_statistics(fit.yi, fit.vi, fit.X[order], fit) for order in orders])
        own, terms = np.append(fit.statistic, fit.omnibus.statistic), fit.names
    sizes, size = np.abs(found), np.abs(own)
    # equal but for rounding counts as equal
    reached = (sizes >= size * (1 - 1e-9)).sum(axis=0)
    p = reached / len(found) if exact else (reached + 1) / (len(found) + 1)
    p = np.where(np.isnan(own), math.nan, p)
    return PermutationTest(terms, own[:-1], p[:-1], float(p[-1]), len(found), exact, seed)


def _statistics(yi: Array, vi: Array, X: Array | None, fit: Pooled | MetaRegression) -> Array:
    """Statistics of the coefficients and of all moderators."""
    found = fit_model(yi, vi, X, fit.method, fit.test)
    with np.errstate(divide="ignore", invalid="ignore"):
        single = found.beta / np.sqrt(np.diag(found.covariance))
    if X is None or not isinstance(fit, MetaRegression):
        return np.append(single, math.nan)
    tested = [index for index, name in enumerate(fit.names) if name != "Intercept"]
    joint = wald_test(found.beta[tested], found.covariance[np.ix_(tested, tested)], fit.df)
    return np.append(single, joint.statistic)
