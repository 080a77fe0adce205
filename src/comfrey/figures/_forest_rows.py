"""What stands in a forest plot: rows, columns and notes, made from the fit before anything is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.effects.sizes import EffectSizes
from comfrey.errors import InputError
from comfrey.figures._fits import Shown, one_per_study, show
from comfrey.figures._scales import minus, p_value, people, reader_of, significant
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comfrey.effects.measure import Array
    from comfrey.figures._scales import Reader
    from comfrey.figures.layouts import ForestLayout
    from comfrey.models.subgroups import Subgroups

__all__ = ["Content", "Row", "forest_content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row, on the scale that people read. `kind`: group, study, subtotal, overall, prediction, note or fitted."""

    kind: str
    label: str
    group: str = ""
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    weight: float = math.nan
    size: float = 0.0
    cells: tuple[str, ...] = ()
    new: bool = False
    fitted: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Rows and words of a forest plot; `heads` are those of the data columns."""

    rows: tuple[Row, ...]
    heads: tuple[str, ...]
    reader: Reader
    level: float
    weighted: bool
    footnotes: tuple[str, ...]
    shown: Shown = field(repr=False)


def forest_content(
    fit: Any,
    layout: ForestLayout,
    *,
    labels: Sequence[str] | None = None,
    subgroups: Any = None,
    columns: Any = None,
    arms: tuple[str, str] = ("Group 1", "Group 2"),
    studies: EffectSizes | None = None,
    order: Any = None,
    new: Sequence[str] = (),
    prediction: bool = True,
) -> Content:
    """Make the rows of a forest plot (arguments as in :func:`comfrey.figures.forest_plot`)."""
    groups: Subgroups | None = None
    if type(fit).__name__ == "Subgroups":
        groups, fit = fit, fit.overall
    if studies is None and isinstance(columns, EffectSizes):
        studies = columns
    shown = show(fit, studies)
    if subgroups is not None:
        groups = _same_studies(subgroups, shown, fit)
    names = _labels(labels, shown)
    heads, cells = _data_columns(columns, shown, arms)
    low, high = shown.intervals()
    own_n = shown.n
    reader = reader_of(shown.measure, _typical(shown, low, high))
    values = np.array([reader.read(part, own_n) for part in (shown.yi, low, high)])
    weights = shown.weights if shown.weights is not None else np.full(shown.k, math.nan)
    areas = shown.weights if shown.weights is not None else 1.0 / shown.vi
    fitted = None if shown.fitted is None else np.array([reader.read(part, own_n) for part in shown.fitted])
    flags = _new(new, names)

    def study(i: int, group: str = "") -> Row:
        return Row(
            kind="study",
            label=names[i],
            group=group,
            estimate=float(values[0, i]),
            low=float(values[1, i]),
            high=float(values[2, i]),
            weight=float(weights[i]),
            size=float(areas[i]),
            cells=tuple(column[i] for column in cells),
            new=flags[i],
            fitted=None if fitted is None else (float(fitted[0, i]), float(fitted[1, i]), float(fitted[2, i])),
        )

    places = _order(order, shown, values[0], areas)
    rows: list[Row] = []
    if groups is None:
        rows += [study(i) for i in places]
    else:
        for name, members, part in _members(groups, shown):
            rows.append(Row(kind="group", label=name, group=name))
            rows += [study(i, name) for i in places if i in members]
            if part.k > 1:
                share = float(weights[sorted(members)].sum())
                rows += _summary(show(part), layout, reader, "subtotal", name, share, own_n, members)
    if shown.kind == "pooled" and shown.k > 1:
        whole = set(range(shown.k))
        total = 100.0 if shown.weights is not None else math.nan
        rows += _summary(shown, layout, reader, "overall", "", total, own_n, whole, prediction=prediction)
    elif shown.kind == "regression":
        rows += _notes(layout, _words(shown, layout), ("regression",))
    if groups is not None:
        between = {
            "between_q": groups.q_between,
            "between_df": float(groups.q_between_df),
            "between_p": groups.q_between_p,
        }
        rows += _notes(layout, _spell(between, layout), ("between",))
    return Content(
        rows=tuple(rows),
        heads=heads,
        reader=reader,
        level=shown.level,
        weighted=shown.weights is not None,
        footnotes=_footnotes(shown, groups, flags),
        shown=shown,
    )


def _typical(shown: Shown, low: Array, high: Array) -> float:
    """Half of a typical interval, as shown."""
    if shown.measure is not None and not shown.measure.scale.needs_n:
        low, high = shown.measure.back_transform(low), shown.measure.back_transform(high)
    return float(np.median(high - low) / 2)


def _labels(labels: Sequence[str] | None, shown: Shown) -> list[str]:
    if labels is None:
        return list(shown.labels)
    return [str(label) for label in one_per_study("labels", labels, shown)]


def _new(new: Sequence[str], names: list[str]) -> list[bool]:
    wanted = {new} if isinstance(new, str) else set(new)
    unknown = wanted - set(names)
    if unknown:
        raise InputError("new", found=repr(sorted(unknown)[0]), expected="the label of a study in the fit")
    return [name in wanted for name in names]


def _order(order: Any, shown: Shown, estimates: Array, areas: Array) -> list[int]:
    if order is None:
        return list(range(shown.k))
    if isinstance(order, str):
        keys = {"estimate": estimates, "weight": -areas}
        if order not in keys:
            raise InputError("order", found=repr(order), expected="'estimate', 'weight', or values to sort by")
        values = keys[order]
    else:
        values = np.asarray(one_per_study("order", order, shown))
    return [int(place) for place in np.argsort(values, kind="stable")]


def _same_studies(subgroups: Any, shown: Shown, fit: Any) -> Subgroups:
    """Take a result of `subgroups`, or group the fit's own studies by its own method and test."""
    if type(subgroups).__name__ == "Subgroups":
        if not np.array_equal(subgroups.overall.yi, shown.yi):
            raise InputError("subgroups", found="other studies", expected="the studies of the fit")
        return subgroups  # type: ignore[no-any-return]
    if type(fit).__name__ != "Pooled":
        raise InputError("subgroups", found=f"groups of a {type(fit).__name__}", expected="groups of a pooled fit")
    from comfrey.models.subgroups import subgroups as split

    groups = one_per_study("subgroups", subgroups, shown)
    return split(
        shown.yi, shown.vi, groups=groups, method=fit.method, test=fit.test, level=fit.level, study=shown.labels
    )


