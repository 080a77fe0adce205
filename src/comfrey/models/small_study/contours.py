"""What a contour-enhanced funnel shows, as numbers: where estimates are significant, and how each study stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from comfrey.errors import InputError
from comfrey.models._view import view_of
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit

__all__ = ["Contours", "funnel_contours"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Contours(Result):
    """Contours of significance in the plane of estimate and standard error.

    Attributes
    ----------
    levels : tuple of float
        Two-sided p-values of the contours, falling.
    se_grid : array of shape (m,)
        From zero to a little above the largest standard error.
    low, high : arrays of shape (number of levels, m)
        The estimates with that p-value.
    estimate, se, p_value : arrays of shape (k,)
        The studies; p-values two-sided against `reference`.
    band : array of int of shape (k,)
        How many levels a study's p-value is below: zero is the inner area.
    """

    levels: tuple[float, ...]
    reference: float
    se_grid: Array = field(repr=False)
    low: Array = field(repr=False)
    high: Array = field(repr=False)
    estimate: Array = field(repr=False)
    se: Array = field(repr=False)
    p_value: Array = field(repr=False)
    band: np.ndarray[Any, np.dtype[np.intp]] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    @property
    def summary(self) -> pd.DataFrame:
        """Studies in each band."""
        import pandas as pd

        edges = (1.0, *self.levels, 0.0)
        names = [f"{edges[j + 1]:g} < p <= {edges[j]:g}" for j in range(len(edges) - 1)]
        counts = np.bincount(self.band, minlength=len(names))
        return pd.DataFrame({"studies": counts}, index=pd.Index(names, name="band"))

    @property
    def headline(self) -> tuple[str, ...]:
        """What the contours are."""
        return (f"Contours of significance against {self.reference:g}, {len(self.labels)} studies",)


def funnel_contours(
    fit: AnyFit, levels: Sequence[float] = (0.1, 0.05, 0.01), reference: float = 0.0, points: int = 101
) -> Contours:
    """Compute the contours of a contour-enhanced funnel: ``reference -/+ z(1 - level/2) se``.

    Raises
    ------
    InputError
        If levels are not between 0 and 1, or fewer than two points are asked for.

    References
    ----------
    Peters et al. 2008, doi:10.1016/j.jclinepi.2007.11.010.

    Examples
    --------
    >>> import comfrey as cf
    >>> funnel_contours(cf.pool([0.3, 0.5, 0.1], [0.01, 0.05, 0.03])).band
    array([3, 2, 0])
    """
    view = view_of(fit)
    values = np.sort(np.atleast_1d(np.asarray(levels, dtype=float)))[::-1]
    if not values.size or not ((values > 0) & (values < 1)).all():
        raise InputError("levels", found=repr(levels), expected="p-values between 0 and 1")
    if points < 2:
        raise InputError("points", found=points, expected="at least two")
    se = np.sqrt(view.vi)
    grid = np.linspace(0.0, 1.05 * float(se.max()), points)
    reach = -special.ndtri(values / 2.0)[:, None] * grid
    p_value = 2.0 * special.ndtr(-np.abs(view.yi - reference) / se)
    return Contours(
        levels=tuple(values.tolist()),
        reference=reference,
        se_grid=grid,
        low=reference - reach,
        high=reference + reach,
        estimate=view.yi,
        se=se,
        p_value=p_value,
        band=(p_value[:, None] <= values).sum(axis=1),
        labels=view.labels,
    )
