"""Mechanisms and signatures: effects where studies print them, counts of directions where they do not.

Each topic (a construct, or a family of markers) gives one finding by direction, over every primary result, and a
pooled one where enough studies print an effect with its error in one form. Published meta-analyses are quoted beside
them and never counted: they contain the primary studies.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.findings import words
from comfrey.findings.finding import Excluded, Finding, Interval, QuestionAnswer, StudyLine
from comfrey.findings.pooled import own_results, pool_effects
from comfrey.findings.select import first_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.effects.sizes import EffectSizes
    from comfrey.review.folder import Review
    from comfrey.review.rows import Association
    from comfrey.review.spec import Associations, Construct

__all__ = ["answer_associations"]

DIRECTIONS = ("higher", "lower", "no_difference", "mixed", "not_reported")
_SAID = {
    "higher": "higher",
    "lower": "lower",
    "no_difference": "no clear difference",
    "mixed": "mixed",
    "not_reported": "direction not stated",
}
_NUMBERS = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2")
_META = "a published meta-analysis: quoted, not counted with the studies that it contains"


@dataclass(frozen=True, slots=True)
class _Form:
    """A form in which an effect can be pooled."""

    measure: str
    scale: str
    words: str
    factor: float = 1.0


_FORMS = {
    "SMD": _Form("SMD", "standardised mean difference", "difference between groups"),
    "PLO": _Form("PLO", "percent", "share of people", 100.0),
    "ZCOR": _Form("ZCOR", "correlation", "correlation"),
    "OR": _Form("OR", "odds ratio", "odds ratio"),
}


def answer_associations(review: Review, question: Associations) -> QuestionAnswer:
    """Answer a question on mechanisms or signatures.

    Parameters
    ----------
    review : Review
        The checked review.
    question : Associations
        The question.

    Returns
    -------
    QuestionAnswer
        For each topic a finding by direction and, where it can be had, a pooled one. ``extras["published"]`` quotes
        the published meta-analyses by topic.
    """
    rows = review.rows(question.table)
    findings: list[Finding] = []
    for topic in question.order:
        of_topic = [row for row in rows if row.topic == topic.id]
        pooled = _pooled(review, question, topic, of_topic)
        told = any(row.direction != "not_reported" for row in of_topic)
        # A share of people has no direction: where it is pooled, there is nothing else to say of it.
        findings += [*([_direction(review, question, topic, of_topic, pooled)] if told or not pooled else []), *pooled]
    used = {row for finding in findings for line in finding.studies for row in line.rows}
    reasons = {row.row: row.reason for finding in findings for row in finding.excluded}
    known = {topic.id for topic in question.order}
    unused = tuple(
        Excluded(row.row, row.study, reasons[row.row] if row.topic in known else f"topic not analysed: {row.topic}")
        for row in rows
        if row.row not in used
    )
    published = {
        topic.id: [_line(review, row).to_dict() for row in rows if row.topic == topic.id and row.level != "primary"]
        for topic in question.order
    }
    lead = max((f for f in findings if f.role == "direction"), key=_weight_of_evidence, default=None)
    return QuestionAnswer(
        id=question.id,
        kind=question.kind,
        title=question.title,
        short=question.short or question.title,
        lead=question.lead,
        notes=question.notes,
        headline=_headline(question, findings),
        headline_finding=lead.id if lead else None,
        findings=tuple(findings),
        rows_read=len(rows),
        rows_used=len(used),
        unused=unused,
        extras={"published": published, "counterpart": question.counterpart},
    )


def _weight_of_evidence(finding: Finding) -> tuple[int, int]:
    return max(finding.counts.values(), default=0), finding.k


def _headline(question: Associations, findings: Sequence[Finding]) -> str:
    """Name the topics on which most results agree."""
    said = []
    named = {topic.id for topic in question.order if topic.in_answer}
    directions = [finding for finding in findings if finding.role == "direction" and finding.group["topic"] in named]
    for finding in sorted(directions, key=_weight_of_evidence, reverse=True):
        told = {name: finding.counts[name] for name in ("higher", "lower", "no_difference", "mixed")}
        total = sum(told.values())
        name, most = max(told.items(), key=lambda item: item[1])
        if total >= 4 and most / total >= 0.7 and name in {"higher", "lower"}:
            silent = finding.k - total
            rest = f", {words.spell(silent)} without a direction" if silent else ""
            label = finding.label[:1].lower() + finding.label[1:]
            said.append(f"{label} ({name} in {most} of {finding.k} studies{rest})")
    if not said:
        return f"No topic shows the same direction in most of its studies, {question.comparison}."
    pooled = sum(finding.role == "main" for finding in findings)
    tail = "no effect could be pooled"
    if pooled:
        tail = f"{words.spell(pooled)} {'result' if pooled == 1 else 'results'} could be pooled"
    begin = question.comparison[:1].upper() + question.comparison[1:]
    return f"{begin}, most studies agree on {words.listed(said[:3])}; {tail}."


def _direction(
    review: Review, question: Associations, topic: Construct, rows: Sequence[Association], pooled: Sequence[Finding]
) -> Finding:
    kept, excluded = [], []
    for row in rows:
        reason = first_reason(row, question.eligible, review) or (_META if row.level != "primary" else None)
        if reason is None:
            kept.append(row)
        else:
            excluded.append(Excluded(row.row, row.study, reason))
    studies = dict.fromkeys(row.study for row in kept)
    counts = Counter(dict.fromkeys(DIRECTIONS, 0))
    counts.update(_direction_of([row.direction for row in kept if row.study == study]) for study in studies)
    parts = [f"{words.spell(counts[name])} {_SAID[name]}" for name in DIRECTIONS if counts[name]]
    if kept:
        head = f"{topic.label}, {topic.comparison or question.comparison}"
        of = f"of {words.counted(len(studies), 'study', 'studies')} ({words.counted(len(kept), 'result')})"
        text = f"{head}: {of}, {words.listed(parts)}."
        if len(studies) == 1:
            text = f"{head}: {parts[0].split(' ', 1)[1]} in the only study."
    else:
        text = f"{topic.label}: no primary result; {words.counted(len(excluded), 'row')} quoted or left out."
    return Finding(
        id=f"{question.id}-{topic.id}",
        label=topic.label,
        role="direction",
        group={"topic": topic.id},
        measure="direction",
        scale="count of studies",
        model="counts of directions",
        k=len(studies),
        n=None,
        result=None,
        statement=text,
        studies=tuple(_line(review, row) for row in kept),
        excluded=tuple(excluded),
        rows_read=len(review.rows(question.table)),
        rows_in_scope=len(rows),
        rows_included=len(kept),
        counts=dict(counts),
        reasons=dict.fromkeys(_NUMBERS, _why_not_pooled(kept, pooled, question))
        | {"n": "not added up: several results of a study are of the same people"},
    )


def _direction_of(directions: Sequence[str]) -> str:
    """Return the one direction of a study: several that differ are mixed, those not stated do not count."""
    told = set(directions) - {"not_reported"}
    if not told:
        return "not_reported"
    return told.pop() if len(told) == 1 else "mixed"


def _why_not_pooled(rows: Sequence[Association], pooled: Sequence[Finding], question: Associations) -> str:
    if pooled:
        return f"pooled apart: {words.listed([finding.label for finding in pooled])}"
    with_effect = [row for row in rows if _form(row) is not None]
    if not with_effect:
        return f"not pooled: none of {words.counted(len(rows), 'result')} prints an effect with its error"
    forms = sorted({_FORMS[_form(row) or ""].words for row in with_effect})
    verb = "prints" if len(with_effect) == 1 else "print"
    return (
        f"not pooled: {words.spell(len(with_effect))} of {words.counted(len(rows), 'result')} "
        f"{verb} an effect with its error ({words.listed(forms)}), and no {question.min_studies} studies of them "
        "agree in form and comparison"
    )


def _form(row: Association) -> str | None:
    """Return the form in which this row's effect can be pooled, or None."""
    if "sign_inconsistent" in row.flags or "not_poolable_as_printed" in row.flags:
        return None
    if _smd_from(row) is not None:
        return "SMD"
    if row.measure == "proportion" and row.estimate is not None and row.total_cases:
        return "PLO"
    if row.measure == "r" and row.estimate is not None and abs(row.estimate) < 1 and (row.total_cases or 0) > 3:
        return "ZCOR"
    if row.measure == "OR" and None not in (row.estimate, row.ci_low, row.ci_high):
        return "OR"
    return None


