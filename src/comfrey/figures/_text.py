"""Widths of text before it is drawn, so that columns can be laid out without overlap."""

from __future__ import annotations

import re
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from comfrey.figures.style import FONT, register_fonts

__all__ = ["tick_text", "width_of", "wrap"]

_POINTS = 72.0
_WORDS = re.compile(r"\S+ [<>=] \S+|\S+")  # a relation is not broken: P < 0.001


@lru_cache(maxsize=4096)
def width_of(text: str, size: float, weight: str = "normal") -> float:
    """Width of text in inches (of its widest line) in the house's font.

    Examples
    --------
    >>> width_of("wide", 9.0) > width_of("i", 9.0)
    True
    """
    register_fonts()
    font = FontProperties(family=[FONT, "DejaVu Sans"], size=size, weight=600 if weight == "bold" else weight)
    measure = TextToPath().get_text_width_height_descent
    return max(float(measure(line, font, ismath=False)[0]) for line in text.split("\n")) / _POINTS


def wrap(text: str, width: float, size: float, weight: str = "normal") -> str:
    r"""Break text into lines no wider than `width` inches, between words, or within one that is too long by itself.

    Examples
    --------
    >>> wrap("Aronson and others", 0.5, 9.0)
    'Aronson\nand\nothers'
    """
    lines: list[str] = []
    line = ""
    for word in _WORDS.findall(text):
        rest = word
        while rest:
            candidate = f"{line} {rest}" if line else rest
            if width_of(candidate, size, weight) <= width:
                line, rest = candidate, ""
            elif line:
                lines.append(line)
                line = ""
            else:
                cut = _fitting(rest, width, size, weight)
                lines.append(rest[:cut])
                rest = rest[cut:]
    return "\n".join([*lines, line] if line or not lines else lines)


def _fitting(word: str, width: float, size: float, weight: str) -> int:
    """How many letters of a word fit (at least one)."""
    cut = len(word)
    while cut > 1 and width_of(word[:cut], size, weight) > width:
        cut -= 1
    return cut


def tick_text(value: float) -> str:
    """Write a round number without an exponent, with commas from ten thousand on, as the columns beside it have them.

    Examples
    --------
    >>> tick_text(0.00001), tick_text(-2000.0), tick_text(1e5), tick_text(1e-40), tick_text(0.30000000000000004)
    ('0.00001', '−2000', '100,000', '1e−40', '0.3')
    """
    size = abs(value)
    if size >= 1e10 or 0 < size < 1e-7:
        return f"{value:.6g}".replace("-", "−")
    text = f"{value:,.10f}" if size >= 1e4 else f"{value:.10f}"
    return text.rstrip("0").rstrip(".").replace("-", "−")
