"""Small drawings inside the page's text: an interval on a common axis, as SVG of its own.

They only place numbers that findings already hold; ends that leave the axis become arrows.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.findings.finding import Finding

__all__ = ["axis_of", "cell_forest", "interval_bar"]


def axis_of(scale: str) -> tuple[float, float]:
    """Return the common axis of a scale: percent 0 to 100, ratios 0.1 to 10, differences -2 to 2."""
    if scale == "percent":
        return 0.0, 100.0
    return (0.1, 10.0) if scale in words.RATIOS else (-2.0, 2.0)


def _place(value: float, scale: str, width: float, pad: float) -> float:
    low, high = axis_of(scale)
    if scale in words.RATIOS:
        share = math.log(max(value, 1e-12) / low) / math.log(high / low)
    else:
        share = (value - low) / (high - low)
    return pad + (width - 2 * pad) * min(max(share, 0.0), 1.0)


def _bar(finding: Finding, y: float, width: float, pad: float) -> str:
    result = finding.result
    if result is None:
        return ""
    scale = finding.scale
    low, high = axis_of(scale)
    parts = []
    if finding.pi_low is not None and finding.pi_high is not None:
        x1, x2 = _place(finding.pi_low, scale, width, pad), _place(finding.pi_high, scale, width, pad)
        parts.append(f'<line class="pi" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:g}" y2="{y:g}"/>')
    if result.ci_low is not None and result.ci_high is not None:
        x1, x2 = _place(result.ci_low, scale, width, pad), _place(result.ci_high, scale, width, pad)
        parts.append(f'<line class="ci" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:g}" y2="{y:g}"/>')
        if result.ci_low < low:
            parts.append(f'<path class="arrow" d="M{pad - 5:g} {y:g}l5 -3.5v7z"/>')
        if result.ci_high > high:
            parts.append(f'<path class="arrow" d="M{width - pad + 5:g} {y:g}l-5 -3.5v7z"/>')
    x = _place(result.estimate, scale, width, pad)
    shape = f'<circle class="dot" cx="{x:.1f}" cy="{y:g}" r="4"/>'
    if finding.k == 1:
        turn = f"rotate(45 {x:.1f} {y:g})"
        shape = f'<rect class="dot" x="{x - 3:.1f}" y="{y - 3:g}" width="6" height="6" transform="{turn}"/>'
    return "".join((*parts, shape))


def _ticks(scale: str, y: float, width: float, pad: float) -> str:
    if scale == "percent":
        marks: Sequence[float] = (0, 25, 50, 75, 100)
    else:
        marks = (0.1, 0.5, 1, 2, 10) if scale in words.RATIOS else (-2, -1, 0, 1, 2)
    unit = "%" if scale == "percent" else ""
    return "".join(
        f'<text class="tick" x="{_place(mark, scale, width, pad):.1f}" y="{y:g}">{mark:g}{unit}</text>'
        for mark in marks
    )


def interval_bar(finding: Finding, width: float = 260) -> str:
    """Draw a finding's estimate and intervals on the common axis of its scale, for an answer card."""
    pad, y = 14.0, 12.0
    if finding.result is None:
        return ""
    said = escape(f"{finding.label}: {words.of_finding(finding)}")
    line = f'<line class="axis" x1="{pad:g}" x2="{width - pad:g}" y1="{y:g}" y2="{y:g}"/>'
    return (
        f'<svg class="mark" viewBox="0 0 {width:g} 34" role="img" aria-label="{said}">'
        f"{line}{_bar(finding, y, width, pad)}{_ticks(finding.scale, 31, width, pad)}</svg>"
    )


def cell_forest(
    findings: Sequence[Finding],
    labels: Sequence[str],
    ends: tuple[str, str] = ("favours it", "favours the other"),
    width: float = 230,
) -> str:
    """Draw several findings of one scale under one another, for a cell of the treatment table.

    Parameters
    ----------
    findings : sequence of Finding
        Those without a number are left out.
    labels : sequence of str
        A few words above each bar.
    ends : tuple of str
        What the two sides of the axis favour.
    width : float
        In units of the drawing; it scales with its cell.
    """
    shown = [(finding, label) for finding, label in zip(findings, labels, strict=True) if finding.result is not None]
    if not shown:
        return ""
    pad, step, scale = 14.0, 27.0, shown[0][0].scale
    height = step * len(shown) + 31
    null = _place(1 if scale in words.RATIOS else 0, scale, width, pad)
    rows = "".join(
        f'<text class="row" x="{pad:g}" y="{step * i + 10:g}">{escape(label)}</text>'
        + _bar(finding, step * i + 19, width, pad)
        for i, (finding, label) in enumerate(shown)
    )
    said = escape("; ".join(f"{finding.label}: {words.of_finding(finding)}" for finding, _ in shown))
    line = "".join(
        f'<line class="null" x1="{null:.1f}" x2="{null:.1f}" y1="{step * i + 12:g}" y2="{step * i + 25:g}"/>'
        for i in range(len(shown))
    )
    first, second = ends
    favours = f'<text class="end" x="{pad:g}" y="{height - 3:g}">{escape(first)}</text>'
    favours += f'<text class="end right" x="{width - pad:g}" y="{height - 3:g}">{escape(second)}</text>'
    return (
        f'<svg class="mark" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{said}">'
        f"{line}{rows}{_ticks(scale, height - 16, width, pad)}{favours}</svg>"
    )
