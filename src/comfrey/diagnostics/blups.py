"""Best linear unbiased predictions of the studies' own true effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import NotEstimableError
from comfrey.models._fit import quantile
from comfrey.models._observed import scale_of
from comfrey.models._view import view_of
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit

__all__ = ["StudyPredictions", "blups"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class StudyPredictions(Result):
    """Predicted true effects of the studies, and of their deviations from the model, each of shape (k,).

    Attributes
    ----------
    estimate, se, pi_low, pi_high : arrays
        Predicted true effect of each study.
    deviation, deviation_se, deviation_low, deviation_high : arrays
        Its random effect: the same less the fitted value.
    shrinkage : array
        ``tau2/(tau2 + v)``: one leaves the study's estimate as it is, zero puts it on the fitted value.
    """

    labels: tuple[str, ...]
    estimate: Array
    se: Array
    pi_low: Array
    pi_high: Array
    deviation: Array
    deviation_se: Array
    deviation_low: Array
    deviation_high: Array
    shrinkage: Array
    level: float
    method: str
    test: str

    @property
    def summary(self) -> pd.DataFrame:
        """One row a study."""
        import pandas as pd

        names = ("estimate", "se", "pi_low", "pi_high", "deviation", "deviation_se", "shrinkage")
        return pd.DataFrame({name: getattr(self, name) for name in names}, index=pd.Index(self.labels, name="study"))

    @property
    def headline(self) -> tuple[str, ...]:
        """What is predicted, and how."""
        return (
            f"Predicted true effects of {len(self.labels)} studies",
            f"tau2 by {self.method}; test {self.test}; {self.level:.0%} intervals",
        )


def blups(fit: AnyFit) -> StudyPredictions:
    """Predict each study's own true effect: ``x_i b + s_i (y_i - x_i b)`` with ``s_i = tau2/(tau2 + v_i)``.

    Its variance is ``s_i v_i + (1 - s_i)^2 x_i Var(b) x_i'``; that of the deviation ``s_i v_i + s_i^2 x_i Var(b)
    x_i'``.
    tau2 is taken as known.

    Raises
    ------
    NotEstimableError
        For a single study.

    References
    ----------
    Raudenbush & Bryk 1985, doi:10.3102/10769986010002075; Robinson 1991, doi:10.1214/ss/1177011926.

    Examples
    --------
    >>> import comfrey as cf
    >>> blups(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08])).estimate.round(3)
    array([0.248, 0.447, 0.343, 0.573])
    """
    view = view_of(fit)
    if view.k < 2:
        raise NotEstimableError("one study has no true effect of its own beside the pooled one: nothing to predict")
    scale = scale_of(view.vi)
    v, tau2 = view.vi / scale**2, view.tau2 / scale**2
    share = tau2 / (tau2 + v)
    fitted = view.X @ view.beta
    spread = np.einsum("ki,ij,kj->k", view.X, view.covariance / scale**2, view.X)
    deviation = share * (view.yi - fitted)
    se = scale * np.sqrt(share * v + (1.0 - share) ** 2 * spread)
    deviation_se = scale * np.sqrt(share * v + share**2 * spread)
    reach = quantile(view.level, view.df)
    estimate = fitted + deviation
    return StudyPredictions(
        labels=view.labels,
        estimate=estimate,
        se=se,
        pi_low=estimate - reach * se,
        pi_high=estimate + reach * se,
        deviation=deviation,
        deviation_se=deviation_se,
        deviation_low=deviation - reach * deviation_se,
        deviation_high=deviation + reach * deviation_se,
        shrinkage=share,
        level=view.level,
        method=view.method,
        test=view.test,
    )
