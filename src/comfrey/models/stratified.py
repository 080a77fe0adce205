"""Mantel-Haenszel and Peto estimates: pooling tables with one common effect, without increments.

Sources: Mantel & Haenszel 1959 (doi:10.1093/jnci/22.4.719); Robins, Breslow & Greenland 1986 (doi:10.2307/2531052)
for
the odds ratio; Greenland & Robins 1985 (doi:10.2307/2530643) for risk ratio and rates; Sato, Greenland & Robins 1989
for the risk difference (doi:10.2307/2531780); Tarone 1985 (doi:10.1093/biomet/72.1.91); Yusuf et al. 1985
(doi:10.1016/S0033-0620(85)80003-7) for Peto.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy import special

from comfrey.effects.sizes import EffectSizes, effect_sizes
from comfrey.errors import InputError, NotEstimableError
from comfrey.models._fit import quantile, two_sided
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array, Measure

__all__ = ["Stratified", "StratumTest", "mantel_haenszel", "peto"]


class StratumTest(NamedTuple):
    """A chi-squared test over the strata."""

    statistic: float
    df: int
    p_value: float


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Stratified(Result):
    """A common effect over the strata (studies), on the scale of analysis.

    Attributes
    ----------
    estimate, se, statistic, p_value, ci_low, ci_high : float
        Normal test and interval.
    q, q_df, q_p : float, int, float
        Heterogeneity: the studies' own estimates (with increments where needed) about the common one.
    association : StratumTest or None
        Cochran-Mantel-Haenszel test of no association (odds ratio only; with continuity correction).
    homogeneity : StratumTest or None
        Tarone's test that the odds ratios are equal (odds ratio only).
    k : int
        Studies used; `dropped` lists the others.
    """

    estimate: float
    se: float
    statistic: float
    p_value: float
    ci_low: float
    ci_high: float
    q: float
    q_df: int
    q_p: float
    association: StratumTest | None
    homogeneity: StratumTest | None
    k: int
    method: str
    level: float
    measure: Measure
    sizes: EffectSizes
    dropped: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def reading(self) -> tuple[float, float, float]:
        """Estimate and interval on the reading scale (ratios, not logs)."""
        low, middle, high = self.measure.back_transform([self.ci_low, self.estimate, self.ci_high])
        return float(middle), float(low), float(high)

    @property
    def summary(self) -> pd.DataFrame:
        """Estimate, interval, test and heterogeneity in one row."""
        import pandas as pd

        names = ("k", "estimate", "se", "ci_low", "ci_high", "statistic", "p_value", "q", "q_df", "q_p")
        return pd.DataFrame([{name: getattr(self, name) for name in names}], index=[self.measure.name])

    @property
    def headline(self) -> tuple[str, ...]:
        """Method, measure and interval in words."""
        what = self.measure.analysis_label
        first = f"{self.method} estimate: {what}, {self.k} studies, {self.level:.0%} interval"
        return (first, *(f"left out: {text}" for text in self.dropped), *(f"note: {text}" for text in self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the measure by its name."""
        out = {**Result.to_dict(self), "measure": self.measure.name}
        for name in ("association", "homogeneity"):
            test = getattr(self, name)
            out[name] = None if test is None else test._asdict()
        return out


def mantel_haenszel(
    measure: Literal["OR", "RR", "RD", "IRR", "IRD"],
    *,
    level: float = 0.95,
    data: Any = None,
    study: object = None,
    **columns: object,
) -> Stratified:
    """Pool two-by-two tables (or person-time) by Mantel and Haenszel's weights.

    With a, b, c, d the cells and N the size of a study: ``OR = sum(ad/N)/sum(bc/N)``,
    ``RR = sum(a n2/N)/sum(c n1/N)``, ``RD = sum((a n2 - c n1)/N)/sum(n1 n2/N)``, and rates alike. No increments are
    added
    for the estimate; studies without events in both groups then count only for the risk difference.

    Parameters
    ----------
    measure : {"OR", "RR", "RD", "IRR", "IRD"}
    level : float
    data, study : as in :func:`comfrey.effect_sizes`
    **columns : arrays of shape (k,) or column names
        ``events_1, total_1, events_2, total_2``, or ``events_1, time_1, events_2, time_2``.

    Returns
    -------
    Stratified

    Raises
    ------
    InputError
        For impossible values; the row is named.
    NotEstimableError
        If a group has no events in any study, so that the ratio is zero or infinite.

    Examples
    --------
    >>> fit = mantel_haenszel("OR", events_1=[4, 6], total_1=[123, 306], events_2=[11, 29], total_2=[139, 303])
    >>> round(fit.estimate, 4), round(fit.se, 4)
    (-1.4215, 0.3595)
    """
    if measure not in {"OR", "RR", "RD", "IRR", "IRD"}:
        raise InputError("measure", found=repr(measure), expected="OR, RR, RD, IRR or IRD")
    sizes, cells, dropped = _read(measure, level, data, study, columns)
    if measure in {"IRR", "IRD"}:
        estimate, variance = _rates(measure, *cells)
        association = homogeneity = None
    else:
        estimate, variance = {"OR": _odds, "RR": _risks, "RD": _difference}[measure](*cells)
        association = _association(*cells) if measure == "OR" else None
        homogeneity = _tarone(math.exp(estimate), *cells) if measure == "OR" else None
    return _result(
        "Mantel-Haenszel", sizes, cells[0].size, estimate, variance, level, dropped, association, homogeneity
    )


