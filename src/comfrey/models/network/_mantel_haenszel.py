"""Mantel-Haenszel networks of odds ratios, for rare events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.network._contrasts import Contrasts
from comfrey.models.network._input import Rows
from comfrey.models.network._structure import arm_group, build

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from comfrey.models.network._network import Network

__all__ = ["mantel_haenszel_design", "mantel_haenszel_network"]


def _pair_terms(
    events: NDArray[np.float64], other: NDArray[np.float64], size: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """R[i, j], the sum of events_i * nonevents_j / size, and odds ratios psi[i, j] = R[i, j] / R[j, i]."""
    r = np.einsum("ki,kj,k->ij", events, other, 1 / size)
    with np.errstate(divide="ignore", invalid="ignore"):
        return r, r / r.T


def _pair_covariance(
    events: NDArray[np.float64],
    other: NDArray[np.float64],
    size: NDArray[np.float64],
    r: NDArray[np.float64],
    psi: NDArray[np.float64],
) -> NDArray[np.float64]:
    """cov(log psi_ij, log psi_im) for all i, j, m, as (a, a, a).

    For j = m this is the variance of Robins, Breslow & Greenland. For j != m the same argument gives, for the
    estimating functions U_ij = (a_i b_j - psi_ij a_j b_i) / N, four unbiased estimates of E(U_ij U_im), which are
    averaged so that swapping events and non-events changes nothing.
    """
    n_arms = events.shape[1]
    result = np.zeros((n_arms, n_arms, n_arms))
    for i in range(n_arms):
        for j in range(n_arms):
            for m in range(n_arms):
                if i in (j, m):
                    continue
                a_i, b_i, a_j, b_j, a_m, b_m = (x[:, q] for q in (i, j, m) for x in (events, other))
                if j == m:
                    p, q = (a_i + b_j) / size, (a_j + b_i) / size
                    up, down = a_i * b_j / size, a_j * b_i / size
                    result[i, j, m] = (
                        (p * up).sum() / (2 * r[i, j] ** 2)
                        + (p * down + q * up).sum() / (2 * r[i, j] * r[j, i])
                        + (q * down).sum() / (2 * r[j, i] ** 2)
                    )
                    continue
                one, two = psi[i, j] * a_j + b_j, psi[i, m] * a_m + b_m
                u = (a_i * b_m + psi[i, m] * b_i * a_m) * one + (a_i * b_j + psi[i, j] * b_i * a_j) * two
                result[i, j, m] = (u / size**2).sum() / (4 * r[i, j] * r[i, m])
    return result


def mantel_haenszel_design(
    events: NDArray[np.float64], total: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Log odds ratios of the arms of one design against its first arm, pooled by Mantel & Haenszel.

    .. math:: \log \hat\psi_{ij} = \log \frac{\sum_k a_{ik} b_{jk} / N_k}{\sum_k a_{jk} b_{ik} / N_k}, \qquad
              \hat\ell_i = \frac1a \sum_j \log \hat\psi_{ij}

    The second step makes the odds ratios of more than two arms add up (Mickey & Elashoff); with two arms, or one
    study, it changes nothing.

    Parameters
    ----------
    events, total : (k, a) arrays
        Studies by arms.

    Returns
    -------
    contrasts : (a - 1,) array
        Log odds ratios against the first arm.
    covariance : (a - 1, a - 1) array

    References
    ----------
    Robins J, Breslow N, Greenland S. Biometrics 1986;42:311-323, doi:10.2307/2531052.
    Mickey RM, Elashoff RM. Biometrics 1985;41:623-635.
    Greenland S. Biometrics 1989;45:183-191.

    Examples
    --------
    >>> effect, variance = mantel_haenszel_design(np.array([[10.0, 5.0]]), np.array([[100.0, 100.0]]))
    >>> effect.round(4), variance.round(4)
    (array([-0.7472]), array([[0.3216]]))
    """
    other, size = total - events, total.sum(axis=1)
    r, psi = _pair_terms(events, other, size)
    shared = _pair_covariance(events, other, size, r, psi)
    a = events.shape[1]
    pairs = [(i, j) for i in range(a) for j in range(i + 1, a)]
    covariance = np.zeros((len(pairs), len(pairs)))
    for x, (i, j) in enumerate(pairs):
        for y, (p, q) in enumerate(pairs):
            # Signs: log psi_ij = -log psi_ji; pairs without a common arm are independent.
            if i == p:
                covariance[x, y] += shared[i, j, q]
            if j == q and (i, j) != (p, q):
                covariance[x, y] += shared[j, i, p]
            if i == q:
                covariance[x, y] -= shared[i, j, p]
            if j == p:
                covariance[x, y] -= shared[j, i, q]
    level = np.zeros((a, len(pairs)))
    for x, (i, j) in enumerate(pairs):
        level[i, x], level[j, x] = 1 / a, -1 / a
    turn = level[1:] - level[0]
    values = np.array([np.log(psi[i, j]) for i, j in pairs])
    return turn @ values, turn @ covariance @ turn.T


