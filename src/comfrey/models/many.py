"""Many meta-analyses at once: :func:`pool_many`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from comfrey.effects._columns import as_floats, pick
from comfrey.effects.sizes import EffectSizes
from comfrey.errors import InputError
from comfrey.models._block import STAGES, Block, fit_block
from comfrey.models._fit import check_choices, fit_model, quantile, typical_variance
from comfrey.models._tails import chi_squared_tail, t_two_sided

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._fit import Test
    from comfrey.models.tau2 import Method

__all__ = ["pool_many"]

_WIDE = 1e5  # ratio of variances from which a group is fitted by itself, with more careful sums
_CHUNK = 64_000  # numbers in one block: they stay in the processor's cache
_INDEX = np.ndarray[Any, np.dtype[np.intp]]


def pool_many(
    yi: object,
    vi: object = None,
    groups: object = None,
    method: Method = "REML",
    test: Test = "hk",
    *,
    level: float = 0.95,
    data: Any = None,
) -> pd.DataFrame:
    """Pool each group of studies by itself, all groups at once.

    The numbers are those of :func:`comfrey.pool` for each group; groups of the same size are computed side by side.

    Parameters
    ----------
    yi, vi : arrays of shape (n,), column names, or an EffectSizes and nothing
        Estimates and sampling variances of all studies.
    groups : array of shape (n,) or column name
        Which group each study belongs to; groups need not be sorted.
    method, test, level : as in :func:`comfrey.pool`
    data : DataFrame or mapping, optional
        Where column names are looked up.

    Returns
    -------
    DataFrame
        One row a group, in the order of their first rows, indexed by group: k, dropped, estimate, se, df, statistic,
        p_value, ci_low, ci_high, pi_low, pi_high, tau2, i2, h2, q, q_p, global_maximum, note. A value that cannot be
        computed is missing, and `note` says why. `dropped` counts the rows with a missing value.

    Raises
    ------
    InputError
        For values that cannot be used; the row is named.

    Examples
    --------
    >>> table = pool_many([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08], ["a", "a", "b", "b"], method="DL", test="z")
    >>> table["estimate"].round(4).to_dict()
    {'a': 0.2875, 'b': 0.5583}
    """
    import pandas as pd

    check_choices(method, test, level)
    if isinstance(yi, EffectSizes):
        estimates, variances = yi.yi, yi.vi
    else:
        if vi is None:
            raise InputError("vi", found="nothing", expected="the sampling variances, one a study")
        estimates, variances = as_floats("yi", pick("yi", yi, data)), as_floats("vi", pick("vi", vi, data))
    if groups is None:
        raise InputError("groups", found="nothing", expected="the group of each study")
    labels = np.asarray(pick("groups", groups, data))
    if not estimates.size == variances.size == labels.size:
        sizes = f"{estimates.size} estimates, {variances.size} variances, {labels.size} groups"
        raise InputError("groups", found=sizes, expected="the same number of each")
    order, starts, names = _group(labels)
    dropped = np.zeros(starts.size, dtype=int)
    sizes_of = np.diff(np.append(starts, labels.size))
    if order is not None:
        estimates, variances = estimates[order], variances[order]
    usable = np.isfinite(estimates) & np.isfinite(variances)
    bad = usable & ~(variances > 0)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        row = place if order is None else int(order[place])
        raise InputError("vi", found=f"{variances[place]:g}", expected="a variance above zero", row=row)
    if not usable.all():
        dropped = np.add.reduceat((~usable).astype(int), starts) if starts.size else dropped
        sizes_of = sizes_of - dropped
        estimates, variances = estimates[usable], variances[usable]
        starts = np.concatenate([[0], np.cumsum(sizes_of)[:-1]])
    block = _fit_all(estimates, variances, starts, sizes_of, method)
    table = {"k": sizes_of, "dropped": dropped, **_table(block, sizes_of, method, test, level)}
    return pd.DataFrame(table, index=pd.Index(names, name="group"))


def _group(labels: np.ndarray[Any, Any]) -> tuple[_INDEX | None, _INDEX, Any]:
    """Give the order that brings groups together (None if they are), their starts, and their names as they appear."""
    import pandas as pd

    if labels.ndim != 1:
        raise InputError("groups", found=f"an array of shape {labels.shape}", expected="one group a study")
    if not labels.size:
        return None, np.zeros(0, dtype=np.intp), labels
    if labels.dtype.kind in "iu":
        starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
        names = labels[starts]
        if (names[1:] > names[:-1]).all():
            return None, starts, names
    codes, names = pd.factorize(labels)
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        raise InputError("groups", found="a missing value", expected="the group of the study", row=row)
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes))[:-1]])
    return order, starts, names


def _by_size(sizes: _INDEX) -> list[tuple[int, _INDEX]]:
    """List the sizes, each with the places of its groups."""
    counts = np.bincount(sizes)
    if np.count_nonzero(counts) == 1:
        return [(int(sizes[0]), np.arange(sizes.size))]
    order = np.argsort(sizes, kind="stable")
    ends = np.cumsum(counts)
    return [(k, order[ends[k] - counts[k] : ends[k]]) for k in np.flatnonzero(counts).tolist()]


def _fit_all(yi: Array, vi: Array, starts: _INDEX, sizes: _INDEX, method: str) -> Block:
    """Fit every group of two studies or more, those of one size side by side; the others are filled in by hand."""
    count = starts.size
    empty = [np.full(count, np.nan) for _ in range(6)]
    out = Block(empty[0], empty[1], empty[2], empty[3], empty[4], empty[5], np.ones(count, dtype=bool))
    for k, columns in _by_size(sizes):
        if k == 1:
            out.estimate[columns], out.sum_w[columns] = yi[starts[columns]], 1.0 / vi[starts[columns]]
        if k < 2:
            continue
        left = columns
        stages = STAGES if method in {"REML", "ML"} else STAGES[:1]
        for points in stages:
            _fit_columns(out, yi, vi, starts, left, k, method, points)
            left = left[~out.proved[left]] if points else left
    return out


def _fit_columns(
    out: Block, yi: Array, vi: Array, starts: _INDEX, columns: _INDEX, k: int, method: str, points: int
) -> None:
    """Fit groups of one size, a block at a time, and write their numbers into `out`."""
    powers = (1, -2, 0, 2, 0, 2)  # how each number goes back to the scale of the data
    step = max(1, _CHUNK // k)
    for begin in range(0, columns.size, step):
        part = columns[begin : begin + step]
        y, v = _columns(yi, starts[part], k), _columns(vi, starts[part], k)
        low, high, farthest = v.min(axis=0), v.max(axis=0), np.abs(y).max(axis=0)
        hard = (high > _WIDE * low) | (farthest > 1e50 * np.sqrt(low)) | (farthest > 1e150)
        if hard.any():
            for place in np.flatnonzero(hard):
                _fit_alone(out, int(part[place]), y[:, place].copy(), v[:, place].copy(), method)
            part, y, v = part[~hard], y[:, ~hard], v[:, ~hard]
            if not part.size:
                continue
        y, v, scale = _scaled(y, v)
        found = fit_block(y, v, method, points)
        for target, source, power in zip(out[:6], found[:6], powers, strict=True):
            target[part] = source if power == 0 or scale is None else source * scale**power
        out.proved[part] = found.proved


def _fit_alone(out: Block, group: int, yi: Array, vi: Array, method: str) -> None:
    """Fit one group as :func:`comfrey.pool` does: for variances that lie very far apart."""
    fit = fit_model(yi, vi, None, method, "z")
    out.estimate[group], out.sum_w[group] = fit.beta[0], 1.0 / fit.covariance[0, 0]
    out.rss[group], out.tau2[group] = fit.hk_factor * fit.q_df, fit.tau2
    out.q[group], out.typical[group] = fit.q, typical_variance(yi, vi, None)
    out.proved[group] = fit.certificate.global_maximum or method not in {"ML", "REML"}


def _columns(values: Array, starts: _INDEX, k: int) -> Array:
    """Bring groups of one size side by side, shape (k, c)."""
    first, last = int(starts[0]), int(starts[-1])
    if last - first == (starts.size - 1) * k:  # they lie side by side
        return np.ascontiguousarray(values[first : last + k].reshape(-1, k).T)
    return np.ascontiguousarray(values[starts + np.arange(k)[:, None]])


def _scaled(y: Array, v: Array) -> tuple[Array, Array, Array | None]:
    """Scale each column by a power of two where its numbers are far from one."""
    if v.min() > 1e-60 and v.max() < 1e60 and np.abs(y).max() < 1e60:
        return y, v, None
    scale = np.exp2(np.round(0.5 * np.log2(v.min(axis=0))))
    return y / scale, v / scale / scale, scale


def _table(block: Block, sizes: _INDEX, method: str, test: str, level: float) -> dict[str, Any]:
    """Intervals, tests and heterogeneity of all groups."""
    many, single = sizes >= 2, sizes == 1
    df = np.where(many, sizes - 1.0, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = 1.0 / block.sum_w
        factor = block.rss / df
        if test == "hk":
            variance = np.where(many, variance * factor, variance)
        elif test == "hk-adhoc":
            variance = np.where(many, variance * np.maximum(1.0, factor), variance)
        se = np.sqrt(variance)
        statistic = np.where(se > 0, block.estimate / se, np.nan)
        normal = np.full(sizes.size, test == "z") | single
        p_value = 2.0 * special.ndtr(-np.abs(statistic)) if test == "z" else np.full(sizes.size, np.nan)
        reach, q_p = np.full(sizes.size, quantile(level, None)), np.full(sizes.size, np.nan)
        for k, places in _by_size(sizes):
            if k > 1:
                q_p[places] = chi_squared_tail(block.q[places], k - 1)
            if k > 1 and test != "z":
                reach[places] = quantile(level, float(k - 1))
                p_value[places] = t_two_sided(statistic[places], k - 1)
            elif k == 1:
                p_value[places] = 2.0 * special.ndtr(-np.abs(statistic[places]))
        half, wide = reach * se, reach * np.sqrt(variance + block.tau2)
        if method == "EE":
            wide = np.full(sizes.size, np.nan)
            h2 = block.q / df
            i2 = 100.0 * (1.0 - 1.0 / np.maximum(h2, 1.0))  # below one there is no heterogeneity
        else:
            h2 = block.tau2 / block.typical + 1.0
            i2 = 100.0 * block.tau2 / (block.tau2 + block.typical)
        i2 = np.where(many, i2, np.nan)
    note = np.full(sizes.size, "", dtype=object)
    if method == "EE":
        note[many] = "no prediction interval: an equal-effects model has one true effect"
    note[sizes == 0] = "no usable study"
    note[single] = "one study: no heterogeneity can be estimated, and the interval is the study's own (normal)"
    note[many & ~(se > 0)] = "the estimates are all equal: the Knapp-Hartung error is zero; use test='hk-adhoc'"
    return {
        "estimate": block.estimate,
        "se": se,
        "df": np.where(normal, np.nan, df),
        "statistic": statistic,
        "p_value": p_value,
        "ci_low": block.estimate - half,
        "ci_high": block.estimate + half,
        "pi_low": np.where(many, block.estimate - wide, np.nan),
        "pi_high": np.where(many, block.estimate + wide, np.nan),
        "tau2": block.tau2,
        "i2": i2,
        "h2": h2,
        "q": np.where(single, 0.0, block.q),
        "q_p": q_p,
        "global_maximum": block.proved,
        "note": note,
    }
