"""Crossed random effects: the term with most groups goes in closed form, the others by a dense matrix of groups.

M = D + w1 Z1 Z1' + Z2 L L Z2', where L holds the standard deviations of the other terms. Z1'D^-1 Z1 is diagonal, so
that with a = 1 + w1 diag(Z1'D^-1 Z1) only S = I + L (Z2'D^-1 Z2 - w1 Z2'D^-1 Z1 a^-1 Z1'D^-1 Z2) L has to be
factored: a time of q1 q2^2, whatever the number of effects. log|M| = log|D| + log|a| + log|S|, and with the predicted
effects b, B'M^-1 B = (B - Z b)'D^-1 (B - Z b) + b'G^-1 b, which stays exact when variances are zero or large (Bates
et al. 2015, doi:10.18637/jss.v067.i01, penalised least squares). V with blocks is turned by its eigenvectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from comfrey.models.multilevel._grouping import Floats, Ints, count, refines
from comfrey.models.multilevel._likelihood import Moments, profile
from comfrey.models.multilevel._terms import VarianceTerm
from comfrey.models.multilevel.sampling import SamplingCovariance, rotate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._terms import Term

SMALL = 64  # sets of rows up to this size are handled as dense matrices at once


def widest(terms: Sequence[Term], covariance: SamplingCovariance) -> int | None:
    """Term with most groups (but not one for each row) among those that hold whole blocks of V."""
    k = len(covariance)
    blocks = None if covariance.diagonal_only else covariance.block_codes()
    fit = [
        i for i, term in enumerate(terms) if count(term.codes) < k and (blocks is None or refines(blocks, term.codes))
    ]
    return max(fit, key=lambda i: count(terms[i].codes), default=None)


def cost(terms: Sequence[Term], covariance: SamplingCovariance) -> float:
    """Operations of one factorisation, about; infinite when terms are not plain variances."""
    if not all(isinstance(term, VarianceTerm) for term in terms):
        return float("inf")
    sizes = [float(count(term.codes)) for term in terms]
    first = widest(terms, covariance)
    other = sum(size for i, size in enumerate(sizes) if i != first and size < len(covariance))
    return other**3 + (sizes[first] if first is not None else 0.0) * other**2 + len(covariance)


@dataclass(frozen=True, slots=True)
class Solved:
    """Everything at one set of variances, in the names of the module's formulas."""

    moments: Moments
    precision: Floats
    applied: Floats  # M^-1 B of the turned rows
    w1: float
    root: Floats  # diagonal of L
    own: Floats  # diag(Z1'D^-1 Z1)
    a: Floats
    across: Floats  # a^-1 Z1'D^-1 Z2
    inner: Floats  # Z2' (D + w1 Z1 Z1')^-1 Z2
    factor: Floats  # of S


