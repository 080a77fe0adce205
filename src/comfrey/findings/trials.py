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

__all__ = [
    "ArmGroup",
    "Comparisons",
    "Pair",
    "Trial",
    "Trials",
    "choose_trials",
    "compare_arms",
    "control_nodes",
    "merged_nodes",
    "node_label",
    "node_order",
]


@dataclass(frozen=True, slots=True)
class ArmGroup:
    """The arms of one trial that received the same (merged) treatment, taken together."""

    treatment: str
    rows: tuple[str, ...]
    events: int | None
    total: int
    mean: float | None = None
    sd: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """The report of a trial that an analysis uses: its (merged) arms, and when and how the outcome was taken."""

    study: str
    arms: Mapping[str, ArmGroup]
    weeks: float | None
    detail: str | None
    flags: tuple[str, ...]
    source: str | None
    derivation: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A treatment and a comparator within one trial."""

    trial: Trial
    treatment: ArmGroup
    comparator: ArmGroup

    @property
    def study(self) -> str:
        """The trial's study."""
        return self.trial.study


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of an analysis, and every arm in its scope that is not used."""

    read: int
    in_scope: int
    trials: tuple[Trial, ...]
    excluded: tuple[Excluded, ...]
    nodes: Mapping[str, frozenset[str]]
    """Study -> the merged nodes of all of its arms in scope, used or not."""
    node_of: Mapping[str, str]
    """Row id -> merged node, for every arm in scope."""
    study_of: Mapping[str, str]
    """Row id -> study, for every arm in scope."""


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Every pair of an analysis, and every arm in its scope that enters none."""

    trials: Trials
    pairs: Mapping[tuple[str, str], tuple[Pair, ...]]
    excluded: tuple[Excluded, ...]


def merged_nodes(question: Treatments) -> dict[str, str]:
    """Return node -> the merged node that it is part of, for the nodes that are merged."""
    return {node: merge.id for merge in question.merge for node in merge.of}


def node_label(review: Review, question: Treatments, node: str) -> str:
    """Return the words for a node or a merged node."""
    for merge in question.merge:
        if merge.id == node:
            return merge.label
    return review.treatments[node].label


def node_order(review: Review, question: Treatments) -> list[str]:
    """Return all nodes in the order of their table, merged ones last."""
    return [*review.treatments, *(merge.id for merge in question.merge)]


def control_nodes(review: Review, question: Treatments) -> frozenset[str]:
    """Return the nodes that are controls, merged ones whose parts all are included."""
    merged = {merge.id for merge in question.merge if all(review.treatments[n].role == "control" for n in merge.of)}
    return frozenset(merged | {name for name, node in review.treatments.items() if node.role == "control"})


def choose_trials(
    review: Review,
    question: Treatments,
    rules: Sequence[Rule],
    outcomes: Collection[str],
    numbers: tuple[str, str] = ("events", "total"),
    at_weeks: float | None = None,
) -> Trials:
    """Choose the trials of one analysis from the table of arms: one report each, merged arms taken together.

    Parameters
    ----------
    review, question
        The review and its question on treatments.
    rules : sequence of Rule
        What an arm must meet.
    outcomes : collection of str
        Outcomes in scope, the preferred one first.
    numbers : tuple of str
        Columns that must be filled: ``("events", "total")`` or ``("mean", "sd")``.
    at_weeks : float, optional
        Time asked for, where it is not the question's.

    Returns
    -------
    Trials
        With at least two different arms each.
    """
    table = review.rows(question.arms)
    rows = [row for row in table if row.outcome in outcomes]
    merged = merged_nodes(question)
    node_of = {row.row: merged.get(row.treatment, row.treatment) for row in rows}
    excluded: list[Excluded] = []
    usable: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        reason = first_reason(row, rules, review)
        if reason is None and (None in (getattr(row, name) for name in numbers) or not row.total):
            reason = "number with the outcome or number analysed not printed"
        if reason is None:
            usable[row.study].append(row)
        else:
            excluded.append(Excluded(row.row, row.study, reason))
    nodes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        nodes[row.study].add(node_of[row.row])
    trials = []
    for study, arms in usable.items():
        wanted = question.at_weeks if at_weeks is None else at_weeks
        trial, left = _choose_report(wanted, study, arms, node_of, next(iter(outcomes)))
        excluded += left
        if trial is not None:
            trials.append(trial)
    known = {study: frozenset(found) for study, found in nodes.items()}
    return Trials(
        len(table), len(rows), tuple(trials), tuple(excluded), known, node_of, {row.row: row.study for row in rows}
    )


