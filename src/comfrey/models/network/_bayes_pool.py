"""Bayesian random-effects meta-analysis without chains: :func:`bayesian_pool`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from comfrey.errors import InputError
from comfrey.models.network._bayes import Bayesian, common_fields
from comfrey.models.network._gaussian import LinearModel
from comfrey.models.network._input import numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from comfrey.models.network._priors import Prior

__all__ = ["BayesianPooling", "bayesian_pool"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BayesianPooling(Bayesian):
    """Posterior of a random-effects meta-analysis.

    Attributes
    ----------
    estimate, sd, median, ci_low, ci_high, pi_low, pi_high, probability_above_zero : float
        Posterior mean and so on of the mean effect; the predictive interval is of a new study's effect.
    k : int
        Number of studies.
    """

    estimate: float = float("nan")
    sd: float = float("nan")
    median: float = float("nan")
    ci_low: float = float("nan")
    ci_high: float = float("nan")
    pi_low: float = float("nan")
    pi_high: float = float("nan")
    probability_above_zero: float = float("nan")
    k: int = 0

    @property
    def summary(self) -> pd.DataFrame:
        """The mean effect and tau."""
        return pd.DataFrame(
            {
                "mean": [self.estimate, self.tau_mean],
                "sd": [self.sd, self.tau_sd],
                "median": [self.median, self.tau_median],
                "ci_low": [self.ci_low, self.tau_low],
                "ci_high": [self.ci_high, self.tau_high],
                "pi_low": [self.pi_low, np.nan],
                "pi_high": [self.pi_high, np.nan],
            },
            index=["effect", "tau"],
        )

    @property
    def headline(self) -> tuple[str, ...]:
        """Model, prior, tau, error."""
        return (f"Bayesian random-effects meta-analysis of {self.k} studies", *self._head)


def bayesian_pool(yi: ArrayLike, vi: ArrayLike, prior: Prior | None = None, *, level: float = 0.95) -> BayesianPooling:
    """Pool effects under a prior for tau, by adaptive quadrature: no chains, no seed, an error bound.

    Parameters
    ----------
    yi, vi : (k,) array-like
        Effects and sampling variances.
    prior : Prior, optional
        For tau; by default half-normal with scale 1.
    level : float
        Of the credible intervals.

    Returns
    -------
    BayesianPooling

    Raises
    ------
    InputError
        For values that are not finite, variances that are not positive, or an improper posterior.

    References
    ----------
    Röver C. J Stat Softw 2020;93(6):1-51, doi:10.18637/jss.v093.i06.

    Examples
    --------
    >>> from comfrey.models.network import HalfNormal
    >>> fit = bayesian_pool([0.1, 0.3, 0.5], [0.02, 0.03, 0.04], HalfNormal(0.5))
    >>> round(fit.estimate, 3), round(fit.tau_median, 3)
    (0.278, 0.194)
    """
    y, v = numbers(yi, "yi"), numbers(vi, "vi")
    if y.size != v.size or not y.size:
        raise InputError("vi", found=f"{v.size} values", expected=f"{y.size} values, as many as yi, and at least one")
    for name, values, good in (("yi", y, np.isfinite(y)), ("vi", v, np.isfinite(v) & (v > 0))):
        if not good.all():
            i = int(np.flatnonzero(~good)[0])
            raise InputError(name, found=values[i], expected="a finite number" + " above zero" * (name == "vi"), row=i)
    common = common_fields(LinearModel(y, v, np.ones((y.size, 1))), prior, level)
    bare = BayesianPooling(**common)
    row = bare._describe(np.ones((1, 1))).iloc[0]
    return BayesianPooling(
        **common, k=y.size, estimate=float(row["mean"]), sd=float(row["sd"]), median=float(row["median"]),
        ci_low=float(row["ci_low"]), ci_high=float(row["ci_high"]), pi_low=float(row["pi_low"]),
        pi_high=float(row["pi_high"]), probability_above_zero=float(row["probability_above_zero"]),
    )  # fmt: skip
