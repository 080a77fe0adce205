"""From a fit to the numbers that people ask for: tests, intervals, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from comfrey.models.counts._beta_binomial import prediction
from comfrey.models.counts.result import CountModel

if TYPE_CHECKING:
    from comfrey.models.counts._beta_binomial import BetaBinomialFit
    from comfrey.models.counts._fit import Fit
    from comfrey.models.counts._heterogeneity import Heterogeneity
    from comfrey.models.counts._input import Counts
    from comfrey.models.counts._kernels import Array
    from comfrey.models.counts._problems import Setup
    from comfrey.models.counts._request import Request

__all__ = ["report", "report_beta_binomial"]

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


def _excluded(counts: Counts) -> tuple[str, ...]:
    """Say how many rows were left out."""
    many = len(counts.excluded)
    return (f"{many} {'row' if many == 1 else 'rows'} could not enter the fit: see excluded",) if many else ()


def report(fit: Fit, setup: Setup, tests: Heterogeneity, request: Request) -> CountModel:
    """Assemble the result of a model with normal random effects."""
    given, test, level = setup.counts, request.test, request.level
    k = given.events.shape[1]
    df = float(k - 1) if test == "t" else np.inf
    table = coefficient_table(setup.terms, fit.beta, fit.covariance, df, level)
    effect = table.iloc[0]
    p, nan = len(fit.beta), float("nan")
    remarks = list(setup.notes)
    tau2, se_tau2 = nan, nan
    sigma2 = nan if "baseline" in setup.kinds else None
    if k == 1:
        remarks.append("one study: heterogeneity, and with it the prediction interval, cannot be estimated")
        if test == "t":
            remarks.append("one study leaves no degrees of freedom for a t test or interval")
    else:
        tau2 = float(fit.sd[0] ** 2)
        if sigma2 is not None:
            sigma2 = float(fit.sd[1] ** 2)
        if fit.flat:
            tau2 = nan
            remarks.append(
                "the likelihood does not depend on tau2: these counts cannot tell heterogeneity; the estimate is "
                "that without any, and there is no prediction interval"
            )
        elif tau2 == 0:
            remarks.append("tau2 is zero, the edge of its range: it has no standard error")
        else:
            se_tau2 = float(2 * fit.sd[0] * np.sqrt(fit.covariance[p, p]))
        if fit.quadrature_error > 1e-4:
            change = f"{fit.quadrature_error:.1g}"
            remarks.append(f"the log-likelihood moves by {change} when the points are doubled: give more, or none")
        if sigma2 == 0:
            remarks.append("sigma2 is zero, the edge of its range")
        remarks += tests.notes
    half = _quantile(0.5 + level / 2, df) * float(np.sqrt(effect["se"] ** 2 + tau2)) if k > 1 else nan
    return _assemble(
        setup, tests, table, remarks, df, request,
        tau2=tau2, se_tau2=se_tau2, sigma2=sigma2, rho=None,
        pi_low=float(effect["estimate"] - half), pi_high=float(effect["estimate"] + half),
        log_likelihood=fit.log_likelihood, conditional_log_likelihood=fit.conditional_log_likelihood,
        gradient_norm=fit.gradient_norm, boundary=k > 1 and bool((fit.sd == 0).any()),
        points=fit.points, quadrature_error=fit.quadrature_error, _source=(setup.problem, fit),
    )  # fmt: skip


def report_beta_binomial(fit: BetaBinomialFit, setup: Setup, tests: Heterogeneity, request: Request) -> CountModel:
    """Assemble the result of the beta-binomial model."""
    test, level = request.test, request.level
    k, nan = setup.problem.studies, float("nan")
    df = float(k - 1) if test == "t" else np.inf
    table = coefficient_table(setup.terms, np.array([fit.mean]), np.array([[fit.se**2]]), df, level)
    remarks = [*setup.notes, "tau2 belongs to the normal random effect; here the spread between studies is rho"]
    remarks.append("the likelihood is in closed form: there is no conditional log-likelihood")
    if k == 1:
        remarks.append("one study: rho, and with it the prediction interval, cannot be estimated")
        low, high = nan, nan
        if test == "t":
            remarks.append("one study leaves no degrees of freedom for a t test or interval")
    else:
        low, high = prediction(fit, level, lambda probability: _quantile(probability, df))
        if fit.rho == 0:
            remarks.append("rho is zero, the edge of its range")
        remarks += tests.notes
    return _assemble(
        setup, tests, table, remarks, df, request,
        tau2=nan, se_tau2=nan, sigma2=None, rho=fit.rho if k > 1 else nan,
        pi_low=low, pi_high=high,
        log_likelihood=fit.log_likelihood, conditional_log_likelihood=nan,
        gradient_norm=fit.gradient_norm, boundary=k > 1 and fit.rho == 0, points=0, quadrature_error=0.0,
    )  # fmt: skip


def _assemble(
    setup: Setup,
    tests: Heterogeneity,
    table: pd.DataFrame,
    remarks: list[str],
    df: float,
    request: Request,
    **fields: Any,
) -> CountModel:
    """Add to the fields of a fit what follows from its counts, its coefficients and its tests."""
    given, effect = setup.counts, table.iloc[0]
    k, time = given.events.shape[1], request.measure in {"IRLN", "IRR"}
    return CountModel(
        measure=request.measure,
        model=request.model,
        test=request.test,
        level=request.level,
        k=k,
        n=None if time else int(given.size.sum()),
        events=int(given.events.sum()),
        time=float(given.size.sum()) if time else None,
        estimate=float(effect["estimate"]),
        se=float(effect["se"]),
        statistic=float(effect["statistic"]),
        df=df,
        p_value=float(effect["p_value"]),
        ci_low=float(effect["ci_low"]),
        ci_high=float(effect["ci_high"]),
        pi_df=df if k > 1 else float("nan"),
        coefficients=table,
        q_wald=tests.wald,
        q_wald_p=tests.wald_p,
        q_lr=tests.lr,
        q_lr_p=tests.lr_p,
        q_df=tests.df,
        converged=True,
        excluded=given.excluded,
        notes=(*_excluded(given), *remarks),
        _given=(given, request),
        **fields,
    )
