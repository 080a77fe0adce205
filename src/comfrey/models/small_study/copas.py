"""Copas's selection model: publication depends on the standard error and, through a correlation, on the estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from comfrey.errors import ConvergenceError, InputError, NotEstimableError
from comfrey.models._fit import fit_model, quantile, two_sided
from comfrey.models._observed import scale_of
from comfrey.models._view import view_of
from comfrey.models.small_study._climb import highest
from comfrey.models.small_study._common import need, need_constant
from comfrey.models.small_study._copas_likelihood import RHO, hills, hills_with_slope, likelihood
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._maximum import Certificate
    from comfrey.models._view import AnyFit

__all__ = ["Copas", "copas"]

_DEFAULT = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)
_LARGEST = 0.99
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Copas(Result):
    """A sensitivity analysis over degrees of selection, and the estimate where it first explains the funnel.

    Attributes
    ----------
    estimate, se, statistic, p_value, ci_low, ci_high, tau2, rho : float
        Of the row picked: the least selection at which the test of what is left of the small-study effect has a p-value
        above `alpha`. Not-a-number if no row has; `notes` says so.
    chosen : int or None
        That row.
    probability : array of shape (m,)
        Assumed probability that the least precise study is published.
    estimates, ses, tau2s, rhos, residual_p, unpublished, log_likelihoods : arrays of shape (m,)
        For each: the model's estimates, the p-value of a remaining small-study effect, and the number of studies that
        the model takes to be unpublished. Not-a-number where the fit has no certain maximum.
    """

    estimate: float
    se: float
    statistic: float
    p_value: float
    ci_low: float
    ci_high: float
    tau2: float
    rho: float
    chosen: int | None
    probability: Array = field(repr=False)
    estimates: Array = field(repr=False)
    ses: Array = field(repr=False)
    tau2s: Array = field(repr=False)
    rhos: Array = field(repr=False)
    residual_p: Array = field(repr=False)
    unpublished: Array = field(repr=False)
    log_likelihoods: Array = field(repr=False)
    unadjusted: float
    alpha: float
    level: float
    k: int
    notes: tuple[str, ...]
    _certificates: tuple[Certificate | None, ...] = field(repr=False)

    @property
    def certificates(self) -> tuple[Certificate | None, ...]:
        """What is known about the search of each row; None where there is no fit."""
        return self._certificates

    @property
    def certificate(self) -> Certificate | None:
        """What is known about the search of the row picked; None if there is none."""
        return None if self.chosen is None else self._certificates[self.chosen]

    @property
    def df(self) -> None:
        """None: the test is normal."""
        return

    @property
    def summary(self) -> pd.DataFrame:
        """One row a degree of selection."""
        import pandas as pd

        half = quantile(self.level, None) * self.ses
        table = {
            "estimate": self.estimates,
            "se": self.ses,
            "ci_low": self.estimates - half,
            "ci_high": self.estimates + half,
            "tau2": self.tau2s,
            "rho": self.rhos,
            "residual_p": self.residual_p,
            "unpublished": self.unpublished,
        }
        return pd.DataFrame(table, index=pd.Index(self.probability, name="probability"))

    @property
    def headline(self) -> tuple[str, ...]:
        """The estimate picked, and the one without selection."""
        lines = [f"Copas selection model, {self.k} studies; without selection: {self.unadjusted:.4f} (ML)"]
        if self.chosen is not None:
            p = self.probability[self.chosen]
            lines.append(f"adjusted: {self.estimate:.4f}, where the least precise study is published with p = {p:g}")
        return (*lines, *(f"note: {text}" for text in self.notes))


class _Row(NamedTuple):
    estimate: float
    se: float
    tau2: float
    rho: float
    residual_p: float
    unpublished: float
    log_likelihood: float
    certificate: Certificate | None = None


_NOTHING = _Row(*(math.nan,) * 7)


def copas(fit: AnyFit, probabilities: Sequence[float] | None = None, alpha: float = 0.1) -> Copas:
    """Fit Copas's selection model over a range of assumed selection.

    Study i with standard error s is published if ``a + b/s + d > 0`` for a standard normal d whose correlation with the
    study's error is rho. Neither a nor b can be estimated: they follow from the probability assumed for the least
    precise study, and 0.99 (or that probability, if larger) for the most precise one. With ``u = a + b/s`` and the
    Mills ratio ``l(u)`` of the normal, the within-study variance is ``s^2/(1 - l(u) (u + l(u)) rho^2)``, and mu, tau2
    and rho are found by maximum likelihood of the estimates given that they were published. A likelihood-ratio test
    asks whether a dependence on s is left, with rho as it was found; the estimate is that of the least selection at
    which it is not significant.

    The sign of rho is that of the slope of the estimates on s (positive where effects grow as studies shrink). Without
    that bound the likelihood often has its maximum at rho = -1 or 1 on the wrong side, where selection works against a
    slope that it should explain; and so would the test if rho were free in it.

    Parameters
    ----------
    fit : Pooled
    probabilities : sequence of float, optional
        For the least precise study, from 1e-6 to 1; default from 1 (no selection) to 0.1.
    alpha : float
        Of the test of what is left.

    Raises
    ------
    InputError
        For a meta-regression or impossible probabilities.
    NotEstimableError
        If there are fewer than five studies, or they are all of one size.

    References
    ----------
    Copas & Shi 2000, doi:10.1093/biostatistics/1.3.247 and 2001, doi:10.1177/096228020101000402; Carpenter et al. 2009,
    doi:10.1016/j.jclinepi.2008.12.002.

    Examples
    --------
    >>> import comfrey as cf
    >>> fit = cf.pool([0.1, 0.12, 0.3, 0.5, 0.45, 0.9, 1.1], [0.005, 0.01, 0.03, 0.05, 0.06, 0.1, 0.2])
    >>> found = copas(fit)
    >>> bool(found.estimate < found.unadjusted)
    True
    """
    view = view_of(fit)
    need_constant(view, "the Copas model")
    need(view, 5, "the Copas model")
    levels = _check(probabilities, alpha)
    scale = scale_of(view.vi)
    middle = float(np.median(view.yi))
    y, v = (view.yi - middle) / scale, view.vi / scale**2
    se = np.sqrt(v)
    if np.ptp(se) <= 1e-10 * float(se.max()):
        raise NotEstimableError("the studies are all of one size: selection by size cannot be modelled")
    plain = fit_model(y, v, None, "ML", "z")
    rows: list[_Row] = []
    notes: list[str] = []
    theta: Array | None = None
    X = np.column_stack((np.ones(y.size), se / float(se.max())))
    sloped, largest = fit_model(y, v, X, "ML", "z"), float(se.max())
    sign = 1.0 if float(sloped.beta[1]) >= 0 else -1.0
    line = (abs(float(sloped.beta[1])) / largest, math.sqrt(float(sloped.covariance[1, 1])) / largest)
    for probability in levels:
        try:
            row, theta = _one(sign * y, se, probability, plain.tau2, line, theta)
        except ConvergenceError as error:
            notes.append(f"no fit at probability {probability:g}: {error}")
            row = _NOTHING
        rows.append(row._replace(estimate=sign * row.estimate, rho=sign * row.rho + 0.0))
    table = np.array([row[:-1] for row in rows], dtype=float)
    bound = [f"{levels[j]:g}" for j in np.flatnonzero(np.abs(table[:, 3]) >= RHO).tolist()]
    if bound:
        notes.append(f"rho is at its bound, and taken as known, at probability {', '.join(bound)}")
    explained = np.flatnonzero(table[:, 4] > alpha)
    chosen = int(explained[0]) if explained.size else None
    picked = _NOTHING if chosen is None else rows[chosen]
    if chosen is None:
        notes.append(
            f"no adjusted estimate: at every degree of selection a small-study effect is left (p <= {alpha:g})"
        )
    elif levels[chosen] == 1.0:
        notes.append("no selection is needed to explain the funnel: the adjusted estimate is the unadjusted one")
    estimate, se_one = middle + scale * picked.estimate, scale * picked.se
    half = quantile(view.level, None) * se_one
    statistic = estimate / se_one
    return Copas(
        estimate=estimate,
        se=se_one,
        statistic=statistic,
        p_value=two_sided(statistic, None),
        ci_low=estimate - half,
        ci_high=estimate + half,
        tau2=scale**2 * picked.tau2,
        rho=picked.rho,
        chosen=chosen,
        probability=levels,
        estimates=middle + scale * table[:, 0],
        ses=scale * table[:, 1],
        tau2s=scale**2 * table[:, 2],
        rhos=table[:, 3],
        residual_p=table[:, 4],
        unpublished=table[:, 5],
        log_likelihoods=table[:, 6] - view.k * math.log(scale),
        unadjusted=middle + scale * float(plain.beta[0]),
        alpha=alpha,
        level=view.level,
        k=view.k,
        notes=tuple(notes),
        _certificates=tuple(row.certificate for row in rows),
    )


def _check(probabilities: Sequence[float] | None, alpha: float) -> Array:
    if not (isinstance(alpha, (int, float)) and 0 < alpha < 1):
        raise InputError("alpha", found=alpha, expected="a number between 0 and 1")
    try:
        levels = np.atleast_1d(np.asarray(_DEFAULT if probabilities is None else probabilities, dtype=float))
    except (TypeError, ValueError):
        raise InputError("probabilities", found=repr(probabilities), expected="numbers up to 1") from None
    if levels.ndim != 1 or not levels.size or not ((levels >= _LEAST) & (levels <= 1)).all():
        raise InputError("probabilities", found=repr(probabilities), expected=f"numbers from {_LEAST:g} to 1")
    return np.sort(levels)[::-1]


def _one(
    y: Array, se: Array, probability: float, tau2: float, line: tuple[float, float], before: Array | None
) -> tuple[_Row, Array | None]:
    """Fit one degree of selection (scaled data, effects growing with s), from the neighbour before as well.

    `tau2` and `line` (slope on s, and its standard error) are those without selection.
    """
    if probability == 1.0:
        return _without(y, se), None
    bottom, top = float(special.ndtri(probability)), float(special.ndtri(max(probability, _LARGEST)))
    slope = (top - bottom) / (1.0 / float(se.min()) - 1.0 / float(se.max()))
    u = bottom + slope * (1.0 / se - 1.0 / float(se.max()))
    lower, upper = np.array([-np.inf, 0.0, 0.0]), np.array([np.inf, np.inf, RHO])
    starts = hills(y, se, u, tau2)
    if before is not None:
        starts.append(before)
    peak = highest(likelihood(y, se, u, False), lower, starts, upper)
    rho = float(peak.theta[2])
    full = likelihood(y, se, u, True)

    def given_rho(theta: Array) -> tuple[float, Array]:
        value, gradient = full(np.array([theta[0], theta[1], rho, theta[2]]))
        return value, gradient[[0, 1, 3]]

    # the narrow model's own maximum is among the starts: the wide one is never below it
    starts = [np.append(peak.theta[:2], 0.0), *hills_with_slope(y, se, u, tau2, rho, *line)]
    wide = highest(given_rho, np.array([-np.inf, 0.0, -np.inf]), starts)
    gain = max(0.0, 2.0 * (wide.value - peak.value))
    published = special.ndtr(u)
    row = _Row(
        estimate=float(peak.theta[0]),
        se=math.sqrt(float(peak.covariance[0, 0])),
        tau2=float(peak.theta[1]),
        rho=rho,
        residual_p=float(special.chdtrc(1, gain)),
        unpublished=float(((1.0 - published) / published).sum()),
        log_likelihood=peak.value,
        certificate=peak.certificate,
    )
    return row, peak.theta


def _without(y: Array, se: Array) -> _Row:
    """No selection: maximum likelihood, and the same test with a slope on the standard error."""
    plain = fit_model(y, se * se, None, "ML", "z")
    wide = fit_model(y, se * se, np.column_stack((np.ones(y.size), se / float(se.max()))), "ML", "z")
    gain = max(0.0, 2.0 * (wide.log_likelihood - plain.log_likelihood))
    return _Row(
        estimate=float(plain.beta[0]),
        se=math.sqrt(float(plain.covariance[0, 0])),
        tau2=plain.tau2,
        rho=0.0,
        residual_p=float(special.chdtrc(1, gain)),
        unpublished=0.0,
        log_likelihood=plain.log_likelihood,
        certificate=plain.certificate,
    )