def _members(groups: Subgroups, shown: Shown) -> list[tuple[str, set[int], Any]]:
    """Find each group's studies among those shown, by their rows."""
    overall = groups.overall
    out = []
    for name, part in groups.fits.items():
        wanted = set(part.rows.tolist())
        places = {i for i, row in enumerate(overall.rows.tolist()) if row in wanted}
        out.append((name, places, part))
    if sum(len(places) for _, places, _ in out) != shown.k:
        raise InputError("subgroups", found="groups of other studies", expected="one group for each study of the fit")
    return out


def _summary(
    part: Shown,
    layout: ForestLayout,
    reader: Reader,
    kind: str,
    group: str,
    weight: float,
    own_n: Array | None,
    members: set[int],
    *,
    prediction: bool = False,
) -> list[Row]:
    """Make the rows of a pooled result: its diamond, its prediction interval, and the lines of its tests."""
    n = None if own_n is None else own_n[sorted(members)]
    ends = [part.estimate, part.ci_low, part.ci_high, part.pi_low, part.pi_high]
    middle, low, high, pi_low, pi_high = (float(x) for x in reader.read(ends, people(reader.measure, n)))
    known = {"level": f"{part.level:.0%}", "group": group, "studies": words.counted(part.k, "study", "studies")}
    known["people"] = "" if n is None or not np.isfinite(n).all() else f"{words.count(round(float(n.sum())))} people"
    template = layout.overall if kind == "overall" else layout.subtotal
    rows = [
        Row(
            kind=kind,
            label=template.format(**known),
            group=group,
            estimate=middle,
            low=low,
            high=high,
            weight=weight,
        )
    ]
    if prediction and math.isfinite(pi_low):
        rows.append(Row(kind="prediction", label=layout.prediction.format(**known), low=pi_low, high=pi_high))
    lines = ("heterogeneity", "test") if kind == "overall" else ("heterogeneity",)
    return rows + _notes(layout, _words(part, layout), lines, group)


def _words(part: Shown, layout: ForestLayout) -> dict[str, str]:
    values = _spell(part.facts, layout)
    values["test"] = "z" if part.df is None else "t"
    return values


def _spell(facts: Mapping[str, float], layout: ForestLayout) -> dict[str, str]:
    """Write the numbers of notes; those that do not exist are left out."""
    out = {}
    for name, value in facts.items():
        if not math.isfinite(value):
            continue
        if name.endswith("p"):
            text = p_value(value, zero=layout.zero)
            out[name] = text if layout.joint != ", " else text.replace(" ", "")
        elif name.endswith("df"):
            out[name] = f"{value:g}"
        elif name in {"i2", "r2"}:
            out[name] = f"{value:.0f}"
        elif name == "statistic":
            out[name] = minus(f"{value:.2f}")
        else:
            out[name] = significant(value, 2 if name == "tau2" else 3 if abs(value) < 100 else 4)
    return out


