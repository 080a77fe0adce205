"""From counts to a problem in linear form: one arm, two arms, conditional likelihoods; with starts for the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import NotEstimableError
from comfrey.models.counts._hypergeometric import Hypergeometric
from comfrey.models.counts._kernels import Binomial, Poisson
from comfrey.models.counts._quadrature import Problem

if TYPE_CHECKING:
    import numpy.typing as npt

    from comfrey.models.counts._input import Counts
    from comfrey.models.counts._kernels import Array

    Mask = npt.NDArray[np.bool_]

__all__ = ["CODINGS", "Setup", "one_arm", "two_arms"]

# How the random effect of the treatment enters arm 1 and arm 2.
CODINGS = {"half": (0.5, -0.5), "treatment": (1.0, 0.0), "control": (0.0, -1.0)}


@dataclass(frozen=True, slots=True)
class Setup:
    """A problem, a start for its coefficients and own parameters, the names of its coefficients, and its counts.

    `kinds` (r,) names the random effects, "effect" first. `notes` holds what a reader of the result must know.
    """

    problem: Problem
    beta: Array
    alpha: Array
    terms: tuple[str, ...]
    kinds: tuple[str, ...]
    counts: Counts
    notes: tuple[str, ...] = ()


def _kernel(counts: Counts, *, rates: bool) -> Binomial | Poisson:
    """Independent likelihood of the counts of all arms."""
    return (Poisson if rates else Binomial).of(counts.events, counts.size)


def _plural(number: int) -> str:
    return f"{number} {'study' if number == 1 else 'studies'}"


def _extremes(counts: Counts, *, rates: bool) -> tuple[Mask, Mask]:
    """Studies without events in any arm, and studies with nothing but events in every arm (never for rates)."""
    empty = (counts.events == 0).all(axis=0)
    return empty, np.zeros_like(empty) if rates else (counts.events == counts.size).all(axis=0)


def _notes(counts: Counts, *, rates: bool) -> tuple[str, ...]:
    """Say which of the studies in the fit have no events, or nothing but events."""
    said = zip(_extremes(counts, rates=rates), ("without events", "with nothing but events"), strict=True)
    return tuple(f"{_plural(int(m.sum()))} {what}, in the likelihood as they are" for m, what in said if m.any())


def one_arm(counts: Counts, *, rates: bool) -> Setup:
    """Set up the problem for single proportions or rates."""
    events, size = counts.events.sum(), counts.size.sum()
    if events == 0:
        raise NotEstimableError("no study has an event: the log odds or log rate has no finite estimate")
    if not rates and events == size:
        raise NotEstimableError("every participant of every study has the event: the log odds has no finite estimate")
    studies = counts.events.shape[1]
    problem = Problem(_kernel(counts, rates=rates), np.zeros((1, studies)), np.ones((1, studies, 1)), np.ones((1, 1)))
    start = np.log(events / size) if rates else np.log(events / (size - events))
    notes = _notes(counts, rates=rates)
    return Setup(problem, np.array([start]), np.zeros(0), ("effect",), ("effect",), counts, notes)


def two_arms(counts: Counts, model: str, coding: str, *, rates: bool) -> Setup:
    """Set up the problem for two arms under one of the four models."""
    if model == "random-study":
        return _random_study(counts, coding, rates=rates)
    empty, full = _extremes(counts, rates=rates)
    reason = "{} in either arm: it says nothing of the comparison under this likelihood"
    dropped = counts.without(full, reason.format("nothing but events"))
    if full.any():
        empty = empty[~full]
    counts = dropped.without(empty, reason.format("no events"))
    if not counts.rows:
        raise NotEstimableError("no study says anything of the comparison: all have no events, or nothing but events")
    _refuse_separation(counts, rates=rates)
    effect, baseline = _starts(counts, rates=rates)
    studies = counts.events.shape[1]
    beta = np.array([np.median(effect)])
    if model == "fixed-study":
        code = np.array(CODINGS[coding])
        # The own parameter of a study moves both arms alike; in the middle between the arms it is nearly free of
        # the effect, whatever the coding.
        problem = Problem(
            kernel=_kernel(counts, rates=rates),
            offset=np.zeros((2, studies)),
            design=np.repeat(code[:, None, None], studies, axis=1),
            loadings=code[:, None],
            nuisance=np.ones(2),
        )
        return Setup(problem, beta, baseline - code.mean() * beta[0], ("effect",), ("effect",), counts)
    notes: tuple[str, ...] = ()
    if model == "conditional-exact" and not rates:
        kernel: Hypergeometric | Binomial = Hypergeometric.of(counts.events, counts.size)
        offset = np.zeros((1, studies))
    else:
        kernel = Binomial.of(counts.events[:1], counts.events.sum(axis=0, keepdims=True))
        offset = np.log(counts.size[:1] / counts.size[1:])
        if not rates and counts.events.sum() > 0.1 * counts.size.sum():
            notes = (
                "more than a tenth have the event: the approximate conditional likelihood is made for rare events",
            )
    problem = Problem(kernel, offset, np.ones((1, studies, 1)), np.ones((1, 1)))
    return Setup(problem, beta, np.zeros(0), ("effect",), ("effect",), counts, notes)


def _random_study(counts: Counts, coding: str, *, rates: bool) -> Setup:
    """Set up the model with independent normal effects of study and of treatment."""
    sums, sizes = counts.events.sum(axis=1), counts.size.sum(axis=1)
    for arm in (0, 1):
        if sums[arm] == 0 or (not rates and sums[arm] == sizes[arm]):
            what = "no events" if sums[arm] == 0 else "nothing but events"
            raise NotEstimableError(f"arm {arm + 1} has {what} in all studies: the effect has no finite estimate")
    studies = counts.events.shape[1]
    code = np.array(CODINGS[coding])
    effect, baseline = _starts(counts, rates=rates)
    common = np.ones((2, studies))
    problem = Problem(
        kernel=_kernel(counts, rates=rates),
        offset=np.zeros((2, studies)),
        design=np.stack((np.repeat(code[:, None], studies, axis=1), common), axis=-1),
        loadings=np.column_stack((code, np.ones(2))),
    )
    beta = np.array([np.median(effect), np.median(baseline) - code.mean() * np.median(effect)])
    notes = _notes(counts, rates=rates)
    return Setup(problem, beta, np.zeros(0), ("effect", "baseline"), ("effect", "baseline"), counts, notes)


def _starts(counts: Counts, *, rates: bool) -> tuple[Array, Array]:
    """Effects and baselines of the studies with half an event added: where the search starts, and nothing else."""
    x, n = counts.events + 0.5, counts.size
    eta = np.log(x / n) if rates else np.log(x / (n - counts.events + 0.5))
    return eta[0] - eta[1], eta.mean(axis=0)


def _refuse_separation(counts: Counts, *, rates: bool) -> None:
    """Refuse data that push the effect to infinity: arm 1 at the same end of its range in every study."""
    x, margin = counts.events[0], counts.events.sum(axis=0)
    low = np.zeros_like(x) if rates else np.maximum(0.0, margin - counts.size[1])
    high = margin if rates else np.minimum(margin, counts.size[0])
    for end, sign in ((low, "minus"), (high, "plus")):
        if (x == end).all():
            raise NotEstimableError(
                f"in every study arm 1 has the {'fewest' if sign == 'minus' else 'most'} events that its margins "
                f"allow: the estimate is {sign} infinity"
            )