class CrossedEngine:
    """Likelihood of crossed variance terms; see the module for the formulas."""

    def __init__(self, data: Floats, covariance: SamplingCovariance, terms: Sequence[Term]) -> None:
        k = data.shape[0]
        self.k, self.terms = k, terms
        self.rows_term = next((i for i, term in enumerate(terms) if count(term.codes) == k), None)
        self.first = widest(terms, covariance)
        self.others = [i for i in range(len(terms)) if i not in {self.rows_term, self.first}]
        sizes = [count(terms[i].codes) for i in self.others]
        self.places = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]
        self.known, self.vectors = covariance.rotation()
        self.basis: Any = _sparse_basis(self.vectors, k)
        self.z1: Any = self._indicators([] if self.first is None else [self.first])
        self.z1_squared: Any = self.z1.multiply(self.z1).tocsr().T.tocsr()
        self.z2: Any = self._indicators(self.others)
        self.z2_rows = np.repeat(np.arange(k), np.diff(self.z2.indptr))
        self.data = rotate(data, self.vectors)

    def _indicators(self, chosen: Sequence[int]) -> Any:
        """Z of some terms side by side, turned (k, q)."""
        codes = [self.terms[i].codes for i in chosen]
        sizes = [count(code) for code in codes]
        starts = np.concatenate(([0], np.cumsum(sizes))).astype(int)
        columns = [code + start for code, start in zip(codes, starts, strict=False)]
        where = (np.tile(np.arange(self.k), len(codes)), np.concatenate([np.zeros(0, dtype=int), *columns]))
        plain = sparse.csr_array((np.ones(where[0].size), where), shape=(self.k, int(starts[-1])))
        return sparse.csr_array(self.basis.T @ plain) if self.vectors else plain

    def _weighted_z2(self, weights: Floats) -> Any:
        data = self.z2.data * weights[self.z2_rows]
        return sparse.csr_array((data, self.z2.indices, self.z2.indptr), shape=self.z2.shape)

    def _solve(self, w: Floats) -> Solved:
        variance = self.known if self.rows_term is None else self.known + w[self.rows_term]
        precision = 1.0 / variance
        w1 = 0.0 if self.first is None else float(w[self.first])
        root = np.concatenate(
            [
                np.zeros(0),
                *(np.full(at.stop - at.start, np.sqrt(w[i])) for i, at in zip(self.others, self.places, strict=True)),
            ]
        )
        z2 = self._weighted_z2(precision)
        own = self.z1_squared @ precision
        a = 1.0 + w1 * own
        between = (self.z1.T @ z2).toarray()
        across = between / a[:, None]
        inner = (self.z2.T @ z2).toarray() - w1 * (between.T @ across)
        middle = inner * root[:, None] * root[None, :]
        middle[np.diag_indices_from(middle)] += 1.0
        factor = _factor(middle)
        weighted = self.data * precision[:, None]
        first, second = self.z1.T @ weighted, self.z2.T @ weighted
        u2 = _solve_factor(factor, root[:, None] * (second - w1 * (across.T @ first)))
        b2 = root[:, None] * u2
        reach = (first - between @ b2) / a[:, None]
        rest = self.data - self.z1 @ (w1 * reach) - self.z2 @ b2
        applied = rest * precision[:, None]
        gram = rest.T @ applied + w1 * (reach.T @ reach) + u2.T @ u2
        log_det = float(np.log(variance).sum() + np.log(a).sum() + 2 * np.log(np.diag(factor)).sum())
        moments = Moments(log_det, 0.5 * (gram + gram.T))
        return Solved(moments, precision, applied, w1, root, own, a, across, inner, factor)

    def moments(self, w: Floats) -> Moments:
        """Log-determinant and Gram matrix at the variances w."""
        return self._solve(w).moments

    def _diagonals(self, at: Solved) -> tuple[Floats, Floats, Floats, Floats]:
        """diag(Z1'M^-1 Z1), diag(Z2'M^-1 Z2), L S^-1 L, and a^-1 Z1'D^-1 Z2 times it."""
        inverse = _inverse_factor(at.factor)
        spread = inverse * at.root[:, None] * at.root[None, :]
        turned = at.across @ spread
        first = at.own / at.a - np.sum(turned * at.across, axis=1)
        # Two forms of one number: the first loses digits when a variance is small, the second when it is large.
        strong = at.root**2 * np.diag(at.inner) > 1
        second = np.diag(at.inner) - np.sum(at.inner * (spread @ at.inner), axis=0)
        second[strong] = (1.0 - np.diag(inverse)[strong]) / at.root[strong] ** 2
        return first, second, spread, turned

    def value_and_gradient(self, w: Floats, restricted: bool) -> tuple[float, Floats]:
        """Log-likelihood and its derivative by each variance: (|Z'Py|^2 - tr(Z'PZ)) / 2."""
        at = self._solve(w)
        best = profile(at.moments, self.k, restricted)
        first, second, spread, turned = self._diagonals(at)
        pieces: list[tuple[int, Any, float]] = []
        if self.first is not None:
            pieces.append((self.first, self.z1.T @ at.applied, float(first.sum())))
        reached = self.z2.T @ at.applied
        pieces += [(i, reached[s], float(second[s].sum())) for i, s in zip(self.others, self.places, strict=True)]
        if self.rows_term is not None:
            pieces.append((self.rows_term, at.applied, self._rows_trace(at, spread, turned)))
        gradient = np.zeros(len(self.terms))
        for term, applied, trace in pieces:
            residual = applied[:, 0] - applied[:, 1:] @ best.beta
            lost = 0.0
            if restricted:
                lost = float(np.sum(best.beta_covariance * (applied[:, 1:].T @ applied[:, 1:])))
            gradient[term] = 0.5 * (float(residual @ residual) - (trace - lost))
        return best.log_likelihood, gradient

    def _rows_trace(self, at: Solved, spread: Floats, turned: Floats) -> float:
        """Trace of M^-1, by the blocks of Z'D^-2 Z."""
        squared = at.precision**2
        z2 = self._weighted_z2(squared)
        one = at.w1 / at.a + at.w1**2 * np.sum(turned * at.across, axis=1)
        lost = float(one @ (self.z1_squared @ squared))
        lost -= 2 * at.w1 * float(np.sum(turned * (self.z1.T @ z2).toarray()))
        lost += float(np.sum(spread * (self.z2.T @ z2).toarray()))
        return float(at.precision.sum()) - lost

    def weighted(self, w: Floats) -> Floats:
        """M^-1 B (k, 1 + p) in the order of the rows."""
        return rotate(self._solve(w).applied, self.vectors, back=True)

    def group_blocks(self, w: Floats, term: int) -> Floats:
        """Z_g'M^-1 Z_g of each group of a term, (groups, 1, 1)."""
        at = self._solve(w)
        first, second, spread, turned = self._diagonals(at)
        if term == self.first:
            return first[:, None, None]
        if term != self.rows_term:
            return second[self.places[self.others.index(term)]][:, None, None]
        y1 = self.basis @ sparse.csr_array(self.z1.multiply(at.precision[:, None]))
        y2 = self.basis @ self._weighted_z2(at.precision)
        found = self.basis.multiply(self.basis) @ at.precision - np.sum((y2 @ spread) * y2.toarray(), axis=1)
        one = at.w1 / at.a + at.w1**2 * np.sum(turned * at.across, axis=1)
        found -= y1.multiply(y1) @ one
        found += 2 * at.w1 * np.sum((y1 @ turned) * y2.toarray(), axis=1)
        out = np.empty(self.k)
        out[self.terms[term].codes] = found
        return out[:, None, None]


