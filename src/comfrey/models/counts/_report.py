"""From a fit to the numbers that people ask for: tests, intervals, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from comfrey.models.counts.result import CountModel

if TYPE_CHECKING:
    from comfrey.models.counts._fit import Fit
    from comfrey.models.counts._input import Counts
    from comfrey.models.counts._kernels import Array

__all__ = ["report"]

_COLUMNS = ("term", "estimate", "se", "statistic", "df", "p_value", "ci_low", "ci_high")


def _quantile(probability: float, df: float) -> float:
    """Quantile of the t distribution, normal where df is infinite (scipy.stats would take longer to import)."""
    return float(ndtri(probability) if np.isinf(df) else stdtrit(df, probability))


def _two_sided(statistic: float, df: float) -> float:
    """Two-sided p-value of a normal or t statistic."""
    return float(2 * (ndtr(-abs(statistic)) if np.isinf(df) else stdtr(df, -abs(statistic))))


def coefficient_table(terms: tuple[str, ...], beta: Array, covariance: Array, df: float, level: float) -> pd.DataFrame:
    """Coefficients with Wald tests and intervals; t with `df` degrees of freedom, normal where that is infinite."""
    rows = []
    for j, term in enumerate(terms):
        estimate, se = float(beta[j]), float(np.sqrt(covariance[j, j]))
        half = _quantile(0.5 + level / 2, df) * se if df > 0 else np.nan
        p_value = _two_sided(estimate / se, df) if df > 0 else np.nan
        rows.append((term, estimate, se, estimate / se, df, p_value, estimate - half, estimate + half))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _extremes(given: Counts, *, counted: bool) -> list[str]:
    """Say which studies have no events, or nothing but events: they stay in, without a correction."""
    none = int((given.events == 0).all(axis=0).sum())
    every = int((given.events == given.size).all(axis=0).sum()) if counted else 0
    said = [(none, "without events"), (every, "with nothing but events")]
    return [f"{n} {'study' if n == 1 else 'studies'} {what}, in the likelihood as they are" for n, what in said if n]


def report(
    fit: Fit,
    given: Counts,
    *,
    measure: str,
    model: str,
    test: str,
    level: float,
    time: bool,
    notes: tuple[str, ...] = (),
) -> CountModel:
    """Assemble the result of a model with a normal random effect."""
    k = given.events.shape[1]
    df = float(k - 1) if test == "t" else np.inf
    table = coefficient_table(("effect",), fit.beta, fit.covariance, df, level)
    effect = table.iloc[0]
    p = len(fit.beta)
    tau2 = float(fit.sd[0] ** 2) if k > 1 else float("nan")
    se_tau2 = float("nan")
    remarks = list(notes)
    if given.excluded:
        remarks.append(f"{len(given.excluded)} rows could not enter the fit: see excluded")
    remarks += _extremes(given, counted=not time)
    if k == 1:
        remarks.append("one study: heterogeneity, and with it the prediction interval, cannot be estimated")
        if test == "t":
            remarks.append("one study leaves no degrees of freedom for a t test or interval")
    elif float(fit.sd[0]) == 0.0:
        remarks.append("tau2 is zero, the edge of its range: it has no standard error")
    else:
        se_tau2 = float(2 * fit.sd[0] * np.sqrt(fit.covariance[p, p]))
    half = _quantile(0.5 + level / 2, df) * np.sqrt(effect["se"] ** 2 + tau2) if k > 1 else np.nan
    nan = float("nan")
    return CountModel(
        measure=measure,
        model=model,
        test=test,
        level=level,
        k=k,
        n=None if time else int(given.size.sum()),
        events=int(given.events.sum()),
        time=float(given.size.sum()) if time else None,
        **{name: float(effect[name]) for name in _COLUMNS[1:]},
        pi_low=float(effect["estimate"] - half),
        pi_high=float(effect["estimate"] + half),
        pi_df=df if k > 1 else nan,
        tau2=tau2,
        se_tau2=se_tau2,
        sigma2=nan,
        rho=nan,
        coefficients=table,
        q_wald=nan,
        q_wald_p=nan,
        q_lr=nan,
        q_lr_p=nan,
        q_df=k - 1,
        log_likelihood=fit.log_likelihood,
        conditional_log_likelihood=fit.conditional_log_likelihood,
        converged=True,
        gradient_norm=fit.gradient_norm,
        boundary=bool((fit.sd == 0).any()),
        points=fit.points,
        quadrature_error=fit.quadrature_error,
        excluded=given.excluded,
        notes=tuple(remarks),
    )
