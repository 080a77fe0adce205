"""From one row an arm to one row a comparison: :func:`contrasts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from comfrey.errors import InputError
from comfrey.models.network._arm_measures import COUNT_MEASURES, MEASURES, Levels
from comfrey.models.network._input import column, labels, numbers
from comfrey.results import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Contrasts", "contrasts"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Contrasts(Result):
    """All comparisons within each study, ready for :func:`comfrey.network`.

    Attributes
    ----------
    measure : str
        Effect measure; ratios are logarithms.
    yi, vi : (m,) arrays
        Effect of treatment 1 minus treatment 2, and its variance. The variances of all comparisons of a multi-arm
        study hold its covariance: cov(y_ab, y_ac) = (v_ab + v_ac - v_bc) / 2.
    treat_1, treat_2, study : tuples of str
        Labels.
    dropped : tuple of (str, str)
        Studies that were left out, each with its reason.
    adjusted : tuple of str
        Studies with an empty cell, to which `increment` was added in every arm.
    increment : float
        As asked for.
    arms : DataFrame
        One row an arm of the kept studies: study, treatment and the columns of the measure, as given.
    notes : tuple of str
        The same in sentences.
    """

    measure: str
    yi: NDArray[np.float64]
    vi: NDArray[np.float64]
    treat_1: tuple[str, ...]
    treat_2: tuple[str, ...]
    study: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]
    adjusted: tuple[str, ...]
    increment: float
    arms: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a comparison."""
        return pd.DataFrame(
            {"study": self.study, "treat_1": self.treat_1, "treat_2": self.treat_2, "yi": self.yi, "vi": self.vi}
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the same as `summary`."""
        return self.summary

    @property
    def headline(self) -> tuple[str, ...]:
        """Measure, sizes, and what was dropped or adjusted."""
        return (f"{self.yi.size} comparisons of {len(set(self.study))} studies, measure {self.measure}", *self.notes)


def _check_arm_values(measure: str, values: dict[str, NDArray[np.float64]], study: NDArray[np.str_]) -> None:
    """Refuse what cannot be a count, a size, a time or a standard deviation, naming row and study."""
    rules: dict[str, tuple[Any, str]] = {
        "events": (lambda x: x >= 0, "a count of zero or more"),
        "total": (lambda x: x > 0, "a number above zero"),
        "time": (lambda x: x > 0, "a time above zero"),
        "sd": (lambda x: x > 0, "a standard deviation above zero"),
        "n": (lambda x: x >= 1, "a number of one or more"),
        "mean": (
            lambda x: x != 0 if measure == "ROM" else np.isfinite(x),
            "a mean" + " other than zero" * (measure == "ROM"),
        ),
    }
    for name, array in values.items():
        rule, expected = rules[name]
        good = np.isfinite(array) & rule(array)
        if not good.all():
            i = int(np.flatnonzero(~good)[0])
            raise InputError(name, found=f"{array[i]} (study {study[i]})", expected=expected, row=i)
    if "total" in values:
        bad = np.flatnonzero(values["events"] > values["total"])
        if bad.size:
            i = int(bad[0])
            raise InputError(
                "events", row=i, expected=f"at most the total of {values['total'][i]:g}",
                found=f"{values['events'][i]:g} (study {study[i]})",
            )  # fmt: skip


def _arms_of(study: NDArray[np.str_], treatment: NDArray[np.str_]) -> list[tuple[str, NDArray[np.int64]]]:
    """Rows of each study, in order of appearance; a treatment twice in one study is refused."""
    _, at, which = np.unique(study, return_index=True, return_inverse=True)
    result = []
    for label in np.argsort(at):
        rows = np.flatnonzero(which == label)
        names, first = np.unique(treatment[rows], return_index=True)
        if names.size < rows.size:
            again = int(np.setdiff1d(rows, rows[first])[0])
            raise InputError(
                "treatment", row=again, expected="each treatment once within a study",
                found=f"{treatment[again]} again in study {study[again]}",
                fix="Add up the arms of one treatment before, or give doses their own labels",
            )  # fmt: skip
        result.append((str(study[rows[0]]), rows))
    return result


def _why_drop(measure: str, values: dict[str, NDArray[np.float64]], rows: NDArray[np.int64]) -> str | None:
    """Say why a study tells nothing of the effect, if it does not."""
    if rows.size == 1:
        return "only one arm"
    if measure in {"OR", "RR", "IRR"} and not values["events"][rows].any():
        return "no events in any arm"
    if measure == "OR" and (values["events"][rows] == values["total"][rows]).all():
        return "events in everyone in every arm"
    if measure == "SMD" and values["n"][rows].sum() - rows.size < 2:
        return "too few participants for a standard deviation"
    if measure == "ROM" and np.unique(np.sign(values["mean"][rows])).size > 1:
        return "means of different sign have no ratio"
    return None


def _has_empty_cell(measure: str, values: dict[str, NDArray[np.float64]], rows: NDArray[np.int64]) -> bool:
    if measure not in COUNT_MEASURES:
        return False
    events = values["events"][rows]
    full = "total" in values and measure in {"OR", "RR", "RD"} and bool((events == values["total"][rows]).any())
    return bool((events == 0).any()) or full


def _study_levels(
    measure: str, values: dict[str, NDArray[np.float64]], rows: NDArray[np.int64], increment: float
) -> tuple[Levels, bool]:
    """Levels of the arms of one study, with the increment where a cell is empty, and whether it was."""
    needed, formula = MEASURES[measure]
    picked = {name: values[name][rows] for name in needed}
    empty = _has_empty_cell(measure, values, rows)
    if empty and increment > 0:
        picked["events"] = picked["events"] + increment
        if "total" in picked:
            picked["total"] = picked["total"] + 2 * increment
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite is refused by the caller
        return formula(*(picked[name] for name in needed)), empty


def contrasts(
    frame: pd.DataFrame,
    measure: Literal["OR", "RR", "RD", "IRR", "IRD", "MD", "SMD", "ROM"],
    *,
    study: str = "study",
    treatment: str = "treatment",
    events: str | None = None,
    total: str | None = None,
    time: str | None = None,
    mean: str | None = None,
    sd: str | None = None,
    n: str | None = None,
    increment: float = 0.5,
) -> Contrasts:
    r"""Compare the arms of each study, with the right covariance within multi-arm studies.

    .. math:: y_{ij} = \ell_i - \ell_j, \qquad v_{ij} = s_i + s_j

    with a level and a variance of each arm (for SMD, see Notes).

    Parameters
    ----------
    frame : DataFrame
        One row an arm.
    measure : str
        OR, RR, RD need `events` and `total`; IRR, IRD `events` and `time`; MD, SMD, ROM `mean`, `sd` and `n`.
    study, treatment, events, total, time, mean, sd, n : str
        Names of columns.
    increment : float
        Added to the events (and twice to the totals) of all arms of a study with an empty cell. Zero forbids it,
        and such studies raise.

    Returns
    -------
    Contrasts

    Raises
    ------
    InputError
        For a column that is missing, a value that cannot be, a treatment twice in a study, or no study left.

    Notes
    -----
    Studies with no events in any arm (OR, RR, IRR), with events in everyone (OR), or with one arm say nothing of the
    effect; they are left out, and `dropped` says so. SMD divides by the standard deviation of all arms of a study,
    so that its comparisons add up, with the covariance of Gleser & Olkin 2009.

    References
    ----------
    Franchini AJ, Dias S, Ades AE, et al. Res Synth Methods 2012;3:142-160, doi:10.1002/jrsm.1049.

    Examples
    --------
    >>> import pandas as pd
    >>> arms = pd.DataFrame({"study": [1, 1, 1], "treatment": list("ABC"), "x": [10, 20, 30], "n": [100, 100, 100]})
    >>> contrasts(arms, "RD", events="x", total="n").summary.round(4)
      study treat_1 treat_2   yi      vi
    0     1       A       B -0.1  0.0025
    1     1       A       C -0.2  0.0030
    2     1       B       C -0.1  0.0037
    """
    if measure not in MEASURES:
        raise InputError("measure", found=repr(measure), expected=f"one of {', '.join(MEASURES)}")
    if not (np.isfinite(increment) and increment >= 0):
        raise InputError("increment", found=increment, expected="zero or more")
    given = {"events": events, "total": total, "time": time, "mean": mean, "sd": sd, "n": n}
    values: dict[str, NDArray[np.float64]] = {}
    for name in MEASURES[measure][0]:
        chosen = given[name]
        if chosen is None:
            raise InputError(name, found="nothing", expected=f"the name of a column, needed for {measure}")
        values[name] = numbers(column(chosen, name, frame), name)
    trial, arm = (
        labels(column(study, "study", frame), "study"),
        labels(column(treatment, "treatment", frame), "treatment"),
    )
    if not trial.size:
        raise InputError("frame", found="no rows", expected="one row an arm")
    _check_arm_values(measure, values, trial)
    return _compare(measure, values, trial, arm, increment)


def _compare(
    measure: str,
    values: dict[str, NDArray[np.float64]],
    trial: NDArray[np.str_],
    arm: NDArray[np.str_],
    increment: float,
) -> Contrasts:
    dropped, adjusted, kept = [], [], []
    y, v, one, two, where = [], [], [], [], []
    for name, rows in _arms_of(trial, arm):
        reason = _why_drop(measure, values, rows)
        if reason:
            dropped.append((name, reason))
            continue
        levels, empty = _study_levels(measure, values, rows, increment)
        if empty and increment > 0:
            adjusted.append(name)
        i, j = np.triu_indices(rows.size, 1)
        with np.errstate(invalid="ignore"):
            effect, variance = levels.pair(i, j)
        if not (np.isfinite(effect) & np.isfinite(variance) & (variance > 0)).all():
            raise InputError(
                "increment", found=increment, row=int(rows[0]),
                expected=f"a value above zero, as study {name} has an empty cell",
            )  # fmt: skip
        y.append(effect)
        v.append(variance)
        one += arm[rows[i]].tolist()
        two += arm[rows[j]].tolist()
        where += [name] * i.size
        kept.append(rows)
    if not y:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in dropped)
        raise InputError("frame", found=f"no study that says something ({reasons})", expected="at least one study")
    notes = [f"Left out: study {name} ({reason})" for name, reason in dropped]
    if adjusted:
        notes.append(f"{increment:g} added to every arm of studies with an empty cell: {', '.join(adjusted)}")
    rows = np.concatenate(kept)
    arms = pd.DataFrame({"study": trial[rows], "treatment": arm[rows]} | {key: x[rows] for key, x in values.items()})
    return Contrasts(
        measure=measure, yi=np.concatenate(y), vi=np.concatenate(v), treat_1=tuple(one), treat_2=tuple(two),
        study=tuple(where), dropped=tuple(dropped), adjusted=tuple(adjusted), increment=increment, arms=arms,
        notes=tuple(notes),
    )  # fmt: skip
