"""The rows of a review's tables: one pydantic model a kind of table, with the rules that join its cells.

``rules`` of a row yields what is wrong between cells: (code, column, found, expected, fix). Columns beyond these are
declared in ``review.yaml`` (`columns:` of a table) and kept in ``more``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from comfrey.review.cells import (
    Count,
    Countries,
    Flags,
    Identifier,
    Identifiers,
    Number,
    Positive,
    Proportion,
    Source,
    Text,
    Weeks,
    Year,
)
from comfrey.review.row_rules import SHARE_EXPLAINED, Broken, against_interval, interval, not_above

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ROW_TYPES",
    "Accuracy",
    "Arm",
    "Association",
    "Claim",
    "Contrast",
    "Edge",
    "Precaution",
    "ProportionRow",
    "Published",
    "Row",
    "Study",
    "Treatment",
]

Design = Literal[
    "survey", "cohort", "case_control", "experiment", "ema", "rct", "cluster_rct", "nonrandomised_trial", "single_arm",
    "case_series", "case_report", "registered_trial", "meta_analysis", "diagnostic", "label", "guideline",
    "observational", "other",
]  # fmt: skip
RatioOrDifference = Literal["OR", "RR", "RD", "HR", "IRR", "SMD", "MD", "none"]
AssociationMeasure = Literal["SMD", "MD", "r", "t", "OR", "RR", "IRR", "proportion", "beta", "F", "z", "none"]
Derivation = Literal[
    "printed", "from_percentage", "complement", "sum", "from_effect", "rounded_percentage", "weighted", "recoded",
    "computed", "derived",
]  # fmt: skip


class Row(BaseModel):
    """What every row has: whose number it is, where it comes from, how it came about, and what is odd about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: ClassVar[str] = "row"
    required: ClassVar[tuple[str, ...]] = ()
    """Columns whose cells must be filled."""
    header: ClassVar[tuple[str, ...]] = ()
    """Columns that the header must hold; their cells may be empty where they are not required."""

    source: Source | None = None
    flags: Flags = ()
    note: Text | None = None
    line: int = 0
    more: dict[str, Any] = {}

    @staticmethod
    def rules(cells: Mapping[str, Any]) -> Iterator[Broken]:  # noqa: ARG004 - kinds with rules use it
        """Yield what is wrong between the cells of one row."""
        yield from ()

    def value(self, column: str) -> Any:
        """Return the cell of a column, a declared one included."""
        return self.more[column] if column in self.more else getattr(self, column)


class Study(Row):
    """A study: entered once, referred to by its id from every other table."""

    key: ClassVar[str] = "study"
    required: ClassVar[tuple[str, ...]] = ("study", "label", "source")
    header: ClassVar[tuple[str, ...]] = ("study", "label", "year", "source", "design", "flags")

    study: Identifier
    label: Text
    authors: Text | None = None
    year: Year | None = None
    title: Text | None = None
    registration: Text | None = None
    design: Design | None = None
    countries: Countries = ()


class _OfStudy(Row):
    row: Identifier
    study: Identifier
    derivation: Derivation = "printed"


class ProportionRow(_OfStudy):
    """So many of so many people: prevalence, or the share that reports a form of behaviour."""

    required: ClassVar[tuple[str, ...]] = ("row", "study")
    header: ClassVar[tuple[str, ...]] = (
        "row", "study", "sample", "countries", "total", "cases", "proportion", "derivation", "source", "flags",
    )  # fmt: skip

    sample: Identifier | None = None
    countries: Countries = ()
    total: Count | None = None
    cases: Count | None = None
    proportion: Proportion | None = None

    @staticmethod
    def rules(cells: Mapping[str, Any]) -> Iterator[Broken]:
        """Keep cases within the total, and in agreement with the printed proportion unless a flag explains."""
        yield from not_above(cells, "cases", "total")
        total, cases, printed = (cells.get(name) for name in ("total", "cases", "proportion"))
        if total == 0:
            yield "no-people", "total", "0", "at least one person", "correct the total or leave the cell empty"
        explained = cells.get("derivation") == "weighted" or SHARE_EXPLAINED & set(cells.get("flags") or ())
        if not total or cases is None or printed is None or explained:
            return
        if abs(cases / total - printed) > 0.01 and cases <= total:
            yield (
                "contradiction", "proportion", f"{printed:g} where {cases}/{total} is {cases / total:.4g}",
                "agreement within 0.01",
                "check the source; if it prints both, say why with a flag: contradictory, weighted, approximate, "
                "rounded, count_percent_differ or cases_not_binomial",
            )  # fmt: skip


