"""Figures on a dark ground: the same drawing in colours that can be read there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["is_dark", "on_dark"]

# Each colour of the house on paper, and the one that takes its place on a dark ground.
_DARK = {
    "#fbfaf7": "#12181a", "#1e2a2e": "#e6ece9", "#56666b": "#a9b7b5", "#dce1dc": "#3a474b", "#54468c": "#b3a6e8",
    "#2f7458": "#7cc4a2", "#9a6a00": "#e0b252", "#b9b3d3": "#6f66a0", "#000000": "#e6ece9", "#ffffff": "#12181a",
}  # fmt: skip


def is_dark(figure: Figure) -> bool:
    """Tell whether a figure has a dark ground of its own (a transparent one has none).

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> is_dark(Figure(facecolor="#12181A")), is_dark(Figure(facecolor="white")), is_dark(Figure(facecolor="none"))
    (True, False, False)
    """
    red, green, blue, alpha = to_rgba(figure.get_facecolor())
    return alpha > 0.5 and 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.35


def on_dark(ax: Axes) -> None:
    """Exchange the colours of a finished drawing for those of a dark ground.

    Greys between paper and hairline (shades of significance) are turned over: the lighter on paper, the darker here.
    """
    for artist in ax.findobj(lambda item: item is not ax.patch):
        one: Any = artist
        if isinstance(artist, Text):
            one.set_color(_one(one.get_color()))
            box = one.get_bbox_patch()
            if box is not None:
                box.set_facecolor(_one(box.get_facecolor()))
        elif isinstance(artist, Line2D):
            one.set_color(_one(one.get_color()))
            one.set_markerfacecolor(_one(one.get_markerfacecolor()))
            one.set_markeredgecolor(_one(one.get_markeredgecolor()))
        elif isinstance(artist, Patch):
            # both are read before either is set: an alpha that was given stays
            face, edge = one.get_facecolor(), one.get_edgecolor()
            one.set_facecolor(_one(face))
            one.set_edgecolor(_one(edge))
        elif isinstance(artist, Collection) and not isinstance(artist, AxesImage):
            faces, edges = one.get_facecolors(), one.get_edgecolors()
            if one.get_array() is None:
                one.set_facecolors([_one(face) for face in faces] if len(faces) else "none")
                one.set_edgecolors([_one(edge) for edge in edges] if len(edges) else "none")
    ax.tick_params(which="both", color=_DARK["#dce1dc"])


def _one(colour: Any) -> Any:
    if isinstance(colour, str) and colour in {"none", "auto"}:
        return colour
    alpha = to_rgba(colour)[3]
    known = _DARK.get(to_hex(colour).lower())
    if known is not None:
        return (*to_rgb(known), alpha)
    red, green, blue = to_rgb(colour)
    if min(red, green, blue) > 0.75 and np.ptp((red, green, blue)) < 0.08:  # a light grey
        depth = (1.0 - (red + green + blue) / 3) * 1.6
        return (*(0.07 + depth + 0.09 * shade for shade in (0.9, 1.0, 1.0)), alpha)
    return (red, green, blue, alpha)
