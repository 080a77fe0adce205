"""The model without each unit: by refits, or by updates of low rank where the variances are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from comfrey.diagnostics.multilevel._units import gathered
from comfrey.diagnostics.multilevel._working import Working, inverse_blocks, linked
from comfrey.errors import ComfreyError
from comfrey.models.multilevel._heterogeneity import heterogeneity
from comfrey.models.multilevel._parameters import untold
from comfrey.models.multilevel._problem import make_problem
from comfrey.models.multilevel._refit import components_of, refit, restrict

if TYPE_CHECKING:
    from comfrey.diagnostics.multilevel._units import Units
    from comfrey.models.multilevel._grouping import Floats, Ints
    from comfrey.models.multilevel._problem import Problem
    from comfrey.models.multilevel.result import State

__all__ = ["Deletions", "delete", "q_without"]

LEVERAGE = 1e-6  # of one: units whose leverage is nearer to one than this are refitted, as updates lose digits


@dataclass(frozen=True, slots=True, eq=False)
class Deletions:
    """The model without each of J units, in the orthonormal basis and at the scale of the fit's problem.

    Attributes
    ----------
    beta, covariance : ndarray (J, p), (J, p, p)
    borrowed : ndarray (k, p)
        M_SR M_R^-1 Q_R for the rows S of each unit and the rest R: what the rest says of them through shared random
        effects and errors. Zero for units that share none.
    whole : ndarray (J, p, p)
        (Q' M^-1 Q)^-1 of all rows, with M as it is without the unit.
    cells : ndarray (J, cells)
        Variances and covariances of the random effects without the unit; NaN, as is `whole`, where the rest is silent
        on one of them.
    components : ndarray (J, m)
        The same as the fit's parameters, in the units of the data.
    notes : list of str
        Which units cannot be left out, and why.
    """

    beta: Floats
    covariance: Floats
    borrowed: Floats
    whole: Floats
    cells: Floats
    components: Floats
    notes: list[str]

    @property
    def fits(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Whether the model can do without each unit (J,)."""
        return np.isfinite(self.beta[:, 0])


def _empty(problem: Problem, units: Units, m: int) -> Deletions:
    count, p, k = len(units), problem.p, problem.k
    shapes = ((count, p), (count, p, p), (k, p), (count, p, p), (count, problem.offsets[-1]), (count, m))
    beta, covariance, borrowed, whole, cells, components = (np.full(shape, np.nan) for shape in shapes)
    borrowed[:] = 0.0
    return Deletions(beta, covariance, borrowed, whole, cells, components, [])


def delete(state: State, units: Units, working: Working, reestimate: bool) -> Deletions:
    """Take each unit away in turn, with variances estimated anew or held at those of the fit."""
    return _by_refits(state, units, working) if reestimate else _held(state, units, working)


def _by_refits(state: State, units: Units, working: Working) -> Deletions:
    problem = state.problem
    out = _empty(problem, units, len(state.parameters))
    shared = linked(problem, units.codes)
    reasons = []
    for j, rows in enumerate(units.rows):
        rest = np.flatnonzero(units.codes != j).astype(np.intp)
        try:
            again = refit(state, rest)
        except ComfreyError as error:
            reasons.append((units.labels[j], f"no fit. {error}"))
            continue
        w = again.cells
        _put(out, j, problem, again.problem, w)
        out.components[j], missing = components_of(again.problem, again.found.x, state.parameters)
        if missing:
            reasons.append((units.labels[j], missing))
        lost = _lost(state, again.problem)
        if lost:
            reasons.append((units.labels[j], f"the rest says nothing of {lost}, and so of the deleted residuals."))
            continue
        out.cells[j] = w
        out.whole[j] = np.linalg.inv(problem.engine.moments(w).gram[1:, 1:])
        if shared[j]:
            out.borrowed[rows] = _borrowed(problem, again.problem, working, rows, rest, w)
    out.notes.extend(gathered(reasons, "Without"))
    return out


def _lost(state: State, part: Problem) -> str:
    """Name the parameters that a part is silent on though the whole is not: M of the unit depends on them."""
    whole = state.problem.terms
    silent = [
        item for item in state.parameters if untold(part.terms[item.term], item) and not untold(whole[item.term], item)
    ]
    return " and ".join(f"{item.kind} {item.name}" for item in silent)


def _put(out: Deletions, j: int, problem: Problem, part: Problem, w: Floats) -> None:
    """Bring the coefficients of a part to the basis and scale of the whole."""
    best = part.best(w)
    turn = problem.triangle @ np.linalg.inv(part.triangle)
    out.beta[j] = (turn @ (part.offset + part.scale * best.beta) - problem.offset) / problem.scale
    out.covariance[j] = turn @ best.beta_covariance @ turn.T


def _borrowed(problem: Problem, part: Problem, working: Working, rows: Ints, rest: Ints, w: Floats) -> Floats:
    told = np.zeros((problem.k, problem.p))
    told[rest] = part.engine.weighted(w)[:, 1:] @ (part.triangle @ np.linalg.inv(problem.triangle))
    return working.times(rows, told, w)


def _held(state: State, units: Units, working: Working) -> Deletions:
    problem = state.problem
    out = _empty(problem, units, len(state.parameters))
    w = problem.cells(state.found.x)
    out.cells[:], out.components[:] = w, components_of(problem, state.found.x, state.parameters)[0]
    out.whole[:] = np.linalg.inv(problem.engine.moments(w).gram[1:, 1:])
    found = downdate(problem, w, units.codes)
    out.beta[:], out.covariance[:], out.borrowed[:] = found.beta, found.covariance, found.borrowed
    shared = linked(problem, units.codes)
    out.borrowed[~shared[units.codes]] = 0.0
    reasons = []
    unit_rows = units.rows
    for j in np.flatnonzero(~found.sound).tolist():
        rows, rest = unit_rows[j], np.flatnonzero(units.codes != j).astype(np.intp)
        out.borrowed[rows] = 0.0
        try:
            part = restrict(state, rest, identified=False)
        except ComfreyError as error:
            reasons.append((units.labels[j], f"no fit. {error}"))
            for field in (out.beta, out.covariance, out.whole, out.cells, out.components):
                field[j] = np.nan
            continue
        _put(out, j, problem, part, w)
        if shared[j]:
            out.borrowed[rows] = _borrowed(problem, part, working, rows, rest, w)
    out.notes.extend(gathered(reasons, "Without"))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Downdate:
    """What is left without each unit, M being known; NaN where `sound` is false."""

    beta: Floats
    covariance: Floats
    borrowed: Floats
    quadratic: Floats  # y'Py of the rest (J,)
    sound: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def downdate(problem: Problem, w: Floats, codes: Ints) -> Downdate:
    """Take each unit away by updates of low rank, exactly.

    Leaving out the rows S is giving each of them a coefficient of its own. With A = (M^-1)_SS = L L', G = (M^-1 Q)_S,
    C = K K' the covariance of the coefficients, r = (Py)_S and the singular values T = L^-1 G K = U diag(s) W',

    - C_(S) = K W diag(1 / (1 - s^2)) W' K',
    - b_(S) = b - K T' u and y'P_(S)y = y'Py - z'u, where z = L^-1 r and u = z + U diag(s^2 / (1 - s^2)) U' z.

    The s^2 are the leverages of the unit: with one of them at one, a coefficient depends on the unit.

    Zewotir T (2008). Commun Stat Theory Methods 37:1071-1084. doi:10.1080/03610920701713229
    """
    count, p, k = int(codes.max()) + 1, problem.p, problem.k
    best = problem.best(w)
    weighted = problem.engine.weighted(w)
    residual = weighted[:, 0] - weighted[:, 1:] @ best.beta
    root = np.linalg.cholesky(best.beta_covariance)
    beta, covariance = np.full((count, p), np.nan), np.full((count, p, p), np.nan)
    quadratic, sound = np.full(count, np.nan), np.zeros(count, dtype=bool)
    borrowed = np.zeros((k, p))
    for rows, inverse in inverse_blocks(problem, w, codes):
        unit = codes[rows[:, 0]]
        lower = np.linalg.cholesky(inverse)
        reach = weighted[rows][:, :, 1:]
        turned = np.linalg.solve(lower, reach)
        z = np.linalg.solve(lower, residual[rows][:, :, None])
        left, values, right = np.linalg.svd(turned @ root, full_matrices=False)
        lost = values**2
        fine = np.all(lost < 1 - LEVERAGE, axis=1)
        gain = np.where(fine[:, None], lost / np.where(fine[:, None], 1 - lost, 1.0), np.nan)
        inside = left.swapaxes(1, 2) @ z
        u = z + left @ (gain[:, :, None] * inside)
        beta[unit] = best.beta - ((turned @ root).swapaxes(1, 2) @ u)[:, :, 0] @ root.T
        # C_(S) = K (I + W diag(s^2 / (1 - s^2)) W') K'
        grown = np.eye(p) + right.swapaxes(1, 2) @ (gain[:, :, None] * right)
        covariance[unit] = root @ grown @ root.T
        quadratic[unit] = best.quadratic - (z.swapaxes(1, 2) @ u)[:, 0, 0]
        borrowed[rows] = problem.basis[rows] - np.linalg.solve(lower.swapaxes(1, 2), turned)
        sound[unit] = fine
    return Downdate(beta, covariance, borrowed, quadratic, sound)


def q_without(state: State, units: Units) -> Floats:
    """Cochran's Q without each unit (J,); NaN where the rest cannot estimate the coefficients."""
    problem = state.problem
    plain = make_problem(state.y, problem.covariance, state.design.matrix, (), problem.restricted, like=problem)
    found = downdate(plain, np.zeros(0), units.codes)
    out = found.quadratic
    whole = plain.best(np.zeros(0)).quadratic
    # A difference that is small beside Q has lost digits: there the rest is looked at by itself.
    for j in np.flatnonzero(~found.sound | ~(out > 1e-4 * whole)).tolist():
        rest = np.flatnonzero(units.codes != j).astype(np.intp)
        if rest.size == problem.p and found.sound[j]:
            out[j] = 0.0
            continue
        try:
            out[j] = heterogeneity(restrict(state, rest, identified=False, bare=True))[0]
        except ComfreyError:
            out[j] = np.nan
    return out
