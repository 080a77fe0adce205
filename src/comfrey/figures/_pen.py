"""Writing the text of a forest plot around its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfrey.figures._axes import box_inches
from comfrey.figures._sheet import GAP
from comfrey.figures._text import wrap
from comfrey.figures.style import COLOURS, FONT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from comfrey.figures._sheet import Sheet

__all__ = ["Pen"]


class Pen:
    """Writes the text around the plot, in inches from the left edge of the sheet."""

    def __init__(self, ax: Axes, sheet: Sheet, plot: float, scale: float) -> None:
        self.ax, self.sheet, self.plot, self.scale = ax, sheet, plot, scale
        self.start = scale * sheet.left

    def across(self, x: float, *, right: bool = False) -> float:
        """Axes fraction of a place in inches (at full size) in the left or the right part of the sheet."""
        inches = self.plot + self.scale * (GAP + x) if right else self.scale * x - self.start
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

    def heads(self) -> None:
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
            right = 1 + self.scale * (self.sheet.right + (GAP if self.sheet.right else 0.0)) / self.plot
            ax.plot(
                [left, right], [1 + 0.02 * inch] * 2, transform=ax.transAxes, lw=0.8, color=COLOURS["ink"],
                clip_on=False, label="_rule",
            )  # fmt: skip
        if layout.favours_at == "top":
            self._favours(1 + 0.06 * inch, "bottom")
        if self.sheet.title:
            ax.set_title(
                self.sheet.title, loc="left", x=left, y=1 + (self.sheet.head + 0.09) * inch, pad=0, va="bottom",
                fontsize=10.5 * self.scale, fontweight=600, color=COLOURS["ink"], family=[FONT, "DejaVu Sans"],
                linespacing=0.95, parse_math=False,
            )  # fmt: skip

    def _favours(self, y: float, va: str) -> None:
        """Write what each side favours, away from the null line."""
        sheet, gap = self.sheet, 0.06 * self.scale / self.plot
        texts = sheet.said(self.plot / self.scale)
        for text, x, align in zip(texts, (sheet.null - gap, sheet.null + gap), ("right", "left"), strict=True):
            style: dict[str, Any] = {"ha": align, "va": va, "color": COLOURS["muted"], "transform": self.ax.transAxes}
            self.write(x, y, text, sheet.layout.size - 0.8, **style)

    def foot(self) -> None:
        """Write the name of the axis, what its sides favour, and the notes."""
        ax, sheet, layout = self.ax, self.sheet, self.sheet.layout
        _, _, _, high = box_inches(ax)
        inch = self.scale / high
        y = -0.215 * inch
        style: dict[str, Any] = {"transform": ax.transAxes, "va": "top", "color": COLOURS["muted"]}
        name = sheet.content.reader.name + (" (log scale)" if sheet.content.reader.ratio else "")
        self.write(0.5, y, name, layout.size - 0.8, ha="center", **style)
        if layout.favours_at == "bottom":
            self._favours(y - 0.18 * inch, "top")
        y = -(sheet.foot + 0.02) * inch
        width = (self.plot / self.scale) + sheet.left + sheet.right
        for text in sheet.content.footnotes:
            lines = wrap(text, width, layout.size - 1)
            self.write(self.across(0.0), y, lines, layout.size - 1, **style)
            y -= (lines.count("\n") + 1) * 1.3 * (layout.size - 1) / 72 * inch
