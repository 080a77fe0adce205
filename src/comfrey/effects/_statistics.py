"""Standardised differences and correlations from reported test statistics.

Sources: Cooper, Hedges & Valentine 2009, chapter 12; Rosenthal 1994. A t of two groups gives
``d = t sqrt(1/n1 + 1/n2)``, that of a correlation ``r = t / sqrt(t^2 + n - 2)``, and that of a coefficient among m in
a regression the partial correlation ``t / sqrt(t^2 + n - m - 1)`` (Aloe & Thompson 2013, doi:10.5243/jsswr.2013.24). F
with one degree of freedom above is the square of t, and a two-sided p-value gives the size of t.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from comfrey.effects.means import small_sample_factor
from comfrey.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfrey.effects.measure import Array, Measure

__all__ = ["STATISTICS", "from_statistic", "statistic_inputs"]

STATISTICS = ("t", "f", "p")
_SIZES = {
    "SMD": ("n_1", "n_2"),
    "COR": ("n",),
    "ZCOR": ("n",),
    "PCOR": ("n", "predictors"),
}


def statistic_inputs(measure: Measure, columns: Mapping[str, object]) -> tuple[str, ...] | None:
    """Names of the columns if a statistic is given in place of the usual ones, else None."""
    given = [name for name in STATISTICS if name in columns]
    if len(given) != 1 or "estimate" in columns or measure.name not in _SIZES:
        return None
    return (*given, *_SIZES[measure.name], *(() if given == ["t"] else ("sign",)))


def from_statistic(measure: Measure, columns: Mapping[str, Array]) -> tuple[Array, Array, str]:
    """Estimate and variance on the scale of analysis, and how they were found, in words."""
    name = next(item for item in STATISTICS if item in columns)
    sizes = [columns[item] for item in _SIZES[measure.name]]
    df = sizes[0] - sizes[1] - 1 if measure.name == "PCOR" else np.sum(sizes, axis=0) - 2
    statistic = columns[name]
    if name == "t":
        t = statistic
    else:
        sign = columns["sign"]
        _refuse(~np.isin(sign, (-1.0, 1.0)) & ~np.isnan(sign), "sign", sign, "1 or -1, the direction of the difference")
        if name == "f":
            _refuse(statistic < 0, "f", statistic, "zero or a number above it")
            t = sign * np.sqrt(statistic)
        else:
            _refuse((statistic <= 0) | (statistic > 1), "p", statistic, "a two-sided p-value above 0, at most 1")
            t = -sign * special.stdtrit(df, statistic / 2)
    how = f"the reported {name}" + ("" if name == "t" else " and the sign of the effect")
    with np.errstate(all="ignore"):
        if measure.name == "SMD":
            n_1, n_2 = sizes
            g = small_sample_factor(df) * t * np.sqrt(1 / n_1 + 1 / n_2)
            return g, 1 / n_1 + 1 / n_2 + g**2 / (2 * (n_1 + n_2)), how
        r = t / np.sqrt(t**2 + df)
        yi, vi = measure.formula(r=r, **dict(zip(_SIZES[measure.name], sizes, strict=True)))
    return np.asarray(yi, dtype=float), np.asarray(vi, dtype=float), how


def _refuse(bad: np.ndarray[tuple[int], np.dtype[np.bool_]], name: str, column: Array, expected: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(name, found=f"{column[row]:g}", expected=expected, row=row)
