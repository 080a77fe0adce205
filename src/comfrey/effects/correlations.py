"""Correlations: raw, Fisher's z, and partial.

Sources: Fisher 1921 (Metron 1:3-32); Hedges & Olkin 1985, chapter 11; Aloe & Thompson 2013
(doi:10.5243/jsswr.2013.24) for the partial correlation.
"""

from __future__ import annotations

import numpy as np

from comfrey.effects.measure import FISHER_Z, Array, Measure

__all__ = ["MEASURES"]


def raw(r: Array, n: Array) -> tuple[Array, Array]:
    """Correlation, variance ``(1 - r^2)^2/(n - 1)``."""
    return r, (1 - r**2) ** 2 / (n - 1)


def fisher_z(r: Array, n: Array) -> tuple[Array, Array]:
    """Fisher's z, ``atanh r``, variance ``1/(n - 3)``."""
    return np.arctanh(r), 1 / (n - 3)


def partial(r: Array, n: Array, predictors: Array) -> tuple[Array, Array]:
    """Partial correlation with m `predictors` (the one of interest included), variance ``(1-r^2)^2/(n-m-1)``."""
    return r, (1 - r**2) ** 2 / (n - predictors - 1)


MEASURES = (
    Measure("COR", "correlation", ("r", "n"), raw, unit="correlation", n_inputs=("n",)),
    Measure("ZCOR", "correlation", ("r", "n"), fisher_z, FISHER_Z, unit="correlation", n_inputs=("n",)),
    Measure("PCOR", "partial correlation", ("r", "n", "predictors"), partial, unit="correlation", n_inputs=("n",)),
)
