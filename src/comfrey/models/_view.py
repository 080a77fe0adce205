"""One face for pooled fits and regressions, for methods that take either."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from comfrey.errors import InputError

if TYPE_CHECKING:
    from comfrey.effects.measure import Array, Measure
    from comfrey.models.pooling import Pooled
    from comfrey.models.regression import MetaRegression

    AnyFit: TypeAlias = Pooled | MetaRegression

__all__ = ["FitView", "view_of"]


@dataclass(frozen=True, slots=True, eq=False)
class FitView:
    """What methods need of a fit; a pooled estimate is a regression on a constant.

    `X` has shape (k, p); `constant` says whether it is nothing but a column of ones. `known_tau2` is the value at which
    tau2 was held, None where it was estimated. `covariance` has the factor of the test.
    """

    yi: Array
    vi: Array
    X: Array
    constant: bool
    beta: Array
    covariance: Array
    tau2: float
    known_tau2: float | None
    hk_factor: float
    weights: Array
    df: float | None
    terms: tuple[str, ...]
    labels: tuple[str, ...]
    rows: np.ndarray[Any, np.dtype[np.intp]]
    n: Array | None
    measure: Measure | None
    method: str
    test: str
    level: float

    @property
    def k(self) -> int:
        """Number of studies."""
        return int(self.yi.size)

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return int(self.X.shape[1])


def view_of(fit: object) -> FitView:
    """Take the view of a fit.

    Raises
    ------
    InputError
        If it is no result of :func:`comfrey.pool`.

    Examples
    --------
    >>> import comfrey as cf
    >>> view_of(cf.pool([0.1, 0.5], [0.04, 0.05])).labels
    ('row 0', 'row 1')
    """
    from comfrey.models.pooling import Pooled
    from comfrey.models.regression import MetaRegression

    terms: tuple[str, ...]
    if isinstance(fit, Pooled):
        X, beta = np.ones((fit.k, 1)), np.array([fit.estimate])
        covariance, terms = np.array([[fit.se]]) ** 2, ("Intercept",)
    elif isinstance(fit, MetaRegression):
        X, beta, covariance, terms = fit.X, fit.beta, fit.covariance, fit.names
    else:
        raise InputError("fit", found=type(fit).__name__, expected="a result of comfrey.pool")
    held = fit.method != "EE" and math.isnan(fit.se_tau2) and fit.k > X.shape[1]
    return FitView(
        yi=fit.yi,
        vi=fit.vi,
        X=X,
        constant=isinstance(fit, Pooled),
        beta=beta,
        covariance=covariance,
        tau2=fit.tau2,
        known_tau2=fit.tau2 if held else None,
        hk_factor=fit.hk_factor,
        weights=fit.weights,
        df=fit.df,
        terms=terms,
        labels=fit.labels or tuple(f"row {row}" for row in fit.rows.tolist()),
        rows=fit.rows,
        n=fit.n,
        measure=fit.measure,
        method=fit.method,
        test=fit.test,
        level=fit.level,
    )
