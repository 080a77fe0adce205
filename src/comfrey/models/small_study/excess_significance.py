"""Test of excess significance: more significant studies than their power allows for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from comfrey.errors import InputError
from comfrey.models._view import view_of
from comfrey.models.small_study._common import BiasTest, few_studies, need, one_of

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit

__all__ = ["ExcessSignificance", "excess_significance"]

Alternative = Literal["two-sided", "greater", "less"]
_EXACT_UP_TO = 20


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class ExcessSignificance(BiasTest):
    """Observed against expected numbers of significant studies; `estimate` is their ratio.

    Attributes
    ----------
    observed : int
    expected : float
        The sum of `power`.
    power : array of shape (k,)
        Of each study's test, at the pooled effect (or the regression's fitted value) and tau2.
    statistic : float
        Chi-squared (with one degree of freedom), or the observed number.
    """

    observed: int
    expected: float
    power: Array = field(repr=False)
    alpha: float
    labels: tuple[str, ...] = field(repr=False)

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        import pandas as pd

        names = ("observed", "expected", "estimate", "statistic", "p_value", "k")
        return pd.DataFrame([{name: getattr(self, name) for name in names}], index=["excess significance"])


def excess_significance(
    fit: AnyFit,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    test: Literal["exact", "chi-squared", "binomial"] | None = None,
) -> ExcessSignificance:
    """Test whether more studies are significant than their power leads one to expect (one-sided).

    The power of study i is that of its z test when the estimate is normal with the pooled effect and variance
    ``v_i + tau2``. The number of significant studies is a sum of independent events with these probabilities (exact),
    or is compared by ``(O - E)^2/E + (O - E)^2/(k - E)`` (chi-squared, its signed root one-sided), or with a binomial
    of the mean power.

    Parameters
    ----------
    fit : Pooled or MetaRegression
    alpha : float
        Level of the studies' tests.
    alternative : {"two-sided", "greater", "less"}
        Of the studies' tests.
    test : {"exact", "chi-squared", "binomial"}, optional
        By default exact up to 20 studies, then chi-squared.

    Raises
    ------
    InputError
        For impossible choices.

    References
    ----------
    Ioannidis & Trikalinos 2007, doi:10.1177/1740774507077441.

    Examples
    --------
    >>> import comfrey as cf
    >>> found = excess_significance(cf.pool([0.3, 0.5, 0.3, 0.9], [0.01, 0.05, 0.03, 0.08]))
    >>> found.observed, round(found.expected, 2), round(found.p_value, 2)
    (3, 2.23, 0.37)
    """
    view = view_of(fit)
    one_of("alternative", alternative, ("two-sided", "greater", "less"))
    one_of("test", test, ("exact", "chi-squared", "binomial", None))
    if not (isinstance(alpha, (int, float)) and 0 < alpha < 1):
        raise InputError("alpha", found=alpha, expected="a number between 0 and 1")
    need(view, 2, "the test of excess significance")
    se, total = np.sqrt(view.vi), np.sqrt(view.vi + view.tau2)
    mean = view.X @ view.beta
    z = view.yi / se
    if alternative == "two-sided":
        bound = -float(special.ndtri(alpha / 2))
        power = special.ndtr((mean - bound * se) / total) + special.ndtr((-mean - bound * se) / total)
        hits = np.abs(z) >= bound
    else:
        bound, side = -float(special.ndtri(alpha)), 1.0 if alternative == "greater" else -1.0
        power, hits = special.ndtr((side * mean - bound * se) / total), side * z >= bound
    observed, expected = int(hits.sum()), float(power.sum())
    chosen = test or ("exact" if view.k <= _EXACT_UP_TO else "chi-squared")
    notes = list(few_studies(view.k))
    statistic, df = float(observed), None
    rest = view.k - expected
    if chosen == "chi-squared" and min(expected, rest) <= 0.0:
        chosen = "exact"
        notes.append("powers are all zero or one: the exact distribution was taken")
    if chosen == "chi-squared":
        statistic, df = (observed - expected) ** 2 * (1.0 / expected + 1.0 / rest), 1.0
        p_value = float(special.ndtr(-math.copysign(math.sqrt(statistic), observed - expected)))
        words = "chi-squared with one degree of freedom, signed root"
    elif chosen == "binomial":
        p_value = float(special.bdtrc(observed - 1, view.k, expected / view.k)) if observed else 1.0
        words = "binomial with the mean power"
    else:
        p_value, words = _sum_of_events(power, observed), "exact distribution of a sum of events"
    return ExcessSignificance(
        name="Test of excess significance",
        statistic=statistic,
        df=df,
        p_value=p_value,
        distribution=words,
        estimate=observed / expected if expected > 0 else math.nan,
        observed=observed,
        expected=expected,
        power=np.asarray(power, dtype=float),
        alpha=alpha,
        labels=view.labels,
        k=view.k,
        notes=tuple(notes),
    )


def _sum_of_events(power: Array, observed: int) -> float:
    """P(number of events >= observed) for independent events, by adding one event after the other, O(k^2)."""
    chances = np.zeros(power.size + 1)
    chances[0] = 1.0
    for p in power:
        chances[1:] = chances[1:] * (1.0 - p) + chances[:-1] * p
        chances[0] *= 1.0 - p
    return float(min(1.0, chances[observed:].sum()))
