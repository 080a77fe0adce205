"""The forest plot of a fit: study rows with their data, weights, diamonds, prediction bar; and its table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from comfrey.errors import InputError
from comfrey.figures import _rows
from comfrey.figures._axes import box_inches
from comfrey.figures._forest_rows import forest_content
from comfrey.figures._pen import Pen
from comfrey.figures._sheet import centres_of, measure, place
from comfrey.figures._text import tick_text
from comfrey.figures.layouts import layout_of
from comfrey.figures.style import house_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from comfrey.effects.sizes import EffectSizes
    from comfrey.figures._forest_rows import Content, Row
    from comfrey.figures._sheet import Sheet
    from comfrey.figures.layouts import ForestLayout

__all__ = ["forest_plot", "forest_table"]


def forest_table(fit: Any, **options: Any) -> pd.DataFrame:
    """Return the numbers of a forest plot as a table.

    Parameters
    ----------
    fit, **options : as in :func:`forest_plot`

    Returns
    -------
    DataFrame
        kind (group, study, subtotal, overall, prediction, note), label, group, estimate, low, high, weight, and the
        data columns. `low` and `high` are the ends of the confidence interval, in rows of kind "prediction" of the
        prediction interval; all on the scale that people read (percent, ratio ...), weights in percent. Rows that
        were left out are of kind "left out".

    Examples
    --------
    >>> import comfrey as cf
    >>> fit = cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08])
    >>> forest_table(fit)["kind"].tolist()
    ['study', 'study', 'study', 'study', 'overall', 'prediction', 'note']
    """
    import pandas as pd

    content = forest_content(fit, layout_of(options.pop("layout", "default")), **options)
    names = ("kind", "label", "group", "estimate", "low", "high", "weight")
    table = pd.DataFrame([{name: getattr(row, name) for name in names} for row in content.rows])
    for i, head in enumerate(content.heads):
        table[head.replace("\n", ", ")] = [row.cells[i] if row.cells else "" for row in content.rows]
    gone = [{"kind": "left out", "label": text} for text in content.shown.dropped]
    return pd.concat([table, pd.DataFrame(gone)], ignore_index=True) if gone else table


def forest_plot(
    fit: Any,
    ax: Axes | None = None,
    *,
    layout: str | ForestLayout = "default",
    labels: Sequence[str] | None = None,
    subgroups: Any = None,
    columns: Any = None,
    arms: tuple[str, str] = ("Group 1", "Group 2"),
    studies: EffectSizes | None = None,
    order: Any = None,
    new: Sequence[str] = (),
    favours: tuple[str, str] | None = None,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
    prediction: bool = True,
) -> Axes:
    """Draw the forest plot of a fit.

    Squares have areas proportional to the weights of the fit (to 1/variance where a model has none), diamonds reach
    from one end of the pooled confidence interval to the other, the bar under them is the prediction interval. Ratios
    have a logarithmic axis. What leaves the axis ends in an arrow. Of a regression, pale diamonds show the fitted
    value of each study.

    Parameters
    ----------
    fit : Pooled, Subgroups, TrimAndFill, MetaRegression, Stratified, MultilevelFit or CountModel
        Everything drawn is taken from it.
    ax : Axes, optional
        Room for the whole drawing, text included: the axes are made narrower to leave room for the columns. Without
        it a figure of the right size is made (``ax.figure``).
    layout : {"default", "revman", "jama", "bmj"} or ForestLayout
    labels : sequence of str, optional
        Names of the studies, if not those of the fit.
    subgroups : Subgroups, or one group a study, optional
        The latter are pooled by the fit's own method and test. A Subgroups can also be given as `fit`.
    columns : EffectSizes, DataFrame or mapping, optional
        Data shown beside the labels: effect sizes bring the counts or means they were made from, under the names of
        the `arms`; a mapping gives head and values of each column.
    arms : tuple of str
    studies : EffectSizes, optional
        The studies' own estimates, for one-stage models; labels and measure, for multilevel fits.
    order : {"estimate", "weight"} or values to sort by, optional
        Within groups; default: as fitted.
    new : sequence of str
        Labels of studies marked as new, by shape and word.
    favours : tuple of str, optional
        What the left and the right side of the null line favour.
    limits : tuple of float, optional
        Ends of the axis, on the scale that people read.
    title : str, optional
    prediction : bool
        Whether the prediction interval is drawn.

    Returns
    -------
    Axes
        The data coordinates are those that people read; study i stands at the y of its row.

    Raises
    ------
    InputError
        If an argument does not fit the fit, or `ax` is too small for the text to be read.

    Examples
    --------
    >>> import comfrey as cf
    >>> ax = forest_plot(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08]), title="Four studies")
    >>> ax.get_title(loc="left")
    'Four studies'
    """
    chosen = layout_of(layout)
    content = forest_content(
        fit, chosen, labels=labels, subgroups=subgroups, columns=columns, arms=arms, studies=studies, order=order,
        new=new, prediction=prediction,
    )  # fmt: skip
    ends = _limits(content, limits)
    with house_style():
        sheet = measure(content, chosen, _share(content, ends), favours, title or "", given=ax is not None)
        ax, scale = place(sheet, ax)
        _draw(ax, sheet, ends, scale)
    return ax


def _share(content: Content, ends: tuple[float, float]) -> float:
    """Return where the null line stands between the ends of the axis, from 0 to 1; not-a-number if it does not."""
    (low, high), null = ends, content.reader.null
    if not low < null < high:
        return math.nan
    return math.log(null / low) / math.log(high / low) if content.reader.ratio else (null - low) / (high - low)


def _limits(content: Content, limits: tuple[float, float] | None) -> tuple[float, float]:
    """Cover estimates and most of the intervals; those that would flatten the rest are cut."""
    ratio = content.reader.ratio
    if limits is not None:
        low, high = float(limits[0]), float(limits[1])
        if not (math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not ratio)):
            rule = "two numbers above zero, the lower first" if ratio else "two numbers, the lower first"
            raise InputError("limits", found=limits, expected=rule)
        return low, high

    def place(value: float) -> float:
        return math.log(max(value, 1e-300)) if ratio else value

    drawn = [row for row in content.rows if row.kind in {"study", "subtotal", "overall", "prediction"}]
    middles = [place(row.estimate) for row in drawn if math.isfinite(row.estimate)]
    if math.isfinite(content.reader.null):
        middles.append(place(content.reader.null))
    widths = sorted(place(row.high) - place(row.low) for row in drawn if row.kind == "study")
    typical = widths[len(widths) // 2]
    lows = [place(row.low) for row in drawn if math.isfinite(row.low)]
    highs = [place(row.high) for row in drawn if math.isfinite(row.high)]
    whole = (min(lows + middles), max(highs + middles))
    low, high = max(whole[0], min(middles) - 1.2 * typical), min(whole[1], max(middles) + 1.2 * typical)
    if whole[1] - whole[0] < 1.35 * (high - low):
        low, high = whole
    pad = 0.04 * (high - low) or 0.5
    if ratio:
        return math.exp(low - pad), math.exp(high + pad)
    if content.reader.percent:
        return max(0.0, low - pad), min(100.0, high + pad)
    return low - pad, high + pad


def _draw(ax: Axes, sheet: Sheet, ends: tuple[float, float], scale: float) -> None:
    content, layout = sheet.content, sheet.layout
    _, _, plot, _ = box_inches(ax)
    centres, total = centres_of(sheet)
    unit = layout.row
    ax.set(ylim=(-total / unit, 0.0), yticks=[])
    ax.spines["left"].set_visible(False)
    if content.reader.ratio:
        ax.set_xscale("log")
    ax.set_xlim(*ends)
    _ticks(ax, content, ends, plot, scale, layout)
    if math.isfinite(content.reader.null) and ends[0] <= content.reader.null <= ends[1]:
        _rows.null_line(ax, content.reader.null, dotted=layout.null_dotted)
    _pooled_line(ax, sheet, centres)
    pen = Pen(ax, sheet, plot, scale)
    sizes = _rows.side_of([row.size for row in content.rows if row.kind == "study"], 0.0, 8.5 * scale)
    side = iter(sizes)
    for i, (row, y) in enumerate(zip(content.rows, centres, strict=True)):
        pen.row(i, y)
        _mark(ax, row, y, ends, layout, scale, next(side) if row.kind == "study" else 0.0)
    pen.heads()
    pen.foot()


def _ticks(
    ax: Axes, content: Content, ends: tuple[float, float], plot: float, scale: float, layout: ForestLayout
) -> None:
    from matplotlib.ticker import MaxNLocator

    most = max(2, int(plot / (0.34 * scale)))
    if content.reader.ratio:
        _rows.ratio_axis(ax, _rows.ratio_ticks(*ends, most=min(most, 7)))
    else:
        ticks = [
            x for x in MaxNLocator(min(most, 6), steps=[1, 2, 5, 10]).tick_values(*ends) if ends[0] <= x <= ends[1]
        ]
        unit = "%" if content.reader.percent else ""
        ax.set_xticks(ticks, [tick_text(tick) + unit for tick in ticks])
    ax.tick_params(axis="x", labelsize=(layout.size - 0.6) * scale, pad=2.5 * scale, length=3 * scale)


def _pooled_line(ax: Axes, sheet: Sheet, centres: list[float]) -> None:
    if not sheet.layout.pooled_line:
        return
    for row, y in zip(sheet.content.rows, centres, strict=True):
        if row.kind == "overall":
            colour = sheet.layout.pooled_edge if sheet.layout.pooled_edge != "none" else sheet.layout.pooled_colour
            ax.plot([row.estimate] * 2, [0.0, y], lw=0.8, ls=(0, (3, 2)), color=colour, zorder=1, label="_pooled line")


def _mark(
    ax: Axes, row: Row, y: float, ends: tuple[float, float], layout: ForestLayout, scale: float, side: float
) -> None:
    """Draw what a row shows of its numbers."""
    if row.kind == "study":
        if row.fitted is not None:
            middle, low, high = row.fitted
            fitted = _rows.diamond(ax, low, middle, high, y, colour=layout.pooled_colour, half=0.38)
            fitted.set(alpha=0.28, zorder=1)
        _rows.whisker(ax, row.low, row.high, y, ends, colour=layout.line_colour, width=1.1 * scale)
        if ends[0] <= row.estimate <= ends[1]:
            ax.scatter(
                [row.estimate], [y], s=max(side, 1.6 * scale) ** 2, marker="D" if row.new else "s",
                color=layout.study_colour, linewidths=0, zorder=3, label=f"_study {row.label}",
            )  # fmt: skip
    elif row.kind in {"subtotal", "overall"}:
        half = 0.34 if row.kind == "overall" else 0.26
        _rows.diamond(
            ax, row.low, row.estimate, row.high, y, colour=layout.pooled_colour, edge=layout.pooled_edge, half=half
        )
        _rows.arrows(ax, row.low, row.high, y, ends, colour=layout.pooled_colour, over=True)
    elif row.kind == "prediction":
        _rows.span(ax, row.low, row.high, y, ends, colour=layout.prediction_colour, width=2.4 * scale)
