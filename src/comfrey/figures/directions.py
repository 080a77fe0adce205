"""Counts of directions by topic: how many studies are lower, show no clear difference, or are higher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfrey.figures.style import COLOURS, edges
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from comfrey.findings.finding import Finding

__all__ = ["direction_counts"]


def direction_counts(findings: Sequence[Finding], ax: Axes, *, title: str, narrow: bool = False) -> Axes:
    """Draw a row of squares for each topic: lower to the left, higher to the right, one square a study.

    Meaning is not by colour alone: lower squares are open, higher ones are filled, and those without a clear
    difference are dots between them.

    Parameters
    ----------
    findings : sequence of Finding
        Findings by direction, one a topic.
    ax : Axes
        Where to draw.
    title : str
        What the panel says.
    narrow : bool
        Whether labels stand above the rows (on a phone).

    Returns
    -------
    Axes
    """
    transform = ax.get_yaxis_transform()
    left, right = edges(ax)
    middle = max((_middle(finding) for finding in findings), default=0) / 2 + 0.9
    reach = middle + max((max(f.counts["lower"], f.counts["higher"]) for f in findings), default=1) + 0.5
    for row, finding in enumerate(findings):
        y, counts = -row, finding.counts
        for i in range(counts["lower"]):
            ax.plot(-middle - i, y, "s", ms=6.2, mfc=COLOURS["paper"], mec=COLOURS["accent"], mew=1.2)
        for i in range(counts["higher"]):
            ax.plot(middle + i, y, "s", ms=6.8, mfc=COLOURS["accent"], mec="none")
        between = _middle(finding)
        for i in range(between):
            ax.plot(i - (between - 1) / 2, y, "o", ms=3.6, mfc=COLOURS["muted"], mec="none")
        studies = words.counted(finding.k, "study", "studies")
        silent = counts["not_reported"]
        if narrow:
            ax.text(0, y + 0.42, finding.label, va="center", transform=transform, weight=600, fontsize=9)
            ax.text(
                1, y + 0.42, studies, va="center", ha="right", transform=transform, fontsize=7.8, color=COLOURS["muted"]
            )
        else:
            ax.text(left, y, finding.label, va="center", transform=transform)
            tail = f"{studies}" + (f" ({silent} without a direction)" if silent else "")
            ax.text(right, y, tail, va="center", ha="right", transform=transform, fontsize=8.3, color=COLOURS["muted"])
    ax.set(xlim=(-reach, reach), ylim=(-len(findings) + 0.45, 0.75), yticks=[], xticks=[])
    ax.spines["bottom"].set_visible(False)
    heads = ((-reach, "left", "lower"), (0, "center", "no clear difference"), (reach, "right", "higher"))
    for x, align, text in heads:
        ax.text(x, 0.78 if narrow else 0.7, text, ha=align, va="bottom", fontsize=8.3, color=COLOURS["muted"])
    ax.set_title(title, pad=18, x=0 if narrow else left)
    return ax


def _middle(finding: Finding) -> int:
    return finding.counts["no_difference"] + finding.counts["mixed"]
