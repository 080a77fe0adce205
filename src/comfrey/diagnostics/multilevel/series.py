"""A multilevel model without each effect or cluster in turn, and with them added one after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from comfrey.diagnostics._series import ADDED, LEFT_OUT, Series
from comfrey.diagnostics.multilevel._refits import refit_all, tests_of
from comfrey.diagnostics.multilevel._units import gathered, read_units
from comfrey.errors import InputError
from comfrey.models.multilevel._reading import column

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comfrey.diagnostics.multilevel._refits import Refits
    from comfrey.diagnostics.multilevel._units import Units
    from comfrey.models.multilevel._grouping import Floats, Ints
    from comfrey.models.multilevel.result import MultilevelFit

__all__ = ["MultilevelCumulative", "MultilevelLeaveOneOut", "cumulative", "leave_one_out"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class _Variances(Series):
    """A multilevel model fitted to n sets of effects, one after the other.

    Attributes
    ----------
    labels : tuple of str
        The effect (``row i``) or cluster left out of, or added in, each row.
    components, component_names : array of shape (n, m), tuple of m str
        Variances and correlations, as the fit names them.
    i2 : array of shape (n, number of terms)
        Share of each variance in percent; empty with inner | outer terms.
    size : array of shape (n,)
        Effects in the unit left out or added.
    by : str
        What is left out or added: ``effect`` or ``cluster``.
    """

    random: tuple[str, ...]
    components: Floats
    component_names: tuple[str, ...]
    i2: Floats
    size: Ints
    by: str

    def _heterogeneity(self) -> dict[str, Floats]:
        table = {name: self.components[:, i] for i, name in enumerate(self.component_names)}
        return table | {f"i2 {name}": self.i2[:, i] for i, name in enumerate(self.random[: self.i2.shape[1]])}

    @property
    def _model(self) -> str:
        return f"Multilevel model by {self.method}"

    @property
    def _unit(self) -> str:
        return self.by


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class MultilevelLeaveOneOut(_Variances):
    """The model fitted without each effect or cluster in turn."""

    _index, _said = LEFT_OUT


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class MultilevelCumulative(_Variances):
    """The model fitted to more and more effects or clusters.

    `order` holds for each effect the step at which it was added, shape (k,).
    """

    _index, _said = ADDED

    order: Ints = field(repr=False)


def leave_one_out(fit: MultilevelFit, cluster: Any = None) -> MultilevelLeaveOneOut:
    """Fit the model again without each effect, or each cluster of effects, in turn.

    Parameters
    ----------
    fit : MultilevelFit
    cluster : array (k,) or column name, optional
        What is left out together; without it, one effect at a time.

    Raises
    ------
    InputError
        If there is not one label for each effect.
    NotEstimableError
        If all effects are in one cluster.

    Examples
    --------
    >>> import comfrey as cf
    >>> frame = {"study": [1, 1, 2, 2, 3, 3, 4, 4], "es": range(8), "vi": [0.02] * 8,
    ...          "yi": [0.1, 0.2, 0.5, 0.7, -0.1, 0.1, 0.3, 0.6]}
    >>> fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
    >>> leave_one_out(fit, "study").estimate.round(3)
    array([0.35, 0.2 , 0.4 , 0.25])
    """
    state = fit._state  # the methods of a fit work on what it keeps
    units = read_units(state, cluster)
    sets = (np.flatnonzero(units.codes != j).astype(np.intp) for j in range(len(units)))
    columns, reasons = _columns(fit, sets, units, units.labels, units.sizes)
    return MultilevelLeaveOneOut(**columns, notes=tuple(gathered(reasons, "Without")))


def cumulative(fit: MultilevelFit, order: Any = None, cluster: Any = None) -> MultilevelCumulative:
    """Fit the model to the first effect or cluster, the first two, and so on.

    Parameters
    ----------
    fit : MultilevelFit
    order : array (k,) or column name, "precision", "estimate", or None
        Values to sort by, one for each effect, for example years of publication: a cluster is added at the lowest value
        of its effects, and units with equal values keep the order of their first effects. "precision" begins with the
        most precise by the sampling variances alone, "estimate" with the lowest mean effect. None is the order of the
        data.
    cluster : array (k,) or column name, optional
        What is added together; without it, one effect at a time.

    Raises
    ------
    InputError
        If `order` or `cluster` has another length, or a value is missing.

    Notes
    -----
    A step at which the effects so far cannot tell the coefficients and the variances is NaN; the notes say why. The
    last step is the fit itself.

    Examples
    --------
    >>> import comfrey as cf
    >>> frame = {"study": [1, 1, 2, 2, 3, 3, 4, 4], "es": range(8), "vi": [0.02] * 8,
    ...          "yi": [0.1, 0.2, 0.5, 0.7, -0.1, 0.1, 0.3, 0.6]}
    >>> fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
    >>> steps = cumulative(fit, order=[4, 4, 3, 3, 2, 2, 1, 1], cluster="study")
    >>> steps.labels, steps.estimate.round(3)
    (('4', '3', '2', '1'), array([  nan, 0.225, 0.35 , 0.3  ]))
    """
    state = fit._state  # the methods of a fit work on what it keeps
    units = read_units(state, cluster, least=1)
    sequence = _sequence(fit, units, order)
    step = np.empty(len(units), dtype=np.intp)
    step[sequence] = np.arange(len(units))
    added = step[units.codes]
    labels = tuple(units.labels[j] for j in sequence)
    sets = (np.flatnonzero(added <= t).astype(np.intp) for t in range(len(units)))
    columns, reasons = _columns(fit, sets, units, labels, units.sizes[sequence])
    return MultilevelCumulative(**columns, notes=tuple(gathered(reasons, "Up to")), order=added)


def _columns(
    fit: MultilevelFit, sets: Iterable[Ints], units: Units, labels: tuple[str, ...], sizes: Ints
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Fields of a series, and what could not be fitted for which reason."""
    state = fit._state  # the methods of a fit work on what it keeps
    found: Refits = refit_all(state, sets, len(units))
    table = {name: values[:, 0] if fit.p == 1 else values for name, values in tests_of(found, fit.level).items()}
    some = found.q_df > 0
    q_p = np.where(some, special.chdtrc(np.where(some, found.q_df, 1.0), found.q), np.nan)
    columns = table | {
        "labels": labels, "terms": tuple(state.design.names), "random": fit.random, "components": found.components,
        "component_names": tuple(f"{item.kind} {item.name}" for item in state.parameters), "i2": found.i2,
        "q": found.q, "q_p": q_p, "k": found.k, "size": sizes, "by": units.word, "method": fit.method,
        "test": fit.test, "level": fit.level,
    }  # fmt: skip
    return columns, [(name, reason) for name, reason in zip(labels, found.reasons, strict=True) if reason]