class Arm(_OfStudy):
    """One arm of a trial with one outcome at one time."""

    required: ClassVar[tuple[str, ...]] = ("row", "study", "arm", "treatment", "outcome")
    header: ClassVar[tuple[str, ...]] = (
        "row", "study", "arm", "treatment", "outcome", "weeks", "total", "events", "derivation", "source", "flags",
    )  # fmt: skip

    arm: Identifier
    treatment: Identifier
    outcome: Identifier
    better: Literal["lower", "higher"] | None = None
    weeks: Weeks | None = None
    randomised: Count | None = None
    total: Count | None = None
    events: Count | None = None
    mean: Number | None = None
    sd: Positive | None = None
    outcome_detail: Text | None = None

    @staticmethod
    def rules(cells: Mapping[str, Any]) -> Iterator[Broken]:
        """Keep events within the arm."""
        yield from not_above(cells, "events", "total")


class Contrast(_OfStudy):
    """A treatment compared with a comparator as printed: an effect, or only its direction."""

    required: ClassVar[tuple[str, ...]] = ("row", "study", "treatment", "outcome", "direction")
    header: ClassVar[tuple[str, ...]] = (
        "row", "study", "treatment", "comparator", "outcome", "weeks", "measure", "estimate", "ci_low", "ci_high",
        "direction", "derivation", "source", "flags",
    )  # fmt: skip

    treatment: Identifier
    comparator: Identifier | None = None
    outcome: Identifier
    better: Literal["lower", "higher"] | None = None
    weeks: Weeks | None = None
    measure: RatioOrDifference = "none"
    estimate: Number | None = None
    se: Positive | None = None
    variance: Positive | None = None
    ci_low: Number | None = None
    ci_high: Number | None = None
    p_value: Text | None = None
    direction: Literal["favours_treatment", "favours_comparator", "no_clear_difference", "not_reported"]
    total_treatment: Count | None = None
    total_comparator: Count | None = None
    outcome_detail: Text | None = None

    @staticmethod
    def rules(cells: Mapping[str, Any]) -> Iterator[Broken]:
        """Keep estimates within their intervals, ratios above zero, directions true, treatments from themselves."""
        yield from interval(cells)
        yield from against_interval(cells)
        if cells.get("treatment") is not None and cells.get("treatment") == cells.get("comparator"):
            yield (
                "compared-with-itself", "comparator", str(cells["comparator"]), "another treatment",
                "correct the treatment or the comparator",
            )  # fmt: skip


class Association(_OfStudy):
    """What was measured in cases against a comparator: a mechanism's construct or a signature's marker."""

    required: ClassVar[tuple[str, ...]] = ("row", "study", "topic", "direction")
    header: ClassVar[tuple[str, ...]] = (
        "row", "study", "topic", "population", "comparator", "total_cases", "total_controls", "measure",
        "estimate", "ci_low", "ci_high", "direction", "level", "derivation", "source", "flags",
    )  # fmt: skip

    topic: Identifier
    modality: Identifier | None = None
    marker: Text | None = None
    paradigm: Text | None = None
    population: Identifier | None = None
    comparator: Identifier | None = None
    total_cases: Count | None = None
    total_controls: Count | None = None
    measure: AssociationMeasure = "none"
    estimate: Number | None = None
    se: Positive | None = None
    variance: Positive | None = None
    ci_low: Number | None = None
    ci_high: Number | None = None
    mean_cases: Number | None = None
    sd_cases: Positive | None = None
    mean_controls: Number | None = None
    sd_controls: Positive | None = None
    statistic: Text | None = None
    p_value: Text | None = None
    direction: Literal["higher", "lower", "no_difference", "mixed", "not_reported"]
    level: Literal["primary", "meta_analysis"] = "primary"

    @staticmethod
    def rules(cells: Mapping[str, Any]) -> Iterator[Broken]:
        """Keep the estimate within its interval, shares between 0 and 1, correlations between -1 and 1."""
        yield from interval(cells)
        estimate, measure = cells.get("estimate"), cells.get("measure")
        low = {"proportion": 0.0, "r": -1.0}.get(str(measure))
        if estimate is not None and low is not None and not low <= estimate <= 1:
            yield (
                "impossible-estimate", "estimate", f"{estimate:g} as {measure}", f"a number from {low:g} to 1",
                "write a share as a proportion (0.2, not 20), or correct the measure",
            )  # fmt: skip


