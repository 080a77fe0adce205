"""What ``review.yaml`` may say, as pydantic models: the source of truth of the published JSON Schema."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

__all__ = [
    "Associations",
    "Direction",
    "Helplines",
    "NetworkSpec",
    "Proportions",
    "Question",
    "ReviewSpec",
    "Rule",
    "Sensitivity",
    "TableSpec",
    "Treatments",
]

SCHEMA_VERSION = 1
ID_PATTERN = r"^[a-z0-9][a-z0-9_-]*$"
COUNTRY_PATTERN = r"^([A-Z]{3}|INT)$"
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Method = Literal["EE", "DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM"]
Test = Literal["z", "t", "hk", "hk-adhoc"]
Words = Annotated[str, Field(min_length=1, max_length=2000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TableSpec(_Strict):
    """One table: its file, its kind, and the columns that this review adds to the kind's own."""

    file: Words
    type: Literal[
        "studies",
        "proportions",
        "arms",
        "contrasts",
        "associations",
        "treatments",
        "claims",
        "precautions",
        "published",
        "edges",
        "accuracy",
    ]
    columns: dict[Id, Words] = {}
    """Added columns: name -> `text`, `number`, `count`, `flags`, or the name of a vocabulary."""


class Rule(_Strict):
    """A condition that a row must meet, and the reason that is given when it does not (`{value}` is the cell)."""

    id: Id
    column: Id
    is_one_of: tuple[str, ...] | None = Field(default=None, alias="is")
    is_none_of: tuple[str, ...] | None = Field(default=None, alias="is_not")
    lacks: tuple[str, ...] | None = None
    """Flags that the row must not carry."""
    present: Literal[True] | None = None
    at_least: float | None = None
    at_most: float | None = None
    only_where: dict[Id, tuple[str, ...]] = {}
    """The rule is put only to rows that hold one of these values in these columns."""
    reason: Words

    @model_validator(mode="after")
    def _one_condition(self) -> Rule:
        given = [
            name
            for name in ("is_one_of", "is_none_of", "lacks", "present", "at_least", "at_most")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise PydanticCustomError(
                "conditions",
                "a rule has exactly one condition",
                {
                    "found": f"{len(given) or 'no'} conditions",
                    "expected": "exactly one of: is, is_not, lacks, present, at_least, at_most",
                    "fix": "leave one condition, or make several rules, each with its reason",
                },
            )
        return self


class Sensitivity(_Strict):
    """Another analysis of the same question, shown beside the main one."""

    id: Id
    label: Words
    why: Words
    without: tuple[Id, ...] = ()
    """Rules (by id) that this analysis does not apply."""
    also: tuple[Rule, ...] = ()
    """Rules that it applies in addition."""
    by: Id | None = None
    """Instead of the question's groups, one analysis for each value of this column."""
    merge_splits: bool = False
    """Pool the parts together that the main analysis keeps apart."""
    measure: Literal["PLO", "PFT"] | None = None
    """Pool proportions in two stages on this scale instead of in one."""
    outcomes: tuple[Id, ...] = ()
    """Outcomes that this analysis of treatments takes in besides the main one."""


class _Question(_Strict):
    id: Id
    title: Words
    short: Words | None = None
    """The question in a word or two, for the navigation."""
    lead: Words | None = None
    """What the reader must know before the numbers."""
    notes: tuple[Words, ...] = ()
    eligible: tuple[Rule, ...] = ()
    min_studies: Annotated[int, Field(ge=2)] = 2
    """The least number of studies that is pooled."""
    two_studies: Literal["normal"] | None = None
    """Interval where just two studies are pooled: t with one degree of freedom (the default), or the normal one."""


class Proportions(_Question):
    """How many of how many people: a prevalence by group, or the distribution over categories."""

    kind: Literal["prevalence", "distribution"]
    table: Id
    what: Words
    """What is counted, as it stands in a sentence: `adolescents who have self-injured`."""
    population: Words
    by: Id
    order: tuple[str, ...]
    """The groups, in the order in which they are shown; one without a row is shown as having none."""
    split: Id
    splits: tuple[str, ...]
    """Values of `split` that are analysed apart, the first one being the leading one."""
    overall: Words | None = None
    """Label of the analysis of all groups together; left out where that makes no sense."""
    sentence: Words
    """How a finding is said; {share}, {group} and {split} are filled in."""
    none: Words = "No eligible study was found: {group} {split}."
    """How it is said that there is no study."""
    phrases: dict[str, Words] = {}
    """Values of `by` and `split` (and `all`) as they stand in the sentence."""
    one_per: Id | None = None
    """Rows that share this column's value are the same people: the first eligible one counts."""
    measure: Literal["PLO", "PFT"] = "PLO"
    stages: Literal[1, 2] = 1
    sensitivity: tuple[Sensitivity, ...] = ()


class Merge(_Strict):
    """Nodes that are treated as one, with the reason."""

    id: Id
    label: Words
    of: tuple[Id, ...]
    reason: Words


class Direction(_Strict):
    """An outcome that is counted by the direction that each trial reports."""

    outcome: Id
    label: Words


class NetworkSpec(_Strict):
    """A network of the question's trials: which outcomes and arms it takes in, and why."""

    id: Id
    label: Words
    why: Words
    outcomes: tuple[Id, ...]
    outcome_label: Words
    better: Literal["lower", "higher"]
    measure: Literal["OR", "RR", "RD", "SMD", "MD"] = "OR"
    without: tuple[Id, ...] = ()
    """Rules (by id) that this network does not apply."""
    also: tuple[Rule, ...] = ()
    """Rules that it applies in addition."""
    reference: Id | None = None
    """The node that others are compared with, where it is in an island; elsewhere the control with most people."""
    at_weeks: float | None = None
    """Time asked for in this network, where it is not the question's."""
    components: bool = False
    """Whether combinations are also analysed as the sum of their parts."""
    inactive: Id | None = None
    """The node whose effect is zero by definition in that analysis."""
    method: Literal["REML", "DL", "ML", "EE"] = "REML"


class Treatments(_Question):
    """Treatments compared: a pooled effect per comparison, directions where there is no number."""

    kind: Literal["treatments"]
    arms: Id
    contrasts: Id | None = None
    treatments: Id
    claims: Id | None = None
    precautions: Id | None = None
    outcome: Id
    outcome_label: Words
    measure: Literal["OR", "RR", "RD"] = "OR"
    better: Literal["lower", "higher"] = "lower"
    at_weeks: float | None = None
    """Of several times in one trial the one closest to this is used; the later of two as close."""
    increment: Annotated[float, Field(ge=0)] = 0.5
    method: Method = "REML"
    test: Test = "hk"
    merge: tuple[Merge, ...] = ()
    directions: tuple[Direction, ...] = ()
    counted: tuple[Rule, ...] = ()
    """What a printed comparison must meet to be counted by its direction."""
    sensitivity: tuple[Sensitivity, ...] = ()
    networks: tuple[NetworkSpec, ...] = ()
    """Networks, the leading one first."""


class Construct(_Strict):
    """A construct or marker family: its label, and what the reader must know beside it."""

    id: Id
    label: Words
    comparison: Words | None = None
    """With what this topic compares, where it is not what the question says."""
    in_answer: bool = True
    """Whether the answer at the top may name it."""
    says: Words | None = None
    counterpart: Words | None = None
    """What must stand beside a statement of relief: its short duration, escalation, harms, alternatives."""


class Associations(_Question):
    """What differs in people who self-injure: effects where there are any, counts of directions elsewhere."""

    kind: Literal["mechanisms", "signatures"]
    table: Id
    comparison: Words
    order: tuple[Construct, ...]
    counterpart: Words | None = None
    pool_within: tuple[Id, ...] = ()
    """Rows are pooled only where these columns agree."""
    method: Method = "REML"
    test: Test = "hk"


Question = Annotated[Proportions | Treatments | Associations, Field(discriminator="kind")]


class Compared(_Strict):
    """The printed review that a living review starts from."""

    citation: Words
    doi: str | None = None


class ReviewSpec(_Strict):
    """The whole of ``review.yaml``."""

    comfrey: Literal[1]
    """Version of this schema."""
    id: Id
    title: Words
    subtitle: Words | None = None
    version: Words
    updated: dt.date
    """The day on which the tables were last changed."""
    last_search: Words | None = None
    status: Literal["living", "paused", "retired"] = "living"
    about: tuple[Words, ...] = ()
    limits: tuple[Words, ...] = ()
    starts_from: Compared | None = None
    contact: Words | None = None
    licence: Words | None = None
    content: Literal["self_injury"] | None = None
    """Content that needs care: texts are then checked and the help box is required."""
    helplines: Words | None = None
    vocabularies: dict[Id, dict[str, Words]] = {}
    flags: dict[Id, Words] = {}
    tables: dict[Id, TableSpec]
    questions: tuple[Question, ...]

    @model_validator(mode="after")
    def _helplines_where_needed(self) -> ReviewSpec:
        if self.content == "self_injury" and self.helplines is None:
            raise PydanticCustomError(
                "helplines",
                "a review on self-injury needs help lines",
                {
                    "found": "a review on self-injury without help lines",
                    "expected": "the key `helplines`: the file of help lines that its help box shows",
                    "fix": "add `helplines: helplines.yaml` and that file; the schema says what it holds",
                },
            )
        return self


class Helpline(_Strict):
    """One service that people can turn to."""

    country: Annotated[str, Field(pattern=COUNTRY_PATTERN)]
    where: Words
    name: Words
    reach: Words
    hours: Words | None = None
    url: Words | None = None


class Helplines(_Strict):
    """The dated file of help lines."""

    checked: dt.date
    how_checked: Words
    lines: Annotated[tuple[Helpline, ...], Field(min_length=1)]


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of the review file, the help lines and each kind of table."""
    from comfrey.review.rows import ROW_TYPES

    schemas = {"review": ReviewSpec.model_json_schema(), "helplines": Helplines.model_json_schema()}
    for name, row in ROW_TYPES.items():
        schema = row.model_json_schema()
        for internal in ("line", "more"):
            schema["properties"].pop(internal)
        schema["required"] = list(row.required)
        schema["x-header"] = list(row.header)
        schemas[f"table-{name}"] = schema
    return schemas
