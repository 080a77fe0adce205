"""What figures take from a fit: its studies and its result, whatever kind of model it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.effects.registry import find_measure
from comfrey.errors import InputError
from comfrey.models._fit import quantile

if TYPE_CHECKING:
    from comfrey.effects.measure import Array, Measure
    from comfrey.effects.sizes import EffectSizes
    from comfrey.models.multilevel.result import MultilevelFit
    from comfrey.models.pooling import Pooled
    from comfrey.models.regression import MetaRegression
    from comfrey.models.stratified import Stratified

    Rows = np.ndarray[Any, np.dtype[np.intp]]

__all__ = ["Shown", "one_per_study", "show"]

_TESTS = {"z": "normal test", "t": "t test", "hk": "Knapp-Hartung", "hk-adhoc": "Knapp-Hartung, not narrower than z"}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Shown:
    """Studies and result of a fit, on the scale of analysis; a number that a model does not have is not-a-number.

    `facts` holds the numbers of its notes by name (tau2, i2, q, q_df, q_p, statistic, p, r2 ...); `fitted` the fitted
    values of a regression with their interval, shape (3, k); `method` the model in words; `weights` is None where a
    model has no weights.
    """

    yi: Array
    vi: Array
    labels: tuple[str, ...]
    rows: Rows
    measure: Measure | None
    n: Array | None = None
    weights: Array | None = None
    level: float = 0.95
    estimate: float = math.nan
    se: float = math.nan
    df: float | None = None
    ci_low: float = math.nan
    ci_high: float = math.nan
    pi_low: float = math.nan
    pi_high: float = math.nan
    pi_df: float | None = None
    tau2: float = math.nan
    method: str = ""
    facts: dict[str, float] = field(default_factory=dict)
    fitted: Array | None = None
    dropped: tuple[str, ...] = ()
    kind: str = "pooled"

    @property
    def k(self) -> int:
        """Number of studies."""
        return int(self.yi.size)

    @property
    def se_i(self) -> Array:
        """Standard errors of the studies."""
        return np.sqrt(self.vi)

    def intervals(self) -> tuple[Array, Array]:
        """Confidence limits of each study: normal, at the level of the fit."""
        half = quantile(self.level, None) * self.se_i
        return self.yi - half, self.yi + half


def show(fit: object, studies: EffectSizes | None = None) -> Shown:
    """Take from a fit what figures need.

    Parameters
    ----------
    fit : Pooled, TrimAndFill, MetaRegression, Stratified, MultilevelFit or CountModel
    studies : EffectSizes, optional
        The studies' own estimates, for one-stage models (which have none); labels and measure, for multilevel fits.

    Raises
    ------
    InputError
        If it is no fit, or a one-stage model comes without `studies`.
    """
    kind = type(fit).__name__
    if kind == "TrimAndFill":
        fit, kind = fit.fit, "Pooled"  # type: ignore[attr-defined]
    if kind in {"Pooled", "MetaRegression"}:
        shown = _pooled(fit)  # type: ignore[arg-type]
    elif kind == "Stratified":
        shown = _stratified(fit)  # type: ignore[arg-type]
    elif kind == "MultilevelFit":
        shown = _multilevel(fit, studies)  # type: ignore[arg-type]
    elif kind == "CountModel":
        shown = _counts(fit, studies)
    else:
        raise InputError("fit", found=kind, expected="a result of pool, mantel_haenszel, peto, multilevel, count_model")
    return shown


def one_per_study(argument: str, values: Any, shown: Shown) -> list[Any]:
    """Bring a column to one value a study shown: as many as there are studies, or one for each row that was fitted.

    Raises
    ------
    InputError
        If its length fits neither.
    """
    items = list(values)
    if len(items) == shown.k:
        return items
    if shown.dropped and len(items) > int(shown.rows.max(initial=-1)):
        return [items[row] for row in shown.rows.tolist()]
    raise InputError(argument, found=f"{len(items)} values", expected=f"{shown.k}, one a study")


def _names(labels: tuple[str, ...], rows: Rows) -> tuple[str, ...]:
    return labels or tuple(f"row {row}" for row in rows.tolist())


def _pooled(fit: Pooled | MetaRegression) -> Shown:
    common: dict[str, Any] = {
        "yi": fit.yi, "vi": fit.vi, "labels": _names(fit.labels, fit.rows), "rows": fit.rows, "measure": fit.measure,
        "n": fit.n, "weights": fit.weights, "level": fit.level, "tau2": fit.tau2, "df": fit.df, "dropped": fit.dropped,
    }  # fmt: skip
    facts = {"i2": fit.i2, "q": fit.q, "q_df": float(fit.q_df), "q_p": fit.q_p}
    if fit.method != "EE":
        facts["tau2"] = fit.tau2
    how = "Equal effects" if fit.method == "EE" else f"Random effects, tau² by {fit.method}"
    if type(fit).__name__ == "MetaRegression":
        regression: MetaRegression = fit  # type: ignore[assignment]
        half = quantile(fit.level, fit.df) * np.sqrt(
            np.einsum("ki,ij,kj->k", regression.X, regression.covariance, regression.X)
        )
        middle = regression.X @ regression.beta
        omnibus = regression.omnibus
        facts |= {"r2": regression.r2, "omnibus": omnibus.statistic, "omnibus_df": float(omnibus.df)}
        facts["omnibus_p"] = omnibus.p_value
        method = f"Meta-regression on {regression.design.formula}. {how}; {_TESTS[fit.test]}"
        fitted = np.array([middle, middle - half, middle + half])
        return Shown(**common, kind="regression", facts=facts, method=method, fitted=fitted)
    pooled: Pooled = fit  # type: ignore[assignment]
    facts |= {"statistic": pooled.statistic, "p": pooled.p_value}
    if pooled.k == 1:
        return _with(pooled, {**common, "weights": np.array([100.0]), "facts": {}, "method": "One study"})
    return _with(pooled, {**common, "facts": facts, "method": f"{how}; {_TESTS[pooled.test_used]}"})


def _with(fit: Any, values: dict[str, Any]) -> Shown:
    """Add estimate and intervals, which the results name alike."""
    names = ("estimate", "se", "ci_low", "ci_high", "pi_low", "pi_high")
    numbers: dict[str, Any] = {name: float(getattr(fit, name)) for name in names if hasattr(fit, name)}
    if hasattr(fit, "prediction_df"):
        values["pi_df"] = fit.prediction_df
    return Shown(**numbers, **values)


def _stratified(fit: Stratified) -> Shown:
    sizes = fit.sizes
    yi, vi = fit._own
    some = vi > 0
    rows, names = fit.rows[some], fit.labels
    without = tuple(
        f"row {fit.rows[i]} ({names[i]}): no estimate of its own; its counts are in the model"
        for i in np.flatnonzero(~some).tolist()
    )
    values: dict[str, Any] = {
        "yi": yi[some], "vi": vi[some], "labels": tuple(name for name, shown in zip(names, some, strict=True) if shown),
        "rows": rows, "weights": fit.weights[some],
        "measure": fit.measure, "n": sizes.n[rows], "level": fit.level, "dropped": (*fit.dropped, *without),
        "method": f"Common effect by {fit.method}; normal test",
        "facts": {"q": fit.q, "q_df": float(fit.q_df), "q_p": fit.q_p, "statistic": fit.statistic, "p": fit.p_value},
    }  # fmt: skip
    return _with(fit, values)


def _multilevel(fit: MultilevelFit, studies: EffectSizes | None) -> Shown:
    yi, vi, measure = fit.yi, fit.vi, None
    rows = np.arange(fit.k)
    labels: tuple[str, ...] = ()
    if studies is not None:
        if studies.k != fit.k or not np.allclose(studies.yi, yi, rtol=1e-8, atol=1e-12):
            raise InputError("studies", found="other effects", expected="the effect sizes that were fitted, in order")
        measure, labels = studies.measure, studies.study
    variances = fit.variance_components
    parts = [f"{name} {value:.3g}" for name, value in zip(variances["name"], variances["estimate"], strict=True)]
    method = f"Multilevel model by {fit.method}; {_TESTS[fit.test]}; {'; '.join(parts)}"
    prediction = fit.predict()
    df = None if math.isinf(fit.df) else float(fit.df)
    values: dict[str, Any] = {
        "yi": yi, "vi": vi, "labels": _names(labels, rows), "rows": rows, "measure": measure, "level": fit.level,
        "method": method, "df": df, "pi_df": df,
    }  # fmt: skip
    facts = {"q": fit.q, "q_df": float(fit.q_df), "q_p": fit.q_p}
    if len(prediction) != 1:
        fitted = prediction[["estimate", "ci_low", "ci_high"]].to_numpy(dtype=float).T
        if fit.qm is not None and fit.qm_p is not None:
            facts |= {"omnibus": fit.qm, "omnibus_df": float(fit.qm_df), "omnibus_p": fit.qm_p}
        return Shown(**values, kind="regression", facts=facts, fitted=fitted)
    values |= {"pi_low": float(prediction["pi_low"].iloc[0]), "pi_high": float(prediction["pi_high"].iloc[0])}
    values["tau2"] = float(fit.sigma2.sum() + (np.nan if fit.tau2.size else 0.0))
    return _with(fit, {**values, "facts": {**facts, "statistic": fit.statistic, "p": fit.p_value}})


def _counts(fit: Any, studies: EffectSizes | None) -> Shown:
    measure = find_measure(fit.measure)
    if studies is None:
        fix = "Give studies=effect_sizes(...) of the same counts."
        raise InputError(
            "studies", found="nothing", expected="the studies' own estimates, which this model has not", fix=fix
        )
    if studies.measure != measure:
        raise InputError("studies", found=studies.measure.name, expected=f"effect sizes of measure {measure.name}")
    rows = np.flatnonzero(studies.usable & (studies.vi > 0))
    labels = _names(studies.study, np.arange(studies.k))
    dropped = [f"row {row} ({labels[row]}): {reason}" for row, reason in fit.excluded]
    values: dict[str, Any] = {
        "yi": studies.yi[rows], "vi": studies.vi[rows], "labels": tuple(labels[row] for row in rows), "rows": rows,
        "measure": measure, "n": studies.n[rows], "level": fit.level, "tau2": fit.tau2, "dropped": tuple(dropped),
        "df": None if math.isinf(fit.df) else fit.df, "pi_df": None if math.isinf(fit.pi_df) else fit.pi_df,
        "method": f"One-stage model ({fit.model}); {_TESTS[fit.test]}",
        "facts": {"tau2": fit.tau2, "q": fit.q_wald, "q_df": float(fit.q_df), "q_p": fit.q_wald_p,
                  "statistic": fit.statistic, "p": fit.p_value},
    }  # fmt: skip
    return _with(fit, values)
