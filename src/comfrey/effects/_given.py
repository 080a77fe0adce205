"""Estimates as the reports give them: with a variance, a standard error, an interval, or a test statistic.

Sources: Cochrane Handbook 2024, sections 6.3 to 6.5 (standard errors from intervals, p-values and test statistics).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from comfrey.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfrey.effects.measure import Array, Measure

__all__ = ["GIVEN", "read_given"]

GIVEN = ("estimate", "variance", "se", "ci_low", "ci_high", "t", "f", "z", "p", "df")
_PRECISIONS = (("variance",), ("se",), ("ci_low", "ci_high"), ("t",), ("f",), ("z",), ("p",))


def read_given(
    measure: Measure, columns: Mapping[str, Array], level: float, scale: str | None
) -> tuple[Array, Array, list[tuple[int, str]], str]:
    """Turn a reported estimate and its precision into estimate and variance on the scale of analysis.

    Returns
    -------
    yi, vi : arrays of shape (k,)
    warnings : list of (row, message)
    derivation : str
        How the variance was found, in words.
    """
    if scale not in {None, "analysis", "reading"}:
        raise InputError("scale", found=repr(scale), expected="'analysis' or 'reading'")
    given = [names for names in _PRECISIONS if all(name in columns for name in names)]
    if len(given) != 1:
        raise InputError(
            "estimate",
            found=f"{', '.join(name for name in columns if name != 'estimate') or 'no precision'} beside it",
            expected="exactly one of variance, se, ci_low with ci_high, t, f, z or p beside it",
        )
    names = given[0]
    yi, vi, warnings, derivation = _read(measure, columns, names, level, scale)
    if "df" in columns and names[0] not in {"ci_low", "p"}:
        derivation += "; df was given and is not needed for it"
    return yi, vi, warnings, derivation


def _read(
    measure: Measure, columns: Mapping[str, Array], names: tuple[str, ...], level: float, scale: str | None
) -> tuple[Array, Array, list[tuple[int, str]], str]:
    """Read the estimate and the one kind of precision that is named."""
    estimate = columns["estimate"]
    if scale == "reading":
        _inside(measure, "estimate", estimate)
    yi = measure.transform(estimate) if scale == "reading" else estimate
    if names == ("ci_low", "ci_high"):
        return _from_interval(measure, columns, yi, level, scale)
    if names[0] in {"variance", "se"}:
        column = columns[names[0]]
        _positive(names[0], column)
        se = np.sqrt(column) if names[0] == "variance" else column
        if scale == "reading":
            se = se * np.abs(measure.scale.slope(estimate))
            return yi, se**2, [], f"the reported {names[0]} brought to the scale of analysis (delta method)"
        return yi, (column if names[0] == "variance" else column**2), [], f"the reported {names[0]}"
    return _from_statistic(columns, names[0], yi)


def _inside(measure: Measure, name: str, column: Array) -> None:
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(measure.transform(column)) & ~np.isnan(column)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            name, found=f"{column[row]:g}", expected=f"a {measure.label} that has a {measure.scale.name}", row=row
        )


def _positive(name: str, column: Array) -> None:
    bad = column <= 0
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(name, found=f"{column[row]:g}", expected="a number above zero", row=row)


def _from_interval(
    measure: Measure, columns: Mapping[str, Array], yi: Array, level: float, scale: str | None
) -> tuple[Array, Array, list[tuple[int, str]], str]:
    low, high = columns["ci_low"], columns["ci_high"]
    bad = low >= high
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError("ci_low", found=f"{low[row]:g}", expected=f"less than ci_high ({high[row]:g})", row=row)
    outside = (columns["estimate"] < low) | (columns["estimate"] > high)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise InputError(
            "estimate",
            found=f"{columns['estimate'][row]:g}",
            expected=f"a value inside its interval ({low[row]:g} to {high[row]:g})",
            row=row,
        )
    if scale == "reading":
        _inside(measure, "ci_low", low)
        _inside(measure, "ci_high", high)
        low, high = measure.transform(low), measure.transform(high)
    quantile, how = _quantile(columns, level)
    width = high - low
    skew = np.abs((high + low) / 2 - yi) / width
    if scale is None:
        _not_another_scale(measure, columns, skew)
    warnings = [
        (
            int(row),
            f"the interval is not symmetric about the estimate on the scale of analysis (off by {skew[row]:.0%} "
            "of its width): check the figures, and whether scale= should be 'reading' or 'analysis'",
        )
        for row in np.flatnonzero(skew > 0.1)
    ]
    return yi, (width / (2 * quantile)) ** 2, warnings, f"the width of the reported {level:.0%} interval ({how})"


def _not_another_scale(measure: Measure, columns: Mapping[str, Array], skew: Array) -> None:
    """Refuse intervals that fit the reading scale and not the scale of analysis, where none was named."""
    if measure.scale.name == "identity":
        return
    with np.errstate(all="ignore"):
        middle, low, high = (measure.transform(columns[name]) for name in ("estimate", "ci_low", "ci_high"))
        other = np.abs((high + low) / 2 - middle) / (high - low)
    wrong = (skew > 0.1) & (other < 0.05)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        low_text, high_text = f"{columns['ci_low'][row]:g}", f"{columns['ci_high'][row]:g}"
        raise InputError(
            "scale",
            found=f"{columns['estimate'][row]:g} ({low_text} to {high_text}), which is symmetric as a {measure.unit}",
            expected=f"figures on the scale of analysis ({measure.analysis_label}), or scale='reading'",
            row=row,
        )


def _quantile(columns: Mapping[str, Array], level: float) -> tuple[Array, str]:
    upper = (1 + level) / 2
    if "df" in columns:
        _positive("df", columns["df"])
        return np.asarray(special.stdtrit(columns["df"], upper), dtype=float), "t distribution"
    return np.asarray(special.ndtri(upper), dtype=float), "normal distribution"


def _from_statistic(
    columns: Mapping[str, Array], name: str, yi: Array
) -> tuple[Array, Array, list[tuple[int, str]], str]:
    """Take the standard error as estimate over statistic, for a test of zero on the scale of analysis."""
    column = columns[name]
    if name == "f":
        _positive("f", column)
        size, how = np.sqrt(column), "the reported F (one degree of freedom above), t = sqrt F"
    elif name == "p":
        bad = (column <= 0) | (column >= 1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError("p", found=f"{column[row]:g}", expected="a two-sided p-value between 0 and 1", row=row)
        if "df" in columns:
            _positive("df", columns["df"])
            size, how = -special.stdtrit(columns["df"], column / 2), "the reported two-sided p-value (t distribution)"
        else:
            size, how = -special.ndtri(column / 2), "the reported two-sided p-value (normal distribution)"
    else:
        size, how = np.abs(column), f"the reported {name} statistic"
        bad = (column == 0) | (np.sign(column) * np.sign(yi) < 0)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                name, found=f"{column[row]:g}", expected=f"a statistic of the estimate's sign ({yi[row]:g})", row=row
            )
    zero = yi == 0
    if zero.any():
        raise InputError(
            "estimate", found=0, expected="a value other than no effect", row=int(np.flatnonzero(zero)[0]),
            fix="A test statistic tells nothing of the precision of an estimate of zero.",
        )  # fmt: skip
    return yi, np.asarray((yi / size) ** 2, dtype=float), [], how