def _factor(matrix: Floats) -> Floats:
    if matrix.size == 0:
        return matrix
    factor, info = lapack.dpotrf(matrix, lower=1)
    if info:
        raise np.linalg.LinAlgError("the matrix of the groups is not positive definite")
    return np.asarray(factor)


def _solve_factor(factor: Floats, right: Floats) -> Floats:
    return np.asarray(lapack.dpotrs(factor, right, lower=1)[0]) if factor.size else right


def _inverse_factor(factor: Floats) -> Floats:
    if factor.size == 0:
        return factor
    lower = np.tril(lapack.dpotri(factor, lower=1)[0])
    return np.asarray(lower + np.tril(lower, -1).T)


def _sparse_basis(vectors: tuple[tuple[Ints, Floats], ...], k: int) -> Any:
    """Eigenvectors of V as one sparse matrix (k, k)."""
    alone = np.ones(k, dtype=bool)
    rows, columns, values = [], [], []
    for index, basis in vectors:
        alone[index] = False
        m, n = index.shape
        rows.append(np.broadcast_to(index[:, :, None], (m, n, n)).ravel())
        columns.append(np.broadcast_to(index[:, None, :], (m, n, n)).ravel())
        values.append(basis.ravel())
    rest = np.flatnonzero(alone)
    rows.append(rest)
    columns.append(rest)
    values.append(np.ones(rest.size))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(entries, shape=(k, k))
