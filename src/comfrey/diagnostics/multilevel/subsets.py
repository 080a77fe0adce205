"""A multilevel model in every subset of its clusters, or in a sample of them (GOSH)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.diagnostics.multilevel._refits import refit_all
from comfrey.diagnostics.multilevel._units import read_units
from comfrey.diagnostics.subsets import bounded, masks_of, place_of, quantiles_of
from comfrey.errors import NotEstimableError
from comfrey.results import Result, plain

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.models.multilevel._grouping import Floats, Ints
    from comfrey.models.multilevel.result import MultilevelFit

__all__ = ["MultilevelSubsets", "subsets"]

MAXIMUM = 2**10 - 1  # fits: ten clusters in full, about ten seconds for a few hundred effects


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class MultilevelSubsets(Result):
    """The model fitted to n subsets of the effects or clusters.

    Attributes
    ----------
    labels : tuple of str
        The effects (``row i``) or clusters.
    estimate : array of shape (n,), or (n, p) with moderators
    components, component_names : array of shape (n, m), tuple of m str
        Variances and correlations, as the fit names them.
    tau2, i2, h2 : arrays of shape (n,)
        Total variance of the random effects, its share in that of a typical effect in percent, and one plus its ratio
        to the typical sampling variance; not-a-number with inner | outer terms, whose variances differ by level.
    q : array of shape (n,)
    k, units : arrays of shape (n,)
        Effects, and effects or clusters, in each subset.
    complete : bool
        Whether these are all non-empty subsets, or a sample of them.
    seed : int or None
        Of the sample.
    """

    labels: tuple[str, ...]
    terms: tuple[str, ...]
    estimate: Floats = field(repr=False)
    components: Floats = field(repr=False)
    component_names: tuple[str, ...]
    tau2: Floats = field(repr=False)
    i2: Floats = field(repr=False)
    h2: Floats = field(repr=False)
    q: Floats = field(repr=False)
    k: Ints = field(repr=False)
    units: Ints = field(repr=False)
    complete: bool
    seed: int | None
    by: str
    method: str
    notes: tuple[str, ...]
    _members: np.ndarray[Any, np.dtype[np.uint8]] = field(repr=False)

    def __len__(self) -> int:
        return int(self.k.size)

    def contains(self, unit: int | str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which subsets hold an effect or cluster, given by its place (from 0) or label.

        Raises
        ------
        InputError
            If there is no such unit.
        """
        at = place_of(unit, self.labels, "unit")
        return (self._members[:, at >> 3] >> (at & 7) & 1).astype(bool)

    def to_frame(self) -> pd.DataFrame:
        """One row a subset: estimate, variances and correlations, tau2, i2, h2, q, k, units."""
        import pandas as pd

        if self.estimate.ndim == 1:
            table: dict[str, Any] = {"estimate": self.estimate}
        else:
            table = {f"estimate {term}": self.estimate[:, j] for j, term in enumerate(self.terms)}
        table |= {name: self.components[:, i] for i, name in enumerate(self.component_names)}
        return pd.DataFrame(table | {name: getattr(self, name) for name in ("tau2", "i2", "h2", "q", "k", "units")})

    @property
    def summary(self) -> pd.DataFrame:
        """Mean and quantiles of the estimate, the variances and I2 over the subsets."""
        return quantiles_of(self.to_frame().drop(columns=["h2", "q"]))

    @property
    def headline(self) -> tuple[str, ...]:
        """How many subsets, and whether they are all."""
        which = "all" if self.complete else "a sample of"
        first = f"{len(self)} subsets ({which} the non-empty subsets of {len(self.labels)} {self.by}s)"
        return (first, f"Multilevel model by {self.method}", *(f"note: {text}" for text in self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the subsets themselves by their summary."""
        names = ("labels", "terms", "complete", "seed", "by", "method", "notes")
        table = {name: plain(getattr(self, name)) for name in names}
        return table | {"n": len(self), "summary": {name: plain(values) for name, values in self.summary.items()}}


def subsets(fit: MultilevelFit, cluster: Any = None, maximum: int = MAXIMUM, seed: int = 0) -> MultilevelSubsets:
    """Fit the model to all non-empty subsets of its clusters, or to a random sample if there are more than `maximum`.

    Each subset is a fit of its own, started at the whole fit: a few milliseconds. Subsets are streamed; a sample takes
    each cluster with probability one half, so that every subset is as likely as any other, and may hold one twice.

    Parameters
    ----------
    fit : MultilevelFit
    cluster : array (k,) or column name, optional
        What is in a subset together; without it, single effects.
    maximum : int
        The bound, and the size of the sample.
    seed : int
        For the sample.

    Raises
    ------
    InputError
        If `maximum` is no whole number above zero, or there is not one label for each effect.
    NotEstimableError
        If all effects are in one cluster, or no subset can carry the model.

    Notes
    -----
    Subsets that cannot tell the coefficients and the variances (of one cluster, say) are NaN, and the notes count them.

    References
    ----------
    Olkin, Dahabreh & Trikalinos 2012, doi:10.1002/jrsm.1053.

    Examples
    --------
    >>> import comfrey as cf
    >>> frame = {"study": [1, 1, 2, 2, 3, 3, 4, 4], "es": range(8), "vi": [0.02] * 8,
    ...          "yi": [0.1, 0.2, 0.5, 0.7, -0.1, 0.1, 0.3, 0.6]}
    >>> found = subsets(cf.multilevel("yi", "vi", random="study/es", data=frame), "study")
    >>> len(found), int(found.contains("1").sum()), found.notes
    (15, 8, ('4 subsets: no fit. There is only one group of study.',))
    """
    state = fit._state  # the methods of a fit work on what it keeps
    units = read_units(state, cluster)
    count = len(units)
    n, complete = bounded(count, maximum)
    members = np.concatenate([packed for packed, _ in masks_of(count, n, None if complete else seed)])

    def chosen(row: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.unpackbits(members[row], bitorder="little", count=count).astype(bool)

    found = refit_all(state, (np.flatnonzero(chosen(row)[units.codes]) for row in range(n)), n)
    if np.isnan(found.beta[:, 0]).all():
        reason = found.reasons[-1].removeprefix("no fit. ")
        raise NotEstimableError(f"No subset of the {units.word}s can carry the model. {reason}")
    notes = tuple(f"{number} subsets: {reason}" for reason, number in Counter(found.reasons).items() if reason)
    plainly = found.i2.shape[1] > 0
    total = found.components.sum(axis=1) if plainly else np.full(n, np.nan)
    return MultilevelSubsets(
        labels=units.labels, terms=tuple(state.design.names), components=found.components,
        component_names=tuple(f"{item.kind} {item.name}" for item in state.parameters),
        estimate=found.beta[:, 0] if fit.p == 1 else found.beta, tau2=total,
        i2=100 * total / (total + found.typical), h2=1 + total / found.typical, q=found.q, k=found.k,
        units=np.unpackbits(members, axis=1, bitorder="little", count=count).sum(axis=1).astype(np.intp),
        complete=complete, seed=None if complete else seed, by=units.word, method=fit.method, notes=notes,
        _members=members,
    )  # fmt: skip
