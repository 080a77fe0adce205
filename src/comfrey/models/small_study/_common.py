"""What tests and adjusted models of small-study effects share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._fit import quantile, two_sided
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._view import FitView

__all__ = [
    "FEW",
    "BiasTest",
    "WeightedRegression",
    "few_studies",
    "need",
    "need_constant",
    "one_of",
    "weighted_regression",
]

# Sterne et al. 2011 (doi:10.1136/bmj.d4002) advise against tests of asymmetry with fewer studies.
FEW = 10


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class BiasTest(Result):
    """A test for small-study effects.

    Attributes
    ----------
    name : str
        Which test, in words.
    statistic, df, p_value : float, float or None, float
        `df` is None for a normal or exact distribution; `distribution` says which.
    estimate : float
        What the test estimates; the subclass says what.
    k : int
        Number of studies.
    notes : tuple of str
    """

    name: str
    statistic: float
    df: float | None
    p_value: float
    distribution: str
    estimate: float
    k: int
    notes: tuple[str, ...] = field(default=())

    @property
    def summary(self) -> pd.DataFrame:
        """Statistic, degrees of freedom, p-value and estimate, one row."""
        import pandas as pd

        names = ("statistic", "df", "p_value", "estimate", "k")
        frame = pd.DataFrame([{name: getattr(self, name) for name in names}], index=[self.name])
        frame["df"] = frame["df"].astype(float)
        return frame

    @property
    def headline(self) -> tuple[str, ...]:
        """The test, its distribution and notes."""
        return (f"{self.name}, {self.k} studies", self.distribution, *(f"note: {text}" for text in self.notes))


class WeightedRegression(NamedTuple):
    """Coefficients of a weighted regression with an estimated multiplicative dispersion."""

    beta: Array
    covariance: Array
    df: int
    dispersion: float

    def test(self, index: int) -> tuple[float, float, float]:
        """Standard error, t statistic and p-value of one coefficient."""
        se = float(np.sqrt(self.covariance[index, index]))
        statistic = float(self.beta[index]) / se
        return se, statistic, two_sided(statistic, float(self.df))

    def interval(self, index: int, level: float) -> tuple[float, float]:
        """Confidence interval of one coefficient (t distribution)."""
        half = quantile(level, float(self.df)) * float(np.sqrt(self.covariance[index, index]))
        return float(self.beta[index]) - half, float(self.beta[index]) + half


def weighted_regression(y: Array, X: Array, weights: Array) -> WeightedRegression:
    """Regress y on X by weighted least squares: ``Var(b) = s^2 (X'WX)^-1``, s^2 the weighted residual mean square.

    Raises
    ------
    NotEstimableError
        If there are no degrees of freedom, columns depend on each other, or the fit is perfect.

    Examples
    --------
    >>> fit = weighted_regression(np.array([1.0, 2.0, 4.0]), np.column_stack((np.ones(3), np.arange(3.0))), np.ones(3))
    >>> fit.beta.round(3), fit.df
    (array([0.833, 1.5  ]), 1)
    """
    k, p = X.shape
    if k <= p:
        raise NotEstimableError(f"the regression needs at least {p + 1} studies, and there are {k}")
    root = np.sqrt(weights / weights.max())
    size = np.sqrt((root[:, None] ** 2 * X**2).sum(axis=0))
    basis, triangle = np.linalg.qr(root[:, None] * X / np.where(size > 0, size, 1.0))
    if size.min() == 0 or np.abs(np.diag(triangle)).min() < 1e-10:
        raise NotEstimableError("the predictor does not vary between studies: there is no slope to test")
    back = np.linalg.inv(triangle) / size[:, None]
    inner = basis.T @ (root * y)
    residual = root * y - basis @ inner
    dispersion = float(residual @ residual) / (k - p)
    if dispersion <= (1e-14 * float(np.abs(root * y).max())) ** 2:
        raise NotEstimableError("the regression fits the studies perfectly: there is no error to test with")
    return WeightedRegression(back @ inner, dispersion * (back @ back.T), k - p, dispersion * float(weights.max()))


def few_studies(k: int) -> tuple[str, ...]:
    """Note that the test is weak with few studies."""
    if k < FEW:
        return (f"{k} studies: tests of asymmetry have little power with fewer than {FEW}",)
    return ()


def need(view: FitView, least: int, what: str) -> None:
    """Refuse fits with too few studies.

    Raises
    ------
    NotEstimableError
    """
    if view.k < least:
        raise NotEstimableError(f"{what} needs at least {least} studies, and there are {view.k}")


def need_constant(view: FitView, what: str) -> None:
    """Refuse regressions where only a pooled estimate makes sense.

    Raises
    ------
    InputError
    """
    if not view.constant:
        raise InputError("fit", found="a meta-regression", expected=f"a pooled fit without moderators for {what}")


def one_of(argument: str, value: object, allowed: tuple[str | None, ...]) -> None:
    """Refuse values that are not among those allowed.

    Raises
    ------
    InputError
    """
    if value not in allowed:
        raise InputError(argument, found=repr(value), expected=f"one of {', '.join(map(repr, allowed))}")
