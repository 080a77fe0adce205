"""Reading and checking the rows of a network: one row a comparison within a study."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError
from comfrey.models.network._structure import ArmGroup, Structure, arm_group, build

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Rows", "column", "labels", "numbers", "read_rows", "structure_of"]

# Contrasts of a multi-arm study may miss adding up by this share of their smallest standard error: rounding.
_CLOSURE = 0.05


@dataclass(frozen=True, slots=True)
class Rows:
    """The checked rows of a network.

    Attributes
    ----------
    yi, vi : (m,) float arrays
        Effect of treatment 1 minus treatment 2, and its sampling variance.
    first, second : (m,) int arrays
        Indices of the treatments.
    study : (m,) int array
        Index of the study.
    treatments, studies : tuples of str
        Labels: treatments in sorted order, studies in order of appearance.
    """

    yi: NDArray[np.float64]
    vi: NDArray[np.float64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    study: NDArray[np.int64]
    treatments: tuple[str, ...]
    studies: tuple[str, ...]


def column(values: Any, argument: str, data: Any) -> Any:
    """Take a column of `data` where `values` is its name, else `values` itself."""
    if not isinstance(values, str):
        return values
    if data is None:
        raise InputError(argument, found=repr(values), expected="an array", fix="Give data= to use a column name")
    if values not in data:
        names = ", ".join(map(str, data))
        raise InputError(argument, found=repr(values), expected=f"a column of data ({names})")
    return data[values]


def numbers(values: ArrayLike, argument: str) -> NDArray[np.float64]:
    """Make a one-dimensional float array; what is not a number is named with its row."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        for row, value in enumerate(np.asarray(values, dtype=object).ravel()):
            try:
                float(value)
            except (TypeError, ValueError):
                raise InputError(argument, found=repr(value), expected="a number", row=row) from None
        raise InputError(argument, found=type(values).__name__, expected="a list of numbers") from None
    if array.ndim != 1:
        raise InputError(argument, found=f"{array.ndim} dimensions", expected="one dimension")
    return array


