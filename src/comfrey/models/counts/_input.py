"""From arguments (arrays, or column names of a frame) to clean counts, with the rows that had to stay out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from comfrey.errors import InputError, NotEstimableError

if TYPE_CHECKING:
    from comfrey.models.counts._kernels import Array

__all__ = ["Counts", "read_counts"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts (arms, k) and their denominators (arms, k), the rows they came from, and the rows left out."""

    events: Array
    size: Array
    rows: tuple[int, ...]
    excluded: tuple[tuple[int, str], ...]

    def without(self, drop: npt.NDArray[np.bool_], reason: str) -> Counts:
        """Leave out the studies where `drop` is true, which are listed as excluded."""
        if not drop.any():
            return self
        keep = ~drop
        rows = np.array(self.rows)
        gone = tuple((int(row), reason) for row in rows[~keep])
        kept = tuple(int(row) for row in rows[keep])
        excluded = tuple(sorted(self.excluded + gone))
        return Counts(self.events[:, keep], self.size[:, keep], kept, excluded)


def _column(name: str, value: Any, data: Any) -> Array:
    """One argument as floats, NaN where missing."""
    if isinstance(value, str):
        if data is None:
            raise InputError(name, found=repr(value), expected="an array", fix="Give data= to use a column name.")
        try:
            value = data[value]
        except KeyError:
            names = ", ".join(map(str, data.columns if hasattr(data, "columns") else data))
            raise InputError(name, found=repr(value), expected=f"a column of data ({names})") from None
        except (TypeError, IndexError):
            raise InputError("data", found=type(data).__name__, expected="a DataFrame or a mapping") from None
    if isinstance(value, Mapping) or np.ndim(value) != 1:
        raise InputError(name, found=f"{np.ndim(value)} dimensions", expected="one number for each study")
    values = np.empty(len(value))
    for row, item in enumerate(value):
        try:
            # str and bool have float() too, but a count is neither.
            values[row] = np.nan if _missing(item) else float(item if not isinstance(item, str) else "text")
        except (TypeError, ValueError):
            raise InputError(name, found=repr(item), expected="a number", row=row) from None
    return values


def _missing(item: Any) -> bool:
    """Whether a cell is empty: None, NaN, or the NA of pandas."""
    return item is None or type(item).__name__ in {"NAType", "NaTType"} or (isinstance(item, float) and item != item)


def _check(name: str, values: Array, *, whole: bool, above: float) -> None:
    """Refuse the first value that is infinite, not whole, or too small (missing ones pass)."""
    expected = ("a whole number" if whole else "a number") + (" of zero or more" if above < 0 else " above zero")
    with np.errstate(invalid="ignore"):
        wrong = np.isinf(values) | (values <= above) | (whole & (values != np.floor(values)) & ~np.isnan(values))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(name, found=values[row], expected=expected, row=row)


def read_counts(names: list[tuple[str, str]], given: Mapping[str, Any], data: Any, *, time: bool) -> Counts:
    """Read the pairs (events, denominator) of each arm.

    Raises
    ------
    InputError
        A missing argument, columns of different lengths, counts that are negative, not whole, or above their total.
    NotEstimableError
        No study with all of its numbers.
    """
    expected = ", ".join(name for pair in names for name in pair)
    for name in given:
        if all(name not in pair for pair in names):
            raise InputError(name, found="an argument", expected=f"only {expected} for this measure")
    arrays: dict[str, Array] = {}
    for pair in names:
        for name in pair:
            if given.get(name) is None:
                raise InputError(name, found="nothing", expected=f"each of {expected}")
            arrays[name] = _column(name, given[name], data)
    lengths = {name: len(values) for name, values in arrays.items()}
    first = names[0][0]
    for name, length in lengths.items():
        if length != lengths[first]:
            raise InputError(name, found=f"{length} rows", expected=f"{lengths[first]} rows, as many as {first}")
    for events, size in names:
        _check(events, arrays[events], whole=True, above=-0.5)
        _check(size, arrays[size], whole=not time, above=0.0)
        if not time:
            over = arrays[events] > arrays[size]
            if over.any():
                row = int(np.argmax(over))
                found = f"{arrays[events][row]:.0f} of {arrays[size][row]:.0f}"
                raise InputError(events, found=found, expected=f"no more than {size}", row=row)
    stacked = Counts(
        events=np.stack([arrays[events] for events, _ in names]),
        size=np.stack([arrays[size] for _, size in names]),
        rows=tuple(range(lengths[first])),
        excluded=(),
    )
    missing: npt.NDArray[np.bool_] = np.isnan(np.sum((*stacked.events, *stacked.size), axis=0))
    complete = stacked.without(missing, "a number is missing")
    if not complete.rows:
        raise NotEstimableError("there is no study with all of its numbers")
    return complete
