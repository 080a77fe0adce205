"""Any random effects, by the dense covariance of each set of linked rows; sets of one size go through together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack

from comfrey.models.multilevel._grouping import Floats, Ints, batches, count
from comfrey.models.multilevel._likelihood import Moments, profile
from comfrey.models.multilevel._structures import cell_table
from comfrey.models.multilevel._terms import StructuredTerm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._terms import Term
    from comfrey.models.multilevel.sampling import SamplingCovariance

ALONE = 48  # from this size on, one LAPACK call a block costs less than numpy's stacked ones


@dataclass(frozen=True, slots=True)
class Stack:
    """Sets of linked rows of one size n."""

    rows: Ints  # (m, n)
    known: Floats  # V of each set, (m, n, n)
    cells: tuple[Ints, ...]  # for each term, 1 + the cell between two rows, 0 for none, (m, n, n)


def known_stack(covariance: SamplingCovariance, stacks: Sequence[Ints]) -> list[Floats]:
    """Dense V within each set of rows; every block of V must lie inside one set."""
    place, stack_of, set_of = (np.empty(len(covariance), dtype=np.intp) for _ in range(3))
    out = []
    for number, rows in enumerate(stacks):
        m, n = rows.shape
        place[rows], set_of[rows], stack_of[rows] = np.arange(n), np.arange(m)[:, None], number
        dense = np.zeros((m, n, n))
        index = np.arange(n)
        dense[:, index, index] = covariance.variances[rows]
        out.append(dense)
    for rows, matrices in covariance.blocks:
        target = stack_of[rows[:, 0]]
        for number in np.unique(target):
            chosen = target == number
            inside = rows[chosen]
            where = set_of[inside[:, 0]][:, None, None]
            out[number][where, place[inside][:, :, None], place[inside][:, None, :]] = matrices[chosen]
    return out


def cell_ids(term: Term, rows: Ints, offset: int) -> Ints:
    """Place of each pair's covariance in the cells of all terms, counted from 1; 0 for none (m, n, n)."""
    same = term.codes[rows][:, :, None] == term.codes[rows][:, None, :]
    if isinstance(term, StructuredTerm):
        inner = term.inner[rows]
        cell = cell_table(term)[inner[:, :, None], inner[:, None, :]]
        return np.where(same & (cell >= 0), cell + offset + 1, 0).astype(np.intp)
    return np.where(same, offset + 1, 0).astype(np.intp)


def cell_offsets(terms: Sequence[Term]) -> list[int]:
    """First cell of each term, and after the last the number of cells."""
    sizes = [int(cell_table(term).max()) + 1 for term in terms]
    return [0, *np.cumsum(sizes).tolist()] if sizes else [0]


def make_stacks(covariance: SamplingCovariance, terms: Sequence[Term], codes: Ints) -> list[Stack]:
    """Stacks of the sets of rows that `codes` names."""
    grouped = batches(codes)
    offsets = cell_offsets(terms)
    known = known_stack(covariance, grouped)
    return [
        Stack(rows, v, tuple(cell_ids(term, rows, start) for term, start in zip(terms, offsets, strict=False)))
        for rows, v in zip(grouped, known, strict=True)
    ]


def covariance_of(stack: Stack, w: Floats) -> Floats:
    """M of each set of a stack, (m, n, n)."""
    table = np.concatenate(([0.0], w))
    out = stack.known.copy()
    for cells in stack.cells:
        out += table[cells]
    return out


def invert(matrices: Floats) -> tuple[Floats, float]:
    """Inverses of positive definite matrices (m, n, n), and the sum of their log-determinants."""
    m, n, _ = matrices.shape
    if n == 1:
        return 1.0 / matrices, float(np.log(matrices).sum())
    if n < ALONE:
        root = np.linalg.inv(np.linalg.cholesky(matrices))
        diagonal = np.einsum("mii->mi", root)
        return root.swapaxes(1, 2) @ root, -2 * float(np.log(diagonal).sum())
    out, log_det = np.empty_like(matrices), 0.0
    for i in range(m):
        factor, info = lapack.dpotrf(matrices[i], lower=1)
        if info:
            raise np.linalg.LinAlgError("matrix is not positive definite")
        log_det += 2 * float(np.log(np.diag(factor)).sum())
        inverse = lapack.dpotri(factor, lower=1)[0]
        lower = np.tril(inverse)
        out[i] = lower + np.tril(inverse, -1).T
    return out, log_det


