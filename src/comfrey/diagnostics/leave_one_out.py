"""The result without each study in turn, and with the studies added one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from comfrey.diagnostics._refit import all_but_one, refit, tests_of
from comfrey.diagnostics._series import ADDED, LEFT_OUT, Series
from comfrey.diagnostics._table import check_size, notes_of, of_one_coefficient, why_no_test
from comfrey.errors import InputError
from comfrey.models._view import view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comfrey.diagnostics._refit import Refits
    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit, FitView

    Rows = np.ndarray[Any, np.dtype[np.intp]]

__all__ = ["Cumulative", "LeaveOneOut", "Order", "cumulative", "leave_one_out", "sequence_of"]

Order = Literal["precision", "estimate"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class _Tau2(Series):
    """Refits with one variance; `tau2`, `i2`, `h2` have shape (n,), all else is as in `Series`."""

    tau2: Array
    i2: Array
    h2: Array

    def _heterogeneity(self) -> dict[str, Array]:
        return {name: getattr(self, name) for name in ("tau2", "i2", "h2")}


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class LeaveOneOut(_Tau2):
    """The model fitted without each study in turn: one value a study left out."""

    _index, _said = LEFT_OUT


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Cumulative(_Tau2):
    """The model fitted to more and more studies; `order` holds their places as added."""

    _index, _said = ADDED

    order: np.ndarray[Any, np.dtype[np.intp]] = field(repr=False)


def leave_one_out(fit: AnyFit) -> LeaveOneOut:
    """Fit the model again without each study in turn.

    All refits are made together, in O(k^2 p^2), each with tau2 estimated anew and, for likelihood methods, the same
    proof of the global maximum as the fit itself.

    Parameters
    ----------
    fit : Pooled or MetaRegression

    Raises
    ------
    NotEstimableError
        If no study can be spared.

    Examples
    --------
    >>> import comfrey as cf
    >>> leave_one_out(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08])).estimate.round(3)
    array([0.508, 0.391, 0.467, 0.287])
    """
    view = view_of(fit)
    check_size(view, "leave-one-out")
    found = refit(view, all_but_one(view.k))
    table = _columns(view, found, view.labels)
    notes = notes_of(found, view.labels) + why_no_test(table["estimate"], table["se"], table["q_p"])
    return LeaveOneOut(**table, notes=notes)


def _columns(fit: FitView, found: Refits, labels: tuple[str, ...]) -> dict[str, Any]:
    q_p = np.where(found.df > 0, special.chdtrc(np.maximum(found.df, 1.0), np.maximum(found.q, 0.0)), np.nan)
    table: dict[str, Any] = {name: of_one_coefficient(values) for name, values in tests_of(fit, found).items()}
    return table | {
        "labels": labels,
        "terms": fit.terms,
        "tau2": found.tau2,
        "i2": found.i2,
        "h2": found.h2,
        "q": found.q,
        "q_p": q_p,
        "k": found.k,
        "method": fit.method,
        "test": fit.test,
        "level": fit.level,
    }


def cumulative(fit: AnyFit, order: object = None) -> Cumulative:
    """Fit the model to the first study, the first two, and so on.

    Parameters
    ----------
    fit : Pooled or MetaRegression
    order : array of values to sort by, "precision", "estimate", or None
        For example years of publication, one a study (or one a row of what was pooled); studies with equal values keep
        the order given. "precision" begins with the most precise. None is the order given.

    Raises
    ------
    InputError
        If `order` has another length, or a value is missing.

    Notes
    -----
    One study alone has its own normal interval; its tau2 is written as zero, as there is nothing to estimate it from.
    A regression begins with as many studies as it has coefficients.

    Examples
    --------
    >>> import comfrey as cf
    >>> steps = cumulative(cf.pool([0.1, 0.5, 0.3], [0.04, 0.05, 0.03]), order=[2001, 1999, 2000])
    >>> steps.labels, steps.estimate.round(3)
    (('row 1', 'row 2', 'row 0'), array([0.5  , 0.375, 0.287]))
    """
    view = view_of(fit)
    sequence = sequence_of(view.k, view.rows, view.yi, view.vi, order)
    k, p = view.k, view.p

    def masks() -> Iterator[Array]:
        step = max(1, 2_000_000 // k)
        place = np.empty(k, dtype=int)
        place[sequence] = np.arange(k)
        for start in range(p - 1, k, step):
            last = np.arange(start, min(k, start + step))
            yield (place[None, :] <= last[:, None]).astype(float)

    found = refit(view, masks())
    labels = tuple(view.labels[row] for row in sequence[p - 1 :].tolist())
    notes = tuple(
        f"{labels[row]}: the studies so far cannot carry the model"
        for row in np.flatnonzero(np.isnan(found.tau2)).tolist()
    )
    if p == 1:
        notes = ("one study alone: its own normal interval, and tau2 is held at zero", *notes)
    table = _columns(view, found, labels)
    notes += why_no_test(table["estimate"], table["se"], table["q_p"])
    return Cumulative(**table, notes=notes, order=sequence)


def sequence_of(k: int, rows: Rows, yi: Array, vi: Array, order: object) -> Rows:
    """Places of k studies in the order asked for; `rows` are their places in what was pooled.

    Examples
    --------
    >>> sequence_of(2, np.array([0, 2]), np.array([0.4, 0.1]), np.array([0.1, 0.2]), [2003, 1999, 2001])
    array([1, 0])
    """
    if order is None:
        return np.arange(k)
    if isinstance(order, str):
        if order not in {"precision", "estimate"}:
            raise InputError("order", found=repr(order), expected="values to sort by, 'precision' or 'estimate'")
        return np.argsort(vi if order == "precision" else yi, kind="stable")
    values = np.asarray(order)
    if values.ndim != 1:
        raise InputError("order", found=f"{values.ndim} dimensions", expected="one value a study")
    if values.size != k:
        if values.size <= int(rows.max()):
            raise InputError("order", found=f"{values.size} values", expected=f"{k}, one a study")
        values = values[rows]
    import pandas as pd

    gaps = np.flatnonzero(pd.isna(values))
    if gaps.size:
        raise InputError("order", found="a missing value", expected="a value to sort by", row=int(gaps[0]))
    try:
        return np.argsort(values, kind="stable")
    except TypeError:
        raise InputError("order", found="values of several kinds", expected="values that can be sorted") from None
