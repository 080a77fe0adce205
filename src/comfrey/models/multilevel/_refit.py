"""Leaving out one cluster at a time: refits that start from the whole fit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from comfrey.errors import ComfreyError, NotEstimableError
from comfrey.models.multilevel._climb import solve
from comfrey.models.multilevel._design import Design, degrees_of_freedom
from comfrey.models.multilevel._grouping import Floats, Ints, count
from comfrey.models.multilevel._problem import Problem, make_problem
from comfrey.models.multilevel._search import maximise
from comfrey.models.multilevel._terms import StructuredTerm

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfrey.models.multilevel._search import Found
    from comfrey.models.multilevel._terms import Term


def part_of(term: Term, rows: Ints) -> Term:
    """Restrict a term to some rows; levels of inner keep their places."""
    kept, codes = np.unique(term.codes[rows], return_inverse=True)
    if kept.size < 2:
        raise NotEstimableError(f"Only one group of {term.name} is left.")
    codes = codes.astype(np.intp)
    if isinstance(term, StructuredTerm):
        labels = tuple(term.outer_labels[i] for i in kept)
        return replace(term, outer=codes, outer_labels=labels, inner=term.inner[rows])
    return replace(term, codes=codes, labels=tuple(term.labels[i] for i in kept))


def without(problem: Problem, design: Design, y: Floats, rows: Ints, found: Found) -> tuple[Problem, Found]:
    """Fit the model to some rows, starting from the fit to all."""
    matrix = design.matrix[rows]
    if rows.size <= matrix.shape[1] or np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise NotEstimableError("The rest cannot estimate all coefficients.")
    terms = tuple(part_of(term, rows) for term in problem.terms)
    part = make_problem(y[rows], problem.covariance.part(rows), matrix, terms, problem.restricted, like=problem)
    again = maximise(part, found.x, part.lower, part.upper) if part.blocks else found
    return part, (again if again.converged else solve(part)[0])


def leave_one_out(
    problem: Problem,
    design: Design,
    y: Floats,
    found: Found,
    cluster: tuple[Ints, tuple[str, ...]],
    read: Callable[[Problem, Floats], dict[str, float]],
    options: dict[str, Any],
) -> pd.DataFrame:
    """Refit without each cluster: the first coefficient, Cook's distance of all, the variances.

    D = (b - b_(j))' Cov(b)^-1 (b - b_(j)). Cook RD (1977). Technometrics 19:15-18. doi:10.2307/1268249
    """
    codes, labels = cluster
    beta, covariance = coefficients(problem, found)
    rows, notes = [], []
    for j in range(count(codes)):
        kept = np.flatnonzero(codes != j).astype(np.intp)
        row: dict[str, Any] = {"left_out": labels[j], "k": kept.size}
        try:
            part, again = without(problem, design, y, kept, found)
        except ComfreyError as error:
            notes.append(f"Without {labels[j]}: no fit. {error}")
            rows.append(row)
            continue
        own, spread = coefficients(part, again)
        gap = own - beta
        row |= _first(own, spread, Design(design.matrix[kept], design.names), part.terms, options)
        row["cook_distance"] = float(gap @ np.linalg.solve(covariance, gap))
        rows.append(row | read(part, again.x))
    out = pd.DataFrame(rows)
    out.attrs["notes"] = tuple(notes)
    return out


def coefficients(problem: Problem, found: Found) -> tuple[Floats, Floats]:
    """Coefficients (p,) and their covariance (p, p), in the units of the data."""
    best = problem.best(problem.cells(found.x))
    back = np.linalg.inv(problem.triangle)
    covariance = back @ best.beta_covariance @ back.T * problem.scale**2
    return back @ (problem.offset + problem.scale * best.beta), 0.5 * (covariance + covariance.T)


def _first(
    beta: Floats, covariance: Floats, design: Design, terms: tuple[Term, ...], options: dict[str, Any]
) -> dict[str, float]:
    """Estimate, standard error, interval and p-value of the first coefficient."""
    estimate, se = float(beta[0]), math.sqrt(covariance[0, 0])
    df = math.inf
    if options["test"] == "t":
        df = float(degrees_of_freedom(design, terms, options["degrees_of_freedom"])[0])
    law = stats.norm() if math.isinf(df) else stats.t(max(df, 1.0))
    reach = float(law.ppf(0.5 + options["level"] / 2)) * se
    p_value = 2 * float(law.sf(abs(estimate) / se))
    return {
        "estimate": estimate,
        "se": se,
        "ci_low": estimate - reach,
        "ci_high": estimate + reach,
        "p_value": p_value,
    }
