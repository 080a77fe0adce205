"""Estimators of tau2, the variance of true effects between studies.

Sources: DerSimonian & Laird 1986 (doi:10.1016/0197-2456(86)90046-2), two-step: DerSimonian & Kacker 2007
(doi:10.1016/j.cct.2006.04.004); Hedges & Olkin 1985, chapter 9 (HE); Schmidt & Hunter 2015 (HS), with the
small-sample
factor of Brannick et al. 2019 (doi:10.1002/jrsm.1355, HSk); Sidik & Jonkman 2005
(doi:10.1111/j.1467-9876.2005.00489.x);
Hardy & Thompson 1996 (ML, doi:10.1002/(SICI)1097-0258(19960330)15:6<619::AID-SIM188>3.0.CO;2-A); Harville 1977 (REML,
doi:10.1080/01621459.1977.10480998); Morris 1983 (EB, doi:10.1080/01621459.1983.10477920); Paule & Mandel 1982 (PM,
doi:10.6028/jres.087.022), median-unbiased: Viechtbauer 2021 (PMM, doi:10.1007/s11336-021-09759-7 reviews it). The
standard errors are in Viechtbauer 2005 (doi:10.3102/10769986030003261).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import special

from comfrey.models._equation import solve_q
from comfrey.models._maximum import Certificate, maximise_with_moments
from comfrey.models._profile import Moments, Observed, moments_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfrey.effects.measure import Array

__all__ = ["METHODS", "Method", "Tau2", "estimate_tau2"]

Method = Literal["EE", "DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM"]
_CLOSED = Certificate(True, 0, 0.0, False, 1, True)


class Tau2(NamedTuple):
    """An estimate of tau2, its standard error (not-a-number where there is none), and how the search ended.

    `there` are the moments at tau2 and `at_zero` those at zero, where the search has them.
    """

    tau2: float
    se: float
    certificate: Certificate
    there: Moments[float] | None = None
    at_zero: Moments[float] | None = None


def _closed(raw: float, se: float) -> Tau2:
    certificate = _CLOSED if raw > 0 else Certificate(True, 0, 0.0, True, 1, True)
    return Tau2(max(0.0, raw), se, certificate)


def _spread_of_q(data: Observed, weights: Array, tau2: float) -> float:
    """Variance of ``y'P_w y`` under the model, ``2 tr(P S P S)`` with ``S = diag(v + tau2)``, in O(k p^2)."""
    basis = data.basis
    s = data.v + tau2
    if basis is None:
        top = int(weights.argmax())
        parts = weights * weights * s
        others = np.delete(parts, top)
        off = 2.0 * parts[top] * others.sum() + (others.sum() ** 2 - others @ others)
        diagonal = _diagonal(weights) * s
        return float(2.0 * (diagonal @ diagonal + off / weights.sum() ** 2))
    return 2.0 * _trace_of_square(basis, weights, weights * s)


def _trace_of_square(basis: Array, weights: Array, d: Array) -> float:
    """Trace of ``(M D)^2`` with ``M = I - QQ'`` and Q an orthonormal basis of the weighted design, in O(k p^2).

    It is the sum over i and j of ``M_ij^2 d_i d_j``: no term is negative, so the digits stay where one study has all
    the weight.
    """
    q = np.linalg.qr(basis * np.sqrt(weights)[:, None])[0]
    leverage = np.einsum("ij,ij->i", q, q)
    top = int(d.argmax())  # its terms are summed apart: they would drown the others in the difference of squares
    rest = np.delete(np.arange(d.size), top)
    inner = (q[rest] * d[rest, None]).T @ q[rest]
    off = max(0.0, float(np.sum(inner * inner)) - float(np.sum((leverage[rest] * d[rest]) ** 2)))
    off += 2.0 * float(d[top]) * float(d[rest] @ (q[rest] @ q[top]) ** 2)
    return float(np.sum(((1.0 - leverage) * d) ** 2)) + off


def _diagonal(weights: Array) -> Array:
    """Diagonal of P for a constant, ``w (1 - w/sum w)``, the largest weight's without loss of digits."""
    total = weights.sum()
    diagonal = weights - weights * weights / total
    top = int(weights.argmax())
    diagonal[top] = weights[top] * (weights[:top].sum() + weights[top + 1 :].sum()) / total
    return np.asarray(diagonal, dtype=float)


