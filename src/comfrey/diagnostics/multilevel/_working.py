"""Parts of the working covariance M = V + sum of w_c K_c, and of its inverse, for any units of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from comfrey.models.multilevel._blocks import cell_ids, covariance_of, invert, make_stacks
from comfrey.models.multilevel._effects import random_covariance
from comfrey.models.multilevel._grouping import Floats, Ints, batches, count
from comfrey.models.multilevel._problem import make_engine
from comfrey.models.multilevel._terms import StructuredTerm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comfrey.models.multilevel._problem import Problem

__all__ = ["Working", "inverse_blocks", "linked"]

DENSE = 1500  # linked rows up to this number are inverted as one dense matrix
COLUMNS = 32  # of the identity, that are solved for at once in larger sets


class Working:
    """M of a problem, at the scale of its engine, looked at in parts."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        scaled = problem.covariance.scaled(1 / problem.scale**2)
        self.variances = scaled.variances
        self.known: Any = None if scaled.diagonal_only else _sparse(scaled)

    def block(self, rows: Ints, w: Floats) -> Floats:
        """M among some rows (n, n)."""
        out = np.diag(self.variances[rows]) if self.known is None else self.known[rows][:, rows].toarray()
        table = np.concatenate(([0.0], w))
        for term, offset in zip(self.problem.terms, self.problem.offsets, strict=False):
            out += table[cell_ids(term, rows[None, :], offset)[0]]
        return np.asarray(out)

    def times(self, rows: Ints, values: Floats, w: Floats) -> Floats:
        """Rows of M @ values (n, c), for values (k, c) that are zero in those rows."""
        out = np.zeros((rows.size, values.shape[1])) if self.known is None else self.known[rows] @ values
        for at, term in enumerate(self.problem.terms):
            s = len(term.inner_labels) if isinstance(term, StructuredTerm) else 1
            cell = term.codes * s + (term.inner if isinstance(term, StructuredTerm) else 0)
            groups = count(term.codes)
            sums = np.stack([np.bincount(cell, weights=column, minlength=groups * s) for column in values.T], axis=1)
            spread = random_covariance(self.problem, w, at) @ sums.reshape(groups, s, -1)
            out = out + spread.reshape(groups * s, -1)[cell[rows]]
        return np.asarray(out)


def _sparse(covariance: Any) -> Any:
    k = len(covariance)
    plain = np.arange(k)
    alone = np.ones(k, dtype=bool)
    rows, columns, values = [], [], []
    for index, matrices in covariance.blocks:
        alone[index] = False
        rows.append(np.broadcast_to(index[:, :, None], matrices.shape).ravel())
        columns.append(np.broadcast_to(index[:, None, :], matrices.shape).ravel())
        values.append(matrices.ravel())
    rows.append(plain[alone])
    columns.append(plain[alone])
    values.append(covariance.variances[alone])
    where = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array((np.concatenate(values), where), shape=(k, k))


def linked(problem: Problem, codes: Ints) -> Any:
    """Tell which units (J,) share random effects or sampling errors with others."""
    components = problem.components
    low = np.full(count(components), count(codes), dtype=np.intp)
    high = np.full(count(components), -1, dtype=np.intp)
    np.minimum.at(low, components, codes)
    np.maximum.at(high, components, codes)
    out = np.zeros(count(codes), dtype=bool)
    out[codes[(low < high)[components]]] = True
    return out


def inverse_blocks(problem: Problem, w: Floats, codes: Ints) -> Iterator[tuple[Ints, Floats]]:
    """Blocks of M^-1 that belong to each unit: rows (m, n) and blocks (m, n, n), one pair for each size of unit.

    Sets of linked rows are inverted densely where they are small; else each unit's columns of the inverse are solved
    for by the engine, in a time proportional to the number of effects for each row.
    """
    sizes = np.bincount(problem.components)
    if sizes.max() > DENSE:
        yield from _by_columns(problem, w, codes)
        return
    k = problem.k
    stack_of, set_of, place = (np.empty(k, dtype=np.intp) for _ in range(3))
    inverses = []
    scaled = problem.covariance.scaled(1 / problem.scale**2)
    for number, stack in enumerate(make_stacks(scaled, problem.terms, problem.components)):
        m, n = stack.rows.shape
        stack_of[stack.rows], set_of[stack.rows], place[stack.rows] = number, np.arange(m)[:, None], np.arange(n)
        inverses.append(invert(covariance_of(stack, w))[0])
    for rows in batches(codes):
        i, j = np.broadcast_arrays(rows[:, :, None], rows[:, None, :])
        together = problem.components[i] == problem.components[j]
        out = np.zeros(i.shape)
        for number, inverse in enumerate(inverses):
            chosen = together & (stack_of[i] == number)
            at = i[chosen]
            out[chosen] = inverse[set_of[at], place[at], place[j[chosen]]]
        yield rows, out


def _by_columns(problem: Problem, w: Floats, codes: Ints) -> Iterator[tuple[Ints, Floats]]:
    scaled = problem.covariance.scaled(1 / problem.scale**2)
    for rows in batches(codes):
        m, n = rows.shape
        out = np.empty((m, n, n))
        step = max(1, COLUMNS // n)
        for start in range(0, m, step):
            flat = rows[start : start + step].ravel()
            unit = np.zeros((problem.k, flat.size))
            unit[flat, np.arange(flat.size)] = 1.0
            engine = make_engine(unit, scaled, problem.terms, problem.components)
            solved = engine.weighted(w)[flat].reshape(-1, n, flat.size // n, n)
            out[start : start + step] = solved[np.arange(flat.size // n), :, np.arange(flat.size // n)]
        yield rows, out
