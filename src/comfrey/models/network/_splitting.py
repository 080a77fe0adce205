"""Direct against indirect evidence, comparison by comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from comfrey.errors import InputError
from comfrey.models.network._heterogeneity import estimate_tau2
from comfrey.models.network._intervals import differences
from comfrey.models.network._solve import laplacian, solve, study_laplacians
from comfrey.models.network._structure import ArmGroup, Structure, build

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from comfrey.models.network._direct import Direct
    from comfrey.models.network._heterogeneity import Method
    from comfrey.models.network._solve import Solution

__all__ = ["back_calculate", "indirect_by_refit", "split"]


def back_calculate(
    network: NDArray[np.float64],
    network_variance: NDArray[np.float64],
    direct: NDArray[np.float64],
    direct_variance: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    r"""Take the direct estimates out of the network's.

    .. math:: p = v_N / v_D, \qquad \hat\theta_I = (\hat\theta_N - p \hat\theta_D) / (1 - p), \qquad
              v_I = v_N / (1 - p)

    Parameters
    ----------
    network, network_variance, direct, direct_variance : (c,) arrays
        Estimates and variances by comparison.

    Returns
    -------
    proportion, indirect, indirect_variance : (c,) arrays
        Where all evidence is direct (p = 1) there is no indirect estimate: not a number.

    References
    ----------
    Dias S, Welton NJ, Caldwell DM, Ades AE. Stat Med 2010;29:932-944, doi:10.1002/sim.3767.
    König J, Krahn U, Binder H. Stat Med 2013;32:5414-5429, doi:10.1002/sim.6001.

    Examples
    --------
    >>> [x.round(3) for x in back_calculate(*map(np.array, ([1.0], [0.5], [2.0], [1.0])))]
    [array([0.5]), array([0.]), array([1.])]
    """
    proportion = np.minimum(network_variance / direct_variance, 1.0)
    rest = 1.0 - proportion
    rest = np.where(rest > 1e-9, rest, np.nan)  # below this nothing but rounding is left
    return proportion, (network - proportion * direct) / rest, network_variance / rest


def separated(structure: Structure, apart: NDArray[np.bool_]) -> Structure:
    """Give the studies marked `apart` treatments of their own, so that they share nothing but tau2 with the rest."""
    groups = []
    for group in structure.groups:
        moved = group.arms + structure.n * apart[group.studies][:, None]
        groups.append(ArmGroup(group.studies, moved, group.design, group.response, group.variance))
    used = np.unique(np.concatenate([g.arms.ravel() for g in groups]))
    renamed = tuple(
        ArmGroup(g.studies, np.searchsorted(used, g.arms), g.design, g.response, g.variance) for g in groups
    )
    names = tuple(structure.treatments[i % structure.n] + " (split)" * bool(i >= structure.n) for i in used)
    return build(names, structure.studies, renamed)


class _Refit:
    """Indirect estimates by taking studies out of a solved network, with low-rank updates where they hold."""

    def __init__(self, structure: Structure, solution: Solution, direct: Direct) -> None:
        self.structure, self.solution = structure, solution
        self.load = laplacian(structure, solution.weights)[1]
        self.laplacians = study_laplacians(structure, solution.weights)
        self.loads = [
            np.einsum("kra,kr,kr->ka", g.design, w, g.response)
            for g, w in zip(structure.groups, solution.weights, strict=True)
        ]
        self.place = {int(s): (i, j) for i, g in enumerate(structure.groups) for j, s in enumerate(g.studies)}
        self.edges = np.column_stack([direct.first, direct.second])
        self.edge_count = direct.k

    def connected_without(self, emptied: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Labels of the connected parts when comparisons without studies are gone."""
        left = self.edges[~emptied]
        n = self.structure.n
        graph = coo_array((np.ones(len(left)), (left[:, 0], left[:, 1])), shape=(n, n))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    def without(self, a: int, b: int, studies: NDArray[np.int64], emptied: NDArray[np.bool_]) -> tuple[float, float]:
        """Estimate and variance of a minus b without some studies; not a number where nothing joins them."""
        label = self.connected_without(emptied)
        if label[a] != label[b]:
            return float("nan"), float("nan")
        if np.unique(label).size == self.structure.n_islands:
            updated = self.low_rank(a, b, studies)
            if updated is not None:
                return updated
        keep = np.ones(self.structure.k, dtype=bool)
        keep[studies] = False
        for group in self.structure.groups:  # other parts of the broken network have no say
            keep[group.studies] &= label[group.arms[:, 0]] == label[a]
        rest = self.structure.only(keep)
        # Weights are kept through a structure whose variances hold tau2 already.
        solution = solve(_with_weights(rest, self.structure, self.solution, keep), 0.0)
        i, j = (rest.treatments.index(self.structure.treatments[t]) for t in (a, b))
        m = solution.inverse
        return float(solution.theta[i] - solution.theta[j]), float(m[i, i] + m[j, j] - 2 * m[i, j])

    def low_rank(self, a: int, b: int, studies: NDArray[np.int64]) -> tuple[float, float] | None:
        """Woodbury's identity on the arms of the studies; None where cancellation would cost accuracy."""
        where = [self.place[int(s)] for s in studies]
        arms = np.unique(np.concatenate([self.structure.groups[i].arms[j] for i, j in where]))
        spot = {int(t): p for p, t in enumerate(arms)}
        taken = np.zeros((arms.size, arms.size))
        load = self.load.copy()
        for i, j in where:
            own = self.structure.groups[i].arms[j]
            at = [spot[int(t)] for t in own]
            taken[np.ix_(at, at)] += self.laplacians[i][j]
            np.subtract.at(load, own, self.loads[i][j])
        m = self.solution.inverse
        middle = np.eye(arms.size) - taken @ m[np.ix_(arms, arms)]
        if np.linalg.cond(middle) > 1e6:
            return None
        column = m[:, a] - m[:, b]
        column = column + m[:, arms] @ np.linalg.solve(middle, taken @ column[arms])
        return float(column @ load), float(column[a] - column[b])


