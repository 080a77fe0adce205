"""What results of refits have in common: one model after another, and many subsets at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from comfrey.diagnostics._table import how
from comfrey.results import Result, plain

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from comfrey.effects.measure import Array

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Counts = np.ndarray[Any, np.dtype[np.intp]] | np.ndarray[Any, np.dtype[np.int32]]

__all__ = ["ADDED", "LEFT_OUT", "AnySubsets", "Series", "place_of"]

# Names of the rows, and the first line of what is printed: how many, of what.
LEFT_OUT = ("left out", "Leave-one-out: {} refits, each without one {}")
ADDED = ("added", "Cumulative: {} fits, each with one more {}")


def by_term(name: str, values: Array, terms: tuple[str, ...]) -> dict[str, Array]:
    """Columns of a table from one value a row, shape (n,), or one a coefficient, shape (n, p)."""
    if values.ndim == 1:
        return {name: values}
    return {f"{name} {term}": values[:, j] for j, term in enumerate(terms)}


def place_of(unit: int | str, labels: tuple[str, ...], argument: str) -> int:
    """Place of a study or cluster that is given by its place or label."""
    from comfrey.errors import InputError

    if isinstance(unit, str):
        if unit not in labels:
            raise InputError(argument, found=repr(unit), expected=f"one of {', '.join(labels[:10])}")
        return labels.index(unit)
    if not 0 <= unit < len(labels):
        raise InputError(argument, found=unit, expected=f"a place from 0 to {len(labels) - 1}")
    return unit


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Series(Result):
    """A model fitted to n sets of its data, one after the other.

    Attributes
    ----------
    labels : tuple of str
        What was left out of, or added in, each row.
    terms : tuple of str
        Names of the p coefficients.
    estimate, se, statistic, p_value, ci_low, ci_high : arrays of shape (n,), or (n, p) with moderators
    q, q_p : arrays of shape (n,)
        Cochran's Q and its p-value.
    k : array of shape (n,)
        Studies (for a multilevel fit: effects) in each set.
    method, test : str
    level : float
    notes : tuple of str
        Where a number is missing, and why.
    """

    _index: ClassVar[str] = "set"
    _said: ClassVar[str] = "{} refits, each with another {}"

    labels: tuple[str, ...]
    terms: tuple[str, ...]
    estimate: Array
    se: Array
    statistic: Array
    p_value: Array
    ci_low: Array
    ci_high: Array
    q: Array
    q_p: Array
    k: Counts | Array
    method: str
    test: str
    level: float
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a set: coefficients with their intervals, then heterogeneity."""
        import pandas as pd

        table: dict[str, Any] = {}
        for name in ("estimate", "se", "ci_low", "ci_high", "p_value"):
            table |= by_term(name, getattr(self, name), self.terms)
        table |= self._heterogeneity()
        table |= {"q": self.q, "q_p": self.q_p, "k": self.k.astype(int)}
        return pd.DataFrame(table, index=pd.Index(self.labels, name=self._index))

    @property
    def headline(self) -> tuple[str, ...]:
        """What was refitted, by which method and test."""
        line = f"{self._model}; test {self.test}; {self.level:.0%} intervals"
        what = self._said.format(len(self.labels), self._unit)
        return (what, line, *(f"note: {text}" for text in self.notes))

    def _heterogeneity(self) -> dict[str, Array]:
        """Columns of the summary between the coefficients and Q."""
        raise NotImplementedError

    @property
    def _model(self) -> str:
        return how(self.method)

    @property
    def _unit(self) -> str:
        return "study"


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class AnySubsets(Result):
    """A model fitted to n subsets of its units.

    Attributes
    ----------
    labels : tuple of str
        The units: studies, or for a multilevel fit effects or clusters.
    terms : tuple of str
        Names of the p coefficients.
    estimate : array of shape (n,), or (n, p) with moderators
    tau2, i2, h2, q : arrays of shape (n,)
    k : array of int of shape (n,)
        Studies (for a multilevel fit: effects) in each subset.
    complete : bool
        Whether these are all non-empty subsets, or a sample of them.
    seed : int or None
        Of the sample.
    method : str
    notes : tuple of str
    """

    labels: tuple[str, ...]
    terms: tuple[str, ...]
    estimate: Array = field(repr=False)
    tau2: Array = field(repr=False)
    i2: Array = field(repr=False)
    h2: Array = field(repr=False)
    q: Array = field(repr=False)
    k: Counts = field(repr=False)
    complete: bool
    seed: int | None
    method: str
    notes: tuple[str, ...]
    _members: Bytes = field(repr=False)

    def __len__(self) -> int:
        return int(self.k.size)

    def contains(self, unit: int | str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which subsets hold a unit, given by its place (from 0) or label: for colouring the display.

        Raises
        ------
        InputError
            If there is no such unit.
        """
        at = place_of(unit, self.labels, "study" if self._units == "studies" else "unit")
        return (self._members[:, at >> 3] >> (at & 7) & 1).astype(bool)

    def to_frame(self) -> pd.DataFrame:
        """One row a subset: estimate, then variances and heterogeneity."""
        import pandas as pd

        table = by_term("estimate", self.estimate, self.terms) | self._variances()
        rest = {name: getattr(self, name) for name in ("tau2", "i2", "h2", "q", "k")}
        return pd.DataFrame(table | rest)

    @property
    def summary(self) -> pd.DataFrame:
        """Mean and quantiles of the estimate, the variances and I2 over the subsets."""
        import pandas as pd

        frame = self.to_frame().drop(columns=["h2", "q"])
        shares = {"min": 0.0, "5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}
        quantiles = frame.quantile(list(shares.values())).set_axis(list(shares), axis=0)
        return pd.concat([frame.mean().to_frame("mean").T, quantiles])

    @property
    def headline(self) -> tuple[str, ...]:
        """How many subsets, and whether they are all."""
        which = "all" if self.complete else "a sample of"
        first = f"{len(self)} subsets ({which} the non-empty subsets of {len(self.labels)} {self._units})"
        return (first, self._model, *(f"note: {text}" for text in self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the subsets themselves by their number and summary."""
        names = ("labels", "terms", "complete", "seed", "method", "notes")
        table = {name: plain(getattr(self, name)) for name in names}
        return table | {"n": len(self), "summary": {name: plain(values) for name, values in self.summary.items()}}

    def _variances(self) -> dict[str, Array]:
        """Columns of the table between the coefficients and tau2."""
        return {}

    @property
    def _model(self) -> str:
        return how(self.method)

    @property
    def _units(self) -> str:
        return "studies"
