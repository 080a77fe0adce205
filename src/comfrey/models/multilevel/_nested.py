"""Nested random effects in a time proportional to the number of effects.

The inverse of D + sum of w_l Z_l Z_l' is never formed. Going outwards, each group passes on its precision-weighted
mean and its precision a / (1 + w a) (Woodbury's identity for one column); coming back inwards, each group learns the
shrunken mean of what surrounds it. Means, not sums, are passed, so that nothing is lost when the variances between
groups are large.

A known V with blocks is turned by its eigenvectors first: each block then has independent rows with loadings Q'1, and
the same recursion holds as long as each random effect is shared by a whole block, or belongs to one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from comfrey.models.multilevel._grouping import Floats, Ints, combine, count, refines
from comfrey.models.multilevel._likelihood import Moments, profile
from comfrey.models.multilevel._terms import VarianceTerm
from comfrey.models.multilevel.sampling import SamplingCovariance, rotate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._terms import Term


@dataclass(frozen=True, slots=True)
class Level:
    """Groups of one term, over the groups (or rows) one level further in, which are sorted."""

    term: int
    starts: Ints
    sizes: Ints
    codes: Ints  # of the term's group that each sorted group is


@dataclass(frozen=True, slots=True)
class Upward:
    """What one level has after its groups are summed up: precision, mean, and precision after its own variance."""

    mean: Floats
    ratio: Floats
    passed: Floats
    variance: float


def chain(terms: Sequence[Term], covariance: SamplingCovariance) -> list[int] | None:
    """Order of the terms, outermost first, if they are nested and each holds whole blocks of V; else None."""
    if not all(isinstance(term, VarianceTerm) for term in terms):
        return None
    order = sorted(range(len(terms)), key=lambda i: count(terms[i].codes))
    for outer, inner in pairwise(order):
        if not refines(terms[inner].codes, terms[outer].codes):
            return None
    if not covariance.diagonal_only:
        blocks = covariance.block_codes()
        for i in order:
            if count(terms[i].codes) < len(covariance) and not refines(blocks, terms[i].codes):
                return None
    return order


class NestedEngine:
    """Likelihood of nested variance terms; see the module for the recursion."""

    def __init__(
        self, data: Floats, covariance: SamplingCovariance, terms: Sequence[Term], order: Sequence[int]
    ) -> None:
        k = data.shape[0]
        self.k, self.terms = k, terms
        self.rows_term = next((i for i in order if count(terms[i].codes) == k), None)
        grouped = [i for i in order if i != self.rows_term]
        keys = [terms[i].codes for i in reversed(grouped)]
        self.order = np.lexsort(keys).astype(np.intp) if keys else np.arange(k, dtype=np.intp)
        values, self.vectors = covariance.rotation()
        loads = rotate(np.ones((k, 1)), self.vectors)[:, 0]
        self.known = values[self.order]
        self.data = np.ascontiguousarray(rotate(data, self.vectors)[self.order])
        self.loads = None if covariance.diagonal_only else loads[self.order]
        self.levels: list[Level] = []  # innermost first
        inside: list[Ints] = [terms[i].codes[self.order] for i in grouped]
        for i in reversed(grouped):
            codes = inside[grouped.index(i)]
            starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1]))).astype(np.intp)
            self.levels.append(Level(i, starts, np.diff(np.append(starts, codes.size)), codes[starts]))
            inside = [outer[starts] for outer in inside]

    def _spread(self, values: Floats, level: Level) -> Floats:
        return np.repeat(values, level.sizes, axis=0)

    def _upward(self, w: Floats) -> tuple[Moments, Floats, list[Upward]]:
        variance = self.known if self.rows_term is None else self.known + w[self.rows_term]
        precision = 1.0 / variance
        log_det = float(np.log(variance).sum())
        stages: list[Upward] = []
        if not self.levels:
            return Moments(log_det, self.data.T @ (self.data * precision[:, None])), precision, stages
        gram = np.zeros((self.data.shape[1],) * 2)
        values, loads, weight = self.data, self.loads, precision
        for level in self.levels:
            loaded = weight if loads is None else weight * loads
            total = np.add.reduceat(loaded if loads is None else loaded * loads, level.starts)
            mean = np.add.reduceat(values * loaded[:, None], level.starts, axis=0) / total[:, None]
            shared = self._spread(mean, level)
            rest = values - (shared if loads is None else shared * loads[:, None])
            gram += rest.T @ (rest * weight[:, None])
            w_level = float(w[level.term])
            ratio = 1.0 / (1.0 + w_level * total)
            log_det += float(np.log1p(w_level * total).sum())
            stages.append(Upward(mean, ratio, total * ratio, w_level))
            values, loads, weight = mean, None, total * ratio
        gram += values.T @ (values * weight[:, None])
        return Moments(log_det, gram), precision, stages

    def _inward(self, stages: list[Upward]) -> tuple[list[tuple[Floats, Floats]], Floats, Floats]:
        """For each level, innermost first, Z'M^-1 B and diag(Z'M^-1 Z); then what the rows are told from outside."""
        out: list[tuple[Floats, Floats]] = []
        columns = self.data.shape[1]
        groups = self.levels[-1].starts.size if self.levels else 1
        told, doubt = np.zeros((groups, columns)), np.zeros(groups)
        for level, stage in zip(reversed(self.levels), reversed(stages), strict=True):
            passed, ratio = stage.passed, stage.ratio
            out.append((passed[:, None] * (stage.mean - told), passed - passed**2 * doubt))
            told = (1 - ratio)[:, None] * stage.mean + ratio[:, None] * told
            doubt = stage.variance * ratio + ratio**2 * doubt
            told, doubt = self._spread(told, level), self._spread(doubt, level)
        if not self.levels:
            told, doubt = np.zeros((self.k, columns)), np.zeros(self.k)
        return out[::-1], told, doubt

    def _rows(self, precision: Floats, told: Floats, doubt: Floats) -> tuple[Floats, Floats]:
        """M^-1 B and diag(M^-1) of the sorted, turned rows."""
        loads = np.ones(self.k) if self.loads is None else self.loads
        return precision[:, None] * (self.data - loads[:, None] * told), precision - (precision * loads) ** 2 * doubt

    def moments(self, w: Floats) -> Moments:
        """Log-determinant and Gram matrix at the variances w."""
        return self._upward(w)[0]

    def value_and_gradient(self, w: Floats, restricted: bool) -> tuple[float, Floats]:
        """Log-likelihood and its derivative by each variance.

        dl/dw = (|Z'Py|^2 - tr(Z'PZ)) / 2, with P = M^-1 under ML in the trace.
        """
        moments, precision, stages = self._upward(w)
        best = profile(moments, self.k, restricted)
        inside, told, doubt = self._inward(stages)
        gradient = np.zeros(len(self.terms))
        pieces = [(level.term, *piece) for level, piece in zip(self.levels, inside, strict=True)]
        if self.rows_term is not None:
            pieces.append((self.rows_term, *self._rows(precision, told, doubt)))
        for term, applied, diagonal in pieces:
            residual = applied[:, 0] - applied[:, 1:] @ best.beta
            trace = float(diagonal.sum())
            if restricted:
                trace -= float(np.sum(best.beta_covariance * (applied[:, 1:].T @ applied[:, 1:])))
            gradient[term] = 0.5 * (float(residual @ residual) - trace)
        return best.log_likelihood, gradient

    def weighted(self, w: Floats) -> Floats:
        """M^-1 B (k, 1 + p) in the order of the rows."""
        _, precision, stages = self._upward(w)
        _, told, doubt = self._inward(stages)
        out = np.empty_like(self.data)
        out[self.order] = self._rows(precision, told, doubt)[0]
        return rotate(out, self.vectors, back=True)

    def group_blocks(self, w: Floats, term: int) -> Floats:
        """Z_g'M^-1 Z_g of each group of a term, (groups, 1, 1)."""
        _, precision, stages = self._upward(w)
        inside, told, doubt = self._inward(stages)
        for level, (_, diagonal) in zip(self.levels, inside, strict=True):
            if level.term == term:
                out = np.empty(diagonal.size)
                out[level.codes] = diagonal
                return out[:, None, None]
        if self.vectors:
            return self._turned_diagonal(precision, doubt, term)
        out = np.empty(self.k)
        out[self.terms[term].codes[self.order]] = self._rows(precision, told, doubt)[1]
        return out[:, None, None]

    def _turned_diagonal(self, precision: Floats, doubt: Floats, term: int) -> Floats:
        """Diagonal of M^-1 when V was turned: M^-1 = Q (D^-1 - D^-1 u E u' D^-1) Q' within a block."""
        plain, loaded, spread = np.empty(self.k), np.empty(self.k), np.empty(self.k)
        plain[self.order], spread[self.order] = precision, doubt
        loads = np.ones(self.k) if self.loads is None else self.loads
        loaded[self.order] = precision * loads
        diagonal = plain - loaded**2 * spread
        for rows, basis in self.vectors:
            own = np.einsum("mij,mj->mi", basis**2, plain[rows])
            diagonal[rows] = own - np.einsum("mij,mj->mi", basis, loaded[rows]) ** 2 * spread[rows]
        out = np.empty(self.k)
        out[self.terms[term].codes] = diagonal
        return out[:, None, None]


def partition(terms: Sequence[Term], covariance: SamplingCovariance) -> list[Ints]:
    """Codings whose groups link rows: every term's groups, and the blocks of V."""
    links = [combine([term.codes]) for term in terms]
    if not covariance.diagonal_only:
        links.append(covariance.block_codes())
    return links