class Treatment(Row):
    """A node: something that people were allocated to."""

    key: ClassVar[str] = "treatment"
    required: ClassVar[tuple[str, ...]] = ("treatment", "label", "role")
    header: ClassVar[tuple[str, ...]] = ("treatment", "label", "components", "role")

    treatment: Identifier
    label: Text
    abbreviation: Text | None = None
    category: Text | None = None
    components: Text | None = None
    role: Literal["active", "control"]


class Claim(Row):
    """A row of the printed review's treatment table, to be audited against the studies."""

    key: ClassVar[str] = "claim"
    required: ClassVar[tuple[str, ...]] = ("claim", "position", "category", "intervention", "treatments", "mechanism")
    header: ClassVar[tuple[str, ...]] = (
        "claim", "position", "category", "intervention", "treatments", "mechanism", "mechanism_limits",
    )  # fmt: skip

    claim: Identifier
    position: Count
    category: Text
    intervention: Text
    treatments: Identifiers
    mechanism: Text
    mechanism_limits: Text | None = None
    printed_effect: Text | None = None
    printed_strength: Text | None = None
    printed_precaution: Text | None = None


class Precaution(Row):
    """What to mind before and while a treatment is used."""

    key: ClassVar[str] = "rule"
    required: ClassVar[tuple[str, ...]] = ("rule", "treatments", "kind", "severity", "message", "source")
    header: ClassVar[tuple[str, ...]] = (
        "rule", "treatments", "kind", "condition", "severity", "message", "source", "flags",
    )  # fmt: skip

    rule: Identifier
    treatments: Identifiers
    kind: Literal[
        "adverse_effect", "monitoring", "interaction", "contraindication", "boxed_warning", "age", "pregnancy",
        "overdose", "other",
    ]  # fmt: skip
    condition: Text | None = None
    severity: Literal["contraindicated", "major", "moderate", "monitor"]
    message: Text
    check: Text | None = None
    atc: Text | None = None
    seen: Text | None = None


class Published(_OfStudy):
    """A pooled result that another review printed: quoted beside our own, never pooled with it."""

    required: ClassVar[tuple[str, ...]] = ("row", "study", "about")
    header: ClassVar[tuple[str, ...]] = ("row", "study", "about", "measure", "estimate", "ci_low", "ci_high", "flags")

    about: Identifier
    """The question that it speaks to."""
    what: Text | None = None
    k: Count | None = None
    participants: Count | None = None
    measure: AssociationMeasure | Literal["RD", "HR"] = "none"
    estimate: Number | None = None
    ci_low: Number | None = None
    ci_high: Number | None = None
    i2: Number | None = None
    certainty: Text | None = None

    @staticmethod
    def rules(cells: Mapping[str, Any]) -> Iterator[Broken]:
        """Keep the estimate within its interval."""
        yield from interval(cells)


class Edge(Row):
    """One step of a mechanism: from a treatment or a process to a process or an outcome."""

    key: ClassVar[str] = "edge"
    required: ClassVar[tuple[str, ...]] = ("edge", "from_node", "to_node", "kind", "directness", "result", "statement")
    header: ClassVar[tuple[str, ...]] = (
        "edge", "from_node", "to_node", "kind", "directness", "result", "statement", "source", "flags",
    )  # fmt: skip

    edge: Identifier
    from_node: Identifier
    to_node: Identifier
    kind: Literal["acts_on", "linked_to", "changes"]
    directness: Literal["nssi", "related", "theory"]
    result: Literal["supports", "contrary", "null", "not_seen"]
    statement: Text


class Accuracy(_OfStudy):
    """How well a model told people apart."""

    required: ClassVar[tuple[str, ...]] = ("row", "study", "model")
    header: ClassVar[tuple[str, ...]] = (
        "row", "study", "model", "population", "total_cases", "total_controls", "sensitivity", "specificity",
        "auc_low", "auc_high", "accuracy", "source", "flags",
    )  # fmt: skip

    modality: Identifier | None = None
    model: Text
    task: Text | None = None
    population: Text | None = None
    total_cases: Count | None = None
    total_controls: Count | None = None
    sensitivity: Proportion | None = None
    specificity: Proportion | None = None
    auc_low: Proportion | None = None
    auc_high: Proportion | None = None
    accuracy: Proportion | None = None
    validation: Text | None = None


ROW_TYPES: dict[str, type[Row]] = {
    "studies": Study,
    "proportions": ProportionRow,
    "arms": Arm,
    "contrasts": Contrast,
    "associations": Association,
    "treatments": Treatment,
    "claims": Claim,
    "precautions": Precaution,
    "published": Published,
    "edges": Edge,
    "accuracy": Accuracy,
}
