"""From the fit to what people read: the name of the measure, ratios instead of logarithms, numbers as words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from comfrey.effects.registry import find_measure
from comfrey.errors import InputError
from comfrey.findings import words
from comfrey.models.network import Network
from comfrey.models.network._league import LOG_MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["Reading", "check_network", "model_words", "ordered", "reading"]

# Ticks of ratios: the first row that gives three to six of them.
_CHOICES = (
    tuple(m * 10.0**e for e in range(-4, 5) for m in (1, 2, 5)),
    (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0),
    (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.0),
    (0.9, 0.95, 1.0, 1.05, 1.1),
    tuple(10.0**e for e in range(-8, 9)),
    tuple(10.0**e for e in range(-60, 61, 3)),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How effects are shown.

    Attributes
    ----------
    name : str
        The measure in words.
    ratio : bool
        Whether logarithms are turned into ratios.
    digits : int
        Decimals of what is not a ratio.
    """

    name: str
    ratio: bool
    digits: int

    def read(self, value: Any) -> Any:
        """From the scale of analysis to the one that people read."""
        return np.exp(value) if self.ratio else value

    def back(self, value: Any) -> Any:
        """From the scale that people read to the one of analysis, where things are drawn."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(value) if self.ratio else value

    def number(self, value: float) -> str:
        """Write one number of the scale that people read."""
        shown = float(value)
        if not self.ratio and self.digits != 2:
            return f"{round(shown, self.digits) + 0.0:.{self.digits}f}".replace("-", "−")
        return words.decimals(shown, "odds ratio" if self.ratio else "difference").replace("-", "−")

    def interval(self, low: float, high: float) -> str:
        """Write an interval, or an empty text where there is none."""
        return f"{self.number(low)} to {self.number(high)}" if math.isfinite(low) and math.isfinite(high) else ""

    def ticks(self, panel: Axes, low: float, high: float) -> None:
        """Mark the x axis of `panel`, whose positions are on the scale of analysis."""
        panel.set_xlim(low, high)
        if not self.ratio:
            at = [x for x in MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= x <= high]
            places = max((len(f"{x:.10f}".rstrip("0").split(".")[1]) for x in at), default=0)
            panel.set_xticks(at, [f"{x:.{min(places, 6)}f}".replace("-", "−") for x in at])
            return
        found = [[t for t in choice if low <= math.log(t) <= high] for choice in _CHOICES]
        good = [t for t in found if 3 <= len(t) <= 6 and math.log(t[-1] / t[0]) > 0.4 * (high - low)]
        ticks = good[0] if good else max((t for t in found if len(t) <= 8), key=len, default=[1.0])
        panel.set_xticks([math.log(t) for t in ticks], [f"{t:,g}" for t in ticks])


def check_network(net: Any, argument: str = "net") -> Network:
    """Return the network; raise InputError for anything else."""
    if not isinstance(net, Network):
        raise InputError(argument, found=type(net).__name__, expected="the result of comfrey.network")
    return net


def reading(net: Network, transform: bool | None = None) -> Reading:
    """Choose how the effects of a network are shown; ratios by default for measures analysed as logarithms."""
    ratio = net.measure in LOG_MEASURES if transform is None else transform
    name = {"HR": "hazard ratio", None: "effect"}.get(net.measure)
    if name is None:
        try:
            name = find_measure(str(net.measure)).label
        except InputError:
            name = str(net.measure)
    spread = net.standard_errors.to_numpy()
    spread = spread[np.isfinite(spread) & (spread > 0)]
    digits = 2 if not spread.size else int(np.clip(1 - math.floor(math.log10(2 * np.median(spread))), 2, 6))
    return Reading(name, ratio, digits)


def model_words(net: Network) -> str:
    """Name the model of the network's effects."""
    return {"EE": "common-effect model", "MH": "common-effect model (Mantel-Haenszel)"}.get(
        net.method, f"random-effects model ({net.method})"
    )


def ordered(net: Network, order: Sequence[str] | None) -> list[str]:
    """Treatments in the order given, else the best first if the direction is known, else as sorted; by part."""
    if order is not None:
        names = [str(t) for t in order]
        if sorted(names) != sorted(net.treatments):
            raise InputError("order", found=", ".join(names), expected=f"each of {', '.join(net.treatments)} once")
        return names
    names = list(net.treatments)
    if net.small_values is not None:
        names = list(net.p_scores.sort_values(ascending=False, kind="stable").index)
    part = dict(zip(net.treatments, net._structure.island.tolist(), strict=True))
    return sorted(names, key=lambda name: part[name])
