"""The highest maximum of a problem: climbs from several starts, probes around the best, and a check of its edges."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import ConvergenceError
from comfrey.models.multilevel._problem import Problem, joined
from comfrey.models.multilevel._search import Found, maximise
from comfrey.models.multilevel._structures import Homogeneous, Unstructured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._grouping import Floats

# of what the effects vary by: the values of one variance alone, and of each of two, that a survey looks at
_SHARES = {
    1: (0.0, 0.01, 0.04, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0, 8.0),
    2: (0.0, 0.05, 0.25, 0.8, 3.0),
}
_NO_START = "The covariance matrix could not be factored at any start. Check the scale of vi_or_V."
HIGHER = 1e-6  # of the log-likelihood, beyond which another maximum is higher


def starts(problem: Problem) -> list[Floats]:
    """Places to start from: the plain one, each term's alternatives in turn, all low, all high."""
    choices = [block.starts(problem.total) for block in problem.blocks]
    plain = [options[0] for options in choices]
    out = [plain]
    for i, options in enumerate(choices):
        out += [[*plain[:i], option, *plain[i + 1 :]] for option in options[1:]]
    if len(choices) > 1:
        out += [[options[at] for options in choices] for at in (1, 2)]
    return [joined(parts) for parts in out]


def effort(problem: Problem) -> tuple[int, bool]:
    """How many climbs, and whether to probe: small data and rich structures have more maxima, and time to look."""
    if problem.plain:
        return 3, problem.k <= 5000
    if problem.k <= 500:
        return 25, True
    return (8, False) if problem.k <= 5000 else (5, False)


def solve(problem: Problem) -> tuple[Found, int]:
    """Find the highest maximum: climb from the best start, then check from others that none is higher.

    Returns
    -------
    found : Found
        The certified maximum.
    checked : int
        How many climbs were made.

    Raises
    ------
    ConvergenceError
        If no climb ends at a certified maximum.
    """
    lower, upper = problem.lower, problem.upper
    if not problem.blocks:
        x = np.zeros(0)
        return Found(x, problem.best(x).log_likelihood, x, 0.0, 0.0, 0, True), 1
    surveyed = problem.side_by_side and len(problem.blocks) <= 2
    if surveyed:
        chosen, probe = _hills(problem), False
    else:
        tries, probe = effort(problem)
        ranked = _ranked(problem, starts(problem))
        chosen = [ranked[0], *(ranked[1 + i] for i in _spread(len(ranked) - 1, tries - 1))]
    best = maximise(problem, chosen[0], lower, upper)
    for start in chosen[1:]:
        other = maximise(problem, start, lower, upper, tolerance=1e-2, known=best)
        if other.value > best.value + HIGHER or (other.converged and not best.converged):
            other = maximise(problem, other.x, lower, upper)
            if other.converged and (other.value > best.value or not best.converged):
                best = other
    if probe:
        best = _probe(problem, best)
    best = _check_edges(problem, best)
    if not best.converged:
        name = "REML" if problem.restricted else "ML"
        message = (
            f"The {name} search did not reach a maximum: after {best.iterations} steps the largest slope is "
            f"{best.gradient_norm:.2g}. Use fewer random effects or a simpler structure."
        )
        raise ConvergenceError(message)
    if np.any((best.x >= upper) & (upper > 50) & np.isfinite(upper)):
        raise ConvergenceError(
            "The likelihood rises without end in a variance. Check for effects of a different scale."
        )
    return best, len(chosen)


def _ranked(problem: Problem, places: Sequence[Floats]) -> list[Floats]:
    """Order places by their likelihood, the highest first, without those where it cannot be computed."""
    ranked = [pair for pair in zip(problem.heights(places), places, strict=True) if pair[0] > -math.inf]
    if not ranked:
        raise ConvergenceError(_NO_START)
    return [place for _, place in sorted(ranked, key=lambda pair: -pair[0])]


def _hills(problem: Problem) -> list[Floats]:
    """Survey the likelihood of one or two variances on a grid: places above all their neighbours, the highest first.

    From nothing to several times what the effects vary by in all; whatever maximum has such a place has a climb.
    """
    count = len(problem.blocks)
    axis = np.log1p(np.array(_SHARES[count]) * problem.total * count / problem.unit)
    shape = (axis.size,) * count
    height = np.array(problem.heights([axis[list(place)] for place in np.ndindex(shape)])).reshape(shape)
    around = np.pad(height, 1, constant_values=-math.inf)
    top = np.isfinite(height)
    for shift in product((0, 1, 2), repeat=count):
        top &= height >= around[tuple(slice(start, start + axis.size) for start in shift)]
    places = sorted(np.argwhere(top).tolist(), key=lambda place: -float(height[tuple(place)]))
    if not places:
        raise ConvergenceError(_NO_START)
    return [axis[place] for place in places]


def solve_near(problem: Problem, start: Floats) -> Found:
    """Find the highest maximum when it is likely to be near `start`: of a part of the data, near that of the whole.

    A climb from there is checked by a climb from a place that knows nothing of it (three with structured terms, which
    have more maxima), and at its edges. Where it does not end at a maximum the search is made in full.

    Raises
    ------
    ConvergenceError
        If no climb ends at a certified maximum.
    """
    if not problem.blocks:
        return solve(problem)[0]
    lower, upper = problem.lower, problem.upper
    best = maximise(problem, start, lower, upper)
    if not best.converged:
        return solve(problem)[0]
    places = starts(problem)
    for at in [0] if problem.plain else _spread(len(places), 3):
        other = maximise(problem, places[at], lower, upper, tolerance=1e-2, known=best)
        if other.value > best.value + HIGHER:
            return solve(problem)[0]
    best = _check_edges(problem, best)
    runaway = np.any((best.x >= upper) & (upper > 50) & np.isfinite(upper))
    return solve(problem)[0] if runaway or not best.converged else best


