"""Treatments compared all at once: each declared network, island by island, and combinations as sums of their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from comfrey.errors import ComfreyError, NotEstimableError
from comfrey.findings import words
from comfrey.findings.finding import Excluded, Finding, StudyLine
from comfrey.findings.trials import Trial, Trials, choose_trials, control_nodes, node_label, node_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from comfrey.effects.measure import Measure
    from comfrey.models.network import Components, Network
    from comfrey.review.folder import Review
    from comfrey.review.spec import NetworkSpec, Treatments

__all__ = ["network_findings"]

_NUMBERS = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "i2")
_MANY = "a network has no single estimate: see its effects"


def network_findings(review: Review, question: Treatments) -> list[Finding]:
    """Analyse every declared network.

    Parameters
    ----------
    review, question
        The review and its question on treatments.

    Returns
    -------
    list of Finding
        For each network: one finding an island (a part that no trial connects with the others), the largest first;
        then one on components where they are asked for and a combination is in the network.
    """
    findings: list[Finding] = []
    for spec in question.networks:
        rules = tuple(rule for rule in question.eligible if rule.id not in spec.without) + spec.also
        numbers = ("mean", "sd") if spec.measure in {"SMD", "MD"} else ("events", "total")
        chosen = choose_trials(review, question, rules, spec.outcomes, numbers, spec.at_weeks)
        islands = _islands(chosen.trials)
        for index, trials in enumerate(islands):
            findings.append(_island(review, question, spec, chosen, trials, index, len(islands)))
        combined = {node for trial in chosen.trials for node in trial.arms if _parts(review, node)}
        if spec.components and combined:
            findings.append(_components(review, question, spec, chosen))
    return findings


def _parts(review: Review, node: str) -> str | None:
    treatment = review.treatments.get(node)
    return treatment.components if treatment else None


def _islands(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Group trials that share treatments, directly or through others; most people first."""
    groups: list[tuple[set[str], list[Trial]]] = []
    for trial in trials:
        nodes, members = set(trial.arms), [trial]
        for group in [group for group in groups if group[0] & nodes]:
            groups.remove(group)
            nodes |= group[0]
            members = group[1] + members
        groups.append((nodes, members))
    parts = [members for _, members in groups]
    return sorted(parts, key=lambda part: (-_people(part), part[0].study))


def _people(trials: Sequence[Trial]) -> int:
    return sum(arm.total for trial in trials for arm in trial.arms.values())


def _fit(
    review: Review, spec: NetworkSpec, trials: Sequence[Trial], names: dict[str, str], reference: str | None
) -> Network:
    """Ask the engine for the network of these trials, nodes under the names given."""
    import pandas as pd

    import comfrey as cf

    records = [
        {
            "study": review.studies[trial.study].label,
            "treatment": names.get(node, node),
            "events": arm.events,
            "total": arm.total,
            "mean": arm.mean,
            "sd": arm.sd,
        }
        for trial in trials
        for node, arm in trial.arms.items()
    ]
    frame = pd.DataFrame(records)
    columns: dict[str, Any] = {"events": "events", "total": "total"}
    if spec.measure in {"SMD", "MD"}:
        columns = {"mean": "mean", "sd": "sd", "n": "total"}
    contrasts = cf.contrasts(frame, spec.measure, study="study", treatment="treatment", **columns)
    good: Literal["desirable", "undesirable"] = "desirable" if spec.better == "lower" else "undesirable"
    net: Network = cf.network(contrasts, method=spec.method, small_values=good, reference=reference)
    return net


def _island(
    review: Review,
    question: Treatments,
    spec: NetworkSpec,
    chosen: Trials,
    trials: Sequence[Trial],
    index: int,
    islands: int,
) -> Finding:
    nodes = [node for node in node_order(review, question) if any(node in trial.arms for trial in trials)]
    studies = {trial.study for trial in trials}
    excluded = [row for row in chosen.excluded if row.study in studies]
    if index == 0:
        # Trials of which no arm is used belong to no island; the first one lists them.
        used = {trial.study for trial in chosen.trials}
        excluded += [row for row in chosen.excluded if row.study not in used]
    label = spec.label if islands == 1 else f"{spec.label}, island {index + 1} of {islands}"
    told = _tell_island(review, question, spec, label, trials, nodes)
    return _finding(review, question, spec, f"{spec.id}-{index + 1}", label, trials, excluded, told)


