"""Fitting multilevel and multivariate models."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.multilevel._climb import snapped, solve
from comfrey.models.multilevel._design import Design, read_design
from comfrey.models.multilevel._design import degrees_of_freedom as coefficient_df
from comfrey.models.multilevel._grouping import Floats, count
from comfrey.models.multilevel._heterogeneity import heterogeneity, shares
from comfrey.models.multilevel._identify import check_identified
from comfrey.models.multilevel._parameters import name_parameters, read_parameters
from comfrey.models.multilevel._problem import Problem, make_problem
from comfrey.models.multilevel._reading import floats
from comfrey.models.multilevel._refit import coefficients
from comfrey.models.multilevel._terms import StructuredTerm, read_terms
from comfrey.models.multilevel.result import MultilevelFit, State, check_level
from comfrey.models.multilevel.sampling import as_sampling_covariance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["multilevel"]

LARGEST_EFFECT = 1e150
# An effect that is more precise than this hides all others from the search, which then ends anywhere.
LARGEST_RATIO = {True: 1e14, False: 1e8}  # a constant alone; with moderators


def multilevel(
    yi: Any,
    vi_or_V: Any = None,
    random: str | Sequence[str] | None = None,
    data: pd.DataFrame | Mapping[str, Any] | None = None,
    *,
    moderators: Any = None,
    method: str = "REML",
    structure: str | Sequence[str] | None = None,
    test: str = "z",
    degrees_of_freedom: str = "residual",
    level: float = 0.95,
) -> MultilevelFit:
    r"""Meta-analysis of dependent effects: nested, crossed and correlated random effects, known covariance V.

    .. math:: y = X \beta + \sum_l Z_l u_l + e, \quad u_l \sim N(0, \sigma_l^2 I), \quad e \sim N(0, V)

    A term ``inner | outer`` gives each group of outer one effect per level of inner, with covariance matrix G: ``UN``
    any, ``CS`` one variance and one correlation, ``HCS`` a variance for each level and one correlation, ``DIAG`` and
    ``ID`` no correlation, ``AR`` and ``HAR`` correlations rho^lag, ``CAR`` rho^|time difference|.

    Parameters
    ----------
    yi : array (k,) or column name
        Effects. An object with ``yi`` and ``vi`` (such as ``effect_sizes`` returns) brings both.
    vi_or_V : array (k,), column name, matrix (k, k), list of blocks, or SamplingCovariance
        Sampling variances, or the covariance matrix of the sampling errors (dense, sparse or blocks).
    random : str or list of str, optional
        ``"district/school"`` nests schools in districts; several terms are crossed; ``"outcome | trial"`` is
        correlated. None fits a model with V alone.
    data : DataFrame or mapping, optional
        Where column names are looked up.
    moderators : str or matrix (k, p), optional
        A Wilkinson formula, or a design matrix that holds its own intercept.
    method : {"REML", "ML"}
        Restricted or full maximum likelihood.
    structure : str or list of str, optional
        Structure of each inner | outer term; CS if not given.
    test : {"z", "t"}
        Reference distribution of the coefficients.
    degrees_of_freedom : {"residual", "containment"}
        Of t: k - p, or for each coefficient the number of groups of the coarsest term within which its column is
        constant, minus p.
    level : float
        Level of confidence intervals.

    Returns
    -------
    MultilevelFit

    Raises
    ------
    InputError
        If an argument cannot be used; it names the row.
    NotEstimableError
        If there are no more effects than coefficients.
    ConvergenceError
        If no certified maximum is found.

    Notes
    -----
    Nested terms cost a time proportional to k; crossed terms the cube of their number of groups; others the cube of
    the size of each set of linked rows.

    References
    ----------
    Konstantopoulos S (2011). Res Synth Methods 2:61-76. doi:10.1002/jrsm.35
    Berkey CS et al. (1998). Stat Med 17:2537-2550.
    doi:10.1002/(SICI)1097-0258(19981130)17:22<2537::AID-SIM953>3.0.CO;2-C

    Examples
    --------
    >>> import comfrey as cf
    >>> frame = {"district": [1, 1, 1, 2, 2, 3, 3, 3], "school": [1, 2, 3, 1, 2, 1, 2, 3],
    ...          "yi": [-0.2, -0.1, 0.3, 0.5, 0.4, 0.1, 0.0, 0.2], "vi": [0.02] * 8}
    >>> fit = cf.multilevel("yi", "vi", random="district/school", data=frame)
    >>> round(fit.estimate, 4), fit.sigma2.round(4).tolist()
    (0.1742, [0.0394, 0.0134])
    """
    if vi_or_V is None and hasattr(yi, "yi") and hasattr(yi, "vi") and not isinstance(yi, pd.DataFrame):
        yi, vi_or_V = yi.yi, yi.vi
    if vi_or_V is None:
        raise InputError("vi_or_V", found=None, expected="sampling variances, or their covariance matrix")
    if method not in {"REML", "ML"}:
        raise InputError("method", found=repr(method), expected="REML or ML")
    if test not in {"z", "t"}:
        raise InputError("test", found=repr(test), expected="z or t")
    if degrees_of_freedom not in {"residual", "containment"}:
        raise InputError("degrees_of_freedom", found=repr(degrees_of_freedom), expected="residual or containment")
    level = check_level(level)
    y = floats(yi, "yi", data)
    k = y.size
    if k == 0:
        raise NotEstimableError("There are no effects to pool: yi is empty.")
    _check_size(y)
    covariance = as_sampling_covariance(vi_or_V, data, k)
    design = read_design(moderators, data, k)
    _check_ratio(covariance.variances, LARGEST_RATIO[design.intercept_only])
    p = len(design.names)
    if k <= p:
        message = (
            f"{k} effect{'' if k == 1 else 's'} cannot tell {p} coefficients and their variation; more are needed."
        )
        raise NotEstimableError(message)
    terms = read_terms(random, structure, data, k)
    problem = make_problem(y, covariance, design.matrix, terms, method == "REML")
    check_identified(problem)
    df = coefficient_df(design, terms, degrees_of_freedom) if test == "t" else np.full(p, math.inf)
    if np.any(df < 1):
        message = "Containment leaves no degrees of freedom: a term has no more groups than there are coefficients."
        raise NotEstimableError(message)
    options = {"test": test, "degrees_of_freedom": degrees_of_freedom, "level": level}
    return _assemble(problem, design, data, y, df, method, options)


def _check_size(y: Floats) -> None:
    """Refuse effects whose squares are not numbers any more."""
    large = np.flatnonzero(np.abs(y) > LARGEST_EFFECT)
    if large.size:
        row = int(large[0])
        raise InputError("yi", found=float(y[row]), expected=f"an effect below {LARGEST_EFFECT:g}", row=row)


def _check_ratio(variances: Floats, largest: float) -> None:
    """Refuse an effect so much more precise than the others that double precision cannot weigh them together."""
    low, middle = float(variances.min()), float(np.median(variances))
    if middle / largest > low:
        raise InputError(
            "vi_or_V", found=f"{low:g} (the median is {middle:g})", row=int(np.argmin(variances)),
            expected=f"a variance at most {largest:g} times smaller than the median",
            fix="Check the unit of this row, or leave it out.",
        )  # fmt: skip


def _moderator_test(
    design: Design, beta: Floats, covariance: Floats, df: Floats
) -> tuple[float | None, int, float | None]:
    """Wald test of all coefficients but the intercept; None if there are none."""
    chosen = [j for j in range(len(design.names)) if not np.all(design.matrix[:, j] == 1)]
    if not chosen:
        return None, 0, None
    inner = covariance[np.ix_(chosen, chosen)]
    wald = float(beta[chosen] @ np.linalg.solve(inner, beta[chosen]))
    rest = float(df[chosen].min())
    if math.isinf(rest):
        return wald, len(chosen), float(special.chdtrc(len(chosen), wald))
    return wald / len(chosen), len(chosen), float(special.fdtrc(len(chosen), rest, wald / len(chosen)))


def _tests(beta: Floats, covariance: Floats, df: Floats, level: float) -> dict[str, Floats]:
    """Columns of the table of coefficients."""
    se = np.sqrt(np.diag(covariance))
    statistic = beta / se
    normal = np.isinf(df)
    finite = np.where(normal, 1.0, df)
    size = -np.abs(statistic)
    p_value = 2 * np.where(normal, special.ndtr(size), special.stdtr(finite, size))
    reach = se * np.where(normal, special.ndtri(0.5 + level / 2), special.stdtrit(finite, 0.5 + level / 2))
    columns = {"estimate": beta, "se": se, "statistic": statistic, "df": df, "p_value": p_value}
    return {**columns, "ci_low": beta - reach, "ci_high": beta + reach}


def _assemble(
    problem: Problem, design: Design, data: Any, y: Floats, df: Floats, method: str, options: dict[str, Any]
) -> MultilevelFit:
    """Search for the maximum, and read everything that the result holds from it."""
    found, climbs = solve(problem)
    x = snapped(problem, found.x)
    found = replace(found, x=x)
    w = problem.cells(x)
    best = problem.best(w)
    k, p, terms = problem.k, problem.p, problem.terms
    beta, covariance = coefficients(problem, found)
    test, level = options["test"], options["level"]
    tests = _tests(beta, covariance, df, level)
    parameters = name_parameters(terms)
    values, notes, boundary = read_parameters(problem, x, w, parameters)
    if 2 * len(parameters) > k - p:
        notes.append(f"{len(parameters)} variances and correlations from {k} effects: hardly more than a guess.")
    log_likelihood = problem.log_likelihood(best.log_likelihood)
    free, sample = p + len(parameters), k - (p if problem.restricted else 0)
    q, typical = heterogeneity(problem)
    qm, qm_df, qm_p = _moderator_test(design, beta, covariance, df)
    sigma2 = np.array(values["sigma2"])
    first = {name: float(column[0]) for name, column in tests.items()}
    named = {kind: tuple(item.name for item in parameters if item.kind == kind) for kind in values}
    return MultilevelFit(
        method=method, test=test, level=level, k=k, p=p, _tests=tests, covariance=covariance,
        random=tuple(term.name for term in terms),
        structure=tuple(term.structure if isinstance(term, StructuredTerm) else "" for term in terms),
        groups=np.array([count(term.codes) for term in terms], dtype=np.intp),
        sigma2=sigma2, tau2=np.array(values["tau2"]), rho=np.array(values["rho"]),
        sigma2_names=named["sigma2"], tau2_names=named["tau2"], rho_names=named["rho"],
        log_likelihood=log_likelihood, aic=2 * free - 2 * log_likelihood,
        bic=math.log(sample) * free - 2 * log_likelihood,
        q=q, q_df=k - p, q_p=float(special.chdtrc(k - p, q)), qm=qm, qm_df=qm_df, qm_p=qm_p,
        i2=shares(terms, sigma2, typical),
        converged=found.converged, gradient_norm=found.gradient_norm, distance=found.distance,
        iterations=found.iterations, climbs=climbs, boundary=boundary, notes=tuple(notes),
        _state=State(problem, found, design, parameters, data, y, options), **first,
    )  # fmt: skip
