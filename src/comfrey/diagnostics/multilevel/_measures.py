"""From the model without each unit to the numbers of an influence analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from comfrey.diagnostics.multilevel._working import inverse_blocks

if TYPE_CHECKING:
    from comfrey.diagnostics.multilevel._deletion import Deletions
    from comfrey.diagnostics.multilevel._units import Units
    from comfrey.diagnostics.multilevel._working import Working
    from comfrey.models.multilevel._grouping import Floats
    from comfrey.models.multilevel.result import State

__all__ = ["Leverages", "Residuals", "Shifts", "leverages", "residuals", "shifts"]

FLAT = 1e-12  # of a variance: a residual that varies so little has no standard error
RANK = 1.5e-8  # of the largest eigenvalue, the square root of the rounding error: smaller ones count as zero


class Leverages(NamedTuple):
    """Diagonal of the hat matrix Q C Q' M^-1, and of M^-1 in percent of its trace, for each effect (k,)."""

    hat: Floats
    weight: Floats


class Residuals(NamedTuple):
    """Residuals of the effects (k,), and how far each unit's are from zero together (J,)."""

    residual: Floats
    rstandard: Floats
    deleted: Floats
    rstudent: Floats
    chi2_standard: Floats
    df_standard: Floats
    chi2: Floats
    share: Floats  # e_S' M_SS^-1 e_S
    inflation: Floats  # variance of the unit's mean without it, over that with it


class Shifts(NamedTuple):
    """What leaving out each unit does to the coefficients; dfbetas (J, p), others (J,)."""

    dffits: Floats
    cook_distance: Floats
    cov_ratio: Floats
    dfbetas: Floats
    baujat: Floats


def leverages(state: State) -> Leverages:
    """Leverage and weight of each effect at the variances of the fit."""
    problem = state.problem
    w = problem.cells(state.found.x)
    best = problem.best(w)
    weighted = problem.engine.weighted(w)[:, 1:]
    hat = np.einsum("ki,ij,kj->k", problem.basis, best.beta_covariance, weighted)
    diagonal = np.empty(problem.k)
    for rows, inverse in inverse_blocks(problem, w, np.arange(problem.k, dtype=np.intp)):
        diagonal[rows[:, 0]] = inverse[:, 0, 0]
    return Leverages(hat, 100 * diagonal / diagonal.sum())


def residuals(state: State, units: Units, found: Deletions, working: Working) -> Residuals:
    """Residuals of the fit, and of the fits without each unit, with their covariance in mind."""
    problem = state.problem
    k, w = problem.k, problem.cells(state.found.x)
    best = problem.best(w)
    basis, y = problem.basis, problem.residual / problem.scale
    residual = y - basis @ best.beta
    deleted = y - np.einsum("kp,kp->k", basis, found.beta[units.codes])
    rstandard, rstudent = np.full(k, np.nan), np.full(k, np.nan)
    together = np.full((5, len(units)), np.nan)
    for j, rows in enumerate(units.rows):
        own, e = basis[rows], residual[rows]
        before = working.block(rows, w)
        spread = before - own @ best.beta_covariance @ own.T
        variance = np.diag(spread)
        known = variance > FLAT * np.diag(before)
        rstandard[rows] = e / np.sqrt(np.where(known, variance, np.nan))
        together[0, j], together[1, j] = _distance(e, spread)
        together[3, j] = e @ np.linalg.solve(before, e)
        if not np.isfinite(found.beta[j, 0]):
            continue
        after = working.block(rows, found.cells[j])
        shared = found.borrowed[rows] @ found.covariance[j] @ own.T
        total = after + own @ found.covariance[j] @ own.T - shared - shared.T
        d = deleted[rows]
        rstudent[rows] = d / np.sqrt(np.diag(total))
        together[2, j] = d @ np.linalg.solve(total, d)
        together[4, j] = after.sum() / before.sum()
    standard, df, chi2, share, inflation = together
    scale = problem.scale
    return Residuals(residual * scale, rstandard, deleted * scale, rstudent, standard, df, chi2, share, inflation)


def _distance(e: Floats, spread: Floats) -> tuple[float, float]:
    """Squared length of e in units of its covariance, and the rank of that."""
    values, vectors = np.linalg.eigh(spread)
    kept = values > RANK * max(float(values[-1]), 0.0)
    if not kept.any():
        return np.nan, 0.0
    turned = vectors[:, kept].T @ e
    return float(np.sum(turned**2 / values[kept])), float(kept.sum())


def shifts(state: State, units: Units, found: Deletions, inflation: Floats) -> Shifts:
    """Shift of the coefficients, and of the mean fitted value of each unit."""
    problem = state.problem
    best = problem.best(problem.cells(state.found.x))
    move = best.beta - found.beta
    root = np.linalg.cholesky(best.beta_covariance)
    cook = np.sum(np.linalg.solve(root, move.T) ** 2, axis=0)
    fits = found.fits
    ratio = np.full(len(units), np.nan)
    log_det = np.linalg.slogdet(found.covariance[fits])[1] - np.linalg.slogdet(best.beta_covariance)[1]
    ratio[fits] = np.exp(log_det)
    means = np.stack([units.sums(column) for column in problem.basis.T], axis=1) / units.sizes[:, None]
    along = np.einsum("jp,jp->j", means, move)
    variance = np.einsum("ji,il,jl->j", means, best.beta_covariance, means)
    outside = np.einsum("ji,jil,jl->j", means, found.covariance, means)
    with np.errstate(invalid="ignore", divide="ignore"):
        dffits = np.where(variance > 0, along / np.sqrt(variance * inflation), np.nan)
        baujat = np.where(outside > 0, along**2 / outside, np.nan)
    back = np.linalg.inv(problem.triangle)
    sizes = np.sqrt(np.einsum("pi,jil,pl->jp", back, found.whole, back))
    return Shifts(dffits, cook, ratio, (move @ back.T) / sizes, baujat)
