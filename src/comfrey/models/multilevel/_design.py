"""The design matrix: from a formula, a frame or an array, and for new data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.linalg import qr

from comfrey.errors import InputError
from comfrey.models._moderators import (
    check_columns,
    check_sizes,
    check_terms,
    first_line,
    read_table,
    without_unused_levels,
)
from comfrey.models.multilevel._grouping import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._grouping import Floats
    from comfrey.models.multilevel._terms import Term

INTERCEPT = "Intercept"


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A design matrix (k, p) of full rank, the names of its columns, and its formula if it has one."""

    matrix: Floats
    names: tuple[str, ...]
    spec: Any = None

    @property
    def intercept_only(self) -> bool:
        """True for a single column of ones."""
        return self.matrix.shape[1] == 1 and bool(np.all(self.matrix == 1))


def read_design(moderators: Any, data: Any, k: int) -> Design:
    """Read the `moderators` argument: None, a Wilkinson formula, or a design matrix (with its intercept)."""
    if moderators is None:
        return Design(np.ones((k, 1)), (INTERCEPT,))
    if isinstance(moderators, str):
        if data is None:
            raise InputError("data", found=None, expected="a DataFrame with the columns that `moderators` names")
        found = _from_formula(moderators.strip().removeprefix("~"), read_table(data))
        design = Design(_finite(found, k), tuple(map(str, found.columns)), found.model_spec)
        check_terms(found.model_spec.term_slices)
    elif isinstance(moderators, pd.DataFrame):
        design = Design(_finite(moderators, k), tuple(map(str, moderators.columns)))
    else:
        array = np.asarray(moderators)
        if array.ndim != 2:
            expected = "a formula, or a matrix with one row per effect and an intercept column where one is wanted"
            raise InputError("moderators", found=f"an array of {array.ndim} dimensions", expected=expected)
        names = tuple(INTERCEPT if np.all(array[:, j] == 1) else f"x{j + 1}" for j in range(array.shape[1]))
        design = Design(_finite(pd.DataFrame(array), k), names)
    _check_rank(design)
    return design


def read_new(design: Design, new_data: Any) -> Floats:
    """Design matrix (m, p) of new data, made in the way the fit's own was."""
    if design.spec is not None:
        from formulaic.errors import FormulaicError

        frame = read_table(new_data, "new_data")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # an unknown level is only warned of
                found = design.spec.get_model_matrix(frame, na_action="raise")
        except (FormulaicError, ValueError, KeyError, TypeError, Warning) as error:
            expected = "the columns of the formula, complete, with levels that were fitted"
            raise InputError("new_data", found=first_line(error), expected=expected) from error
        return _finite(found, len(frame), "new_data")
    if isinstance(new_data, pd.DataFrame) and set(design.names) <= set(map(str, new_data.columns)):
        new_data = new_data.rename(columns=str)[list(design.names)]
    elif design.intercept_only and isinstance(new_data, pd.DataFrame):
        return np.ones((len(new_data), 1))
    array = pd.DataFrame(np.atleast_2d(np.asarray(new_data)))
    if array.shape[1] != len(design.names):
        expected = f"{len(design.names)} columns: {', '.join(design.names)}"
        raise InputError("new_data", found=f"{array.shape[1]} columns", expected=expected)
    return _finite(array, len(array), "new_data")


def degrees_of_freedom(design: Design, terms: Sequence[Term], rule: str) -> Floats:
    """Degrees of freedom of t for each coefficient (p,): k - p, or by containment."""
    k, p = design.matrix.shape
    out = np.full(p, float(k - p))
    if rule == "residual":
        return out
    for j in range(p):
        values = design.matrix[:, j]
        for term in terms:
            size = count(term.codes)
            top, bottom = np.full(size, -np.inf), np.full(size, np.inf)
            np.maximum.at(top, term.codes, values)
            np.minimum.at(bottom, term.codes, values)
            if np.array_equal(top, bottom):
                out[j] = min(out[j], float(size - p))
    return out


def _from_formula(formula: str, frame: pd.DataFrame) -> Any:
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        parsed = Formula(formula)
        check_columns(parsed, frame, "moderators")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the logarithm of zero is only warned of
            return parsed.get_model_matrix(without_unused_levels(frame), context={}, na_action="raise")
    except InputError:
        raise
    except (FormulaicError, ValueError, KeyError, TypeError, Warning) as error:
        fix = "Check the names, and leave rows with missing moderators out before the call."
        expected = "a formula over complete columns of data"
        found = f"{formula!r} ({first_line(error)})"
        raise InputError("moderators", found=found, expected=expected, fix=fix) from error


def _finite(frame: pd.DataFrame, k: int, name: str = "moderators") -> Floats:
    if len(frame) != k:
        raise InputError(name, found=f"{len(frame)} rows", expected=f"{k} rows, one for each effect")
    try:
        matrix = np.asarray(frame, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(name, found=str(error), expected="numbers in a design matrix") from error
    bad = np.argwhere(~np.isfinite(matrix))
    if bad.size:
        row, at = map(int, bad[0])
        found = f"{matrix[row, at]} in column {frame.columns[at]}"
        raise InputError(name, found=found, expected="a finite number", row=row)
    return np.ascontiguousarray(matrix)


def _check_rank(design: Design) -> None:
    matrix = design.matrix
    k, p = matrix.shape
    if p == 0:
        raise InputError("moderators", found="no columns", expected="one column or more")
    check_sizes(matrix, design.names)
    norms = np.linalg.norm(matrix, axis=0)
    _, triangle, order = qr(matrix / np.where(norms > 0, norms, 1.0), mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    rank = int(np.sum(size > 1e-10 * max(float(size.max(initial=0.0)), 1e-300))) if norms.any() else 0
    if rank < p:
        extra = ", ".join(design.names[i] for i in sorted(order[rank:].tolist()))
        found = f"{p} columns of rank {rank} in {k} rows"
        fix = f"Leave out what the other columns already say: {extra}."
        raise InputError("moderators", found=found, expected="columns that are not combinations of each other", fix=fix)
