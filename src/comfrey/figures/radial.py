"""The radial plot of Galbraith: each study a point whose direction from the origin is its effect."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError
from comfrey.figures._axes import box_inches, house_axes, title_of
from comfrey.figures._fits import show
from comfrey.figures._points import chosen_labels, label_points
from comfrey.figures._scales import analysis_ticks, reader_of
from comfrey.figures.style import COLOURS, house_style
from comfrey.models._fit import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from comfrey.effects.sizes import EffectSizes
    from comfrey.figures._scales import Reader

__all__ = ["radial_plot", "radial_table"]


def radial_table(fit: Any, *, studies: EffectSizes | None = None) -> pd.DataFrame:
    """Return the points of a radial plot: study, precision ``1/sqrt(v + tau2)`` and standardised effect ``y`` times it.

    Parameters
    ----------
    fit, studies : as in :func:`radial_plot`

    Examples
    --------
    >>> import comfrey as cf
    >>> radial_table(cf.pool([0.1, 0.5], [0.04, 0.25], method="EE", test="z"))["precision"].tolist()
    [5.0, 2.0]
    """
    import pandas as pd

    shown = show(fit, studies)
    if shown.fitted is not None:
        raise InputError("fit", found="a regression", expected="a pooled estimate: a regression has no one direction")
    tau2 = shown.tau2 if math.isfinite(shown.tau2) else 0.0
    precision = 1.0 / np.sqrt(shown.vi + tau2)
    return pd.DataFrame({"study": shown.labels, "precision": precision, "standardised": precision * shown.yi})


def radial_plot(
    fit: Any,
    ax: Axes | None = None,
    *,
    studies: EffectSizes | None = None,
    labels: bool | Sequence[str] = False,
    title: str | None = None,
) -> Axes:
    """Draw standardised effects against precision: the slope from the origin is the effect, read at the arc.

    The line is the pooled estimate, its thick part on the arc the confidence interval. About 95% (the level of the
    fit) of studies lie within the band around the line if the model holds.

    Parameters
    ----------
    fit : Pooled, Stratified, MultilevelFit or CountModel
    ax : Axes, optional
    studies : EffectSizes, optional
        As in :func:`comfrey.figures.forest_plot`.
    labels : bool or sequence of str
    title : str, optional

    Returns
    -------
    Axes
        Data coordinates: precision, standardised effect.

    References
    ----------
    Galbraith 1988, doi:10.1080/00401706.1988.10488400.

    Examples
    --------
    >>> import comfrey as cf
    >>> radial_plot(cf.pool([0.1, 0.5, 0.3], [0.04, 0.09, 0.01])).get_ylabel()
    'Effect divided by its standard error'
    """
    shown = show(fit, studies)
    table = radial_table(fit, studies=studies)
    x, y = table["precision"].to_numpy(float), table["standardised"].to_numpy(float)
    spread = quantile(shown.level, None)
    reader = reader_of(shown.measure, float(np.median(shown.se_i)) * 2)
    long = 1.08 * float(x.max())
    heights = np.concatenate(
        [y, [shown.estimate * long - spread, shown.estimate * long + spread, 0.0, spread, -spread]]
    )
    low, high = float(heights.min()), float(heights.max())
    pad = 0.06 * (high - low)
    low, high = low - pad, high + pad
    with house_style():
        ax = house_axes(ax, 5.8, 4.4, right=0.75)
        ax.set(xlim=(0.0, 1.2 * long), ylim=(low, high))
        ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick <= long])
        ax.set_xlabel("Precision (1 / standard error)")
        ax.set_ylabel("Effect divided by its standard error")
        ends = np.array([0.0, long])
        middle = shown.estimate * ends
        ax.fill_between(
            ends, middle - spread, middle + spread, color=COLOURS["leaf"], alpha=0.12, lw=0, zorder=0, label="_band"
        )
        ax.plot(ends, middle, lw=1.4, color=COLOURS["leaf"], zorder=2, label="_line")
        ax.plot(ends, [0.0, 0.0], lw=0.9, ls=(0, (1, 2)), color=COLOURS["muted"], zorder=1, label="_zero")
        _arc(ax, reader, long, shown.estimate, (shown.ci_low, shown.ci_high))
        ax.scatter(
            x, y, s=26, color=COLOURS["accent"], edgecolors=COLOURS["paper"], linewidths=0.6, zorder=3, label="_studies"
        )
        title_of(ax, title)
        named = np.flatnonzero(chosen_labels(labels, shown.labels))
        if named.size:
            off = np.abs(y - shown.estimate * x)
            label_points(ax, x[named], y[named], [shown.labels[i] for i in named], off[named], right=long * 0.99)
    return ax


def _arc(ax: Axes, reader: Reader, long: float, estimate: float, interval: tuple[float, float]) -> None:
    """Draw the scale of effects on an arc around the origin, from the slopes that can be seen."""
    _, _, wide, high = box_inches(ax)
    (left, right), (low, top) = ax.get_xlim(), ax.get_ylim()
    per_x, per_y = wide / (right - left), high / (top - low)  # inches a unit
    radius = (long * 1.03) * per_x
    # the slopes whose point on the arc lies within the axes
    edges = []
    for end in (low, top):
        rise = min(abs(end) * per_y * 0.98, radius * 0.97)
        edges.append(math.copysign(rise / per_y, end) / (math.sqrt(radius**2 - rise**2) / per_x))

    def at(slope: Any, stretch: float = 1.0) -> tuple[Any, Any]:
        size = stretch * radius / np.sqrt(per_x**2 + (np.asarray(slope) * per_y) ** 2)
        return size, size * np.asarray(slope)

    angles = np.linspace(math.atan(edges[0] * per_y / per_x), math.atan(edges[1] * per_y / per_x), 120)
    ax.plot(*at(np.tan(angles) * per_x / per_y), lw=0.9, color=COLOURS["muted"], zorder=1, label="_arc")
    places, texts = analysis_ticks(reader, edges[0], edges[1], 9)
    last = -math.inf
    for place, text in zip(places, texts, strict=True):
        inner, outer, word = at(place), at(place, 1 + 0.05 / radius), at(place, 1 + 0.1 / radius)
        if abs(float(word[1]) - last) * per_y < 0.16:
            continue
        last = float(word[1])
        ax.plot([inner[0], outer[0]], [inner[1], outer[1]], lw=0.8, color=COLOURS["muted"], zorder=1)
        ax.text(*word, text, va="center", fontsize=8.2, color=COLOURS["muted"], parse_math=False, clip_on=False)
    ends = [min(max(end, edges[0]), edges[1]) for end in interval]
    angles = np.arctan(np.linspace(ends[0], ends[1], 40) * per_y / per_x)
    ax.plot(
        *at(np.tan(angles) * per_x / per_y), lw=3.4, color=COLOURS["leaf"], solid_capstyle="butt", zorder=2,
        label="_interval",
    )  # fmt: skip
    ax.plot(*at(estimate), "o", ms=5.5, color=COLOURS["leaf"], mec=COLOURS["paper"], mew=0.8, zorder=4)
    ax.annotate(
        reader.name, (1.0, 1.0), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", ha="right",
        va="bottom", fontsize=8.2, color=COLOURS["muted"],
    )  # fmt: skip
