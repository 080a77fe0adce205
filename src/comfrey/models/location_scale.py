"""Location-scale models: moderators of the mean effect, and of how much effects vary.

Source: Viechtbauer & López-López 2022 (doi:10.1002/jrsm.1562).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy import special

from comfrey.errors import ConvergenceError, InputError
from comfrey.models._design import Design, build_design
from comfrey.models._fit import quantile
from comfrey.models._input import read_studies
from comfrey.models._maximum import Certificate, maximise
from comfrey.models._observed import scale_of
from comfrey.models._profile import Observed
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array, Measure

__all__ = ["LocationScale", "location_scale"]

_STEPS = 500


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class LocationScale(Result):
    """A fitted location-scale model; the scale coefficients are those of log tau2.

    Attributes
    ----------
    beta, se : arrays of shape (p,)
        Location coefficients and standard errors; `covariance` their covariance.
    alpha, se_alpha : arrays of shape (q,)
        Scale coefficients, of log tau2, and standard errors (observed information).
    tau2 : array of shape (k,)
        Fitted for each study.
    log_likelihood : float
    likelihood_ratio, likelihood_ratio_df, likelihood_ratio_p : float, int, float
        Test of the scale moderators against one tau2 for all; not-a-number where the scale model has no intercept.
    gradient : float
        Largest derivative of the log-likelihood by a scale coefficient, in units of its standard error.
    iterations, maxima : int
        Steps of the search, and how many local maxima its three starts ended at.
    """

    names: tuple[str, ...]
    beta: Array
    se: Array
    covariance: Array = field(repr=False)
    scale_names: tuple[str, ...]
    alpha: Array
    se_alpha: Array
    covariance_alpha: Array = field(repr=False)
    tau2: Array = field(repr=False)
    log_likelihood: float
    likelihood_ratio: float
    likelihood_ratio_df: int
    likelihood_ratio_p: float
    gradient: float
    iterations: int
    maxima: int
    k: int
    method: str
    level: float
    formulas: tuple[str, str]
    measure: Measure | None
    dropped: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def certificate(self) -> Certificate:
        """What is known about the search; a higher maximum was looked for from three starts."""
        return Certificate(True, self.iterations, self.gradient, False, self.maxima, False)

    @property
    def coefficients(self) -> pd.DataFrame:
        """Both parts: part, term, estimate, se, statistic, p_value, ci_low, ci_high."""
        import pandas as pd

        estimate, se = np.concatenate([self.beta, self.alpha]), np.concatenate([self.se, self.se_alpha])
        statistic = estimate / se
        half = quantile(self.level, None) * se
        return pd.DataFrame(
            {
                "part": ["location"] * self.beta.size + ["scale"] * self.alpha.size,
                "term": [*self.names, *self.scale_names],
                "estimate": estimate,
                "se": se,
                "statistic": statistic,
                "p_value": 2.0 * special.ndtr(-np.abs(statistic)),
                "ci_low": estimate - half,
                "ci_high": estimate + half,
            }
        )

    @property
    def summary(self) -> pd.DataFrame:
        """The coefficients by part and term."""
        return self.coefficients.set_index(["part", "term"])

    @property
    def headline(self) -> tuple[str, ...]:
        """Model, method and the test of the scale part."""
        lines = [
            f"Location-scale model, {self.k} studies: mean on {self.formulas[0]}, log tau2 on {self.formulas[1]}",
            f"{self.method}, normal tests, {self.level:.0%} intervals",
        ]
        if math.isfinite(self.likelihood_ratio):
            lines.append(
                f"scale moderators: chi-squared({self.likelihood_ratio_df}) = {self.likelihood_ratio:.4g}, "
                f"p = {self.likelihood_ratio_p:.4g}"
            )
        return (*lines, *(f"left out: {text}" for text in self.dropped), *(f"note: {text}" for text in self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the measure by its name."""
        return {**Result.to_dict(self), "measure": None if self.measure is None else self.measure.name}


