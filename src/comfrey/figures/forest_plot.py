"""The forest plot of a fit: study rows with their data, weights, diamonds, prediction bar; and its table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comfrey.errors import InputError
from comfrey.figures import _rows
from comfrey.figures._axes import box_inches, dress, house_axes
from comfrey.figures._forest_rows import forest_content
from comfrey.figures._scales import minus
from comfrey.figures._text import width_of, wrap
from comfrey.figures.layouts import layout_of
from comfrey.figures.style import COLOURS, FONT, house_style, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from comfrey.effects.sizes import EffectSizes
    from comfrey.figures._forest_rows import Content, Row
    from comfrey.figures.layouts import ForestLayout

__all__ = ["forest_plot", "forest_table"]

_WIDEST_LABEL, _WIDEST_CELL = 2.3, 1.5  # inches
_GAP = 0.17
_PLOT = 2.5
_SMALLEST = 0.6  # share of the type size below which text cannot be read


@dataclass(slots=True)
class _Column:
    """A column of text: its key, its head, its cells by row, where it stands (inches), and how it is set."""

    key: str
    head: str
    cells: list[str]
    width: float
    align: str
    x: float = 0.0


@dataclass(slots=True)
class _Sheet:
    """Sizes of one drawing, all in inches at full size."""

    layout: ForestLayout
    content: Content
    columns: dict[str, list[_Column]]
    labels: list[str]
    heights: list[float]
    left: float
    right: float
    head: float
    foot: float
    title: str


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
        sheet = _measure(content, chosen, favours, title or "")
        ax, scale = _place(sheet, ax)
        _draw(ax, sheet, ends, scale, favours)
    return ax


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


def _estimate(row: Row, content: Content, layout: ForestLayout) -> str:
    text = content.reader.text
    if row.kind == "prediction":
        numbers = {"low": text(row.low), "high": text(row.high), "estimate": ""}
        template = layout.interval if row.low >= 0 else layout.interval_signed
        return template.format(**numbers).strip()
    if not math.isfinite(row.estimate):
        return ""
    template = layout.interval if row.low >= 0 else layout.interval_signed
    return template.format(estimate=text(row.estimate), low=text(row.low), high=text(row.high))


def _measure(content: Content, layout: ForestLayout, favours: tuple[str, str] | None, title: str) -> _Sheet:
    """Lay the columns out from the widths of their text."""
    size, rows = layout.size, content.rows
    columns: dict[str, list[_Column]] = {"left": [], "right": []}
    labels = [_label(row, size) for row in rows]
    for side, keys in (("left", layout.left), ("right", layout.right)):
        for key in keys:
            columns[side] += _columns_of(key, content, layout, labels)
    for group in columns.values():
        _set_widths(group, layout)
    left = _positions(columns["left"])
    right = _positions(columns["right"])
    span = max(left - _GAP, 1.9)
    labels = [
        wrap(row.label, span, size - 0.6) if row.kind == "note" else label
        for row, label in zip(rows, labels, strict=True)
    ]
    lines = [
        max(label.count("\n"), *(c.cells[i].count("\n") for g in columns.values() for c in g)) + 1
        for i, label in enumerate(labels)
    ]
    heights = [layout.row + (count - 1) * 1.25 * size / 72 + _extra(rows, i) for i, count in enumerate(lines)]
    head_lines = max((column.head.count("\n") + 1 for group in columns.values() for column in group), default=1)
    head = head_lines * 1.25 * size / 72 + 0.09
    if favours is not None and layout.favours_at == "top":
        head = max(head, 2.5 * size / 72 + 0.09)
    foot = 0.44
    if favours is not None and layout.favours_at == "bottom":
        foot += 0.02 + 1.25 * (layout.size - 0.8) / 72 * max(_said(name, layout).count("\n") + 1 for name in favours)
    return _Sheet(layout, content, columns, labels, heights, left, right, head, foot, title)


def _said(name: str, layout: ForestLayout, room: float = 2.0) -> str:
    """Write what stands at one end of the axis, in lines of at most `room` inches."""
    return wrap(layout.favours.format(name), room, layout.size - 0.8)


def _extra(rows: Sequence[Row], i: int) -> float:
    """Room above a row that begins something: a group, or the summary of all."""
    if i == 0:
        return 0.0
    if rows[i].kind == "group":
        return 0.10
    return 0.08 if rows[i].kind == "overall" else 0.0


def _label(row: Row, size: float) -> str:
    weight = "bold" if row.kind in {"group", "overall", "subtotal"} else "normal"
    text = f"{row.label} (new)" if row.new else row.label
    indent = 0.12 if row.kind in {"study", "subtotal"} and row.group else 0.0
    return wrap(text, _WIDEST_LABEL - indent, size, weight)


def _columns_of(key: str, content: Content, layout: ForestLayout, labels: list[str]) -> list[_Column]:
    rows = content.rows
    if key == "study":
        cells = ["" if row.kind == "note" else label for row, label in zip(rows, labels, strict=True)]
        return [_Column("study", layout.study_head, cells, 0.0, "left")]
    if key == "data":
        data = [[row.cells[i] if row.cells else "" for row in rows] for i in range(len(content.heads))]
        wrapped = [[wrap(cell, _WIDEST_CELL, layout.size) for cell in column] for column in data]
        return [
            _Column(f"data {i}", head, column, 0.0, "right" if _numeric(column) else "left")
            for i, (head, column) in enumerate(zip(content.heads, wrapped, strict=True))
        ]
    if key == "estimate":
        name = wrap(content.reader.name, 1.5, layout.size)
        head = layout.estimate_head.format(name=name, level=f"{content.level:.0%}")
        return [_Column("estimate", head, [_estimate(row, content, layout) for row in rows], 0.0, "right")]
    if key == "weight":
        if not content.weighted:
            return []
        unit = "" if "%" in layout.weight_head else "%"
        cells = [f"{row.weight:.1f}{unit}" if math.isfinite(row.weight) else "" for row in rows]
        return [_Column("weight", layout.weight_head, cells, 0.0, "right")]
    raise InputError("layout", found=f"a column {key!r}", expected="study, data, estimate or weight")


def _numeric(cells: Sequence[str]) -> bool:
    return all(not cell or cell[-1].isdigit() or cell[-1] in ")%" for cell in cells)


def _set_widths(columns: list[_Column], layout: ForestLayout) -> None:
    heads = "bold" if layout.bold_heads else "normal"
    for column in columns:
        cells = max((width_of(cell, layout.size, "bold") for cell in column.cells if cell), default=0.0)
        if column.key == "study":
            cells += 0.12
        column.width = max(cells, width_of(column.head, layout.size - 0.6, heads))


def _positions(columns: list[_Column]) -> float:
    """Give each column its place, one after the other; return the width of all, with a gap after each."""
    x = 0.0
    for column in columns:
        column.x = x if column.align == "left" else x + column.width
        x += column.width + _GAP
    return x


def _place(sheet: _Sheet, ax: Axes | None) -> tuple[Axes, float]:
    """Make axes for the plot proper, and find the scale of the type (one, or less where the axes given are small)."""
    body = sum(sheet.heights)
    notes = _note_height(sheet, sheet.left + _PLOT + sheet.right)
    title = 0.38 if sheet.title else 0.06
    if ax is None:
        width = sheet.left + _PLOT + _GAP + sheet.right + 0.1
        height = title + sheet.head + body + sheet.foot + notes + 0.06
        _, ax = new_figure(
            width, height, left=sheet.left + 0.05, right=sheet.right + _GAP - 0.05 + 0.05,
            top=title + sheet.head, bottom=sheet.foot + notes + 0.06,
        )  # fmt: skip
        return dress(ax), 1.0
    house_axes(ax)
    x, y, width, height = box_inches(ax)
    need = sheet.left + 1.3 + _GAP + sheet.right
    tall = title + sheet.head + body + sheet.foot + _note_height(sheet, width)
    scale = min(1.0, width / need, height / tall)
    if scale < _SMALLEST:
        found = f"axes of {width:.1f} by {height:.1f} inches"
        expected = f"at least {_SMALLEST * need:.1f} by {_SMALLEST * tall:.1f} for these rows and columns"
        raise InputError("ax", found=found, expected=expected)
    figure: Any = ax.get_figure(root=True)
    wide, high = figure.get_size_inches()
    left, right = scale * sheet.left, scale * (sheet.right + _GAP)
    top = y + height - scale * (title + sheet.head)
    ax.set_position(
        ((x + left) / wide, (top - scale * body) / high, (width - left - right) / wide, scale * body / high)
    )
    return ax, scale


def _note_height(sheet: _Sheet, width: float) -> float:
    lines = sum(wrap(text, width, sheet.layout.size - 1).count("\n") + 1 for text in sheet.content.footnotes)
    return lines * 1.3 * (sheet.layout.size - 1) / 72 + 0.05


def _draw(ax: Axes, sheet: _Sheet, ends: tuple[float, float], scale: float, favours: tuple[str, str] | None) -> None:
    content, layout = sheet.content, sheet.layout
    _, _, plot, _ = box_inches(ax)
    centres, total = _centres(sheet)
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
    pen = _Pen(ax, sheet, plot, scale)
    sizes = _rows.side_of([row.size for row in content.rows if row.kind == "study"], 0.0, 8.5 * scale)
    side = iter(sizes)
    for i, (row, y) in enumerate(zip(content.rows, centres, strict=True)):
        pen.row(i, y)
        _mark(ax, row, y, ends, layout, scale, next(side) if row.kind == "study" else 0.0)
    pen.heads(favours)
    pen.foot(favours)


def _centres(sheet: _Sheet) -> tuple[list[float], float]:
    """Middles of the rows in rows from the top (room above a row belongs to it), and the height of all in inches."""
    y, out = 0.0, []
    for i, height in enumerate(sheet.heights):
        above = _extra(sheet.content.rows, i)
        out.append(-(y + above + (height - above) / 2) / sheet.layout.row)
        y += height
    return out, y


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
        ax.set_xticks(ticks, [minus(f"{tick:.10g}") + unit for tick in ticks])
    ax.tick_params(axis="x", labelsize=(layout.size - 0.6) * scale, pad=2.5 * scale, length=3 * scale)


def _pooled_line(ax: Axes, sheet: _Sheet, centres: list[float]) -> None:
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


class _Pen:
    """Writes the text around the plot, in inches from the left edge of the sheet."""

    def __init__(self, ax: Axes, sheet: _Sheet, plot: float, scale: float) -> None:
        self.ax, self.sheet, self.plot, self.scale = ax, sheet, plot, scale
        self.start = scale * sheet.left

    def across(self, x: float, *, right: bool = False) -> float:
        """Axes fraction of a place in inches (at full size) in the left or the right part of the sheet."""
        inches = self.plot + self.scale * (_GAP + x) if right else self.scale * x - self.start
        return inches / self.plot

    def write(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        if text:
            if "va" not in style and "\n" not in text:  # on one line with the other cells, whatever their letters
                y, style = y - 0.34 * size / 72 / self.sheet.layout.row, {**style, "va": "baseline"}
            self.ax.text(
                x, y, text, fontsize=size * self.scale, parse_math=False, linespacing=0.88,
                **{"transform": self.ax.get_yaxis_transform(), "va": "center", "color": COLOURS["ink"], **style},
            )  # fmt: skip

    def row(self, i: int, y: float) -> None:
        """Write the cells of a row; a note runs over all columns of the left part."""
        row, size = self.sheet.content.rows[i], self.sheet.layout.size
        if row.kind == "note":
            indent = 0.12 if row.group else 0.0
            self.write(self.across(indent), y, self.sheet.labels[i], size - 0.6, color=COLOURS["muted"])
            return
        bold = 600 if row.kind in {"group", "subtotal", "overall"} else "normal"
        for side, columns in self.sheet.columns.items():
            for column in columns:
                indent = 0.12 if column.key == "study" and row.group and row.kind != "group" else 0.0
                muted = COLOURS["muted"] if column.key == "weight" else COLOURS["ink"]
                self.write(
                    self.across(column.x + indent, right=side == "right"), y, column.cells[i], size,
                    ha=column.align, weight=bold, color=muted,
                )  # fmt: skip

    def heads(self, favours: tuple[str, str] | None) -> None:
        """Write heads, the rule under them, and the title."""
        ax, layout = self.ax, self.sheet.layout
        _, _, _, high = box_inches(ax)
        inch = self.scale / high
        style: dict[str, Any] = {"transform": ax.transAxes, "va": "bottom", "color": COLOURS["muted"]}
        if layout.bold_heads:
            style |= {"weight": 600, "color": COLOURS["ink"]}
        for side, columns in self.sheet.columns.items():
            for column in columns:
                x = self.across(column.x, right=side == "right")
                self.write(x, 1 + 0.06 * inch, column.head, layout.size - 0.6, ha=column.align, **style)
        left = self.across(0.0)
        if layout.head_rule:
            right = 1 + self.scale * (self.sheet.right + (_GAP if self.sheet.right else 0.0)) / self.plot
            ax.plot(
                [left, right], [1 + 0.02 * inch] * 2, transform=ax.transAxes, lw=0.8, color=COLOURS["ink"],
                clip_on=False, label="_rule",
            )  # fmt: skip
        if favours is not None and layout.favours_at == "top":
            self._favours(favours, 1 + 0.06 * inch, "bottom")
        if self.sheet.title:
            ax.set_title(
                self.sheet.title, loc="left", x=left, y=1 + (self.sheet.head + 0.12) * inch, pad=0,
                fontsize=10.5 * self.scale, fontweight=600, color=COLOURS["ink"], family=[FONT, "DejaVu Sans"],
            )  # fmt: skip

    def _favours(self, favours: tuple[str, str], y: float, va: str) -> None:
        """Write what each side favours, away from the null line and within its half."""
        ax, reader, layout = self.ax, self.sheet.content.reader, self.sheet.layout
        low, high = ax.get_xlim()
        null = reader.null
        if not (math.isfinite(null) and low < null < high):
            return
        middle = math.log(null / low) / math.log(high / low) if reader.ratio else (null - low) / (high - low)
        gap = 0.06 * self.scale / self.plot
        for name, x, align, share in (
            (favours[0], middle - gap, "right", middle),
            (favours[1], middle + gap, "left", 1 - middle),
        ):
            room = max(share * self.plot / self.scale, 0.9) if va == "bottom" else 2.0
            self.write(
                x,
                y,
                _said(name, layout, room),
                layout.size - 0.8,
                transform=ax.transAxes,
                ha=align,
                va=va,
                color=COLOURS["muted"],
            )

    def foot(self, favours: tuple[str, str] | None) -> None:
        """Write the name of the axis, what its sides favour, and the notes."""
        ax, sheet, layout = self.ax, self.sheet, self.sheet.layout
        _, _, _, high = box_inches(ax)
        inch = self.scale / high
        y = -0.215 * inch
        style: dict[str, Any] = {"transform": ax.transAxes, "va": "top", "color": COLOURS["muted"]}
        name = sheet.content.reader.name + (" (log scale)" if sheet.content.reader.ratio else "")
        self.write(0.5, y, name, layout.size - 0.8, ha="center", **style)
        if favours is not None and layout.favours_at == "bottom":
            self._favours(favours, y - 0.18 * inch, "top")
        y = -(sheet.foot + 0.02) * inch
        width = (self.plot / self.scale) + sheet.left + sheet.right
        for text in sheet.content.footnotes:
            lines = wrap(text, width, layout.size - 1)
            self.write(self.across(0.0), y, lines, layout.size - 1, **style)
            y -= (lines.count("\n") + 1) * 1.3 * (layout.size - 1) / 72 * inch
