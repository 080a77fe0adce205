"""Pooling the estimates of several studies: :func:`pool` and its result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from comfrey.effects.measure import harmonic_mean
from comfrey.errors import InputError
from comfrey.models._fit import Fit, check_choices, fit_model, quantile, two_sided
from comfrey.models._fitted import Fitted
from comfrey.models._input import Studies, read_studies
from comfrey.models._maximum import Certificate

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.models._fit import Test
    from comfrey.models.regression import MetaRegression
    from comfrey.models.tau2 import Method

__all__ = ["Pooled", "Reading", "pool"]

_TEST_WORDS = {
    "z": "z test (normal)",
    "t": "t test",
    "hk": "Knapp-Hartung test",
    "hk-adhoc": "Knapp-Hartung test, never narrower than z",
}
PredictionDf = Literal["test", "k-1", "k-2"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A pooled result on the scale that people read; `scale` names it (``ratio``, ``proportion`` ...)."""

    estimate: float
    ci_low: float
    ci_high: float
    pi_low: float
    pi_high: float
    scale: str


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Pooled(Fitted):
    """A pooled estimate and what goes with it, on the scale of analysis.

    Attributes
    ----------
    estimate, se, statistic, p_value, ci_low, ci_high : float
        The pooled estimate, its standard error, test of the value zero, and confidence interval.
    df : float or None
        Degrees of freedom of the t distribution; None for the normal.
    pi_low, pi_high : float
        Prediction interval: where the true effect of a new study is expected.
    pi_convention, i2_convention : str
        How the prediction interval and I2 were computed, in words.
    method, test : str
        As asked; `test_used` differs only where one study leaves nothing to estimate.
    level : float
    notes : tuple of str
        Why a number is missing, and other remarks.
    """

    estimate: float
    se: float
    statistic: float
    df: float | None
    p_value: float
    ci_low: float
    ci_high: float
    pi_low: float
    pi_high: float
    test_used: str
    pi_convention: str
    i2_convention: str

    @property
    def r2(self) -> float:
        """Always not-a-number: without moderators there is no variance to explain."""
        return math.nan

    @property
    def prediction_df(self) -> float | None:
        """Degrees of freedom of the prediction interval, None for the normal."""
        return _prediction_df(self.pi_convention, self.k, self.df)

    @property
    def coefficients(self) -> pd.DataFrame:
        """The estimate as a table of one row, with the columns of a regression's."""
        import pandas as pd

        row = (self.estimate, self.se, self.statistic, self.df, self.p_value, self.ci_low, self.ci_high)
        names = ("estimate", "se", "statistic", "df", "p_value", "ci_low", "ci_high")
        frame = pd.DataFrame([dict(zip(names, row, strict=True))])
        frame["df"] = frame["df"].astype(float)
        frame.insert(0, "term", "Intercept")
        return frame

    @property
    def reading(self) -> Reading:
        """The result on the reading scale; the double arcsine uses the harmonic mean of the studies' numbers."""
        values = np.array([self.estimate, self.ci_low, self.ci_high, self.pi_low, self.pi_high])
        scale = "scale of analysis"
        if self.measure is not None:
            scale = self.measure.unit
            needs = self.measure.scale.needs_n and self.n is not None
            values = self.measure.back_transform(
                values, harmonic_mean(self.n) if needs and self.n is not None else None
            )
        low, middle, high = float(values[1]), float(values[0]), float(values[2])
        return Reading(middle, low, high, float(values[3]), float(values[4]), scale)

    def predict(self) -> pd.DataFrame:
        """Predict the effect in a new study: estimate, se, confidence and prediction interval, one row."""
        import pandas as pd

        names = ("estimate", "se", "ci_low", "ci_high", "pi_low", "pi_high")
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    @property
    def summary(self) -> pd.DataFrame:
        """The pooled estimate with its intervals, and heterogeneity, as a table of one row."""
        import pandas as pd

        names = ("k", "estimate", "se", "ci_low", "ci_high", "p_value", "pi_low", "pi_high", "tau2", "i2", "q", "q_p")
        return pd.DataFrame([{name: getattr(self, name) for name in names}], index=["pooled"])

    @property
    def headline(self) -> tuple[str, ...]:
        """Method, test and intervals in words, rows left out, and notes."""
        what = "" if self.measure is None else f" of {self.measure.analysis_label}"
        kind = "Equal-effects" if self.method == "EE" else "Random-effects"
        lines = [
            f"{kind} model{what}, {self.k} studies",
            f"tau2 by {self.method}; {_TEST_WORDS[self.test_used]}; {self.level:.0%} intervals",
            f"prediction interval: {self.pi_convention}; I2: {self.i2_convention}",
        ]
        if self.measure is not None and self.measure.scale.name != "identity":
            read = self.reading
            lines.append(f"{self.measure.label}: {read.estimate:.4g} ({read.ci_low:.4g} to {read.ci_high:.4g})")
        return (*lines, *(f"left out: {text}" for text in self.dropped), *(f"note: {text}" for text in self.notes))


