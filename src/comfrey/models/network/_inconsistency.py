"""Where and how much a network contradicts itself: Q by design, detached designs, net heat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.linalg import block_diag

from comfrey.errors import InputError
from comfrey.models.network._designs import Design, fit_designs, leftover_within
from comfrey.models.network._heterogeneity import estimate_tau2
from comfrey.models.network._solve import solve
from comfrey.models.network._structure import ArmGroup, Structure, build
from comfrey.results import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._solve import Solution

__all__ = ["Designs", "NetHeat", "decompose", "detach", "net_heat"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Designs(Result):
    """Cochran's Q taken apart, and the design-by-treatment interaction test.

    Attributes
    ----------
    decomposition : DataFrame
        Total, within designs, between designs: q, df, p_value (common-effect model).
    within : DataFrame
        One row a design: studies k, q, df, p_value of the heterogeneity within it.
    detached : DataFrame
        One row a design: what is left of Q between designs when the design is given effects of its own. A design
        that takes part in no loop changes nothing.
    q_random, q_random_df, q_random_p : float, int, float
        Between-designs Q with the heterogeneity within designs in the variances: the test of the design-by-treatment
        interaction under random effects.
    tau2_within : float
        That heterogeneity.
    method_within : str
        How it was estimated.
    notes : tuple of str
        What cannot be computed, and why.
    """

    decomposition: pd.DataFrame
    within: pd.DataFrame
    detached: pd.DataFrame
    q_random: float
    q_random_df: int
    q_random_p: float
    tau2_within: float
    method_within: str
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """The decomposition, and the random-effects test below it."""
        extra = pd.DataFrame(
            {"q": [self.q_random], "df": [self.q_random_df], "p_value": [self.q_random_p]},
            index=["Between designs, random effects"],
        )
        return pd.concat([self.decomposition, extra])

    @property
    def headline(self) -> tuple[str, ...]:
        """What was tested."""
        return (
            f"Q by design: {len(self.within)} designs",
            f"Heterogeneity within designs: tau2 = {self.tau2_within:.4f} ({self.method_within})",
            *self.notes,
        )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class NetHeat(Result):
    """Net heat matrix.

    Attributes
    ----------
    heat : DataFrame
        Cell (row, column): Q of the row's design minus what it is when the column's design is detached. Positive
        (warm) means that the column design makes the row design look inconsistent.
    contribution : DataFrame
        Hat matrix of the designs' contrasts: how much each column counts for the network estimate of each row.
    q : Series
        Q between designs, by design; the diagonal of `heat`.
    """

    heat: pd.DataFrame
    contribution: pd.DataFrame
    q: pd.Series

    @property
    def summary(self) -> pd.DataFrame:
        """One row a design: its own Q, and the total change when it is detached."""
        table = pd.DataFrame({"q": self.q, "change_when_detached": self.heat.sum(axis=0)})
        return table.sort_values("change_when_detached", ascending=False, kind="stable")

    @property
    def headline(self) -> tuple[str, ...]:
        """What it shows."""
        return (f"Net heat of {len(self.q)} designs; Q between designs {float(self.q.sum()):.2f}",)


def label(structure: Structure, design: Design) -> str:
    """Treatments of a design, joined by colons."""
    return ":".join(structure.treatments[i] for i in design.arms)


def _leftovers(
    designs: list[Design], solution: Solution
) -> list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Residual of each design, and eigenvalues and vectors of one minus its share in its own fit.

    All in the basis that makes the design's contrasts independent with unit variance; the last array leads there.
    """
    result = []
    for design in designs:
        rest = np.asarray(design.arms[1:])
        root = np.linalg.cholesky(design.precision)
        residual = root.T @ (design.effect - (solution.theta[rest] - solution.theta[design.arms[0]]))
        m = solution.inverse
        head = design.arms[0]
        spread = m[np.ix_(rest, rest)] - m[rest, head][:, None] - m[head, rest][None, :] + m[head, head]
        values, vectors = np.linalg.eigh(np.eye(rest.size) - root.T @ spread @ root)
        result.append((residual, values, vectors, root))
    return result


