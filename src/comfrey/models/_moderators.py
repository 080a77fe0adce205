"""The table of moderators in the types that formulas read rightly.

A formula takes a column of objects as categories, even where it holds numbers (a gap written as None makes such a
column), and cannot read some of pandas' own text types. What each column is meant to be is settled here.
"""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError, NotEstimableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from comfrey.effects.measure import Array

__all__ = ["check_columns", "check_sizes", "check_terms", "first_line", "read_table", "without_unused_levels"]

# Squares and products of columns of such sizes, and of their coefficients, are still numbers.
_SMALLEST, _LARGEST = 1e-120, 1e120


def read_table(data: Any, argument: str = "data") -> pd.DataFrame:
    """Read a table; columns of objects that hold numbers become numbers, and text becomes plain text.

    Examples
    --------
    >>> read_table({"dose": np.array([1.5, None, 3.0], dtype=object)})["dose"].tolist()
    [1.5, nan, 3.0]
    """
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        frame = data
    elif isinstance(data, dict) and data and all(np.ndim(value) == 0 for value in data.values()):
        frame = pd.DataFrame([data])
    else:
        try:
            frame = pd.DataFrame(data)
        except (ValueError, TypeError) as error:
            text = first_line(error)
            raise InputError(argument, found=type(data).__name__, expected="a table, columns of one length", fix=text) \
                from None  # fmt: skip
    if not frame.columns.is_unique:
        return frame  # those that are used twice are refused by name
    changed: dict[str, pd.Series] = {}
    for name, column in frame.items():
        if not isinstance(name, str):
            continue  # a formula cannot name it
        if isinstance(column.dtype, pd.StringDtype):
            changed[name] = column.astype(object)
        elif column.dtype == object and (plain := _numbers(column)) is not None:
            changed[name] = plain
    return frame.assign(**changed) if changed else frame


def _numbers(column: pd.Series) -> pd.Series | None:
    """Give a column of objects as numbers, None where it holds anything else."""
    import pandas as pd

    gaps = column.isna().to_numpy()
    values = column.to_numpy(dtype=object)
    if gaps.all() or not all(_is_number(value) for value in values[~gaps]):
        return None
    if all(isinstance(value, numbers.Integral) for value in values[~gaps]):
        return column.astype("Int64" if gaps.any() else np.int64)  # levels of C() keep their names: 2, not 2.0
    out = np.full(values.size, np.nan)
    out[~gaps] = values[~gaps].astype(float)
    return pd.Series(out, index=column.index, name=column.name)


def _is_number(value: object) -> bool:
    # Python counts True as a number; a column of yes and no is one of two categories, as it is outside of objects.
    return isinstance(value, (numbers.Real, np.number)) and not isinstance(value, (bool, np.bool_))


def without_unused_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop the categories that no row has: they would be columns of zeros."""
    import pandas as pd

    if not frame.columns.is_unique:
        return frame
    found = {
        name: column.cat.remove_unused_categories()
        for name, column in frame.items()
        if isinstance(column.dtype, pd.CategoricalDtype) and isinstance(name, str)
    }
    return frame.assign(**found) if found else frame


def check_columns(formula: Any, frame: pd.DataFrame, argument: str) -> tuple[str, ...]:
    """Refuse a name that two columns have; give a note on each column whose categories are numbers written as text.

    Raises
    ------
    InputError
        Naming the column; or if the formula has a left-hand side.
    """
    if hasattr(formula, "lhs") or not hasattr(formula, "required_variables"):
        raise InputError(argument, found=repr(str(formula)), expected="the right-hand side of a formula alone")
    notes = []
    for name in sorted({factor.expr for term in formula for factor in term.factors}):
        count = int(np.sum(np.asarray(frame.columns == name)))
        if count > 1:
            raise InputError(argument, found=f"{count} columns named {name!r}", expected="one column of each name")
        if count == 1 and _is_text_of_numbers(frame[name]):
            notes.append(f"{name} holds numbers as text: each is a category of its own; give numbers for a slope")
    return tuple(notes)


def _is_text_of_numbers(column: pd.Series) -> bool:
    import pandas as pd

    if column.dtype != object and not isinstance(column.dtype, pd.StringDtype):
        return False
    known = column.dropna()
    if not len(known) or not all(isinstance(value, str) for value in known):
        return False
    try:
        known.astype(float)
    except ValueError:
        return False
    return True


def check_sizes(matrix: Array, names: tuple[str, ...]) -> None:
    """Refuse columns whose squares would not be numbers any more.

    Raises
    ------
    InputError
        Naming the column.
    """
    size = np.abs(matrix).max(axis=0, initial=0.0)
    bad = np.flatnonzero((size > _LARGEST) | ((size > 0) & (size < _SMALLEST)))
    if bad.size:
        at = int(bad[0])
        raise InputError(
            "moderators", found=f"values of {names[at]} up to {size[at]:g}",
            expected=f"values between {_SMALLEST:g} and {_LARGEST:g} in size", fix="Change the unit.",
        )  # fmt: skip


def check_terms(terms: Mapping[Any, slice]) -> None:
    """Refuse a term without a column: a category of one level alone.

    Raises
    ------
    NotEstimableError
        Naming the term.
    """
    for name, part in terms.items():
        if part.stop == part.start:
            raise NotEstimableError(f"the moderator {name} has one level in all studies: it has no effect of its own")


def first_line(error: BaseException) -> str:
    """Give the first line of a message: what follows it in the formula library's is drawn for a terminal."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
