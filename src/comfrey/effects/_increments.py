"""What is done about zero cells: the rule is an argument and what it did is reported.

Sources: Haldane 1956 (doi:10.1111/j.1469-1809.1955.tb01285.x) and Anscombe 1956 (doi:10.1093/biomet/43.3-4.461) for
one
half; Sweeting, Sutton & Lambert 2004 (doi:10.1002/sim.1761) for the increment of the other arm's size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from comfrey.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfrey.effects.measure import Array, Measure

__all__ = ["IncrementRule", "add_increments"]

IncrementRule = Literal["zero-rows", "all-rows", "all-if-any-zero", "none"]
RULES = ("zero-rows", "all-rows", "all-if-any-zero", "none")


def _has_zero(kind: str, columns: Mapping[str, Array]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if kind == "two-by-two":
        cells = [columns["events_1"], columns["events_2"]]
        cells += [columns["total_1"] - columns["events_1"], columns["total_2"] - columns["events_2"]]
    elif kind == "proportion":
        cells = [columns["cases"], columns["total"] - columns["cases"]]
    else:
        cells = [column for name, column in columns.items() if name.startswith("events")]
    return np.asarray(np.any([cell == 0 for cell in cells], axis=0))


def add_increments(
    measure: Measure, columns: dict[str, Array], increment: float | str, rule: str
) -> tuple[dict[str, Array], Array]:
    """Add the increment to the cells of the rows that the rule names.

    Returns
    -------
    columns : dict of arrays
        With the increments (new arrays where something was added).
    added : array of shape (k,)
        What was added to a cell of group 1 in each row; zero where nothing was.
    """
    if rule not in RULES:
        raise InputError("increment_to", found=repr(rule), expected=f"one of {', '.join(RULES)}")
    k = next(iter(columns.values())).size if columns else 0
    if measure.increments == "none" or rule == "none" or k == 0:
        return columns, np.zeros(k)
    zero = _has_zero(measure.increments, columns)
    rows = zero if rule == "zero-rows" else np.full(k, rule == "all-rows" or bool(zero.any()))
    first, second = _amounts(measure, columns, increment)
    first, second = np.where(rows, first, 0.0), np.where(rows, second, 0.0)
    out = dict(columns)
    if measure.increments == "two-by-two":
        for arm, amount in (("1", first), ("2", second)):
            out[f"events_{arm}"] = columns[f"events_{arm}"] + amount
            out[f"total_{arm}"] = columns[f"total_{arm}"] + 2 * amount
    elif measure.increments == "proportion":
        out["cases"], out["total"] = columns["cases"] + first, columns["total"] + 2 * first
    elif "events" in columns:
        out["events"] = columns["events"] + first
    else:
        out["events_1"], out["events_2"] = columns["events_1"] + first, columns["events_2"] + second
    return out, first


def _amounts(measure: Measure, columns: Mapping[str, Array], increment: float | str) -> tuple[Array, Array]:
    """Increments for the cells of group 1 and of group 2."""
    k = next(iter(columns.values())).size
    if isinstance(increment, str):
        if increment != "other-arm" or measure.increments != "two-by-two":
            raise InputError(
                "increment", found=repr(increment), expected="a number, or 'other-arm' for two-by-two tables"
            )
        share = columns["total_1"] / (columns["total_1"] + columns["total_2"])
        return share, 1.0 - share
    amount = float(increment)
    if not np.isfinite(amount) or amount < 0:
        raise InputError("increment", found=increment, expected="zero or a number above it")
    return np.full(k, amount), np.full(k, amount)
