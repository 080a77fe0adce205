"""Prevalence by group, and the distribution over broad categories: shares of people, pooled apart where asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comfrey.findings import words
from comfrey.findings.finding import Excluded, Finding, QuestionAnswer, StudyLine
from comfrey.findings.pooled import (
    FEW_FOR_PREDICTION,
    NO_STUDY,
    ONE_STUDY,
    Pooled,
    pool_proportions,
    single_proportions,
)
from comfrey.findings.select import Selection, first_reason, select, value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.review.folder import Review
    from comfrey.review.spec import Proportions, Rule, Sensitivity

__all__ = ["answer_proportions"]


@dataclass(frozen=True, slots=True)
class _Analysis:
    """What one analysis is about: which group and which split, by which rules and model."""

    group: str | None
    split: str | None
    rules: tuple[Rule, ...]
    by: str
    sensitivity: Sensitivity | None = None

    def name(self) -> str:
        parts = [self.sensitivity.id if self.sensitivity else None, self.group or "all", self.split]
        return "-".join(part for part in parts if part)


def answer_proportions(review: Review, question: Proportions) -> QuestionAnswer:
    """Answer a question of how many of how many.

    Parameters
    ----------
    review : Review
        The checked review.
    question : Proportions
        The question.

    Returns
    -------
    QuestionAnswer
        Main findings (by split, then by group, then overall), then the sensitivity analyses.
    """
    rows = review.rows(question.table)
    main = [
        _Analysis(group, split, question.eligible, question.by)
        for split in question.splits
        for group in (*question.order, *((None,) if question.overall else ()))
    ]
    findings = [_finding(review, question, rows, analysis) for analysis in main]
    used = {row for finding in findings for line in finding.studies for row in line.rows}
    findings += [_finding(review, question, rows, one) for one in _sensitivity(review, question, rows)]
    unused = tuple(
        Excluded(row.row, row.study, _why_unused(row, question, review, findings))
        for row in rows
        if row.row not in used
    )
    lead = _leading(question, findings)
    return QuestionAnswer(
        id=question.id,
        kind=question.kind,
        title=question.title,
        short=question.short or question.title,
        lead=question.lead,
        notes=question.notes,
        headline=_headline(question, lead, _first_part(question, findings)),
        # Of a distribution no one share stands for the whole.
        headline_finding=lead.id if lead and question.kind == "prevalence" else None,
        findings=tuple(findings),
        rows_read=len(rows),
        rows_used=len(used),
        unused=unused,
    )


def _headline(question: Proportions, lead: Finding | None, findings: Sequence[Finding]) -> str:
    """Say the leading finding; of a distribution without naming the category, which stands in its own section."""
    if lead is None:
        return f"No eligible study was found on {question.what}."
    if question.kind == "prevalence":
        assert lead.result is not None  # noqa: S101 - a leading finding has a number
        split = question.phrases.get(lead.group.get(question.split, ""), "")
        group = question.phrases.get(lead.group.get(question.by, "all"), question.overall or "")
        share = words.number(lead.result.estimate, "percent")
        sentence = question.sentence.format(share=share, group=group, split=split)
        return sentence[:1].upper() + sentence[1:]
    shares = [f.result.estimate for f in findings if f.result is not None and f.k > 1] or [0.0]
    low, high = words.number(min(shares), "percent"), words.number(max(shares), "percent")
    return (
        f"Each of {words.spell(len(shares))} broad categories is reported by {low} to {high} of {question.what}; "
        "one person may report several."
    )


def _first_part(question: Proportions, findings: Sequence[Finding]) -> list[Finding]:
    """Return the main findings of the leading part."""
    return [f for f in findings if f.role == "main" and f.group.get(question.split) == question.splits[0]]


def _leading(question: Proportions, findings: Sequence[Finding]) -> Finding | None:
    """Return the finding at the top of the page: all groups together, or the group with the most studies."""
    with_number = [finding for finding in _first_part(question, findings) if finding.result is not None]
    overall = [finding for finding in with_number if question.by not in finding.group]
    return max(overall or with_number, key=lambda finding: finding.k, default=None)


def _sensitivity(review: Review, question: Proportions, rows: Sequence[Any]) -> list[_Analysis]:
    analyses = []
    for sensitivity in question.sensitivity:
        rules = tuple(rule for rule in question.eligible if rule.id not in sensitivity.without) + sensitivity.also
        splits: tuple[str | None, ...] = (None,) if sensitivity.merge_splits else question.splits
        groups: tuple[str | None, ...] = (*question.order, *((None,) if question.overall else ()))
        by = question.by
        if sensitivity.by is not None:
            by = sensitivity.by
            groups = tuple(sorted({str(value_of(row, by, review)) for row in rows if value_of(row, by, review)}))
        analyses += [_Analysis(group, split, rules, by, sensitivity) for split in splits for group in groups]
    return analyses


def _why_unused(row: Any, question: Proportions, review: Review, findings: Sequence[Finding]) -> str:
    split, group = row.value(question.split), row.value(question.by)
    reason = first_reason(row, question.eligible, review)
    if reason is not None:
        return reason
    if split not in question.splits:
        return f"{_label(review, question, question.split, split)}: not one of the parts that are analysed"
    if group not in question.order:
        return f"{_label(review, question, question.by, group)}: not one of the groups that are analysed"
    for finding in findings:
        for excluded in finding.excluded:
            if excluded.row == row.row:
                return excluded.reason
    raise AssertionError(f"row {row.row} is neither used nor excluded")


def _label(review: Review, question: Proportions, column: str, value: str | None) -> str:
    return "not stated" if value is None else review.label_in(question.table, column, value)


def _finding(review: Review, question: Proportions, rows: Sequence[Any], analysis: _Analysis) -> Finding:
    def scope(row: Any) -> bool:
        right_group = analysis.group is None or str(value_of(row, analysis.by, review)) == analysis.group
        right_split = analysis.split is None or row.value(question.split) == analysis.split
        known = analysis.by != question.by or analysis.group is not None or row.value(question.by) in question.order
        return right_group and right_split and known

    selection = select(rows, analysis.rules, review, scope=scope, one_per=question.one_per)
    selection = _with_counts(selection)
    chosen = selection.included
    cases, totals = [row.cases for row in chosen], [row.total for row in chosen]
    own = single_proportions(cases, totals) if chosen else []
    pooled = _pool(question, analysis, cases, totals)
    result = own[0] if len(chosen) == 1 else pooled.result
    group = {analysis.by: analysis.group} if analysis.group else {}
    if analysis.split:
        group[question.split] = analysis.split
    finding = Finding(
        id=f"{question.id}-{analysis.name()}",
        label=_title(review, question, analysis),
        role="sensitivity" if analysis.sensitivity else "main",
        group=group,
        measure=question.measure,
        scale="percent",
        model=pooled.model,
        k=len(chosen),
        n=sum(totals) if chosen else 0,
        result=result,
        statement="",
        studies=tuple(_line(review, row, own[i], pooled, i) for i, row in enumerate(chosen)),
        excluded=selection.excluded,
        rows_read=selection.read,
        rows_in_scope=selection.in_scope,
        rows_included=len(chosen),
        pi_low=pooled.pi_low,
        pi_high=pooled.pi_high,
        tau2=pooled.tau2,
        i2=pooled.i2,
        reasons=pooled.reasons,
    )
    return _with_statement(finding, review, question, analysis)


def _with_counts(selection: Selection) -> Selection:
    """Leave out rows without cases or total, whatever the rules say: there is nothing to pool."""
    usable = tuple(row for row in selection.included if row.cases is not None and row.total)
    missing = tuple(
        Excluded(row.row, row.study, "number of cases or of people not printed")
        for row in selection.included
        if row.cases is None or not row.total
    )
    return Selection(selection.read, selection.in_scope, usable, selection.excluded + missing)


def _pool(question: Proportions, analysis: _Analysis, cases: Sequence[int], totals: Sequence[int]) -> Pooled:
    numbers = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2")
    if not cases:
        return Pooled("none", reasons=dict.fromkeys(numbers, NO_STUDY))
    if len(cases) == 1:
        return Pooled("one study, Wilson interval", reasons=dict.fromkeys(numbers[3:], ONE_STUDY))
    if len(cases) < question.min_studies:
        few = f"{len(cases)} studies; this review pools {question.min_studies} or more"
        return Pooled("not pooled", reasons=dict.fromkeys(numbers, few))
    other = analysis.sensitivity.measure if analysis.sensitivity else None
    return pool_proportions(
        cases, totals, other or question.measure, 2 if other else question.stages, question.two_studies
    )


def _line(review: Review, row: Any, own: Any, pooled: Pooled, index: int) -> StudyLine:
    study = review.studies[row.study]
    return StudyLine(
        study=row.study,
        label=study.label,
        rows=(row.row,),
        source=row.source or study.source or "",
        result=own,
        n=row.total,
        weight=pooled.weights[index] if pooled.weights else None,
        details={
            "cases": row.cases,
            "countries": list(row.countries),
            "derivation": row.derivation,
            "remarks": [review.spec.flags.get(flag, flag) for flag in row.flags],
        },
    )


def _title(review: Review, question: Proportions, analysis: _Analysis) -> str:
    group = question.overall or "All"
    if analysis.group:
        group = _label(review, question, analysis.by, analysis.group)
    split = _label(review, question, question.split, analysis.split) if analysis.split else "all together"
    title = f"{group[:1].upper()}{group[1:]}, {split}"
    return f"{analysis.sensitivity.label}: {title}" if analysis.sensitivity else title


def _with_statement(finding: Finding, review: Review, question: Proportions, analysis: _Analysis) -> Finding:
    from dataclasses import replace

    phrases = question.phrases
    group = phrases.get(analysis.group or "all") or _label(review, question, analysis.by, analysis.group or "all")
    split = phrases.get(analysis.split or "", "") if analysis.split else ""
    where = f"{analysis.sensitivity.label}. " if analysis.sensitivity else ""
    if analysis.sensitivity and analysis.sensitivity.by:
        where, group = f"{analysis.sensitivity.label} ({group}). ", phrases.get("all", group)
    if finding.k == 0:
        text = f"{where}{question.none.format(group=group, split=split)}"
    elif finding.result is None:
        text = f"{where}{group[:1].upper()}{group[1:]}: {finding.reasons.get('estimate', 'no pooled number')}."
    else:
        share = words.of_finding(finding)
        sentence = question.sentence.format(share=share, group=group, split=split)
        basis = f"{words.studies(finding)}, {words.counted(finding.n or 0, 'person', 'people')}"
        text = f"{where}{sentence.strip().rstrip('.')} ({basis})."
    text = " ".join(text.split()).replace(" .", ".").replace(" ,", ",")
    reasons = dict(finding.reasons)
    if finding.k == 2 and finding.result is not None:
        reasons.setdefault("pi_low", FEW_FOR_PREDICTION)
        reasons.setdefault("pi_high", FEW_FOR_PREDICTION)
    return replace(finding, statement=text[:1].upper() + text[1:], reasons=reasons)