def location_scale(
    yi: object,
    vi: object = None,
    *,
    scale: str,
    moderators: str = "1",
    data: Any,
    study: object = None,
    method: Literal["REML", "ML"] = "REML",
    level: float = 0.95,
) -> LocationScale:
    """Model how both the mean effect and its variance between studies depend on moderators.

    The model is ``y_i ~ N(x_i b, v_i + tau2_i)`` with ``log tau2_i = z_i a``.

    Parameters
    ----------
    yi, vi : as in :func:`comfrey.pool`
    scale : str
        Formula for log tau2.
    moderators : str
        Formula for the mean.
    data : DataFrame or mapping
        One row a study.
    study, level : as in :func:`comfrey.pool`
    method : {"REML", "ML"}

    Returns
    -------
    LocationScale

    Raises
    ------
    InputError, NotEstimableError
        As :func:`comfrey.pool` for formulas and data.
    ConvergenceError
        If the likelihood has no maximum inside (tau2 of some studies heads for zero).

    Examples
    --------
    >>> data = {"year": [1, 2, 3, 4, 5, 6, 7, 8]}
    >>> yi, vi = [0.1, 0.4, -0.3, 0.9, -0.7, 1.6, -1.5, 2.0], [0.01] * 8
    >>> location_scale(yi, vi, scale="year", data=data).alpha.round(2)
    array([-3.77,  0.7 ])
    """
    if method not in {"REML", "ML"}:
        raise InputError("method", found=repr(method), expected="'REML' or 'ML'")
    if not 0 < level < 1:
        raise InputError("level", found=level, expected="a number between 0 and 1")
    studies = read_studies(yi, vi, data=data, study=study)
    location, studies = build_design(moderators, data, studies)
    before = studies.k
    spread, studies = build_design(scale, data, studies)
    if studies.k < before:
        location, studies = build_design(moderators, data, studies)
    unit = scale_of(studies.vi)
    basis, triangle = np.linalg.qr(location.matrix)
    problem = _Problem(
        studies.yi / unit, studies.vi / unit**2, basis, spread.matrix, 2 * math.log(unit), method == "REML"
    )
    alpha, iterations, gradient, maxima = _search(problem)
    state = _evaluate(problem, alpha)
    back = np.linalg.inv(triangle)
    covariance = back @ state.inverse @ back.T * unit**2
    hessian = _observed(problem, alpha)
    try:
        covariance_alpha = np.asarray(np.linalg.inv(hessian), dtype=float)
    except np.linalg.LinAlgError:
        covariance_alpha = np.full(hessian.shape, math.nan)
    with np.errstate(invalid="ignore"):
        se_alpha = np.sqrt(np.diag(covariance_alpha))
    notes = [] if np.isfinite(se_alpha).all() else ["no standard errors of the scale part: the likelihood is flat"]
    notes = [*location.notes, *spread.notes, *notes]
    rows = problem.rows
    likelihood = state.log_likelihood - rows * math.log(unit)
    ratio, ratio_df = math.nan, spread.matrix.shape[1] - 1
    if spread.intercept and ratio_df > 0:
        ratio = max(0.0, 2.0 * (state.log_likelihood - _constant(problem)))
    elif ratio_df > 0:
        notes.append("no likelihood-ratio test: the scale model has no intercept")
    return LocationScale(
        names=location.names,
        beta=back @ state.inner * unit,
        se=np.sqrt(np.diag(covariance)),
        covariance=covariance,
        scale_names=spread.names,
        alpha=alpha,
        se_alpha=se_alpha,
        covariance_alpha=covariance_alpha,
        tau2=state.tau2 * unit**2,
        log_likelihood=likelihood,
        likelihood_ratio=ratio,
        likelihood_ratio_df=ratio_df,
        likelihood_ratio_p=float(special.chdtrc(ratio_df, ratio)) if ratio_df and math.isfinite(ratio) else math.nan,
        gradient=gradient,
        iterations=iterations,
        maxima=maxima,
        k=studies.k,
        method=method,
        level=level,
        formulas=(_text(location), _text(spread)),
        measure=studies.measure,
        dropped=studies.dropped,
        notes=tuple(notes),
    )


def _text(design: Design) -> str:
    return design.formula


class _Problem(NamedTuple):
    y: Array
    v: Array
    basis: Array
    Z: Array
    offset: float  # log tau2 on the scale of work is Z a minus this
    restricted: bool

    @property
    def observed(self) -> Observed:
        """The data of one tau2 for all, by the sums that bear variances far apart."""
        return Observed(self.y, self.v, self.basis, wide=True)

    @property
    def rows(self) -> int:
        return int(self.y.size - (self.basis.shape[1] if self.restricted else 0))


class _State(NamedTuple):
    log_likelihood: float
    gradient: Array
    information: Array  # expected
    tau2: Array
    inner: Array
    inverse: Array


