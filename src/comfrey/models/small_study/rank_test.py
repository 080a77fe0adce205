"""Begg and Mazumdar's rank test for funnel asymmetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import NotEstimableError
from comfrey.models._view import view_of
from comfrey.models.small_study._common import BiasTest, few_studies, need, need_constant

if TYPE_CHECKING:
    from comfrey.models._view import AnyFit

__all__ = ["RankTest", "rank_test"]

_EXACT_BELOW = 50


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class RankTest(BiasTest):
    """Kendall's correlation of estimates with their variances; `estimate` is tau, `statistic` the count behind it.

    `statistic` is the number of concordant pairs less that of discordant ones.
    """

    exact: bool

    @property
    def tau(self) -> float:
        """Kendall's tau (tau-b where there are ties)."""
        return self.estimate


def rank_test(fit: AnyFit) -> RankTest:
    """Test whether estimates are correlated with their variances, by ranks.

    The deviates ``(y_i - m)/sqrt(v_i - 1/sum w)``, with the equal-effects mean m and ``w = 1/v``, are correlated with
    v_i by Kendall's tau. The p-value is exact for fewer than 50 studies without ties, else normal with the variance
    corrected for ties.

    Parameters
    ----------
    fit : Pooled

    Raises
    ------
    InputError
        For a meta-regression.
    NotEstimableError
        For fewer than three studies, or variances (or deviates) that are all equal.

    References
    ----------
    Begg & Mazumdar 1994, doi:10.2307/2533446; Kendall 1938, doi:10.1093/biomet/30.1-2.81.

    Examples
    --------
    >>> import comfrey as cf
    >>> found = rank_test(cf.pool([0.1, 0.5, 0.3, 0.9, 1.2], [0.01, 0.05, 0.03, 0.08, 0.2]))
    >>> round(found.tau, 4), round(found.p_value, 4)
    (0.8, 0.0833)
    """
    from scipy import stats

    view = view_of(fit)
    need_constant(view, "the rank test")
    need(view, 3, "the rank test")
    w = view.vi.min() / view.vi  # relative, so that no scale overflows
    middle = float(w @ view.yi) / float(w.sum())
    spread = view.vi - view.vi.min() / float(w.sum())
    deviate = (view.yi - middle) / np.sqrt(spread)
    ties = np.unique(deviate).size < view.k or np.unique(view.vi).size < view.k
    if np.unique(view.vi).size == 1 or np.unique(deviate).size == 1:
        raise NotEstimableError("all variances (or all estimates) are equal: there is no correlation to test")
    exact = not ties and view.k < _EXACT_BELOW
    found = stats.kendalltau(deviate, view.vi, method="exact" if exact else "asymptotic")
    signs = _pairs(deviate, view.vi)
    return RankTest(
        name="Rank correlation test (Begg and Mazumdar)",
        statistic=float(signs),
        df=None,
        p_value=float(found.pvalue),
        distribution="exact distribution" if exact else "normal distribution, variance corrected for ties",
        estimate=float(found.statistic),
        exact=exact,
        k=view.k,
        notes=few_studies(view.k),
    )


def _pairs(x: np.ndarray, y: np.ndarray) -> int:
    """Concordant less discordant pairs, row by row (memory O(k))."""
    return int(sum(float(np.sign(x[i] - x[:i]) @ np.sign(y[i] - y[:i])) for i in range(1, x.size)))