def snapped(problem: Problem, x: Floats) -> Floats:
    """Put standard deviations that the smooth coordinates leave at rounding distance from zero at zero."""
    parts = problem.split(x)
    for part, block in zip(parts, problem.blocks, strict=True):
        if isinstance(block, Unstructured):
            sd = part[: len(block.order)]
            sd[np.abs(sd) < 1e-6 * math.sqrt(problem.unit)] = 0.0
    return np.concatenate(parts) if parts else x


def _spread(number: int, wanted: int) -> list[int]:
    if number <= wanted:
        return list(range(number))
    return sorted({round(i * (number - 1) / (wanted - 1)) for i in range(wanted)}) if wanted > 1 else [number - 1]


def _probe(problem: Problem, best: Found) -> Found:
    """Follow the profile of each coordinate to a few places away from the best; climb from any that is higher."""
    lower, upper = problem.lower, problem.upper
    for _ in range(4):
        higher = _higher_place(problem, best)
        if higher is None:
            return best
        found = maximise(problem, higher, lower, upper)
        if not found.converged or found.value <= best.value:
            return best
        best = found
    return best


def _higher_place(problem: Problem, best: Found) -> Floats | None:
    lower, upper = problem.lower, problem.upper
    start = 0
    for block, part in zip(problem.blocks, problem.split(best.x), strict=True):
        for i, value in block.probes(part):
            fixed = np.zeros(best.x.size, dtype=bool)
            fixed[start + i] = True
            moved = best.x.copy()
            moved[start + i] = value
            found = maximise(
                problem, moved, lower, upper, fixed=fixed, tolerance=1e-2, limit=20, above=best.value + HIGHER
            )
            if found.value > best.value + HIGHER:
                return found.x
        start += part.size
    return None


def _check_edges(problem: Problem, found: Found) -> Found:
    """Leave edges that are not maxima, where the coordinates alone cannot tell.

    At a maximum over positive semi-definite G, the slope S = dl/dG has no positive direction in the null space of G;
    and where one variance for all levels is zero, it may not rise with any correlation.
    """
    lower, upper = problem.lower, problem.upper
    for _ in range(5):
        step = _way_out(problem, found)
        if step is None:
            return found
        found = maximise(problem, step, lower, upper)
    return Found(found.x, found.value, found.gradient, found.gradient_norm, found.distance, found.iterations, False)


def _way_out(problem: Problem, found: Found) -> Floats | None:
    """Coordinates a little inside the edge, where the likelihood is higher; None at a true maximum."""
    if not any(isinstance(block, (Unstructured, Homogeneous)) for block in problem.blocks):
        return None
    w = problem.cells(found.x)
    slopes = problem.engine.value_and_gradient(w, problem.restricted)[1]
    offsets = problem.offsets
    parts = problem.split(found.x)
    limit = 1e-7 * max(1.0, abs(found.value)) / problem.unit
    for i, block in enumerate(problem.blocks):
        inside = slice(offsets[i], offsets[i + 1])
        moves: list[Floats] = []
        if isinstance(block, Unstructured):
            moves = _from_singular(block, w[inside], slopes[inside], problem.unit, limit)
        elif isinstance(block, Homogeneous):
            moves = _from_nothing(block, parts[i], slopes[inside], limit)
        for moved in moves:
            x = joined([*parts[:i], moved, *parts[i + 1 :]])
            if problem.best(problem.cells(x)).log_likelihood > found.value:
                return x
    return None


def _from_singular(block: Unstructured, cells: Floats, slopes: Floats, unit: float, limit: float) -> list[Floats]:
    """List steps from a singular matrix in the direction in which the likelihood rises most, if it does."""
    matrix, slope = block.full(cells), block.slope(slopes)
    values, vectors = np.linalg.eigh(matrix)
    null = vectors[:, values <= 1e-10 * max(float(values[-1]), unit)]
    if null.shape[1] == 0:
        return []
    rise, ways = np.linalg.eigh(null.T @ slope @ null)
    if rise[-1] <= limit:
        return []
    way = np.outer(null @ ways[:, -1], null @ ways[:, -1])
    return [block.coordinates(matrix + share * unit * way) for share in (1.0, 0.1, 0.01, 1e-3, 1e-4)]


def _from_nothing(block: Homogeneous, x: Floats, slopes: Floats, limit: float) -> list[Floats]:
    """List steps from a variance of zero, with the correlation with which the likelihood rises most, if it does."""
    if x[0] > 0:
        return []
    places = np.linspace(block.lower[1], block.upper[1], 41)
    rises = [float(block.jacobian(np.array([0.0, rho]))[:, 0] @ slopes) / block.unit for rho in places]
    at = int(np.argmax(rises))
    return [np.array([t, places[at]]) for t in (0.5, 0.1, 0.01, 1e-3, 1e-4)] if rises[at] > limit else []