def _evaluate(problem: _Problem, alpha: Array) -> _State:
    """Log-likelihood, its gradient by alpha and the expected information, in O(k (p + q)^2)."""
    y, v, basis, Z, offset, restricted = problem
    tau2 = np.exp(np.clip(Z @ alpha - offset, -700.0, 700.0))
    w = 1.0 / (v + tau2)
    cross = (basis * w[:, None]).T @ basis
    inverse = np.linalg.inv(cross)
    inner = inverse @ (basis.T @ (w * y))
    u = w * (y - basis @ inner)
    likelihood = -0.5 * (problem.rows * math.log(2 * math.pi) - float(np.log(w).sum()) + float(u @ (y - basis @ inner)))
    d = tau2[:, None] * Z
    lever = w * w * np.einsum("ki,ij,kj->k", basis, inverse, basis) if restricted else np.zeros_like(w)
    if restricted:
        likelihood -= 0.5 * float(np.linalg.slogdet(cross)[1])
    gradient = 0.5 * d.T @ (u * u - (w - lever))
    information = 0.5 * (d * (w * w - 2.0 * w * lever)[:, None]).T @ d
    if restricted:
        parts = np.einsum("ki,kq,kj->qij", basis * (w * w)[:, None], d, basis)
        middle = np.einsum("ij,qjl->qil", inverse, parts)
        information = information + 0.5 * np.einsum("qij,rji->qr", middle, middle)
    return _State(likelihood, gradient, information, tau2, inner, np.asarray(inverse, dtype=float))


def _observed(problem: _Problem, alpha: Array) -> Array:
    """Observed information, by central differences of the exact gradient."""
    size = alpha.size
    state = _evaluate(problem, alpha)
    scales = 1.0 / np.sqrt(np.maximum(np.diag(state.information), 1e-300))
    out = np.empty((size, size))
    for j in range(size):
        step = np.zeros(size)
        step[j] = 1e-4 * scales[j]
        fall = _evaluate(problem, alpha - step).gradient - _evaluate(problem, alpha + step).gradient
        out[j] = fall / (2 * step[j])
    return (out + out.T) / 2


def _constant(problem: _Problem) -> float:
    """Log-likelihood with one tau2 for all."""
    data = problem.observed
    tau2, _ = maximise(data, problem.restricted)
    ones = np.ones((problem.y.size, 1))
    alone = problem._replace(Z=ones, offset=0.0)
    return _evaluate(alone, np.array([math.log(tau2) if tau2 > 0 else -700.0])).log_likelihood


def _search(problem: _Problem) -> tuple[Array, int, float, int]:
    """Best maximum from several starts by damped scoring steps that never lower the likelihood; how many were met."""
    data = problem.observed
    tau2, _ = maximise(data, problem.restricted)
    base = math.log(max(tau2, 0.01 * float(np.median(problem.v)))) + problem.offset
    residual = problem.y - problem.basis @ (problem.basis.T @ problem.y)
    logs = np.log(np.maximum(residual**2 - problem.v, 0.05 * problem.v)) + problem.offset
    targets = (np.full(problem.y.size, base), logs, 0.5 * (logs + base))
    starts = [np.linalg.lstsq(problem.Z, target, rcond=None)[0] for target in targets]
    best: tuple[float, Array, int, float] | None = None
    failures, heights = [], list[float]()
    for start in starts:
        try:
            alpha, steps, gradient = _ascend(problem, start)
        except ConvergenceError as error:
            failures.append(str(error))
            continue
        likelihood = _evaluate(problem, alpha).log_likelihood
        if not any(abs(likelihood - other) < 1e-6 for other in heights):
            heights.append(likelihood)
        if best is None or likelihood > best[0] + 1e-9:
            best = (likelihood, alpha, steps, gradient)
    if best is None:
        raise ConvergenceError(failures[0])
    return best[1], best[2], best[3], len(heights)


def _ascend(problem: _Problem, alpha: Array) -> tuple[Array, int, float]:
    state, damping = _evaluate(problem, alpha), 1e-3
    for step in range(1, _STEPS + 1):
        size = np.sqrt(np.maximum(np.diag(state.information), 1e-300))
        # gradients of the likelihood for one standard error's move
        gradient = float(np.max(np.abs(state.gradient / size)))
        if gradient < 1e-9:
            break
        hessian = _observed(problem, alpha) if step > 5 else state.information
        scaled = hessian / np.outer(size, size)
        lift = max(0.0, 1e-6 - float(np.linalg.eigvalsh(scaled)[0]))
        improved = False
        for _ in range(40):
            move = np.linalg.solve(scaled + (lift + damping) * np.eye(alpha.size), state.gradient / size) / size
            new = _evaluate(problem, alpha + move)
            if new.log_likelihood >= state.log_likelihood - 1e-13 * abs(state.log_likelihood):
                improved = True
                break
            damping = max(10.0 * damping, 1e-6)
        if not improved:
            break
        alpha, state, damping = alpha + move, new, damping * 0.1 if damping > 1e-12 else 0.0
        if np.abs(problem.Z @ alpha - problem.offset).max() > 600:
            break
    logs = problem.Z @ alpha - problem.offset - np.log(problem.v)
    if gradient > 1e-6 or logs.max() < -25:
        raise ConvergenceError(
            "the likelihood of the scale model has no maximum inside: tau2 of some studies heads for zero or infinity"
        )
    return alpha, step, gradient
