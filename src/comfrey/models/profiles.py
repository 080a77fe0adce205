"""The profile of a likelihood along one variance: how well each of its values agrees with the data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from comfrey.errors import ConvergenceError, InputError, NotEstimableError
from comfrey.models._observed import scale_of
from comfrey.models._profile import Observed, log_likelihood
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models.counts.result import CountModel
    from comfrey.models.multilevel.result import MultilevelFit
    from comfrey.models.pooling import Pooled
    from comfrey.models.regression import MetaRegression

__all__ = ["ProfileCurve", "profile_likelihood"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class ProfileCurve(Result):
    """A profile log-likelihood.

    Attributes
    ----------
    parameter : str
        Which variance.
    values, log_likelihood : arrays of shape (m,)
        Values of the variance, ascending, and the log-likelihood with all else at its best.
    estimate, maximum : float
        The fit's own estimate and log-likelihood.
    ci_low, ci_high, level : float
        Profile-likelihood interval; `ci_high` is infinite where the likelihood rejects no large value.
    cutoff : float
        Height of the log-likelihood at the ends of the interval: half a chi-squared(1) quantile below the maximum.
    restricted : bool
        Whether it is the restricted likelihood (REML).
    """

    parameter: str
    values: Array = field(repr=False)
    log_likelihood: Array = field(repr=False)
    estimate: float
    maximum: float
    ci_low: float
    ci_high: float
    level: float
    cutoff: float
    restricted: bool

    @property
    def summary(self) -> pd.DataFrame:
        """Value and log-likelihood, one row a point."""
        import pandas as pd

        return pd.DataFrame({"value": self.values, "log_likelihood": self.log_likelihood})

    @property
    def headline(self) -> tuple[str, ...]:
        """Parameter, estimate and interval."""
        kind = "restricted log-likelihood" if self.restricted else "log-likelihood"
        ends = f"{self.ci_low:.4g} to {self.ci_high:.4g}"
        return (f"Profile {kind} of {self.parameter}: {self.estimate:.4g} ({self.level:.0%} interval {ends})",)


def profile_likelihood(fit: Any, parameter: str | None = None, points: int = 60) -> ProfileCurve:
    """Trace the likelihood of a fit along one of its variances, all other parameters at their best for each value.

    Parameters
    ----------
    fit : Pooled, MetaRegression, MultilevelFit or CountModel
        Of method REML or ML.
    parameter : str, optional
        Name of a variance: "tau2", or for a multilevel fit one of ``sigma2_names``; the first if not given.
    points : int
        How many values are tried, between zero and some way beyond the interval. Each costs a fit for multilevel and
        one-stage models.

    Returns
    -------
    ProfileCurve

    Raises
    ------
    InputError
        If there is no such parameter.
    NotEstimableError
        If the fit has no likelihood (method DL ...), or no heterogeneity can be estimated.
    ConvergenceError
        If the profile rises above the maximum of the fit: that was not the maximum.

    References
    ----------
    Hardy & Thompson 1996, doi:10.1002/(SICI)1097-0258(19960330)15:6<619::AID-SIM188>3.0.CO;2-A;
    Venzon & Moolgavkar 1988, doi:10.2307/2347496.

    Examples
    --------
    >>> import comfrey as cf
    >>> curve = profile_likelihood(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08]))
    >>> round(curve.estimate, 4), bool(curve.log_likelihood.max() <= curve.maximum + 1e-9)
    (0.0418, True)
    """
    if isinstance(points, bool) or not isinstance(points, int) or points < 5:
        raise InputError("points", found=points, expected="a whole number, five or more")
    kind = type(fit).__name__
    if kind in {"Pooled", "MetaRegression"}:
        curve = _pooled(fit, parameter, points)
    elif kind == "MultilevelFit":
        curve = _multilevel(fit, parameter, points)
    elif kind == "CountModel":
        curve = _counts(fit, parameter, points)
    else:
        raise InputError("fit", found=kind, expected="a result of pool, multilevel or count_model")
    if curve.log_likelihood.max() > curve.maximum + 1e-6 * max(1.0, abs(curve.maximum)):
        raise ConvergenceError("the profile rises above the fit's own likelihood: the fit is not at its maximum")
    return curve


def _grid(estimate: float, low: float, high: float, points: int, least: float) -> Array:
    """Values from zero to beyond the interval, closer together near zero, with the estimate and both ends."""
    top = 1.25 * high if math.isfinite(high) and high > 0 else max(10.0 * estimate, least)
    grid = top * np.linspace(0.0, 1.0, points) ** 1.5
    ends = [end for end in (estimate, low, high) if math.isfinite(end)]
    return np.unique(np.append(grid, ends))


def _no(parameter: str | None, names: tuple[str, ...]) -> None:
    if parameter is not None and parameter not in names:
        raise InputError("parameter", found=repr(parameter), expected=f"one of {', '.join(names)}")


def _drop(level: float) -> float:
    return 0.5 * float(special.chdtri(1, 1 - level))


def _pooled(fit: Pooled | MetaRegression, parameter: str | None, points: int) -> ProfileCurve:
    _no(parameter, ("tau2",))
    low, high = fit.tau2_interval("profile-likelihood")
    X = getattr(fit, "X", None)
    scale = scale_of(fit.vi)
    restricted = fit.method == "REML"
    basis = None if X is None else np.linalg.qr(X)[0]
    middle = float(fit.yi[fit.yi.size // 2]) if X is None else 0.0
    data = Observed((fit.yi - middle) / scale, fit.vi / scale**2, basis)
    values = _grid(fit.tau2, low, high, points, float(np.median(fit.vi)))
    rows = data.k - data.p if restricted else data.k
    shift = rows * math.log(scale)
    curve = np.array([log_likelihood(data, float(value) / scale**2, restricted) for value in values]) - shift
    top = log_likelihood(data, fit.tau2 / scale**2, restricted) - shift
    return ProfileCurve(
        parameter="tau2",
        values=values,
        log_likelihood=curve,
        estimate=fit.tau2,
        maximum=top,
        ci_low=low,
        ci_high=high,
        level=fit.level,
        cutoff=top - _drop(fit.level),
        restricted=restricted,
    )


def _multilevel(fit: MultilevelFit, parameter: str | None, points: int) -> ProfileCurve:
    from comfrey.models.multilevel._intervals import profile_values

    names = {f"{item.kind} {item.name}": item for item in fit._state.parameters if item.kind != "rho"}
    short = {item.name: title for title, item in names.items()}
    if not names:
        raise NotEstimableError("the fit has no variance but that of sampling")
    title = next(iter(names)) if parameter is None else short.get(parameter, parameter)
    _no(title, (*names, *short))
    item = names[title]
    interval = fit.profile_interval(item.kind, item.name)
    grid = _grid(interval.estimate, interval.ci_low, interval.ci_high, min(points, 40), float(np.median(fit.vi)))
    where = (item.term, "variance", item.levels)
    values, curve = profile_values(fit._state.problem, fit._state.found, where, grid, fit.log_likelihood)
    return ProfileCurve(
        parameter=title,
        values=values,
        log_likelihood=curve,
        estimate=interval.estimate,
        maximum=fit.log_likelihood,
        ci_low=interval.ci_low,
        ci_high=interval.ci_high,
        level=fit.level,
        cutoff=fit.log_likelihood - _drop(fit.level),
        restricted=fit.method == "REML",
    )


def _counts(fit: CountModel, parameter: str | None, points: int) -> ProfileCurve:
    from comfrey.models.counts._fit import held

    _no(parameter, ("tau2",))
    low, high = fit.tau2_interval()
    if fit._source is None:
        raise NotEstimableError("this fit has no tau2: see its notes")
    problem, found = fit._source
    values = _grid(fit.tau2, low, high, min(points, 40), 1.0)
    curve = np.array([held(problem, math.sqrt(value), found).log_likelihood for value in values])
    return ProfileCurve(
        parameter="tau2",
        values=values,
        log_likelihood=curve,
        estimate=fit.tau2,
        maximum=fit.log_likelihood,
        ci_low=low,
        ci_high=high,
        level=fit.level,
        cutoff=fit.log_likelihood - _drop(fit.level),
        restricted=False,
    )
