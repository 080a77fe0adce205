"""From a Wilkinson formula and a table of moderators to a model matrix.

The notation is that of Wilkinson & Rogers 1973 (doi:10.2307/2346786).
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._moderators import (
    check_columns,
    check_sizes,
    check_terms,
    first_line,
    read_table,
    without_unused_levels,
)

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._input import Studies

__all__ = ["Design", "build_design"]


_FUNCTIONS = "Functions of formulas: C, bs, cr, cc, poly, center, scale, exp, log, log2, log10, and NumPy's as np.sqrt."


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A model matrix and how it was made.

    Attributes
    ----------
    formula : str
    matrix : array of shape (k, p)
    names : tuple of str
        Names of the columns.
    terms : dict of str to slice
        Which columns belong to which term of the formula.
    variables : tuple of str
        Columns of the data that the formula uses.
    spec : object
        The formula library's own specification, which makes the same matrix for new data.
    notes : tuple of str
        What a reader must know of the columns.
    """

    formula: str
    matrix: Array = field(repr=False)
    names: tuple[str, ...]
    terms: dict[str, slice]
    variables: tuple[str, ...]
    spec: Any = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def intercept(self) -> bool:
        """Whether there is a column of ones named Intercept."""
        return "Intercept" in self.names

    def for_new(self, new_data: Any) -> Array:
        """Build the model matrix for new data, with the knots, levels and contrasts of the data fitted.

        Raises
        ------
        InputError
            If a variable is missing, holds gaps, has a level that was not fitted, or lies beyond a spline's range.
        """
        frame = _as_frame(new_data, "new_data")
        _need(self.spec.formula, frame, "new_data")
        return np.asarray(_evaluate(self.spec.get_model_matrix, frame, "new_data"), dtype=float)


