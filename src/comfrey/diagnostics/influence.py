"""How much each study bears on the result: residuals, leverages and deletion diagnostics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from comfrey.diagnostics._moments import gram
from comfrey.diagnostics._refit import all_but_one, refit
from comfrey.diagnostics._table import check_size, notes_of, of_one_coefficient
from comfrey.models._observed import scale_of
from comfrey.models._view import view_of
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.diagnostics._refit import Refits
    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit, FitView

__all__ = ["Influence", "influence"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Influence(Result):
    """Influence diagnostics, one value a study.

    Attributes
    ----------
    residual, rstandard : arrays of shape (k,)
        ``y_i - x_i b``, and it divided by its standard error (internally standardised).
    rstudent : array of shape (k,)
        Residual from the fit without the study, divided by its standard error (externally studentised).
    dffits : array of shape (k,)
        Shift of the study's fitted value when it is left out, in standard errors.
    cook_distance : array of shape (k,)
        Shift of all coefficients, squared, in units of their covariance.
    cov_ratio : array of shape (k,)
        Determinant of the coefficients' covariance without the study, over that with it: below one, the study costs
        precision.
    tau2_deleted, q_deleted : arrays of shape (k,)
        tau2 and Cochran's Q without the study.
    hat, weight : arrays of shape (k,)
        Leverage; weight in percent.
    dfbetas : array of shape (k,), or (k, p) for a regression
        Shift of each coefficient, in standard errors.
    heterogeneity_share, shift : arrays of shape (k,)
        The axes of Baujat's plot: squared Pearson residual (with method EE the study's part of Q), and the squared
        shift of its fitted value over the variance of that value without the study.
    influential : array of bool of shape (k,)
        Whether any of the bounds of Viechtbauer & Cheung 2010 is passed (see :func:`influence`).
    """

    labels: tuple[str, ...]
    terms: tuple[str, ...]
    residual: Array
    rstandard: Array
    rstudent: Array
    dffits: Array
    cook_distance: Array
    cov_ratio: Array
    tau2_deleted: Array
    q_deleted: Array
    hat: Array
    weight: Array
    dfbetas: Array
    heterogeneity_share: Array
    shift: Array
    influential: np.ndarray[Any, np.dtype[np.bool_]]
    method: str
    test: str
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a study."""
        import pandas as pd

        names = ("rstudent", "dffits", "cook_distance", "cov_ratio", "tau2_deleted", "q_deleted", "hat", "weight")
        table: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.dfbetas.ndim == 1:
            table["dfbetas"] = self.dfbetas
        else:
            table |= {f"dfbetas {term}": self.dfbetas[:, j] for j, term in enumerate(self.terms)}
        table["influential"] = self.influential
        return pd.DataFrame(table, index=pd.Index(self.labels, name="study"))

    @property
    def baujat(self) -> pd.DataFrame:
        """Coordinates of Baujat's plot: heterogeneity_share (across) and shift (up), one row a study."""
        import pandas as pd

        table = {"heterogeneity_share": self.heterogeneity_share, "shift": self.shift}
        return pd.DataFrame(table, index=pd.Index(self.labels, name="study"))

    @property
    def headline(self) -> tuple[str, ...]:
        """How many studies are influential."""
        count = int(self.influential.sum())
        which = f": {', '.join(name for name, flag in zip(self.labels, self.influential, strict=True) if flag)}"
        first = f"Influence of {len(self.labels)} studies; {count} influential{which if count else ''}"
        return (first, f"tau2 by {self.method}; test {self.test}", *(f"note: {text}" for text in self.notes))


def influence(fit: AnyFit) -> Influence:
    """Compute influence diagnostics from refits without each study, for pooled fits and regressions.

    With ``b, M = diag(v + tau2)`` of the fit and ``b_(i), tau2_(i)`` without study i, and ``h_i`` the leverage:

    - rstudent: ``(y_i - x_i b_(i)) / sqrt(v_i + tau2_(i) + x_i Var(b_(i)) x_i')``
    - DFFITS: ``x_i (b - b_(i)) / sqrt(h_i (v_i + tau2_(i)))``
    - Cook's distance: ``(b - b_(i))' Var(b)^-1 (b - b_(i))``
    - covariance ratio: ``det Var(b_(i)) / det Var(b)``
    - DFBETAS: ``(b_j - b_j(i)) / sqrt([(X' M_(i)^-1 X)^-1]_jj)``, with all studies in X and tau2_(i) in M_(i).

    A study is called influential if ``|DFFITS| > 3 sqrt(p/(k-p))``, Cook's distance lies above the median of
    chi-squared (p), ``h_i > 3 p/k``, or any ``|DFBETAS| > 1``. ``Var(b)`` has the factor of the fit's test, and nothing
    else has: R's metafor, asked for ``test="knha"``, multiplies the variance under rstudent, DFFITS and DFBETAS as a
    whole by the factor, so that these three differ from ours there (with ``test="z"`` they agree).

    Parameters
    ----------
    fit : Pooled or MetaRegression

    Raises
    ------
    NotEstimableError
        If no study can be spared.

    References
    ----------
    Viechtbauer & Cheung 2010, doi:10.1002/jrsm.11; Baujat et al. 2002, doi:10.1002/sim.1221.

    Examples
    --------
    >>> import comfrey as cf
    >>> found = influence(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08], test="z"))
    >>> found.rstudent.round(2)
    array([-1.32,  0.25, -0.39,  2.01])
    """
    view = view_of(fit)
    check_size(view, "influence")
    return _diagnose(view, refit(view, all_but_one(view.k)), scale_of(view.vi))


