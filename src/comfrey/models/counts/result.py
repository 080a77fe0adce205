"""The result of a one-stage model for counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._maximum import Certificate
from comfrey.models.counts._interval import profile_interval
from comfrey.results import Result

if TYPE_CHECKING:
    from comfrey.diagnostics.leave_one_out import LeaveOneOut
    from comfrey.models.counts._fit import Fit
    from comfrey.models.counts._input import Counts
    from comfrey.models.counts._quadrature import Problem
    from comfrey.models.counts._request import Request

__all__ = ["CountModel"]

# Measure -> what its back-transformed value is called.
READING_SCALE = {"PLO": "proportion", "IRLN": "rate", "OR": "odds ratio", "IRR": "rate ratio"}
_ANALYSIS_SCALE = {"PLO": "logit", "IRLN": "log", "OR": "log", "IRR": "log"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CountModel(Result):
    """A fitted one-stage model for counts. Estimates are on the scale of analysis (logit for PLO, log for the rest).

    Attributes
    ----------
    measure, model, test, level : str, str, str, float
        What was fitted, and how its intervals were made.
    k, n, events : int, int or None, int
        Studies in the fit, their participants (None for rates, see `time`) and their events.
    estimate, se, statistic, df, p_value, ci_low, ci_high : float
        The effect: of the median study for a logit-normal or log-normal model, of the mean for beta-binomial.
        `df` is infinite for test "z" and k - 1 for "t".
    pi_low, pi_high, pi_df : float
        Prediction interval for the effect in a new study, estimate -/+ q sqrt(se^2 + tau2), q from the t distribution
        with `pi_df` degrees of freedom (infinite, thus normal, for test "z"; k - 1 for "t").
    tau2, se_tau2 : float
        Variance of the effect between studies, and its standard error.
    sigma2 : float or None
        Variance of the baseline between studies (None but for random-study models).
    rho : float or None
        Intraclass correlation (None but for beta-binomial).
    coefficients : DataFrame
        term, estimate, se, statistic, df, p_value, ci_low, ci_high; the effect first. A random-study model has a
        second one, the baseline: the mean of the studies' own parameters (with coding "half", midway between arms).
    q_wald, q_wald_p, q_lr, q_lr_p, q_df : float
        Tests that all studies share one effect: Wald and likelihood ratio, chi-square with `q_df` degrees of freedom.
    log_likelihood : float
        Marginal, at the maximum, with all constants.
    conditional_log_likelihood : float
        Of the counts given the modes of the random effects. Some programs report this one (metafor where it fits with
        lme4): it is here to compare with, and not for tests.
    converged, gradient_norm, boundary : bool, float, bool
        Certificate: the length of the score at the maximum in standard errors; whether a variance is zero.
    points, quadrature_error : int, float
        Quadrature points in each dimension, and the change of the log-likelihood when they are doubled.
    time : float or None
        Person-time in the fit (rates).
    excluded : tuple of (row, reason)
        Rows that could not enter the fit, counted from 0.
    notes : tuple of str
        What a reader must know; each number that is not there has its reason here.
    """

    measure: str
    model: str
    test: str
    level: float
    k: int
    n: int | None
    events: int
    time: float | None
    estimate: float
    se: float
    statistic: float
    df: float
    p_value: float
    ci_low: float
    ci_high: float
    pi_low: float
    pi_high: float
    pi_df: float
    tau2: float
    se_tau2: float
    sigma2: float | None
    rho: float | None
    coefficients: pd.DataFrame
    q_wald: float
    q_wald_p: float
    q_lr: float
    q_lr_p: float
    q_df: int
    log_likelihood: float
    conditional_log_likelihood: float
    converged: bool
    gradient_norm: float
    boundary: bool
    points: int
    quadrature_error: float
    excluded: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()
    _source: tuple[Problem, Fit] | None = None
    _given: tuple[Counts, Request] | None = None

    @property
    def certificate(self) -> Certificate:
        """What is known about the search; a higher maximum was looked for by a scan of the profile."""
        maxima = 1 if self._source is None else self._source[1].maxima
        return Certificate(self.converged, None, self.gradient_norm, self.boundary, maxima, False)

    def leave_one_out(self) -> LeaveOneOut:
        """Fit again without each study; see :func:`comfrey.models.counts.leave_one_out.leave_one_out`."""
        from comfrey.models.counts.leave_one_out import leave_one_out

        return leave_one_out(self)

    def tau2_interval(self, kind: str = "profile-likelihood") -> tuple[float, float]:
        """Interval for tau2 at the level of the fit.

        The profile likelihood is the only kind here: there is no Q statistic with known distribution to invert.

        Returns
        -------
        tuple of float
            Lower and upper limit; the upper one is infinite where the likelihood sets none.

        Raises
        ------
        InputError
            Another kind.
        NotEstimableError
            The fit has no tau2.

        Examples
        --------
        >>> from comfrey.models.counts import count_model
        >>> fit = count_model("PLO", cases=[30, 12, 55, 8, 40], total=[100, 80, 240, 31, 90])
        >>> low, high = fit.tau2_interval()
        >>> round(low, 4), round(fit.tau2, 4), round(high, 4)
        (0.03, 0.1894, 1.1518)
        """
        if kind != "profile-likelihood":
            raise InputError("kind", found=repr(kind), expected='"profile-likelihood"')
        if self._source is None or np.isnan(self.tau2):
            raise NotEstimableError("this fit has no tau2: see its notes")
        return profile_interval(*self._source, self.level)

    def back_transformed(self) -> dict[str, float | str]:
        """Estimate and intervals on the scale that people read.

        Returns
        -------
        dict
            ``scale`` ("proportion", "rate", "odds ratio" or "rate ratio"), ``estimate``, ``ci_low``, ``ci_high``,
            ``pi_low``, ``pi_high``.

        Examples
        --------
        >>> from comfrey.models.counts import count_model
        >>> reading = count_model("PLO", cases=[5, 9, 12], total=[50, 60, 100]).back_transformed()
        >>> reading["scale"], round(reading["estimate"], 3), round(reading["ci_low"], 3), round(reading["ci_high"], 3)
        ('proportion', 0.124, 0.086, 0.176)
        """
        transform = expit if self.measure == "PLO" else np.exp
        names = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high")
        values = {name: float(transform(getattr(self, name))) for name in names}
        return {"scale": READING_SCALE[self.measure], **values}

    @property
    def summary(self) -> pd.DataFrame:
        """Estimate, interval and prediction interval, on the scale of analysis and on the scale that people read."""
        names = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high")
        reading = self.back_transformed()
        rows = [[getattr(self, name) for name in names], [reading[name] for name in names]]
        analysis = f"{_ANALYSIS_SCALE[self.measure]} {READING_SCALE[self.measure]}"
        return pd.DataFrame(rows, index=[analysis, READING_SCALE[self.measure]], columns=list(names))

    @property
    def headline(self) -> tuple[str, ...]:
        """What was fitted, and what it found about heterogeneity."""
        size = f"{self.n} participants" if self.n is not None else f"{self.time:g} person-time"
        spread = f"rho = {self.rho:.4g}" if self.model == "beta-binomial" else f"tau2 = {self.tau2:.4g}"
        spread += "" if self.sigma2 is None else f", sigma2 = {self.sigma2:.4g}"
        interval = "normal" if self.test == "z" else f"t with {self.df:g} df"
        lines = [
            f"One-stage {self.measure} model ({self.model}): {self.k} studies, {size}, {self.events} events",
            f"{spread}, log-likelihood = {self.log_likelihood:.4f}; {100 * self.level:g}% intervals, {interval}",
        ]
        return (*lines, *(f"note: {note}" for note in self.notes))
