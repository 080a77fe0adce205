"""From trial arms to comparisons: one time point a trial, merged nodes, and the reason for every arm left out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from comfrey.findings.finding import Excluded
from comfrey.findings.select import first_reason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from comfrey.review.folder import Review
    from comfrey.review.spec import Rule, Treatments

__all__ = ["ArmGroup", "Comparisons", "Pair", "compare_arms", "merged_nodes", "node_label"]


@dataclass(frozen=True, slots=True)
class ArmGroup:
    """The arms of one trial that received the same (merged) treatment, taken together."""

    treatment: str
    rows: tuple[str, ...]
    events: int
    total: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A treatment and a comparator within one trial."""

    study: str
    treatment: ArmGroup
    comparator: ArmGroup
    weeks: float | None
    detail: str | None
    flags: tuple[str, ...]
    source: str | None
    derivation: str


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Every pair of an analysis, and every arm in its scope that enters none."""

    read: int
    pairs: Mapping[tuple[str, str], tuple[Pair, ...]]
    excluded: tuple[Excluded, ...]
    nodes: Mapping[str, frozenset[str]]
    """Study -> the merged nodes of all of its arms in scope, used or not."""
    node_of: Mapping[str, str]
    """Row id -> merged node."""


def merged_nodes(question: Treatments) -> dict[str, str]:
    """Return node -> the merged node that it is part of, for the nodes that are merged."""
    return {node: merge.id for merge in question.merge for node in merge.of}


def node_label(review: Review, question: Treatments, node: str) -> str:
    """Return the words for a node or a merged node."""
    for merge in question.merge:
        if merge.id == node:
            return merge.label
    return review.treatments[node].label


def compare_arms(review: Review, question: Treatments, rules: Sequence[Rule], outcomes: Collection[str]) -> Comparisons:
    """Form the comparisons of one analysis from the table of arms.

    Parameters
    ----------
    review, question
        The review and its question on treatments.
    rules : sequence of Rule
        What an arm must meet.
    outcomes : collection of str
        Outcomes in scope.

    Returns
    -------
    Comparisons
    """
    table = review.rows(question.arms)
    rows = [row for row in table if row.outcome in outcomes]
    merged = merged_nodes(question)
    node_of = {row.row: merged.get(row.treatment, row.treatment) for row in rows}
    excluded: list[Excluded] = []
    usable: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        reason = first_reason(row, rules, review)
        if reason is None and (row.events is None or not row.total):
            reason = "number with the outcome or number analysed not printed"
        if reason is None:
            usable[row.study].append(row)
        else:
            excluded.append(Excluded(row.row, row.study, reason))
    pairs: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for study, arms in usable.items():
        formed, left = _pairs_of_trial(review, question, study, arms, node_of)
        excluded += left
        for pair in formed:
            pairs[pair.treatment.treatment, pair.comparator.treatment].append(pair)
    nodes = defaultdict(set)
    for row in rows:
        nodes[row.study].add(node_of[row.row])
    return Comparisons(
        len(table),
        {key: tuple(value) for key, value in pairs.items()},
        tuple(excluded),
        {study: frozenset(found) for study, found in nodes.items()},
        node_of,
    )


def _pairs_of_trial(
    review: Review, question: Treatments, study: str, arms: Sequence[Any], node_of: Mapping[str, str]
) -> tuple[list[Pair], list[Excluded]]:
    """Choose one report of the trial and pair its arms."""
    reports: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for arm in arms:
        reports[arm.outcome, arm.weeks, arm.outcome_detail].append(arm)
    order = list(reports)

    def rank(key: tuple[Any, ...]) -> tuple[Any, ...]:
        outcome, weeks, _ = key
        alone = len({node_of[arm.row] for arm in reports[key]}) < 2
        far = float("inf") if weeks is None or question.at_weeks is None else abs(weeks - question.at_weeks)
        return alone, outcome != question.outcome, far, -(weeks or 0), order.index(key)

    chosen, *others = sorted(reports, key=rank)
    left = [Excluded(arm.row, study, _why_other(chosen, key, question)) for key in others for arm in reports[key]]
    groups: dict[str, list[Any]] = defaultdict(list)
    for arm in reports[chosen]:
        groups[node_of[arm.row]].append(arm)
    nodes = list(review.treatments) + [merge.id for merge in question.merge]
    control = {merge.id for merge in question.merge if all(review.treatments[n].role == "control" for n in merge.of)}
    control |= {name for name, node in review.treatments.items() if node.role == "control"}
    together = {
        node: ArmGroup(
            node, tuple(arm.row for arm in same), sum(arm.events for arm in same), sum(arm.total for arm in same)
        )
        for node, same in groups.items()
    }
    formed = []
    for one, two in combinations(sorted(together, key=lambda n: (n in control, nodes.index(n))), 2):
        if one in control:
            continue
        rows = groups[one] + groups[two]
        flags = tuple(dict.fromkeys(flag for arm in rows for flag in arm.flags))
        first = rows[0]
        formed.append(
            Pair(study, together[one], together[two], chosen[1], chosen[2], flags, first.source, first.derivation)
        )
    if not formed:
        why = "the trial has no other arm with numbers to compare with"
        if len(together) > 1:
            why = "both arms are controls"
        left += [Excluded(arm.row, study, why) for same in groups.values() for arm in same]
    return formed, left


def _why_other(chosen: tuple[Any, ...], key: tuple[Any, ...], question: Treatments) -> str:
    if chosen[0] != key[0]:
        return "the same trial reports the main outcome"
    if chosen[1] != key[1]:
        at = "" if question.at_weeks is None else f"; the one closest to {question.at_weeks:g} weeks is used"
        return f"another time point of the same trial{at}"
    return "another measure of the same outcome in the same trial; the first one listed is used"
