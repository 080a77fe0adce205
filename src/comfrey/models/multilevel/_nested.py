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

    mean: Floats  # (m, 1 + p, groups)
    ratio: Floats  # (m, groups)
    passed: Floats
    variance: Floats  # (m, 1)


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
    """Likelihood of nested variance terms; see the module for the recursion.

    Data and means are held as (1 + p, rows): sums over the rows of a group then run along memory.
    """

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
        self.data = np.ascontiguousarray(rotate(data, self.vectors)[self.order].T)
        self.loads = None if covariance.diagonal_only else loads[self.order]
        self.levels: list[Level] = []  # innermost first
        inside: list[Ints] = [terms[i].codes[self.order] for i in grouped]
        for i in reversed(grouped):
            codes = inside[grouped.index(i)]
            starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1]))).astype(np.intp)
            self.levels.append(Level(i, starts, np.diff(np.append(starts, codes.size)), codes[starts]))
            inside = [outer[starts] for outer in inside]

    def _upward(self, w: Floats) -> tuple[list[Moments], Floats, list[Upward]]:
        """Moments at each of m settings of the variances, w of shape (m, terms); arrays then have m in front."""
        settings = w.shape[0]
        known = np.broadcast_to(self.known, (settings, self.k))
        variance = known if self.rows_term is None else known + w[:, self.rows_term, None]
        precision = 1.0 / variance
        log_det = np.log(variance).sum(axis=1)
        stages: list[Upward] = []
        gram = np.zeros((settings, self.data.shape[0], self.data.shape[0]))
        values, loads, weight = self.data, self.loads, precision
        for level in self.levels:
            loaded = weight if loads is None else weight * loads
            total = np.add.reduceat(loaded if loads is None else loaded * loads, level.starts, axis=1)
            mean = np.add.reduceat(values * loaded[:, None], level.starts, axis=2) / total[:, None]
            shared = mean.repeat(level.sizes, axis=2)
            rest = values - (shared if loads is None else shared * loads)
            gram += (rest * weight[:, None]) @ rest.swapaxes(1, 2)
            w_level = w[:, level.term, None]
            ratio = 1.0 / (1.0 + w_level * total)
            log_det += np.log1p(w_level * total).sum(axis=1)
            stages.append(Upward(mean, ratio, total * ratio, w_level))
            values, loads, weight = mean, None, total * ratio
        gram += (values * weight[:, None]) @ values.swapaxes(-1, -2)
        return [Moments(*pair) for pair in zip(log_det.tolist(), gram, strict=True)], precision, stages

    def _inward(self, stages: list[Upward], settings: int) -> tuple[list[tuple[Floats, Floats]], Floats, Floats]:
        """For each level, innermost first, Z'M^-1 B and diag(Z'M^-1 Z); then what the rows are told from outside."""
        out: list[tuple[Floats, Floats]] = []
        groups = self.levels[-1].starts.size if self.levels else self.k
        told, doubt = np.zeros((settings, self.data.shape[0], groups)), np.zeros((settings, groups))
        for level, stage in zip(reversed(self.levels), reversed(stages), strict=True):
            passed, ratio = stage.passed, stage.ratio
            apart = stage.mean - told
            out.append((passed[:, None] * apart, passed - passed * passed * doubt))
            told = stage.mean - ratio[:, None] * apart
            doubt = stage.variance * ratio + ratio * ratio * doubt
            told, doubt = told.repeat(level.sizes, axis=2), doubt.repeat(level.sizes, axis=1)
        return out[::-1], told, doubt

    def _rows(self, precision: Floats, told: Floats, doubt: Floats) -> tuple[Floats, Floats]:
        """M^-1 B, (m, 1 + p, rows), and diag(M^-1), (m, rows), of the sorted, turned rows."""
        loaded, shared = precision, told
        if self.loads is not None:
            loaded, shared = precision * self.loads, self.loads * told
        return precision[:, None] * (self.data - shared), precision - loaded * loaded * doubt

    def _whole(self, w: Floats) -> tuple[list[tuple[Floats, Floats]], Floats, Floats, Floats]:
        """At one setting: what each level has (see `_inward`), then precision, told and doubt of the rows."""
        _, precision, stages = self._upward(w[None])
        inside, told, doubt = self._inward(stages, 1)
        return [(applied[0], diagonal[0]) for applied, diagonal in inside], precision, told, doubt

    def moments(self, w: Floats) -> Moments:
        """Log-determinant and Gram matrix at the variances w."""
        return self._upward(w[None])[0][0]

    def values(self, w: Floats, restricted: bool) -> list[float]:
        """Log-likelihoods at several settings (m, terms) side by side."""
        return [profile(own, self.k, restricted).log_likelihood for own in self._upward(w)[0]]

    def value_and_gradient(self, w: Floats, restricted: bool) -> tuple[float, Floats]:
        """Log-likelihood and its derivative by each variance."""
        return self.values_and_gradients(w[None], restricted)[0]

    def values_and_gradients(self, w: Floats, restricted: bool) -> list[tuple[float, Floats]]:
        """Log-likelihoods and derivatives at several settings (m, terms) side by side.

        dl/dw = (|Z'Py|^2 - tr(Z'PZ)) / 2, with P = M^-1 under ML in the trace.
        """
        moments, precision, stages = self._upward(w)
        best = [profile(own, self.k, restricted) for own in moments]
        inside, told, doubt = self._inward(stages, w.shape[0])
        gradient = np.zeros(w.shape)
        pieces = [(level.term, *piece) for level, piece in zip(self.levels, inside, strict=True)]
        if self.rows_term is not None:
            pieces.append((self.rows_term, *self._rows(precision, told, doubt)))
        beta, spread = np.array([own.beta for own in best]), np.array([own.beta_covariance for own in best])
        for term, applied, diagonal in pieces:
            residual = applied[:, 0] - np.einsum("mp,mpk->mk", beta, applied[:, 1:])
            gradient[:, term] = np.einsum("mk,mk->m", residual, residual) - diagonal.sum(axis=1)
            if restricted:
                inner = applied[:, 1:] @ applied[:, 1:].swapaxes(1, 2)
                gradient[:, term] += np.einsum("mij,mij->m", spread, inner)
        gradient *= 0.5
        return [(own.log_likelihood, slope) for own, slope in zip(best, gradient, strict=True)]

    def weighted(self, w: Floats) -> Floats:
        """M^-1 B (k, 1 + p) in the order of the rows."""
        _, precision, told, doubt = self._whole(w)
        out = np.empty((self.k, self.data.shape[0]))
        out[self.order] = self._rows(precision, told, doubt)[0][0].T
        return rotate(out, self.vectors, back=True)

    def group_blocks(self, w: Floats, term: int) -> Floats:
        """Z_g'M^-1 Z_g of each group of a term, (groups, 1, 1)."""
        inside, precision, told, doubt = self._whole(w)
        for level, (_, diagonal) in zip(self.levels, inside, strict=True):
            if level.term == term:
                out = np.empty(diagonal.size)
                out[level.codes] = diagonal
                return out[:, None, None]
        if self.vectors:
            return self._turned_diagonal(precision[0], doubt[0], term)
        out = np.empty(self.k)
        out[self.terms[term].codes[self.order]] = self._rows(precision, told, doubt)[1][0]
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