def _with_weights(rest: Structure, structure: Structure, solution: Solution, keep: NDArray[np.bool_]) -> Structure:
    """Give the kept studies variances that hold the heterogeneity already."""
    groups, at = [], 0
    for group, weight in zip(structure.groups, solution.weights, strict=True):
        chosen = keep[group.studies]
        if not chosen.any():
            continue
        g = rest.groups[at]
        groups.append(ArmGroup(g.studies, g.arms, g.design, g.response, 1.0 / weight[chosen]))
        at += 1
    return build(rest.treatments, rest.studies, tuple(groups))


def indirect_by_refit(
    structure: Structure,
    solution: Solution,
    direct: Direct,
    study_of_row: NDArray[np.int64],
    refit: Method | None = None,
    tau2: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Indirect estimate of each comparison from the studies that do not hold both treatments.

    Parameters
    ----------
    structure, solution : Structure, Solution
        The network, solved at its heterogeneity.
    direct : Direct
        Direct evidence.
    study_of_row : (m,) int array
        Study of each row of the data.
    refit : method, optional
        Estimate tau2 anew for each comparison, with the studies on either side sharing nothing else.
    tau2 : (parts,) array, optional
        The heterogeneity of the network; where `refit` finds no indirect evidence it stays.

    Returns
    -------
    estimate, variance : (c,) arrays
        Not a number where there is no indirect evidence.
    tau2 : (c,) array
        The heterogeneity used for each comparison.
    """
    engine = _Refit(structure, solution, direct)
    c = direct.k.size
    estimate, variance = np.full(c, np.nan), np.full(c, np.nan)
    base = np.zeros(structure.n_islands) if tau2 is None else tau2
    used = base[structure.island[direct.first]]
    members: list[list[int]] = [[] for _ in range(c)]  # studies by comparison
    edges_of: dict[int, list[int]] = {}
    for comparison, study in zip(direct.comparison.tolist(), study_of_row.tolist(), strict=True):
        members[comparison].append(study)
        edges_of.setdefault(study, []).append(comparison)
    for e in range(c):
        studies = np.asarray(members[e])
        gone = np.bincount([x for s in members[e] for x in edges_of[s]], minlength=c)
        emptied = gone >= direct.k
        a, b = int(direct.first[e]), int(direct.second[e])
        if refit is None:
            estimate[e], variance[e] = engine.without(a, b, studies, emptied)
            continue
        label = engine.connected_without(emptied)
        if label[a] != label[b]:
            continue
        here = structure.island_of_study == structure.island[a]
        apart = np.zeros(structure.k, dtype=bool)
        apart[studies] = True
        used[e] = estimate_tau2(separated(structure.only(here), apart[here]), refit)[0]
        anew = _Refit(structure, solve(structure, np.full(structure.n_islands, used[e])), direct)
        estimate[e], variance[e] = anew.without(a, b, studies, emptied)
    return estimate, variance, used


def split(net: Any, method: str, tau2: str) -> pd.DataFrame:
    """Make the table of :meth:`Network.split`."""
    if method not in {"back-calculation", "SIDDE"}:
        raise InputError("method", found=repr(method), expected="'back-calculation' or 'SIDDE'")
    if tau2 not in {"network", "refit"}:
        raise InputError("tau2", found=repr(tau2), expected="'network' or 'refit'")
    structure, direct = net._structure, net._direct
    n = structure.n
    first, second = np.triu_indices(n, 1)
    joined = structure.island[first] == structure.island[second]
    first, second = first[joined], second[joined]
    at = np.searchsorted(first * n + second, direct.first * n + direct.second)
    estimate, variance = differences(structure, net._random)
    overall, overall_variance = estimate[first, second], variance[first, second]
    full = {name: np.full(first.size, np.nan) for name in ("direct", "v_direct", "indirect", "v_indirect", "tau2")}
    k = np.zeros(first.size, dtype=np.int64)
    proportion = np.zeros(first.size)
    k[at], full["direct"][at], full["v_direct"][at] = direct.k, direct.estimate, direct.variance
    full["indirect"], full["v_indirect"] = overall.copy(), overall_variance.copy()
    p, indirect, v_indirect = back_calculate(overall[at], overall_variance[at], direct.estimate, direct.variance)
    proportion[at] = p
    full["tau2"] = net._tau2[structure.island[first]]
    if method == "SIDDE":
        again = None if tau2 == "network" or net.method in {"EE", "MH"} else net.method
        indirect, v_indirect, used = indirect_by_refit(
            structure, net._random, direct, net._rows.study, again, net._tau2
        )
        if again is not None:
            full["tau2"][at] = used
            full["direct"][at], full["v_direct"][at] = _direct_at(net, direct, used)
    full["indirect"][at], full["v_indirect"][at] = indirect, v_indirect
    return _table(net, first, second, k, proportion, overall, overall_variance, full)


def _direct_at(net: Any, direct: Direct, tau2: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Direct estimates at a heterogeneity of each comparison's own."""
    rows = net._rows
    y = np.where(rows.first < rows.second, rows.yi, -rows.yi)
    w = 1.0 / (rows.vi + tau2[direct.comparison])
    total = np.bincount(direct.comparison, w)
    return np.bincount(direct.comparison, w * y) / total, 1.0 / total


def _table(
    net: Any,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    k: NDArray[np.int64],
    proportion: NDArray[np.float64],
    overall: NDArray[np.float64],
    overall_variance: NDArray[np.float64],
    full: dict[str, NDArray[np.float64]],
) -> pd.DataFrame:
    names = np.asarray(net.treatments, dtype=object)
    difference = full["direct"] - full["indirect"]
    se = np.sqrt(full["v_direct"] + full["v_indirect"])
    half = stats.norm.ppf(0.5 * (1 + net.level)) * se
    statistic = difference / se
    has_direct, has_indirect = np.isfinite(full["direct"]), np.isfinite(full["indirect"])
    evidence = np.where(has_direct & has_indirect, "mixed", np.where(has_direct, "direct only", "indirect only"))
    return pd.DataFrame(
        {
            "k": k,
            "evidence": evidence,
            "proportion": proportion,
            "network": overall,
            "se_network": np.sqrt(overall_variance),
            "direct": full["direct"],
            "se_direct": np.sqrt(full["v_direct"]),
            "indirect": full["indirect"],
            "se_indirect": np.sqrt(full["v_indirect"]),
            "difference": difference,
            "se_difference": se,
            "ci_low": difference - half,
            "ci_high": difference + half,
            "statistic": statistic,
            "p_value": 2 * stats.norm.sf(np.abs(statistic)),
            "tau2": full["tau2"],
        },
        index=pd.MultiIndex.from_arrays([names[first], names[second]], names=["treatment_1", "treatment_2"]),
    )
