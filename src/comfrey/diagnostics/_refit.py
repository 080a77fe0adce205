"""One fitted model, fitted again to many subsets of its studies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from comfrey.diagnostics._moments import gram, heterogeneity_of_subsets, invert, is_rough
from comfrey.diagnostics._search import tau2_of_subsets
from comfrey.errors import ConvergenceError, InputError
from comfrey.models._fit import fit_model
from comfrey.models._observed import scale_of
from comfrey.models._profile import Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.effects.measure import Array
    from comfrey.models._view import FitView

__all__ = ["Refits", "all_but_one", "blocks", "refit", "refitter", "tests_of"]

_BLOCK = 2_000_000
# Least eigenvalue of a subset's part in the basis of all studies: below it fewer than eight digits are left.
_POOR = 1e-8
_SINGULAR = 1e-13  # the same of the weighted basis, against its largest
_RANK = 1e-10  # least singular value of moderators scaled to one: below it they do not vary
_LARGEST = 1e140  # of a moderator, and one over its smallest: the squares of its coefficients are numbers too


class Refits(NamedTuple):
    """The model's numbers in each of n subsets, on the scale of the data.

    Not-a-number where a subset cannot carry the model. `covariance` has the factor of the fit's test. `proved` says
    where the maximum is known to be the global one.
    """

    beta: Array  # (n, p)
    covariance: Array  # (n, p, p)
    tau2: Array
    i2: Array
    h2: Array
    q: Array
    df: Array
    k: Array
    inner: Array  # (n, p, p): (X'WX)^-1, without the factor of the test
    proved: np.ndarray[Any, np.dtype[np.bool_]]


def all_but_one(k: int) -> Iterator[Array]:
    """Blocks of the masks that leave out one study each."""
    step = max(1, _BLOCK // k)
    for start in range(0, k, step):
        rows = np.arange(start, min(k, start + step))
        masks = np.ones((rows.size, k))
        masks[np.arange(rows.size), rows] = 0.0
        yield masks


def blocks(masks: Array) -> Iterator[Array]:
    """Cut the masks into blocks of bounded size."""
    step = max(1, _BLOCK // masks.shape[1])
    for start in range(0, masks.shape[0], step):
        yield masks[start : start + step]


def refit(fit: FitView, masks: Iterator[Array]) -> Refits:
    """Fit the model of `fit` (same method and test) to each subset; a tau2 that was given stays as given.

    Parameters
    ----------
    fit : FitView
    masks : iterator over arrays of shape (m, k)
    """
    one = refitter(fit)
    parts = [_with_rough(fit, block, one(block)) for block in masks]
    return parts[0] if len(parts) == 1 else Refits(*(np.concatenate(items) for items in zip(*parts, strict=True)))


def _with_rough(fit: FitView, masks: Array, found: Refits) -> Refits:
    """Fit alone what could not be fitted beside the others: subsets whose moderators vary little next to those of all.

    The basis that all subsets share is that of all studies. Without a study far away from the others it is a poor one.
    """
    for row in np.flatnonzero(np.isnan(found.tau2) & (found.df >= 0)).tolist():
        keep = masks[row] > 0
        X = fit.X[keep]
        size = np.abs(X).max(axis=0)
        if not ((size > 1.0 / _LARGEST) & (size < _LARGEST)).all():
            continue
        if np.linalg.svd(X / size, compute_uv=False)[-1] < _RANK:
            continue
        alone = _alone(fit, keep, X)
        if alone is not None:
            for name, value in alone._asdict().items():
                getattr(found, name)[row] = value
    return found


class _Alone(NamedTuple):
    beta: Array
    covariance: Array
    tau2: float
    i2: float
    h2: float
    q: float
    inner: Array
    proved: bool


def _alone(fit: FitView, keep: np.ndarray[Any, np.dtype[np.bool_]], X: Array) -> _Alone | None:
    yi, vi = fit.yi[keep], fit.vi[keep]
    try:
        one = fit_model(yi, vi, X, fit.method, fit.test, fit.known_tau2) if X.shape[0] > X.shape[1] else None
    except (InputError, ConvergenceError, np.linalg.LinAlgError):
        return None
    tau2 = 0.0 if one is None else one.tau2
    root = 1.0 / np.sqrt(vi + tau2)
    q, triangle = np.linalg.qr(X * root[:, None])
    back = np.linalg.inv(triangle)
    inner = back @ back.T
    if one is None:
        return _Alone(back @ (q.T @ (root * yi)), inner, 0.0, 0.0, 1.0, 0.0, inner, True)
    proved = one.certificate.global_maximum or fit.method not in {"ML", "REML"}
    return _Alone(one.beta, one.covariance, tau2, one.i2, one.h2, one.q, inner, proved)


def refitter(fit: FitView) -> Callable[[Array], Refits]:
    """Make the function that takes masks to refits, with what is common to all of them computed once."""
    scale = scale_of(fit.vi)
    middle = float(np.median(fit.yi)) if fit.constant else 0.0
    basis, back = None, np.ones((1, 1))
    if not fit.constant:
        basis, triangle = np.linalg.qr(fit.X)
        back = np.linalg.inv(triangle)
    data = Observed((fit.yi - middle) / scale, fit.vi / scale**2, basis)
    known = None if fit.known_tau2 is None else fit.known_tau2 / scale**2
    return lambda masks: _one_block(data, masks, fit.method, known, fit.test, scale, middle, back)


def _one_block(
    data: Observed, masks: Array, method: str, known: float | None, test: str, scale: float, middle: float, back: Array
) -> Refits:
    count, p = masks.shape[0], data.p
    k = masks.sum(axis=1)
    df = k - p
    fits = df >= 0
    if data.basis is not None:
        fits &= np.linalg.eigvalsh(gram(data.basis, masks))[:, 0] > _POOR
        ends = np.linalg.eigvalsh(gram(data.basis, masks / data.v))[:, [0, -1]]
        fits &= ends[:, 0] > _SINGULAR * ends[:, 1]
    free = fits & (df > 0)
    beta, inner = np.full((count, p), math.nan), np.full((count, p, p), math.nan)
    tau2, q = np.where(fits, 0.0, math.nan), np.where(fits, 0.0, math.nan)
    i2, h2 = np.where(fits, 0.0, math.nan), np.where(fits, 1.0, math.nan)
    proved = np.ones(count, dtype=bool)
    factor = np.ones(count)
    if free.any():
        part, part_df = (masks, df) if free.all() else (masks[free], df[free])
        if known is None:
            tau2[free], proved[free] = tau2_of_subsets(data, part, part_df, method)
        else:
            tau2[free] = known
        q[free], trace = heterogeneity_of_subsets(data, part)
        i2[free], h2[free] = _heterogeneity(method, q[free], trace, part_df, tau2[free])
    if fits.any():
        part = masks if fits.all() else masks[fits]
        own, inverse, rss = _solve(data, part, tau2[fits])
        if test in {"hk", "hk-adhoc"}:
            mean = rss / np.maximum(df[fits], 1.0)
            factor[fits] = np.where(df[fits] > 0, mean if test == "hk" else np.maximum(1.0, mean), 1.0)
        beta[fits], inner[fits] = own @ back.T, back @ inverse @ back.T
    return Refits(
        beta=beta * scale + middle,
        covariance=inner * (factor * scale**2)[:, None, None],
        tau2=tau2 * scale**2,
        i2=i2,
        h2=h2,
        q=q,
        df=df,
        k=k,
        inner=inner * scale**2,
        proved=proved,
    )


def _solve(data: Observed, masks: Array, tau2: Array) -> tuple[Array, Array, Array]:
    """Coefficients, ``(X'WX)^-1`` and weighted sum of squared residuals of each subset at its tau2."""
    w = data.v + tau2[:, None]
    np.divide(masks, w, out=w)
    if data.basis is None and not is_rough(data):
        middle = float(np.median(data.y))
        y = data.y - middle
        s1, y1, yy1 = (w @ np.column_stack((np.ones(data.k), y, y * y))).T
        mean = y1 / s1
        return (mean + middle)[:, None], (1.0 / s1)[:, None, None], np.maximum(yy1 - mean * y1, 0.0)
    basis = np.ones((data.k, 1)) if data.basis is None else data.basis
    inverse = invert(gram(basis, w))
    own = np.einsum("nij,nj->ni", inverse, (w * data.y) @ basis)
    residual = data.y - own @ basis.T
    return own, inverse, np.einsum("nk,nk->n", w * residual, residual)


def _heterogeneity(method: str, q: Array, trace: Array, df: Array, tau2: Array) -> tuple[Array, Array]:
    """I2 in percent and H2: from Q for an equal-effects model, else from tau2 and the typical sampling variance."""
    if method == "EE":
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(q > 0, np.maximum(0.0, 100.0 * (q - df) / q), 0.0), q / df
    typical = df / trace
    return 100.0 * tau2 / (tau2 + typical), tau2 / typical + 1.0


def tests_of(fit: FitView, found: Refits) -> dict[str, Array]:
    """Standard errors, tests and confidence intervals of each refit, by the test of the fit: arrays of shape (n, p).

    A subset without degrees of freedom (one study alone) has the normal interval, as :func:`comfrey.pool` gives it.
    """
    se = np.sqrt(np.einsum("nii->ni", found.covariance))
    upper = 0.5 + fit.level / 2
    normal = float(special.ndtri(upper))
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.where(se > 0, found.beta / se, math.nan)
    if fit.test == "z":
        p_value, reach = 2.0 * special.ndtr(-np.abs(statistic)), np.full(se.shape[0], normal)
    else:
        df = np.maximum(found.df, 1.0)
        some = found.df > 0
        reach = np.where(some, special.stdtrit(df, upper), normal)
        tails = np.where(
            some[:, None], special.stdtr(df[:, None], -np.abs(statistic)), special.ndtr(-np.abs(statistic))
        )
        p_value = 2.0 * tails
    half = reach[:, None] * se
    return {
        "estimate": found.beta,
        "se": se,
        "statistic": statistic,
        "p_value": p_value,
        "ci_low": found.beta - half,
        "ci_high": found.beta + half,
    }