def _tell_island(
    review: Review, question: Treatments, spec: NetworkSpec, label: str, trials: Sequence[Trial], nodes: Sequence[str]
) -> _Told:
    model = f"network, random effects, tau2 by {spec.method}, normal interval"
    reference = _reference(review, question, spec, trials, nodes)
    names = _short_names(review, question, nodes)
    try:
        net = _fit(review, spec, trials, names, names[reference])
        table = _table(review, question, spec, net, reference, nodes, names, trials)
    except ComfreyError as error:
        return _Told(model, f"{label}: not analysed ({error}).", dict.fromkeys((*_NUMBERS, "tau2"), str(error)))
    table["nodes"] = list(nodes)
    table["people"] = {
        names[node]: sum(trial.arms[node].total for trial in trials if node in trial.arms) for node in nodes
    }
    statement = _statement(spec, label, trials, table)
    return _Told(model, statement, dict.fromkeys(_NUMBERS, _MANY), float(net.tau2), table, net)


def _short_names(review: Review, question: Treatments, nodes: Sequence[str]) -> dict[str, str]:
    """Return a name for each node that fits into a figure: its label, or its abbreviation where that is long."""
    names: dict[str, str] = {}
    for node in nodes:
        label, treatment = node_label(review, question, node), review.treatments.get(node)
        short = treatment.abbreviation if treatment and treatment.abbreviation and len(label) > 22 else label
        names[node] = short if short not in names.values() else label
    return names


def _reference(
    review: Review, question: Treatments, spec: NetworkSpec, trials: Sequence[Trial], nodes: Sequence[str]
) -> str:
    """Return the declared reference where it is in the island, else the control (or the node) with most trials."""
    if spec.reference in nodes:
        return str(spec.reference)
    controls = [node for node in nodes if node in control_nodes(review, question)] or list(nodes)

    def weight(node: str) -> tuple[int, int]:
        arms = [trial.arms[node] for trial in trials if node in trial.arms]
        return len(arms), sum(arm.total for arm in arms)

    return max(controls, key=weight)


def _table(
    review: Review,
    question: Treatments,
    spec: NetworkSpec,
    net: Network,
    reference: str,
    nodes: Sequence[str],
    names: dict[str, str],
    trials: Sequence[Trial],
) -> dict[str, Any]:
    """Lay out what the network says, on the reading scale."""
    from comfrey.effects.registry import find_measure

    measure = find_measure(spec.measure)
    summary: Any = net.summary
    ranks: Any = net.ranking().summary if len(nodes) > 2 else None
    direct = {node: sum({node, reference} <= set(trial.arms) for trial in trials) for node in nodes}
    effects = []
    for node in nodes:
        if node == reference:
            continue
        row = summary.loc[names[node]]
        effect = {"treatment": node, "label": node_label(review, question, node), "direct_trials": direct[node]}
        effect |= {name: _read(measure, row[name]) for name in ("estimate", "ci_low", "ci_high")}
        prediction = {name: _read(measure, row[name]) if len(nodes) > 2 else None for name in ("pi_low", "pi_high")}
        effects.append(effect | prediction)
    table = {
        "outcome": spec.outcome_label,
        "reference": reference,
        "reference_label": node_label(review, question, reference),
        "scale": words.SCALES[spec.measure],
        "effects": effects,
        "q_inconsistency": net.q_inconsistency,
        "q_inconsistency_df": net.q_inconsistency_df,
        "q_inconsistency_p": net.q_inconsistency_p,
        "notes": _notes(net),
        "why": spec.why,
    }
    if ranks is not None:
        table["ranks"] = [
            {
                "treatment": node,
                "label": node_label(review, question, node),
                "p_score": float(ranks.loc[names[node], "p_score"]),
                "mean_rank": float(ranks.loc[names[node], "mean_rank"]),
                "rank_low": int(ranks.loc[names[node], "rank_low"]),
                "rank_high": int(ranks.loc[names[node], "rank_high"]),
            }
            for node in nodes
        ]
    return table


