"""A one-stage model fitted without each study in turn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from comfrey.diagnostics._table import why_no_test
from comfrey.diagnostics.leave_one_out import LeaveOneOut
from comfrey.errors import ConvergenceError, NotEstimableError
from comfrey.models.counts.model import fit_counts

if TYPE_CHECKING:
    from comfrey.models.counts._input import Counts
    from comfrey.models.counts._kernels import Array
    from comfrey.models.counts.result import CountModel

__all__ = ["leave_one_out"]

_NUMBERS = ("estimate", "se", "statistic", "p_value", "ci_low", "ci_high", "tau2", "q", "q_p")


def leave_one_out(fit: CountModel) -> LeaveOneOut:
    """Fit the model again without each study in turn.

    Each refit starts from the coefficients of the whole fit and is certified like it: its profile is scanned for a
    higher maximum.

    Parameters
    ----------
    fit : CountModel

    Returns
    -------
    LeaveOneOut
        As for pooled fits, one row a study in the fit; `q` is the Wald statistic. A one-stage model has no I2 and H2.
        Where the other studies do not determine the model the row is not-a-number, and `notes` says why.

    Raises
    ------
    NotEstimableError
        If there is one study only.

    Examples
    --------
    >>> import comfrey as cf
    >>> found = leave_one_out(cf.count_model("PLO", cases=[30, 12, 55, 8], total=[100, 80, 240, 31]))
    >>> found.estimate.round(3)
    array([-1.303, -1.095, -1.203, -1.217])
    """
    if fit.k < 2 or fit._given is None:
        raise NotEstimableError(f"leave-one-out needs at least 2 studies, and there are {fit.k}")
    counts, request = fit._given
    table = np.full((fit.k, len(_NUMBERS)), math.nan)
    labels = tuple(f"row {row}" for row in counts.rows)
    notes = ["a one-stage model has no I2 and H2"]
    if request.model == "beta-binomial":
        notes.append("a beta-binomial model has no tau2")
    for i in range(fit.k):
        keep = np.arange(fit.k) != i
        try:
            one = fit_counts(_only(counts, keep), request, _start(fit, keep))
        except (NotEstimableError, ConvergenceError) as error:
            notes.append(f"{labels[i]}: no fit to the other studies: {error}")
            continue
        table[i] = [getattr(one, {"q": "q_wald", "q_p": "q_wald_p"}.get(name, name)) for name in _NUMBERS]
        if math.isnan(one.tau2) and request.model != "beta-binomial":
            notes.append(f"{labels[i]}: the other studies do not tell tau2")
    none = np.full(fit.k, math.nan)
    notes += why_no_test(table[:, 0], table[:, 1], table[:, -1])
    return LeaveOneOut(
        labels=labels,
        terms=("Intercept",),
        **dict(zip(_NUMBERS, table.T, strict=True)),
        i2=none,
        h2=none,
        k=np.full(fit.k, fit.k - 1.0),
        method=request.model,
        test=request.test,
        level=request.level,
        notes=tuple(notes),
    )


def _only(counts: Counts, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Counts:
    """Take some of the studies."""
    rows = tuple(row for row, stays in zip(counts.rows, keep.tolist(), strict=True) if stays)
    return type(counts)(counts.events[:, keep], counts.size[:, keep], rows, ())


def _start(fit: CountModel, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[Array, Array] | None:
    """Coefficients, and own parameters of the studies that stay."""
    if fit._source is None:
        return None
    found = fit._source[1]
    return found.beta, found.alpha[keep] if found.alpha.size else found.alpha
