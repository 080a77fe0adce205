"""Prevalence by group: a dot with its confidence interval, its prediction interval, and the studies behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfrey.figures.style import COLOURS, edges
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from comfrey.findings.finding import Finding

__all__ = ["prevalence_by_group"]


def prevalence_by_group(
    findings: Sequence[Finding], labels: Sequence[str], ax: Axes, *, title: str, limit: float, narrow: bool = False
) -> Axes:
    """Draw one row for each finding, in the order given.

    Parameters
    ----------
    findings : sequence of Finding
        One for each group; the last may be all groups together.
    labels : sequence of str
        The words for each row.
    ax : Axes
        Where to draw.
    title : str
        What the panel says.
    limit : float
        End of the axis in percent, common to panels that are compared.
    narrow : bool
        Whether the numbers stand under the labels (on a phone) instead of at the right edge.

    Returns
    -------
    Axes
    """
    for row, (finding, label) in enumerate(zip(findings, labels, strict=True)):
        y = -row
        whole = len(finding.group) == 1
        colour = COLOURS["ink"] if whole else COLOURS["accent"]
        for line in finding.studies:
            if finding.k > 1 and line.result is not None:
                ax.plot(
                    line.result.estimate, y + (0.15 if narrow else 0.25), "o", ms=3.2, mec="none",
                    mfc=COLOURS["faint"], alpha=0.75, zorder=1,
                )  # fmt: skip
        _interval(ax, finding, y, colour, limit)
        _words(ax, finding, label, y, narrow=narrow, bold=whole)
    ax.set(xlim=(0, limit), ylim=(-len(findings) + (0.72 if narrow else 0.45), 0.85 if narrow else 0.6), yticks=[])
    step = 10 if limit <= 60 else 20
    ax.set_xticks(range(0, int(limit) + 1, step), [f"{tick}%" for tick in range(0, int(limit) + 1, step)])
    ax.grid(axis="x", color=COLOURS["hairline"], lw=0.7, zorder=0)
    ax.set_axisbelow(True)
    ax.set_title(title, pad=8, x=0 if narrow else edges(ax)[0])
    return ax


def _interval(ax: Axes, finding: Finding, y: float, colour: str, limit: float) -> None:
    result = finding.result
    if result is None:
        return
    if finding.pi_low is not None and finding.pi_high is not None:
        ax.plot([finding.pi_low, min(finding.pi_high, limit)], [y, y], lw=1.1, color=colour, solid_capstyle="butt")
        if finding.pi_high > limit:
            ax.plot(limit, y, ">", ms=4, color=colour, clip_on=False)
    if result.ci_low is not None and result.ci_high is not None:
        ends = [result.ci_low, min(result.ci_high, limit)]
        ax.plot(ends, [y, y], lw=5, color=colour, alpha=0.42, solid_capstyle="butt")
        if result.ci_high > limit:
            ax.plot(limit, y, ">", ms=5, color=colour, clip_on=False)
    marker = "o" if finding.k > 1 else "D"
    ax.plot(
        result.estimate, y, marker, ms=6 if finding.k > 1 else 5, color=colour, mec=COLOURS["paper"], mew=0.8, zorder=3
    )


def _words(ax: Axes, finding: Finding, label: str, y: float, *, narrow: bool, bold: bool) -> None:
    studies = words.studies(finding)
    people = f"{words.count(finding.n or 0)} people"
    number = words.of_finding(finding).replace("95% ", "") if finding.result else ""
    weight = 600 if bold else "normal"
    transform = ax.get_yaxis_transform()
    if narrow:
        ax.text(0, y + 0.60, label, weight=600, va="center", transform=transform, fontsize=9.5)
        small: dict[str, Any] = {"va": "center", "transform": transform, "fontsize": 8.6, "color": COLOURS["muted"]}
        ax.text(1, y + 0.60, studies if finding.k else "no eligible study", ha="right", **small)
        ax.text(0, y + 0.34, number, **small)
        return
    left, right = edges(ax)
    ax.text(left, y, label, va="center", ha="left", transform=transform, weight=weight)
    if finding.k == 0:
        box_style = {"fc": COLOURS["paper"], "ec": "none", "pad": 1.5}
        ax.text(0.02, y, "no eligible study", va="center", transform=transform, color=COLOURS["muted"], bbox=box_style)
        return
    ax.text(right, y + 0.17, number, va="center", ha="right", transform=transform, weight=weight, fontsize=8.8)
    tail = f"{studies}, {people}"
    ax.text(right, y - 0.22, tail, va="center", ha="right", transform=transform, fontsize=8, color=COLOURS["muted"])
