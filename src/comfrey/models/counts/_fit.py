"""Maximum likelihood: a scan of the profile over the standard deviations, then Newton steps to the top, certified."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import ConvergenceError
from comfrey.models.counts._quadrature import Evaluation, Problem, evaluate

if TYPE_CHECKING:
    import numpy.typing as npt

    from comfrey.models.counts._kernels import Array

    Mask = npt.NDArray[np.bool_]

__all__ = ["Fit", "fit_fixed", "held", "maximise"]

_GRID = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_GRID_TWO = (0.0, 0.1, 0.4, 1.2, 4.0)  # for each of two standard deviations
_SCAN_POINTS_TWO = 9  # in each dimension: enough to find the peaks
_LARGEST_SD = 25.0  # odds or rates that differ e^25-fold between studies: the likelihood is running away
_CERTAIN = {1: 1e-6, 2: 1e-3}  # the scan over two standard deviations has fewer points, and so more error
_LADDER = {1: (15, 31, 63, 161, 321, 641), 2: (15, 31, 63, 161)}  # by the number of random effects
_FLAT = 1e-9  # a gain in log-likelihood, relative, that is none
_ROUGHEST = 1e-5  # error of the log-likelihood that is let pass at the end of the ladder
_TOLERANCE = 1e-8  # of the log-likelihood, between two steps of the ladder


@dataclass(frozen=True, slots=True)
class _Rules:
    """When a climb ends.

    `decrement` is the squared distance from the maximum in standard errors; once below it, steps go on as long as
    each brings a tenfold gain. `slack` is a drop of the log-likelihood (relative) that may be quadrature error.
    """

    decrement: float
    steps: int
    halvings: int
    slack: float


_ROUGH = _Rules(decrement=1e-3, steps=10, halvings=4, slack=1e-4)
_EXACT = _Rules(decrement=1e-13, steps=100, halvings=12, slack=1e-7)


@dataclass(frozen=True, slots=True)
class Fit:
    """A certified maximum.

    `beta` (p,), `sd` (r,), `alpha` (k,) or (0,), `covariance` (p + r, p + r) from the observed information (zero
    rows where a standard deviation is on its boundary), `gradient_norm` the length of the score in units of standard
    errors, `conditional_log_likelihood` that of the counts given the modes of the random effects, `flat` tells
    that the likelihood does not depend on the first standard deviation, `profile` holds the scanned standard
    deviations with their log-likelihoods, `own_information` that of the studies' own parameters:
    (k,), its cross terms with the shared ones (k, s), and that of the shared ones (s, s). `maxima` counts the local
    maxima that the climbs from the peaks of the scan ended at.
    """

    beta: Array
    sd: Array
    alpha: Array
    modes: Array
    log_likelihood: float
    covariance: Array
    gradient_norm: float
    points: int
    quadrature_error: float
    conditional_log_likelihood: float
    flat: bool
    profile: tuple[Array, Array]
    own_information: tuple[Array, Array, Array]
    maxima: int = 1


def _step(score: Array, hessian: Array) -> tuple[Array, Array]:
    """Ascent steps and their decrements for a batch: Newton, with directions of wrong curvature turned round."""
    curvature, vectors = np.linalg.eigh(-hessian)
    floor = 1e-10 * np.abs(curvature).max(axis=-1, keepdims=True) + 1e-300
    along = np.einsum("gji,gj->gi", vectors, score) / np.maximum(np.abs(curvature), floor)
    step = np.einsum("gij,gj->gi", vectors, along)
    return step, (step * score).sum(axis=-1)


def _climb(
    problem: Problem,
    beta: Array,
    sd: Array,
    alpha: Array,
    modes: Array | None,
    points: int,
    free: Mask,
    rules: _Rules,
) -> tuple[Array, Array, Array, Evaluation, Array]:
    """Damped Newton steps for a batch of starts; `free` (r,) tells which standard deviations may move.

    A step that lowers the log-likelihood is halved; members of the batch that have arrived stand still.

    Returns coefficients, standard deviations, own parameters, the last evaluation and the last decrements (G,).
    """
    p = problem.shared
    moving = np.concatenate((np.ones(p, dtype=bool), free))
    now = evaluate(problem, beta, sd, alpha, points, modes)
    before = np.full(len(beta), np.inf)
    stuck: Mask = np.zeros(len(beta), dtype=bool)
    for _ in range(rules.steps):
        score, hessian = now.profiled()
        step, decrement = _step(score[:, moving], hessian[:, moving][:, :, moving])
        full = np.zeros_like(score)
        full[:, moving] = step
        if alpha.shape[1]:
            own = -(now.nuisance_score + np.einsum("gks,gs->gk", now.nuisance_cross, full)) / now.nuisance_hessian
            decrement = decrement + (now.nuisance_score**2 / -now.nuisance_hessian).sum(axis=-1)
        else:
            own = np.zeros_like(alpha)
        going = ~stuck & ~(
            (decrement < rules.decrement) & ((decrement > 0.1 * before) | (decrement < rules.decrement**1.5))
        )
        before = decrement
        if not going.any():
            break
        full *= going[:, None]
        own *= going[:, None]
        # No step longer than 3 on the logit or log scale: beyond it the quadratic picture means nothing.
        longest = np.maximum(np.abs(full).max(axis=-1), np.abs(own).max(axis=-1, initial=0.0))
        damping = np.minimum(1.0, 3.0 / np.maximum(longest, 3.0))
        for attempt in range(rules.halvings + 1):
            trial = evaluate(
                problem,
                beta + damping[:, None] * full[:, :p],
                sd + damping[:, None] * full[:, p:],
                alpha + damping[:, None] * own,
                points,
                now.modes,
            )
            worse = ~(trial.log_likelihood >= now.log_likelihood - rules.slack * (1.0 + np.abs(now.log_likelihood)))
            if not worse.any():
                break
            if attempt >= rules.halvings - 1:  # no step leads up: the quadrature is too rough, or this is the top
                stuck |= worse
                damping = np.where(worse, 0.0, damping)
            else:
                damping = np.where(worse, 0.5 * damping, damping)
        beta, sd = beta + damping[:, None] * full[:, :p], sd + damping[:, None] * full[:, p:]
        alpha, now = alpha + damping[:, None] * own, trial
        if np.abs(sd).max(initial=0.0) > _LARGEST_SD or np.abs(beta).max() > 1e3:
            break
    score, hessian = now.profiled()
    decrement = _step(score[:, moving], hessian[:, moving][:, :, moving])[1]
    if alpha.shape[1]:
        decrement = decrement + (now.nuisance_score**2 / -now.nuisance_hessian).sum(axis=-1)
    return beta, sd, alpha, now, decrement


def _scan(problem: Problem, beta: Array, alpha: Array, points: int) -> tuple[Array, Array, Array, Evaluation]:
    """Profile log-likelihood on a grid of standard deviations: at each one, the (unique) maximum of all else."""
    if problem.effects == 1:
        grid = np.array(_GRID)[:, None]
    else:
        grid = np.array(list(product(_GRID_TWO, repeat=problem.effects)))
    repeated = [np.repeat(part[None, :], len(grid), axis=0) for part in (beta, alpha)]
    frozen = np.zeros(problem.effects, dtype=bool)
    points = points if problem.effects == 1 else min(points, _SCAN_POINTS_TWO)
    beta, sd, alpha, now, _ = _climb(problem, repeated[0], grid, repeated[1], None, points, frozen, _ROUGH)
    return beta, sd, alpha, now


def _peaks(sd: Array, values: Array) -> list[int]:
    """Grid points no lower than their neighbours, the highest first, three at most."""
    sides = (len(_GRID),) if sd.shape[1] == 1 else (len(_GRID_TWO),) * sd.shape[1]
    surface = np.where(np.isfinite(values), values, -np.inf).reshape(sides)
    around = np.pad(surface, 1, constant_values=-np.inf)
    top = np.ones(sides, dtype=bool)
    for shift in product((0, 1, 2), repeat=len(sides)):
        window = around[tuple(slice(s, s + side) for s, side in zip(shift, sides, strict=True))]
        top &= surface >= window - 1e-6
    order = np.argsort(-surface.ravel(), kind="stable")
    return [int(i) for i in order if top.ravel()[i]][:3]


def _top(
    problem: Problem, beta: Array, sd: Array, alpha: Array, modes: Array | None, points: int, *, hold: bool = False
) -> Fit:
    """Climb from one start to a maximum (at its standard deviations, with `hold`); one that falls to zero stays."""
    curved = np.full(problem.effects, not hold)
    beta, sd, alpha, now, decrement = _climb(problem, beta, sd, alpha, modes, points, curved, _EXACT)
    if np.abs(sd).max(initial=0.0) > _LARGEST_SD or np.abs(beta).max() > 1e3 or not np.isfinite(decrement).all():
        raise ConvergenceError(
            "the likelihood has no maximum: it keeps rising as the spread of the studies or the effect grows "
            f"(reached effect {beta[0, 0]:.3g}, standard deviations {np.abs(sd[0]).round(2).tolist()})"
        )
    small = np.abs(sd[0]) < 1e-3
    if small.any() and (sd[0] != 0).any():
        # The likelihood is even in a standard deviation. Near zero it is flat: see whether zero is as high.
        at_zero = np.where(small, 0.0, sd)
        edge = _climb(problem, beta, at_zero, alpha, now.modes, points, ~small, _EXACT)
        if edge[3].log_likelihood[0] >= now.log_likelihood[0] - 1e-10 * (1.0 + abs(now.log_likelihood[0])):
            beta, sd, alpha, now, decrement = edge
    if decrement[0] > 1e-8:
        raise ConvergenceError(f"the fit stopped {np.sqrt(decrement[0]):.2g} standard errors away from a maximum")
    return _certificate(problem, beta[0], np.abs(sd[0]), alpha[0], now, float(decrement[0]), points)


def _certificate(
    problem: Problem, beta: Array, sd: Array, alpha: Array, now: Evaluation, decrement: float, points: int
) -> Fit:
    """Observed information at the top, inverted over what is not on a boundary."""
    hessian = now.profiled()[1][0]
    inside = np.concatenate((np.ones(problem.shared, dtype=bool), sd > 0))
    covariance = np.zeros_like(hessian)
    information = -hessian[np.ix_(inside, inside)]
    if np.linalg.eigvalsh(information)[0] <= 0:
        raise ConvergenceError("the observed information is not positive definite: the maximum is not unique")
    covariance[np.ix_(inside, inside)] = np.linalg.inv(information)
    return Fit(
        beta=beta,
        sd=sd,
        alpha=alpha,
        modes=now.modes[0],
        log_likelihood=float(now.log_likelihood[0]),
        covariance=covariance,
        gradient_norm=float(np.sqrt(max(decrement, 0.0))),
        points=points,
        quadrature_error=0.0,
        conditional_log_likelihood=conditional(problem, beta, sd, alpha, now.modes[0]),
        flat=False,
        profile=(np.empty((0, problem.effects)), np.empty(0)),
        own_information=(
            -now.nuisance_hessian[0],
            now.nuisance_cross[0][:, inside],
            -now.hessian[0][np.ix_(inside, inside)],
        ),
    )


def conditional(problem: Problem, beta: Array, sd: Array, alpha: Array, modes: Array) -> float:
    """Log-likelihood of the counts given the modes of the random effects."""
    eta = problem.offset + problem.design @ beta + problem.loadings @ (sd * modes).T
    if problem.nuisance is not None:
        eta = eta + problem.nuisance[:, None] * alpha
    return float(problem.kernel(eta[:, None, :, None])[0].sum())


def fit_fixed(problem: Problem, beta: Array, alpha: Array) -> Fit:
    """Maximum of a problem without random effects."""
    problem = replace(problem, loadings=np.zeros((problem.loadings.shape[0], 0)))
    none = np.zeros((1, 0))
    found = _climb(problem, beta[None], none, alpha[None], None, 1, np.zeros(0, dtype=bool), _EXACT)
    if not found[4][0] < 1e-8:
        raise ConvergenceError("the fit without random effects has no maximum")
    return _certificate(problem, found[0][0], none[0], found[2][0], found[3], float(found[4][0]), 1)


def maximise(problem: Problem, beta: Array, alpha: Array, points: int | None) -> Fit:
    """Maximise the likelihood of a problem with random effects.

    The profile over a grid of standard deviations is scanned (all else has one maximum at each of them, by
    log-concavity), the climb starts from every peak of the scan, and the result is held against the scan, zero
    heterogeneity included. With `points` None the number of quadrature points is doubled until the log-likelihood
    stands still.

    Raises
    ------
    ConvergenceError
        Where no maximum is reached, or the likelihood keeps rising.
    """
    ladder = _LADDER[problem.effects] if points is None else (points,)
    for rung, first in enumerate(ladder):
        try:
            fit = _search(problem, beta, alpha, first)
            return _refine(problem, fit, (*ladder[rung + 1 :], 2 * ladder[-1] + 1), climb=points is None)
        except ConvergenceError:
            # With few points the likelihood of scattered studies can be too rough to climb: try with more.
            if first == ladder[-1]:
                raise
    raise AssertionError


def _search(problem: Problem, beta: Array, alpha: Array, points: int) -> Fit:
    """Scan, climb from the peaks, and hold the best against the scan."""
    scan_beta, scan_sd, scan_alpha, scan = _scan(problem, beta, alpha, points)
    profile = (scan_sd, scan.log_likelihood)
    if problem.effects == 1 and np.ptp(scan.log_likelihood[scan_sd[:, 0] <= 1.0]) < 1e-2:
        zero = _top(problem, scan_beta[:1], scan_sd[:1], scan_alpha[:1], None, points, hold=True)
        if _is_flat(problem, zero):
            return replace(zero, flat=True, profile=profile)
    best: Fit | None = None
    heights: list[float] = []
    failure: ConvergenceError | None = None
    for peak in _peaks(scan_sd, scan.log_likelihood):
        one = slice(peak, peak + 1)
        # At exactly zero the score of a standard deviation is zero by symmetry: look a little to the side as well.
        side = np.where(scan_sd[one] == 0.0, 0.015, scan_sd[one])
        try:
            fit = _top(problem, scan_beta[one], side, scan_alpha[one], None, points)
        except ConvergenceError as error:
            failure = error
            continue
        level = fit.log_likelihood
        if not any(abs(level - other) < 1e-6 * (1.0 + abs(level)) for other in heights):
            heights.append(level)
        if best is None or fit.log_likelihood > best.log_likelihood:
            best = fit
    highest = float(scan.log_likelihood.max())
    if best is None or best.log_likelihood < highest - _CERTAIN[problem.effects] * (1.0 + abs(highest)):
        raise failure or ConvergenceError("the profile of the likelihood is higher elsewhere than at the maximum found")
    return replace(_plainest(problem, best), profile=profile, maxima=len(heights))


def held(problem: Problem, value: float, fit: Fit) -> Fit:
    """Maximum with the first standard deviation held at a value; not certified."""
    # Other standard deviations start off zero, where their score is zero by symmetry whatever the likelihood.
    start = np.concatenate(([value], np.maximum(fit.sd[1:], 0.1)))
    free: Mask = np.arange(problem.effects) > 0
    beta, sd, alpha, now, decrement = _climb(
        problem, fit.beta[None], start[None], fit.alpha[None], fit.modes[None], fit.points, free, _EXACT
    )
    if not decrement[0] < 1e-8:
        return replace(fit, log_likelihood=-np.inf)
    sd = np.where(np.abs(sd) < 1e-6, 0.0, np.abs(sd))
    level = float(now.log_likelihood[0])
    return replace(fit, beta=beta[0], sd=sd[0], alpha=alpha[0], modes=now.modes[0], log_likelihood=level)


def _is_flat(problem: Problem, zero: Fit) -> bool:
    """Tell whether a standard deviation of one is as likely as the maximum at zero."""
    return abs(held(problem, 1.0, zero).log_likelihood - zero.log_likelihood) < 1e-6 * (1 + abs(zero.log_likelihood))


def _plainest(problem: Problem, fit: Fit) -> Fit:
    """Take zero for the first standard deviation where it is as likely as the best; tell whether all values are.

    With one event in each study, for example, the likelihood has a ridge: any spread between studies is as likely
    as none, with another mean to match it.
    """
    if fit.sd[0] > 0:
        zero = held(problem, 0.0, fit)
        if zero.log_likelihood < fit.log_likelihood - _FLAT * (1.0 + abs(fit.log_likelihood)):
            return fit
        fit = _certified(problem, zero)
    return replace(fit, flat=_is_flat(problem, fit))


def _certified(problem: Problem, fit: Fit) -> Fit:
    """Certificate of a maximum found with a standard deviation held."""
    now = evaluate(problem, fit.beta[None], fit.sd[None], fit.alpha[None], fit.points, fit.modes[None])
    return _certificate(problem, fit.beta, fit.sd, fit.alpha, now, fit.gradient_norm**2, fit.points)


def _refine(problem: Problem, fit: Fit, ladder: tuple[int, ...], *, climb: bool) -> Fit:
    """Climb the ladder of quadrature points until the log-likelihood stands still; tell how far it still moved."""
    for more in ladder:
        parts = (fit.beta[None], fit.sd[None], fit.alpha[None], fit.modes[None])
        now = evaluate(problem, *parts[:3], more, parts[3])
        error = abs(float(now.log_likelihood[0]) - fit.log_likelihood)
        if not climb or error < _TOLERANCE * (1.0 + 0.01 * abs(fit.log_likelihood)):
            return replace(fit, quadrature_error=error)
        fit = replace(fit, quadrature_error=error)
        if more != ladder[-1]:  # the last rung is there to tell the error
            fit = replace(
                _top(problem, *parts, more),
                quadrature_error=error,
                profile=fit.profile,
                flat=fit.flat,
                maxima=fit.maxima,
            )
    if fit.quadrature_error > _ROUGHEST:
        raise ConvergenceError(
            f"the integral over the random effects is not exact enough (error {fit.quadrature_error:.2g} with "
            f"{fit.points} points): the studies differ by too much (standard deviations {fit.sd.round(2).tolist()})"
        )
    return fit
