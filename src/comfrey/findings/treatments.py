"""Treatments compared: a pooled effect for each comparison, directions where trials print no number."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.findings import words
from comfrey.findings.finding import Excluded, Finding, Interval, QuestionAnswer, StudyLine, TreatmentRow
from comfrey.findings.pooled import ONE_STUDY, Pooled, own_results, pool_effects
from comfrey.findings.select import first_reason
from comfrey.findings.trials import Comparisons, Pair, compare_arms, merged_nodes, node_label, node_order

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from comfrey.review.folder import Review
    from comfrey.review.spec import Direction, Sensitivity, Treatments

__all__ = ["answer_treatments"]

DIRECTIONS = ("favours_treatment", "no_clear_difference", "favours_comparator", "not_reported")


def answer_treatments(review: Review, question: Treatments) -> tuple[QuestionAnswer, tuple[TreatmentRow, ...]]:
    """Answer a question on treatments.

    Parameters
    ----------
    review : Review
        The checked review.
    question : Treatments
        The question.

    Returns
    -------
    answer : QuestionAnswer
        One finding per comparison, one per treatment for each outcome counted by direction, then sensitivity.
    rows : tuple of TreatmentRow
        The treatment table: one row a printed claim; empty where the review has none.
    """
    from comfrey.findings.claims import treatment_rows
    from comfrey.findings.networks import network_findings

    comparisons = compare_arms(review, question, question.eligible, (question.outcome,))
    main = _comparisons(review, question, comparisons)
    directions = _directions(review, question, {line.study for finding in main for line in finding.studies})
    findings = [*main, *directions]
    for sensitivity in question.sensitivity:
        rules = tuple(rule for rule in question.eligible if rule.id not in sensitivity.without) + sensitivity.also
        other = compare_arms(review, question, rules, (question.outcome, *sensitivity.outcomes))
        findings += _comparisons(review, question, other, sensitivity)
    findings += network_findings(review, question)
    answering = [finding for finding in findings if finding.role != "sensitivity"]
    used = {row for finding in answering for line in finding.studies for row in line.rows}
    unused = _unused(review, question, comparisons, directions, used)
    table = treatment_rows(review, question, tuple(findings))
    lead = max((f for f in main if f.result is not None), key=lambda finding: (finding.k, finding.n or 0), default=None)
    answer = QuestionAnswer(
        id=question.id,
        kind=question.kind,
        title=question.title,
        short=question.short or question.title,
        lead=question.lead,
        notes=(*question.notes, *(f"{merge.label}: {merge.reason}" for merge in question.merge)),
        headline=_headline(question, table, main, lead),
        # A table of treatments has no one number that stands for it.
        headline_finding=lead.id if lead and not table else None,
        findings=tuple(findings),
        rows_read=sum(len(review.rows(table)) for table in (question.arms, question.contrasts) if table),
        rows_used=len(used),
        extras={"better": question.better},
        unused=unused,
    )
    return answer, table


def _headline(
    question: Treatments, table: Sequence[TreatmentRow], main: Sequence[Finding], lead: Finding | None
) -> str:
    if table:
        read = sum(row.readable > 0 for row in table)
        none = sum(row.trials == 0 for row in table)
        unread = len(table) - read - none
        have = "has" if read == 1 else "have"
        parts = [f"{words.spell(read)} {have} a controlled trial whose result on self-injury could be read"]
        parts += [f"{words.spell(unread)} only trials whose result could not be read"] if unread else []
        parts += [f"{words.spell(none)} no trial at all"] if none else []
        return f"Of {words.spell(len(table))} kinds of treatment, {'; '.join(parts)}."
    if lead is None:
        return f"No controlled trial with an outcome of {question.outcome_label} was found."
    return lead.statement if len(main) == 1 else f"{words.counted(len(main), 'comparison')} were made. {lead.statement}"


def _comparisons(
    review: Review, question: Treatments, found: Comparisons, sensitivity: Sensitivity | None = None
) -> list[Finding]:
    order = node_order(review, question)
    keys = sorted(found.pairs, key=lambda key: (order.index(key[0]), order.index(key[1])))
    return [_comparison(review, question, found, key, sensitivity) for key in keys]


def _comparison(
    review: Review,
    question: Treatments,
    found: Comparisons,
    key: tuple[str, str],
    sensitivity: Sensitivity | None,
) -> Finding:
    import comfrey as cf

    pairs, trials = found.pairs[key], found.trials
    effects = cf.effect_sizes(
        question.measure,
        events_1=np.array([pair.treatment.events for pair in pairs]),
        total_1=np.array([pair.treatment.total for pair in pairs]),
        events_2=np.array([pair.comparator.events for pair in pairs]),
        total_2=np.array([pair.comparator.total for pair in pairs]),
        increment=question.increment,
    )
    own = own_results(effects)
    pooled = _pool(question, effects, pairs)
    result = own[0] if len(pairs) == 1 else pooled.result
    one, two = (node_label(review, question, node) for node in key)
    in_scope = {
        row: study
        for row, study in trials.study_of.items()
        if trials.node_of[row] in key and set(key) <= trials.nodes[study]
    }
    excluded = tuple(_left_out(found, pairs, in_scope))
    used = sum(len(pair.treatment.rows) + len(pair.comparator.rows) for pair in pairs)
    n = sum(pair.treatment.total + pair.comparator.total for pair in pairs)
    finding = Finding(
        id="-".join(part for part in (question.id, sensitivity.id if sensitivity else None, *key) if part),
        label=f"{sensitivity.label}: {one} v {two}" if sensitivity else f"{one} v {two}",
        role="sensitivity" if sensitivity else "main",
        group={"treatment": key[0], "comparator": key[1], "outcome": question.outcome},
        measure=question.measure,
        scale=words.SCALES[question.measure],
        model=pooled.model,
        k=len(pairs),
        n=n,
        result=result,
        statement="",
        studies=tuple(_line(review, pair, own[i], pooled, i) for i, pair in enumerate(pairs)),
        excluded=excluded,
        rows_read=trials.read,
        rows_in_scope=len(in_scope),
        rows_included=used,
        pi_low=pooled.pi_low,
        pi_high=pooled.pi_high,
        tau2=pooled.tau2,
        i2=pooled.i2,
        reasons=pooled.reasons,
    )
    return _with_statement(finding, question, one, two, sensitivity)


def _left_out(found: Comparisons, pairs: Sequence[Pair], in_scope: Mapping[str, str]) -> Iterator[Excluded]:
    """Yield each row in scope of a comparison that is in none of its pairs, with the reason."""
    used = {row for pair in pairs for arm in (pair.treatment, pair.comparator) for row in arm.rows}
    known = {row.row: row for row in found.excluded}
    other = "the report of the trial that is used has no arm on the other treatment"
    for row, study in in_scope.items():
        if row not in used:
            yield known.get(row) or Excluded(row, study, other)


def _pool(question: Treatments, effects: Any, pairs: Sequence[Pair]) -> Pooled:
    numbers = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2")
    if len(pairs) == 1:
        return Pooled("one study, normal interval", reasons=dict.fromkeys(numbers[3:], ONE_STUDY))
    if len(pairs) < question.min_studies:
        few = f"{len(pairs)} studies; this review pools {question.min_studies} or more"
        return Pooled("not pooled", reasons=dict.fromkeys(numbers, few))
    normal = len(pairs) == 2 and question.two_studies == "normal"
    return pool_effects(effects, question.method, "z" if normal else question.test)


def _line(review: Review, pair: Pair, own: Interval, pooled: Pooled, index: int) -> StudyLine:
    study = review.studies[pair.study]
    return StudyLine(
        study=pair.study,
        label=study.label,
        rows=(*pair.treatment.rows, *pair.comparator.rows),
        source=pair.trial.source or study.source or "",
        result=own,
        n=pair.treatment.total + pair.comparator.total,
        weight=pooled.weights[index] if pooled.weights else None,
        details={
            "events_1": pair.treatment.events,
            "total_1": pair.treatment.total,
            "events_2": pair.comparator.events,
            "total_2": pair.comparator.total,
            "weeks": pair.trial.weeks,
            "outcome": pair.trial.detail,
            "derivation": pair.trial.derivation,
            "remarks": [review.spec.flags.get(flag, flag) for flag in pair.trial.flags],
            **{name: value for name, value in study.more.items() if value is not None},
        },
    )


def _with_statement(
    finding: Finding, question: Treatments, one: str, two: str, sensitivity: Sensitivity | None
) -> Finding:
    from dataclasses import replace

    head = f"{sensitivity.label}. " if sensitivity else ""
    basis = f"{words.counted(finding.k, 'trial')}, {words.counted(finding.n or 0, 'person', 'people')}"
    if finding.result is None:
        why = finding.reasons.get("estimate", "no number")
        text = f"{one} compared with {words.lower_first(two)}: not pooled ({why}; {basis})."
    else:
        numbers = f"{finding.scale} {words.of_finding(finding)}, {basis}"
        text = f"{_reading(finding, question, one, words.lower_first(two))}: {numbers}."
    return replace(finding, statement=head + text)


def _reading(finding: Finding, question: Treatments, one: str, two: str) -> str:
    """Say in words where the interval lies; no verdict beyond it."""
    assert finding.result is not None  # noqa: S101 - callers made sure
    low, high = finding.result.ci_low, finding.result.ci_high
    null = 0.0 if question.measure == "RD" else 1.0
    outcome = question.outcome_label
    if low is None or high is None or low <= null <= high:
        return f"{one} compared with {two}: no clear difference in {outcome}"
    how = "less" if high < null else "more"
    return f"{outcome[:1].upper()}{outcome[1:]} was {how} frequent with {words.lower_first(one)} than with {two}"


def _directions(review: Review, question: Treatments, pooled: Collection[str]) -> list[Finding]:
    """Count the direction that each controlled trial reports, by treatment and outcome."""
    if question.contrasts is None:
        return []
    rows = review.rows(question.contrasts)
    merged = merged_nodes(question)
    findings: list[Finding] = []
    for direction in question.directions:
        of_treatment: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            if row.outcome == direction.outcome:
                of_treatment[merged.get(row.treatment, row.treatment)].append(row)
        order = node_order(review, question)
        findings += [
            _direction(review, question, direction, node, of_treatment[node], pooled)
            for node in sorted(of_treatment, key=order.index)
        ]
    return findings


def _direction(
    review: Review,
    question: Treatments,
    direction: Direction,
    node: str,
    rows: Sequence[Any],
    pooled: Collection[str],
) -> Finding:
    outcome, label = direction.outcome, direction.label
    chosen: dict[str, Any] = {}
    excluded = []
    for row in sorted(rows, key=lambda row: (row.direction == "not_reported", _distance(row, question))):
        reason = "no comparison group" if row.comparator is None else first_reason(row, question.counted, review)
        if reason is None and outcome == question.outcome and row.study in pooled:
            reason = "the counts of this trial are compared above"
        if reason is not None:
            excluded.append(Excluded(row.row, row.study, reason))
        elif row.study in chosen:
            excluded.append(Excluded(row.row, row.study, f"the same trial as in row {chosen[row.study].row}"))
        else:
            chosen[row.study] = row
    counts = Counter(dict.fromkeys(DIRECTIONS, 0))
    counts.update(row.direction for row in chosen.values())
    name = node_label(review, question, node)
    numbers = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2")
    totals = [(row.total_treatment or 0) + (row.total_comparator or 0) for row in chosen.values()]
    return Finding(
        id=f"{question.id}-direction-{outcome}-{node}",
        label=f"{name}: {label}, direction only",
        role="direction",
        group={"treatment": node, "outcome": outcome},
        measure="direction",
        scale="count of trials",
        model="counts of directions",
        k=len(chosen),
        n=sum(totals) or None,
        result=None,
        statement=_direction_statement(name, label, counts, len(chosen), len(excluded)),
        studies=tuple(_direction_line(review, question, row) for row in chosen.values()),
        excluded=tuple(excluded),
        rows_read=len(review.rows(question.contrasts or "")),
        rows_in_scope=len(rows),
        rows_included=len(chosen),
        counts=dict(counts),
        reasons=dict.fromkeys(numbers, "counted by direction: the trials print no common effect")
        | ({} if any(totals) else {"n": "no trial is counted" if not chosen else "numbers of people not printed"}),
    )


def _distance(row: Any, question: Treatments) -> float:
    if row.weeks is None or question.at_weeks is None:
        return float("inf")
    return abs(float(row.weeks) - question.at_weeks)


def _direction_statement(name: str, label: str, counts: Counter[str], k: int, left: int) -> str:
    if k == 0:
        rest = words.counted(left, "study is", "studies are")
        return f"{name}, {label}: no controlled trial is counted ({rest} listed with the reason)."
    said = {
        "favours_treatment": ("favours it", "favour it"),
        "no_clear_difference": ("shows no clear difference", "show no clear difference"),
        "favours_comparator": ("favours the comparator", "favour the comparator"),
        "not_reported": ("gives no result in what could be read", "give no result in what could be read"),
    }
    parts = [f"{words.spell(counts[key])} {text[counts[key] > 1]}" for key, text in said.items() if counts[key]]
    if k == 1:
        return f"{name}, {label}: the only controlled trial {parts[0].split(' ', 1)[1]}."
    return f"{name}, {label}: of {words.counted(k, 'controlled trial')}, {words.listed(parts)}."


def _direction_line(review: Review, question: Treatments, row: Any) -> StudyLine:
    study = review.studies[row.study]
    return StudyLine(
        study=row.study,
        label=study.label,
        rows=(row.row,),
        source=row.source or study.source or "",
        n=((row.total_treatment or 0) + (row.total_comparator or 0)) or None,
        details={
            "comparator": node_label(review, question, row.comparator),
            "direction": row.direction,
            "weeks": row.weeks,
            "outcome": row.outcome_detail,
            "printed": _printed(row),
            "remarks": [review.spec.flags.get(flag, flag) for flag in row.flags],
            **{name: value for name, value in study.more.items() if value is not None},
        },
    )


def _printed(row: Any) -> str | None:
    """Repeat the effect as the trial prints it."""
    if row.estimate is None:
        return None
    text = f"{row.measure} {row.estimate:g}"
    if row.ci_low is not None and row.ci_high is not None:
        text += f" ({row.ci_low:g} to {row.ci_high:g})"
    return text


def _unused(
    review: Review,
    question: Treatments,
    comparisons: Comparisons,
    directions: Sequence[Finding],
    used: set[str],
) -> tuple[Excluded, ...]:
    known = {row.row: row for row in comparisons.excluded}
    known |= {row.row: row for finding in directions for row in finding.excluded}
    tables = [question.arms, *((question.contrasts,) if question.contrasts else ())]
    left = [row for table in tables for row in review.rows(table) if row.row not in used]
    return tuple(
        known.get(row.row)
        or Excluded(row.row, row.study, f"outcome not analysed here: {review.label('outcome', row.outcome)}")
        for row in left
    )
