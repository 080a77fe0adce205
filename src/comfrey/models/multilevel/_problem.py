"""One maximum-likelihood problem: data at unit scale, an engine, coordinates; and its certified solution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import ConvergenceError, NotEstimableError
from comfrey.models.multilevel._blocks import BlockEngine, cell_offsets
from comfrey.models.multilevel._crossed import SMALL, CrossedEngine, cost
from comfrey.models.multilevel._grouping import Floats, Ints, connected
from comfrey.models.multilevel._likelihood import Engine, Profile, profile
from comfrey.models.multilevel._nested import NestedEngine, chain, partition
from comfrey.models.multilevel._search import Found, maximise
from comfrey.models.multilevel._structures import Block, Unstructured, block_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._terms import Term
    from comfrey.models.multilevel.sampling import SamplingCovariance


LARGEST = 1e13  # operations of one factorisation: beyond it a fit would take days
ROOM = 4e8  # numbers in the dense covariance of linked rows: 3 GB


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Data and model, at a scale where the numbers are near one.

    Attributes
    ----------
    engine : Engine
        Works on y / scale and V / scale^2.
    terms, blocks : tuples
        Random effects and their coordinates.
    scale : float
        A power of two, so that scaling changes no digit.
    offset : ndarray (p,)
        Coefficients (of the orthonormal columns) taken off y beforehand, in the units of y.
    basis, triangle : ndarray (k, p), (p, p)
        X = basis @ triangle, with orthonormal columns.
    """

    engine: Engine
    terms: tuple[Term, ...]
    blocks: tuple[Block, ...]
    covariance: SamplingCovariance
    components: Ints
    restricted: bool
    scale: float
    unit: float
    total: float
    offset: Floats
    basis: Floats
    triangle: Floats
    residual: Floats

    @property
    def k(self) -> int:
        """Number of effects."""
        return int(self.basis.shape[0])

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return int(self.basis.shape[1])

    @property
    def lower(self) -> Floats:
        """Lower bounds of the coordinates."""
        return _joined([block.lower for block in self.blocks])

    @property
    def upper(self) -> Floats:
        """Upper bounds of the coordinates."""
        return _joined([block.upper for block in self.blocks])

    def split(self, x: Floats) -> list[Floats]:
        """Coordinates of each term."""
        sizes = [block.lower.size for block in self.blocks]
        return list(np.split(x, np.cumsum(sizes)[:-1])) if sizes else []

    def cells(self, x: Floats) -> Floats:
        """Cells of all terms at coordinates x."""
        return _joined([block.values(part) for block, part in zip(self.blocks, self.split(x), strict=True)])

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Log-likelihood at unit scale, and its derivatives by the coordinates."""
        value, slopes = self.engine.value_and_gradient(self.cells(x), self.restricted)
        offsets = cell_offsets(self.terms)
        parts = zip(self.blocks, self.split(x), offsets[:-1], offsets[1:], strict=True)
        return value, _joined([block.jacobian(part).T @ slopes[low:high] for block, part, low, high in parts])

    def best(self, w: Floats, *, restricted: bool | None = None) -> Profile:
        """Coefficients and likelihood at the cells w."""
        return profile(self.engine.moments(w), self.k, self.restricted if restricted is None else restricted)

    def log_likelihood(self, value: float) -> float:
        """Bring a log-likelihood from unit scale back to the units of y."""
        return value - (self.k - (self.p if self.restricted else 0)) * math.log(self.scale)


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(0)


def make_problem(
    y: Floats, covariance: SamplingCovariance, design: Floats, terms: tuple[Term, ...], restricted: bool
) -> Problem:
    """Scale the data, make the design orthonormal, and choose the cheapest engine that fits the terms."""
    k, p = design.shape
    basis, triangle = np.linalg.qr(design) if p else (np.zeros((k, 0)), np.zeros((0, 0)))
    offset = basis.T @ y
    residual = y - basis @ offset
    spread = float(residual @ residual) / max(k - p, 1)
    typical = float(np.median(covariance.variances))
    scale = 2.0 ** round(0.5 * math.log2(spread + typical))
    scaled = covariance.scaled(1 / scale**2)
    data = np.column_stack((residual / scale, basis))
    links = partition(terms, covariance)
    components = connected(links, k)
    order = chain(terms, scaled)
    engine: Engine
    if order is not None:
        engine = NestedEngine(data, scaled, terms, order)
    else:
        engine = _general_engine(data, scaled, terms, components)
    unit = typical / scale**2
    excess = spread / scale**2 - float(np.mean(scaled.variances))
    total = max(excess, 0.1 * unit) / max(len(terms), 1)
    blocks = tuple(block_of(term, unit) for term in terms)
    return Problem(
        engine,
        terms,
        blocks,
        covariance,
        components,
        restricted,
        scale,
        unit,
        total,
        offset,
        basis,
        triangle,
        residual,
    )


def _general_engine(
    data: Floats, covariance: SamplingCovariance, terms: tuple[Term, ...], components: Ints
) -> Engine:
    """Choose between the groups of crossed terms and dense sets of linked rows."""
    sizes = np.bincount(components).astype(float)
    crossed = cost(terms, covariance)
    if sizes.max() > SMALL and crossed < float(np.sum(sizes**3)):
        if crossed <= LARGEST:
            return CrossedEngine(data, covariance, terms)
    elif float(np.sum(sizes**2)) <= ROOM:
        return BlockEngine(data, covariance, terms, components)
    message = (
        f"These random effects link {int(sizes.max())} effects with each other, which is more than can be computed. "
        "Use fewer crossed groups."
    )
    raise NotEstimableError(message)


def starts(problem: Problem) -> list[Floats]:
    """Places to start from: the plain one, each term's alternatives in turn, all low, all high."""
    choices = [block.starts(problem.total) for block in problem.blocks]
    plain = [options[0] for options in choices]
    out = [plain]
    for i, options in enumerate(choices):
        out += [[*plain[:i], option, *plain[i + 1 :]] for option in options[1:]]
    if len(choices) > 1:
        out += [[options[at] for options in choices] for at in (1, 2)]
    return [_joined(parts) for parts in out]


