"""From study data to effect sizes: :func:`effect_sizes` and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from comfrey.effects._checks import suspicious_rows
from comfrey.effects._columns import as_floats, check_columns, labels_of, pick, same_length
from comfrey.effects._given import GIVEN, read_given
from comfrey.effects._increments import IncrementRule, add_increments
from comfrey.effects._statistics import from_statistic, statistic_inputs
from comfrey.effects.registry import GENERIC, find_measure
from comfrey.errors import InputError
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from comfrey.effects.measure import Array, Measure

__all__ = ["EffectSizes", "RowNote", "effect_sizes"]


@dataclass(frozen=True, slots=True)
class RowNote:
    """Something to know about one row: its number (from 0), the study's label, a code and the message."""

    row: int
    study: str | None
    code: str
    message: str

    def __str__(self) -> str:
        place = f"row {self.row}" if self.study is None else f"row {self.row} ({self.study})"
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class EffectSizes(Result):
    """Effect sizes of k studies, with what was done to get them.

    Attributes
    ----------
    yi, vi : arrays of shape (k,)
        Estimates and sampling variances on the scale of analysis; not-a-number where `warnings` says why.
    measure : Measure
        Compares equal to its name.
    n : array of shape (k,)
        People (or measurements) behind each row; not-a-number where unknown.
    study : tuple of str
        Labels; empty if none were given.
    increments : array of shape (k,)
        What was added to the cells of each row (of group 1); zero where nothing was.
    increment_rule : str
        The rule in words.
    derivation : str
        How the variances came about.
    warnings : tuple of RowNote
        Rows that could not be computed, and rows that look wrong.
    inputs : dict of str to array
        The columns as given (before increments).
    """

    yi: Array
    vi: Array
    measure: Measure
    n: Array
    study: tuple[str, ...]
    increments: Array
    increment_rule: str
    derivation: str
    warnings: tuple[RowNote, ...]
    inputs: Mapping[str, Array] = field(repr=False)

    def __len__(self) -> int:
        return int(self.yi.size)

    @property
    def k(self) -> int:
        """Number of rows."""
        return int(self.yi.size)

    @property
    def se(self) -> Array:
        """Standard errors, the roots of `vi`."""
        return np.sqrt(self.vi)

    @property
    def usable(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows have an estimate and a variance."""
        return np.isfinite(self.yi) & np.isfinite(self.vi)

    def to_frame(self) -> pd.DataFrame:
        """One row a study: label, inputs, increment, yi, vi and the estimate on the reading scale."""
        import pandas as pd

        columns: dict[str, Any] = {"study": list(self.study)} if self.study else {}
        columns |= self.inputs
        columns |= {"n": self.n, "increment": self.increments, "yi": self.yi, "vi": self.vi, "se": self.se}
        columns["reading"] = self.measure.back_transform(self.yi, self.n if self.measure.scale.needs_n else None)
        return pd.DataFrame({name: column for name, column in columns.items() if name != "n" or "n" not in self.inputs})

    @property
    def summary(self) -> pd.DataFrame:
        """Estimates, variances and 95 % intervals of each study, scale of analysis."""
        import pandas as pd

        half = 1.959963984540054 * self.se
        table = {"yi": self.yi, "vi": self.vi, "ci_low": self.yi - half, "ci_high": self.yi + half}
        return pd.DataFrame(table, index=list(self.study) if self.study else None)

    @property
    def headline(self) -> tuple[str, ...]:
        """Measure, number of studies, increments and warnings."""
        lines = [
            f"{self.measure.name}: {self.measure.analysis_label}, {self.k} studies, variance from {self.derivation}"
        ]
        if self.increments.any():
            lines.append(f"{self.increment_rule}: added in {int(np.count_nonzero(self.increments))} of {self.k} rows")
        return (*lines, *(f"warning: {note}" for note in self.warnings))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the measure by its name, warnings as text."""
        from comfrey.results import plain

        return {
            "measure": self.measure.name,
            "yi": plain(self.yi),
            "vi": plain(self.vi),
            "n": plain(self.n),
            "study": list(self.study),
            "increments": plain(self.increments),
            "increment_rule": self.increment_rule,
            "derivation": self.derivation,
            "warnings": [str(note) for note in self.warnings],
            "inputs": plain(dict(self.inputs)),
        }


def effect_sizes(
    measure: str | Measure,
    *,
    data: Any = None,
    study: object = None,
    increment: float | str = 0.5,
    increment_to: IncrementRule = "zero-rows",
    double_zero: str = "keep",
    scale: Literal["analysis", "reading"] | None = None,
    level: float = 0.95,
    **columns: object,
) -> EffectSizes:
    """Compute effect sizes and sampling variances from study data.

    Parameters
    ----------
    measure : str or Measure
        For example ``"RR"``; :func:`comfrey.measures` lists them, with the columns that each one needs.
    data : DataFrame or mapping, optional
        Where column names are looked up; then the columns may be given as names.
    study : array of labels, or a column name, optional
        Labels for messages, tables and figures.
    increment : float or "other-arm"
        What is added to cells where a zero would leave no estimate; "other-arm" adds each arm's share of the people.
    increment_to : {"zero-rows", "all-rows", "all-if-any-zero", "none"}
        Which rows get it. The result says in `increments` what was added where.
    double_zero : {"keep", "drop"}
        Whether two-by-two rows without events (or without non-events) in both groups are used.
    scale : {"analysis", "reading"}, optional
        For given estimates only: the scale of the figures. A risk ratio of 0.8 is on the reading scale, its
        logarithm on
        the scale of analysis, which is the default; intervals that are plainly on the other one are then refused.
    level : float
        For given intervals only: their confidence level.
    **columns : arrays of shape (k,) or column names
        What the measure is computed from, e.g. ``events_1, total_1, events_2, total_2``; or, for any measure,
        `estimate`
        with one of `variance`, `se`, `ci_low` and `ci_high`, `t`, `f`, `z`, `p` (and `df` for t distributions); or,
        for
        SMD and correlations, a test statistic `t`, or `f` or two-sided `p` with `sign`, beside the numbers of people
        (and of predictors for PCOR).

    Returns
    -------
    EffectSizes

    Raises
    ------
    InputError
        If a column is missing, unknown, of another length, or holds an impossible value (the row is named). Missing
        values
        are no error: such rows stay, without an estimate, and `warnings` names them.

    Examples
    --------
    >>> sizes = effect_sizes("RR", events_1=[4, 0], total_1=[123, 50], events_2=[11, 3], total_2=[139, 50])
    >>> sizes.yi.round(4), sizes.increments
    (array([-0.8893, -1.9459]), array([0. , 0.5]))
    >>> effect_sizes("OR", estimate=[0.5], ci_low=[0.25], ci_high=[1.0], scale="reading").vi.round(4)
    array([0.1251])
    """
    chosen = find_measure(measure)
    if double_zero not in {"keep", "drop"}:
        raise InputError("double_zero", found=repr(double_zero), expected="'keep' or 'drop'")
    if not 0 < level < 1:
        raise InputError("level", found=level, expected="a number between 0 and 1")
    by_statistic = statistic_inputs(chosen, columns)
    wanted = GIVEN if "estimate" in columns or chosen is GENERIC else by_statistic or chosen.inputs
    _check_names(chosen, wanted, columns)
    read = same_length({name: as_floats(name, pick(name, value, data)) for name, value in columns.items()})
    k = next(iter(read.values())).size
    labels = labels_of(study, data, k)
    notes: list[tuple[int, str, str]] = _missing(read)
    if wanted is GIVEN:
        yi, vi, found, derivation = read_given(chosen, read, level, scale)
        notes += [(row, "asymmetric-interval", message) for row, message in found]
        added, rule = np.zeros(k), "no increments: estimates are as given"
    elif by_statistic:
        check_columns(read)
        yi, vi, derivation = from_statistic(chosen, read)
        added, rule = np.zeros(k), "no increments: the measure needs none"
    else:
        check_columns(read)
        filled, added = add_increments(chosen, read, increment, increment_to)
        with np.errstate(all="ignore"):
            yi, vi = chosen.formula(**{name: filled[name] for name in chosen.inputs})
        rule = _rule_in_words(chosen.increments, increment, increment_to)
        derivation = "the formula of the measure"
        if double_zero == "drop" and chosen.inputs[:1] == ("events_1",):
            yi, vi, found_drops = _drop_double_zero(read, yi, vi)
            added = np.where(np.isnan(yi), 0.0, added)
            notes += found_drops
    yi, vi, failures = _without_number(chosen, read, np.asarray(yi, dtype=float), np.asarray(vi, dtype=float), notes)
    notes += failures + suspicious_rows(chosen, read, yi, vi)
    return EffectSizes(
        yi=yi,
        vi=vi,
        measure=chosen,
        n=_sizes(chosen, read, k),
        study=labels,
        increments=added,
        increment_rule=rule,
        derivation=derivation,
        warnings=tuple(
            RowNote(row, labels[row] if labels else None, code, text)
            for row, code, text in sorted(notes, key=lambda x: x[0])
        ),
        inputs=read,
    )


def _check_names(measure: Measure, wanted: tuple[str, ...], columns: Mapping[str, object]) -> None:
    extra = [name for name in columns if name not in wanted]
    absent = [] if wanted is GIVEN else [name for name in wanted if name not in columns]
    if wanted is GIVEN and "estimate" not in columns:
        absent = ["estimate"]
    needs = ", ".join(("estimate with variance, se, interval or statistic",) if wanted is GIVEN else wanted)
    if extra:
        raise InputError(extra[0], found="a column that is not used", expected=f"for {measure.name}: {needs}")
    if absent:
        raise InputError(absent[0], found="nothing", expected=f"a column; {measure.name} needs {needs}")


def _missing(columns: Mapping[str, Array]) -> list[tuple[int, str, str]]:
    """One note for each row in which something is missing."""
    gaps: dict[int, list[str]] = {}
    for name, column in columns.items():
        for row in np.flatnonzero(np.isnan(column)):
            gaps.setdefault(int(row), []).append(name)
    return [(row, "missing", f"no estimate: {', '.join(names)} missing") for row, names in gaps.items()]


def _drop_double_zero(
    columns: Mapping[str, Array], yi: Array, vi: Array
) -> tuple[Array, Array, list[tuple[int, str, str]]]:
    none = (columns["events_1"] == 0) & (columns["events_2"] == 0)
    if "total_1" in columns:
        none |= (columns["events_1"] == columns["total_1"]) & (columns["events_2"] == columns["total_2"])
    yi, vi = np.where(none, np.nan, yi), np.where(none, np.nan, vi)
    text = "left out: both groups have no events, or nothing but events (double_zero='drop')"
    return yi, vi, [(int(row), "double-zero", text) for row in np.flatnonzero(none)]


def _without_number(
    measure: Measure, columns: Mapping[str, Array], yi: Array, vi: Array, notes: list[tuple[int, str, str]]
) -> tuple[Array, Array, list[tuple[int, str, str]]]:
    """Rows whose formula gives no number: both values become not-a-number, and a note says why."""
    bad = ~(np.isfinite(yi) & np.isfinite(vi) & (vi >= 0))
    explained = {row for row, _, _ in notes if not np.isfinite(yi[row]) or not np.isfinite(vi[row])}
    found = []
    for row in np.flatnonzero(bad):
        if int(row) not in explained:
            values = ", ".join(f"{name} {column[row]:g}" for name, column in columns.items())
            found.append((int(row), "not-estimable", f"no {measure.name} can be computed from {values}"))
    zero = np.flatnonzero(~bad & (vi == 0))
    found += [(int(row), "zero-variance", "the sampling variance is zero: this row cannot be weighted") for row in zero]
    return np.where(bad, np.nan, yi), np.where(bad, np.nan, vi), found


def _sizes(measure: Measure, columns: Mapping[str, Array], k: int) -> Array:
    known = [columns[name] for name in measure.n_inputs if name in columns]
    if not known or len(known) < len(measure.n_inputs):
        return np.full(k, np.nan)
    return np.asarray(np.sum(known, axis=0), dtype=float)


def _rule_in_words(kind: str, increment: float | str, rule: str) -> str:
    if kind == "none":
        return "no increments: the measure needs none"
    if rule == "none":
        return "no increments, as asked"
    amount = "each arm's share of the people" if isinstance(increment, str) else f"{increment:g}"
    where = {
        "zero-rows": "rows with a zero",
        "all-rows": "all rows",
        "all-if-any-zero": "all rows if any has a zero",
    }[rule]
    return f"increment of {amount} to each cell of {where}"
