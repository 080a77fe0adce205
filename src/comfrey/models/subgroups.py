"""Subgroup analysis: the pooled effect in each group of studies, and whether the groups differ.

Source: Borenstein & Higgins 2013 (doi:10.1007/s11121-013-0377-7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from comfrey.effects._columns import pick
from comfrey.errors import InputError
from comfrey.models._fit import check_choices, fit_model
from comfrey.models._input import read_studies
from comfrey.models.pooling import Pooled, pool_studies
from comfrey.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.models._fit import Test
    from comfrey.models.tau2 import Method

__all__ = ["Subgroups", "subgroups"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Subgroups(Result):
    """Pooled effects by group, and the test of their difference.

    Attributes
    ----------
    fits : dict of str to Pooled
        One a group, in the order of the groups' first studies.
    overall : Pooled
        All studies together.
    q_between, q_between_df, q_between_p : float, int, float
        Test that the groups have one mean effect.
    common_tau2 : bool
        Whether one tau2 holds for all groups.
    notes, dropped : tuple of str
    """

    fits: dict[str, Pooled]
    overall: Pooled
    q_between: float
    q_between_df: int
    q_between_p: float
    common_tau2: bool
    dropped: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a group and one for all: k, estimate, interval, tau2, I2."""
        import pandas as pd

        names = ("k", "estimate", "se", "ci_low", "ci_high", "p_value", "pi_low", "pi_high", "tau2", "i2")
        fits = [*self.fits.values(), self.overall]
        rows = [{name: getattr(fit, name) for name in names} for fit in fits]
        return pd.DataFrame(rows, index=[*self.fits, "all studies"])

    @property
    def headline(self) -> tuple[str, ...]:
        """The test of subgroup differences in words."""
        kind = "one tau2 for all groups" if self.common_tau2 else "a tau2 for each group"
        lines = [
            f"Subgroups: {len(self.fits)} groups, {self.overall.k} studies; {kind} by {self.overall.method}",
            f"between groups: chi-squared({self.q_between_df}) = {self.q_between:.4g}, p = {self.q_between_p:.4g}",
        ]
        return (*lines, *(f"left out: {text}" for text in self.dropped), *(f"note: {text}" for text in self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**Result.to_dict(self), "fits": {label: fit.to_dict() for label, fit in self.fits.items()}}


def subgroups(
    yi: object,
    vi: object = None,
    *,
    groups: object,
    method: Method = "REML",
    test: Test = "hk",
    level: float = 0.95,
    common_tau2: bool = False,
    data: Any = None,
    study: object = None,
) -> Subgroups:
    """Pool each group of studies and test whether the groups differ.

    The test is ``Q = sum (mu_g - mu)^2 / se_g^2``, chi-squared with one degree of freedom less than there are
    groups, with
    the groups' model-based standard errors (a Knapp-Hartung error of two studies is too unsteady to weigh a group
    by).

    Parameters
    ----------
    yi, vi, method, test, level, data, study : as in :func:`comfrey.pool`
    groups : array of shape (k,) or column name
    common_tau2 : bool
        One tau2 for all groups (that of the regression on the groups), which small groups need, or one each.

    Returns
    -------
    Subgroups

    Raises
    ------
    InputError
        If a study has no group, or there is one group alone.

    Examples
    --------
    >>> found = subgroups([0.1, 0.2, 0.8, 0.9], [0.01] * 4, groups=["a", "a", "b", "b"], test="z")
    >>> list(found.fits), round(found.q_between, 1)
    (['a', 'b'], 49.0)
    """
    check_choices(method, test, level)
    studies = read_studies(yi, vi, data=data, study=study)
    labels = np.asarray(pick("groups", groups, data), dtype=object).ravel()
    if labels.size != studies.total:
        raise InputError("groups", found=f"{labels.size} values", expected=f"{studies.total}, one a study")
    labels = labels[studies.rows]
    for row, label in zip(studies.rows, labels, strict=True):
        if label is None or label != label or type(label).__name__ == "NAType":
            raise InputError("groups", found="a missing value", expected="the group of the study", row=int(row))
    texts = [str(label) for label in labels]
    names = list(dict.fromkeys(texts))
    if len(names) < 2:
        raise InputError("groups", found=f"one group ({names[0]})", expected="two groups or more")
    places = {name: np.flatnonzero(np.array(texts, dtype=object) == name) for name in names}
    alone = "" if common_tau2 else ": the test weighs it as if it had no heterogeneity; see common_tau2"
    notes = [f"group {name} has one study{alone}" for name in names if places[name].size == 1]
    shared = None
    if common_tau2 and studies.k > len(names):
        X = np.column_stack([np.array(texts, dtype=object) == name for name in names]).astype(float)
        shared = fit_model(studies.yi, studies.vi, X, method, "z").tau2
    elif common_tau2:
        notes.append("no common tau2: every group has one study")
    bare = {name: studies.keep(rows, ()) for name, rows in places.items()}
    fits = {name: pool_studies(part, method, test, level, shared) for name, part in bare.items()}
    # weights of the groups: model-based, without Knapp and Hartung's factor
    middle, spread = [], []
    for name in names:
        fixed = fits[name].tau2 if shared is None else shared
        weights = 1.0 / (bare[name].vi + (0.0 if math.isnan(fixed) else fixed))
        middle.append(float(weights @ bare[name].yi / weights.sum()))
        spread.append(1.0 / float(weights.sum()))
    mu, weight = np.array(middle), 1.0 / np.array(spread)
    q = float((weight * (mu - (weight @ mu) / weight.sum()) ** 2).sum())
    df = len(names) - 1
    return Subgroups(
        fits=fits,
        overall=pool_studies(studies, method, test, level),
        q_between=q,
        q_between_df=df,
        q_between_p=float(special.chdtrc(df, q)),
        common_tau2=shared is not None,
        dropped=studies.dropped,
        notes=tuple(notes),
    )
