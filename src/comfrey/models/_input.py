"""What every model takes in: estimates and variances, checked, with the rows that cannot be used listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.effects._columns import as_floats, labels_of, pick, surely_finite
from comfrey.effects.sizes import EffectSizes
from comfrey.errors import InputError

if TYPE_CHECKING:
    from comfrey.effects.measure import Array, Measure

__all__ = ["Studies", "read_studies"]


@dataclass(frozen=True, slots=True)
class Studies:
    """Usable studies of one model: `rows` are their places in what was given, `dropped` says what was left out."""

    yi: Array
    vi: Array
    n: Array | None
    labels: tuple[str, ...]
    rows: np.ndarray[Any, np.dtype[np.intp]]
    total: int
    measure: Measure | None
    dropped: tuple[str, ...]

    @property
    def k(self) -> int:
        """Number of studies."""
        return int(self.yi.size)

    def keep(self, rows: np.ndarray[Any, np.dtype[np.intp]], reasons: tuple[str, ...]) -> Studies:
        """Only these of the rows (places in `yi`), with the reasons for the others added to `dropped`."""
        return Studies(
            self.yi[rows],
            self.vi[rows],
            None if self.n is None else self.n[rows],
            tuple(self.labels[row] for row in rows) if self.labels else (),
            self.rows[rows],
            self.total,
            self.measure,
            self.dropped + reasons,
        )


def read_studies(yi: object, vi: object = None, *, data: Any = None, study: object = None) -> Studies:
    """Read estimates and variances (or an EffectSizes), drop rows with a missing value, refuse impossible ones.

    Raises
    ------
    InputError
        If lengths differ, a variance is negative or zero, a value is infinite or no number, or no row is left.
    """
    measure, n, reasons = None, None, {}
    if isinstance(yi, EffectSizes):
        if vi is not None:
            raise InputError("vi", found="a value", expected="nothing, as the effect sizes hold their variances")
        measure, n, labels = yi.measure, yi.n, yi.study
        reasons = {note.row: note.message for note in reversed(yi.warnings)}
        estimates, variances = yi.yi, yi.vi
        if study is not None:
            labels = labels_of(study, data, estimates.size)
    else:
        if vi is None:
            raise InputError("vi", found="nothing", expected="the sampling variances, one a study")
        estimates, variances = as_floats("yi", pick("yi", yi, data)), as_floats("vi", pick("vi", vi, data))
        if variances.size == 1 and estimates.size > 1:
            variances = np.full(estimates.size, variances[0])
        if estimates.size != variances.size:
            raise InputError("vi", found=f"{variances.size} values", expected=f"{estimates.size}, as many as yi")
        labels = labels_of(study, data, estimates.size)
    few = estimates.size > 0 and surely_finite(estimates) and surely_finite(variances)
    if few and min(variances.tolist()) > 0.0:
        rows = np.arange(estimates.size)
        return Studies(estimates, variances, n, labels, rows, estimates.size, measure, ())
    usable = np.isfinite(estimates) & np.isfinite(variances)
    bad = usable & (variances <= 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError("vi", found=f"{variances[row]:g}", expected="a variance above zero", row=row)
    if usable.all():
        if not usable.size:
            raise InputError("yi", found="no studies", expected="at least one study")
        rows = np.arange(estimates.size)
        return Studies(estimates, variances, n, labels, rows, estimates.size, measure, ())
    rows = np.flatnonzero(usable)
    dropped = tuple(
        f"row {row}{f' ({labels[row]})' if labels else ''}: {reasons.get(row, 'yi or vi missing')}"
        for row in np.flatnonzero(~usable).tolist()
    )
    if rows.size == 0:
        raise InputError("yi", found="no usable study", expected="at least one study", fix="; ".join(dropped[:5]) + ".")
    whole = Studies(estimates, variances, n, labels, np.arange(estimates.size), estimates.size, measure, dropped)
    return whole.keep(rows, ())