def build_design(formula: object, data: Any, studies: Studies) -> tuple[Design, Studies]:
    """Evaluate the formula over the usable studies; rows with a missing moderator are dropped and listed.

    Raises
    ------
    InputError
        If the formula cannot be read, a variable is not in the data, or the data have another number of rows.
    NotEstimableError
        If columns of the matrix depend on each other, or there are too few studies for the coefficients.
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    if not isinstance(formula, str) or not formula.strip():
        raise InputError("moderators", found=repr(formula), expected="a formula such as 'latitude + year'")
    try:
        parsed = Formula(formula)
    except FormulaicError as error:
        raise InputError(
            "moderators",
            found=repr(formula),
            expected="a formula that can be read",
            fix=f"{first_line(error)} Names with spaces or signs go in backticks.",
        ) from None
    if not hasattr(parsed, "required_variables") or hasattr(parsed, "lhs"):
        raise InputError("moderators", found=repr(formula), expected="the right-hand side of a formula alone")
    frame = _as_frame(data)
    if len(frame) != studies.total:
        raise InputError("data", found=f"{len(frame)} rows", expected=f"{studies.total} rows, one a study")
    used = _need(parsed, frame, "moderators")
    frame = frame.iloc[studies.rows].reset_index(drop=True)
    gaps = frame[used].isna().to_numpy() if used else np.zeros((len(frame), 1), dtype=bool)
    if gaps.any():
        reasons = tuple(
            f"row {studies.rows[row]}{f' ({studies.labels[row]})' if studies.labels else ''}: "
            f"{', '.join(name for name, gap in zip(used, gaps[row], strict=True) if gap)} missing"
            for row in np.flatnonzero(gaps.any(axis=1))
        )
        kept = np.flatnonzero(~gaps.any(axis=1))
        studies, frame = studies.keep(kept, reasons), frame.iloc[kept].reset_index(drop=True)
    if studies.k == 0:
        raise InputError("moderators", found="no row without gaps", expected="at least one study with all moderators")
    notes = check_columns(parsed, frame, "moderators")
    frame = without_unused_levels(frame)
    table = _evaluate(lambda rows: parsed.get_model_matrix(rows, context={}), frame, "moderators")
    matrix, names = np.asarray(table, dtype=float), tuple(map(str, table.columns))
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise InputError(
            "moderators",
            found=matrix[row, column],
            expected=f"finite values of {names[column]}",
            row=int(studies.rows[row]),
        )
    terms = {_term_name(term): part for term, part in table.model_spec.term_slices.items()}
    check_sizes(matrix, names)
    _check_scale(matrix, names, studies.vi)
    check_terms(terms)
    _check_rank(matrix, names, studies.k)
    return Design(formula, matrix, names, terms, tuple(used), table.model_spec, notes), studies


def _term_name(term: object) -> str:
    return "Intercept" if str(term) == "1" else str(term)


def _as_frame(data: Any, argument: str = "data") -> pd.DataFrame:
    if data is None:
        raise InputError(argument, found="nothing", expected="a table of the moderators, one row a study")
    return read_table(data, argument)


def _need(formula: Any, frame: pd.DataFrame, argument: str) -> list[str]:
    """Columns that the formula uses; refuse one that is not there."""
    needed = set(map(str, formula.required_variables))
    for name in sorted(needed):
        if name not in frame.columns:
            columns = ", ".join(map(str, frame.columns))
            fix = _FUNCTIONS if any(f"{name}(" in str(term) for term in formula) else None
            raise InputError(argument, found=repr(name), expected=f"columns of data ({columns})", fix=fix)
    # the formula library does not tell what stands inside of splines and other transforms that learn from the data
    inside = {name for term in formula for factor in term.factors for name in _names_in(factor.expr)}
    return sorted(needed | {str(name) for name in frame.columns if name in inside})


def _names_in(expression: str) -> set[str]:
    """Names of variables in an expression; those with other signs than letters stand in backticks."""
    quoted = set(re.findall(r"`([^`]+)`", expression))
    try:
        tree = ast.parse(re.sub(r"`[^`]+`", "_", expression), mode="eval")
    except SyntaxError:  # a name by itself, such as "year of birth"
        return quoted
    return quoted | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _evaluate(make: Any, frame: pd.DataFrame, argument: str) -> Any:
    """Evaluate a formula; what goes wrong in it comes out as an InputError."""
    from formulaic.errors import FormulaicError

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an unknown level is only warned of
        try:
            table = make(frame)
        except (FormulaicError, Warning, ValueError, TypeError) as error:
            text = first_line(error)
            raise InputError(argument, found="an error", expected="values the formula can use", fix=text) from None
    if len(table) != len(frame):
        raise InputError(argument, found="missing values", expected="no gaps in the moderators")
    return table


_LARGEST = 1e140  # squares of what is larger, or smaller than its inverse, leave double precision


def _check_scale(matrix: Array, names: tuple[str, ...], vi: Array) -> None:
    """Refuse moderators the squares of whose coefficients double precision cannot hold."""
    unit = np.sqrt([vi.min(), vi.max()])
    for column, largest in enumerate(np.abs(matrix).max(axis=0, initial=0.0).tolist()):
        if largest > 0 and not all(1 / _LARGEST < scale < _LARGEST for scale in (unit / largest).tolist()):
            raise InputError(
                "moderators",
                found=f"values of {names[column]} up to {largest:g}",
                expected="values that give coefficients whose squares are within 1e-280 to 1e280",
                fix="Change the unit.",
            )


def _check_rank(matrix: Array, names: tuple[str, ...], k: int) -> None:
    p = matrix.shape[1]
    if p == 0:
        raise InputError("moderators", found="no coefficient", expected="at least one")
    if k <= p:
        raise NotEstimableError(f"{k} studies are too few for {p} coefficients ({', '.join(names)})")
    size = np.sqrt((matrix**2).sum(axis=0))
    spanned: list[int] = []
    rest = matrix / np.where(size > 0, size, 1.0)
    for column in range(p):  # Gram-Schmidt, to name the column that adds nothing
        vector = rest[:, column]
        if spanned:
            basis = np.linalg.qr(rest[:, spanned])[0]
            vector = vector - basis @ (basis.T @ vector)
        if size[column] == 0 or np.linalg.norm(vector) < 1e-9:
            others = ", ".join(names[index] for index in spanned)
            hint = ""
            if names[column].startswith(("cr(", "cc(")):
                hint = "; natural splines beside an intercept need constraints='center'"
            elif size[column] > 0 and np.linalg.norm(vector) > 1e-13:
                hint = " that nine digits could tell; centre it"
            raise NotEstimableError(
                f"the column {names[column]} adds nothing to {others or 'the model'}: it has no effect of its own{hint}"
            )
        spanned.append(column)
