"""The forest plot of one finding: study rows with their data, the pooled diamond and the prediction bar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from comfrey.figures._rows import diamond, null_line, ratio_axis, ratio_ticks, side_of, span, whisker
from comfrey.figures.style import COLOURS, edges, new_figure
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from comfrey.findings.finding import Finding, StudyLine

__all__ = ["forest", "forest_figure"]

_ROW = 0.235


def forest_figure(finding: Finding, title: str, ends: tuple[str, str] | None = None) -> Figure:
    """Return the forest plot of a finding as a figure of its own, high enough for its studies.

    Parameters
    ----------
    finding : Finding
        With at least one study that has a result.
    title : str
        What the figure says.
    ends : tuple of str, optional
        What the two sides of the axis favour.
    """
    rows = len(finding.studies) + (3.9 if finding.k > 1 else 0.4)
    figure, ax = new_figure(7.4, _ROW * rows + 1.25, left=3.35, right=1.75, top=0.62, bottom=0.62)
    forest(finding, ax, title=title, ends=ends)
    return figure


def forest(finding: Finding, ax: Axes, *, title: str, ends: tuple[str, str] | None = None) -> Axes:
    """Draw a forest plot: label and data at the left, squares and intervals, numbers at the right.

    Squares have areas proportional to the weights (to the square root of people where a model has no weights). The
    axis of ratios is logarithmic. An interval that leaves the axis ends in an arrow; its numbers stand at the right.
    """
    ratio = finding.scale in words.RATIOS
    lines = [line for line in finding.studies if line.result is not None]
    low, high = _limits(finding, lines, ratio=ratio)
    if ratio:
        ax.set_xscale("log")
    ax.set_xlim(low, high)
    bottom = -len(lines) - (3.2 if finding.k > 1 else 0.1)
    ax.set(ylim=(bottom, 0.7), yticks=[])
    _ticks(ax, low, high, finding.scale, ratio=ratio)
    if finding.scale != "percent":
        null_line(ax, 1 if ratio else 0)
    sizes = _sizes(lines)
    for row, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        _study(ax, line, -row, size, (low, high), finding.scale)
    if finding.k > 1 and finding.result is not None:
        _pooled(ax, finding, -len(lines) - 0.45, (low, high))
    _heads(ax, finding, title)
    if ends is not None:
        for x, align, text in ((0.0, "left", ends[0]), (1.0, "right", ends[1])):
            y = -0.36 / (ax.get_position().height * ax.figure.get_figheight())  # type: ignore[union-attr]
            ax.text(x, y, text, transform=ax.transAxes, ha=align, va="top", fontsize=8.2, color=COLOURS["muted"])
    return ax


def _columns(ax: Axes) -> tuple[float, float, float, float]:
    """Return where the text columns stand, in the axes' own coordinates: label, two of data, numbers."""
    left, right = edges(ax)
    return left, left * 0.30, left * 0.05, right


def _heads(ax: Axes, finding: Finding, title: str) -> None:
    transform = ax.get_yaxis_transform()
    label, first, second, numbers = _columns(ax)
    ax.set_title(title, x=label, pad=22)
    style: dict[str, Any] = {"transform": transform, "fontsize": 8.2, "color": COLOURS["muted"], "va": "center"}
    ax.text(label, 0.75, "Study", **style)
    details = finding.studies[0].details
    if "events_1" in details:
        ax.text(first, 0.75, "events / total", ha="right", **style)
        ax.text(second, 0.75, "comparator", ha="right", **style)
    elif "cases" in details:
        ax.text(second, 0.75, "cases / total", ha="right", **style)
    name = "Percent" if finding.scale == "percent" else finding.scale[:1].upper() + finding.scale[1:]
    ax.text(numbers, 0.75, f"{name} (95% CI)", ha="right", **style)