def peto(*, level: float = 0.95, data: Any = None, study: object = None, **columns: object) -> Stratified:
    """Pool two-by-two tables by Peto's one-step method, for rare events and balanced groups.

    The log odds ratio is ``sum(O - E)/sum(V)`` with variance ``1/sum(V)``, V the hypergeometric variance.

    Parameters
    ----------
    level, data, study : as in :func:`mantel_haenszel`
    **columns : arrays of shape (k,) or column names
        ``events_1, total_1, events_2, total_2``.

    Raises
    ------
    NotEstimableError
        If no study has both events and non-events.

    Examples
    --------
    >>> round(peto(events_1=[4, 6], total_1=[123, 306], events_2=[11, 29], total_2=[139, 303]).estimate, 4)
    -1.2401
    """
    sizes, (events_1, total_1, events_2, total_2), dropped = _read("PETO", level, data, study, columns)
    total, events = total_1 + total_2, events_1 + events_2
    spread = total_1 * total_2 * events * (total - events) / (total**2 * (total - 1))
    if not spread.sum() > 0:
        raise NotEstimableError("no study has both events and non-events: there is no odds ratio")
    estimate = float((events_1 - events * total_1 / total).sum() / spread.sum())
    return _result("Peto", sizes, total.size, estimate, 1.0 / float(spread.sum()), level, dropped, None, None)


def _read(
    measure: str, level: float, data: Any, study: object, columns: dict[str, object]
) -> tuple[EffectSizes, list[Array], tuple[str, ...]]:
    if not 0 < level < 1:
        raise InputError("level", found=level, expected="a number between 0 and 1")
    if "estimate" in columns:
        raise InputError(
            "estimate", found="a given estimate", expected="events of both groups, which this method needs"
        )
    sizes = effect_sizes(measure, data=data, study=study, **columns)  # type: ignore[arg-type]  # checked there
    cells = [sizes.inputs[name] for name in sizes.measure.inputs]
    complete = ~np.any([np.isnan(cell) for cell in cells], axis=0)
    dropped = tuple(str(note) for note in sizes.warnings if note.code == "missing")
    if not complete.any():
        raise InputError("events_1", found="no complete row", expected="at least one study without gaps")
    return sizes, [cell[complete] for cell in cells], dropped


def _ratio(over: Array, under: Array) -> tuple[float, float]:
    top, bottom = float(over.sum()), float(under.sum())
    if top <= 0 or bottom <= 0:
        raise NotEstimableError("a group has no events (or nothing but events) in any study: there is no ratio")
    return top, bottom


def _odds(a: Array, n1: Array, c: Array, n2: Array) -> tuple[float, float]:
    b, d, n = n1 - a, n2 - c, n1 + n2
    r, s, p, q = a * d / n, b * c / n, (a + d) / n, (b + c) / n
    top, bottom = _ratio(r, s)
    first, cross, last = (p * r).sum(), (p * s + q * r).sum(), (q * s).sum()
    return math.log(top / bottom), float(first / (2 * top**2) + cross / (2 * top * bottom) + last / (2 * bottom**2))


def _risks(a: Array, n1: Array, c: Array, n2: Array) -> tuple[float, float]:
    n = n1 + n2
    top, bottom = _ratio(a * n2 / n, c * n1 / n)
    return math.log(top / bottom), float(((n1 * n2 * (a + c) - a * c * n) / n**2).sum() / (top * bottom))


