"""The interval of Henmi and Copas: an estimate with fixed weights, with an interval that knows of heterogeneity.

Weights 1/v are less moved by small-study bias than those of the random-effects model. Source: Henmi & Copas 2010
(doi:10.1002/sim.4029).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, special

from comfrey.errors import ConvergenceError, InputError, NotEstimableError
from comfrey.models._input import read_studies
from comfrey.models._observed import scale_of
from comfrey.models.pooling import Pooled
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array, Measure

__all__ = ["HenmiCopas", "henmi_copas"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class HenmiCopas(Result):
    """Estimate with weights 1/v, and its interval.

    Attributes
    ----------
    estimate, se, ci_low, ci_high : float
    quantile : float
        What the standard error is multiplied by.
    tau2 : float
        By DerSimonian and Laird, as the method has it.
    k : int
    level : float
    measure : Measure or None
    dropped : tuple of str
    """

    estimate: float
    se: float
    ci_low: float
    ci_high: float
    quantile: float
    tau2: float
    k: int
    level: float
    measure: Measure | None
    dropped: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """Estimate and interval, one row."""
        import pandas as pd

        names = ("k", "estimate", "se", "ci_low", "ci_high", "tau2")
        return pd.DataFrame([{name: getattr(self, name) for name in names}], index=["Henmi-Copas"])

    @property
    def headline(self) -> tuple[str, ...]:
        """Method and interval in words."""
        return (
            f"Henmi-Copas: weights 1/v, {self.k} studies, {self.level:.0%} interval; tau2 by DL",
            *(f"left out: {text}" for text in self.dropped),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the measure by its name."""
        return {**Result.to_dict(self), "measure": None if self.measure is None else self.measure.name}


def henmi_copas(
    yi: object, vi: object = None, *, level: float = 0.95, data: Any = None, study: object = None
) -> HenmiCopas:
    """Estimate with weights 1/v; interval by the joint law of the estimate and DerSimonian and Laird's tau2.

    With ``R`` the standardised estimate and ``Q`` Cochran's statistic, ``P(|R| > u sqrt(1 + tau2(Q) W2/W1))`` is
    brought
    to 1 - level, Q given R being taken as gamma with its exact mean and variance.

    Parameters
    ----------
    yi : Pooled, EffectSizes, array of shape (k,), or column name
    vi : array of shape (k,) or column name
    level : float
    data, study : as in :func:`comfrey.pool`

    Returns
    -------
    HenmiCopas

    Raises
    ------
    NotEstimableError
        For a single study.

    Examples
    --------
    >>> found = henmi_copas([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08])
    >>> round(found.estimate, 4)
    0.3716
    """
    if not 0 < level < 1:
        raise InputError("level", found=level, expected="a number between 0 and 1")
    if isinstance(yi, Pooled):
        estimates, variances, measure, dropped = yi.yi, yi.vi, yi.measure, yi.dropped
    else:
        studies = read_studies(yi, vi, data=data, study=study)
        estimates, variances, measure, dropped = studies.yi, studies.vi, studies.measure, studies.dropped
    k = estimates.size
    if k < 2:
        raise NotEstimableError("one study has no heterogeneity: there is no Henmi-Copas interval")
    scale = scale_of(variances)
    estimate, se, quantile, tau2 = _solve(estimates / scale, variances / scale**2, level)
    half = quantile * se * scale
    middle = estimate * scale
    return HenmiCopas(
        middle, se * scale, middle - half, middle + half, quantile, tau2 * scale**2, int(k), level, measure, dropped
    )


def _solve(y: Array, v: Array, level: float) -> tuple[float, float, float, float]:
    w = 1.0 / v
    w1, w2 = float(w.sum()), float((w**2).sum())
    estimate = float(w @ y) / w1
    q = float((w * (y - estimate) ** 2).sum())
    spare = w1 - w2 / w1
    tau2 = max(0.0, (q - (y.size - 1)) / spare)
    ratio = w2 / w1
    spread_r = 1.0 + tau2 * ratio  # variance of R = sqrt(w1) (estimate - mu)
    mean, variance = _law_of_q(w, v + tau2, w1, spread_r)
    nodes, weights = np.polynomial.legendre.leggauss(60)

    def tail(u: float) -> float:
        """P(R > u sqrt(1 + ratio tau2(Q))), an integral over R from u on, where tau2(Q) is below a bound."""

        def inner(r: Array) -> Array:
            bound = (y.size - 1) + ((r / u) ** 2 - 1.0) * spare / ratio
            m, s = mean(r), variance(r)
            density = np.exp(-(r**2) / (2 * spread_r)) / math.sqrt(2 * math.pi * spread_r)
            return np.asarray(special.gammainc(m**2 / s, np.maximum(bound, 0.0) * m / s) * density, dtype=float)

        edges = u + math.sqrt(spread_r) * np.array([0.0, 0.05, 0.2, 0.6, 1.5, 3.0, 5.0, 9.0])
        total = 0.0
        for low, high in pairwise(edges):
            points = low + (high - low) * (nodes + 1) / 2
            total += float(weights @ inner(points)) * (high - low) / 2
        return total

    target = (1 - level) / 2
    high = 1.0
    while tail(high) > target:
        high *= 2.0
        if high > 1e6:
            raise ConvergenceError("the Henmi-Copas interval was not found: its tail does not fall")
    quantile = float(optimize.brentq(lambda u: tail(u) - target, 1e-3, high, xtol=1e-12, rtol=1e-12))
    return estimate, math.sqrt((1.0 + tau2 * ratio) / w1), quantile, tau2


def _law_of_q(w: Array, s: Array, w1: float, spread_r: float) -> tuple[Any, Any]:
    """Mean and variance of Q given R = r, functions of r: y given R is normal, and Q a square form in it."""
    # y | R = r  ~  N(c r / VR, S - c c'/VR), c = S w / sqrt(w1);  Q = y'Py with P = W - w w'/w1
    c = s * w / math.sqrt(w1)
    pc = w * c - w * float(w @ c) / w1
    cpc = float(c @ pc)
    a = w * s
    trace = float(a.sum()) - float((w * a).sum()) / w1
    trace2 = float((a**2).sum()) - 2.0 * float((w * a**2).sum()) / w1 + (float((w * a).sum()) / w1) ** 2
    pspc = float((s * pc) @ pc)  # c'P S P c
    base = trace - cpc / spread_r
    base2 = 2.0 * (trace2 - 2.0 * pspc / spread_r + (cpc / spread_r) ** 2)
    cross = 4.0 * (pspc - cpc**2 / spread_r) / spread_r**2

    def mean(r: Array) -> Array:
        return np.asarray(base + cpc * r**2 / spread_r**2, dtype=float)

    def variance(r: Array) -> Array:
        return np.asarray(base2 + cross * r**2, dtype=float)

    return mean, variance