def _smd_from(row: Association) -> str | None:
    """Return what of the row gives a standardised difference: its print, the moments of both groups, a t statistic."""
    errors = (row.se, row.variance, None if None in (row.ci_low, row.ci_high) else row.ci_low)
    if row.measure == "SMD" and row.estimate is not None and any(error is not None for error in errors):
        return "print"
    if (row.total_cases or 0) < 2 or (row.total_controls or 0) < 2:
        return None
    if None not in (row.mean_cases, row.sd_cases, row.mean_controls, row.sd_controls):
        return "moments"
    return "t" if row.measure == "t" and row.estimate is not None else None


def _pooled(review: Review, question: Associations, topic: Construct, rows: Sequence[Association]) -> list[Finding]:
    """Pool each form that enough different studies share."""
    groups: dict[tuple[Any, ...], list[Association]] = defaultdict(list)
    left: list[Excluded] = []
    for row in rows:
        form = _form(row)
        reason = first_reason(row, question.eligible, review) or (_META if row.level != "primary" else None)
        if reason is None and form is None:
            reason = "no effect with its error in a form that can be pooled"
        if reason is not None:
            left.append(Excluded(row.row, row.study, reason))
            continue
        groups[form, *(row.value(column) for column in question.pool_within)].append(row)
    findings = []
    for key, members in groups.items():
        first = {row.study: row for row in reversed(members)}
        chosen = [row for row in members if first[row.study] is row]
        if len(chosen) < question.min_studies:
            continue
        again = [
            Excluded(row.row, row.study, f"the same people as in row {first[row.study].row}")
            for row in members
            if row not in chosen
        ]
        others = [
            Excluded(row.row, row.study, "another form of effect or another comparison")
            for other, rest in groups.items()
            if other != key
            for row in rest
        ]
        excluded = (*left, *again, *others)
        findings.append(_pool(review, question, topic, key, chosen, excluded, len(rows)))
    return findings


