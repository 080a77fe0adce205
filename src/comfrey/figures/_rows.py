"""Drawing of rows: intervals, diamonds, arrows, null lines and axes of ratios, shared by every figure of rows.

All positions are in the data coordinates of the axes. What leaves the `limits` of the axis ends in an arrow; its
numbers stand in the text of the row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.patches import Polygon

from comfrey.figures._text import tick_text
from comfrey.figures.style import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

__all__ = ["arrows", "diamond", "null_line", "ratio_axis", "ratio_ticks", "side_of", "span", "whisker"]

Limits = tuple[float, float]


def whisker(
    ax: Axes, low: float | None, high: float | None, y: float, limits: Limits, *, colour: str = "", width: float = 1.1
) -> None:
    """Draw a confidence interval as a line, with arrows where it leaves the axis; nothing if an end is missing."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return
    colour = colour or COLOURS["ink"]
    if low < limits[1] and high > limits[0]:
        ends = [max(low, limits[0]), min(high, limits[1])]
        ax.plot(ends, [y, y], lw=width, color=colour, zorder=2, label=f"_interval {y:g}")
    arrows(ax, low, high, y, limits, colour=colour, over=True)


def arrows(
    ax: Axes, low: float, high: float, y: float, limits: Limits, *, colour: str, size: float = 4.5, over: bool = False
) -> None:
    """Mark the ends of an interval that lie beyond the axis; `over` puts the arrows on top of all else."""
    for beyond, x, marker in ((low < limits[0], limits[0], "<"), (high > limits[1], limits[1], ">")):
        if beyond:
            (line,) = ax.plot(x, y, marker, ms=size, color=colour, clip_on=False, label=f"_arrow {marker} {y:g}")
            if over:
                line.set_zorder(4)


def diamond(
    ax: Axes,
    low: float,
    estimate: float,
    high: float,
    y: float,
    *,
    colour: str,
    edge: str = "none",
    half: float = 0.3,
) -> Polygon:
    """Draw a pooled estimate: a diamond from one end of its interval to the other, `half` a row high."""
    corners = [(low, y), (estimate, y + half), (high, y), (estimate, y - half)]
    patch = Polygon(corners, closed=True, fc=colour, ec=edge, lw=0.9, zorder=3, label=f"_diamond {y:g}")
    ax.add_patch(patch)
    return patch


def span(ax: Axes, low: float, high: float, y: float, limits: Limits, *, colour: str, width: float = 2.4) -> None:
    """Draw a prediction interval as a bar, with arrows where it leaves the axis."""
    ends = [max(low, limits[0]), min(high, limits[1])]
    ax.plot(ends, [y, y], lw=width, color=colour, alpha=0.75, solid_capstyle="butt", label=f"_span {y:g}")
    arrows(ax, low, high, y, limits, colour=colour)


def null_line(ax: Axes, x: float, *, dotted: bool = True) -> None:
    """Draw the line of no effect behind the rows."""
    style = (0, (1, 2)) if dotted else "-"
    ax.axvline(x, color=COLOURS["muted"], lw=0.9, ls=style, zorder=0, label="_null")


def side_of(weights: Iterable[float], smallest: float, largest: float) -> list[float]:
    """Sides of squares in points: the area above that of `smallest` grows with the weight.

    Examples
    --------
    >>> side_of([1.0, 4.0], 3.0, 8.5)
    [5.75, 8.5]
    """
    known = list(weights)
    top = max(known, default=1.0) or 1.0
    return [smallest + (largest - smallest) * math.sqrt(max(weight, 0) / top) for weight in known]


def ratio_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round ticks of an axis of ratios: 1, 2, 5 and their tenths and tens, or fewer where the axis is long.

    Examples
    --------
    >>> ratio_ticks(0.3, 4), ratio_ticks(0.004, 300)
    ([0.5, 1, 2], [0.01, 0.1, 1, 10, 100])
    """
    steps = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1, 2, 5), (1, 3), (1,)):
        choices = [_plain(part * 10.0**step) for step in steps for part in parts]
        ticks = [tick for tick in choices if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) <= most:
            return ticks
    skip = -(-len(ticks) // most)
    return [tick for tick in ticks if round(math.log10(tick)) % skip == 0]


def _plain(value: float) -> float:
    """Take rounding errors off a tick; whole numbers are ints."""
    rounded = float(f"{value:.1g}")
    return int(rounded) if 1 <= rounded < 1e9 else rounded


def ratio_axis(ax: Axes, ticks: Sequence[float], labels: Sequence[str] | None = None) -> None:
    """Put these ticks on a logarithmic axis, and no others."""
    from matplotlib.ticker import NullFormatter, NullLocator

    ax.set_xticks(ticks, [tick_text(tick) for tick in ticks] if labels is None else labels)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
