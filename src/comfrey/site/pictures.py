"""Which figures a review gets: each a view of findings, with a caption and a table twin of the same name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING

from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.figure import Figure

    from comfrey.findings.finding import Answers, Finding, QuestionAnswer
    from comfrey.review.folder import Review
    from comfrey.review.spec import Proportions

__all__ = ["Picture", "Plan", "plan_pictures"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn figure: wide for a desk, narrow for a phone where that is another drawing."""

    name: str
    key: str
    title: str
    caption: str
    svg: str
    png: bytes
    svg_narrow: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A figure still to be drawn: what it says, what it shows, and how.

    `key` is a digest of all that goes into the drawing, so that an earlier drawing of the same can be used again.
    """

    name: str
    title: str
    caption: str
    key: str
    wide: Callable[[], Figure]
    narrow: Callable[[], Figure] | None = None

    def draw(self) -> Picture:
        """Draw it."""
        from comfrey.figures.style import house_style, to_png, to_svg

        with house_style():
            wide = self.wide()
            narrow = self.narrow() if self.narrow else None
        return Picture(
            name=self.name,
            key=self.key,
            title=self.title,
            caption=self.caption,
            svg=to_svg(wide, self.name, self.title, self.caption),
            png=to_png(wide),
            svg_narrow=None if narrow is None else to_svg(narrow, f"{self.name}-narrow", self.title, self.caption),
        )


def plan_pictures(review: Review, answers: Answers) -> Iterator[Plan]:
    """Yield every figure of a review as a plan.

    Parameters
    ----------
    review : Review
        For words and declared orders.
    answers : Answers
        The findings that are drawn; nothing else is.
    """
    specs = {question.id: question for question in review.spec.questions}
    for question in answers.questions:
        spec = specs[question.id]
        if question.kind in {"prevalence", "distribution"}:
            yield _groups(review, question, spec)  # type: ignore[arg-type]  # kind tells the type
        elif question.kind in {"mechanisms", "signatures"}:
            yield _directions(question)
        yield from _forests(review, question)
        yield from _networks(question)


def _plan(
    name: str,
    title: str,
    caption: str,
    shown: Sequence[Finding],
    wide: Callable[[], Figure],
    narrow: Callable[[], Figure] | None = None,
) -> Plan:
    content = json.dumps([name, title, caption, [finding.to_dict() for finding in shown]], sort_keys=True)
    key = hashlib.sha256(f"{_drawing_code()}\n{content}".encode()).hexdigest()
    return Plan(name, title, caption, key, wide, narrow)


@cache
def _drawing_code() -> str:
    """Return a digest of the code that draws, so that a changed style draws everything anew."""
    import matplotlib as mpl

    digest = hashlib.sha256(mpl.__version__.encode())
    for folder in ("comfrey.figures", "comfrey.figures.network", "comfrey.site"):
        for path in sorted(files(folder).iterdir(), key=lambda item: item.name):
            if path.name.endswith(".py"):
                digest.update(path.read_bytes())
    digest.update((files("comfrey.findings") / "words.py").read_bytes())
    return digest.hexdigest()


def _groups(review: Review, question: QuestionAnswer, spec: Proportions) -> Plan:
    """Prevalence by group or the distribution over categories: one panel for each part kept apart."""
    main = [finding for finding in question.findings if finding.role == "main"]
    panels = []
    for split in spec.splits:
        findings = [finding for finding in main if finding.group.get(spec.split) == split]
        panels.append((review.label_in(spec.table, spec.split, split), findings))
    highest = max((_top(finding) for _, findings in panels for finding in findings), default=50.0)
    limit = min(100.0, 10.0 * -(-(highest + 3) // 10))
    studies = {line.study for _, findings in panels for finding in findings for line in finding.studies}
    people = words.counted(len(studies), "study", "studies")
    if spec.kind == "prevalence":
        caption = (
            f"{spec.population[:1].upper()}{spec.population[1:]}; {people}. Dot: pooled estimate (diamond: one study). "
            "Thick bar: 95% confidence interval. Thin bar: 95% prediction interval, where a new study may lie. "
            "Faint dots: single studies."
        )
    else:
        caption = (
            f"{people}. Bar: pooled share, with 95% confidence interval (thick) and 95% prediction interval (thin). "
            "One person may count in several categories, so shares do not add up to 100."
        )
    shown = [finding for _, findings in panels for finding in findings]
    return _plan(
        question.id,
        question.headline,
        caption,
        shown,
        lambda: _panels(review, spec, panels, limit, narrow=False),
        lambda: _panels(review, spec, panels, limit, narrow=True),
    )


def _top(finding: Finding) -> float:
    """Return how far the axis must reach; very wide intervals end in an arrow."""
    if finding.result is None:
        return 0.0
    ends = [finding.result.estimate]
    if finding.k > 1:
        ends += [line.result.estimate for line in finding.studies if line.result is not None]
        ends.append(min(finding.result.ci_high or 0.0, 70.0))
    return max(ends)


def _panels(
    review: Review, spec: Proportions, panels: Sequence[tuple[str, list[Finding]]], limit: float, *, narrow: bool
) -> Figure:
    from matplotlib.figure import Figure

    from comfrey.figures.distribution import category_bars
    from comfrey.figures.prevalence import prevalence_by_group

    width, left, right = (3.7, 0.12, 0.16) if narrow else (7.4, 1.75, 2.35)
    row, head, foot = (0.66, 0.42, 0.34) if narrow else (0.4, 0.42, 0.42)
    heights = [row * len(findings) + head + foot for _, findings in panels]
    total = sum(heights)
    figure = Figure(figsize=(width, total))
    top = total
    for (title, findings), height in zip(panels, heights, strict=True):
        box = (
            left / width,
            (top - height + foot) / total,
            (width - left - right) / width,
            (height - head - foot) / total,
        )
        ax = figure.add_axes(box)
        labels = [_row_label(review, spec, finding) for finding in findings]
        head_line = title[:1].upper() + title[1:]
        draw = prevalence_by_group if spec.kind == "prevalence" else category_bars
        draw(findings, labels, ax, title=head_line, limit=limit, narrow=narrow)
        top -= height
    return figure


def _row_label(review: Review, spec: Proportions, finding: Finding) -> str:
    group = finding.group.get(spec.by)
    label = review.label_in(spec.table, spec.by, group) if group else spec.overall or "All"
    return label[:1].upper() + label[1:]


def _directions(question: QuestionAnswer) -> Plan:
    findings = [
        finding for finding in question.findings if finding.role == "direction" and any(finding.counts.values())
    ]
    studies = len({line.study for finding in findings for line in finding.studies})
    caption = (
        f"{words.counted(studies, 'study', 'studies')}. Each mark is one study in a topic: open squares lower, dots no "
        "clear difference or mixed, filled squares higher. A count says nothing of size."
    )

    def drawn(narrow: bool) -> Figure:
        from comfrey.figures.directions import direction_counts
        from comfrey.figures.style import new_figure

        if narrow:
            figure, ax = new_figure(3.7, 0.42 * len(findings) + 1.0, left=0.1, right=0.1, top=0.75, bottom=0.1)
        else:
            figure, ax = new_figure(7.4, 0.3 * len(findings) + 0.9, left=2.75, right=1.75, top=0.6, bottom=0.15)
        direction_counts(findings, ax, title="Direction in each study", narrow=narrow)
        return figure

    return _plan(question.id, question.headline, caption, findings, lambda: drawn(False), lambda: drawn(True))


def _forests(review: Review, question: QuestionAnswer) -> Iterator[Plan]:
    """Plan a forest plot for each main finding that pools at least two studies."""
    better = {spec.id: getattr(spec, "better", "lower") for spec in review.spec.questions}
    for finding in question.findings:
        if finding.role != "main" or finding.k < 2:
            continue
        ends = None
        if question.kind == "treatments":
            first, second = (_favours(review, finding, part) for part in (0, 1))
            ends = (first, second) if better[question.id] == "lower" else (second, first)
        caption = f"{finding.statement} Model: {finding.model}."
        yield _plan(finding.id, finding.label, caption, [finding], partial(_forest, finding, ends))


def _networks(question: QuestionAnswer) -> Iterator[Plan]:
    """Plan the graph of each network, or island, of at least three treatments."""
    for finding in question.findings:
        if finding.fit is None or not finding.network or len(finding.network.get("effects", ())) < 2:
            continue
        drawn = "Circles: treatments, area by people. Lines: comparisons within trials, width by trials."
        caption = f"{finding.statement} {drawn}"
        yield _plan(finding.id, finding.label, caption, [finding], partial(_graph, finding))


def _graph(finding: Finding) -> Figure:
    from comfrey.figures.network import network_graph

    assert finding.network is not None  # noqa: S101 - only findings with a table are planned
    people = finding.network["people"]
    figure: Figure = network_graph(finding.fit, participants=people).figure
    return figure


def _favours(review: Review, finding: Finding, part: int) -> str:
    """Label one end of the axis with the treatment that it favours, by its short name where the long one is long."""
    node = review.treatments.get(finding.group[("treatment", "comparator")[part]])
    name = finding.label.split(" v ")[part]
    if node is not None and node.abbreviation and len(name) > 16:
        name = node.abbreviation
    return f"favours {words.lower_first(name)}"


def _forest(finding: Finding, ends: tuple[str, str] | None) -> Figure:
    from comfrey.figures.forest import forest_figure

    return forest_figure(finding, finding.label, ends)