def _notes(layout: ForestLayout, values: dict[str, str], lines: tuple[str, ...], group: str = "") -> list[Row]:
    rows = []
    for line in lines:
        pieces = []
        for template in getattr(layout, line):
            try:
                pieces.append(template.format(**values))
            except KeyError:
                continue
        if pieces:
            rows.append(Row(kind="note", label=layout.joint.join(pieces), group=group))
    return rows


def _footnotes(shown: Shown, groups: Subgroups | None, flags: list[bool]) -> tuple[str, ...]:
    area = "weights" if shown.weights is not None else "precision"
    lines = [f"{shown.method}. {shown.level:.0%} confidence intervals. Areas of squares: {area}."]
    if shown.kind == "regression":
        lines.append("Pale diamonds: fitted values with their confidence intervals.")
    if groups is not None:
        lines.append("One tau² for all groups." if groups.common_tau2 else "A tau² for each group.")
    if any(flags):
        lines.append("Diamond in place of a square: a new study.")
    out = [" ".join(lines)]
    if shown.dropped:
        out.append("Left out: " + "; ".join(shown.dropped) + ".")
    return tuple(out)


def _data_columns(columns: Any, shown: Shown, arms: tuple[str, str]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Heads and cells of the data columns, one list a column, one cell a study."""
    if columns is None:
        return (), []
    if isinstance(columns, EffectSizes):
        return _of_sizes(columns, shown, arms)
    found = {str(head): one_per_study(f"columns[{head!r}]", columns[head], shown) for head in columns}
    return tuple(found), [[_cell(value, 10_000) for value in column] for column in found.values()]


def _cell(value: Any, commas: int = 1000) -> str:
    """Write a value; whole numbers have commas from `commas` on (years must have none)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return "" if value is None or type(value).__name__ in {"NAType", "NaTType"} else str(value)
    number = float(value)
    if math.isnan(number):
        return ""
    if not number.is_integer():
        return minus(f"{number:,.4g}")
    return minus(f"{number:,.0f}" if abs(number) >= commas else f"{number:.0f}")


def _aligned(values: Sequence[float]) -> list[str]:
    """Write a column of means or standard deviations with one number of decimals: as many as they have, two at most.

    Examples
    --------
    >>> _aligned([5.1, 3.0, -12.25]), _aligned([20.0, 3.0])
    (['5.10', '3.00', '−12.25'], ['20', '3'])
    """
    known = [float(value) for value in values if math.isfinite(value)]
    small = max((abs(value) for value in known), default=0.0)
    most = 2 if small >= 0.1 else 4
    needed = max((len(f"{value:.{most}f}".rstrip("0").partition(".")[2]) for value in known), default=0)
    return ["" if not math.isfinite(value) else minus(f"{value:,.{needed}f}") for value in values]


def _of_sizes(sizes: EffectSizes, shown: Shown, arms: tuple[str, str]) -> tuple[tuple[str, ...], list[list[str]]]:
    data = {name: one_per_study(f"columns.{name}", column, shown) for name, column in sizes.inputs.items()}
    if len(arms) != 2:
        raise InputError("arms", found=f"{len(arms)} names", expected="two, for group 1 and group 2")
    heads: list[str] = []
    cells: list[list[str]] = []
    for arm, name in (("_1", arms[0]), ("_2", arms[1]), ("", "")):
        top = f"{name}\n" if name else ""
        for count, size, head in (
            (f"events{arm}", f"total{arm}", "events / total"),
            (f"cases{arm}", f"total{arm}", "cases / total"),
            (f"events{arm}", f"time{arm}", "events / time"),
        ):
            if count in data and size in data:
                heads.append(f"{top}{head}")
                pairs = zip(data[count], data[size], strict=True)
                cells.append([f"{_cell(a)} / {_cell(b)}" for a, b in pairs])
        if f"mean{arm}" in data and f"sd{arm}" in data:
            heads.append(f"{top}mean (SD)")
            pairs = zip(_aligned(data[f"mean{arm}"]), _aligned(data[f"sd{arm}"]), strict=True)
            cells.append([f"{a} ({b})" for a, b in pairs])
        if f"n{arm}" in data:
            heads.append("n")
            cells.append([_cell(value) for value in data[f"n{arm}"]])
    return tuple(heads), cells
