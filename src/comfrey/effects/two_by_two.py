"""Effect measures for two groups and a yes-or-no outcome.

All formulas take `events_1, total_1, events_2, total_2` (arrays of one shape; increments already added where wanted)
and give the estimate and its sampling variance on the scale of analysis. With a, b = events and non-events of group 1
and c, d of group 2. Sources: Fleiss & Berlin 2009 (in Cooper, Hedges & Valentine, chapter 13); Rücker et al. 2009
(doi:10.1002/sim.3511) for the arcsine; Yusuf et al. 1985 (doi:10.1016/S0033-0620(85)80003-7) for Peto; Yule 1912
(doi:10.2307/2340126) for Q, Y and phi; Chinn 2000 (doi:10.1002/1097-0258(20001130)19:22<3127::AID-SIM784>3.0.CO;2-M)
and Cox & Snell 1989 for the conversions; Brown & Benedetti 1977 (doi:10.1080/01621459.1977.10480996) for the
tetrachoric.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from comfrey.effects.measure import IDENTITY, LOG, Array, Formula, Measure, Scale

__all__ = ["MEASURES"]

INPUTS = ("events_1", "total_1", "events_2", "total_2")


def risk_ratio(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Log risk ratio, ``log(a/n1) - log(c/n2)``, variance ``1/a - 1/n1 + 1/c - 1/n2``."""
    yi = np.log(events_1) - np.log(total_1) - (np.log(events_2) - np.log(total_2))
    return yi, 1 / events_1 - 1 / total_1 + 1 / events_2 - 1 / total_2


