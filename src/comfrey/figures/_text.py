"""Widths of text before it is drawn, so that columns can be laid out without overlap."""

from __future__ import annotations

import re
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from comfrey.figures.style import FONT, register_fonts

__all__ = ["width_of", "wrap"]

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
