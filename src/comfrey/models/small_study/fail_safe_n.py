"""How many null studies it would take to undo a result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._fit import two_sided
from comfrey.models._view import view_of
from comfrey.models.small_study._common import need_constant, one_of
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit, FitView

__all__ = ["FailSafeN", "fail_safe_n"]

Kind = Literal["rosenthal", "orwin", "rosenberg", "general"]
_WORDS = {
    "rosenthal": "combined z values lose significance (one-sided)",
    "orwin": "the mean effect falls to the target",
    "rosenberg": "the equal-effects estimate loses significance (two-sided)",
    "general": "the random-effects estimate loses significance (two-sided)",
}
_MOST = 10_000_000


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class FailSafeN(Result):
    """A fail-safe N.

    Attributes
    ----------
    n : int
        The smallest number of null studies that undoes the result; zero if there is nothing to undo.
    exact : float
        The same before rounding up; not-a-number for the general kind, which is found among whole numbers.
    kind, meaning : str
    alpha, target : float
        `target` is not-a-number where the kind has none, and `alpha` likewise.
    estimate, p_value : float
        What was observed: mean or pooled effect (not-a-number for Rosenthal's), and its p-value (not-a-number for
        Orwin's).
    """

    n: int
    exact: float
    kind: str
    meaning: str
    alpha: float
    target: float
    estimate: float
    p_value: float
    k: int
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        import pandas as pd

        names = ("n", "alpha", "target", "estimate", "p_value", "k")
        return pd.DataFrame([{name: getattr(self, name) for name in names}], index=[self.kind])

    @property
    def headline(self) -> tuple[str, ...]:
        """The number and what it means."""
        first = f"Fail-safe N ({self.kind}): with {self.n} null studies {self.meaning}"
        return (first, *(f"note: {text}" for text in self.notes))


def fail_safe_n(fit: AnyFit, kind: Kind = "rosenthal", alpha: float = 0.05, target: float | None = None) -> FailSafeN:
    """Count the null studies that would undo a result.

    - rosenthal: ``(sum z_i)^2/z^2 - k`` with the one-sided quantile z.
    - orwin: ``k (|m| - |t|)/|t|`` for the unweighted mean m and the target t (by default m/2).
    - rosenberg: ``((sum w y)^2/z^2 - sum w)/mean(w)`` with ``w = 1/v`` and the two-sided quantile.
    - general: studies with effect zero and the harmonic mean of the variances are added to the random-effects model
      until its z test loses significance, or its estimate falls to a target. With N of them tau2 becomes that of the
      mixture of both kinds, ``tau2 + k N m^2/(k + N)^2``.

    These numbers say little about bias that is really there (they suppose missing studies with a mean effect of zero);
    they are given because readers ask for them.

    Parameters
    ----------
    fit : Pooled
    kind : {"rosenthal", "orwin", "rosenberg", "general"}
    alpha : float
    target : float, optional
        For orwin and general.

    Raises
    ------
    InputError
        For a meta-regression, or impossible choices.
    NotEstimableError
        If the number is beyond ten million.

    References
    ----------
    Rosenthal 1979, doi:10.1037/0033-2909.86.3.638; Orwin 1983, doi:10.2307/1164923; Rosenberg 2005,
    doi:10.1111/j.0014-3820.2005.tb01004.x.

    Examples
    --------
    >>> import comfrey as cf
    >>> fail_safe_n(cf.pool([0.3, 0.5, 0.3, 0.9], [0.01, 0.05, 0.03, 0.08])).n
    35
    """
    view = view_of(fit)
    need_constant(view, "a fail-safe N")
    one_of("kind", kind, tuple(_WORDS))
    if not (isinstance(alpha, (int, float)) and 0 < alpha < 1):
        raise InputError("alpha", found=alpha, expected="a number between 0 and 1")
    if target is not None:
        if kind not in {"orwin", "general"}:
            raise InputError("target", found=target, expected=f"nothing: the {kind} kind has no target")
        if not (isinstance(target, (int, float)) and math.isfinite(target) and target != 0):
            raise InputError("target", found=target, expected="a number other than zero")
    number, estimate, p_value = {
        "rosenthal": _rosenthal,
        "orwin": _orwin,
        "rosenberg": _rosenberg,
        "general": _general,
    }[kind](view, alpha, target)
    notes = []
    if number <= 0:
        notes.append("there is nothing to undo: the result is already below what is asked")
    if number > _MOST:
        raise NotEstimableError(f"the fail-safe N is above {_MOST:,}")
    meaning = _WORDS[kind]
    if kind == "general" and target is not None:
        meaning = "the random-effects estimate falls to the target"
    # a whole number that rounding has put just above itself stays that number
    whole = max(0, math.ceil(number - 1e-9 * max(1.0, abs(number))))
    return FailSafeN(
        n=whole,
        exact=math.nan if kind == "general" else number,
        kind=kind,
        meaning=meaning,
        alpha=math.nan if kind == "orwin" or (kind == "general" and target is not None) else alpha,
        target=_target(target, kind, estimate),
        estimate=estimate,
        p_value=p_value,
        k=view.k,
        notes=tuple(notes),
    )


def _target(target: float | None, kind: str, estimate: float) -> float:
    if target is not None:
        return float(target)
    return estimate / 2.0 if kind == "orwin" else math.nan


def _rosenthal(view: FitView, alpha: float, target: float | None) -> tuple[float, float, float]:
    del target
    total = float((view.yi / np.sqrt(view.vi)).sum())
    p_value = float(special.ndtr(-abs(total) / math.sqrt(view.k)))
    return (total / float(special.ndtri(alpha))) ** 2 - view.k, math.nan, p_value


def _orwin(view: FitView, alpha: float, target: float | None) -> tuple[float, float, float]:
    del alpha
    mean = float(view.yi.mean())
    aim = abs(mean) / 2.0 if target is None else abs(target)
    if aim == 0.0 or (target is not None and target * mean < 0):
        return 0.0 if aim == 0.0 else math.inf, mean, math.nan
    return view.k * (abs(mean) - aim) / aim, mean, math.nan


def _rosenberg(view: FitView, alpha: float, target: float | None) -> tuple[float, float, float]:
    del target
    w = 1.0 / view.vi
    total, scale = float(w @ view.yi), float(w.sum())
    p_value = two_sided(total / math.sqrt(scale), None)
    return ((total / float(special.ndtri(alpha / 2))) ** 2 - scale) / float(w.mean()), total / scale, p_value


def _general(view: FitView, alpha: float, target: float | None) -> tuple[float, float, float]:
    """Scan whole numbers for the first that undoes the result."""
    mean, quantile = float(view.beta[0]), -float(special.ndtri(alpha / 2))
    usual = 1.0 / float((1.0 / view.vi).mean())
    k = view.k
    tau2 = view.tau2 if math.isfinite(view.tau2) else 0.0

    def fits(n: Array) -> tuple[Array, Array]:
        mixed = np.full(n.size, tau2) if view.method == "EE" else tau2 + k * n * mean * mean / (k + n) ** 2
        w = 1.0 / (view.vi + mixed[:, None])
        total = w.sum(axis=1) + n / (usual + mixed)
        return w @ view.yi / total, np.sqrt(1.0 / total)

    first, se = (float(item[0]) for item in fits(np.zeros(1)))
    p_value = two_sided(first / se, None)
    if target is not None and target * first < 0:
        return math.inf, first, p_value

    def undone(n: Array) -> np.ndarray:
        estimate, error = fits(n)
        return np.abs(estimate) <= (quantile * error if target is None else abs(target))

    return _first(undone), first, p_value


def _first(undone: Callable[[Array], np.ndarray]) -> float:
    """Find the first whole number at which it holds: one by one up to ten thousand, then by halving."""
    for start in range(0, 10_000, 500):
        hits = np.flatnonzero(undone(np.arange(start, start + 500, dtype=float)))
        if hits.size:
            return float(start + hits[0])
    high = 10_000
    while not undone(np.array([float(high)]))[0]:
        high *= 2
        if high > _MOST:
            return math.inf
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if undone(np.array([float(middle)]))[0] else (middle, high)
    return float(high)
