"""Fitting the random-effects model ``y ~ N(X b, diag(v + tau2))``: all numbers of a pooled or regression result.

Sources: Viechtbauer 2005 (doi:10.3102/10769986030003261); Higgins & Thompson 2002 (doi:10.1002/sim.1186) for I2 and
H2;
Hartung & Knapp 2001 (doi:10.1002/sim.1009) and Knapp & Hartung 2003 (doi:10.1002/sim.1482) for the test, Jackson et
al.
2017 (doi:10.1002/sim.7411) for its ad-hoc form.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import special

from comfrey.errors import InputError
from comfrey.models._observed import observe
from comfrey.models._profile import log_likelihood, moments_at
from comfrey.models.tau2 import METHODS, Tau2, estimate_tau2

if TYPE_CHECKING:
    from comfrey.effects.measure import Array
    from comfrey.models._maximum import Certificate

__all__ = ["Fit", "Test", "check_choices", "fit_model", "quantile", "two_sided", "typical_variance"]

Test = Literal["z", "t", "hk", "hk-adhoc"]
TESTS = ("z", "t", "hk", "hk-adhoc")


class Fit(NamedTuple):
    """Numbers of one fitted model, on the scale of the data given."""

    beta: Array  # (p,)
    covariance: Array  # (p, p), with the factor of the test
    tau2: float
    se_tau2: float
    i2: float
    h2: float
    q: float
    q_df: int
    log_likelihood: float
    hk_factor: float  # weighted residual mean square that hk multiplies by
    certificate: Certificate


def check_choices(method: str, test: str, level: float) -> None:
    """Refuse unknown methods and tests, and levels outside (0, 1)."""
    if method not in METHODS:
        raise InputError("method", found=repr(method), expected=f"one of {', '.join(METHODS)}")
    if test not in TESTS:
        raise InputError("test", found=repr(test), expected=f"one of {', '.join(TESTS)}")
    if not (isinstance(level, (int, float)) and 0 < level < 1):
        raise InputError("level", found=level, expected="a number between 0 and 1, e.g. 0.95")


@lru_cache(maxsize=512)  # asked again and again for the same few degrees of freedom
def quantile(level: float, df: float | None) -> float:
    """Two-sided quantile of the normal (df None) or t distribution.

    Examples
    --------
    >>> round(quantile(0.95, None), 6), round(quantile(0.95, 12), 6)
    (1.959964, 2.178813)
    """
    upper = 0.5 + level / 2
    return float(special.ndtri(upper) if df is None else special.stdtrit(df, upper))


def two_sided(statistic: float, df: float | None) -> float:
    """Two-sided p-value of a normal (df None) or t statistic.

    Examples
    --------
    >>> round(two_sided(-1.959964, None), 4)
    0.05
    """
    size = -abs(statistic)
    return float(2.0 * (special.ndtr(size) if df is None else special.stdtr(df, size)))


def fit_model(yi: Array, vi: Array, X: Array | None, method: str, test: str, tau2: float | None = None) -> Fit:
    """Fit by the method and test named; X None is the model of a constant alone.

    Parameters
    ----------
    yi, vi : arrays of shape (k,)
    X : array of shape (k, p) or None
        Full column rank, k > p.
    tau2 : float, optional
        A known tau2 in place of an estimate.
    """
    data, scale, middle, triangle = observe(yi, vi, X)
    found = (
        estimate_tau2(data, method)
        if tau2 is None
        else Tau2(tau2 / scale**2, math.nan, estimate_tau2(data, "EE").certificate)
    )
    k, p, basis = data.k, data.p, data.basis
    df = k - p
    at_zero = found.at_zero or moments_at(data, 0.0)
    there = at_zero if found.tau2 == 0.0 else found.there or moments_at(data, found.tau2)
    factor = there.rss / df
    inflate = {"hk": factor, "hk-adhoc": max(1.0, factor)}.get(test, 1.0) * scale**2
    if data.few is not None:
        ys, vs = data.few
        mean = sum([y / (v + found.tau2) for y, v in zip(ys, vs, strict=True)]) / there.sum_w
        beta, covariance = np.array([mean * scale + middle]), np.array([[inflate / there.sum_w]])
    else:
        y = (yi - middle) / scale  # not the data's, which may stand in another order
        w = 1.0 / (vi / scale / scale + found.tau2)
        if basis is None or triangle is None:
            beta = np.array([float(w @ y) / there.sum_w * scale + middle])
            covariance = np.array([[inflate / there.sum_w]])
        else:
            inverse = np.linalg.inv((basis * w[:, None]).T @ basis)
            back = np.linalg.inv(triangle)
            beta = back @ (inverse @ (basis.T @ (w * y))) * scale + middle
            covariance = back @ inverse @ back.T * inflate
    q, typical = at_zero.rss, df / at_zero.trace
    if method == "EE":
        h2 = q / df
        i2 = max(0.0, 100.0 * (q - df) / q) if q > 0 else 0.0
    else:
        i2, h2 = 100.0 * found.tau2 / (found.tau2 + typical), found.tau2 / typical + 1.0
    restricted = method == "REML"
    rows = df if restricted else k
    likelihood = log_likelihood(data, found.tau2, restricted, there) - rows * math.log(scale)
    return Fit(
        beta=beta,
        covariance=covariance,
        tau2=found.tau2 * scale**2,
        se_tau2=found.se * scale**2,
        i2=i2,
        h2=h2,
        q=q,
        q_df=df,
        log_likelihood=likelihood,
        hk_factor=factor,
        certificate=found.certificate,
    )


def typical_variance(yi: Array, vi: Array, X: Array | None) -> float:
    """Typical sampling variance ``(k-p)/tr P`` of Higgins & Thompson, for I2 and H2."""
    data, scale, _, _ = observe(yi, vi, X)
    return (data.k - data.p) / moments_at(data, 0.0).trace * scale**2
