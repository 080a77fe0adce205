"""The profile plot: the likelihood along one variance, with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from comfrey.figures._axes import house_axes, note, title_of
from comfrey.figures._scales import significant
from comfrey.figures.style import COLOURS, house_style
from comfrey.models.profiles import ProfileCurve, profile_likelihood

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["profile_plot", "profile_table"]


def profile_table(fit: Any, parameter: str | None = None, *, points: int = 60) -> pd.DataFrame:
    """Return the points of a profile plot: value and log_likelihood.

    Parameters
    ----------
    fit, parameter, points : as in :func:`profile_plot`

    Examples
    --------
    >>> import comfrey as cf
    >>> profile_table(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08])).columns.tolist()
    ['value', 'log_likelihood']
    """
    return _curve(fit, parameter, points).summary


def _curve(fit: Any, parameter: str | None, points: int) -> ProfileCurve:
    return fit if isinstance(fit, ProfileCurve) else profile_likelihood(fit, parameter, points)


def profile_plot(
    fit: Any, parameter: str | None = None, ax: Axes | None = None, *, points: int = 60, title: str | None = None
) -> Axes:
    """Draw the profile log-likelihood of tau2 or of a variance component.

    The curve is highest at the estimate. The dashed line cuts it where the profile-likelihood interval ends (shaded).
    A flat curve says that the data know little of the variance.

    Parameters
    ----------
    fit : Pooled, MetaRegression, MultilevelFit, CountModel or ProfileCurve
    parameter : str, optional
        As in :func:`comfrey.models.profiles.profile_likelihood`; the first variance if not given.
    ax : Axes, optional
    points : int
    title : str, optional

    Returns
    -------
    Axes
        Data coordinates: variance, log-likelihood.

    Examples
    --------
    >>> import comfrey as cf
    >>> profile_plot(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08])).get_ylabel()
    'Restricted log-likelihood'
    """
    curve = _curve(fit, parameter, points)
    frame = curve.summary
    x, y = frame["value"].to_numpy(float), frame["log_likelihood"].to_numpy(float)
    shown = max(1.6 * (curve.maximum - curve.cutoff), min(curve.maximum - float(y.min()), 4.5))
    bottom = curve.maximum - 1.06 * shown
    with house_style():
        ax = house_axes(ax, 5.4, 3.8)
        ax.set(xlim=(0.0, float(x.max())), ylim=(bottom, curve.maximum + 0.08 * shown))
        inside = (x >= curve.ci_low) & (x <= curve.ci_high)
        ax.fill_between(x, bottom, y, where=inside.tolist(), color=COLOURS["leaf"], alpha=0.12, lw=0, label="_interval")
        ax.plot(x, y, lw=1.8, color=COLOURS["leaf"], zorder=3, label="_profile")
        ax.axhline(curve.cutoff, lw=0.8, ls=(0, (4, 3)), color=COLOURS["muted"], zorder=1, label="_cutoff")
        for end in (curve.ci_low, curve.ci_high):
            if math.isfinite(end) and end > 0:
                ax.plot([end, end], [bottom, curve.cutoff], lw=0.8, color=COLOURS["leaf"], zorder=2, label="_end")
        ax.plot([curve.estimate] * 2, [bottom, curve.maximum], lw=0.9, ls=(0, (1, 2)), color=COLOURS["muted"], zorder=2)
        ax.plot(
            curve.estimate, curve.maximum, "o", ms=6, color=COLOURS["leaf"], mec=COLOURS["paper"], mew=0.8, zorder=4,
            clip_on=False, label="_estimate",
        )  # fmt: skip
        ends = (
            f"{significant(curve.ci_low)} to {'infinity' if math.isinf(curve.ci_high) else significant(curve.ci_high)}"
        )
        text = f"{significant(curve.estimate)} ({curve.level:.0%} interval {ends})"
        note(ax, 1.0, 1.0, text, transform=ax.transAxes, ha="right", va="bottom")
        ax.set_xlabel(_name(curve.parameter))
        ax.set_ylabel("Restricted log-likelihood" if curve.restricted else "Log-likelihood")
        title_of(ax, title)
    return ax


def _name(parameter: str) -> str:
    """Write tau2 as tau², sigma2 district as sigma² (district)."""
    kind, _, term = parameter.partition(" ")
    kind = kind.replace("2", "²")
    return f"{kind} ({term})" if term else kind
