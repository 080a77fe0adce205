"""What a build writes besides the page: results.json and the tables, as bytes."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

from comfrey._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from comfrey.findings.finding import Answers, Finding, QuestionAnswer
    from comfrey.review.folder import Review

__all__ = ["results_json", "tables"]


def results_json(review: Review, answers: Answers) -> bytes:
    """Write every finding as JSON; the same input gives the same bytes."""
    spec = review.spec
    head = {
        "comfrey": __version__,
        "review": {
            "id": spec.id,
            "title": spec.title,
            "version": spec.version,
            "updated": spec.updated.isoformat(),
            "last_search": spec.last_search,
            "status": spec.status,
            "licence": spec.licence,
            "starts_from": spec.starts_from.citation if spec.starts_from else None,
        },
        "inputs_sha256": review.inputs_sha256,
    }
    return (json.dumps(head | answers.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def tables(answers: Answers) -> Iterator[tuple[str, bytes]]:
    """Yield (name, CSV) for each question: its findings, the studies behind them, and the rows not used."""
    for question in answers.questions:
        yield f"{question.id}.csv", _csv(_FINDING, _findings(question))
        yield f"{question.id}-studies.csv", _csv(_STUDY, _studies(question))
        yield (
            f"{question.id}-excluded.csv",
            _csv(("row", "study", "reason"), ([r.row, r.study, r.reason] for r in question.unused)),
        )
        for finding in question.findings:
            if finding.role == "main" and finding.k > 1:
                rows = [line for line in _studies(question) if line[0] == finding.id]
                yield f"{finding.id}.csv", _csv(_STUDY, rows)
            if finding.network and "effects" in finding.network:
                yield f"{finding.id}.csv", _csv(_EFFECT, _effects(finding))
    if answers.treatments:
        yield "treatment-table.csv", _csv(_TREATMENT, _treatments(answers))


_FORMULA = re.compile(r"[=@+\t\r]|-(?![\d.]|$)")
_FINDING = (
    "analysis", "label", "role", "scale", "k", "n", "estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2",
    "model", "certainty", "statement",
)  # fmt: skip
_STUDY = ("analysis", "study", "label", "estimate", "ci_low", "ci_high", "n", "weight", "rows", "details", "source")
_EFFECT = (
    "treatment", "label", "compared_with", "scale", "people", "direct_trials", "estimate", "ci_low", "ci_high",
    "pi_low", "pi_high", "p_score", "mean_rank", "rank_low", "rank_high",
)  # fmt: skip
_TREATMENT = (
    "claim", "category", "intervention", "mechanism", "limits", "shows", "trials", "certainty", "verdict",
    "printed_effect", "printed_precaution", "precautions",
)  # fmt: skip


def _findings(question: QuestionAnswer) -> Iterator[Sequence[Any]]:
    for finding in question.findings:
        values = finding.to_dict()
        yield [values["id"], *(values[name] for name in _FINDING[1:])]


def _studies(question: QuestionAnswer) -> list[list[Any]]:
    rows = []
    for finding in question.findings:
        for line in finding.studies:
            values = line.to_dict()
            told = {name: _cell(value) for name, value in line.details.items() if value not in (None, [], "")}
            details = "; ".join(f"{name}: {text}" for name, text in told.items())
            shared = [values[name] for name in ("study", "label", "estimate", "ci_low", "ci_high", "n", "weight")]
            rows.append([finding.id, *shared, " ".join(line.rows), details, line.source])
    return rows


def _effects(finding: Finding) -> Iterator[Sequence[Any]]:
    """Lay out a network: one row a treatment, the reference with its people and rank only."""
    net = finding.network or {}
    ranks = {rank["treatment"]: rank for rank in net.get("ranks", ())}
    people = list(net["people"].values())
    effects = {effect["treatment"]: effect for effect in net["effects"]}
    for treatment, count in zip(net["nodes"], people, strict=True):
        effect, rank = effects.get(treatment, {}), ranks.get(treatment, {})
        label = effect.get("label", net["reference_label"])
        numbers = [effect.get(name) for name in ("direct_trials", "estimate", "ci_low", "ci_high", "pi_low", "pi_high")]
        order = [rank.get(name) for name in ("p_score", "mean_rank", "rank_low", "rank_high")]
        yield [treatment, label, net["reference_label"], net["scale"], count, *numbers, *order]


def _treatments(answers: Answers) -> Iterator[Sequence[Any]]:
    for row in answers.treatments:
        messages = " | ".join(str(rule["message"]) for rule in row.precautions)
        yield [
            row.claim, row.category, row.intervention, row.mechanism, row.mechanism_limits, row.shows, row.trials,
            row.certainty, row.verdict, row.printed_effect, row.printed_precaution, messages,
        ]  # fmt: skip


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return str(value)


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_safe(_cell(cell)) for cell in row] for row in rows])
    return buffer.getvalue().encode()


def _safe(text: str) -> str:
    """Keep spreadsheets from reading words as a formula; numbers stay numbers."""
    return f"'{text}" if _FORMULA.match(text) else text
