"""One maximum-likelihood problem: data at unit scale, an engine, coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import NotEstimableError
from comfrey.models.multilevel._blocks import BlockEngine, cell_offsets
from comfrey.models.multilevel._crossed import SMALL, CrossedEngine, cost
from comfrey.models.multilevel._grouping import Floats, Ints, connected
from comfrey.models.multilevel._likelihood import Engine, Profile, profile
from comfrey.models.multilevel._nested import NestedEngine, chain, partition
from comfrey.models.multilevel._structures import Block, Variances, block_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._terms import Term
    from comfrey.models.multilevel.sampling import SamplingCovariance


LARGEST = 1e13  # operations of one factorisation: beyond it a fit would take days
SIDE_BY_SIDE = 20_000  # effects up to which several settings at once stay in the processor's cache
IN_CACHE = 16_000  # numbers of one column, over all settings taken at once
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
    offsets : tuple
        First cell of each term, and the number of cells.
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
    offsets: tuple[int, ...]

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
        return joined([block.lower for block in self.blocks])

    @property
    def upper(self) -> Floats:
        """Upper bounds of the coordinates."""
        return joined([block.upper for block in self.blocks])

    def split(self, x: Floats) -> list[Floats]:
        """Coordinates of each term."""
        out, start = [], 0
        for block in self.blocks:
            end = start + block.lower.size
            out.append(x[start:end])
            start = end
        return out

    @property
    def plain(self) -> bool:
        """Whether each coordinate is one cell's, by the same function."""
        return all(isinstance(block, Variances) for block in self.blocks)

    def cells(self, x: Floats) -> Floats:
        """Cells of all terms at coordinates x."""
        if self.plain:
            return self.unit * np.expm1(x)
        return joined([block.values(part) for block, part in zip(self.blocks, self.split(x), strict=True)])

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Log-likelihood at unit scale, and its derivatives by the coordinates."""
        value, slopes = self.engine.value_and_gradient(self.cells(x), self.restricted)
        if self.plain:
            return value, self.unit * np.exp(x) * slopes
        parts = zip(self.blocks, self.split(x), self.offsets[:-1], self.offsets[1:], strict=True)
        return value, joined([block.jacobian(part).T @ slopes[low:high] for block, part, low, high in parts])

    @property
    def side_by_side(self) -> bool:
        """Whether several places at once cost little more than one."""
        return self._batch is not None

    @property
    def _batch(self) -> NestedEngine | None:
        return self.engine if isinstance(self.engine, NestedEngine) and self.k <= SIDE_BY_SIDE else None

    def many(self, places: Floats) -> list[tuple[float, Floats]]:
        """Log-likelihoods and derivatives at several places (m, coordinates)."""
        batch = self._batch
        if batch is None:
            return [self(x) for x in places]
        found = batch.values_and_gradients(self.unit * np.expm1(places), self.restricted)
        rates = self.unit * np.exp(places)
        return [(value, rate * slopes) for (value, slopes), rate in zip(found, rates, strict=True)]

    def heights(self, places: Sequence[Floats]) -> list[float]:
        """Log-likelihoods at several places; minus infinity where the covariance cannot be factored."""
        batch = self._batch
        if batch is not None:
            w, step = self.unit * np.expm1(np.array(places)), max(1, IN_CACHE // self.k)
            try:
                parts = [batch.values(w[start : start + step], self.restricted) for start in range(0, len(w), step)]
                return [value for part in parts for value in part]
            except np.linalg.LinAlgError:  # at one of them: find out which
                pass
        out = []
        for x in places:
            try:
                out.append(self.best(self.cells(x)).log_likelihood)
            except np.linalg.LinAlgError:
                out.append(-math.inf)
        return out

    def best(self, w: Floats, *, restricted: bool | None = None) -> Profile:
        """Coefficients and likelihood at the cells w."""
        return profile(self.engine.moments(w), self.k, self.restricted if restricted is None else restricted)

    def log_likelihood(self, value: float) -> float:
        """Bring a log-likelihood from unit scale back to the units of y."""
        return value - (self.k - (self.p if self.restricted else 0)) * math.log(self.scale)


def joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(0)


def make_problem(
    y: Floats,
    covariance: SamplingCovariance,
    design: Floats,
    terms: tuple[Term, ...],
    restricted: bool,
    like: Problem | None = None,
) -> Problem:
    """Scale the data, make the design orthonormal, and choose the cheapest engine that fits the terms.

    With `like`, scale and coordinates are those of another problem, so that its solution is a start for this one.
    """
    k, p = design.shape
    basis, triangle = np.linalg.qr(design) if p else (np.zeros((k, 0)), np.zeros((0, 0)))
    offset = basis.T @ y
    residual = y - basis @ offset
    typical, excess = _sizes(residual, basis, covariance.variances)
    scale = like.scale if like else 2.0 ** round(0.5 * math.log2(typical + excess))
    scaled = covariance.scaled(1 / scale**2)
    data = np.column_stack((residual / scale, basis))
    components = _linked(terms, scaled)
    engine = make_engine(data, scaled, terms, components)
    unit = like.unit if like else typical / scale**2
    total = max(excess / scale**2, 0.1 * unit) / max(len(terms), 1)
    blocks = like.blocks if like else tuple(block_of(term, unit) for term in terms)
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
        tuple(cell_offsets(terms)),
    )


def make_engine(data: Floats, covariance: SamplingCovariance, terms: tuple[Term, ...], components: Ints) -> Engine:
    """Choose the cheapest engine that fits the terms."""
    order = chain(terms, covariance)
    if order is not None:
        return NestedEngine(data, covariance, terms, order)
    return _general_engine(data, covariance, terms, components)


def _linked(terms: tuple[Term, ...], covariance: SamplingCovariance) -> Ints:
    """Find the components of linked rows: for nested terms these are the outermost groups."""
    order = chain(terms, covariance)
    if order and covariance.diagonal_only:
        return terms[order[0]].codes
    return connected(partition(terms, covariance), len(covariance))


def _sizes(residual: Floats, basis: Floats, variances: Floats) -> tuple[float, float]:
    """Typical sampling variance (harmonic mean), and about how much effects vary beyond it (by moments).

    DerSimonian R, Laird N (1986). Control Clin Trials 7:177-188. doi:10.1016/0197-2456(86)90046-2
    """
    lowest = float(variances.min())
    weights = lowest / variances
    typical = lowest * variances.size / float(weights.sum())
    root = np.sqrt(weights)
    turned = np.linalg.qr(basis * root[:, None])[0]
    rest = residual * root
    rest = rest - turned @ (turned.T @ rest)
    k, p = basis.shape
    freedom = float(weights.sum()) - float(np.sum(weights * np.sum(turned**2, axis=1)))
    return typical, max((float(rest @ rest) - lowest * (k - p)) / max(freedom, 1e-8), 0.0)


def _general_engine(data: Floats, covariance: SamplingCovariance, terms: tuple[Term, ...], components: Ints) -> Engine:
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