def odds_ratio(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Log odds ratio, ``log(ad/bc)``, variance ``1/a + 1/b + 1/c + 1/d``."""
    b, d = total_1 - events_1, total_2 - events_2
    return np.log(events_1) - np.log(b) - np.log(events_2) + np.log(d), 1 / events_1 + 1 / b + 1 / events_2 + 1 / d


def risk_difference(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Risk difference, ``p1 - p2``, variance ``p1 q1/n1 + p2 q2/n2``."""
    p1, p2 = events_1 / total_1, events_2 / total_2
    return p1 - p2, p1 * (1 - p1) / total_1 + p2 * (1 - p2) / total_2


def arcsine_difference(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Arcsine difference, ``asin sqrt p1 - asin sqrt p2``, variance ``1/4n1 + 1/4n2``."""
    yi = np.arcsin(np.sqrt(events_1 / total_1)) - np.arcsin(np.sqrt(events_2 / total_2))
    return yi, 1 / (4 * total_1) + 1 / (4 * total_2)


def peto_odds_ratio(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Peto's log odds ratio, ``(a - E)/V`` with variance ``1/V``; V is the hypergeometric variance of a."""
    total = total_1 + total_2
    events = events_1 + events_2
    spread = total_1 * total_2 * events * (total - events) / (total**2 * (total - 1))
    return (events_1 - events * total_1 / total) / spread, 1 / spread


def phi_coefficient(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Phi coefficient, ``(ad - bc) / sqrt(row and column totals multiplied)``, with Yule's large-sample variance."""
    n = total_1 + total_2
    row_1, row_2 = total_1 / n, total_2 / n
    column_1 = (events_1 + events_2) / n
    column_2 = 1 - column_1
    yi = np.sqrt(row_1 * row_2) * (events_1 / total_1 - events_2 / total_2) / np.sqrt(column_1 * column_2)
    rows, columns = (row_1 - row_2) / np.sqrt(row_1 * row_2), (column_1 - column_2) / np.sqrt(column_1 * column_2)
    spread = 1 - yi**2 + yi * (1 + yi**2 / 2) * rows * columns - 0.75 * yi**2 * (rows**2 + columns**2)
    return yi, spread / n


def yule_q(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Yule's Q, ``(OR - 1)/(OR + 1)``, variance ``(1 - Q^2)^2/4 * (1/a + 1/b + 1/c + 1/d)``."""
    log_odds, variance = odds_ratio(events_1, total_1, events_2, total_2)
    yi = np.tanh(log_odds / 2)
    return yi, (1 - yi**2) ** 2 / 4 * variance


def yule_y(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Yule's Y, ``(sqrt OR - 1)/(sqrt OR + 1)``, variance ``(1 - Y^2)^2/16 * (1/a + 1/b + 1/c + 1/d)``."""
    log_odds, variance = odds_ratio(events_1, total_1, events_2, total_2)
    yi = np.tanh(log_odds / 4)
    return yi, (1 - yi**2) ** 2 / 16 * variance


def odds_ratio_to_d_normal(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Standardised difference from the odds ratio, normal outcome: ``log OR / 1.65`` (Cox & Snell)."""
    yi, vi = odds_ratio(events_1, total_1, events_2, total_2)
    return yi / 1.65, vi / 1.65**2


def odds_ratio_to_d_logistic(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Standardised difference from the odds ratio, logistic outcome: ``log OR * sqrt 3 / pi`` (Chinn)."""
    yi, vi = odds_ratio(events_1, total_1, events_2, total_2)
    return yi * np.sqrt(3) / np.pi, vi * 3 / np.pi**2


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def _both_below(h: Array, k: Array, rho: Array) -> Array:
    """P(X < h, Y < k) of two standard normal variables with correlation rho (Plackett's integral over the angle)."""
    angle = np.arcsin(rho)
    t = angle[..., None] * (_NODES + 1) / 2
    h1, k1 = h[..., None], k[..., None]
    inside = np.exp(-(h1**2 + k1**2 - 2 * h1 * k1 * np.sin(t)) / (2 * np.cos(t) ** 2))
    return np.asarray(special.ndtr(h) * special.ndtr(k) + angle / (4 * np.pi) * (inside @ _WEIGHTS), dtype=float)


def tetrachoric(events_1: Array, total_1: Array, events_2: Array, total_2: Array) -> tuple[Array, Array]:
    """Tetrachoric correlation, by bisection; variance by the delta method (multinomial cells).

    With thresholds h, k of the margins, ``P(X<h, Y<k; rho) = a/N``; the variance is Pearson's, as in Brown &
    Benedetti. A table with an empty cell puts the correlation at its limit, where it has no variance: not-a-number.
    """
    a, b, c, d = events_1, total_1 - events_1, events_2, total_2 - events_2
    n = a + b + c + d
    z1, z2 = special.ndtri((a + c) / n), special.ndtri((a + b) / n)
    low, high = np.full_like(n, -1.0), np.ones_like(n)
    for _ in range(60):
        middle = (low + high) / 2
        below = _both_below(z1, z2, middle) < a / n
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    rho = (low + high) / 2
    root = np.sqrt(1 - rho**2)
    density = np.exp(-(z1**2 - 2 * rho * z1 * z2 + z2**2) / (2 * root**2)) / (2 * np.pi * root)
    u1, u2 = special.ndtr((z1 - rho * z2) / root) - 0.5, special.ndtr((z2 - rho * z1) / root) - 0.5
    spread = (
        (a + d) * (b + c) / 4
        + (a + c) * (b + d) * u2**2
        + (a + b) * (c + d) * u1**2
        + 2 * (a * d - b * c) * u1 * u2
        - (a * b - c * d) * u2
        - (a * c - b * d) * u1
    )
    inside = (a > 0) & (b > 0) & (c > 0) & (d > 0)
    return np.where(inside, rho, np.nan), np.where(inside, spread / (n**3 * density**2), np.nan)


def _two(
    name: str, label: str, formula: Formula, scale: Scale = IDENTITY, unit: str = "difference", zeros: bool = True
) -> Measure:
    increments = "two-by-two" if zeros else "none"
    return Measure(
        name, label, INPUTS, formula, scale, unit=unit, increments=increments, n_inputs=("total_1", "total_2")
    )


MEASURES = (
    _two("RR", "risk ratio", risk_ratio, scale=LOG, unit="ratio"),
    _two("OR", "odds ratio", odds_ratio, scale=LOG, unit="ratio"),
    _two("RD", "risk difference", risk_difference),
    _two("AS", "arcsine risk difference", arcsine_difference, zeros=False),
    _two("PETO", "Peto odds ratio", peto_odds_ratio, scale=LOG, unit="ratio", zeros=False),
    _two("PHI", "phi coefficient", phi_coefficient, unit="correlation", zeros=False),
    _two("YUQ", "Yule's Q", yule_q, unit="correlation"),
    _two("YUY", "Yule's Y", yule_y, unit="correlation"),
    _two("RTET", "tetrachoric correlation", tetrachoric, unit="correlation", zeros=False),
    _two("OR2DN", "standardised difference (from odds ratio, normal)", odds_ratio_to_d_normal,
         unit="standardised difference"),
    _two("OR2DL", "standardised difference (from odds ratio, logistic)", odds_ratio_to_d_logistic,
         unit="standardised difference"),
)  # fmt: skip
