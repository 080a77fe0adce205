"""Mantel-Haenszel and Peto estimates without each study, with more and more of them, and in every subset.

The estimates are functions of a few sums over the studies, so every subset costs a product of its mask with one small
table: nothing is searched for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from comfrey.diagnostics._refit import all_but_one
from comfrey.diagnostics._table import why_no_test
from comfrey.diagnostics.leave_one_out import Cumulative, LeaveOneOut, sequence_of
from comfrey.diagnostics.subsets import Subsets, bounded, masks_of
from comfrey.errors import NotEstimableError
from comfrey.models._strata import ESTIMATORS

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models.stratified import Stratified

__all__ = ["baujat_of_strata", "cumulative_strata", "leave_one_stratum_out", "subsets_of_strata"]


class _Sums(NamedTuple):
    """Estimate, variance and heterogeneity of n subsets."""

    estimate: Array
    variance: Array
    q: Array
    df: Array
    k: Array


def leave_one_stratum_out(fit: Stratified) -> LeaveOneOut:
    """Pool again without each study in turn, in O(k^2).

    Parameters
    ----------
    fit : Stratified

    Returns
    -------
    LeaveOneOut
        As for pooled fits; tau2 is zero, as the model has one effect for all.

    Raises
    ------
    NotEstimableError
        If there is one study only.

    Examples
    --------
    >>> import comfrey as cf
    >>> arms = {"events_1": [4, 6, 3], "total_1": [123, 306, 231], "events_2": [11, 29, 11], "total_2": [139, 303, 220]}
    >>> leave_one_stratum_out(cf.mantel_haenszel("OR", **arms)).estimate.round(3)
    array([-1.58 , -1.15 , -1.422])
    """
    if fit.k < 2:
        raise NotEstimableError(f"leave-one-out needs at least 2 studies, and there are {fit.k}")
    found = _sums(fit, np.concatenate(list(all_but_one(fit.k))))
    notes = tuple(
        f"{fit.labels[row]}: without it there is no estimate (a group has no events)"
        for row in np.flatnonzero(np.isnan(found.estimate)).tolist()
    )
    table = _columns(fit, found, fit.labels)
    return LeaveOneOut(**table, notes=notes + why_no_test(table["estimate"], table["se"], table["q_p"]))


def cumulative_strata(fit: Stratified, order: object = None) -> Cumulative:
    """Pool the first study, the first two, and so on.

    Parameters
    ----------
    fit : Stratified
    order : as in :func:`comfrey.diagnostics.leave_one_out.cumulative`
        A study without an estimate of its own comes last where "precision" or "estimate" is asked for.

    Examples
    --------
    >>> import comfrey as cf
    >>> arms = {"events_1": [4, 6, 3], "total_1": [123, 306, 231], "events_2": [11, 29, 11], "total_2": [139, 303, 220]}
    >>> cumulative_strata(cf.peto(**arms), order=[1960, 1948, 1949]).labels
    ('row 1', 'row 2', 'row 0')
    """
    own, variance = (np.where(fit._own[1] > 0, part, np.inf) for part in fit._own)
    sequence = sequence_of(fit.k, fit.rows, own, variance, order)
    place = np.empty(fit.k, dtype=int)
    place[sequence] = np.arange(fit.k)
    found = _sums(fit, (place[None, :] <= np.arange(fit.k)[:, None]).astype(float))
    labels = tuple(fit.labels[row] for row in sequence.tolist())
    notes = tuple(
        f"{labels[row]}: the studies so far give no estimate (a group has no events)"
        for row in np.flatnonzero(np.isnan(found.estimate)).tolist()
    )
    table = _columns(fit, found, labels)
    notes += why_no_test(table["estimate"], table["se"], table["q_p"])
    return Cumulative(**table, notes=notes, order=sequence)


def subsets_of_strata(fit: Stratified, maximum: int = 2**20 - 1, seed: int = 0) -> Subsets:
    """Pool all non-empty subsets of the studies, or a random sample if there are more than `maximum`.

    Parameters
    ----------
    fit : Stratified
    maximum, seed : as in :func:`comfrey.diagnostics.subsets.subsets`

    Examples
    --------
    >>> import comfrey as cf
    >>> arms = {"events_1": [4, 6, 3], "total_1": [123, 306, 231], "events_2": [11, 29, 11], "total_2": [139, 303, 220]}
    >>> found = subsets_of_strata(cf.mantel_haenszel("RR", **arms))
    >>> len(found), round(float(found.estimate.min()), 3)
    (7, -1.585)
    """
    count, complete = bounded(fit.k, maximum)
    if fit.k < 2:
        raise NotEstimableError(f"the display of subsets needs at least 2 studies, and there are {fit.k}")
    estimate, q, df = np.empty(count), np.empty(count), np.empty(count)
    sizes, members = np.empty(count, dtype=np.int32), np.empty((count, (fit.k + 7) // 8), dtype=np.uint8)
    start = 0
    for packed, masks in masks_of(fit.k, count, None if complete else seed):
        found = _sums(fit, masks)
        part = slice(start, start + masks.shape[0])
        estimate[part], q[part], df[part], sizes[part], members[part] = (
            found.estimate,
            found.q,
            found.df,
            found.k,
            packed,
        )
        start += masks.shape[0]
    missing = int(np.isnan(estimate).sum())
    notes = (f"{missing} subsets give no estimate: a group has no events",) if missing else ()
    i2, h2 = _heterogeneity(q, df)
    return Subsets(
        labels=fit.labels,
        terms=("Intercept",),
        estimate=estimate,
        tau2=np.where(np.isnan(estimate), np.nan, 0.0),
        i2=i2,
        h2=h2,
        q=q,
        k=sizes,
        complete=complete,
        seed=None if complete else seed,
        unproved=0,
        method=fit.method,
        notes=notes,
        _members=members,
    )


def baujat_of_strata(fit: Stratified) -> pd.DataFrame:
    """Coordinates of Baujat's plot: part of each study in Q, and squared shift of the estimate without it.

    Not-a-number where a study has no estimate of its own, or there is none without it.

    References
    ----------
    Baujat et al. 2002, doi:10.1002/sim.1221.

    Examples
    --------
    >>> import comfrey as cf
    >>> arms = {"events_1": [4, 6, 3], "total_1": [123, 306, 231], "events_2": [11, 29, 11], "total_2": [139, 303, 220]}
    >>> baujat_of_strata(cf.mantel_haenszel("OR", **arms))["shift"].round(3).tolist()
    [0.197, 0.359, 0.0]
    """
    import pandas as pd

    own, variance = fit._own
    without = leave_one_stratum_out(fit)
    share = np.where(variance > 0, (own - fit.estimate) ** 2 / np.where(variance > 0, variance, 1.0), np.nan)
    shift = ((fit.estimate - without.estimate) / without.se) ** 2
    return pd.DataFrame({"heterogeneity_share": share, "shift": shift}, index=pd.Index(fit.labels, name="study"))


def _sums(fit: Stratified, masks: Array) -> _Sums:
    estimate, variance = ESTIMATORS[fit.measure.name].solve(masks @ fit._terms)
    own, spread = fit._own
    some = spread > 0
    weight = np.where(some, 1.0 / np.where(some, spread, 1.0), 0.0)
    # measured from the middle of all studies, the squares lose no digits to a common shift
    away, move = own - fit.estimate, estimate - fit.estimate
    zero, one, two = (masks @ np.column_stack((weight, weight * away, weight * away**2))).T
    q = np.maximum(two - 2.0 * move * one + move**2 * zero, 0.0)
    counted = masks @ some.astype(float)
    return _Sums(estimate, variance, np.where(counted > 1, q, np.where(np.isnan(move), np.nan, 0.0)),
                 np.maximum(counted - 1, 0.0), masks.sum(axis=1))  # fmt: skip


def _heterogeneity(q: Array, df: Array) -> tuple[Array, Array]:
    """I2 in percent and H2 from Q, zero and one for a study alone."""
    some = (df > 0) & (q > 0)
    none = np.where(np.isnan(q), np.nan, 0.0)
    i2 = np.where(some, np.maximum(0.0, 100.0 * (1.0 - df / np.where(some, q, 1.0))), none)
    return i2, np.where(df > 0, q / np.maximum(df, 1.0), none + 1.0)


def _columns(fit: Stratified, found: _Sums, labels: tuple[str, ...]) -> dict[str, Any]:
    se = np.sqrt(found.variance)
    statistic = found.estimate / se
    half = float(special.ndtri(0.5 + fit.level / 2)) * se
    i2, h2 = _heterogeneity(found.q, found.df)
    return {
        "labels": labels,
        "terms": ("Intercept",),
        "estimate": found.estimate,
        "se": se,
        "statistic": statistic,
        "p_value": 2.0 * special.ndtr(-np.abs(statistic)),
        "ci_low": found.estimate - half,
        "ci_high": found.estimate + half,
        "tau2": np.where(np.isnan(found.estimate), np.nan, 0.0),
        "i2": i2,
        "h2": h2,
        "q": found.q,
        "q_p": np.where(found.df > 0, special.chdtrc(np.maximum(found.df, 1.0), found.q), np.nan),
        "k": found.k,
        "method": fit.method,
        "test": "z",
        "level": fit.level,
    }
