"""A page to draw on: axes measured in inches, words that are measured before they are placed, a title and a caption.

Every figure says how large it wants to be. Without axes it gets a figure of that size; in axes that are smaller all of
it shrinks alike, down to the size that can still be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import TextToPath

from comfrey.errors import InputError
from comfrey.figures.style import COLOURS, FONT, house_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

__all__ = ["LINE", "Page", "open_page", "text_width", "wrap"]

LINE = 0.172  # height of a line of text of 9 points, in inches
_SMALLEST = 0.45  # nothing is drawn at less than this share of its size
_MARGIN = 0.08
_ROOM = 1.04  # letters fall on whole pixels in a coarse picture, which makes lines a little longer


@cache
def _letters() -> frozenset[int]:
    """Letters that the house's font has."""
    with house_style():
        return frozenset(get_font(findfont(FontProperties(family=[FONT]))).get_charmap())


@cache
def _font(text: str, points: float, *, bold: bool) -> FontProperties:
    """Font of a text: where a letter is missing (Greek in names of drugs), another one helps out, in normal weight."""
    if all(ord(letter) in _letters() for letter in text):
        return FontProperties(family=[FONT], size=points, weight=600 if bold else "normal")
    return FontProperties(family=[FONT, "DejaVu Sans"], size=points)


@cache
def text_width(text: str, points: float = 9.0, *, bold: bool = False) -> float:
    """Width of a line of text in inches, the same on every machine."""
    if not text:
        return 0.0
    font = _font(text, points, bold=bold)
    return _ROOM * float(TextToPath().get_text_width_height_descent(text, font, False)[0]) / 72.0


def wrap(text: str, width: float, points: float = 9.0, *, bold: bool = False) -> list[str]:
    """Break text at blanks into lines no wider than `width` inches; a single longer word stays whole."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in filter(None, paragraph.split(" ")):
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, points, bold=bold) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return [line for line in lines if line]


@dataclass(frozen=True, slots=True)
class Page:
    """Axes measured in inches: x to the right, y downwards from the top of the body.

    Attributes
    ----------
    ax : Axes
        Where it is drawn.
    width, height : float
        Size of the body.
    top : float
        Height of the title above the body.
    scale : float
        What sizes of text and lines are multiplied by.
    """

    ax: Axes
    width: float
    height: float
    top: float
    scale: float

    def text(
        self,
        x: float,
        y: float,
        text: str,
        points: float = 9.0,
        *,
        bold: bool = False,
        muted: bool = False,
        align: str = "left",
        **more: Any,
    ) -> Text:
        """Write words, centred in height on y."""
        look: dict[str, Any] = {
            "color": COLOURS["muted"] if muted else COLOURS["ink"],
            "va": "center",
            "zorder": 6,
        } | more
        font = _font(text, points * self.scale, bold=bold)
        return self.ax.text(x, y, text.replace("$", r"\$"), fontproperties=font, ha=align, **look)

    def line(self, xs: Any, ys: Any, width: float = 0.8, **more: Any) -> Any:
        """Draw a line of a width in points."""
        more = {"color": COLOURS["hairline"], "solid_capstyle": "butt"} | more
        return self.ax.plot(xs, ys, lw=width * self.scale, **more)[0]

    def panel(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return axes for data within the page; the place is of its upper left corner."""
        (left, right), (bottom, top) = self.ax.get_xlim(), self.ax.get_ylim()
        across, down = right - left, bottom - top
        box = ((x - left) / across, 1 - (y + height - top) / down, width / across, height / down)
        panel = self.ax.inset_axes(box)
        panel.patch.set_visible(False)
        panel.tick_params(labelsize=8.2 * self.scale, width=0.8 * self.scale, length=3 * self.scale, axis="x")
        panel.set(yticks=[])
        return panel


def open_page(
    ax: Axes | None, width: float, height: float, *, title: str, caption: str, most: float | None = None
) -> Page:
    """Begin a figure.

    Parameters
    ----------
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    width, height : float
        What the body needs, in inches.
    title, caption : str
        Above and below the body; either may be empty.
    most : float, optional
        A body in wider axes grows to this width; by default it does not grow.

    Returns
    -------
    Page

    Raises
    ------
    InputError
        If the axes are so small that the words could not be read.
    """
    heading = wrap(title, width, 10.5, bold=True)
    below = wrap(caption, max(width, 3.0), 8.2)
    head = 0.2 * len(heading) + (0.12 if heading else 0.0)
    foot = 0.16 * len(below) + (0.12 if below else 0.0)
    whole = width + 2 * _MARGIN, height + head + foot + 2 * _MARGIN
    if ax is None:
        ax = new_figure(*whole, left=0, right=0, top=0, bottom=0)[1]
    box, dpi = ax.get_window_extent(), ax.get_figure(root=True).dpi  # type: ignore[union-attr]  # axes have a figure
    has = box.width / dpi, box.height / dpi
    scale = min(1.0, has[0] / whole[0], has[1] / whole[1])
    if scale < _SMALLEST:
        raise InputError(
            "ax", found=f"{has[0]:.1f} by {has[1]:.1f} inches",
            expected=f"axes of at least {_SMALLEST * whole[0]:.1f} by {_SMALLEST * whole[1]:.1f} inches",
            fix=f"The figure is best drawn at {whole[0]:.1f} by {whole[1]:.1f} inches; without ax it gets a figure so",
        )  # fmt: skip
    across, down = has[0] / scale, has[1] / scale
    ax.set(xlim=(-_MARGIN, across - _MARGIN), ylim=(down - head - _MARGIN, -head - _MARGIN))
    ax.set_axis_off()
    body = max(width, min(across - 2 * _MARGIN, most or width))
    page = Page(ax, body, height, head, scale)
    for i, line in enumerate(heading):
        page.text(0, -head + 0.1 + 0.2 * i, line, 10.5, bold=True)
    for i, line in enumerate(below):
        page.text(0, height + 0.12 + 0.08 + 0.16 * i, line, 8.2, muted=True)
    return page
