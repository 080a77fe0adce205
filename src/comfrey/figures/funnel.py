"""The funnel plot: effects against their standard errors, with contours of significance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError
from comfrey.figures._axes import house_axes, title_of
from comfrey.figures._fits import show
from comfrey.figures._points import chosen_labels, effect_axis, label_points
from comfrey.figures._scales import reader_of
from comfrey.figures.style import COLOURS, house_style
from comfrey.models._fit import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from comfrey.effects.measure import Array
    from comfrey.effects.sizes import EffectSizes
    from comfrey.figures._fits import Shown

__all__ = ["funnel_plot", "funnel_table"]

# The deepest next to the middle, where what is missing would lie.
_SHADES = ("#D3DAD6", "#E1E6E3", "#EDF0ED", "#F4F5F2")


def funnel_table(fit: Any, *, filled: Any = None, studies: EffectSizes | None = None) -> pd.DataFrame:
    """Return the points of a funnel plot: study, estimate and standard_error on the scale of analysis, filled.

    Of a regression, `estimate` is the residual. `filled` marks studies that trim and fill imputed.

    Parameters
    ----------
    fit, filled, studies : as in :func:`funnel_plot`

    Examples
    --------
    >>> import comfrey as cf
    >>> funnel_table(cf.pool([0.1, 0.5], [0.04, 0.09]))["standard_error"].round(1).tolist()
    [0.2, 0.3]
    """
    import pandas as pd

    shown = show(fit, studies)
    table = pd.DataFrame(
        {"study": shown.labels, "estimate": _effects(shown), "standard_error": shown.se_i, "filled": False}
    )
    if filled is None:
        return table
    yi, vi = _filled(filled)
    more = pd.DataFrame({"study": "filled", "estimate": yi, "standard_error": np.sqrt(vi), "filled": True})
    return pd.concat([table, more], ignore_index=True) if yi.size else table


def _effects(shown: Shown) -> Array:
    return shown.yi if shown.fitted is None else shown.yi - shown.fitted[0]


def _filled(found: Any) -> tuple[Array, Array]:
    """Take the imputed studies from a result of trim and fill."""
    if all(hasattr(found, name) for name in ("yi", "vi", "filled")):
        return found.yi[found.filled], found.vi[found.filled]
    raise InputError("filled", found=type(found).__name__, expected="a result of trim_and_fill")


def _line(test: Any, se: Array) -> Array:
    """Return the effects that a regression test expects at these standard errors."""
    if type(test).__name__ != "EggerTest":
        raise InputError("regression", found=type(test).__name__, expected="a result of egger")
    if test.variant != "egger" or test.predictor not in {"se", "variance"}:
        found = f"variant {test.variant!r}, predictor {test.predictor!r}"
        expected = "Egger's variant on standard errors or variances: others have no line in this plane"
        raise InputError("regression", found=found, expected=expected)
    return np.asarray(test.estimate + test.slope * (se if test.predictor == "se" else se**2), dtype=float)


def funnel_plot(
    fit: Any,
    ax: Axes | None = None,
    *,
    contours: Sequence[float] | None = None,
    filled: Any = None,
    regression: Any = None,
    studies: EffectSizes | None = None,
    labels: bool | Sequence[str] = False,
    title: str | None = None,
) -> Axes:
    """Draw effects against their standard errors, the most precise on top.

    Dashed lines hold 95% (the level of the fit) of studies where there is no heterogeneity. Shades show where a study
    would be significant: asymmetry that lies in the unshaded middle speaks for selection by P values, asymmetry
    elsewhere for other causes (Peters et al. 2008).

    Parameters
    ----------
    fit : any fit with studies
        Of a regression, residuals are drawn.
    ax : Axes, optional
    contours : sequence of float, optional
        Two-sided P values; 0.1, 0.05 and 0.01 if not given, and none where the measure has no null value.
    filled : result of trim_and_fill, optional
        Its imputed studies are drawn as open circles.
    regression : result of egger, optional
        Its line is drawn (a curve, if it is on variances).
    studies : EffectSizes, optional
        As in :func:`comfrey.figures.forest_plot`.
    labels : bool or sequence of str
        Which studies are named, where there is room.
    title : str, optional

    Returns
    -------
    Axes
        Data coordinates: effect on the scale of analysis (ticks are on the scale that people read), standard error.

    References
    ----------
    Peters et al. 2008, doi:10.1016/j.jclinepi.2007.11.010; Sterne & Egger 2001, doi:10.1016/S0895-4356(01)00377-8.

    Examples
    --------
    >>> import comfrey as cf
    >>> ax = funnel_plot(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08]))
    >>> ax.get_ylabel()
    'Standard error'
    """
    shown = show(fit, studies)
    if shown.fitted is not None and (filled is not None or regression is not None):
        raise InputError("fit", found="a regression", expected="a pooled fit, for filled studies and regression tests")
    table = funnel_table(fit, filled=filled, studies=studies)
    x, y = table["estimate"].to_numpy(float), table["standard_error"].to_numpy(float)
    residual = shown.fitted is not None
    centre = 0.0 if residual else shown.estimate
    measure = None if residual else shown.measure
    reader = reader_of(measure, float(np.median(shown.se_i)) * 2)
    null = 0.0 if measure is None else measure.null
    levels = _levels(contours, null)
    top = 1.06 * float(y.max())
    reach = quantile(shown.level, None) * top
    low, high = min(x.min(), centre - reach), max(x.max(), centre + reach)
    pad = 0.03 * (high - low)
    with house_style():
        ax = house_axes(ax, 5.6, 4.5, top=0.62)
        ax.set_ylim(top, 0.0)
        ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
        effect_axis(ax, reader, low - pad, high + pad)
        if residual:
            ax.set_xlabel("Residual")
        ax.set_ylabel("Standard error")
        _contours(ax, levels, null, top)
        for sign in (-1, 1):
            ax.plot([centre, centre + sign * reach], [0, top], lw=0.9, ls=(0, (4, 3)), color=COLOURS["muted"], zorder=1)
        ax.plot([centre, centre], [0, top], lw=1.0, color=COLOURS["leaf"], zorder=1, label="_estimate")
        if math.isfinite(null) and low - pad < null < high + pad and null != centre:
            ax.axvline(null, color=COLOURS["muted"], lw=0.9, ls=(0, (1, 2)), zorder=1, label="_null")
        if regression is not None:
            heights = np.linspace(0.0, top, 50)
            ax.plot(_line(regression, heights), heights, lw=1.4, color=COLOURS["ink"], zorder=2, label="_egger")
        real = ~table["filled"].to_numpy(bool)
        edge = COLOURS["paper"]
        ax.scatter(
            x[real], y[real], s=26, color=COLOURS["accent"], edgecolors=edge, linewidths=0.6, zorder=3, label="_studies"
        )
        if not real.all():
            ax.scatter(
                x[~real], y[~real], s=26, facecolors=edge, edgecolors=COLOURS["accent"], linewidths=1.1, zorder=3,
                label="_filled",
            )  # fmt: skip
        _key(ax, levels, filled=not real.all(), regression=regression is not None)
        title_of(ax, title, above=22 if ax.get_legend() is not None else 9)
        named = np.flatnonzero(chosen_labels(labels, shown.labels))
        if named.size:
            names = [shown.labels[i] for i in named]
            label_points(ax, x[named], y[named], names, np.abs(x[named] - centre) / y[named])
    return ax


def _levels(contours: Sequence[float] | None, null: float) -> list[float]:
    if contours is None:
        return [0.1, 0.05, 0.01] if math.isfinite(null) else []
    levels = sorted({float(level) for level in contours}, reverse=True)
    if not all(0 < level < 1 for level in levels) or len(levels) > len(_SHADES):
        raise InputError("contours", found=list(contours), expected=f"up to {len(_SHADES)} P values between 0 and 1")
    if levels and not math.isfinite(null):
        raise InputError("contours", found=levels, expected="none, as this measure has no null value")
    return levels


def _contours(ax: Axes, levels: list[float], null: float, top: float) -> None:
    """Shade where P is below each level, the lighter the smaller it is."""
    left, right = ax.get_xlim()
    bounds = [quantile(1 - level, None) for level in levels] + [math.inf]
    far = 2 * max(abs(left - null), abs(right - null), 1e-300) / top
    for shade, inner, outer in zip(_SHADES, bounds[:-1], bounds[1:], strict=False):
        reach = max(min(outer, far), inner)
        for sign in (-1, 1):
            corners = [(null, 0.0), (null + sign * inner * top, top), (null + sign * reach * top, top)]
            if math.isinf(outer):  # to the corner of the axes, and past it
                corners += [(null + sign * far * top, 0.0)]
            ax.fill(*zip(*corners, strict=True), color=shade, lw=0, zorder=0, label=f"_contour {inner:g}")


def _key(ax: Axes, levels: list[float], *, filled: bool, regression: bool) -> None:
    """Say what shades and marks mean, in one line under the axis."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks: list[Any] = [
        Patch(fc=shade, ec="none", label=f"P < {level:g}") for shade, level in zip(_SHADES, levels, strict=False)
    ]
    if filled:
        marks.append(
            Line2D([], [], marker="o", ls="", ms=5, mfc=COLOURS["paper"], mec=COLOURS["accent"], label="filled")
        )
    if regression:
        marks.append(Line2D([], [], lw=1.4, color=COLOURS["ink"], label="regression test"))
    if marks:
        legend = ax.legend(
            handles=marks, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(marks), frameon=False,
            fontsize=8, handlelength=1.2, handletextpad=0.4, columnspacing=1.0, borderaxespad=0.2, borderpad=0.0,
        )  # fmt: skip
        for text in legend.get_texts():
            text.set_color(COLOURS["muted"])