def _sequence(fit: MultilevelFit, units: Units, order: Any) -> Ints:
    """Places of the units in the order in which they are added."""
    k, sizes = fit.k, units.sizes
    first = np.full(len(units), k, dtype=np.intp)
    np.minimum.at(first, units.codes, np.arange(k))
    if order is None:
        return np.argsort(first)
    if isinstance(order, str) and order == "precision":
        key = -units.sums(1.0 / fit.vi)
    elif isinstance(order, str) and order == "estimate":
        key = units.sums(fit.yi) / sizes
    else:
        key = _lowest(_ranks(column(order, "order", fit._state.data), k), units)
    return np.lexsort((first, key)).astype(np.intp)


def _ranks(values: Any, k: int) -> Floats:
    """Ranks of values of any kind that can be sorted, one for each effect."""
    series = pd.Series(values).reset_index(drop=True)
    if series.size != k:
        raise InputError("order", found=f"{series.size} values", expected=f"{k} values, one for each effect")
    missing = np.flatnonzero(series.isna().to_numpy())
    if missing.size:
        raise InputError("order", found="a missing value", expected="a value to sort by", row=int(missing[0]))
    try:
        return np.asarray(series.rank(method="dense"), dtype=float)
    except TypeError:
        raise InputError("order", found="values of several kinds", expected="values that can be sorted") from None


def _lowest(ranks: Floats, units: Units) -> Floats:
    out = np.full(len(units), np.inf)
    np.minimum.at(out, units.codes, ranks)
    return out