def _weighted_q(data: Observed, weights: Array) -> tuple[float, float, float]:
    """``y'P_w y``, ``tr P_w`` and ``tr(P_w V)`` for any weights."""
    y, v, basis = data.y, data.v, data.basis
    if basis is None:
        residual = y - (weights @ y) / weights.sum()
        diagonal = _diagonal(weights)
        return float((weights * residual) @ residual), float(diagonal.sum()), float(diagonal @ v)
    # by an orthonormal basis of the weighted design, which keeps the digits that its squares would lose
    root = np.sqrt(weights)
    basis = np.linalg.qr(basis * root[:, None])[0]
    residual = root * y - basis @ (basis.T @ (root * y))
    left = weights * (1.0 - np.einsum("ij,ij->i", basis, basis))
    return float(residual @ residual), float(left.sum()), float(left @ v)


def _equal(data: Observed) -> Tau2:
    del data
    return Tau2(0.0, float("nan"), _CLOSED)


def _moment(data: Observed, weights: Array) -> Tau2:
    q, trace, trace_v = _weighted_q(data, weights)
    raw = (q - trace_v) / trace
    return _closed(raw, np.sqrt(_spread_of_q(data, weights, max(0.0, raw))) / trace)


def _dersimonian_laird(data: Observed) -> Tau2:
    return _moment(data, 1.0 / data.v)


def _two_step(data: Observed) -> Tau2:
    return _moment(data, 1.0 / (data.v + _dersimonian_laird(data).tau2))


def _hedges(data: Observed) -> Tau2:
    return _moment(data, np.ones(data.k))


def _hunter_schmidt(data: Observed, factor: float = 1.0) -> Tau2:
    m = moments_at(data, 0.0)
    raw = (factor * m.rss - data.k) / m.sum_w
    spread = _spread_of_q(data, 1.0 / data.v, max(0.0, raw))
    return _closed(raw, factor * np.sqrt(spread) / m.sum_w)


def _hunter_schmidt_small(data: Observed) -> Tau2:
    return _hunter_schmidt(data, data.k / (data.k - data.p))


def _sidik_jonkman(data: Observed) -> Tau2:
    start = float(np.mean((data.y - data.y.mean()) ** 2))
    if start == 0.0:
        return _closed(0.0, float("nan"))
    weights = 1.0 / (data.v + start)
    q, _, _ = _weighted_q(data, weights)
    tau2 = start * q / (data.k - data.p)
    return _closed(tau2, start * np.sqrt(_spread_of_q(data, weights, tau2)) / (data.k - data.p))


def _likelihood(data: Observed, restricted: bool) -> Tau2:
    tau2, certificate, there, at_zero = maximise_with_moments(data, restricted)
    information = there.trace2 if restricted else there.sum_w2
    if information <= 0 and data.basis is not None:  # differences of sums have lost their digits
        weights = 1.0 / (data.v + tau2)
        information = _trace_of_square(data.basis, weights, weights)
    return Tau2(tau2, math.sqrt(2.0 / information), certificate, there, at_zero)


def _reml(data: Observed) -> Tau2:
    return _likelihood(data, True)


def _ml(data: Observed) -> Tau2:
    return _likelihood(data, False)


def _paule_mandel(data: Observed, target: float | None = None) -> Tau2:
    df = data.k - data.p
    tau2, steps, excess = solve_q(data, float(df) if target is None else target)
    se = np.sqrt(2.0 * data.k**2 / df) / moments_at(data, tau2).sum_w
    certificate = Certificate(True, steps, excess, tau2 == 0.0, 1, True)
    return Tau2(tau2, float(se), certificate)


def _median_unbiased(data: Observed) -> Tau2:
    return _paule_mandel(data, float(2.0 * special.gammaincinv((data.k - data.p) / 2, 0.5)))


METHODS: dict[str, Callable[[Observed], Tau2]] = {
    "EE": _equal,
    "DL": _dersimonian_laird,
    "DL2": _two_step,
    "HE": _hedges,
    "HS": _hunter_schmidt,
    "HSk": _hunter_schmidt_small,
    "SJ": _sidik_jonkman,
    "ML": _ml,
    "REML": _reml,
    "EB": _paule_mandel,
    "PM": _paule_mandel,
    "PMM": _median_unbiased,
}


def estimate_tau2(data: Observed, method: str) -> Tau2:
    """Estimate tau2 by the method named (scaled data in, scaled tau2 out)."""
    return METHODS[method](data)
