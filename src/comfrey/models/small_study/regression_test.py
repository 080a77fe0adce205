"""Tests of funnel asymmetry by regression: Egger's and its variants, and PET-PEESE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._design import _check_rank
from comfrey.models._fit import fit_model, quantile, two_sided
from comfrey.models._view import view_of
from comfrey.models.small_study._common import BiasTest, few_studies, need, one_of, weighted_regression
from comfrey.models.small_study._predictors import PREDICTORS, VARIANTS, predictor_of, regressed_by
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.effects.sizes import EffectSizes
    from comfrey.models._view import AnyFit, FitView

__all__ = ["Adjusted", "EggerTest", "PetPeese", "egger", "pet_peese"]

Model = Literal["random-effects", "weighted-regression"]
Predictor = Literal["se", "variance", "n", "inverse-n", "root-inverse-n"]
Variant = Literal["egger", "harbord", "peters", "macaskill", "deeks", "pustejovsky"]
MODELS = ("random-effects", "weighted-regression")


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class EggerTest(BiasTest):
    """A test that estimates do not depend on the size of studies.

    Attributes
    ----------
    statistic, df, p_value
        Of the slope: normal (df None) or t.
    estimate, ci_low, ci_high : float
        The limit: effect expected where the predictor is zero (an endlessly large study); not-a-number where the
        predictor grows with the study, or the outcome is another one.
    slope, slope_se, slope_ci_low, slope_ci_high : float
        How the outcome changes with the predictor.
    tau2 : float
        Heterogeneity left in the random-effects model; not-a-number for a weighted regression.
    variant, model, predictor : str
    level : float
    """

    slope: float
    slope_se: float
    slope_ci_low: float
    slope_ci_high: float
    ci_low: float
    ci_high: float
    tau2: float
    variant: str
    model: str
    predictor: str
    level: float


def egger(
    fit: AnyFit,
    variant: Variant = "egger",
    model: Model = "random-effects",
    predictor: Predictor = "se",
    sizes: EffectSizes | None = None,
) -> EggerTest:
    """Test for small-study effects: whether the effect depends on the standard error (or another measure of size).

    - ``variant="egger", model="random-effects"``: the model of the fit, with its method and test, and the predictor as
      a moderator (Sterne & Egger 2005; Thompson & Sharp 1999).
    - ``variant="egger", model="weighted-regression"``: Egger's own test, weighted by 1/v with a multiplicative
      dispersion; t with k - p degrees of freedom.
    - Other variants are weighted regressions too, with their own outcome, predictor and weights: Harbord's (score of
      2x2 tables), Peters's (1/n) and Macaskill's (n), both weighted by 1/(1/events + 1/non-events), Deeks's (effective
      number of people), and that of Pustejovsky and Rodgers for standardised mean differences, where
      ``sqrt(1/n1 + 1/n2)`` stands for the standard error throughout. They avoid the link that ratios and standardised
      differences have with their own standard errors.

    Parameters
    ----------
    fit : Pooled or MetaRegression
        Of a regression, the moderators are kept (first variant only).
    variant : {"egger", "harbord", "peters", "macaskill", "deeks", "pustejovsky"}
    model : {"random-effects", "weighted-regression"}
        For Egger's variant.
    predictor : {"se", "variance", "n", "inverse-n", "root-inverse-n"}
        For Egger's variant.
    sizes : EffectSizes, optional
        What was pooled: the other variants need its columns.

    Raises
    ------
    InputError
        If a choice is unknown, or the variant needs columns that are not there.
    NotEstimableError
        If there are too few studies, or they are all of one size.

    References
    ----------
    Egger et al. 1997, doi:10.1136/bmj.315.7109.629; Thompson & Sharp 1999,
    doi:10.1002/(SICI)1097-0258(19991030)18:20<2693::AID-SIM235>3.0.CO;2-V; Harbord et al. 2006,
    doi:10.1002/sim.2380; Peters et al. 2006, doi:10.1001/jama.295.6.676; Macaskill et al. 2001, doi:10.1002/sim.698;
    Deeks et al. 2005, doi:10.1016/j.jclinepi.2005.01.016; Pustejovsky & Rodgers 2019, doi:10.1002/jrsm.1332.

    Examples
    --------
    >>> import comfrey as cf
    >>> fit = cf.pool([0.1, 0.5, 0.3, 0.9, 1.2], [0.01, 0.05, 0.03, 0.08, 0.2], test="z")
    >>> found = egger(fit)
    >>> round(found.statistic, 2), round(found.p_value, 4), round(found.estimate, 2)
    (3.57, 0.0004, -0.26)
    """
    view = view_of(fit)
    one_of("variant", variant, ("egger", *VARIANTS))
    one_of("model", model, MODELS)
    one_of("predictor", predictor, PREDICTORS)
    if variant != "egger":
        return _variant(view, variant, sizes)
    need(view, view.p + 2, "the regression test")
    values = predictor_of(view, predictor)
    X = np.column_stack((view.X, values / float(np.median(values))))
    _check_varies(X, (*view.terms, predictor))
    if model == "weighted-regression":
        return _weighted(view, X, values, predictor)
    fitted = fit_model(view.yi, view.vi, X, view.method, view.test, view.known_tau2)
    df = None if view.test == "z" else float(view.k - X.shape[1])
    se = math.sqrt(float(fitted.covariance[-1, -1]))
    if not se > 0:
        raise NotEstimableError("the regression fits the studies perfectly: there is no error to test with")
    statistic = float(fitted.beta[-1]) / se
    reach = quantile(view.level, df)
    limit_se = math.sqrt(float(fitted.covariance[0, 0]))
    return _result(
        view, predictor, "random-effects", fitted.beta, se, limit_se, statistic, df, reach, fitted.tau2, values
    )


def _check_varies(X: Array, names: tuple[str, ...]) -> None:
    _check_rank(X, names, X.shape[0])


def _weighted(view: FitView, X: Array, values: Array, predictor: str) -> EggerTest:
    found = weighted_regression(view.yi, X, 1.0 / view.vi)
    se, statistic, _ = found.test(-1)
    limit_se = math.sqrt(float(found.covariance[0, 0]))
    df = float(found.df)
    reach = quantile(view.level, df)
    return _result(
        view, predictor, "weighted-regression", found.beta, se, limit_se, statistic, df, reach, math.nan, values
    )


def _result(
    view: FitView,
    predictor: str,
    model: str,
    beta: Array,
    se: float,
    limit_se: float,
    statistic: float,
    df: float | None,
    reach: float,
    tau2: float,
    values: Array,
) -> EggerTest:
    unit = float(np.median(values))
    slope, slope_se = float(beta[-1]) / unit, se / unit
    notes = list(few_studies(view.k))
    limit = half = math.nan
    if not view.constant:
        notes.append("no limit estimate: with moderators it differs from study to study")
    elif predictor == "n":
        notes.append("no limit estimate: the predictor grows with the size of the study")
    else:
        limit, half = float(beta[0]), reach * limit_se
    kind = "random-effects model" if model == "random-effects" else "weighted regression"
    return EggerTest(
        name=f"Egger's regression test ({kind}, predictor {predictor})",
        statistic=statistic,
        df=df,
        p_value=two_sided(statistic, df),
        distribution="normal" if df is None else f"t distribution, {df:g} degrees of freedom",
        estimate=limit,
        ci_low=limit - half,
        ci_high=limit + half,
        slope=slope,
        slope_se=slope_se,
        slope_ci_low=slope - reach * slope_se,
        slope_ci_high=slope + reach * slope_se,
        tau2=tau2,
        variant="egger",
        model=model,
        predictor=predictor,
        level=view.level,
        k=view.k,
        notes=tuple(notes),
    )


def _variant(view: FitView, variant: str, sizes: EffectSizes | None) -> EggerTest:
    if not view.constant:
        raise InputError("fit", found="a meta-regression", expected=f"a pooled fit for the {variant} test")
    need(view, 3, "the regression test")
    outcome, values, weights, words = regressed_by(variant, view, sizes)
    unit = float(np.median(values))
    found = weighted_regression(outcome, np.column_stack((np.ones(view.k), values / unit)), weights)
    se, statistic, p_value = found.test(1)
    low, high = found.interval(1, view.level)
    notes = list(few_studies(view.k))
    limit = limit_low = limit_high = math.nan
    if variant in {"harbord", "macaskill"}:
        notes.append("no limit estimate: this regression has no effect at infinite size")
    else:
        limit, (limit_low, limit_high) = float(found.beta[0]), found.interval(0, view.level)
    return EggerTest(
        name=f"{variant.capitalize()} test",
        statistic=statistic,
        df=float(found.df),
        p_value=p_value,
        distribution=f"t distribution, {found.df} degrees of freedom",
        estimate=limit,
        ci_low=limit_low,
        ci_high=limit_high,
        slope=float(found.beta[1]) / unit,
        slope_se=se / unit,
        slope_ci_low=low / unit,
        slope_ci_high=high / unit,
        tau2=math.nan,
        variant=variant,
        model="weighted-regression",
        predictor=words,
        level=view.level,
        k=view.k,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class Adjusted:
    """One adjusted estimate: with its test of zero and interval."""

    name: str
    estimate: float
    se: float
    statistic: float
    df: float | None
    p_value: float
    ci_low: float
    ci_high: float
    tau2: float


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class PetPeese(Result):
    """Estimates where the standard error (PET) or the variance (PEESE) is zero, and the one that the rule picks.

    Attributes
    ----------
    estimate, se, statistic, df, p_value, ci_low, ci_high, tau2
        Of the one picked; `tau2` is not-a-number for weighted regressions.
    chosen : str
        "PET" or "PEESE".
    pet, peese : Adjusted
    """

    estimate: float
    se: float
    statistic: float
    df: float | None
    p_value: float
    ci_low: float
    ci_high: float
    tau2: float
    chosen: str
    pet: Adjusted
    peese: Adjusted
    model: str
    level: float
    alpha: float
    k: int
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """PET and PEESE, one row each; `chosen` marks the one picked."""
        import pandas as pd

        names = ("estimate", "se", "statistic", "df", "p_value", "ci_low", "ci_high")
        rows = [{name: getattr(item, name) for name in names} for item in (self.pet, self.peese)]
        frame = pd.DataFrame(rows, index=["PET", "PEESE"])
        frame["df"] = frame["df"].astype(float)
        frame["chosen"] = [self.chosen == name for name in frame.index]
        return frame

    @property
    def headline(self) -> tuple[str, ...]:
        """Which estimate was picked, and the rule."""
        rule = f"PEESE if PET finds an effect (one-sided p < {self.alpha:g}, towards the pooled side), else PET"
        first = f"PET-PEESE ({self.model}), {self.k} studies: {self.chosen}"
        return (first, rule, *(f"note: {text}" for text in self.notes))


def pet_peese(fit: AnyFit, model: Model = "weighted-regression", alpha: float = 0.05) -> PetPeese:
    """Adjust for small-study effects: the intercept of a regression on the standard error, or on the variance.

    PET regresses on the standard error, PEESE on the variance; both weighted by 1/v with multiplicative dispersion,
    or in the random-effects model of the fit. PEESE is picked if PET's intercept differs from zero (one-sided
    `alpha`, in the direction of the pooled estimate), else PET.

    Parameters
    ----------
    fit : Pooled
    model : {"weighted-regression", "random-effects"}
    alpha : float

    Raises
    ------
    InputError
        For a meta-regression, or an unknown model.
    NotEstimableError
        If there are fewer than three studies, or they are all of one size.

    References
    ----------
    Stanley & Doucouliagos 2014, doi:10.1002/jrsm.1095.

    Examples
    --------
    >>> import comfrey as cf
    >>> found = pet_peese(cf.pool([0.1, 0.5, 0.3, 0.9, 1.2], [0.01, 0.05, 0.03, 0.08, 0.2]))
    >>> found.chosen, round(found.estimate, 3)
    ('PET', -0.257)
    """
    view = view_of(fit)
    one_of("model", model, MODELS)
    if not (isinstance(alpha, (int, float)) and 0 < alpha < 0.5):
        raise InputError("alpha", found=alpha, expected="a number between 0 and 0.5")
    if not view.constant:
        raise InputError("fit", found="a meta-regression", expected="a pooled fit without moderators")
    pet = _at_zero(view, "se", "PET", model)
    peese = _at_zero(view, "variance", "PEESE", model)
    found = pet.p_value / 2 < alpha and pet.estimate * float(view.beta[0]) > 0
    best = peese if found else pet
    return PetPeese(
        estimate=best.estimate,
        se=best.se,
        statistic=best.statistic,
        df=best.df,
        p_value=best.p_value,
        ci_low=best.ci_low,
        ci_high=best.ci_high,
        tau2=best.tau2,
        chosen=best.name,
        pet=pet,
        peese=peese,
        model=model,
        level=view.level,
        alpha=alpha,
        k=view.k,
        notes=few_studies(view.k),
    )


def _at_zero(view: FitView, predictor: str, name: str, model: str) -> Adjusted:
    need(view, 3, "PET-PEESE")
    values = predictor_of(view, predictor)
    X = np.column_stack((np.ones(view.k), values / float(np.median(values))))
    _check_varies(X, ("Intercept", predictor))
    tau2 = math.nan
    if model == "weighted-regression":
        found = weighted_regression(view.yi, X, 1.0 / view.vi)
        beta, covariance, df = found.beta, found.covariance, float(found.df)
    else:
        fitted = fit_model(view.yi, view.vi, X, view.method, view.test, view.known_tau2)
        beta, covariance, tau2 = fitted.beta, fitted.covariance, fitted.tau2
        df = math.inf if view.test == "z" else float(view.k - 2)
    used = None if math.isinf(df) else df
    estimate, se = float(beta[0]), math.sqrt(float(covariance[0, 0]))
    if not se > 0:
        raise NotEstimableError("the regression fits the studies perfectly: there is no error to test with")
    half = quantile(view.level, used) * se
    p_value = two_sided(estimate / se, used)
    return Adjusted(name, estimate, se, estimate / se, used, p_value, estimate - half, estimate + half, tau2)