@overload
def pool(
    yi: object,
    vi: object = None,
    *,
    method: Method = "REML",
    test: Test = "hk",
    level: float = 0.95,
    moderators: None = None,
    data: Any = None,
    study: object = None,
    tau2: float | None = None,
    prediction: PredictionDf = "test",
) -> Pooled: ...


@overload
def pool(
    yi: object,
    vi: object = None,
    *,
    method: Method = "REML",
    test: Test = "hk",
    level: float = 0.95,
    moderators: str,
    data: Any = None,
    study: object = None,
    tau2: float | None = None,
    prediction: PredictionDf = "test",
) -> MetaRegression: ...


def pool(
    yi: object,
    vi: object = None,
    *,
    method: Method = "REML",
    test: Test = "hk",
    level: float = 0.95,
    moderators: str | None = None,
    data: Any = None,
    study: object = None,
    tau2: float | None = None,
    prediction: PredictionDf = "test",
) -> Pooled | MetaRegression:
    """Pool study estimates by a random-effects (or equal-effects) model, or regress them on moderators.

    The model is ``y_i ~ N(mu, v_i + tau2)``; mu is estimated by ``sum(w y)/sum(w)`` with ``w = 1/(v + tau2)``. With
    moderators ``mu_i = x_i b``, and REML is that of this model, whether or not it has an intercept.

    Parameters
    ----------
    yi : EffectSizes, array of shape (k,), or column name
        Estimates on the scale of analysis.
    vi : array of shape (k,) or column name
        Sampling variances; not given with an EffectSizes.
    method : {"REML", "ML", "DL", "DL2", "HE", "HS", "HSk", "SJ", "EB", "PM", "PMM", "EE"}
        How tau2 is estimated; "EE" holds it at zero. "DL2" is the two-step DerSimonian-Laird estimate.
    test : {"hk", "hk-adhoc", "t", "z"}
        Knapp-Hartung; the same but never narrower than z; plain t with k-1; normal.
    level : float
        Of confidence and prediction intervals.
    moderators : str, optional
        The right-hand side of a Wilkinson formula, e.g. ``"latitude + C(region)"`` or ``"bs(year, df=3)"``. A formula
        can hold Python expressions: take it from people you trust.
    data : DataFrame or mapping, optional
        Where column names and moderators are looked up, one row a study.
    study : array of labels or column name, optional
    tau2 : float, optional
        A known value, held fixed.
    prediction : {"test", "k-1", "k-2"}
        Distribution of the prediction interval: that of the test (normal for z, else t with k-1), or t with k-1 or
        k-2 degrees of freedom (Higgins, Thompson & Spiegelhalter 2009, doi:10.1111/j.1467-985X.2008.00552.x).

    Returns
    -------
    Pooled, or MetaRegression with moderators

    Raises
    ------
    InputError
        If values cannot be used; the row is named. Rows with a missing value are left out and listed in `dropped`.
    ConvergenceError
        If a search does not end at its maximum.
    NotEstimableError
        If the moderators depend on each other or are too many for the studies.

    Examples
    --------
    >>> fit = pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08])
    >>> round(fit.estimate, 4), round(fit.tau2, 4), fit.certificate.global_maximum
    (0.4029, 0.0418, True)
    """
    studies = read_studies(yi, vi, data=data, study=study)
    check_choices(method, test, level)
    if prediction not in {"test", "k-1", "k-2"}:
        raise InputError("prediction", found=repr(prediction), expected="'test', 'k-1' or 'k-2'")
    if tau2 is not None and not (np.isfinite(tau2) and tau2 >= 0):
        raise InputError("tau2", found=tau2, expected="zero or a number above it")
    if moderators is not None:
        if prediction != "test":
            raise InputError("prediction", found=repr(prediction), expected="'test' for a meta-regression")
        from comfrey.models.regression import regress

        return regress(studies, moderators, data, method, test, level, tau2)
    return pool_studies(studies, method, test, level, tau2, prediction)


