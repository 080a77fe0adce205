"""The treatment table: each printed claim beside what the trials here show, and a verdict by stated rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfrey.findings import words
from comfrey.findings.finding import NOT_ASSESSED, Finding, TreatmentRow
from comfrey.findings.trials import merged_nodes, node_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from comfrey.review.folder import Review
    from comfrey.review.rows import Claim, Precaution
    from comfrey.review.spec import Treatments

__all__ = ["treatment_rows"]

_SEVERITY = ("contraindicated", "major", "moderate", "monitor")
# What a reader of a review on self-injury must meet first, whatever its severity.
_FIRST = {"boxed_warning": 0, "overdose": 2}


def treatment_rows(review: Review, question: Treatments, findings: tuple[Finding, ...]) -> tuple[TreatmentRow, ...]:
    """Lay each printed claim beside the findings on its treatments.

    Parameters
    ----------
    review, question
        The review and its question on treatments.
    findings : tuple of Finding
        All findings of the question.

    Returns
    -------
    tuple of TreatmentRow
        In the printed order; a claim without any trial is a row like the others.
    """
    if question.claims is None:
        return ()
    return tuple(_row(review, question, claim, findings) for claim in review.claims)


def _row(review: Review, question: Treatments, claim: Claim, findings: Sequence[Finding]) -> TreatmentRow:
    merged = merged_nodes(question)
    nodes = {merged.get(node, node) for node in claim.treatments}
    about = [f for f in findings if f.role != "sensitivity" and f.group.get("treatment") in nodes]
    effects = [finding for finding in about if finding.role == "main"]
    directions = [finding for finding in about if finding.role == "direction" and finding.k]
    trials = {line.study for finding in (*effects, *directions) for line in finding.studies}
    untried = _untried(review, question, claim, effects, directions)
    said = [finding.statement for finding in (*effects, *directions)]
    return TreatmentRow(
        claim=claim.claim,
        category=claim.category,
        intervention=claim.intervention,
        treatments=claim.treatments,
        mechanism=claim.mechanism,
        mechanism_limits=claim.mechanism_limits,
        shows=" ".join([*said, *([untried] if untried else [])]),
        findings=tuple(finding.id for finding in (*effects, *directions)),
        untried=untried,
        trials=len(trials),
        readable=_readable(effects, directions),
        certainty=NOT_ASSESSED,
        precautions=tuple(_precautions(review, claim)),
        printed_effect=claim.printed_effect,
        printed_strength=claim.printed_strength,
        printed_precaution=claim.printed_precaution,
        verdict=_verdict(effects, directions, question),
    )


def _readable(effects: Sequence[Finding], directions: Sequence[Finding]) -> int:
    """Count the trials whose result could be read: those with counts, and those with a direction."""
    told = {line.study for finding in effects for line in finding.studies}
    for finding in directions:
        told |= {line.study for line in finding.studies if line.details.get("direction") != "not_reported"}
    return len(told)


def _untried(
    review: Review, question: Treatments, claim: Claim, effects: Sequence[Finding], directions: Sequence[Finding]
) -> str | None:
    merged = merged_nodes(question)
    tried = {finding.group["treatment"] for finding in (*effects, *directions)}
    nodes = [node for node in claim.treatments if merged.get(node, node) not in tried]
    if not nodes:
        return None
    names = words.listed([words.lower_first(node_label(review, question, node)) for node in nodes])
    return f"No controlled trial with an outcome of self-injury was found for {names}."


def _verdict(effects: Sequence[Finding], directions: Sequence[Finding], question: Treatments) -> str:
    """Judge a printed claim by the findings here; the rule is stated in docs/verdicts.md."""
    if not effects and not directions:
        return "Cannot be checked: no controlled trial with an outcome of self-injury was found."
    null = 0.0 if question.measure == "RD" else 1.0
    with_interval = [f for f in effects if f.result and f.result.ci_low is not None and f.result.ci_high is not None]
    better = [f for f in with_interval if _excludes(f, null, question.better)]
    worse = [f for f in with_interval if _excludes(f, null, "lower" if question.better == "higher" else "higher")]
    if better and not worse:
        what = f"{words.spell(len(better))} of {words.counted(len(with_interval), 'comparison')}"
        return f"Supported in part: {what} here lies wholly on the side of benefit."
    if worse:
        return "Contradicted in part: an interval here lies on the side of harm."
    if with_interval:
        what = "the interval" if len(with_interval) == 1 else "every interval"
        return f"Not confirmed: {what} here includes no difference."
    favour = sum(finding.counts.get("favours_treatment", 0) for finding in directions)
    told = sum(finding.k - finding.counts.get("not_reported", 0) for finding in directions)
    if not told:
        return "Cannot be checked: trials exist, but no result could be read."
    head = "Cannot be weighed in numbers: "
    if told == 1:
        return f"{head}the only trial whose result could be read {'favours it' if favour else 'does not favour it'}."
    how, verb = (words.spell(favour) if favour else "none"), ("favours" if favour < 2 else "favour")
    return f"{head}{how} of {words.counted(told, 'trial')} whose result could be read {verb} it."


def _excludes(finding: Finding, null: float, side: str) -> bool:
    assert finding.result is not None  # noqa: S101 - callers made sure
    low, high = finding.result.ci_low, finding.result.ci_high
    if low is None or high is None:
        return False
    return high < null if side == "lower" else low > null


def _precautions(review: Review, claim: Claim) -> Iterator[dict[str, Any]]:
    """Yield the precautions for the claim's treatments, then for the parts of its combinations; gravest first."""
    parts = [part for name in claim.treatments for part in (review.treatments[name].components or "").split(" + ")]
    alone = [name for name in claim.treatments if not review.treatments[name].components]
    nodes = set(claim.treatments) | set(parts) - {""}
    rules = [rule for rule in review.precautions if nodes & set(rule.treatments)]
    own = set(alone or claim.treatments)
    for rule in sorted(rules, key=lambda rule: (not own & set(rule.treatments), *_rank(rule))):
        yield {
            "rule": rule.rule,
            "treatments": sorted(nodes & set(rule.treatments)),
            "kind": rule.kind,
            "condition": rule.condition,
            "severity": rule.severity,
            "message": rule.message,
            "check": rule.check,
            "source": rule.source,
            "remarks": [review.spec.flags.get(flag, flag) for flag in rule.flags],
        }


def _rank(rule: Precaution) -> tuple[int, int]:
    """Rank a precaution: suicidality warnings, guidance on self-harm itself, overdose, then by severity."""
    first = 1 if "not_for_self_harm" in rule.flags else _FIRST.get(rule.kind, 3)
    return first, _SEVERITY.index(rule.severity)