def _notes(net: Network) -> list[str]:
    """Pass on what the engine notes, in words for readers."""
    alone = "No trial repeats what others say, so variation between trials cannot be estimated and is taken as none."
    notes = [alone if "not a number" in note else note for note in net.notes]
    return list(dict.fromkeys(notes))


def _read(measure: Measure, value: Any) -> float | None:
    """Read a number of the analysis on the scale that people read; None where it is not a number."""
    number = float(measure.back_transform(float(value)))
    return number if np.isfinite(number) else None


def _statement(spec: NetworkSpec, label: str, trials: Sequence[Trial], table: dict[str, Any]) -> str:
    people = words.counted(_people(trials), "person", "people")
    nodes = len(table["effects"]) + 1
    basis = f"{words.counted(len(trials), 'trial')}, {people}, {words.counted(nodes, 'treatment')}"
    null = 1.0 if spec.measure in {"OR", "RR"} else 0.0
    other, outcome = words.lower_first(table["reference_label"]), spec.outcome_label
    apart: dict[str, list[str]] = {"less": [], "more": []}
    for effect in table["effects"]:
        if effect["ci_low"] is not None and not effect["ci_low"] <= null <= effect["ci_high"]:
            apart["less" if effect["ci_high"] < null else "more"].append(words.lower_first(effect["label"]))
    parts = [f"{how} {outcome} with {words.listed(names)} than with {other}" for how, names in apart.items() if names]
    said = words.listed(parts) or f"no treatment clearly differs from {other} in {outcome}"
    return f"{label}: {said} ({basis})."


def _components(review: Review, question: Treatments, spec: NetworkSpec, chosen: Trials) -> Finding:
    """Analyse combinations as the sum of their parts, over islands where the parts connect them."""
    label = f"{spec.label}: combinations as sums of their parts"
    told = _tell_components(review, question, spec, label, chosen.trials)
    return _finding(review, question, spec, f"{spec.id}-components", label, chosen.trials, chosen.excluded, told)


def _tell_components(
    review: Review, question: Treatments, spec: NetworkSpec, label: str, trials: Sequence[Trial]
) -> _Told:
    import comfrey as cf

    model = f"additive component network, random effects, tau2 by {spec.method}"
    nodes = [node for node in node_order(review, question) if any(node in trial.arms for trial in trials)]
    names = {node: _parts(review, node) or node for node in nodes}
    try:
        net = _fit(review, spec, trials, names, None)
        inactive = spec.inactive if spec.inactive in nodes else None
        fit: Components = cf.components(net, inactive=inactive, separator=" + ")
        table = _component_table(review, question, spec, fit)
    except ComfreyError as error:
        return _Told(model, f"{label}: not analysed ({error}).", dict.fromkeys((*_NUMBERS, "tau2"), str(error)))
    reference = _reference(review, question, spec, trials, nodes)
    table["reference_label"] = node_label(review, question, reference)
    table["additive_effects"] = [
        _additive_effect(review, question, spec, fit, node, names[node], names[reference])
        for node in nodes
        if node != reference
    ]
    known, every = sum(row["identifiable"] for row in table["components"]), len(table["components"])
    how = f"all {words.spell(every)}" if known == every else f"{words.spell(known) if known else 'none'} of {every}"
    people = words.counted(_people(trials), "person", "people")
    statement = (
        f"{label}: {how} effects of parts can be told from these trials "
        f"({words.counted(len(trials), 'trial')}, {people}); that parts add up is assumed."
    )
    reasons = dict.fromkeys(_NUMBERS, _MANY)
    if not np.isfinite(fit.tau2):
        return _Told(model, statement, reasons | {"tau2": "islands have no common heterogeneity"}, None, table)
    return _Told(model, statement, reasons, float(fit.tau2), table)


