"""The model of a fit in many sets of rows, gathered as columns of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from comfrey.errors import ComfreyError
from comfrey.models.multilevel._refit import components_of, freedom_of, heterogeneity_of, refit
from comfrey.models.multilevel._terms import StructuredTerm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comfrey.models.multilevel._grouping import Floats, Ints
    from comfrey.models.multilevel.result import State

__all__ = ["Refits", "refit_all", "tests_of"]


class Refits(NamedTuple):
    """Numbers of n sets of rows; where any of them is NaN, `reasons` says why (else it is empty)."""

    beta: Floats  # (n, p)
    covariance: Floats  # (n, p, p)
    df: Floats  # (n, p), of t; infinite for a normal test
    components: Floats  # (n, m)
    typical: Floats  # (n,), sampling variance of a typical effect
    i2: Floats  # (n, terms), empty with inner | outer terms
    q: Floats
    q_df: Floats
    k: Ints
    reasons: list[str]


def refit_all(state: State, sets: Iterable[Ints], count: int) -> Refits:
    """Fit the model to each of `count` sets of rows, starting from the whole fit."""
    p, m = state.problem.p, len(state.parameters)
    terms = state.problem.terms
    plain = [i for i, item in enumerate(state.parameters) if item.kind == "sigma2"]
    shares = 0 if any(isinstance(term, StructuredTerm) for term in terms) else len(terms)
    shapes = ((count, p), (count, p, p), (count, p), (count, m), (count,), (count, shares), (count,))
    beta, covariance, df, components, typical, i2, q = (np.full(shape, np.nan) for shape in shapes)
    k, reasons = np.zeros(count, dtype=np.intp), []
    for row, rows in enumerate(sets):
        k[row] = rows.size
        try:
            found = refit(state, rows)
        except ComfreyError as error:
            reasons.append(f"no fit. {error}")
            continue
        part = found.problem
        beta[row], covariance[row] = found.beta, found.covariance
        df[row] = freedom_of(state, part, rows)
        components[row], missing = components_of(part, found.found.x, state.parameters)
        reasons.append(missing)
        q[row], typical[row], i2[row] = heterogeneity_of(part, components[row, plain])
    return Refits(beta, covariance, df, components, typical, i2, q, (k - p).astype(float), k, reasons)


def tests_of(found: Refits, level: float) -> dict[str, Any]:
    """Standard errors, tests and confidence intervals of every coefficient, each of shape (n, p)."""
    se = np.sqrt(np.einsum("nii->ni", found.covariance))
    normal = np.isinf(found.df)
    df = np.where(normal, 1.0, found.df)
    upper = 0.5 + level / 2
    with np.errstate(invalid="ignore"):
        statistic = found.beta / se
    low = np.where(normal, special.ndtr(-np.abs(statistic)), special.stdtr(df, -np.abs(statistic)))
    half = np.where(normal, special.ndtri(upper), special.stdtrit(df, upper)) * se
    return {
        "estimate": found.beta, "se": se, "statistic": statistic, "p_value": 2 * low,
        "ci_low": found.beta - half, "ci_high": found.beta + half,
    }  # fmt: skip
