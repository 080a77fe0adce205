"""Can the variances be told apart at all? A question about the design, asked before the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import InputError
from comfrey.models.multilevel._blocks import BlockEngine
from comfrey.models.multilevel._grouping import Floats, combine, count
from comfrey.models.multilevel._nested import NestedEngine
from comfrey.models.multilevel._structures import Unstructured
from comfrey.models.multilevel._terms import VarianceTerm

if TYPE_CHECKING:
    from comfrey.models.multilevel._problem import Problem

DEPENDENT = 1e-9  # smallest eigenvalue of normalised matrices that still count as independent


def check_identified(problem: Problem) -> None:
    """Raise an InputError if different variances give the same covariance, or a term is all in the moderators.

    M = V + sum of w_c K_c: two settings of the parameters give one M where the derivatives of M are linearly
    dependent. Their inner products tr(K_c K_d) are counts of pairs of rows.
    """
    _check_moderators(problem)
    sizes = {count(term.codes) for term in problem.terms}
    if len(problem.terms) < 2 or (isinstance(problem.engine, NestedEngine) and len(sizes) == len(problem.terms)):
        return  # of nested groups that differ, each level has pairs of rows that no deeper level joins
    gram = _cell_products(problem)
    slopes = np.zeros((gram.shape[0], 0))
    owners: list[int] = []
    for i, block in enumerate(problem.blocks):
        # In an unstructured matrix cells and coordinates are one to one. Others are looked at away from their edges.
        own = np.eye(block.cells) if isinstance(block, Unstructured) else block.jacobian(block.starts(problem.total)[0])
        padded = np.zeros((gram.shape[0], own.shape[1]))
        padded[problem.offsets[i] : problem.offsets[i + 1]] = own
        slopes = np.hstack((slopes, padded))
        owners += [i] * own.shape[1]
    products = slopes.T @ gram @ slopes
    size = np.sqrt(np.diag(products))
    seen = size > 0  # a pair of levels that never meet has a cell that stands nowhere
    products = products[np.ix_(seen, seen)] / np.outer(size[seen], size[seen])
    values, vectors = np.linalg.eigh(products)
    if values[0] > DEPENDENT:
        return
    involved = np.array(owners)[seen][np.abs(vectors[:, 0]) > 1e-4]
    names = " and ".join(problem.terms[i].name for i in sorted(set(involved.tolist())))
    fix = "Leave one of them out, or choose a simpler structure."
    raise InputError("random", found=names, expected="terms whose variances the data can tell apart", fix=fix)


def _check_moderators(problem: Problem) -> None:
    """Refuse a term whose groups the moderators already tell apart: REML says nothing of its variance."""
    for term in problem.terms:
        groups = count(term.codes)
        if not isinstance(term, VarianceTerm) or groups > problem.p:
            continue
        indicator = (term.codes[:, None] == np.arange(groups)).astype(float)
        rest = indicator - problem.basis @ (problem.basis.T @ indicator)
        if np.abs(rest).max() < 1e-9:
            found = f"{term.name}, whose groups the moderators already tell apart"
            fix = "Leave out the term or the moderator."
            raise InputError("random", found=found, expected="groups that differ at random", fix=fix)


def _cell_products(problem: Problem) -> Floats:
    """tr(K_c K_d) of all pairs of cells."""
    engine, terms = problem.engine, problem.terms
    if not isinstance(engine, BlockEngine):  # then every term has one cell
        codes = [term.codes for term in terms]
        return np.array(
            [[float(np.sum(np.bincount(combine([a, b])).astype(float) ** 2)) for b in codes] for a in codes]
        )
    size = engine.cells + 1
    out = np.zeros(size * size)
    for stack in engine.stacks:
        for first in stack.cells:
            for second in stack.cells:
                out += np.bincount((first * size + second).ravel(), minlength=size * size)
    return out.reshape(size, size)[1:, 1:]
