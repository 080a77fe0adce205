"""What an answer is made of: lines of studies, findings, questions, and the whole set of results."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from comfrey.results import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answers", "Excluded", "Finding", "Interval", "Published", "QuestionAnswer", "StudyLine", "TreatmentRow"]

NOT_ASSESSED = "not yet assessed"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval, on the scale that people read."""

    estimate: float
    ci_low: float | None = None
    ci_high: float | None = None


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One study's part in an analysis, on the reading scale, with the rows that it comes from."""

    study: str
    label: str
    rows: tuple[str, ...]
    source: str
    result: Interval | None = None
    n: int | None = None
    weight: float | None = None
    """Share of the pooled estimate in percent."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else is shown of the study: events and totals by arm, countries, direction, flags in words."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the interval laid flat."""
        result = self.result or Interval(float("nan"))
        values: dict[str, Any] = {"study": self.study, "label": self.label, "rows": self.rows, "source": self.source}
        values |= {"estimate": result.estimate, "ci_low": result.ci_low, "ci_high": result.ci_high}
        values |= {"n": self.n, "weight": self.weight, **self.details}
        return {name: plain(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Excluded:
    """A row that was read and not used, with the reason."""

    row: str
    study: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"row": self.row, "study": self.study, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Published:
    """A pooled result that another review printed: quoted beside our own findings, never counted with them."""

    study: str
    label: str
    what: str
    scale: str
    result: Interval | None
    k: int | None
    n: int | None
    certainty: str | None
    remarks: tuple[str, ...]
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the interval laid flat."""
        result = self.result or Interval(float("nan"))
        numbers = {"estimate": result.estimate, "ci_low": result.ci_low, "ci_high": result.ci_high}
        words = {name: getattr(self, name) for name in ("study", "label", "what", "scale", "k", "n", "certainty")}
        return plain(words | numbers | {"remarks": self.remarks, "source": self.source})  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Finding:
    """One analysis and what it found, on the scale that people read.

    Attributes
    ----------
    id, label : str
        Stable id within the question, and words for people.
    role : {"main", "sensitivity", "direction", "network"}
        Whether it answers the question, tests the answer, counts directions only, or compares many at once.
    group : mapping
        What it is about: e.g. ``{"region": "asia", "recall": "lifetime"}``.
    measure, scale, model : str
        Effect measure, reading scale (``percent``, ``odds ratio`` ...), and model in words.
    k, n : int
        Studies and people.
    result : Interval or None
        Estimate and confidence interval; None where none can be given (`reasons` says why).
    pi_low, pi_high, tau2, i2 : float or None
        Prediction interval; heterogeneity (on the scale of analysis) and I2 in percent.
    certainty, statement : str
        The certainty, and the generated sentence.
    studies, excluded : tuple
        The study lines and the rows left out.
    rows_read, rows_in_scope, rows_included : int
        The accounting: in scope = included + excluded.
    counts : mapping
        For findings by direction: direction -> number of studies.
    reasons : mapping
        Field -> why it holds no value.
    """

    id: str
    label: str
    role: Literal["main", "sensitivity", "direction", "network"]
    group: Mapping[str, str]
    measure: str
    scale: str
    model: str
    k: int
    n: int | None
    result: Interval | None
    statement: str
    studies: tuple[StudyLine, ...]
    excluded: tuple[Excluded, ...]
    rows_read: int
    rows_in_scope: int
    rows_included: int
    pi_low: float | None = None
    pi_high: float | None = None
    tau2: float | None = None
    i2: float | None = None
    certainty: str = NOT_ASSESSED
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    network: Mapping[str, Any] | None = None
    """For networks: reference, effects by treatment, ranks with their uncertainty, components, tests."""
    fit: Any = field(default=None, repr=False, compare=False)
    """The fitted object, for figures that are drawn from it; not written out."""

    def __post_init__(self) -> None:
        if self.rows_included + len(self.excluded) != self.rows_in_scope:
            raise AssertionError(
                f"{self.id}: {self.rows_included} rows included and {len(self.excluded)} excluded, "
                f"but {self.rows_in_scope} in scope"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the order of the file contract."""
        result = self.result or Interval(float("nan"))
        values: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("id", "label", "role", "group", "measure", "scale", "model", "k", "n")
        }
        values |= {"estimate": result.estimate, "ci_low": result.ci_low, "ci_high": result.ci_high}
        values |= {name: getattr(self, name) for name in ("pi_low", "pi_high", "tau2", "i2", "certainty", "statement")}
        values |= {"counts": self.counts, "reasons": self.reasons}
        values |= {name: getattr(self, name) for name in ("rows_read", "rows_in_scope", "rows_included")}
        lists = {
            "studies": [line.to_dict() for line in self.studies],
            "excluded": [row.to_dict() for row in self.excluded],
        }
        more = {} if self.network is None else {"network": plain(self.network)}
        return {name: plain(value) for name, value in values.items()} | more | lists


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """A question with all of its findings and the account of every row of its table."""

    id: str
    kind: str
    title: str
    short: str
    lead: str | None
    notes: tuple[str, ...]
    headline: str
    """The answer in one sentence, for the top of the page."""
    headline_finding: str | None
    """Id of the finding whose number stands under it."""
    findings: tuple[Finding, ...]
    rows_read: int
    rows_used: int
    unused: tuple[Excluded, ...]
    """Rows that no main analysis uses, each with its reason."""
    extras: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    """What other reviews printed on the question."""

    def __post_init__(self) -> None:
        if self.rows_used + len(self.unused) != self.rows_read:
            raise AssertionError(
                f"question {self.id}: {self.rows_used} rows used and {len(self.unused)} not, of {self.rows_read} read"
            )

    def finding(self, name: str) -> Finding:
        """Return the finding of this id."""
        return next(finding for finding in self.findings if finding.id == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the order of the file contract."""
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "answer": self.headline,
            "rows_read": self.rows_read,
            "rows_used": self.rows_used,
            "analyses": [finding.to_dict() for finding in self.findings],
            "excluded": [row.to_dict() for row in self.unused],
            "published": [row.to_dict() for row in self.published],
        }


@dataclass(frozen=True, slots=True)
class TreatmentRow:
    """A row of the treatment table: the printed claim beside what the trials here show."""

    claim: str
    category: str
    intervention: str
    treatments: tuple[str, ...]
    mechanism: str
    mechanism_limits: str | None
    shows: str
    """One generated paragraph: what the trials show, or that there is none."""
    findings: tuple[str, ...]
    """Ids of the findings behind it."""
    untried: str | None
    """The treatments of this row without a controlled trial, in a sentence."""
    trials: int
    readable: int
    """Trials whose result could be read."""
    certainty: str
    precautions: tuple[Mapping[str, Any], ...]
    printed_effect: str | None
    printed_strength: str | None
    printed_precaution: str | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {item.name: plain(getattr(self, item.name)) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that a review says: the one source of page, figures, tables and JSON."""

    questions: tuple[QuestionAnswer, ...]
    treatments: tuple[TreatmentRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the order of the file contract."""
        return {
            "questions": [question.to_dict() for question in self.questions],
            "treatments": [row.to_dict() for row in self.treatments],
        }
