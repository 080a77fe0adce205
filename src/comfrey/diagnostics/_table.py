"""What the tables of diagnostics share: names of studies, and notes on refits that could not be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import NotEstimableError

if TYPE_CHECKING:
    from comfrey.diagnostics._refit import Refits
    from comfrey.effects.measure import Array
    from comfrey.models._view import FitView

__all__ = ["check_size", "how", "notes_of", "of_one_coefficient", "why_no_test"]

_COMMON = {"Mantel-Haenszel", "Peto"}


def how(method: str) -> str:
    """Say the method in words.

    Examples
    --------
    >>> how("REML"), how("Peto"), how("conditional-exact")
    ('tau2 by REML', 'common effect by Peto', 'one-stage model (conditional-exact)')
    """
    if method in _COMMON:
        return f"common effect by {method}"
    return f"one-stage model ({method})" if method.islower() else f"tau2 by {method}"


def check_size(fit: FitView, what: str, least: int = 1) -> None:
    """Refuse fits from which nothing can be left out."""
    if fit.k < fit.p + least:
        raise NotEstimableError(f"{what} needs at least {fit.p + least} studies, and there are {fit.k}")


def notes_of(found: Refits, names: tuple[str, ...]) -> tuple[str, ...]:
    """Say which refits have no number, and for which the maximum is not proved to be the global one."""
    notes = [
        f"{names[row]}: the model cannot be fitted to the other studies (a coefficient depends on this one)"
        for row in np.flatnonzero(np.isnan(found.tau2)).tolist()
    ]
    notes += [
        f"{names[row]}: it is not proved that tau2 is at the global maximum"
        for row in np.flatnonzero(~found.proved).tolist()
    ]
    return tuple(notes)


def why_no_test(estimate: Array, se: Array, q_p: Array) -> tuple[str, ...]:
    """Say why fits that have an estimate have no test of it, or none of heterogeneity."""
    fitted = np.isfinite(estimate).reshape(q_p.size, -1).all(axis=1)
    notes = []
    perfect = int((fitted & (se == 0).reshape(q_p.size, -1).any(axis=1)).sum())
    if perfect:
        notes.append(
            f"in {perfect} of the fits the Knapp-Hartung error is zero, as nothing is left over: no test there"
        )
    if (fitted & np.isnan(q_p)).any():
        notes.append("where as many studies are left as there are coefficients, heterogeneity cannot be tested")
    return tuple(notes)


def of_one_coefficient(values: Array) -> Array:
    """Turn shape (n, 1) to (n,); leave other shapes."""
    return values[:, 0] if values.shape[1] == 1 else values
