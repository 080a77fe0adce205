"""Cochran's Q with V alone, and what part of the variation the random effects have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from comfrey.models.multilevel._terms import VarianceTerm
from comfrey.models.multilevel.sampling import rotate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._grouping import Floats
    from comfrey.models.multilevel._problem import Problem
    from comfrey.models.multilevel._terms import Term


def heterogeneity(problem: Problem) -> tuple[float, float]:
    """Cochran's Q with V alone, and the typical sampling variance (k - p) / tr(P_V), in the units of the data."""
    values, vectors = problem.covariance.scaled(1 / problem.scale**2).rotation()
    turned = rotate(np.column_stack((problem.residual / problem.scale, problem.basis)), vectors)
    weighted = turned / values[:, None]
    gram = turned.T @ weighted
    inverse = np.linalg.inv(gram[1:, 1:])
    q = float(gram[0, 0] - gram[0, 1:] @ inverse @ gram[1:, 0])
    trace = float(np.sum(1 / values) - np.sum(inverse * (weighted[:, 1:].T @ weighted[:, 1:])))
    return max(q, 0.0), (problem.k - problem.p) / trace * problem.scale**2


def shares(terms: Sequence[Term], sigma2: Floats, typical: float) -> Floats:
    """Share of each sigma2 in the total variance of a typical effect, percent; empty with inner | outer terms."""
    plain = all(isinstance(term, VarianceTerm) for term in terms)
    return 100 * sigma2 / (float(sigma2.sum()) + typical) if plain else np.zeros(0)
