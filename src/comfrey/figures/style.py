"""One style sheet for all figures, and how a figure becomes bytes that are the same each time."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.colors import to_hex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "FONT", "edges", "house_style", "new_figure", "register_fonts", "remember", "to_png", "to_svg"]

# Ink and muted on paper pass WCAG AA; checked in tests/figures/test_style.py.
COLOURS = {
    "paper": "#FBFAF7",
    "ink": "#1E2A2E",
    "muted": "#56666B",
    "hairline": "#DCE1DC",
    "accent": "#54468C",
    "leaf": "#2F7458",
    "amber": "#9A6A00",
    "faint": "#B9B3D3",
}
# Source Sans 3 under another name, as its licence asks of modified copies; a page uses the original.
FONT = "Comfrey Sans"
FONT_ON_PAGE = "Source Sans 3"


@cache
def register_fonts() -> None:
    """Make the house's fonts known to matplotlib, once."""
    # DejaVu, which lends letters that the house's font lacks, has no semi-bold of its own: its bold stands in.
    known = font_manager.fontManager.ttflist
    known += [replace(font, weight=600) for font in known if font.name == "DejaVu Sans" and font.weight == 700]
    for weight in ("Regular", "SemiBold"):
        with as_file(files("comfrey.figures") / "fonts" / f"ComfreySans-{weight}.ttf") as path:
            font_manager.fontManager.addfont(str(path))


@contextmanager
def house_style() -> Iterator[None]:
    """Draw within the house's style: its fonts and colours, text that stays text, and the same bytes each time.

    Axes that were dressed inside and stand on a dark figure get the colours of a dark ground at the end.
    """
    register_fonts()
    outer, _DRESSED[:] = list(_DRESSED), []
    colours = COLOURS
    with mpl.rc_context(
        {
            # DejaVu has the letters that the house's font lacks: names of authors can be in any script.
            "font.family": [FONT, "DejaVu Sans"],
            "font.size": 9.5,
            "text.color": colours["ink"],
            "axes.labelcolor": colours["muted"],
            "axes.edgecolor": colours["hairline"],
            "axes.facecolor": "none",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.titlesize": 10.5,
            "axes.titlelocation": "left",
            "axes.titleweight": 600,
            "xtick.color": colours["muted"],
            "ytick.color": colours["ink"],
            "xtick.labelsize": 8.5,
            "ytick.labelsize": 9.5,
            "xtick.major.size": 3,
            "ytick.major.size": 0,
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "svg.fonttype": "none",
            "svg.hashsalt": "comfrey",
            "hatch.linewidth": 0.6,
        }
    ):
        try:
            yield
            _settle()
        finally:
            _DRESSED[:] = outer


# The axes drawn in since the style was entered.
_DRESSED: list[Axes] = []


def _settle() -> None:
    from comfrey.figures._ground import is_dark, on_dark

    for ax in _DRESSED:
        figure = ax.get_figure(root=True)
        if figure is not None and is_dark(figure):
            on_dark(ax)


def remember(ax: Axes) -> None:
    """Remember axes until the style is left."""
    if ax not in _DRESSED:
        _DRESSED.append(ax)


def new_figure(width: float, height: float, **margins: float) -> tuple[Figure, Axes]:
    """Return a figure and its axes; sizes and margins in inches (left, right, top, bottom)."""
    from matplotlib.figure import Figure

    # white, so that a picture that is saved can be read wherever it is put; pages take SVG, which stays transparent
    figure = Figure(figsize=(width, height), facecolor="white")
    left, right = margins.get("left", 0.6), margins.get("right", 0.2)
    top, bottom = margins.get("top", 0.3), margins.get("bottom", 0.45)
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    return figure, figure.add_axes(box)


def edges(ax: Axes) -> tuple[float, float]:
    """Return the figure's left and right edge in the axes' own coordinates, where columns of text stand."""
    box = ax.get_position()
    return float(-box.x0 / box.width), float(1 + (1 - box.x1) / box.width)


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """Write a figure as SVG text that a page can hold: ids of its own, a title and a description for those who listen.

    Parameters
    ----------
    figure : Figure
        The figure.
    name : str
        A prefix that keeps the ids of several figures on one page apart.
    title, description : str
        What the figure says, and what it is.
    """
    from html import escape

    buffer = io.StringIO()
    with house_style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{name}-\2"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    # The page's own font takes over, with the same fallbacks as its text.
    text = re.sub(f"'{FONT}'(, 'DejaVu Sans')?", f"'{FONT_ON_PAGE}', 'Inter', system-ui, sans-serif", text)
    # At most a fifth larger than drawn, so that small figures do not swell to the width of the page.
    widest = round(figure.get_figwidth() * 116)
    head = f' style="max-width:{widest}px" role="img" aria-labelledby="{name}-title {name}-desc"'
    inside = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    return re.sub(r"<svg([^>]*)>", lambda match: f"<svg{match.group(1)}{head}>\n {inside}", text, count=1)


def to_png(figure: Figure, dpi: int = 200) -> bytes:
    """Write a figure as PNG bytes on paper colour, with a margin around it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image, ImageOps

    from comfrey.figures._ground import is_dark

    ground = figure.get_facecolor() if is_dark(figure) else COLOURS["paper"]
    figure.set(dpi=dpi, facecolor=ground)
    canvas = FigureCanvasAgg(figure)
    with house_style():
        canvas.draw()  # type: ignore[no-untyped-call]
    drawn = Image.frombytes("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba()))  # type: ignore[no-untyped-call]
    framed = ImageOps.expand(drawn.convert("RGB"), border=dpi // 8, fill=to_hex(ground))
    out = io.BytesIO()
    framed.save(out, format="png", compress_level=6)
    return out.getvalue()