def _difference(a: Array, n1: Array, c: Array, n2: Array) -> tuple[float, float]:
    n = n1 + n2
    weight = float((n1 * n2 / n).sum())
    estimate = float(((a * n2 - c * n1) / n).sum()) / weight
    p = (n1**2 * c - n2**2 * a + n1 * n2 * (n2 - n1) / 2) / n**2
    q = (a * (n2 - c) + c * (n1 - a)) / (2 * n)
    variance = (estimate * float(p.sum()) + float(q.sum())) / weight**2
    if not variance > 0:
        raise NotEstimableError("no study has both events and non-events: the risk difference has no variance")
    return estimate, variance


def _rates(measure: str, x1: Array, t1: Array, x2: Array, t2: Array) -> tuple[float, float]:
    t = t1 + t2
    if measure == "IRD":
        weight = float((t1 * t2 / t).sum())
        variance = float(((x1 * t2**2 + x2 * t1**2) / t**2).sum()) / weight**2
        if not variance > 0:
            raise NotEstimableError("there is no event in any study: the rate difference has no variance")
        return float(((x1 * t2 - x2 * t1) / t).sum()) / weight, variance
    top, bottom = _ratio(x1 * t2 / t, x2 * t1 / t)
    return math.log(top / bottom), float(((x1 + x2) * t1 * t2 / t**2).sum() / (top * bottom))


def _association(a: Array, n1: Array, c: Array, n2: Array) -> StratumTest:
    """Test of no association in any stratum, ``(|sum(a - E)| - 1/2)^2 / sum V``."""
    n, events = n1 + n2, a + c
    spread = float((n1 * n2 * events * (n - events) / (n**2 * np.maximum(n - 1, 1))).sum())
    excess = max(0.0, abs(float((a - n1 * events / n).sum())) - 0.5)
    statistic = excess**2 / spread
    return StratumTest(statistic, 1, float(special.chdtrc(1, statistic)))


def _tarone(odds: float, a: Array, n1: Array, c: Array, n2: Array) -> StratumTest | None:
    """Tarone's test of equal odds ratios: Breslow and Day's, corrected for the ratio not being the likeliest."""
    events = a + c
    used = (events > 0) & (events < n1 + n2)
    a, n1, n2, events = a[used], n1[used], n2[used], events[used]
    if a.size < 2:
        return None
    # expected a solves a (n2 - events + a) = odds (n1 - a)(events - a)
    if abs(odds - 1) < 1e-12:
        expected = n1 * events / (n1 + n2)
    else:
        linear = n2 - events + odds * (n1 + events)
        expected = (linear - np.sqrt(linear**2 - 4 * (odds - 1) * odds * n1 * events)) / (2 * (odds - 1))
    with np.errstate(divide="ignore"):
        parts = [expected, n1 - expected, events - expected, n2 - events + expected]
        spread = 1 / np.sum([1 / part for part in parts], axis=0)
    miss = a - expected
    statistic = float((miss**2 / spread).sum() - miss.sum() ** 2 / spread.sum())
    return StratumTest(statistic, a.size - 1, float(special.chdtrc(a.size - 1, statistic)))


def _result(
    method: str,
    sizes: EffectSizes,
    k: int,
    estimate: float,
    variance: float,
    level: float,
    dropped: tuple[str, ...],
    association: StratumTest | None,
    homogeneity: StratumTest | None,
) -> Stratified:
    if not variance > 0:
        raise NotEstimableError("every person of every study has the event: the pooled effect has no variance")
    se = math.sqrt(variance)
    half = quantile(level, None) * se
    usable = sizes.usable & (sizes.vi > 0)
    q = float(((sizes.yi[usable] - estimate) ** 2 / sizes.vi[usable]).sum())
    q_df = int(usable.sum()) - 1
    notes = []
    if sizes.increments.any():
        notes.append(f"Q alone uses increments, in {int(np.count_nonzero(sizes.increments))} studies")
    if usable.sum() < k:
        notes.append(f"Q leaves out {k - int(usable.sum())} studies that have no estimate of their own")
    return Stratified(
        estimate=estimate,
        se=se,
        statistic=estimate / se,
        p_value=two_sided(estimate / se, None),
        ci_low=estimate - half,
        ci_high=estimate + half,
        q=q,
        q_df=q_df,
        q_p=float(special.chdtrc(q_df, q)) if q_df > 0 else math.nan,
        association=association,
        homogeneity=homogeneity,
        k=k,
        method=method,
        level=level,
        measure=sizes.measure,
        sizes=sizes,
        dropped=dropped,
        notes=tuple(notes) if q_df > 0 else (*notes, "one study: there is no heterogeneity to test"),
    )