class BlockEngine:
    """Likelihood of any terms by dense sets of linked rows."""

    def __init__(self, data: Floats, covariance: SamplingCovariance, terms: Sequence[Term], components: Ints) -> None:
        self.k, self.terms = data.shape[0], terms
        self.stacks = make_stacks(covariance, terms, components)
        self.data = [data[stack.rows] for stack in self.stacks]
        self.columns = data.shape[1]
        self.cells = cell_offsets(terms)[-1]

    def _solve(self, w: Floats) -> tuple[Moments, list[Floats], list[Floats]]:
        gram, log_det = np.zeros((self.columns, self.columns)), 0.0
        inverses, applied = [], []
        for stack, data in zip(self.stacks, self.data, strict=True):
            inverse, part = invert(covariance_of(stack, w))
            solved = inverse @ data
            log_det += part
            gram += np.tensordot(data, solved, axes=((0, 1), (0, 1)))
            inverses.append(inverse)
            applied.append(solved)
        return Moments(log_det, 0.5 * (gram + gram.T)), inverses, applied

    def moments(self, w: Floats) -> Moments:
        """Log-determinant and Gram matrix at the cells w."""
        return self._solve(w)[0]

    def value_and_gradient(self, w: Floats, restricted: bool) -> tuple[float, Floats]:
        """Log-likelihood and its derivative by each cell.

        With S = dl/dM = (Py y'P - P) / 2 (P = M^-1 in the second place under ML), a cell's derivative is the sum of S
        over the entries that the cell fills.
        """
        moments, inverses, applied = self._solve(w)
        best = profile(moments, self.k, restricted)
        gradient = np.zeros(self.cells + 1)
        for stack, inverse, solved in zip(self.stacks, inverses, applied, strict=True):
            residual = solved[:, :, 0] - solved[:, :, 1:] @ best.beta
            slope = residual[:, :, None] * residual[:, None, :] - inverse
            if restricted:
                slope += solved[:, :, 1:] @ best.beta_covariance @ solved[:, :, 1:].swapaxes(1, 2)
            for cells in stack.cells:
                gradient += np.bincount(cells.ravel(), weights=slope.ravel(), minlength=self.cells + 1)
        return best.log_likelihood, 0.5 * gradient[1:]

    def weighted(self, w: Floats) -> Floats:
        """M^-1 B (k, 1 + p) in the order of the rows."""
        out = np.empty((self.k, self.columns))
        for stack, solved in zip(self.stacks, self._solve(w)[2], strict=True):
            out[stack.rows] = solved
        return out

    def group_blocks(self, w: Floats, term: int) -> Floats:
        """Z_g'M^-1 Z_g of each group of a term, (groups, s, s)."""
        chosen = self.terms[term]
        s = len(chosen.inner_labels) if isinstance(chosen, StructuredTerm) else 1
        inner = chosen.inner if isinstance(chosen, StructuredTerm) else np.zeros(self.k, dtype=np.intp)
        out = np.zeros(count(chosen.codes) * s * s)
        for stack, inverse in zip(self.stacks, self._solve(w)[1], strict=True):
            codes, levels = chosen.codes[stack.rows], inner[stack.rows]
            m, n, _ = inverse.shape
            same = codes[:, :, None] == codes[:, None, :]
            cell = (codes[:, :, None] * s + levels[:, :, None]) * s + levels[:, None, :]
            weights = np.where(same, inverse, 0.0).reshape(m * n * n)
            out += np.bincount(cell.reshape(m * n * n), weights=weights, minlength=out.size)
        return out.reshape(-1, s, s)
