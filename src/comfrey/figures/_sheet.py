"""The sheet of a forest plot: where columns and rows stand, worked out from the widths of their text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comfrey.errors import InputError
from comfrey.figures._axes import box_inches, dress, house_axes
from comfrey.figures._text import width_of, wrap
from comfrey.figures.style import new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from comfrey.figures._forest_rows import Content, Row
    from comfrey.figures.layouts import ForestLayout

__all__ = ["GAP", "Column", "Sheet", "centres_of", "measure", "place"]

GAP = 0.17  # between columns, in inches
PLOT, _NARROWEST, _NARROWEST_NOTE = 2.5, 1.3, 1.9
_WIDEST_LABEL, _WIDEST_CELL = 2.3, 1.5
_SMALLEST = 0.6  # share of the type size below which text cannot be read


@dataclass(slots=True)
class Column:
    """A column of text: its key, its head, its cells by row, where it stands (inches), and how it is set."""

    key: str
    head: str
    cells: list[str]
    width: float
    align: str
    x: float = 0.0


@dataclass(slots=True)
class Sheet:
    """Sizes of one drawing, all in inches at full size."""

    layout: ForestLayout
    content: Content
    columns: dict[str, list[Column]]
    labels: list[str]
    heights: list[float]
    left: float
    right: float
    head: float
    foot: float
    title: str
    null: float
    favours: tuple[str, str] | None

    def rooms(self, plot: float) -> tuple[float, float]:
        """Room in inches for what stands left and right of the null line, beside a plot of this width."""
        if self.layout.favours_at == "top":
            return max(self.null * plot, 0.8), max((1 - self.null) * plot, 0.8)
        return self.null * plot + self.left, (1 - self.null) * plot + self.right + GAP

    def said(self, plot: float) -> tuple[str, str]:
        """Words at both ends of the axis, broken into lines that fit; empty where there is no null line."""
        if self.favours is None or math.isnan(self.null):
            return "", ""
        left, right = (
            wrap(self.layout.favours.format(name), min(room, 2.2), self.layout.size - 0.8)
            for name, room in zip(self.favours, self.rooms(plot), strict=True)
        )
        return left, right


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


def measure(
    content: Content, layout: ForestLayout, null: float, favours: tuple[str, str] | None, title: str, *, given: bool
) -> Sheet:
    """Lay the columns out from the widths of their text.

    `null` is where the null line stands between the ends of the axis; `given` says that the axes are the user's.
    """
    size, rows = layout.size, content.rows
    columns: dict[str, list[Column]] = {"left": [], "right": []}
    labels = [_label(row, size) for row in rows]
    for side, keys in (("left", layout.left), ("right", layout.right)):
        for key in keys:
            columns[side] += _columns_of(key, content, layout, labels)
    for group in columns.values():
        _set_widths(group, layout)
    left = _positions(columns["left"])
    right = _positions(columns["right"])
    if any(row.kind == "note" for row in rows):
        left = max(left, _NARROWEST_NOTE + GAP)
    span = left - GAP
    labels = [
        wrap(row.label, span, size - 0.6) if row.kind == "note" else label
        for row, label in zip(rows, labels, strict=True)
    ]
    lines = [
        max(label.count("\n"), *(c.cells[i].count("\n") for g in columns.values() for c in g)) + 1
        for i, label in enumerate(labels)
    ]
    heights = [layout.row + (count - 1) * 1.25 * size / 72 + extra(rows, i) for i, count in enumerate(lines)]
    head_lines = max((column.head.count("\n") + 1 for group in columns.values() for column in group), default=1)
    head = head_lines * 1.25 * size / 72 + 0.09
    plot = _NARROWEST if given else PLOT
    title = wrap(title, left + plot + right, 10.5, "bold") if title else ""
    sheet = Sheet(layout, content, columns, labels, heights, left, right, head, 0.44, title, null, favours)
    said = max(text.count("\n") + 1 if text else 0 for text in sheet.said(plot)) * 1.25 * (size - 0.8) / 72
    if layout.favours_at == "top":
        sheet.head = max(head, said + 0.09)
    elif said:
        sheet.foot += said + 0.02
    return sheet


def extra(rows: Sequence[Row], i: int) -> float:
    """Return the room above a row that begins something: a group, or the summary of all."""
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


def _columns_of(key: str, content: Content, layout: ForestLayout, labels: list[str]) -> list[Column]:
    rows = content.rows
    if key == "study":
        cells = ["" if row.kind == "note" else label for row, label in zip(rows, labels, strict=True)]
        return [Column("study", layout.study_head, cells, 0.0, "left")]
    if key == "data":
        data = [[row.cells[i] if row.cells else "" for row in rows] for i in range(len(content.heads))]
        wrapped = [[wrap(cell, _WIDEST_CELL, layout.size) for cell in column] for column in data]
        return [
            Column(f"data {i}", head, column, 0.0, "right" if _numeric(column) else "left")
            for i, (head, column) in enumerate(zip(content.heads, wrapped, strict=True))
        ]
    if key == "estimate":
        name = wrap(content.reader.name, 1.5, layout.size)
        head = layout.estimate_head.format(name=name, level=f"{content.level:.0%}")
        return [Column("estimate", head, [_estimate(row, content, layout) for row in rows], 0.0, "right")]
    if key == "weight":
        if not content.weighted:
            return []
        unit = "" if "%" in layout.weight_head else "%"
        cells = [f"{row.weight:.1f}{unit}" if math.isfinite(row.weight) else "" for row in rows]
        return [Column("weight", layout.weight_head, cells, 0.0, "right")]
    raise InputError("layout", found=f"a column {key!r}", expected="study, data, estimate or weight")


def _numeric(cells: Sequence[str]) -> bool:
    return all(not cell or cell[-1].isdigit() or cell[-1] in ")%" for cell in cells)


def _set_widths(columns: list[Column], layout: ForestLayout) -> None:
    heads = "bold" if layout.bold_heads else "normal"
    for column in columns:
        cells = max((width_of(cell, layout.size, "bold") for cell in column.cells if cell), default=0.0)
        if column.key == "study":
            cells += 0.12
        column.width = max(cells, width_of(column.head, layout.size - 0.6, heads))


def _positions(columns: list[Column]) -> float:
    """Give each column its place, one after the other; return the width of all, with a gap after each."""
    x = 0.0
    for column in columns:
        column.x = x if column.align == "left" else x + column.width
        x += column.width + GAP
    return x


def place(sheet: Sheet, ax: Axes | None) -> tuple[Axes, float]:
    """Make axes for the plot proper, and find the scale of the type (one, or less where the axes given are small)."""
    body = sum(sheet.heights)
    notes = _note_height(sheet, sheet.left + PLOT + sheet.right)
    title = 0.16 + 0.2 * (sheet.title.count("\n") + 1) if sheet.title else 0.06
    if ax is None:
        width = sheet.left + PLOT + GAP + sheet.right + 0.1  # with a margin of half a tenth on both sides
        height = title + sheet.head + body + sheet.foot + notes + 0.06
        _, ax = new_figure(
            width, height, left=sheet.left + 0.05, right=sheet.right + GAP + 0.05,
            top=title + sheet.head, bottom=sheet.foot + notes + 0.06,
        )  # fmt: skip
        return dress(ax), 1.0
    house_axes(ax)
    x, y, width, height = box_inches(ax)
    need = sheet.left + _NARROWEST + GAP + sheet.right
    tall = title + sheet.head + body + sheet.foot + _note_height(sheet, width)
    scale = min(1.0, width / need, height / tall)
    if scale < _SMALLEST:
        found = f"axes of {width:.1f} by {height:.1f} inches"
        expected = f"at least {_SMALLEST * need:.1f} by {_SMALLEST * tall:.1f} for these rows and columns"
        raise InputError("ax", found=found, expected=expected)
    figure: Any = ax.get_figure(root=True)
    wide, high = figure.get_size_inches()
    left, right = scale * sheet.left, scale * (sheet.right + GAP)
    top = y + height - scale * (title + sheet.head)
    ax.set_position(
        ((x + left) / wide, (top - scale * body) / high, (width - left - right) / wide, scale * body / high)
    )
    return ax, scale


def _note_height(sheet: Sheet, width: float) -> float:
    lines = sum(wrap(text, width, sheet.layout.size - 1).count("\n") + 1 for text in sheet.content.footnotes)
    return lines * 1.3 * (sheet.layout.size - 1) / 72 + 0.05


def centres_of(sheet: Sheet) -> tuple[list[float], float]:
    """Middles of the rows in rows from the top (room above a row belongs to it), and the height of all in inches."""
    y, out = 0.0, []
    for i, height in enumerate(sheet.heights):
        above = extra(sheet.content.rows, i)
        out.append(-(y + above + (height - above) / 2) / sheet.layout.row)
        y += height
    return out, y