def _pool(
    review: Review,
    question: Associations,
    topic: Construct,
    key: tuple[Any, ...],
    rows: Sequence[Association],
    excluded: tuple[Excluded, ...],
    in_scope: int,
) -> Finding:
    form = _FORMS[key[0]]
    effects = _effects(key[0], rows)
    normal = len(rows) == 2 and question.two_studies == "normal"
    pooled = pool_effects(effects, question.method, "z" if normal else question.test, scale=form.factor)
    lines = own_results(effects, form.factor)
    within = ", ".join(str(part).replace("_", " ") for part in key[1:] if part not in {None, "none"})
    label = f"{topic.label}: {form.words}{f' ({within})' if within else ''}"
    n = sum((row.total_cases or 0) + (row.total_controls or 0) for row in rows)
    finding = Finding(
        id="-".join(str(part).lower() for part in (question.id, topic.id, *key) if part),
        label=label,
        role="main",
        group={"topic": topic.id},
        measure=form.measure,
        scale=form.scale,
        model=pooled.model,
        k=len(rows),
        n=n or None,
        result=pooled.result,
        statement="",
        studies=tuple(
            _line(review, row, line, pooled.weights[i] if pooled.weights else None)
            for i, (row, line) in enumerate(zip(rows, lines, strict=True))
        ),
        excluded=excluded,
        rows_read=len(review.rows(question.table)),
        rows_in_scope=in_scope,
        rows_included=len(rows),
        pi_low=pooled.pi_low,
        pi_high=pooled.pi_high,
        tau2=pooled.tau2,
        i2=pooled.i2,
        reasons=pooled.reasons if n else {**pooled.reasons, "n": "numbers of people not printed"},
    )
    from dataclasses import replace

    basis = words.counted(len(rows), "study", "studies")
    basis += f", {words.counted(n, 'person', 'people')}" if n else ""
    numbers = words.of_finding(finding) or f"not pooled ({finding.reasons.get('estimate', '')})"
    return replace(finding, statement=f"{label}: {numbers} ({basis}).")


