"""Profile-likelihood intervals of variances and correlations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from comfrey.errors import ConvergenceError
from comfrey.models.multilevel._search import Found, hessian, maximise
from comfrey.models.multilevel._structures import CEILING, Unstructured, block_of
from comfrey.models.multilevel._terms import StructuredTerm
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comfrey.models.multilevel._grouping import Floats
    from comfrey.models.multilevel._problem import Problem

__all__ = ["ProfileInterval"]


@dataclass(frozen=True, slots=True, repr=False)
class ProfileInterval(Result):
    """The values of one variance or correlation that the likelihood does not reject; ``low, high = interval``."""

    parameter: str
    estimate: float
    ci_low: float
    ci_high: float
    level: float
    fits: int
    notes: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[float]:
        return iter((self.ci_low, self.ci_high))

    @property
    def summary(self) -> pd.DataFrame:
        """One row: estimate and limits."""
        row = {"estimate": self.estimate, "ci_low": self.ci_low, "ci_high": self.ci_high}
        return pd.DataFrame([row], index=[self.parameter])

    @property
    def headline(self) -> tuple[str, ...]:
        """Which interval it is."""
        return (f"Profile-likelihood interval, {100 * self.level:g}%", *self.notes)


@dataclass(frozen=True, slots=True)
class Target:
    """A parameter as one coordinate of the problem.

    `kind` says how the coordinate x makes the parameter: variance (unit * expm1 x), sd (x^2), rho (x), angle (cos x).
    """

    coordinate: int
    kind: str
    low: float
    high: float
    gap: float = 1.0

    def value(self, x: float, problem: Problem) -> float:
        """Parameter, in the units of the data, at coordinate x."""
        if self.kind == "variance":
            return problem.unit * math.expm1(x) * problem.scale**2
        if self.kind == "sd":
            return (x * problem.scale) ** 2
        if self.kind == "angle":
            return math.cos(x)
        if self.low > 0 and x <= self.low:  # the box of CAR begins a hair above zero
            return 0.0
        return math.copysign(abs(x) ** (1 / self.gap), x)

    def place(self, value: float, problem: Problem) -> float:
        """Coordinate of a variance given in the units of the data."""
        scaled = value / problem.scale**2
        return math.sqrt(scaled) if self.kind == "sd" else math.log1p(scaled / problem.unit)


def target_of(
    problem: Problem, x: Floats, term: int, kind: str, levels: tuple[int, ...]
) -> tuple[Problem, Floats, Target]:
    """Make a parameter a coordinate: the problem (an unstructured matrix turned), the fit's place, the target.

    `kind` is "variance" or "rho"; `levels` is the level of a variance, or the pair of a correlation.
    """
    chosen, block = problem.terms[term], problem.blocks[term]
    parts = problem.split(x)
    start = sum(part.size for part in parts[:term])
    if not isinstance(chosen, StructuredTerm):
        return problem, x, Target(start, "variance", 0.0, CEILING)
    size, structure = len(chosen.inner_labels), chosen.structure
    if isinstance(block, Unstructured):
        turned = block_of(chosen, problem.unit, front=levels)
        assert isinstance(turned, Unstructured)  # noqa: S101  # block_of keeps the structure
        parts[term] = turned.coordinates(block.full(block.values(parts[term])))
        blocks = tuple(turned if i == term else other for i, other in enumerate(problem.blocks))
        moved = replace(problem, blocks=blocks)
        if kind == "variance":
            return moved, np.concatenate(parts), Target(start, "sd", 0.0, 1e8)
        return moved, np.concatenate(parts), Target(start + size, "angle", 0.0, math.pi)
    if kind == "rho":
        at = start + block.lower.size - 1
        return problem, x, Target(at, "rho", float(problem.lower[at]), 1.0, chosen.gap)
    if structure in {"HCS", "HAR"}:
        return problem, x, Target(start + levels[0], "sd", 0.0, 1e8)
    return problem, x, Target(start + (levels[0] if structure == "DIAG" else 0), "variance", 0.0, CEILING)


class _Walk:
    """The profile of the likelihood along one coordinate, each fit started from the one before."""

    def __init__(self, problem: Problem, x: Floats, value: float, target: Target) -> None:
        self.problem, self.target, self.top = problem, target, value
        self.lower, self.upper = problem.lower, problem.upper
        self.fixed = np.zeros(x.size, dtype=bool)
        self.fixed[target.coordinate] = True
        self.warm: dict[float, Found] = {}
        self.start = x
        self.fits = 0

    def _climb(self, start: Floats, place: float, known: Found | None) -> Found:
        x = start.copy()
        x[self.target.coordinate] = place
        return maximise(self.problem, x, self.lower, self.upper, fixed=self.fixed, tolerance=1e-8, known=known)

    def at(self, place: float) -> tuple[float, float]:
        """Signed root of twice the drop of the likelihood, and its slope, at a place of the coordinate."""
        # The profile is the highest of all maxima with this coordinate held: neighbours on either side may lie on
        # different ones, so that both are followed, and the fit itself.
        below = max((known for known in self.warm if known < place), default=None)
        above = min((known for known in self.warm if known > place), default=None)
        starts = [self.warm[known].x for known in (below, above) if known is not None]
        found = self._climb(starts[0] if starts else self.start, place, None)
        for start in [*starts[1:], self.start]:
            other = self._climb(start, place, found)
            if other.converged and (not found.converged or other.value > found.value):
                found = other
        if not found.converged:
            raise ConvergenceError("A fit along the profile did not converge; there is no interval to give.")
        self.fits += 1
        self.warm[place] = found
        drop = 2 * (self.top - found.value)
        if drop < -1e-6 * max(1.0, abs(self.top)):
            raise ConvergenceError("The profile found a higher likelihood than the fit: the fit is not the maximum.")
        return drop, -2 * float(found.gradient[self.target.coordinate])


def profile_interval(
    problem: Problem, found: Found, where: tuple[int, str, tuple[int, ...]], level: float, name: str
) -> ProfileInterval:
    """Interval {c : 2 (l_max - l_profile(c)) <= chi-square quantile, 1 df}, both ends by a safeguarded Newton search.

    Venzon DJ, Moolgavkar SH (1988). Appl Stat 37:87-94. doi:10.2307/2347496
    """
    moved, x, target = target_of(problem, found.x, *where)
    critical = float(stats.chi2.ppf(level, 1))
    i = target.coordinate
    value, gradient = moved(x)
    centre = float(x[i])
    curvature = _curvature(moved, x, gradient, i)
    notes: list[str] = []
    ends: list[float] = []
    fits = 0
    for sign in (-1.0, 1.0):
        limit = target.low if sign < 0 else target.high
        walk = _Walk(moved, x, value, target)
        place, reached = _end(walk, centre, limit, sign, critical, curvature, float(gradient[i]))
        fits += walk.fits
        ends.append(target.value(place, moved))
        if not reached:
            notes.append(_edge_note(target, sign))
            if target.kind in {"variance", "sd"} and sign > 0:
                ends[-1] = math.inf
    low, high = min(ends), max(ends)
    return ProfileInterval(name, target.value(centre, moved), low, high, level, fits, tuple(notes))


def profile_values(
    problem: Problem, found: Found, where: tuple[int, str, tuple[int, ...]], values: Floats, top: float
) -> tuple[Floats, Floats]:
    """Profile log-likelihood at values of a variance, `top` being that of the fit; outwards from its estimate."""
    moved, x, target = target_of(problem, found.x, *where)
    walk = _Walk(moved, x, moved(x)[0], target)
    centre = float(x[target.coordinate])
    places = np.clip([target.place(float(value), moved) for value in values], target.low, target.high)
    heights = np.empty(places.size)
    for i in np.argsort(np.abs(places - centre), kind="stable"):
        heights[i] = top - 0.5 * walk.at(float(places[i]))[0]
    return values, heights


def _edge_note(target: Target, sign: float) -> str:
    side = "lower" if sign < 0 else "upper"
    if target.kind == "angle":
        side = "upper" if sign < 0 else "lower"
    if target.kind in {"variance", "sd"} and sign > 0:
        return "The likelihood rejects no large value: the upper end is infinite."
    return f"The {side} end is the edge of the possible values."


def _curvature(problem: Problem, x: Floats, gradient: Floats, i: int) -> float:
    """Information on coordinate i after the others are profiled out."""
    free = ~((x <= problem.lower) & (gradient <= 0)) & ~((x >= problem.upper) & (gradient >= 0))
    free[i] = True
    information = -hessian(problem, x, gradient, free, problem.upper)
    at = int(np.sum(free[:i]))
    values, vectors = np.linalg.eigh(information)
    values = np.maximum(values, 1e-8 * max(float(np.abs(values).max()), 1e-300))
    return 1.0 / float(np.sum(vectors[at] ** 2 / values))


def _end(
    walk: _Walk, centre: float, limit: float, sign: float, critical: float, curvature: float, slope: float
) -> tuple[float, bool]:
    """Where the drop reaches `critical` on one side; False when the limit comes first."""
    if centre == limit:
        return limit, False
    inside, outside = centre, math.nan
    tilt = max(-sign * slope, 0.0)  # drop(d) is about 2 tilt d + curvature d^2
    step = (math.sqrt(tilt * tilt + curvature * critical) - tilt) / curvature
    place = _bounded(centre + sign * min(step, 3.0), limit, sign)
    for _ in range(60):
        drop, rate = walk.at(place)
        if abs(drop - critical) <= 1e-10 * critical:
            return place, True
        if drop < critical:
            if place == limit:
                return limit, False
            inside = place
        else:
            outside = place
        # Newton on the square root of the drop, which is nearly straight; rate is d drop / d place.
        root = math.sqrt(max(drop, 1e-12))
        lean = rate / (2 * root)
        guess = place - (root - math.sqrt(critical)) / lean if lean * sign > 0 else math.nan
        if math.isnan(outside):
            far = place + sign * max(2 * abs(place - centre), 0.5)
            bad = math.isnan(guess) or (guess - place) * sign <= 0
            guess = far if bad or abs(guess - centre) > abs(far - centre) else guess
            place = _bounded(guess, limit, sign)
            continue
        if abs(outside - inside) <= 1e-11 * max(1.0, abs(outside)):
            return 0.5 * (inside + outside), True
        low, high = min(inside, outside), max(inside, outside)
        place = guess if low < guess < high else 0.5 * (low + high)
    raise ConvergenceError("The end of the profile interval was not found.")


def _bounded(place: float, limit: float, sign: float) -> float:
    return min(place, limit) if sign > 0 else max(place, limit)
