"""The variances and correlations of a fit: their names, values, and whether they are at an edge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.models.multilevel._effects import random_covariance
from comfrey.models.multilevel._terms import StructuredTerm, Term, VarianceTerm

if TYPE_CHECKING:
    from comfrey.models.multilevel._grouping import Floats
    from comfrey.models.multilevel._problem import Problem


@dataclass(frozen=True, slots=True)
class Parameter:
    """One variance or correlation: what it is called, and where the model has it."""

    kind: str  # sigma2, tau2 or rho
    name: str
    term: int
    levels: tuple[int, ...]


def name_parameters(terms: tuple[Term, ...]) -> tuple[Parameter, ...]:
    """Name every variance and correlation."""
    out: list[Parameter] = []
    several = sum(isinstance(term, StructuredTerm) for term in terms) > 1
    for i, term in enumerate(terms):
        if isinstance(term, VarianceTerm):
            out.append(Parameter("sigma2", term.name, i, (0,)))
            continue
        levels, before = term.inner_labels, f"{term.name}: " if several else ""
        s = len(levels)
        if term.structure in {"UN", "HCS", "HAR", "DIAG"}:
            out += [Parameter("tau2", before + levels[a], i, (a,)) for a in range(s)]
        else:
            out.append(Parameter("tau2", term.name, i, (0,)))
        if term.structure == "UN":
            pairs = [(a, b) for a in range(1, s) for b in range(a)]
            out += [Parameter("rho", f"{before}{levels[b]}, {levels[a]}", i, (b, a)) for a, b in pairs]
        elif term.structure not in {"DIAG", "ID"}:
            out.append(Parameter("rho", term.name, i, (0, 1)))
    return tuple(out)


def read_parameters(
    problem: Problem, x: Floats, w: Floats, parameters: tuple[Parameter, ...]
) -> tuple[dict[str, list[float]], list[str], bool]:
    """Values of the parameters in the units of the data, notes on what is at an edge, and whether anything is."""
    values: dict[str, list[float]] = {"sigma2": [], "tau2": [], "rho": []}
    notes: list[str] = []
    boundary = False
    parts = problem.split(x)
    for item in parameters:
        matrix = random_covariance(problem, w, item.term)
        reason = untold(problem.terms[item.term], item)
        if reason:
            values[item.kind].append(math.nan)
            notes.append(f"{item.kind} {item.name} is NaN: {reason}.")
            continue
        if item.kind != "rho":
            values[item.kind].append(float(matrix[item.levels[0], item.levels[0]]) * problem.scale**2)
            if values[item.kind][-1] == 0:
                notes.append(f"{item.kind} {item.name} is zero: the likelihood falls as soon as it grows.")
                boundary = True
            continue
        term = problem.terms[item.term]
        assert isinstance(term, StructuredTerm)  # noqa: S101  # only these have correlations
        rho, floor = _correlation(term, matrix, parts[item.term], item.levels)
        if math.isnan(rho):
            notes.append(f"rho {item.name} is NaN: it has no meaning when a variance is zero.")
        elif rho >= 1 - 1e-9 or rho <= floor + 1e-9:
            notes.append(f"rho {item.name} is at the edge of its possible values.")
            boundary = True
        values["rho"].append(rho)
    for term, at in zip(problem.terms, range(len(problem.terms)), strict=True):
        if isinstance(term, StructuredTerm) and term.structure == "UN" and len(term.inner_labels) > 2:
            found = np.linalg.eigvalsh(random_covariance(problem, w, at))
            if found[0] <= 1e-9 * max(float(found[-1]), 1e-300) and not boundary:
                notes.append(f"The covariance matrix of {term.name} is singular.")
                boundary = True
    return values, notes, boundary


def _correlation(term: StructuredTerm, matrix: Floats, x: Floats, levels: tuple[int, ...]) -> tuple[float, float]:
    """Give a correlation (NaN where a variance is zero), and its lowest possible value."""
    s = matrix.shape[0]
    floor = -1.0 / (s - 1) if term.structure in {"CS", "HCS"} else -1.0
    if term.structure == "UN":
        a, b = levels
        product = matrix[a, a] * matrix[b, b]
        return (float(np.clip(matrix[a, b] / math.sqrt(product), -1, 1)) if product > 0 else math.nan), floor
    if not np.any(np.diag(matrix)):
        return math.nan, floor
    if term.structure == "CAR":
        return (float(x[-1]) ** (1 / term.gap) if x[-1] > 1e-10 else 0.0), 0.0
    return float(x[-1]), floor


def untold(term: Term, item: Parameter) -> str:
    """Say why the data of a term are silent on a parameter of it; empty if they are not."""
    if not isinstance(term, StructuredTerm):
        return ""
    if item.kind == "tau2":
        alone = term.structure in {"UN", "HCS", "HAR", "DIAG"}
        return "no effect is of that level" if alone and not np.any(term.inner == item.levels[0]) else ""
    if term.structure == "UN":
        a, b = (set(term.outer[term.inner == level].tolist()) for level in item.levels)
        return "" if a & b else "no group has both levels"
    pairs = np.unique(np.column_stack((term.outer, term.inner)), axis=0)
    return "" if len(pairs) > len(np.unique(term.outer)) else "no group has two levels"