def pool_studies(
    studies: Studies, method: str, test: str, level: float, tau2: float | None = None, prediction: str = "test"
) -> Pooled:
    """Pool checked studies (:func:`pool` without the reading of its input)."""
    k = studies.k
    if k == 1:
        return _single(studies, method, test, level)
    fit = fit_model(studies.yi, studies.vi, None, method, test, tau2)
    notes: list[str] = []
    df = None if test == "z" else float(k - 1)
    estimate, se = float(fit.beta[0]), math.sqrt(float(fit.covariance[0, 0]))
    reach = quantile(level, df)
    statistic, p_value = math.nan, math.nan
    if se > 0:
        statistic = estimate / se
        p_value = two_sided(statistic, df)
    else:
        notes.append("the estimates are all equal: the Knapp-Hartung error is zero; use test='hk-adhoc'")
    if test == "hk" and 0 < fit.hk_factor < 1:
        notes.append("the Knapp-Hartung interval rests on an error smaller than the z test's; see test='hk-adhoc'")
    low = high = math.nan
    convention = _pi_words(prediction, test, k)
    if method == "EE" and tau2 is None:
        convention = "none"
        notes.append("no prediction interval: an equal-effects model has one true effect")
    elif (pi_df := _prediction_df(convention, k, df)) is not None and pi_df < 1:
        notes.append("no prediction interval: two studies leave no degree of freedom for k-2")
    else:
        wide = (reach if pi_df == df else quantile(level, pi_df)) * math.sqrt(se * se + fit.tau2)
        low, high = estimate - wide, estimate + wide
    if math.isnan(fit.se_tau2):
        notes.append("no standard error of tau2: it is held fixed" if method == "EE" or tau2 is not None else _NO_SE)
    return Pooled(
        estimate=estimate,
        se=se,
        statistic=statistic,
        df=df,
        p_value=p_value,
        ci_low=estimate - reach * se,
        ci_high=estimate + reach * se,
        pi_low=low,
        pi_high=high,
        method=method,
        test=test,
        test_used=test,
        level=level,
        pi_convention=convention,
        i2_convention="from Q" if method == "EE" else "from tau2 and the typical sampling variance",
        notes=tuple(notes),
        _fit=fit,
        _studies=studies,
    )


_NO_SE = "no standard error of tau2: the estimates are all equal"


def _pi_words(prediction: str, test: str, k: int) -> str:
    if prediction == "test":
        return "normal distribution" if test == "z" else f"t distribution, k-1 = {k - 1} degrees of freedom"
    return f"t distribution, {prediction} = {k - int(prediction[-1])} degrees of freedom"


def _prediction_df(convention: str, k: int, df: float | None) -> float | None:
    if "k-2" in convention:
        return float(k - 2)
    return float(k - 1) if "k-1" in convention else df


def _single(studies: Studies, method: str, test: str, level: float) -> Pooled:
    """One study is its own summary: its interval is the normal one, and there is no heterogeneity to speak of."""
    estimate, se = float(studies.yi[0]), math.sqrt(float(studies.vi[0]))
    half = quantile(level, None) * se
    nan = math.nan
    return Pooled(
        estimate=estimate,
        se=se,
        statistic=estimate / se,
        df=None,
        p_value=two_sided(estimate / se, None),
        ci_low=estimate - half,
        ci_high=estimate + half,
        pi_low=nan,
        pi_high=nan,
        method=method,
        test=test,
        test_used="z",
        level=level,
        pi_convention="none",
        i2_convention="none",
        notes=("one study: no heterogeneity can be estimated, and the interval is the study's own (normal)",),
        _fit=Fit(
            beta=studies.yi,
            covariance=studies.vi.reshape(1, 1),
            tau2=nan,
            se_tau2=nan,
            i2=nan,
            h2=nan,
            q=0.0,
            q_df=0,
            log_likelihood=nan,
            hk_factor=nan,
            certificate=Certificate(True, 0, 0.0, False, 1, True),
        ),
        _studies=studies,
    )
