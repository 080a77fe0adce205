"""The distribution over broad categories: horizontal bars with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfrey.figures.style import COLOURS, edges
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from comfrey.findings.finding import Finding

__all__ = ["category_bars"]


def category_bars(
    findings: Sequence[Finding],
    labels: Sequence[str],
    ax: Axes,
    *,
    title: str,
    limit: float = 100.0,
    narrow: bool = False,
) -> Axes:
    """Draw one bar for each category, with its confidence interval and, thin, its prediction interval.

    Parameters
    ----------
    findings : sequence of Finding
        One for each category, in the order given.
    labels : sequence of str
        The words for each category.
    ax : Axes
        Where to draw.
    title : str
        What the panel says.
    limit : float
        End of the axis in percent.
    narrow : bool
        Whether labels stand above the bars (on a phone).

    Returns
    -------
    Axes
    """
    transform = ax.get_yaxis_transform()
    left, right = edges(ax)
    for row, (finding, label) in enumerate(zip(findings, labels, strict=True)):
        y = -row
        result = finding.result
        tail = words.studies(finding) + f", {words.count(finding.n or 0)} people"
        number = words.of_finding(finding).replace("95% ", "") if result else "no eligible study"
        if narrow:
            muted: dict[str, Any] = {"va": "center", "transform": transform, "fontsize": 8.6, "color": COLOURS["muted"]}
            ax.text(0, y + 0.60, label, va="center", transform=transform, weight=600, fontsize=9.5)
            ax.text(1, y + 0.60, words.studies(finding) if finding.k else "", ha="right", **muted)
            ax.text(0, y + 0.36, number, **muted)
        else:
            ax.text(left, y, label, va="center", transform=transform)
            ax.text(right, y + 0.17, number, va="center", ha="right", transform=transform, fontsize=8.8)
            if finding.k:
                small: dict[str, Any] = {"fontsize": 8, "color": COLOURS["muted"]}
                ax.text(right, y - 0.22, tail, va="center", ha="right", transform=transform, **small)
        if result is None:
            continue
        ax.barh(y, result.estimate, height=0.28 if narrow else 0.5, color=COLOURS["faint"], zorder=1)
        if finding.pi_low is not None and finding.pi_high is not None:
            ax.plot([finding.pi_low, min(finding.pi_high, limit)], [y, y], lw=0.9, color=COLOURS["accent"], zorder=2)
            if finding.pi_high > limit:
                ax.plot(limit, y, ">", ms=4, color=COLOURS["accent"], clip_on=False)
        if result.ci_low is not None and result.ci_high is not None:
            ends = [result.ci_low, min(result.ci_high, limit)]
            ax.plot(ends, [y, y], lw=3.2, color=COLOURS["accent"], solid_capstyle="butt", zorder=3)
            if result.ci_high > limit:
                ax.plot(limit, y, ">", ms=5, color=COLOURS["accent"], clip_on=False)
        ax.plot(result.estimate, y, "|", ms=11, mew=2, color=COLOURS["ink"], zorder=4)
    ax.set(xlim=(0, limit), ylim=(-len(findings) + (0.72 if narrow else 0.45), 0.85 if narrow else 0.65), yticks=[])
    ax.set_xticks(range(0, int(limit) + 1, 20), [f"{tick}%" for tick in range(0, int(limit) + 1, 20)])
    ax.grid(axis="x", color=COLOURS["hairline"], lw=0.7, zorder=0)
    ax.set_axisbelow(True)
    ax.set_title(title, pad=8, x=0 if narrow else left)
    return ax