def detach(
    designs: list[Design], solution: Solution, q: float, df: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    r"""Q between designs after each design is given effects of its own, by a low-rank update.

    .. math:: Q_{(d)} = Q - r_d' (V_d - X_d L^{-1} X_d')^{-} r_d

    Parameters
    ----------
    designs, solution : list of Design, Solution
        At the same heterogeneity.
    q, df : float, int
        Q between designs.

    Returns
    -------
    q, df : (d,) arrays

    References
    ----------
    Krahn U, Binder H, König J. BMC Med Res Methodol 2013;13:35, doi:10.1186/1471-2288-13-35.
    """
    left, lost = np.empty(len(designs)), np.empty(len(designs), dtype=np.int64)
    for i, (residual, values, vectors, _) in enumerate(_leftovers(designs, solution)):
        free = values > 1e-8
        part = vectors[:, free].T @ residual
        left[i] = q - float((part**2 / values[free]).sum())
        lost[i] = int(free.sum())
    return np.maximum(left, 0.0), df - lost


def between_q(designs: list[Design], solution: Solution) -> NDArray[np.float64]:
    """Weighted squared residuals of each design's effects, (d,)."""
    result = []
    for design in designs:
        residual = design.effect - (solution.theta[design.arms[1:]] - solution.theta[design.arms[0]])
        result.append(float(residual @ design.precision @ residual))
    return np.asarray(result)


def _own_effects(structure: Structure) -> Structure:
    """Give every design treatments of its own: the full design-by-treatment interaction."""
    groups, start = [], 0
    for group in structure.groups:
        _, which = np.unique(group.arms, axis=0, return_inverse=True)
        a = group.arms.shape[1]
        arms = start + which.ravel()[:, None] * a + np.arange(a)
        start += (int(which.max()) + 1) * a
        groups.append(ArmGroup(group.studies, arms, group.design, group.response, group.variance))
    return build(tuple(map(str, range(start))), structure.studies, tuple(groups))


def _tau2_within(structure: Structure, designs: list[Design], method: str) -> float:
    df = sum(d.df for d in designs)
    if not df:
        return 0.0
    if method == "DL":
        return max(0.0, (sum(d.q for d in designs) - df) / leftover_within(designs))
    return estimate_tau2(_own_effects(structure), method)[0]  # type: ignore[arg-type]  # checked by the caller


def decompose(net: Any, tau2_within: str) -> Designs:
    """Compute the numbers of :meth:`Network.designs`.

    References
    ----------
    Krahn U, Binder H, König J. BMC Med Res Methodol 2013;13:35, doi:10.1186/1471-2288-13-35.
    Higgins JPT, Jackson D, Barrett JK, et al. Res Synth Methods 2012;3:98-110, doi:10.1002/jrsm.1044.
    Jackson D, Barrett JK, Rice S, et al. Stat Med 2014;33:3639-3654, doi:10.1002/sim.6188.
    """
    if tau2_within not in {"DL", "ML", "REML"}:
        raise InputError("tau2_within", found=repr(tau2_within), expected="one of DL, ML, REML")
    structure: Structure = net._structure
    designs = net._keep("common designs", lambda: fit_designs(structure, 0.0))
    q_within, df_within = net._q_parts
    q_between, df_between = net.q_inconsistency, net.q_inconsistency_df
    names = [label(structure, d) for d in designs]
    decomposition = _q_table(
        ["Total", "Within designs", "Between designs"],
        [net.q, q_within, q_between],
        [net.q_df, df_within, df_between],
    )
    within = _q_table(names, [d.q for d in designs], [d.df for d in designs])
    within.insert(0, "k", [d.studies.size for d in designs])
    left, left_df = detach(designs, net._common, q_between, df_between)
    detached = _q_table(names, np.where(left_df > 0, left, 0.0), left_df)
    detached["in_a_loop"] = left_df < df_between
    tau2 = _tau2_within(structure, designs, tau2_within)
    again = fit_designs(structure, tau2)
    q_random = float(between_q(again, solve(structure, tau2)).sum()) if df_between else 0.0
    notes = []
    if not df_between:
        notes.append("No loop: nothing in this network can be inconsistent; p-values between designs do not exist")
    if not df_within:
        notes.append("No design has two studies: the heterogeneity within designs is taken as 0")
    return Designs(
        decomposition=decomposition,
        within=within,
        detached=detached,
        q_random=q_random,
        q_random_df=df_between,
        q_random_p=float(stats.chi2.sf(q_random, df_between)) if df_between else float("nan"),
        tau2_within=tau2,
        method_within=tau2_within,
        notes=tuple(notes),
    )


def _q_table(index: list[str], q: Any, df: Any) -> pd.DataFrame:
    q, df = np.asarray(q, dtype=np.float64), np.asarray(df, dtype=np.int64)
    p = np.where(df > 0, stats.chi2.sf(q, np.maximum(df, 1)), np.nan)
    return pd.DataFrame({"q": q, "df": df, "p_value": p}, index=index)


def net_heat(net: Any, *, random: bool) -> NetHeat:
    """Compute the numbers of :meth:`Network.net_heat`.

    References
    ----------
    Krahn U, Binder H, König J. BMC Med Res Methodol 2013;13:35, doi:10.1186/1471-2288-13-35.
    """
    structure: Structure = net._structure
    solution: Solution = net._random if random else net._common
    designs = fit_designs(structure, net._tau2 if random else 0.0)
    sizes = np.array([d.arms.size - 1 for d in designs])
    ends = np.cumsum(sizes)
    blocks = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    heads = np.concatenate([np.repeat(d.arms[0], d.arms.size - 1) for d in designs])
    tails = np.concatenate([d.arms[1:] for d in designs])
    m = solution.inverse
    spread = m[np.ix_(tails, tails)] - m[np.ix_(tails, heads)] - m[np.ix_(heads, tails)] + m[np.ix_(heads, heads)]
    residual = np.concatenate([d.effect for d in designs]) - (solution.theta[tails] - solution.theta[heads])
    push = np.zeros((residual.size, len(designs)))
    for i, (own, values, vectors, root) in enumerate(_leftovers(designs, solution)):
        free = values > 1e-8
        push[blocks[i], i] = root @ (vectors[:, free] @ ((vectors[:, free].T @ own) / values[free]))
    moved = residual[:, None] + spread @ push  # residuals of every contrast, by the design that is detached
    now = between_q(designs, solution)
    then = np.array(
        [np.einsum("ce,cd,de->e", moved[b], d.precision, moved[b]) for b, d in zip(blocks, designs, strict=True)]
    )
    np.fill_diagonal(then, 0.0)
    names = [label(structure, d) for d in designs]
    contrast_names = [
        f"{structure.treatments[i]}:{structure.treatments[d.arms[0]]}"
        + (f" ({label(structure, d)})" if d.arms.size > 2 else "")
        for d in designs
        for i in d.arms[1:]
    ]
    hat = spread @ block_diag(*[d.precision for d in designs])
    return NetHeat(
        heat=pd.DataFrame(now[:, None] - then, index=names, columns=names),
        contribution=pd.DataFrame(hat, index=contrast_names, columns=contrast_names),
        q=pd.Series(now, index=names, name="q"),
    )
