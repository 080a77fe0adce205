"""Limit meta-analysis: the effect expected of studies without sampling error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from comfrey.errors import NotEstimableError
from comfrey.models._fit import quantile, two_sided
from comfrey.models._observed import scale_of
from comfrey.models._view import view_of
from comfrey.models.small_study._common import few_studies, need, need_constant
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit

__all__ = ["LimitMetaAnalysis", "limit_meta_analysis"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class LimitMetaAnalysis(Result):
    """The limit estimate, and the studies as they would be without sampling error.

    Attributes
    ----------
    estimate, se, statistic, p_value, ci_low, ci_high : float
        ``beta + tau alpha``, normal test and interval.
    alpha, alpha_se, alpha_p : float
        Small-study effect: shift of the standardised estimates.
    beta : float
        Slope of the generalised radial plot.
    tau2 : float
        Of the fit.
    study_limits : array of shape (k,)
        ``beta + tau (y_i - beta)/sqrt(v_i + tau2)``.
    q, q_small_study, q_residual : float
        Cochran's Q, the part of it that small-study effects explain (one degree of freedom), and the rest (k - 2);
        with p-values.
    """

    estimate: float
    se: float
    statistic: float
    p_value: float
    ci_low: float
    ci_high: float
    tau2: float
    alpha: float
    alpha_se: float
    alpha_p: float
    beta: float
    q: float
    q_small_study: float
    q_small_study_p: float
    q_residual: float
    q_residual_p: float
    study_limits: Array = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    unadjusted: float
    k: int
    level: float
    method: str
    notes: tuple[str, ...]

    @property
    def df(self) -> None:
        """None: the test is normal."""
        return

    @property
    def summary(self) -> pd.DataFrame:
        """The limit estimate and the small-study effect."""
        import pandas as pd

        limit = {"estimate": self.estimate, "se": self.se, "ci_low": self.ci_low, "ci_high": self.ci_high}
        half = quantile(self.level, None) * self.alpha_se
        shift = {"estimate": self.alpha, "se": self.alpha_se}
        shift |= {"ci_low": self.alpha - half, "ci_high": self.alpha + half}
        rows = [{**limit, "p_value": self.p_value}, {**shift, "p_value": self.alpha_p}]
        return pd.DataFrame(rows, index=["limit estimate", "small-study effect"])

    @property
    def headline(self) -> tuple[str, ...]:
        """The model, and what Q is made of."""
        lines = [
            f"Limit meta-analysis, {self.k} studies; without it: {self.unadjusted:.4f}",
            f"tau2 by {self.method}: {self.tau2:.4g}",
            f"Q small-study effects (1) = {self.q_small_study:.4g}, p = {self.q_small_study_p:.4g}; "
            f"Q residual ({self.k - 2}) = {self.q_residual:.4g}, p = {self.q_residual_p:.4g}",
        ]
        return (*lines, *(f"note: {text}" for text in self.notes))


def limit_meta_analysis(fit: AnyFit) -> LimitMetaAnalysis:
    """Estimate the effect in the limit of no sampling error, when effects may change with the size of studies.

    The model is ``y_i = beta + s_i (alpha + e_i)`` with ``s_i = sqrt(v_i + tau2)`` and standard normal e_i: a
    regression of ``y_i/s_i`` on ``1/s_i`` with intercept alpha (the generalised radial plot). As v_i goes to zero the
    mean goes to ``beta + tau alpha``. Its variance is ``(1, tau) C (1, tau)'`` with the covariance C of (beta, alpha)
    under the model, tau2 of the fit taken as known. Some programs print the error of the slope of the radial plot
    without tau2, the root of ``1/(sum 1/v - (sum 1/sqrt(v))^2/k)``: it is the same where tau2 is zero, and leaves
    heterogeneity out elsewhere, so that its intervals cover the limit too seldom where there is much of it.

    Parameters
    ----------
    fit : Pooled

    Raises
    ------
    InputError
        For a meta-regression.
    NotEstimableError
        If there are fewer than three studies, or they are all of one size.

    References
    ----------
    Rücker et al. 2011, doi:10.1093/biostatistics/kxq046.

    Examples
    --------
    >>> import comfrey as cf
    >>> found = limit_meta_analysis(cf.pool([0.1, 0.5, 0.3, 0.9, 1.2], [0.01, 0.05, 0.03, 0.08, 0.2]))
    >>> round(found.estimate, 3), round(found.alpha, 2)
    (0.083, 5.5)
    """
    view = view_of(fit)
    need_constant(view, "a limit meta-analysis")
    need(view, 3, "a limit meta-analysis")
    scale = scale_of(view.vi)
    y, v, tau2 = view.yi / scale, view.vi / scale**2, view.tau2 / scale**2
    tau, s = math.sqrt(tau2), np.sqrt(v + tau2)
    beta, alpha, covariance = _radial(y, s)
    along = np.array([1.0, tau])
    estimate, se = scale * (beta + tau * alpha), scale * math.sqrt(float(along @ covariance @ along))
    alpha_se = math.sqrt(float(covariance[1, 1]))
    q, left = _q(y, np.sqrt(v))
    half = quantile(view.level, None) * se
    return LimitMetaAnalysis(
        estimate=estimate,
        se=se,
        statistic=estimate / se,
        p_value=two_sided(estimate / se, None),
        ci_low=estimate - half,
        ci_high=estimate + half,
        tau2=view.tau2,
        alpha=alpha,
        alpha_se=alpha_se,
        alpha_p=two_sided(alpha / alpha_se, None),
        beta=scale * beta,
        q=q,
        q_small_study=q - left,
        q_small_study_p=float(special.chdtrc(1, q - left)),
        q_residual=left,
        q_residual_p=float(special.chdtrc(view.k - 2, left)),
        study_limits=scale * (beta + tau * (y - beta) / s),
        labels=view.labels,
        unadjusted=float(view.beta[0]),
        k=view.k,
        level=view.level,
        method=view.method,
        notes=few_studies(view.k),
    )


def _radial(y: Array, s: Array) -> tuple[float, float, Array]:
    """Slope, intercept and their covariance (unit errors) of ``y/s`` on ``1/s``."""
    x, outcome = 1.0 / s, y / s
    middle = float(x.mean())
    spread = float(((x - middle) ** 2).sum())
    if spread <= 1e-20 * x.size * middle * middle:
        raise NotEstimableError("the studies are all of one size: nothing shows how effects change with it")
    slope = float((x - middle) @ outcome) / spread
    intercept = float(outcome.mean()) - slope * middle
    cross = -middle / spread
    return slope, intercept, np.array([[1.0 / spread, cross], [cross, 1.0 / x.size + middle * middle / spread]])


def _q(y: Array, se: Array) -> tuple[float, float]:
    """Cochran's Q and what is left of it beside a small-study effect (both with tau2 = 0)."""
    w = 1.0 / (se * se)
    mean = float(w @ y) / float(w.sum())
    slope, intercept, _ = _radial(y, se)
    q = float((((y - mean) / se) ** 2).sum())
    return q, min(q, float((((y - slope) / se - intercept) ** 2).sum()))
