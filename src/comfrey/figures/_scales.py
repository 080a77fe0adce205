"""Scales of figures: from the scale of analysis to the one that people read, its ticks, and its numbers as text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.effects.measure import harmonic_mean
from comfrey.figures._rows import ratio_ticks
from comfrey.figures._text import tick_text
from comfrey.findings import words

if TYPE_CHECKING:
    from comfrey.effects.measure import Array, Measure

__all__ = ["Reader", "analysis_ticks", "minus", "p_value", "reader_of", "significant"]

_MOST_PLACES = 7  # numbers that need more have an exponent


@dataclass(frozen=True, slots=True)
class Reader:
    """How a figure shows one measure: `name` for heads, `ratio` for a logarithmic axis, `null` on the reading scale.

    `places` are the decimals of its numbers where the scale itself does not say; `percent` multiplies by 100.
    """

    measure: Measure | None
    name: str
    ratio: bool
    percent: bool
    null: float
    places: int

    def read(self, values: object, n: object = None) -> Array:
        """Bring values from the scale of analysis to the scale that is shown.

        `n` are numbers of people, used by the double arcsine alone: one for each value, or those of all studies
        behind a pooled value.
        """
        x = np.asarray(values, dtype=float)
        if self.measure is None:
            return x
        shown = self.measure.back_transform(x)
        if self.measure.scale.needs_n and n is not None:
            exact = self.measure.back_transform(x, np.asarray(n, dtype=float))
            shown = np.where(np.isnan(exact), shown, exact)  # where the number is not known, its limit
        return 100.0 * shown if self.percent else shown

    def text(self, value: float) -> str:
        """Write a number (on the scale that is shown), without its unit."""
        if self.percent:
            return words.decimals(value, "percent")
        if self.ratio and value > 1e6:
            return ">1,000,000"
        if self.ratio and value < 1e-6:
            return "<0.000001"
        if self.ratio:
            return words.decimals(value, "ratio")
        if abs(value) >= 1e9 or self.places > _MOST_PLACES:
            return minus(f"{value:.2e}")
        return minus(f"{value:,.{self.places}f}")


def reader_of(measure: Measure | None, spread: float) -> Reader:
    """Return the reader of a measure; `spread` is a typical half interval as shown, which says how many decimals help.

    Examples
    --------
    >>> from comfrey.effects.registry import find_measure
    >>> ratio = reader_of(find_measure("RR"), 0.4)
    >>> ratio.name, ratio.null, ratio.text(float(ratio.read(-0.5)))
    ('Risk ratio', 1.0, '0.61')
    >>> reader_of(None, 0.004).text(-0.01234)
    '−0.0123'
    """
    places = 2 if not (math.isfinite(spread) and spread > 0) else max(0, 1 - math.floor(math.log10(spread)))
    places = max(places, 2) if spread < 30 else places
    if measure is None:
        return Reader(None, "Estimate", ratio=False, percent=False, null=0.0, places=places)
    percent = measure.unit == "proportion"
    name = "Percent" if percent else measure.label[:1].upper() + measure.label[1:]
    return Reader(measure, name, ratio=measure.ratio, percent=percent, null=measure.reading_null, places=places)


def people(measure: Measure | None, n: Array | None) -> float | None:
    """Return the number of people behind a pooled value, where the transformation needs it."""
    if measure is None or n is None or not measure.scale.needs_n:
        return None
    return harmonic_mean(n)


def analysis_ticks(reader: Reader, low: float, high: float, most: int = 6) -> tuple[list[float], list[str]]:
    """Ticks for an axis on the scale of analysis: places there, labels on the scale that people read.

    Examples
    --------
    >>> from comfrey.effects.registry import find_measure
    >>> places, labels = analysis_ticks(reader_of(find_measure("OR"), 0.4), -1.0, 1.0)
    >>> labels, [round(place, 2) for place in places]
    (['0.5', '1', '2'], [-0.69, 0.0, 0.69])
    """
    from matplotlib.ticker import MaxNLocator

    measure = reader.measure
    if measure is None or measure.scale.name == "identity" or measure.scale.needs_n:
        factor = 100.0 if reader.percent and measure is not None and measure.scale.name == "identity" else 1.0
        places = [x / factor for x in MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low * factor, high * factor)]
        places = [place for place in places if low <= place <= high]
        unit = "%" if factor > 1 else ""
        return places, [tick_text(place * factor) + unit for place in places]
    ends = reader.read([low, high])
    if measure.scale.name == "log" and not reader.percent:
        shown = ratio_ticks(float(ends[0]), float(ends[1]), most)
    elif reader.percent:
        steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9)
        shown = _thin([x for x in steps if ends[0] <= x <= ends[1]], measure, most)
    else:
        shown = [
            float(x)
            for x in MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(ends[0], ends[1])
            if ends[0] <= x <= ends[1]
        ]
    factor = 100.0 if reader.percent else 1.0
    places = [float(measure.transform(x / factor)) for x in shown]
    return places, [tick_text(x) + ("%" if reader.percent else "") for x in shown]


def _thin(shown: list[float], measure: Measure, most: int) -> list[float]:
    """Leave out ticks that stand closer on the scale of analysis than `most` of them could."""
    if len(shown) <= most:
        return shown
    places = [float(measure.transform(x / 100.0)) for x in shown]
    gap = 0.8 * (places[-1] - places[0]) / most
    kept = [0]
    for i in range(1, len(shown)):
        if places[i] - places[kept[-1]] >= gap:
            kept.append(i)
    return [shown[i] for i in kept]


def minus(text: str) -> str:
    """Write a true minus sign, and none before a zero.

    Examples
    --------
    >>> minus("-1.50"), minus("-0.00")
    ('−1.50', '0.00')
    """
    if text.startswith("-") and not any(digit in text for digit in "123456789"):
        text = text[1:]
    return text.replace("-", "−")


def significant(value: float, digits: int = 2) -> str:
    """Write a number with so many significant digits, without an exponent where it can be.

    Examples
    --------
    >>> significant(0.31324), significant(152.233, 4), significant(0.0), significant(0.00000123)
    ('0.31', '152.2', '0', '<0.0001')
    """
    if value == 0:
        return "0"
    if 0 < value < 0.0001:
        return "<0.0001"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return minus(f"{value:,.{places}f}")


def p_value(value: float, *, zero: bool = True) -> str:
    """Write a p-value with its sign of relation; `zero` is whether a zero stands before the point.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.00002), p_value(0.4567, zero=False), p_value(0.9996)
    ('= 0.031', '< 0.001', '= .46', '> 0.99')
    """
    if value < 0.001:
        text = "< 0.001"
    elif value > 0.99:
        text = "> 0.99"
    else:
        text = f"= {value:.3f}" if value < 0.1 else f"= {value:.2f}"
    return text if zero else text.replace("0.", ".", 1)