def solve(problem: Problem, tries: int = 4) -> tuple[Found, int]:
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
    ranked = []
    for start in starts(problem):
        try:
            ranked.append((problem.best(problem.cells(start)).log_likelihood, start))
        except np.linalg.LinAlgError:  # a start where M cannot be factored is no start
            continue
    ranked.sort(key=lambda pair: -pair[0])
    if not ranked:
        raise ConvergenceError(
            "The covariance matrix could not be factored at any start. Check the scale of vi_or_V."
        )
    best = maximise(problem, ranked[0][1], lower, upper)
    others = [start for _, start in ranked[1:]]
    # The starts lowest in likelihood lie farthest from the first climb: they test it hardest.
    for start in [others[i] for i in _spread(len(others), tries - 1)]:
        other = maximise(problem, start, lower, upper, tolerance=1e-2, known=best)
        if other.value > best.value + 1e-6 or (other.converged and not best.converged):
            other = maximise(problem, other.x, lower, upper)
            if other.converged and (other.value > best.value or not best.converged):
                best = other
    best = _check_matrices(problem, best)
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
    return best, min(tries, len(ranked))


def _spread(number: int, wanted: int) -> list[int]:
    if number <= wanted:
        return list(range(number))
    return sorted({round(i * (number - 1) / (wanted - 1)) for i in range(wanted)}) if wanted > 1 else [number - 1]


def _check_matrices(problem: Problem, found: Found) -> Found:
    """Leave singular unstructured matrices that are not maxima: there the smooth coordinates cannot tell.

    At a maximum over positive semi-definite G, the slope S = dl/dG has no positive direction in the null space of G.
    """
    lower, upper = problem.lower, problem.upper
    for _ in range(5):
        step = _way_out(problem, found)
        if step is None:
            return found
        found = maximise(problem, step, lower, upper)
    return Found(found.x, found.value, found.gradient, found.gradient_norm, found.distance, found.iterations, False)


def _way_out(problem: Problem, found: Found) -> Floats | None:
    """Coordinates a little inside the cone, where the likelihood is higher; None at a true maximum."""
    if not any(isinstance(block, Unstructured) for block in problem.blocks):
        return None
    w = problem.cells(found.x)
    slopes = problem.engine.value_and_gradient(w, problem.restricted)[1]
    offsets = cell_offsets(problem.terms)
    parts = problem.split(found.x)
    for i, block in enumerate(problem.blocks):
        if not isinstance(block, Unstructured):
            continue
        inside = slice(offsets[i], offsets[i + 1])
        matrix, slope = block.full(w[inside]), block.slope(slopes[inside])
        values, vectors = np.linalg.eigh(matrix)
        null = vectors[:, values <= 1e-10 * max(float(values[-1]), problem.unit)]
        if null.shape[1] == 0:
            continue
        rise, ways = np.linalg.eigh(null.T @ slope @ null)
        if rise[-1] * problem.unit <= 1e-7 * max(1.0, abs(found.value)):
            continue
        way = null @ ways[:, -1]
        for share in (1.0, 0.1, 0.01, 1e-3, 1e-4):
            moved = block.coordinates(matrix + share * problem.unit * np.outer(way, way))
            x = _joined([*parts[:i], moved, *parts[i + 1 :]])
            if problem.best(problem.cells(x)).log_likelihood > found.value:
                return x
    return None
