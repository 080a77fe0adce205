"""Choosing rows by declared rules, with the reason for every row that is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comfrey.findings.finding import Excluded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from comfrey.review.folder import Review
    from comfrey.review.rows import Row
    from comfrey.review.spec import Rule

__all__ = ["Selection", "first_reason", "select", "value_of"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows in scope of an analysis, parted into those that it uses and those that it does not."""

    read: int
    in_scope: int
    included: tuple[Any, ...]
    excluded: tuple[Excluded, ...]


def value_of(row: Row, column: str, review: Review) -> Any:
    """Return the cell of a column of the row, or of its study where the row has no such column."""
    if column in row.more or column in type(row).model_fields:
        return row.value(column)
    study = review.studies[row.study]  # type: ignore[attr-defined]  # only rows of studies get here
    return study.value(column)


def first_reason(row: Row, rules: Iterable[Rule], review: Review) -> str | None:
    """Return the reason of the first rule that the row does not meet; None where it meets all."""
    for rule in rules:
        if any(value_of(row, column, review) not in values for column, values in rule.only_where.items()):
            continue
        value = value_of(row, rule.column, review)
        if not _meets(rule, value):
            return rule.reason.replace("{value}", _words(rule, value, review))
    return None


def _meets(rule: Rule, value: Any) -> bool:
    if rule.present:
        return value is not None
    if rule.is_one_of is not None:
        return value in rule.is_one_of
    if rule.is_none_of is not None:
        return value not in rule.is_none_of
    if rule.lacks is not None:
        return not set(rule.lacks) & set(value or ())
    if rule.at_least is not None:
        return value is None or value >= rule.at_least
    return value is None or value <= rule.at_most


def _words(rule: Rule, value: Any, review: Review) -> str:
    """Say the offending value in the review's own words."""
    if value is None:
        return "not stated"
    if rule.lacks is not None:
        return "; ".join(review.spec.flags.get(flag, flag) for flag in value if flag in rule.lacks)
    for vocabulary in review.spec.vocabularies.values():
        if value in vocabulary:
            return vocabulary[value]
    return str(value).replace("_", " ")


def select(
    rows: Sequence[Any],
    rules: Sequence[Rule],
    review: Review,
    *,
    scope: Callable[[Any], bool],
    one_per: str | None = None,
) -> Selection:
    """Part the rows of a table for one analysis.

    Parameters
    ----------
    rows : sequence of Row
        The whole table.
    rules : sequence of Rule
        What a row must meet; the first rule that it fails gives the reason.
    review : Review
        For vocabularies and studies.
    scope : callable
        Whether the analysis speaks of a row at all.
    one_per : str, optional
        Column whose value stands for the same people: the first eligible row is used, later ones are not.

    Returns
    -------
    Selection
    """
    included: list[Any] = []
    excluded: list[Excluded] = []
    taken: dict[Any, str] = {}
    in_scope = [row for row in rows if scope(row)]
    for row in in_scope:
        reason = first_reason(row, rules, review)
        if reason is None and one_per is not None:
            people = value_of(row, one_per, review)
            if people is not None and people in taken:
                reason = f"the same people as in row {taken[people]}"
            elif people is not None:
                taken[people] = row.row
        if reason is None:
            included.append(row)
        else:
            excluded.append(Excluded(row.row, row.study, reason))
    return Selection(len(rows), len(in_scope), tuple(included), tuple(excluded))
