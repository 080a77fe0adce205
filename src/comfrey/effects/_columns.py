"""Reading the columns of study data: arrays or column names in, checked arrays of one length out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfrey.effects.measure import Array

__all__ = ["FEW", "as_floats", "check_columns", "labels_of", "pick", "surely_finite"]

FEW = 25  # numbers up to which a loop is quicker than an array
COUNTS = {"events_1", "events_2", "events", "cases"}
TOTALS = {"total_1", "total_2", "total", "time_1", "time_2", "time", "n", "n_1", "n_2"}
SPREADS = {"sd_1", "sd_2", "sd", "sd_pre", "sd_post"}
_WITHIN = {"events_1": "total_1", "events_2": "total_2", "cases": "total"}


def pick(argument: str, value: object, data: Any) -> object:
    """Take a column of `data` if `value` names one, else `value` itself."""
    if not isinstance(value, str):
        return value
    if data is None:
        raise InputError(argument, found=repr(value), expected="an array", fix="Give data= to use column names.")
    try:
        return data[value]
    except (KeyError, IndexError, ValueError, TypeError):
        columns = ", ".join(map(str, getattr(data, "columns", list(data) if isinstance(data, dict) else [])))
        raise InputError(argument, found=repr(value), expected=f"a column of data ({columns})") from None


def as_floats(argument: str, value: object) -> Array:
    """Make a one-dimensional float array; missing values become not-a-number, text and infinity are refused.

    Examples
    --------
    >>> as_floats("n", [10, None, 12.5])
    array([10. ,  nan, 12.5])
    """
    raw = np.ma.filled(value.astype(float), np.nan) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    if raw.ndim == 0:
        raw = raw.reshape(1)
    if raw.ndim != 1:
        raise InputError(argument, found=f"an array of shape {raw.shape}", expected="one value a study")
    if raw.dtype.kind in "fiub":
        numbers = raw.astype(float)
    elif raw.dtype.kind == "O":
        numbers = np.array([_as_float(argument, row, item) for row, item in enumerate(raw.tolist())], dtype=float)
    else:
        raise InputError(argument, found=f"{raw.flat[0]!r}" if raw.size else "text", expected="numbers", row=0)
    if surely_finite(numbers):
        return numbers
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise InputError(argument, found=float(numbers[row]), expected="a finite number", row=row)
    return numbers


def surely_finite(numbers: Array) -> bool:
    """Whether the sum of a few numbers shows that all are finite; false may also mean that it cannot tell.

    A dozen numbers are added in a tenth of the time that arrays of flags take.
    """
    return numbers.size <= FEW and math.isfinite(sum(numbers.tolist()))


def _as_float(argument: str, row: int, item: Any) -> float:
    if item is None or type(item).__name__ in {"NAType", "NaTType"}:
        return float("nan")
    if isinstance(item, (str, bytes, complex)):
        raise InputError(argument, found=repr(item), expected="a number", row=row)
    try:
        return float(item)
    except (TypeError, ValueError, OverflowError):
        raise InputError(argument, found=repr(item), expected="a number", row=row) from None


def same_length(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Bring single values to the length of the others; refuse columns of different lengths."""
    length = max((column.size for column in columns.values()), default=0)
    if any(column.size == 0 for column in columns.values()):
        length = 0
    out = {}
    for name, column in columns.items():
        if column.size not in {1, length}:
            raise InputError(name, found=f"{column.size} values", expected=f"{length} values, one a study")
        out[name] = np.full(length, column[0]) if column.size == 1 and length != 1 else column
    return out


def labels_of(study: object, data: Any, k: int) -> tuple[str, ...]:
    """Labels of the studies as text, ``row 3`` where one is missing; an empty tuple where none were given."""
    if study is None:
        return ()
    items = np.asarray(pick("study", study, data)).ravel().tolist()
    # what tables of all kinds have where a label is missing, as text
    gone = ("", "nan", "None", "<NA>", "NaT")
    labels = tuple(f"row {row}" if str(item).strip() in gone else str(item) for row, item in enumerate(items))
    if len(labels) != k:
        raise InputError("study", found=f"{len(labels)} labels", expected=f"{k} labels, one a study")
    return labels


def _refuse(bad: np.ndarray[Any, Any], name: str, column: Array, expected: str, fix: str | None = None) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(name, found=f"{column[row]:g}", expected=expected, row=row, fix=fix)


def check_columns(columns: Mapping[str, Array]) -> None:
    """Refuse what cannot be: negative counts, more events than people, correlations beyond one."""
    for name, column in columns.items():
        if name in COUNTS:
            _refuse(column < 0, name, column, "a count of zero or more")
        elif name in TOTALS:
            _refuse(column <= 0, name, column, "a number above zero")
        elif name in SPREADS:
            _refuse(column < 0, name, column, "a standard deviation of zero or more")
        elif name == "r":
            _refuse(np.abs(column) > 1, name, column, "a correlation between -1 and 1")
        elif name == "predictors":
            _refuse(column < 1, name, column, "one predictor or more", "Count the predictor of interest too.")
    for name, total in _WITHIN.items():
        if name in columns and total in columns:
            bad = columns[name] > columns[total]
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise InputError(
                    name,
                    found=f"{columns[name][row]:g}",
                    expected=f"at most {total} ({columns[total][row]:g})",
                    row=row,
                )