def _diagnose(fit: FitView, found: Refits, scale: float) -> Influence:
    X, beta, k, p = fit.X, fit.beta, fit.k, fit.p
    # divided by the scale, squares of tiny and huge values stay within range
    v, tau2 = fit.vi / scale**2, fit.tau2 / scale**2
    w = 1.0 / (v + tau2)
    inner = np.linalg.inv((X * w[:, None]).T @ X)
    factor = 1.0 if fit.test not in {"hk", "hk-adhoc"} else fit.hk_factor
    if fit.test == "hk-adhoc":
        factor = max(1.0, factor)
    spread = np.einsum("ki,ij,kj->k", X, inner, X)
    hat = w * spread
    residual = (fit.yi - X @ beta) / scale
    # Var(y - Xb) = M - X (X'WX)^-1 X', which HK leaves as it is
    free = v + tau2 - spread
    rstandard = residual / np.sqrt(np.where(free > 1e-12 * (v + tau2), free, math.nan))
    deleted = found.tau2 / scale**2
    usable = np.isfinite(deleted)
    cov_deleted = found.covariance / scale**2
    outside = (fit.yi - np.einsum("kp,kp->k", X, found.beta)) / scale
    fitted_variance = np.einsum("ki,kij,kj->k", X, cov_deleted, X)
    rstudent = outside / np.sqrt(v + deleted + fitted_variance)
    move = (beta - found.beta) / scale
    along = np.einsum("kp,kp->k", X, move)
    dffits = along / np.sqrt(hat * (v + deleted))
    covariance = inner * factor
    notes = list(notes_of(found, fit.labels))
    cook = ratio = np.full(k, math.nan)
    if factor > 0:
        size = np.sqrt(np.diag(covariance))
        standard = covariance / np.outer(size, size)
        z = move / size
        cook = np.einsum("ki,ki->k", z, np.linalg.solve(standard, z.T).T)
        ratio = np.full(k, math.nan)
        ratio[usable] = np.linalg.det(cov_deleted[usable] / np.outer(size, size)) / np.linalg.det(standard)
    else:
        notes.append("no Cook's distances and covariance ratios: the Knapp-Hartung error is zero")
    inverse = np.full((k, p, p), math.nan)
    inverse[usable] = np.linalg.inv(gram(X, 1.0 / (v + deleted[usable, None])))
    dfbetas = move / np.sqrt(np.einsum("kii->ki", inverse))
    if not np.isfinite(rstandard).all():
        notes.append("a study that a coefficient of its own fits perfectly has no standardised residual")
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(fitted_variance > 0, along**2 / fitted_variance, math.nan)
        flags = np.abs(dffits) > 3.0 * math.sqrt(p / (k - p))
        flags |= special.gammainc(p / 2.0, np.maximum(cook, 0.0) / 2.0) > 0.5
        flags |= (hat > 3.0 * p / k) | (np.abs(dfbetas) > 1.0).any(axis=1)
    perfect = int((usable & np.isnan(shift)).sum())
    if perfect:
        notes.append(f"the shift has no unit where the rest fits perfectly: {perfect} of the refits have no error")
    return Influence(
        labels=fit.labels,
        terms=fit.terms,
        residual=residual * scale,
        rstandard=rstandard,
        rstudent=rstudent,
        dffits=dffits,
        cook_distance=cook,
        cov_ratio=ratio,
        tau2_deleted=found.tau2,
        q_deleted=found.q,
        hat=hat,
        weight=fit.weights,
        dfbetas=of_one_coefficient(dfbetas),
        heterogeneity_share=residual**2 * w,
        shift=shift,
        influential=flags,
        method=fit.method,
        test=fit.test,
        notes=tuple(notes),
    )