def _effects(form: str, rows: Sequence[Association]) -> EffectSizes:
    """Ask the engine for the effect sizes of rows that share a form."""
    from comfrey.effects.sizes import effect_sizes

    def column(name: str) -> np.ndarray[Any, Any]:
        return np.array([np.nan if getattr(row, name) is None else getattr(row, name) for row in rows], float)

    if form == "PLO":
        cases = np.rint(column("estimate") * column("total_cases"))
        return effect_sizes("PLO", cases=cases, total=column("total_cases"))
    if form == "ZCOR":
        return effect_sizes("ZCOR", r=column("estimate"), n=column("total_cases"))
    if form == "OR":
        columns: dict[str, Any] = {name: column(name) for name in ("estimate", "ci_low", "ci_high")}
        return effect_sizes("OR", scale="reading", **columns)
    return _standardised(rows)


def _standardised(rows: Sequence[Association]) -> EffectSizes:
    """Return standardised differences: as printed, from group moments, or from a t statistic of two groups."""
    from comfrey.effects.sizes import effect_sizes

    yi, vi = np.empty(len(rows)), np.empty(len(rows))
    given: dict[str, Any]
    groups: dict[str, Any]
    others: dict[str, Any]
    for i, row in enumerate(rows):
        source = _smd_from(row)
        if source == "print":
            if row.ci_low is not None and row.ci_high is not None:
                given = {"ci_low": [row.ci_low], "ci_high": [row.ci_high]}
            else:
                given = {"se": [row.se]} if row.se is not None else {"variance": [row.variance]}
            one = effect_sizes("SMD", estimate=[row.estimate], **given)
        elif source == "moments":
            groups = {"mean_1": [row.mean_cases], "sd_1": [row.sd_cases], "n_1": [row.total_cases]}
            others = {"mean_2": [row.mean_controls], "sd_2": [row.sd_controls], "n_2": [row.total_controls]}
            one = effect_sizes("SMD", **groups, **others)
        else:
            one = effect_sizes("SMD", t=[row.estimate], n_1=[row.total_cases], n_2=[row.total_controls])
        yi[i], vi[i] = one.yi[0], one.vi[0]
    return effect_sizes("SMD", estimate=yi, variance=vi)


def _line(review: Review, row: Association, result: Interval | None = None, weight: float | None = None) -> StudyLine:
    study = review.studies[row.study]
    printed = None
    if row.estimate is not None and row.measure not in {"none", "t", "F", "z"}:
        printed = Interval(row.estimate, row.ci_low, row.ci_high)
    return StudyLine(
        study=row.study,
        label=study.label,
        rows=(row.row,),
        source=row.source or study.source or "",
        result=result or printed,
        n=((row.total_cases or 0) + (row.total_controls or 0)) or None,
        weight=weight,
        details={
            "marker": row.marker,
            "modality": row.modality,
            "paradigm": row.paradigm,
            "population": row.population,
            "comparator": row.comparator,
            "direction": row.direction,
            "printed": row.statistic,
            "measure": row.measure,
            "p_value": row.p_value,
            "remarks": [review.spec.flags.get(flag, flag) for flag in row.flags],
        },
    )
