"""Baujat's plot: what each study adds to heterogeneity, against what it does to the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError
from comfrey.figures._axes import house_axes, title_of
from comfrey.figures._points import chosen_labels, label_points
from comfrey.figures.style import COLOURS, house_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["baujat_plot", "baujat_table"]


def baujat_table(fit: Any) -> pd.DataFrame:
    """Return the points of Baujat's plot: study, heterogeneity_share, shift.

    Parameters
    ----------
    fit : as in :func:`baujat_plot`

    Examples
    --------
    >>> import comfrey as cf
    >>> baujat_table(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08]))["shift"].round(2).tolist()
    [0.4, 0.0, 0.08, 1.17]
    """
    import pandas as pd

    found = fit.influence() if not hasattr(fit, "baujat") and hasattr(fit, "influence") else fit
    points = getattr(found, "baujat", None)
    if not isinstance(points, pd.DataFrame):
        expected = "a pooled, regression or multilevel fit, its influence(), or a Mantel-Haenszel or Peto estimate"
        raise InputError("fit", found=type(fit).__name__, expected=expected)
    return points.rename_axis("study").reset_index()


def baujat_plot(
    fit: Any, ax: Axes | None = None, *, labels: bool | Sequence[str] = True, title: str | None = None
) -> Axes:
    """Draw how much each study moves the result against how much it adds to the heterogeneity.

    Studies at the upper right add much heterogeneity and move the result.

    Parameters
    ----------
    fit : Pooled, MetaRegression, MultilevelFit, their influence(), or Stratified
        A fit's own influence diagnostics are computed: of single effects for a multilevel fit.
    ax : Axes, optional
    labels : bool or sequence of str
        Which studies are named, where there is room; the ones farthest out first.
    title : str, optional

    Returns
    -------
    Axes
        Data coordinates: squared Pearson residual (share of Q), squared standardised shift of the fitted value.

    References
    ----------
    Baujat et al. 2002, doi:10.1002/sim.1221.

    Examples
    --------
    >>> import comfrey as cf
    >>> baujat_plot(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08])).get_xlabel()
    'Squared Pearson residual (part in heterogeneity)'
    """
    table = baujat_table(fit)
    table = table[
        np.isfinite(table["shift"].to_numpy(float)) & np.isfinite(table["heterogeneity_share"].to_numpy(float))
    ]
    x, y = table["heterogeneity_share"].to_numpy(float), table["shift"].to_numpy(float)
    names = table["study"].tolist()
    with house_style():
        ax = house_axes(ax, 5.6, 4.2)
        ax.set(xlim=(0.0, 1.08 * (x.max(initial=0.0) or 1.0)), ylim=(0.0, 1.1 * (y.max(initial=0.0) or 1.0)))
        ax.set_xlabel("Squared Pearson residual (part in heterogeneity)")
        ax.set_ylabel("Squared shift of the result without it")
        ax.scatter(
            x, y, s=26, color=COLOURS["accent"], edgecolors=COLOURS["paper"], linewidths=0.6, zorder=3, clip_on=False,
            label="_studies",
        )  # fmt: skip
        title_of(ax, title)
        named = np.flatnonzero(chosen_labels(labels, names))
        if named.size:
            far = x / (x.max() or 1.0) + y / (y.max() or 1.0)
            label_points(ax, x[named], y[named], [names[i] for i in named], far[named])
    return ax