def _study(ax: Axes, line: StudyLine, y: float, size: float, limits: tuple[float, float], scale: str) -> None:
    assert line.result is not None  # noqa: S101 - lines without a result are not drawn
    transform = ax.get_yaxis_transform()
    label, first, second, numbers = _columns(ax)
    ax.text(label, y, line.label, va="center", transform=transform, fontsize=9)
    details = line.details
    small: dict[str, Any] = {"va": "center", "ha": "right", "transform": transform, "fontsize": 8.6}
    if "events_1" in details:
        ax.text(first, y, f"{words.count(details['events_1'])} / {words.count(details['total_1'])}", **small)
        ax.text(second, y, f"{words.count(details['events_2'])} / {words.count(details['total_2'])}", **small)
    elif "cases" in details:
        ax.text(second, y, f"{words.count(details['cases'])} / {words.count(line.n or 0)}", **small)
    ax.text(numbers, y, words.with_intervals(line.result, scale).replace("95% CI ", ""), **small)
    whisker(ax, line.result.ci_low, line.result.ci_high, y, limits)
    if limits[0] <= line.result.estimate <= limits[1]:
        ax.plot(line.result.estimate, y, "s", ms=size, color=COLOURS["accent"], mec="none", zorder=3)


def _pooled(ax: Axes, finding: Finding, y: float, limits: tuple[float, float]) -> None:
    assert finding.result is not None  # noqa: S101 - the caller made sure
    transform = ax.get_yaxis_transform()
    label, _, _, numbers = _columns(ax)
    result = finding.result
    low = max(result.ci_low if result.ci_low is not None else result.estimate, limits[0])
    high = min(result.ci_high if result.ci_high is not None else result.estimate, limits[1])
    diamond(ax, low, result.estimate, high, y, colour=COLOURS["leaf"])
    ax.text(
        label,
        y,
        f"Pooled, {words.counted(finding.k, 'study', 'studies')}",
        va="center",
        transform=transform,
        weight=600,
    )
    said = words.with_intervals(result, finding.scale).replace("95% CI ", "")
    ax.text(numbers, y, said, va="center", ha="right", transform=transform, weight=600, fontsize=8.6)
    under = y - 0.95
    if finding.pi_low is not None and finding.pi_high is not None:
        span(ax, finding.pi_low, finding.pi_high, under, limits, colour=COLOURS["leaf"])
        ends = words.interval(finding.pi_low, finding.pi_high, finding.scale)
        ax.text(numbers, under, ends, va="center", ha="right", transform=transform, fontsize=8.6)
        text = "95% prediction interval"
    else:
        text = "No prediction interval: " + finding.reasons.get("pi_low", "not computed").split(":")[0]
    small: dict[str, Any] = {"va": "center", "transform": transform, "fontsize": 8.6, "color": COLOURS["muted"]}
    ax.text(label, under, text, **small)
    spread = [f"tau² {finding.tau2:.3f}" if finding.tau2 is not None else ""]
    spread.append(f"I² {finding.i2:.0f}%" if finding.i2 is not None else "")
    ax.text(label, under - 0.9, "   ".join(part for part in spread if part), **small)


def _sizes(lines: Sequence[StudyLine]) -> list[float]:
    return side_of((line.weight if line.weight is not None else math.sqrt(line.n or 1) for line in lines), 3, 8.5)


def _limits(finding: Finding, lines: Sequence[StudyLine], *, ratio: bool) -> tuple[float, float]:
    """Cover every estimate and the pooled interval; cut study intervals that would flatten the rest."""
    points = [line.result.estimate for line in lines if line.result]
    if finding.result is not None:
        points += [v for v in (finding.result.ci_low, finding.result.ci_high) if v is not None]
    ends = [v for line in lines if line.result for v in (line.result.ci_low, line.result.ci_high) if v is not None]
    if finding.scale == "percent":
        predicted = [finding.pi_high] if finding.pi_high is not None and finding.pi_high < 75 else []
        top = max(points + ends + predicted, default=100.0)
        return 0.0, min(100.0, 10 * math.ceil((top + 2) / 10))
    if ratio:
        logs = [math.log(v) for v in points if v > 0] + [0.0]
        reach = max(abs(v) for v in logs)
        widest = max([abs(math.log(v)) for v in ends if v > 0] or [reach])
        reach = min(max(reach * 1.15, min(widest, 2.5), math.log(2)), math.log(200))
        return math.exp(-reach), math.exp(reach)
    reach = max([abs(v) for v in points] + [min(max((abs(v) for v in ends), default=0.5), 2.5), 0.5]) * 1.1
    return -reach, reach


def _ticks(ax: Axes, low: float, high: float, scale: str, *, ratio: bool) -> None:
    if not ratio:
        if scale == "percent":
            step = 10 if high <= 50 else 20
            ax.set_xticks(range(0, int(high) + 1, step), [f"{tick}%" for tick in range(0, int(high) + 1, step)])
        return
    ratio_axis(ax, ratio_ticks(low, high))
