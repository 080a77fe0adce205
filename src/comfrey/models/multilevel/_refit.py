"""The model of a fit, fitted again to some of its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.multilevel._climb import snapped, solve_near
from comfrey.models.multilevel._design import Design, degrees_of_freedom
from comfrey.models.multilevel._heterogeneity import heterogeneity, shares
from comfrey.models.multilevel._identify import check_identified
from comfrey.models.multilevel._parameters import read_parameters
from comfrey.models.multilevel._problem import Problem, make_problem
from comfrey.models.multilevel._terms import StructuredTerm

if TYPE_CHECKING:
    from comfrey.models.multilevel._grouping import Floats, Ints
    from comfrey.models.multilevel._parameters import Parameter
    from comfrey.models.multilevel._search import Found
    from comfrey.models.multilevel._terms import Term
    from comfrey.models.multilevel.result import State

DEPENDENT = 1e-9  # singular values of rows of an orthonormal design, below which a coefficient is lost


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """The model at its maximum for some rows."""

    problem: Problem
    found: Found
    beta: Floats  # (p,)
    covariance: Floats  # (p, p)

    @property
    def cells(self) -> Floats:
        """Variances and covariances of the random effects, at the scale of the whole fit's problem."""
        return self.problem.cells(self.found.x)


def part_of(term: Term, rows: Ints, identified: bool = True) -> Term:
    """Restrict a term to some rows; levels of inner keep their places, and two groups are needed to tell a variance."""
    kept, codes = np.unique(term.codes[rows], return_inverse=True)
    if identified and kept.size < 2:
        raise NotEstimableError(f"There is only one group of {term.name}.")
    codes = codes.astype(np.intp)
    if isinstance(term, StructuredTerm):
        labels = tuple(term.outer_labels[i] for i in kept)
        return replace(term, outer=codes, outer_labels=labels, inner=term.inner[rows])
    return replace(term, codes=codes, labels=tuple(term.labels[i] for i in kept))


def restrict(state: State, rows: Ints, *, identified: bool = True, bare: bool = False) -> Problem:
    """Make the problem of some rows, with the scale and the coordinates of the whole.

    Parameters
    ----------
    state : State
    rows : ndarray (n,)
    identified : bool
        Whether the rows must be able to tell the variances, too.
    bare : bool
        Whether to leave out the random effects.

    Raises
    ------
    NotEstimableError
        If these rows cannot tell the coefficients or the variances.
    """
    problem = state.problem
    p = problem.p
    if rows.size <= p:
        raise NotEstimableError("There are no more effects than coefficients.")
    if np.linalg.svd(problem.basis[rows], compute_uv=False)[-1] < DEPENDENT:
        raise NotEstimableError("Some coefficients cannot be estimated.")
    terms = () if bare else tuple(part_of(term, rows, identified) for term in problem.terms)
    matrix, covariance = state.design.matrix[rows], problem.covariance.part(rows)
    part = make_problem(state.y[rows], covariance, matrix, terms, problem.restricted, like=problem)
    if not identified:
        return part
    try:
        check_identified(part)
    except InputError as error:
        raise NotEstimableError(f"The variances cannot be told: {error.found}.") from None
    return part


def refit(state: State, rows: Ints) -> Refit:
    """Fit the model to some rows, starting from the fit to all.

    Raises
    ------
    NotEstimableError, ConvergenceError
        If the rows cannot carry the model.
    """
    part = restrict(state, rows)
    found = solve_near(part, state.found.x)
    found = replace(found, x=snapped(part, found.x))
    return Refit(part, found, *coefficients(part, found))


def coefficients(problem: Problem, found: Found) -> tuple[Floats, Floats]:
    """Coefficients (p,) and their covariance (p, p), in the units of the data."""
    best = problem.best(problem.cells(found.x))
    back = np.linalg.inv(problem.triangle)
    covariance = back @ best.beta_covariance @ back.T * problem.scale**2
    return back @ (problem.offset + problem.scale * best.beta), 0.5 * (covariance + covariance.T)


def components_of(part: Problem, x: Floats, parameters: tuple[Parameter, ...]) -> tuple[Floats, str]:
    """Variances and correlations in the order of `parameters`, and why any of them is NaN (else empty)."""
    values, notes, _ = read_parameters(part, x, part.cells(x), parameters)
    left = {kind: iter(found) for kind, found in values.items()}
    missing = " ".join(note for note in notes if " is NaN: " in note)
    return np.array([next(left[item.kind]) for item in parameters], dtype=float), missing


def freedom_of(state: State, part: Problem, rows: Ints) -> Floats:
    """Degrees of freedom of the coefficients (p,), by the rule of the fit; infinite for a normal test."""
    if state.options["test"] != "t":
        return np.full(part.p, np.inf)
    design = Design(state.design.matrix[rows], state.design.names)
    return np.maximum(degrees_of_freedom(design, part.terms, state.options["degrees_of_freedom"]), 1.0)


def heterogeneity_of(part: Problem, sigma2: Floats) -> tuple[float, float, Floats]:
    """Q, the typical sampling variance, and the share of each sigma2 in percent (empty with inner | outer terms)."""
    q, typical = heterogeneity(part)
    return q, typical, shares(part.terms, sigma2, typical)
