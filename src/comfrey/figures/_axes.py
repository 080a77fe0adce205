"""The axes that a figure draws in: new ones in the house's style, or those given, dressed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfrey.errors import InputError
from comfrey.figures.style import COLOURS, FONT, new_figure, register_fonts, remember

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["box_inches", "dress", "house_axes", "note", "title_of"]


def house_axes(ax: Axes | None, width: float = 5.4, height: float = 4.2, **margins: float) -> Axes:
    """Return axes to draw in: those given, dressed, or those of a new figure of this size in inches."""
    if ax is None:
        room = {"left": 0.75, "right": 0.25, "top": 0.42, "bottom": 0.6, **margins}
        _, ax = new_figure(width, height, **room)
    elif not hasattr(ax, "add_patch"):
        raise InputError("ax", found=type(ax).__name__, expected="matplotlib axes")
    return dress(ax)


def dress(ax: Axes) -> Axes:
    """Give axes the house's lines, colours and letters, whoever made them."""
    register_fonts()
    remember(ax)
    ax.set_facecolor("none")
    for side, spine in ax.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set(color=COLOURS["hairline"], linewidth=0.8)
    ax.tick_params(
        which="both", color=COLOURS["hairline"], labelcolor=COLOURS["muted"], labelsize=8.5, labelfontfamily=FONT,
        length=3, width=0.8,
    )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(color=COLOURS["muted"], size=9, family=[FONT, "DejaVu Sans"])
    return ax


def box_inches(ax: Axes) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of axes in inches, within their figure."""
    figure: Any = ax.get_figure(root=True)
    wide, high = figure.get_size_inches()
    box = ax.get_position(original=True)
    return float(box.x0 * wide), float(box.y0 * high), float(box.width * wide), float(box.height * high)


def title_of(ax: Axes, title: str | None, above: float = 9.0) -> None:
    """Write what the figure says, `above` so many points over its left edge."""
    if title:
        ax.set_title(
            title,
            loc="left",
            fontsize=10.5,
            fontweight=600,
            color=COLOURS["ink"],
            family=[FONT, "DejaVu Sans"],
            pad=above,
        )


def note(ax: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Write a few muted words at a place in data coordinates; dollar signs are dollar signs."""
    ax.text(x, y, text, **{"fontsize": 8.2, "color": COLOURS["muted"], "parse_math": False, **style})
