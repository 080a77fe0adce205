"""Mantel-Haenszel and Peto estimates: pooling tables with one common effect, without increments.

Sources: Mantel & Haenszel 1959 (doi:10.1093/jnci/22.4.719); Robins, Breslow & Greenland 1986 (doi:10.2307/2531052)
for the odds ratio; Greenland & Robins 1985 (doi:10.2307/2530643) for risk ratio and rates; Sato, Greenland & Robins
1989 for the risk difference (doi:10.2307/2531780); Tarone 1985 (doi:10.1093/biomet/72.1.91); Yusuf et al. 1985
(doi:10.1016/S0033-0620(85)80003-7) for Peto.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy import special

from comfrey.diagnostics._methods import DiagnosableStrata
from comfrey.effects.sizes import EffectSizes, effect_sizes
from comfrey.errors import InputError, NotEstimableError
from comfrey.models._fit import quantile, two_sided
from comfrey.models._strata import ESTIMATORS
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
class Stratified(DiagnosableStrata, Result):
    """A common effect over the strata (studies), on the scale of analysis.

    Attributes
    ----------
    estimate, se, statistic, p_value, ci_low, ci_high : float
        Normal test and interval.
    q, q_df, q_p : float, int, float
        Heterogeneity: the studies' own estimates (with increments where needed) about the common one. Studies without
        events in both groups, or with nothing but events, tell nothing of it and are left out, with a note.
    association : StratumTest or None
        Cochran-Mantel-Haenszel test of no association (odds ratio only; with continuity correction).
    homogeneity : StratumTest or None
        Tarone's test that the odds ratios are equal (odds ratio only).
    k : int
        Studies used; `dropped` lists the others.
    weights : array of shape (k,)
        In percent, summing to 100: of a ratio, the shares in the sum under the line.
    rows : array of shape (k,)
        Places of the studies used in what was given (`sizes`).
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
    weights: Array = field(repr=False)
    rows: np.ndarray[Any, np.dtype[np.intp]] = field(repr=False)
    measure: Measure
    sizes: EffectSizes
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    _terms: Array = field(repr=False)
    _own: Array = field(repr=False)  # the studies' own estimates and variances, shape (2, k); a variance of zero: none

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the studies used, shape (k,); ``row 0`` and so on where none were given."""
        names = self.sizes.study
        return tuple(names[row] if names else f"row {row}" for row in self.rows.tolist())

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
    sizes, rows, cells, dropped = _read(measure, level, data, study, columns)
    association = homogeneity = None
    estimate, variance, terms = _estimate(measure, cells)
    if measure == "OR":
        association, homogeneity = _association(*cells), _tarone(math.exp(estimate), *cells)
    return _result("Mantel-Haenszel", sizes, rows, terms, estimate, variance, level, dropped, association, homogeneity)


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
    sizes, rows, cells, dropped = _read("PETO", level, data, study, columns)
    estimate, variance, terms = _estimate("PETO", cells)
    return _result("Peto", sizes, rows, terms, estimate, variance, level, dropped, None, None)


_WHY_NOT = {
    "RD": "no study has both events and non-events: the risk difference has no variance",
    "IRD": "there is no event in any study: the rate difference has no variance",
    "PETO": "no study has both events and non-events: there is no odds ratio",
}


def _estimate(measure: str, cells: list[Array]) -> tuple[float, float, Array]:
    """Estimate, variance, and the terms whose sums they come from."""
    estimator = ESTIMATORS[measure]
    terms = estimator.terms(cells)
    sums = terms.sum(axis=0, keepdims=True)
    estimate, variance = (float(value[0]) for value in estimator.solve(sums))
    if not math.isfinite(estimate):
        if measure == "RR" and (sums[0, :2] > 0).all():
            raise NotEstimableError("every person of every study has the event: the pooled effect has no variance")
        raise NotEstimableError(
            _WHY_NOT.get(measure, "a group has no events (or nothing but events) in any study: there is no ratio")
        )
    return estimate, variance, terms


def _read(
    measure: str, level: float, data: Any, study: object, columns: dict[str, object]
) -> tuple[EffectSizes, np.ndarray[Any, np.dtype[np.intp]], list[Array], tuple[str, ...]]:
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
    return sizes, np.flatnonzero(complete), [cell[complete] for cell in cells], dropped


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
    rows: np.ndarray[Any, np.dtype[np.intp]],
    terms: Array,
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
    own = _own_estimates(sizes, rows)
    usable = own[1] > 0
    q = float(((own[0, usable] - estimate) ** 2 / own[1, usable]).sum())
    q_df = int(usable.sum()) - 1
    notes, k = [], int(rows.size)
    share = terms[:, ESTIMATORS[sizes.measure.name].weight]
    added = int(np.count_nonzero(sizes.increments[rows][usable]))
    if added:
        notes.append(f"Q alone uses increments, in {added} {'study' if added == 1 else 'studies'}")
    alone = k - int(usable.sum())
    if alone:
        which = "one study that has" if alone == 1 else f"{alone} studies that have"
        notes.append(f"Q leaves out {which} no estimate alone")
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
        weights=100.0 * share / share.sum(),
        rows=rows,
        measure=sizes.measure,
        sizes=sizes,
        dropped=dropped,
        notes=tuple(notes) if q_df > 0 else (*notes, "one study: there is no heterogeneity to test"),
        _terms=terms,
        _own=own,
    )


def _own_estimates(sizes: EffectSizes, rows: np.ndarray[Any, np.dtype[np.intp]]) -> Array:
    """Estimates and variances of the studies alone, shape (2, k), both zero where a study has none."""
    cells = {name: column[rows] for name, column in sizes.inputs.items()}
    events = cells["events_1"] + cells["events_2"]
    some = sizes.usable[rows] & (sizes.vi[rows] > 0) & (events > 0)
    if "total_1" in cells:
        some &= events < cells["total_1"] + cells["total_2"]
    return np.where(some, np.stack((sizes.yi[rows], sizes.vi[rows])), 0.0)
