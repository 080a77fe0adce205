"""Measures of one proportion: `cases` out of `total`.

Formulas take the two arrays (increments already added where wanted) and give estimate and variance on the scale of
analysis. Sources: Freeman & Tukey 1950 (doi:10.1214/aoms/1177729756) for the double arcsine; Schwarzer et al. 2019
(doi:10.1002/jrsm.1348), who show how its back-transformation can mislead, so that the logit is the usual choice.
"""

from __future__ import annotations

from math import nan

import numpy as np
from scipy import special

from comfrey.effects.measure import (
    ARCSINE,
    DOUBLE_ARCSINE,
    IDENTITY,
    LOG,
    LOGIT,
    PROBIT,
    Array,
    Formula,
    Measure,
    Scale,
)

__all__ = ["MEASURES"]


def raw(cases: Array, total: Array) -> tuple[Array, Array]:
    """Proportion ``p = x/n``, variance ``p(1-p)/n``."""
    p = cases / total
    return p, p * (1 - p) / total


def logarithm(cases: Array, total: Array) -> tuple[Array, Array]:
    """Log proportion, variance ``1/x - 1/n``."""
    return np.log(cases) - np.log(total), 1 / cases - 1 / total


def logit(cases: Array, total: Array) -> tuple[Array, Array]:
    """Log odds, variance ``1/x + 1/(n-x)``."""
    return np.log(cases) - np.log(total - cases), 1 / cases + 1 / (total - cases)


def arcsine(cases: Array, total: Array) -> tuple[Array, Array]:
    """Arcsine of the root, variance ``1/4n``."""
    return np.arcsin(np.sqrt(cases / total)), 1 / (4 * total)


def double_arcsine(cases: Array, total: Array) -> tuple[Array, Array]:
    """Mean of ``asin sqrt(x/(n+1))`` and ``asin sqrt((x+1)/(n+1))``, variance ``1/(4n+2)``."""
    low, high = np.arcsin(np.sqrt(cases / (total + 1))), np.arcsin(np.sqrt((cases + 1) / (total + 1)))
    return (low + high) / 2, 1 / (4 * total + 2)


def probit(cases: Array, total: Array) -> tuple[Array, Array]:
    """Probit, the normal quantile of the proportion, variance ``2 pi p(1-p) exp(z^2)/n``."""
    p = cases / total
    z = special.ndtri(p)
    return z, 2 * np.pi * p * (1 - p) * np.exp(z**2) / total


def _one(name: str, formula: Formula, scale: Scale, increments: str) -> Measure:
    return Measure(
        name,
        "proportion",
        ("cases", "total"),
        formula,
        scale,
        null=nan,
        unit="proportion",
        increments=increments,
        n_inputs=("total",),
    )


MEASURES = (
    _one("PR", raw, IDENTITY, "proportion"),
    _one("PLN", logarithm, LOG, "proportion"),
    _one("PLO", logit, LOGIT, "proportion"),
    _one("PRZ", probit, PROBIT, "proportion"),
    _one("PAS", arcsine, ARCSINE, "none"),
    _one("PFT", double_arcsine, DOUBLE_ARCSINE, "none"),
)
