"""Trim and fill: how many studies are missing on one side of the funnel, and the estimate with them put in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from comfrey.errors import ConvergenceError, InputError, NotEstimableError
from comfrey.models._fit import fit_model
from comfrey.models._input import Studies
from comfrey.models._view import view_of
from comfrey.models.pooling import Pooled, pool_studies
from comfrey.models.small_study._common import need, need_constant, one_of
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit, FitView

__all__ = ["TrimAndFill", "trim_and_fill"]

Estimator = Literal["L0", "R0", "Q0"]
_STEPS = 100


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class TrimAndFill(Result):
    """The pooled estimate with the missing studies filled in.

    Attributes
    ----------
    estimate, se, statistic, df, p_value, ci_low, ci_high, pi_low, pi_high, tau2, i2
        Of the fit with the filled studies, by the method and test of the fit given.
    k0 : int
        Studies filled in.
    side : str
        "left" or "right": where they are missing.
    unadjusted : float
        The estimate without them.
    filled : array of bool of shape (k + k0,)
        Which of `yi`, `vi`, `labels` were filled in (they come last).
    fit : Pooled
        The whole fit with the filled studies.
    """

    estimate: float
    se: float
    statistic: float
    df: float | None
    p_value: float
    ci_low: float
    ci_high: float
    pi_low: float
    pi_high: float
    tau2: float
    i2: float
    k0: int
    side: str
    estimator: str
    unadjusted: float
    k: int
    yi: Array = field(repr=False)
    vi: Array = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    filled: np.ndarray[Any, np.dtype[np.bool_]] = field(repr=False)
    method: str
    test: str
    level: float
    notes: tuple[str, ...]
    fit: Pooled = field(repr=False)

    @property
    def summary(self) -> pd.DataFrame:
        """Without and with the filled studies."""
        import pandas as pd

        names = ("estimate", "se", "ci_low", "ci_high", "p_value", "tau2", "i2")
        return pd.DataFrame(
            [{"k": self.k + self.k0, **{name: getattr(self, name) for name in names}}], index=["filled"]
        )

    @property
    def headline(self) -> tuple[str, ...]:
        """How many studies were filled in, on which side."""
        first = f"Trim and fill ({self.estimator}): {self.k0} studies filled in on the {self.side}, to {self.k}"
        second = f"without them: {self.unadjusted:.4f}; tau2 by {self.method}; test {self.test}"
        return (first, second, *(f"note: {text}" for text in self.notes))


def trim_and_fill(
    fit: AnyFit, estimator: Estimator = "L0", side: Literal["left", "right"] | None = None
) -> TrimAndFill:
    """Estimate the number of studies missing on one side of the funnel, and pool again with their mirror images.

    Studies are ranked by their distance from the centre, and T is the sum of the ranks of those on the far side. Of k
    studies, ``L0 = (4T - k(k+1))/(2k - 1)``, ``Q0 = k - 1/2 - sqrt(2k^2 - 4T + 1/4)``, and R0 is the length of the
    run of the largest ranks on the far side, less one. Centre and number are found in turn until they stay.

    Parameters
    ----------
    fit : Pooled
        Its method and test are used throughout.
    estimator : {"L0", "R0", "Q0"}
    side : {"left", "right"}, optional
        Where studies are missing. By default the sign of the slope on the standard error decides.

    Raises
    ------
    InputError
        For a meta-regression, or unknown choices.
    NotEstimableError
        If there are too few studies, or Q0 has no value (more studies would be missing than there are).
    ConvergenceError
        If centre and number change in a circle.

    References
    ----------
    Duval & Tweedie 2000, doi:10.1111/j.0006-341X.2000.00455.x and doi:10.1080/01621459.2000.10473905.

    Examples
    --------
    >>> import comfrey as cf
    >>> found = trim_and_fill(cf.pool([0.1, 0.2, 0.25, 0.7, 0.9, 1.2], [0.01, 0.02, 0.03, 0.08, 0.1, 0.2]))
    >>> found.k0, found.side, round(found.estimate, 3)
    (3, 'left', 0.165)
    """
    view = view_of(fit)
    need_constant(view, "trim and fill")
    one_of("estimator", estimator, ("L0", "R0", "Q0"))
    one_of("side", side, ("left", "right", None))
    need(view, 3, "trim and fill")
    notes: list[str] = []
    if side is None:
        side = _missing_side(view, notes)
    sign = 1.0 if side == "left" else -1.0
    order = np.argsort(sign * view.yi, kind="stable")
    y, v = sign * view.yi[order], view.vi[order]
    k0, centre = _iterate(view, y, v, estimator)
    tail = order[view.k - k0 :]
    yi = np.concatenate((view.yi, sign * (2.0 * centre - y[view.k - k0 :])))
    vi = np.concatenate((view.vi, view.vi[tail]))
    labels = (*view.labels, *(f"filled: {view.labels[row]}" for row in tail.tolist()))
    studies = Studies(yi, vi, None, labels, np.arange(yi.size), yi.size, view.measure, ())
    whole = pool_studies(studies, view.method, view.test, view.level, view.known_tau2)
    return TrimAndFill(
        estimate=whole.estimate,
        se=whole.se,
        statistic=whole.statistic,
        df=whole.df,
        p_value=whole.p_value,
        ci_low=whole.ci_low,
        ci_high=whole.ci_high,
        pi_low=whole.pi_low,
        pi_high=whole.pi_high,
        tau2=whole.tau2,
        i2=whole.i2,
        k0=k0,
        side=side,
        estimator=estimator,
        unadjusted=float(view.beta[0]),
        k=view.k,
        yi=yi,
        vi=vi,
        labels=labels,
        filled=np.arange(yi.size) >= view.k,
        method=view.method,
        test=view.test,
        level=view.level,
        notes=(*notes, *whole.notes),
        fit=whole,
    )


def _missing_side(view: FitView, notes: list[str]) -> Literal["left", "right"]:
    """Left where effects grow with the standard error, else right."""
    se = np.sqrt(view.vi)
    if np.ptp(se) <= 1e-10 * float(se.max()):
        raise InputError("side", found="None", expected="'left' or 'right': the studies are all of one size")
    fitted = fit_model(
        view.yi, view.vi, np.column_stack((np.ones(view.k), se / float(se.max()))), view.method, "z", view.known_tau2
    )
    slope = float(fitted.beta[1])
    if slope == 0.0:
        notes.append("the estimates show no slope on the standard error: the left side was taken")
    return "right" if slope < 0 else "left"


def _iterate(view: FitView, y: Array, v: Array, estimator: str) -> tuple[int, float]:
    """Trim, centre, count, until the count stays: the count, and the centre of the trimmed studies."""
    k, k0 = y.size, 0
    seen: list[int] = []
    for _ in range(_STEPS):
        centre = _centre(view, y[: k - k0], v[: k - k0])
        new = _count(y - centre, estimator)
        if new == k0:
            return k0, centre
        if new >= k - 1:
            raise NotEstimableError(f"{estimator} counts {new} missing studies, which leaves none to centre on")
        if new in seen:
            break
        seen.append(k0)
        k0 = new
    raise ConvergenceError(f"{estimator} and the centre change in a circle ({k0} and {new} missing studies)")


def _centre(view: FitView, y: Array, v: Array) -> float:
    if y.size == 1:
        return float(y[0])
    return float(fit_model(y, v, None, view.method, "z", view.known_tau2).beta[0])


def _count(deviation: Array, estimator: str) -> int:
    """Missing studies on the left, from deviations from the centre."""
    k = deviation.size
    ranks = _ranks(np.abs(deviation))
    if estimator == "R0":
        below = ranks[deviation < 0]
        run = k - (float(below.max()) if below.size else 0.0)
        return max(0, round(run - 1.0))
    total = float(ranks[deviation > 0].sum())
    if estimator == "L0":
        return max(0, round((4.0 * total - k * (k + 1)) / (2.0 * k - 1.0)))
    inside = 2.0 * k * k - 4.0 * total + 0.25
    if inside < 0:
        raise NotEstimableError("Q0 has no value for these studies: nearly all lie on one side; use L0 or R0")
    return max(0, round(k - 0.5 - math.sqrt(inside)))


def _ranks(values: Array) -> Array:
    """Ranks from one, means of ranks for ties."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[place], dtype=float)