Arms = dict[str, tuple[float, float]]


def _studies(source: Contrasts) -> dict[str, Arms]:
    studies: dict[str, Arms] = {}
    frame = source.arms
    for study, treatment, events, total in zip(
        frame["study"], frame["treatment"], frame["events"], frame["total"], strict=True
    ):
        studies.setdefault(str(study), {})[str(treatment)] = (float(events), float(total))
    return studies


def _by_design(studies: dict[str, Arms]) -> dict[tuple[str, ...], list[str]]:
    designs: dict[tuple[str, ...], list[str]] = {}
    for name, arms in studies.items():
        designs.setdefault(tuple(sorted(arms)), []).append(name)
    return designs


def _drop_empty(studies: dict[str, Arms]) -> tuple[dict[str, Arms], list[str]]:
    """Leave out arms that have no events, or nothing but events, in all studies of their design.

    Their odds ratios are zero or infinite. A study that is left with one arm goes too. What remains may form other
    designs, so this is repeated until nothing changes.
    """
    notes: list[str] = []
    while True:
        changed = False
        for design, names in _by_design(studies).items():
            table = np.array([[studies[s][t] for t in design] for s in names])
            events, total = table[:, :, 0], table[:, :, 1]
            r = np.einsum("ki,kj,k->ij", events, total - events, 1 / total.sum(axis=1))
            np.fill_diagonal(r, 1.0)
            empty = [t for t, e, n in zip(design, events.sum(axis=0), total.sum(axis=0), strict=True) if e in (0, n)]
            if not empty and (r <= 0).any():
                empty = [design[int(np.argmin(r.min(axis=1)))]]
            for t in empty:
                changed = True
                notes.append(
                    f"Left out: {t} in {', '.join(names)} (no finite odds ratio in the design {':'.join(design)})"
                )
                for s in names:
                    del studies[s][t]
            if changed:
                break
        studies = {s: arms for s, arms in studies.items() if len(arms) > 1}
        if not changed:
            return studies, notes


def mantel_haenszel_network(source: Any, *, small_values: str | None, level: float, reference: str | None) -> Network:
    """Common-effect network of odds ratios by Mantel-Haenszel, without adding anything to empty cells.

    Each design is pooled by itself; the designs' odds ratios then make a consistent network by generalised least
    squares. In the result every design is one study, and Q is all inconsistency.

    Parameters
    ----------
    source : Contrasts
        From :func:`comfrey.contrasts` with measure OR.
    small_values, level, reference
        As in :func:`comfrey.network`.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        If `source` does not hold the arms of odds ratios.
    NotEstimableError
        If no design has a finite odds ratio.

    References
    ----------
    Efthimiou O, Rücker G, Schwarzer G, Higgins JPT, Egger M, Salanti G. Stat Med 2019;38:2992-3012,
    doi:10.1002/sim.8158.
    """
    from comfrey.models.network._fit import assemble

    if not isinstance(source, Contrasts) or source.measure != "OR":
        found = f"measure {source.measure}" if isinstance(source, Contrasts) else type(source).__name__
        raise InputError("yi", found=found, expected="the result of comfrey.contrasts with measure OR")
    studies, notes = _drop_empty(_studies(source))
    designs = _by_design(studies)
    if not designs:
        raise NotEstimableError("no design has a finite Mantel-Haenszel odds ratio")
    treatments = tuple(sorted({t for design in designs for t in design}))
    place = {t: i for i, t in enumerate(treatments)}
    groups, y, v, first, second, where = [], [], [], [], [], []
    for d, (design, names) in enumerate(designs.items()):
        table = np.array([[studies[s][t] for t in design] for s in names])
        contrast, covariance = mantel_haenszel_design(table[:, :, 0], table[:, :, 1])
        arms = np.array([place[t] for t in design])
        group = arm_group(np.array([d]), arms[None], contrast[None], covariance[None])
        if not group.variance.min() > 0:
            raise NotEstimableError(
                f"the Mantel-Haenszel covariance of design {':'.join(design)} is not positive definite"
            )
        groups.append(group)
        for i in range(arms.size):
            for j in range(i + 1, arms.size):
                turn = (np.arange(1, arms.size) == j).astype(float) - (np.arange(1, arms.size) == i)
                y.append(-float(turn @ contrast))
                v.append(float(turn @ covariance @ turn))
                first.append(arms[i])
                second.append(arms[j])
                where.append(d)
    labels = tuple(":".join(design) for design in designs)
    rows = Rows(
        np.array(y), np.array(v), np.array(first), np.array(second), np.array(where), treatments, labels
    )  # fmt: skip
    structure = build(treatments, labels, tuple(groups))
    said = [n for n in source.notes if n.startswith("Left out")]
    return assemble(
        rows, structure, method="MH", test="z", level=level, small_values=small_values, reference=reference,
        measure="OR", notes=(*said, *notes, "Every design is one study here; nothing was added to empty cells"),
        k=len(studies), n_comparisons=sum(len(a) * (len(a) - 1) // 2 for a in studies.values()),
    )  # fmt: skip
