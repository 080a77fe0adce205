"""What the network graph shows, as tables: one row a comparison, one row a treatment."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from comfrey.errors import InputError
from comfrey.models.network import Contrasts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from comfrey.models.network import Network

__all__ = ["comparison_table", "level_order", "people_by_treatment", "treatment_table"]

_USUAL = ("low", "some concerns", "moderate", "unclear", "serious", "high", "critical")


def people_by_treatment(net: Network, participants: Mapping[str, float] | Contrasts | None) -> dict[str, float] | None:
    """Participants of each treatment, from a mapping or added up over the arms of contrasts."""
    if participants is None:
        return None
    if isinstance(participants, Contrasts):
        arms = participants.arms
        name = next((c for c in ("total", "n") if c in arms), None)
        if name is None:
            raise InputError(
                "participants", found=f"contrasts of {participants.measure}, which hold no numbers of people",
                expected="a number for each treatment, as a mapping",
            )  # fmt: skip
        given: dict[Any, Any] = arms.groupby("treatment")[name].sum().to_dict()
    else:
        given = dict(participants)
    given = {str(treatment): value for treatment, value in given.items()}
    result = {}
    for treatment in net.treatments:
        try:
            value = float(given[treatment])
        except (KeyError, TypeError, ValueError):
            value = float("nan")
        if not (np.isfinite(value) and value > 0):
            raise InputError(
                "participants", row=treatment, found=given.get(treatment, "nothing"), expected="a number above zero"
            )
        result[treatment] = value
    return result


def treatment_table(net: Network, participants: Mapping[str, float] | Contrasts | None = None) -> pd.DataFrame:
    """One row a treatment: part, studies, comparisons, participants (if given)."""
    people = people_by_treatment(net, participants)
    direct, structure = net._direct, net._structure
    degree = np.bincount(np.concatenate([direct.first, direct.second]), minlength=structure.n)
    table = pd.DataFrame(
        {"part": structure.island + 1, "k": structure.studies_per_treatment(), "comparisons": degree},
        index=pd.Index(net.treatments, name="treatment"),
    )
    if people is not None:
        table["participants"] = [people[t] for t in net.treatments]
    return table


def comparison_table(
    net: Network,
    risk_of_bias: Mapping[str, str] | None = None,
    *,
    levels: Sequence[str] | None = None,
    judge: str | Callable[[Sequence[str]], str] = "majority",
) -> pd.DataFrame:
    """One row a comparison with direct evidence: part, studies, studies at each level, and the level shown."""
    direct, names = net._direct, net.treatments
    table: dict[str, Any] = {"part": net._structure.island[direct.first] + 1, "k": direct.k}
    index = pd.MultiIndex.from_arrays(
        [[names[i] for i in direct.first], [names[j] for j in direct.second]], names=["treatment_1", "treatment_2"]
    )
    if risk_of_bias is None:
        return pd.DataFrame(table, index=index)
    given = {str(study): str(level) for study, level in dict(risk_of_bias).items()}
    rows = net._rows
    missing = [s for s in rows.studies if s not in given]
    if missing:
        raise InputError(
            "risk_of_bias", found=f"no level for {', '.join(missing[:6])}", expected="a level for each study"
        )
    scale = level_order([given[s] for s in rows.studies], levels)
    held: list[list[str]] = [[] for _ in range(direct.k.size)]
    for where, study in zip(direct.comparison.tolist(), rows.study.tolist(), strict=True):
        held[where].append(given[rows.studies[study]])
    for level in scale:
        table[level] = [here.count(level) for here in held]
    table["risk_of_bias"] = [_judge(here, scale, judge) for here in held]
    return pd.DataFrame(table, index=index)


def level_order(found: Sequence[str], levels: Sequence[str] | None) -> list[str]:
    """Levels from the best to the worst."""
    present = list(dict.fromkeys(found))
    if levels is None:
        unknown = [level for level in present if level not in _USUAL]
        if unknown:
            raise InputError(
                "levels", found=f"no order for {', '.join(unknown)}", expected="all levels, the best first"
            )
        return [level for level in _USUAL if level in present]
    scale = [str(level) for level in levels]
    lost = [level for level in present if level not in scale]
    if lost or len(scale) > 4 or len(set(scale)) < len(scale):
        raise InputError(
            "levels", found=", ".join(scale) + (f" (without {', '.join(lost)})" if lost else ""),
            expected="up to four levels, each once, the best first, with all that studies have",
        )  # fmt: skip
    return scale


def _judge(found: Sequence[str], scale: Sequence[str], judge: str | Callable[[Sequence[str]], str]) -> str:
    """One level for a comparison from those of its studies."""
    if callable(judge):
        level = str(judge(tuple(found)))
        if level not in scale:
            raise InputError("judge", found=repr(level), expected=f"a function that gives one of {', '.join(scale)}")
        return level
    if judge == "worst":
        return max(found, key=scale.index)
    if judge == "majority":
        count = Counter(found)
        return max(count, key=lambda level: (count[level], scale.index(level)))  # of equals, the worse one
    raise InputError("judge", found=repr(judge), expected="'majority', 'worst' or a function of levels")
