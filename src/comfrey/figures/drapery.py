"""The drapery plot: the P-value function of every study and of the pooled effect, thus intervals of all levels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from comfrey.errors import InputError
from comfrey.figures._axes import house_axes, title_of
from comfrey.figures._fits import show
from comfrey.figures._points import chosen_labels, effect_axis
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

__all__ = ["drapery_plot", "drapery_table"]


def drapery_table(
    fit: Any,
    *,
    limits: tuple[float, float] | None = None,
    points: int = 301,
    studies: EffectSizes | None = None,
) -> pd.DataFrame:
    """Return P-value functions: one column a study, then ``pooled`` and ``prediction``; the index is the effect.

    Parameters
    ----------
    fit, limits, points, studies : as in :func:`drapery_plot`

    Returns
    -------
    DataFrame
        Two-sided P values of the hypothesis that the (true, mean, new study's) effect is that of the row, on the scale
        of analysis. Studies' functions are normal; the pooled one and that of the prediction have the distribution of
        the fit. Without heterogeneity in the model there is no column ``prediction``.

    Examples
    --------
    >>> import comfrey as cf
    >>> table = drapery_table(cf.pool([0.1, 0.5, 0.3], [0.04, 0.09, 0.01]), limits=(0.0, 0.6), points=3)
    >>> table.columns.tolist()
    ['row 0', 'row 1', 'row 2', 'pooled', 'prediction']
    """
    import pandas as pd

    shown = show(fit, studies)
    if shown.fitted is not None:
        raise InputError("fit", found="a regression", expected="a pooled estimate")
    if isinstance(points, bool) or not isinstance(points, int) or points < 3:
        raise InputError("points", found=points, expected="a whole number, three or more")
    low, high = limits if limits is not None else _reach(shown)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError("limits", found=limits, expected="two numbers, the lower first")
    peaks = np.append(shown.yi, shown.estimate)
    effects = np.unique(np.concatenate([np.linspace(low, high, points), peaks[(peaks > low) & (peaks < high)]]))
    values = {
        name: _p(effects, y, se, None) for name, y, se in zip(_unique(shown.labels), shown.yi, shown.se_i, strict=True)
    }
    values["pooled"] = _p(effects, shown.estimate, shown.se, shown.df)
    if math.isfinite(shown.pi_low):
        values["prediction"] = _p(effects, shown.estimate, _prediction_se(shown), shown.pi_df)
    return pd.DataFrame(values, index=pd.Index(effects, name="effect"))


def _unique(labels: Sequence[str]) -> list[str]:
    """Add numbers to labels that occur more than once, and those that the pooled columns need."""
    seen: dict[str, int] = {"pooled": 1, "prediction": 1}
    out = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        out.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return out


def _prediction_se(shown: Shown) -> float:
    """Return the standard error that the fit's own prediction interval has."""
    return (shown.pi_high - shown.pi_low) / (2 * quantile(shown.level, shown.pi_df))


def _p(effects: Array, middle: float, se: float, df: float | None) -> Array:
    if not se > 0:
        return np.where(effects == middle, 1.0, 0.0)
    z = -np.abs(effects - middle) / se
    return np.asarray(2.0 * (special.ndtr(z) if df is None else special.stdtr(df, z)), dtype=float)


def _reach(shown: Shown) -> tuple[float, float]:
    """Cover what the more precise half of the studies and the pooled effect say."""
    z = quantile(0.99, None)
    se = np.sort(shown.se_i)[: max(1, (shown.k + 1) // 2)].max()
    low, high = float(shown.yi.min()) - 0.5 * z * float(se), float(shown.yi.max()) + 0.5 * z * float(se)
    span = high - low
    for end in (shown.ci_low, shown.ci_high, shown.pi_low, shown.pi_high):  # as far as they leave the studies room
        if math.isfinite(end):
            low, high = min(low, max(end, low - 0.25 * span)), max(high, min(end, high + 0.25 * span))
    pad = 0.05 * (high - low)
    return low - pad, high + pad


def drapery_plot(
    fit: Any,
    ax: Axes | None = None,
    *,
    limits: tuple[float, float] | None = None,
    points: int = 301,
    studies: EffectSizes | None = None,
    labels: Sequence[str] = (),
    title: str | None = None,
) -> Axes:
    """Draw the P-value function of every study, of the pooled effect, and of the effect in a new study.

    Where a curve crosses a height p, the interval of level 1 - p ends. Thin lines are studies, the darker the heavier;
    the thick one is the pooled effect; the shaded one is the prediction.

    Parameters
    ----------
    fit : Pooled, Stratified, MultilevelFit or CountModel
    ax : Axes, optional
    limits : tuple of float, optional
        Ends of the axis, on the scale of analysis.
    points : int
        Of each curve, besides the peaks.
    studies : EffectSizes, optional
        As in :func:`comfrey.figures.forest_plot`.
    labels : sequence of str
        Studies that are drawn in colour and named at their peaks.
    title : str, optional

    Returns
    -------
    Axes
        Data coordinates: effect on the scale of analysis, P value.

    References
    ----------
    Rücker & Schwarzer 2021, doi:10.1002/jrsm.1410.

    Examples
    --------
    >>> import comfrey as cf
    >>> drapery_plot(cf.pool([0.1, 0.5, 0.3], [0.04, 0.09, 0.01])).get_ylabel()
    'P value'
    """
    shown = show(fit, studies)
    table = drapery_table(fit, limits=limits, points=points, studies=studies)
    effects = table.index.to_numpy(dtype=float)
    weights = shown.weights if shown.weights is not None else 1.0 / shown.vi
    share = np.sqrt(weights / weights.max())
    named = chosen_labels(labels, shown.labels)
    reader = reader_of(shown.measure, float(np.median(shown.se_i)) * 2)
    null = 0.0 if shown.measure is None else shown.measure.null
    with house_style():
        ax = house_axes(ax, 6.0, 4.3, right=0.75, top=0.6)
        effect_axis(ax, reader, float(effects[0]), float(effects[-1]))
        ax.set(ylim=(0.0, 1.02), ylabel="P value")
        ax.set_yticks([0, 0.05, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.05", "0.2", "0.4", "0.6", "0.8", "1"])
        if "prediction" in table:
            ax.fill_between(
                effects, 0.0, table["prediction"].to_numpy(float), color=COLOURS["leaf"], alpha=0.13, lw=0, zorder=0,
                label="_prediction",
            )  # fmt: skip
        for i in range(shown.k):
            colour = COLOURS["accent"] if named[i] else COLOURS["muted"]
            alpha = 1.0 if named[i] else 0.25 + 0.55 * float(share[i])
            ax.plot(
                effects, table.iloc[:, i].to_numpy(float), lw=1.4 if named[i] else 0.8, color=colour, alpha=alpha,
                zorder=3 if named[i] else 1, label=f"_study {i}",
            )  # fmt: skip
        ax.plot(effects, table["pooled"].to_numpy(float), lw=2.6, color=COLOURS["leaf"], zorder=4, label="_pooled")
        ax.axhline(1 - shown.level, color=COLOURS["muted"], lw=0.8, ls=(0, (4, 3)), zorder=0, label="_level")
        if math.isfinite(null) and effects[0] < null < effects[-1]:
            ax.axvline(null, color=COLOURS["muted"], lw=0.9, ls=(0, (1, 2)), zorder=0, label="_null")
        _levels(ax)
        _names(ax, shown, named, (float(effects[0]), float(effects[-1])))
        title_of(ax, title, above=24 if any(named) else 9)
    return ax


def _levels(ax: Axes) -> None:
    """Write the level of the interval at each height, at the right."""
    for p, text in ((0.05, "95%"), (0.2, "80%"), (0.5, "50%"), (0.8, "20%")):
        ax.text(
            1.012, p, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8.2, color=COLOURS["muted"],
            parse_math=False,
        )  # fmt: skip
    ax.text(
        1.1, 0.5, "Level of the interval", transform=ax.get_yaxis_transform(), rotation=270, va="center", ha="left",
        fontsize=8.6, color=COLOURS["muted"],
    )  # fmt: skip


def _names(ax: Axes, shown: Shown, named: Sequence[bool], limits: tuple[float, float]) -> None:
    """Name chosen studies above their peaks, from left to right, on two lines where they are near each other."""
    from comfrey.figures._axes import box_inches
    from comfrey.figures._text import width_of

    inch = (limits[1] - limits[0]) / box_inches(ax)[2]
    ends = [-math.inf, -math.inf]
    for i in sorted((i for i in range(shown.k) if named[i]), key=lambda i: shown.yi[i]):
        half = 0.5 * (width_of(shown.labels[i], 8.0) + 0.08) * inch
        middle = float(np.clip(shown.yi[i], limits[0] + half, limits[1] - half))
        line = next((n for n in (0, 1) if middle - half > ends[n]), None)
        if line is None or not limits[0] < shown.yi[i] < limits[1]:
            continue
        ends[line] = middle + half
        ax.annotate(
            shown.labels[i], (middle, 1.02), xytext=(0, 2 + 10 * line), textcoords="offset points", ha="center",
            fontsize=8, color=COLOURS["accent"], annotation_clip=False, parse_math=False,
        )  # fmt: skip