def labels(values: Iterable[Any], argument: str) -> NDArray[np.str_]:
    """Labels as text without outer blanks; a missing one is named with its row."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InputError(argument, found=repr(values), expected="one label a row")
    result = []
    for row, value in enumerate(values):
        if isinstance(value, (float, np.floating)) and np.isfinite(value) and float(value).is_integer():
            text = str(int(value))  # spreadsheets turn whole numbers into floats
        else:
            text = "" if _is_missing(value) else str(value).strip()  # NaN
        if not text or text == "<NA>":
            raise InputError(argument, found="nothing", expected="a label", row=row)
        result.append(text)
    return np.asarray(result, dtype=np.str_)


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA (which cannot be compared, not even with itself)."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _check_numbers(yi: NDArray[np.float64], vi: NDArray[np.float64], study: NDArray[np.str_]) -> None:
    bad = np.flatnonzero(~np.isfinite(yi))
    if bad.size:
        i = int(bad[0])
        raise InputError(
            "yi", found=f"{yi[i]} (study {study[i]})", expected="a finite estimate", row=i,
            fix="Leave the study out, and say why",
        )  # fmt: skip
    bad = np.flatnonzero(~(np.isfinite(vi) & (vi > 0)))
    if bad.size:
        i = int(bad[0])
        raise InputError(
            "vi", found=f"{vi[i]} (study {study[i]})", expected="a finite variance above zero", row=i,
            fix="Variances are squared standard errors; a study without one cannot be used",
        )  # fmt: skip


def read_rows(yi: Any, vi: Any, treat_1: Any, treat_2: Any, study: Any) -> Rows:
    """Check the rows of a network.

    Parameters
    ----------
    yi, vi : (m,) array-like
        Effects (treatment 1 minus treatment 2) and sampling variances.
    treat_1, treat_2, study : (m,) array-like
        Labels.

    Returns
    -------
    Rows

    Raises
    ------
    InputError
        For lengths that differ, values that are not finite, variances that are not positive, missing labels,
        treatments compared with themselves and comparisons that a study gives twice.
    """
    y, v = numbers(yi, "yi"), numbers(vi, "vi")
    columns = [labels(c, name) for c, name in ((treat_1, "treat_1"), (treat_2, "treat_2"), (study, "study"))]
    for name, values in zip(("vi", "treat_1", "treat_2", "study"), (v, *columns), strict=True):
        if values.size != y.size:
            raise InputError(name, found=f"{values.size} values", expected=f"{y.size} values, as many as yi")
    if not y.size:
        raise InputError("yi", found="no rows", expected="at least one comparison")
    left, right, trial = columns
    _check_numbers(y, v, trial)
    same = np.flatnonzero(left == right)
    if same.size:
        i = int(same[0])
        raise InputError(
            "treat_2", found=f"{right[i]} compared with itself (study {trial[i]})",
            expected="two different treatments", row=i,
        )  # fmt: skip
    treatments, both = np.unique(np.concatenate([left, right]), return_inverse=True)
    names, at, which = np.unique(trial, return_index=True, return_inverse=True)
    order = np.argsort(at)
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    first, second = both[: y.size].astype(np.int64), both[y.size :].astype(np.int64)
    rows = Rows(
        y, v, first, second, place[which], tuple(treatments.tolist()), tuple(names[order].tolist())
    )  # fmt: skip
    _check_repeats(rows)
    return rows


def _check_repeats(rows: Rows) -> None:
    """Refuse a comparison that one study gives twice."""
    n = len(rows.treatments)
    low, high = np.minimum(rows.first, rows.second), np.maximum(rows.first, rows.second)
    key = (rows.study * n + low) * n + high
    order = np.argsort(key, kind="stable")
    twice = np.flatnonzero(np.diff(key[order]) == 0)
    if twice.size:
        i, j = sorted((int(order[twice[0]]), int(order[twice[0] + 1])))
        raise InputError(
            "study", row=j, expected="each comparison once within a study",
            found=f"{rows.treatments[low[j]]} with {rows.treatments[high[j]]} again in study "
            f"{rows.studies[rows.study[j]]} (first in row {i})",
            fix="Give separate studies separate labels, or combine the rows of one study before the network",
        )  # fmt: skip


def structure_of(rows: Rows) -> tuple[Structure, tuple[str, ...]]:
    """Turn checked rows into the numeric form of the network.

    Parameters
    ----------
    rows : Rows
        From :func:`read_rows`.

    Returns
    -------
    structure : Structure
    notes : tuple of str
        What was mended on the way.

    Raises
    ------
    InputError
        If a multi-arm study lacks a comparison, contradicts itself, or its variances are those of no covariance
        matrix (not positive definite).
    """
    count = np.bincount(rows.study, minlength=len(rows.studies))
    groups: list[ArmGroup] = []
    notes: list[str] = []
    for m in np.unique(count):
        members = np.flatnonzero(count == m)
        order = np.argsort(rows.study, kind="stable")
        picked = order[np.isin(rows.study[order], members)].reshape(members.size, m)
        group, note = _two_arms(rows, members, picked) if m == 1 else _many_arms(rows, members, picked)
        _check_positive(group, rows)
        groups.append(group)
        notes.extend(note)
    return build(rows.treatments, rows.studies, _merged(groups)), tuple(notes)


def _merged(groups: list[ArmGroup]) -> tuple[ArmGroup, ...]:
    return tuple(sorted(groups, key=lambda group: group.arms.shape[1]))


def _two_arms(rows: Rows, members: NDArray[np.int64], picked: NDArray[np.int64]) -> tuple[ArmGroup, tuple[str, ...]]:
    i = picked[:, 0]
    low, high = np.minimum(rows.first[i], rows.second[i]), np.maximum(rows.first[i], rows.second[i])
    contrast = np.where(rows.first[i] > rows.second[i], rows.yi[i], -rows.yi[i])  # high minus low
    return arm_group(members, np.column_stack([low, high]), contrast[:, None], rows.vi[i, None, None]), ()


def _arms_from_rows(count: int) -> int | None:
    """Find the a with a (a - 1) / 2 = count, if there is one."""
    a = round((1 + (1 + 8 * count) ** 0.5) / 2)
    return a if a * (a - 1) // 2 == count else None


def _many_arms(rows: Rows, members: NDArray[np.int64], picked: NDArray[np.int64]) -> tuple[ArmGroup, tuple[str, ...]]:
    """Studies that all have the same number of rows: covariances from the variances of every comparison.

    The covariance of the contrasts of b and c with a is (v_ab + v_ac - v_bc) / 2.
    """
    a = _arms_from_rows(picked.shape[1])
    arms = np.empty((members.size, a or 0), dtype=np.int64)
    for j, study in enumerate(members):
        present = np.unique(np.concatenate([rows.first[picked[j]], rows.second[picked[j]]]))
        if a is None or present.size != a:
            raise _missing(rows, int(study), picked[j], present)
        arms[j] = present
    k, size = members.size, arms.shape[1]
    local = np.arange(k)[:, None]
    find_first = (arms[:, None, :] == rows.first[picked][:, :, None]).argmax(axis=2)
    find_second = (arms[:, None, :] == rows.second[picked][:, :, None]).argmax(axis=2)
    y, v = np.zeros((k, size, size)), np.zeros((k, size, size))
    y[local, find_first, find_second] = rows.yi[picked]
    y[local, find_second, find_first] = -rows.yi[picked]
    v[local, find_first, find_second] = v[local, find_second, find_first] = rows.vi[picked]
    level = y.mean(axis=2)  # least squares over all comparisons; exact when they add up
    defect = np.abs(y - (level[:, :, None] - level[:, None, :])).max(axis=(1, 2))
    spread = np.sqrt(rows.vi[picked].min(axis=1))
    size_of_y = np.abs(rows.yi[picked]).max(axis=1)
    bad = np.flatnonzero(defect > _CLOSURE * spread)
    if bad.size:
        raise _contradiction(rows, int(members[bad[0]]), picked[bad[0]], float(defect[bad[0]]))
    rounded = np.flatnonzero(defect > 1e-8 * (size_of_y + spread))
    notes = tuple(
        f"study {rows.studies[members[j]]}: its comparisons miss adding up by {defect[j]:.2g} (rounding); "
        "they were adjusted by least squares"
        for j in rounded
    )
    covariance = 0.5 * (v[:, 1:, :1] + v[:, :1, 1:] - v[:, 1:, 1:])
    return arm_group(members, arms, level[:, 1:] - level[:, :1], covariance), notes


def _missing(rows: Rows, study: int, picked: NDArray[np.int64], present: NDArray[np.int64]) -> InputError:
    given = {frozenset((int(rows.first[i]), int(rows.second[i]))) for i in picked}
    absent = [
        f"{rows.treatments[i]} with {rows.treatments[j]}"
        for n, i in enumerate(present)
        for j in present[n + 1 :]
        if frozenset((int(i), int(j))) not in given
    ]
    return InputError(
        "study", row=int(picked[0]),
        expected=f"all {present.size * (present.size - 1) // 2} comparisons of a study with {present.size} arms",
        found=f"{picked.size} in study {rows.studies[study]}; missing: {', '.join(absent[:6])}",
        fix="The missing ones carry the covariance; make every row from the arms with comfrey.contrasts, or label "
        "separate studies differently",
    )  # fmt: skip


def _contradiction(rows: Rows, study: int, picked: NDArray[np.int64], defect: float) -> InputError:
    arms = Counter(rows.treatments[i] for i in np.concatenate([rows.first[picked], rows.second[picked]]))
    return InputError(
        "yi", row=int(picked[0]),
        expected="comparisons of a multi-arm study that add up (a - b plus b - c is a - c)",
        found=f"study {rows.studies[study]} ({', '.join(sorted(arms))}), where they miss by up to {defect:.3g}",
        fix="Look for a sign that was turned, or a comparison taken from another analysis",
    )  # fmt: skip


def _check_positive(group: ArmGroup, rows: Rows) -> None:
    low = group.variance.min(axis=1)
    bad = np.flatnonzero(~(low > 1e-12 * group.variance.max(axis=1)))
    if bad.size:
        study = int(group.studies[bad[0]])
        row = int(np.flatnonzero(rows.study == study)[0])
        raise InputError(
            "vi", row=row,
            expected="variances that belong to a positive definite covariance matrix",
            found=f"study {rows.studies[study]}, whose smallest eigenvalue is {low[bad[0]]:.3g}",
            fix="In a multi-arm study each comparison's variance is the sum of two arms' variances, or close to it",
        )  # fmt: skip
