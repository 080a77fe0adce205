"""Selection models: the pooled estimate when publication depends on the p-value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from comfrey.errors import InputError, NotEstimableError
from comfrey.models._fit import fit_model, quantile, two_sided
from comfrey.models._observed import scale_of
from comfrey.models._view import view_of
from comfrey.models.small_study._climb import Peak, highest, on_face
from comfrey.models.small_study._common import need, one_of
from comfrey.models.small_study._selection import CONTINUOUS, Continuous, Step, Weights, Zs
from comfrey.models.small_study.selection_result import SelectionModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit, FitView

__all__ = ["SelectionModel", "selection_model"]

Kind = Literal["step", "beta", "half-normal", "negative-exponential", "logistic", "power"]
Alternative = Literal["greater", "less", "two-sided"]
_STARTS = 4
_SHORT = {"halfnorm": "half-normal", "negexp": "negative-exponential", "stepfun": "step"}


def selection_model(
    fit: AnyFit,
    kind: Kind = "step",
    steps: float | Sequence[float] = (0.025,),
    alternative: Alternative = "greater",
    empty: Literal["zero", "error"] = "zero",
    p_min: float = 1e-5,
    maximum: Literal["highest", "nearest"] = "highest",
) -> SelectionModel:
    """Fit a selection model: studies are published with a probability that depends on their p-values.

    The density of a published estimate is ``w(p) N(y; x b, v + tau2)/A``; b, tau2 and the parameters delta of w are
    found together by maximum likelihood. The weight functions are

    - step: one up to the first step, then a weight of its own for each interval. One step, such as 0.025, is the
      three-parameter selection model (Hedges 1992; Vevea & Hedges 1995).
    - beta: ``p^(delta1 - 1) (1 - p)^(delta2 - 1)``, both above zero (Citkowicz & Vevea 2017). The likelihood can rise
      without a maximum as a delta goes to zero; the highest maximum inside is given, and a note says so.
    - half-normal: ``exp(-delta p^2)``; negative-exponential: ``exp(-delta p)``; logistic:
      ``2 exp(-delta p)/(1 + exp(-delta p))`` (Preston et al. 2004); power: ``(1 - p)^delta``. No selection is delta 0.

    Parameters
    ----------
    fit : Pooled or MetaRegression
        Its studies and moderators; tau2 is estimated anew by maximum likelihood, but stays zero for method EE and
        stays at a value that was given.
    kind : {"step", "beta", "half-normal", "negative-exponential", "logistic", "power"}
    steps : float or sequence of float
        Ends of the intervals of p, rising, between 0 and 1; a last step of one may be left out.
    alternative : {"greater", "less", "two-sided"}
        Which p-values count: small ones are those of estimates above zero, below it, or far from it.
    empty : {"zero", "error"}
        An interval of a step function without studies (after the first) has its maximum at weight zero: it is taken
        there and noted, or refused.
    p_min : float
        For the smooth kinds: p-values are held within p_min and 1 - p_min. The beta density has no finite integral
        otherwise.
    maximum : {"highest", "nearest"}
        These likelihoods can have several maxima. "highest" tries several starts and names the others in `notes`;
        "nearest" climbs from the fit without selection alone, as programs with a single start do.

    Raises
    ------
    InputError
        If a choice is unknown or the steps do not rise.
    NotEstimableError
        If the first interval has no study (all weights are relative to it), or there are too few studies.
    ConvergenceError
        If no start ends at a maximum that can be certified.

    References
    ----------
    Hedges 1992, doi:10.1214/ss/1177011364; Vevea & Hedges 1995, doi:10.1007/BF02294384; Citkowicz & Vevea 2017,
    doi:10.1037/met0000119; Preston, Ashby & Smyth 2004, doi:10.1002/sim.1623.

    Examples
    --------
    >>> import comfrey as cf
    >>> fit = cf.pool([0.3, 0.5, 0.2, 0.9, 0.1, 0.7, 0.4], [0.01, 0.04, 0.03, 0.09, 0.02, 0.06, 0.03])
    >>> found = selection_model(fit)
    >>> round(found.estimate, 2), found.delta.round(2), round(found.lrt_p, 2)
    (0.21, array([1.  , 0.11]), 0.06)
    """
    view = view_of(fit)
    kind = _SHORT.get(kind, kind)  # type: ignore[assignment]  # names other programs use
    alternative = alternative.replace(".", "-").replace("_", "-") if isinstance(alternative, str) else alternative  # type: ignore[assignment]
    one_of("kind", kind, ("step", *CONTINUOUS))
    one_of("alternative", alternative, ("greater", "less", "two-sided"))
    one_of("empty", empty, ("zero", "error"))
    one_of("maximum", maximum, ("highest", "nearest"))
    if not (isinstance(p_min, float) and 0 < p_min <= 0.001):
        raise InputError("p_min", found=p_min, expected="a number above 0 and up to 0.001")
    sign = -1.0 if alternative == "less" else 1.0
    z = sign * view.yi / np.sqrt(view.vi)
    both = alternative == "two-sided"
    notes: list[str] = []
    ends: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    weights: Weights
    if kind == "step":
        edges = _check_steps(steps)
        ends = tuple(edges.tolist())
        weights = Step.make(z, edges, both)
        counts = tuple(np.bincount(weights.place, minlength=edges.size).tolist())
        notes += _empty_intervals(counts, edges, empty)
    else:
        weights = Continuous.make(kind, z, both, p_min)
    need(view, view.p + weights.null.size + 2, "this selection model")
    if alternative != "two-sided" and view.constant and sign * float(view.beta[0]) < 0:
        other = "less" if alternative == "greater" else "greater"
        notes.append(f"the pooled estimate points away from alternative='{alternative}'; see alternative='{other}'")
    return _fitted(view, weights, kind, alternative, sign, ends, counts, p_min, maximum, notes)


def _check_steps(steps: float | Sequence[float]) -> Array:
    try:
        edges = np.atleast_1d(np.asarray(steps, dtype=float))
    except (TypeError, ValueError):
        raise InputError("steps", found=repr(steps), expected="numbers between 0 and 1") from None
    if edges.ndim != 1 or not edges.size or not np.isfinite(edges).all() or edges.min() <= 0 or edges.max() > 1:
        raise InputError("steps", found=repr(steps), expected="numbers between 0 and 1, e.g. (0.025, 0.5)")
    if (np.diff(edges) <= 0).any():
        raise InputError("steps", found=repr(steps), expected="numbers that rise")
    if edges[-1] < 1.0:
        edges = np.append(edges, 1.0)
    if edges.size < 2:
        raise InputError("steps", found=repr(steps), expected="a step below one")
    return edges


def _empty_intervals(counts: tuple[int, ...], edges: Array, empty: str) -> list[str]:
    starts = (0.0, *edges.tolist())
    names = [f"({starts[j]:g}, {starts[j + 1]:g}]" for j, count in enumerate(counts) if count == 0]
    if not names:
        return []
    if counts[0] == 0:
        raise NotEstimableError(
            f"no study has a p-value in the first interval, {names[0]}: all weights are relative to it. "
            "Move the first step, or see `alternative`"
        )
    if empty == "error":
        raise NotEstimableError(f"no study has a p-value in {', '.join(names)}: its weight cannot be estimated")
    return [f"no study has a p-value in {name}: its weight is at its boundary, zero" for name in names]


def _objective(
    y: Array, X: Array, v: Array, weights: Weights, known: float | None
) -> Callable[[Array], tuple[float, Array]]:
    """Log-likelihood and gradient as a function of (b, tau2, delta), without tau2 where it is known."""
    p = X.shape[1]
    se = np.sqrt(v)
    start = p if known is not None else p + 1

    def at(theta: Array) -> tuple[float, Array]:
        with np.errstate(all="ignore"):  # far from the maximum numbers may overflow: there is no likelihood there
            out, gradient = inside(theta)
        if not (math.isfinite(out) and np.isfinite(gradient).all()):
            return -math.inf, np.zeros(theta.size)
        return out, gradient

    def inside(theta: Array) -> tuple[float, Array]:
        tau2 = float(theta[p]) if known is None else known
        variance = v + tau2
        total = np.sqrt(variance)
        mean = X @ theta[:p]
        r = (y - mean) / total
        logs, slopes = weights.observed(theta[start:])
        area = weights.area(mean, se, total, theta[start:])
        value = float((logs - 0.5 * r * r - np.log(total) - np.log(area.value)).sum())
        value -= 0.5 * y.size * math.log(2.0 * math.pi)
        by_mean = r / total - area.by_mean / area.value
        gradient = np.empty(theta.size)
        gradient[:p] = by_mean @ X
        if known is None:
            gradient[p] = float(((r * r - 1.0) / (2.0 * variance) - area.by_variance / area.value).sum())
        gradient[start:] = slopes.sum(axis=1) - (area.by_delta / area.value).sum(axis=1)
        return value, gradient

    return at


def _fitted(
    view: FitView,
    weights: Weights,
    kind: str,
    alternative: str,
    sign: float,
    ends: tuple[float, ...],
    counts: tuple[int, ...],
    p_min: float,
    maximum: str,
    notes: list[str],
) -> SelectionModel:
    scale = scale_of(view.vi)
    y, v = sign * view.yi / scale, view.vi / scale**2
    X, back = np.ones((view.k, 1)), np.eye(1)
    if not view.constant:
        basis, triangle = np.linalg.qr(view.X)
        X, back = basis * math.sqrt(view.k), np.linalg.inv(triangle) * math.sqrt(view.k)
    known = 0.0 if view.method == "EE" else view.known_tau2
    known = None if known is None else known / scale**2
    plain = fit_model(y, v, X, "ML", "z", known)
    value = _objective(y, X, v, weights, known)
    p, held = view.p, known is not None
    lower = np.concatenate((np.full(p, -np.inf), [] if held else [0.0], weights.lower))
    starts = _starts(value, plain.beta, plain.tau2, v, weights, held)
    if maximum == "nearest":
        starts = starts[:1]
    elif kind == "beta":
        starts += [on_face(value, lower, held_at, starts[:3]) for held_at in (lower.size - 2, lower.size - 1)]
    excluded = np.zeros(lower.size, dtype=bool)
    excluded[lower.size - weights.null.size :] = kind == "beta"
    peak = highest(value, lower, starts, excluded=excluded)
    theta, covariance = peak.theta, peak.covariance
    start = p if held else p + 1
    beta = sign * scale * (back @ theta[:p])
    beta_se = scale * np.sqrt(np.diag(back @ covariance[:p, :p] @ back.T))
    tau2 = (known or 0.0) if held else float(theta[p])
    shift = view.k * math.log(scale)
    without = plain.log_likelihood - shift
    log_likelihood = peak.value - shift
    d = weights.null.size
    lrt = 2.0 * (log_likelihood - without)
    # two likelihoods that agree to the last digits are the same: the model without selection is the maximum
    if lrt < 1e-12 * max(1.0, abs(log_likelihood)):
        lrt = 0.0
    delta, delta_se = _deltas(weights, theta[start:], covariance[start:, start:])
    notes += _boundary_notes(peak, p, held, weights)
    for value_there, there in peak.others:
        other = float((sign * scale * (back @ there[:p]))[0])
        notes.append(f"another maximum lies at the estimate {other:.4f} (log-likelihood {value_there - shift:.4f})")
    if peak.edge is not None:
        outside = float((sign * scale * (back @ peak.edge[1][:p]))[0])
        notes.append(
            f"the likelihood is higher ({peak.edge[0] - shift:.4f}) where a delta goes to zero, with the estimate "
            f"{outside:.4f}: there it hangs on p_min, and the highest maximum inside is given"
        )
    estimate, se = float(beta[0]), float(beta_se[0])
    half = quantile(view.level, None) * se
    return SelectionModel(
        estimate=estimate,
        se=se,
        statistic=estimate / se,
        p_value=two_sided(estimate / se, None),
        ci_low=estimate - half,
        ci_high=estimate + half,
        tau2=tau2 * scale**2,
        se_tau2=math.nan if held or not peak.free[p] else math.sqrt(float(covariance[p, p])) * scale**2,
        delta=delta,
        delta_se=delta_se,
        delta_names=weights.names,
        log_likelihood=log_likelihood,
        log_likelihood_without=without,
        lrt=lrt,
        lrt_df=d,
        lrt_p=float(special.chdtrc(d, lrt)) if d else math.nan,
        beta=beta,
        beta_se=beta_se,
        terms=view.terms,
        unadjusted=sign * scale * (back @ plain.beta),
        unadjusted_tau2=plain.tau2 * scale**2,
        kind=kind,
        alternative=alternative,
        steps=ends,
        counts=counts,
        p_min=math.nan if kind == "step" else p_min,
        level=view.level,
        k=view.k,
        certificate=peak.certificate,
        notes=tuple(notes),
        _weight=_curve(weights, theta[start:], ends, p_min),
    )


def _starts(
    value: Callable[[Array], tuple[float, Array]],
    beta: Array,
    tau2: float,
    v: Array,
    weights: Weights,
    held: bool,
) -> list[Array]:
    """Make starting points: for every delta suggested the best of several effects; no selection, then the highest."""
    spread = max(tau2, 0.1 * float(np.median(v)))
    unit = math.sqrt(tau2 + float(np.median(v)))
    plain = np.concatenate((beta, [] if held else [spread], weights.null))
    found = []
    for delta in weights.starts:
        tried = []
        for shift in (0.0, -0.7, 0.7, -2.0, 2.0):
            moved = beta.copy()
            moved[0] += shift * unit
            theta = np.concatenate((moved, [] if held else [spread], delta))
            tried.append((value(theta)[0], theta))
        found.append(max(tried, key=lambda item: item[0]))
    found.sort(key=lambda item: -item[0])
    return [plain, *(theta for _, theta in found[:_STARTS])]


def _deltas(weights: Weights, delta: Array, covariance: Array) -> tuple[Array, Array]:
    """Parameters on their own scale: of a step function all intervals, the first one fixed at one."""
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.diag(covariance))
    if not isinstance(weights, Step):
        return delta, se
    values = weights.deltas(delta)
    errors = np.full(values.size, math.nan)
    errors[weights.free] = values[weights.free] * se
    return values, errors


def _boundary_notes(peak: Peak, p: int, held: bool, weights: Weights) -> list[str]:
    notes = []
    if not held and not peak.free[p]:
        notes.append("tau2 is at its boundary, zero: it is taken as known in the standard errors")
    for j, name in enumerate(weights.names if not isinstance(weights, Step) else ()):
        if not peak.free[p + (0 if held else 1) + j]:
            notes.append(
                f"{name} is at its boundary (no selection of this kind): taken as known in the standard errors"
            )
    return notes


def _curve(weights: Weights, delta: Array, ends: tuple[float, ...], p_min: float) -> Callable[[Array], Array]:
    if isinstance(weights, Step):
        values = weights.deltas(delta)
        return lambda p: values[np.searchsorted(np.array(ends), p, side="left").clip(0, values.size - 1)]
    assert isinstance(weights, Continuous)  # noqa: S101  # for the type checker
    function = weights.function

    def curve(p: Array) -> Array:
        held = np.clip(p, p_min, 1.0 - p_min)
        return np.exp(function.log_weight(Zs(held, np.log(held), np.log1p(-held)), delta))

    return curve
