"""A multilevel model in every subset of its clusters, or in a sample of them (GOSH)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.diagnostics._series import AnySubsets
from comfrey.diagnostics.multilevel._refits import refit_all
from comfrey.diagnostics.multilevel._units import read_units
from comfrey.diagnostics.subsets import bounded, masks_of
from comfrey.errors import NotEstimableError

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.models.multilevel._grouping import Floats, Ints
    from comfrey.models.multilevel.result import MultilevelFit

__all__ = ["MultilevelSubsets", "subsets"]

MAXIMUM = 2**10 - 1  # fits: ten clusters in full, about ten seconds for a few hundred effects


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class MultilevelSubsets(AnySubsets):
    """The model fitted to n subsets of the effects or clusters.

    Attributes
    ----------
    components, component_names : array of shape (n, m), tuple of m str
        Variances and correlations, as the fit names them.
    tau2, i2, h2 : arrays of shape (n,)
        Total variance of the random effects, its share in that of a typical effect in percent, and one plus its ratio
        to the typical sampling variance; not-a-number with inner | outer terms, whose variances differ by level.
    units : array of shape (n,)
        Effects or clusters in each subset.
    by : str
        What is in or out: ``effect`` or ``cluster``.
    """

    components: Floats = field(repr=False)
    component_names: tuple[str, ...]
    units: Ints = field(repr=False)
    by: str

    def to_frame(self) -> pd.DataFrame:
        """One row a subset: estimate, variances and correlations, tau2, i2, h2, q, k, units."""
        return AnySubsets.to_frame(self).assign(units=self.units)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the subsets themselves by their number and summary."""
        return {**AnySubsets.to_dict(self), "by": self.by}

    def _variances(self) -> dict[str, Floats]:
        return {name: self.components[:, i] for i, name in enumerate(self.component_names)}

    @property
    def _model(self) -> str:
        return f"Multilevel model by {self.method}"

    @property
    def _units(self) -> str:
        return f"{self.by}s"


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