def compare_arms(review: Review, question: Treatments, rules: Sequence[Rule], outcomes: Collection[str]) -> Comparisons:
    """Form the comparisons of one analysis; parameters as for :func:`choose_trials`."""
    chosen = choose_trials(review, question, rules, outcomes)
    order, control = node_order(review, question), control_nodes(review, question)
    pairs: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    excluded = list(chosen.excluded)
    for trial in chosen.trials:
        nodes = sorted(trial.arms, key=lambda node: (node in control, order.index(node)))
        formed = [(one, two) for one, two in combinations(nodes, 2) if one not in control]
        for one, two in formed:
            pairs[one, two].append(Pair(trial, trial.arms[one], trial.arms[two]))
        if not formed:
            rows = [row for arm in trial.arms.values() for row in arm.rows]
            excluded += [Excluded(row, trial.study, "both arms are controls") for row in rows]
    return Comparisons(chosen, {key: tuple(value) for key, value in pairs.items()}, tuple(excluded))


def _choose_report(
    at_weeks: float | None, study: str, arms: Sequence[Any], node_of: Mapping[str, str], preferred: str
) -> tuple[Trial | None, list[Excluded]]:
    """Choose one report of the trial: two arms, the preferred outcome, the time asked for, the first listed."""
    reports: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for arm in arms:
        reports[arm.outcome, arm.weeks, arm.outcome_detail].append(arm)
    order = list(reports)

    def rank(key: tuple[Any, ...]) -> tuple[Any, ...]:
        outcome, weeks, _ = key
        alone = len({node_of[arm.row] for arm in reports[key]}) < 2
        far = float("inf") if weeks is None or at_weeks is None else abs(weeks - at_weeks)
        return alone, outcome != preferred, far, -(weeks or 0), order.index(key)

    chosen, *others = sorted(reports, key=rank)
    left = [Excluded(arm.row, study, _why_other(chosen, key, at_weeks)) for key in others for arm in reports[key]]
    groups: dict[str, list[Any]] = defaultdict(list)
    for arm in reports[chosen]:
        groups[node_of[arm.row]].append(arm)
    if len(groups) < 2:
        why = "the trial has no other arm with numbers to compare with"
        return None, left + [Excluded(arm.row, study, why) for same in groups.values() for arm in same]
    rows = [arm for same in groups.values() for arm in same]
    flags = tuple(dict.fromkeys(flag for arm in rows for flag in arm.flags))
    together = {node: _together(node, same) for node, same in groups.items()}
    _, weeks, detail = chosen
    return Trial(study, together, weeks, detail, flags, rows[0].source, rows[0].derivation), left


def _together(node: str, arms: Sequence[Any]) -> ArmGroup:
    """Take the arms of a trial on one (merged) node together; moments only where there is one arm."""
    events = [arm.events for arm in arms]
    alone = arms[0] if len(arms) == 1 else None
    return ArmGroup(
        node,
        tuple(arm.row for arm in arms),
        None if None in events else sum(events),
        sum(arm.total for arm in arms),
        mean=alone.mean if alone else None,
        sd=alone.sd if alone else None,
    )


def _why_other(chosen: tuple[Any, ...], key: tuple[Any, ...], at_weeks: float | None) -> str:
    if chosen[0] != key[0]:
        return "the same trial reports the main outcome"
    if chosen[1] != key[1]:
        at = "" if at_weeks is None else f"; the one closest to {at_weeks:g} weeks is used"
        return f"another time point of the same trial{at}"
    return "another measure of the same outcome in the same trial; the first one listed is used"