def _component_table(review: Review, question: Treatments, spec: NetworkSpec, fit: Components) -> dict[str, Any]:
    from comfrey.effects.registry import find_measure

    measure = find_measure(spec.measure)
    frame: pd.DataFrame = fit.summary
    rows = []
    for term, row in frame.iterrows():
        known = bool(row["identifiable"])
        values = {name: _read(measure, row[name]) if known else None for name in ("estimate", "ci_low", "ci_high")}
        label = node_label(review, question, str(term)) if str(term) in review.treatments else str(term)
        rows.append({"term": str(term), "label": label, "identifiable": known} | values)
    return {
        "outcome": spec.outcome_label,
        "scale": words.SCALES[spec.measure],
        "components": rows,
        "inactive": fit.inactive,
        "q_additivity": fit.q_difference,
        "q_additivity_df": fit.q_difference_df,
        "q_additivity_p": fit.q_difference_p,
        "notes": list(fit.notes),
        "why": spec.why,
    }


def _additive_effect(
    review: Review, question: Treatments, spec: NetworkSpec, fit: Components, node: str, name: str, against: str
) -> dict[str, Any]:
    """Compare a treatment with the reference as the sum of its parts, which may join islands."""
    from comfrey.effects.registry import find_measure

    columns = ("estimate", "ci_low", "ci_high")
    measure = find_measure(spec.measure)
    try:
        row = fit.combination(name, against)
        values = {column: _read(measure, row[column]) for column in columns}
    except NotEstimableError:
        values = dict.fromkeys(columns)
    return {"treatment": node, "label": node_label(review, question, node)} | values


class _Told(NamedTuple):
    """What the engine said of a network, or why it said nothing."""

    model: str
    statement: str
    reasons: dict[str, str]
    tau2: float | None = None
    table: dict[str, Any] | None = None
    fit: Network | None = None


def _finding(
    review: Review,
    question: Treatments,
    spec: NetworkSpec,
    name: str,
    label: str,
    trials: Sequence[Trial],
    excluded: Sequence[Excluded],
    told: _Told,
) -> Finding:
    used = sum(len(arm.rows) for trial in trials for arm in trial.arms.values())
    return Finding(
        id=f"{question.id}-network-{name}",
        label=label,
        role="network",
        group={"network": spec.id, "outcome": spec.outcomes[0]},
        measure=spec.measure,
        scale=words.SCALES[spec.measure],
        model=told.model,
        k=len(trials),
        n=_people(trials),
        result=None,
        statement=told.statement,
        studies=tuple(_lines(review, question, trials)),
        excluded=tuple(excluded),
        rows_read=len(review.rows(question.arms)),
        rows_in_scope=used + len(excluded),
        rows_included=used,
        tau2=told.tau2,
        reasons=told.reasons,
        network=told.table,
        fit=told.fit,
    )


def _lines(review: Review, question: Treatments, trials: Sequence[Trial]) -> Iterator[StudyLine]:
    for trial in trials:
        study = review.studies[trial.study]
        arms = {
            node_label(review, question, node): f"{arm.total}" if arm.events is None else f"{arm.events} of {arm.total}"
            for node, arm in trial.arms.items()
        }
        yield StudyLine(
            study=trial.study,
            label=study.label,
            rows=tuple(row for arm in trial.arms.values() for row in arm.rows),
            source=trial.source or study.source or "",
            result=None,
            n=sum(arm.total for arm in trial.arms.values()),
            details={
                "arms": arms,
                "weeks": trial.weeks,
                "outcome": trial.detail,
                "derivation": trial.derivation,
                "remarks": [review.spec.flags.get(flag, flag) for flag in trial.flags],
            },
        )
