"""The bubble plot: effects against one moderator of a meta-regression, with its line and bands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError
from comfrey.figures._axes import house_axes, title_of
from comfrey.figures._fits import one_per_study, show
from comfrey.figures._points import areas_of, chosen_labels, effect_axis, label_points
from comfrey.figures._scales import reader_of
from comfrey.figures.style import COLOURS, house_style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from comfrey.figures._fits import Shown
    from comfrey.models.regression import MetaRegression

__all__ = ["bubble_plot", "bubble_table"]


def bubble_table(
    fit: MetaRegression,
    moderator: str | None = None,
    *,
    data: Any = None,
    at: Mapping[str, Any] | None = None,
    points: int = 100,
) -> pd.DataFrame:
    """Return the numbers of a bubble plot.

    Parameters
    ----------
    fit, moderator, data, at, points : as in :func:`bubble_plot`

    Returns
    -------
    DataFrame
        kind ("study" or "line"), label, the moderator, estimate, ci_low, ci_high, pi_low, pi_high, weight, on the
        scale of analysis. Studies have no intervals here (see :func:`comfrey.figures.forest_table`), the line no
        weights.

    Examples
    --------
    >>> import comfrey as cf
    >>> fit = cf.pool([0.1, 0.5, 0.3, 0.9], [0.04] * 4, moderators="dose", data={"dose": [1, 2, 3, 4]})
    >>> bubble_table(fit, points=3)["dose"].tolist()
    [1.0, 2.0, 3.0, 4.0, 1.0, 2.5, 4.0]
    """
    import pandas as pd

    shown, name, frame = _moderators(fit, moderator, data)
    values = frame[name]
    if _categorical(values):
        grid: Any = sorted(set(values), key=str)
    else:
        numbers = values.to_numpy(dtype=float)
        grid = np.linspace(numbers.min(), numbers.max(), points)
    held = _held(frame.drop(columns=name), at or {})
    new = pd.DataFrame({name: grid}).assign(**held)
    line = fit.predict(new).drop(columns="se").assign(kind="line", label="", **{name: grid})
    studies = pd.DataFrame(
        {"kind": "study", "label": shown.labels, name: values.to_numpy(), "estimate": shown.yi, "weight": shown.weights}
    )
    columns = ["kind", "label", name, "estimate", "ci_low", "ci_high", "pi_low", "pi_high", "weight"]
    return pd.concat([studies, line], ignore_index=True)[columns]


def _categorical(values: pd.Series[Any]) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_bool_dtype(values) or not is_numeric_dtype(values)


def _moderators(fit: Any, moderator: str | None, data: Any) -> tuple[Shown, str, pd.DataFrame]:
    """Find the values of all moderators of a regression, one row a study used."""
    import pandas as pd

    if type(fit).__name__ != "MetaRegression":
        raise InputError("fit", found=type(fit).__name__, expected="a meta-regression (pool with moderators)")
    shown = show(fit)
    needed = list(fit.design.variables)
    if not needed:
        raise InputError("fit", found="no moderator", expected="a regression on at least one")
    name = moderator if moderator is not None else needed[0]
    if moderator is None and len(needed) > 1:
        raise InputError("moderator", found="nothing", expected=f"one of {', '.join(needed)}")
    if name not in needed:
        raise InputError("moderator", found=repr(name), expected=f"one of {', '.join(needed)}")
    if data is None:
        missing = [item for item in needed if item not in fit.design.names]
        if missing:
            fix = "Give data= as it was given to pool."
            raise InputError("data", found="nothing", expected=f"the values of {', '.join(missing)}", fix=fix)
        columns = {item: fit.X[:, fit.design.names.index(item)] for item in needed}
        return shown, name, pd.DataFrame(columns)
    table = pd.DataFrame(data)
    absent = [item for item in needed if item not in table.columns]
    if absent:
        raise InputError("data", found=f"no column {absent[0]!r}", expected=f"columns {', '.join(needed)}")
    return shown, name, pd.DataFrame({item: one_per_study("data", table[item].tolist(), shown) for item in needed})


def _held(others: pd.DataFrame, at: Mapping[str, Any]) -> dict[str, Any]:
    """Say where the other moderators are held: as asked, else numbers at their mean, groups at the most frequent."""
    unknown = set(at) - set(others.columns)
    if unknown:
        raise InputError("at", found=repr(min(unknown)), expected=f"other moderators ({', '.join(others.columns)})")
    out: dict[str, Any] = {}
    for name in others.columns:
        column = others[name]
        default = column.mode().iloc[0] if _categorical(column) else float(column.mean())
        out[str(name)] = at.get(str(name), default)
    return out


def bubble_plot(
    fit: MetaRegression,
    moderator: str | None = None,
    ax: Axes | None = None,
    *,
    data: Any = None,
    at: Mapping[str, Any] | None = None,
    points: int = 100,
    labels: bool | Sequence[str] = False,
    title: str | None = None,
) -> Axes:
    """Draw the effects of studies against a moderator, with the regression line and both its bands.

    Areas of bubbles are proportional to the weights. The inner band is the confidence interval of the mean effect,
    the outer one (dashed) the prediction interval of a new study's effect. Groups have a dot with both intervals
    instead.

    Parameters
    ----------
    fit : MetaRegression
    moderator : str, optional
        Which one, if the formula has several.
    ax : Axes, optional
    data : DataFrame or mapping, optional
        As given to :func:`comfrey.pool`; needed for groups, splines and other transformed moderators.
    at : mapping, optional
        Where the other moderators are held; numbers at their mean and groups at the most frequent if not given.
    points : int
        Of the line.
    labels : bool or sequence of str
        Which studies are named, where there is room.
    title : str, optional

    Returns
    -------
    Axes
        Data coordinates: moderator (groups: 0, 1 ...), effect on the scale of analysis.

    References
    ----------
    Thompson & Higgins 2002, doi:10.1002/sim.1187.

    Examples
    --------
    >>> import comfrey as cf
    >>> fit = cf.pool([0.1, 0.5, 0.3, 0.9], [0.04] * 4, moderators="dose", data={"dose": [1, 2, 3, 4]})
    >>> bubble_plot(fit).get_xlabel()
    'dose'
    """
    table = bubble_table(fit, moderator, data=data, at=at, points=points)
    name = str(table.columns[2])
    studies, line = table[table["kind"] == "study"], table[table["kind"] == "line"]
    y = studies["estimate"].to_numpy(float)
    groups = list(line[name]) if _categorical(studies[name].infer_objects()) else None
    edges = line[["ci_low", "ci_high", "pi_low", "pi_high"]].to_numpy(float)
    low, high = _reach(y, edges, fit.measure.null if fit.measure is not None else 0.0)
    reader = reader_of(fit.measure, float(np.median(np.sqrt(fit.vi))) * 2)
    with house_style():
        ax = house_axes(ax, 5.8, 4.2)
        effect_axis(ax, reader, low, high, vertical=True)
        ax.set_xlabel(name)
        if groups is None:
            x = studies[name].to_numpy(float)
            _bands(ax, line[name].to_numpy(float), line)
            pad = 0.04 * float(np.ptp(x)) or 0.5
            ax.set_xlim(x.min() - pad, x.max() + pad)
        else:
            x = np.array([groups.index(value) for value in studies[name]], dtype=float)
            _bars(ax, line, groups)
            x = _beside(x, y)
        if math.isfinite(reader.null):
            null = fit.measure.null if fit.measure is not None else 0.0
            if low < null < high:
                ax.axhline(null, color=COLOURS["muted"], lw=0.9, ls=(0, (1, 2)), zorder=0, label="_null")
        ax.scatter(
            x, y, s=areas_of(studies["weight"].to_numpy(float)), color=COLOURS["accent"], alpha=0.62,
            edgecolors=COLOURS["paper"], linewidths=0.7, zorder=3, label="_studies",
        )  # fmt: skip
        title_of(ax, title)
        named = np.flatnonzero(chosen_labels(labels, studies["label"].tolist()))
        if named.size:
            names = [str(studies["label"].iloc[i]) for i in named]
            label_points(ax, x[named], y[named], names, studies["weight"].to_numpy(float)[named], gap=8)
    return ax


def _reach(y: Any, edges: Any, null: float) -> tuple[float, float]:
    """Cover all studies and the confidence band; of the prediction band as much as does not flatten them."""
    known = np.concatenate([y, edges[:, :2].ravel()])
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    if math.isfinite(null) and min(abs(null - low), abs(null - high)) < 0.5 * (high - low):
        low, high = min(low, null), max(high, null)
    span = high - low or 1.0
    wide = edges[:, 2:][np.isfinite(edges[:, 2:])]
    if wide.size:
        low, high = max(min(low, wide.min()), low - 0.5 * span), min(max(high, wide.max()), high + 0.5 * span)
    return low - 0.05 * span, high + 0.05 * span


def _bands(ax: Axes, x: Any, line: pd.DataFrame) -> None:
    leaf = COLOURS["leaf"]
    pi_low, pi_high = line["pi_low"].to_numpy(float), line["pi_high"].to_numpy(float)
    if np.isfinite(pi_low).all():
        ax.fill_between(x, pi_low, pi_high, color=leaf, alpha=0.07, lw=0, zorder=0, label="_prediction")
        for edge in (pi_low, pi_high):
            ax.plot(x, edge, lw=0.8, ls=(0, (4, 3)), color=leaf, alpha=0.8, zorder=1)
    ci = line["ci_low"].to_numpy(float), line["ci_high"].to_numpy(float)
    ax.fill_between(x, *ci, color=leaf, alpha=0.2, lw=0, zorder=1, label="_confidence")
    ax.plot(x, line["estimate"].to_numpy(float), lw=1.6, color=leaf, zorder=2, label="_line")


def _bars(ax: Axes, line: pd.DataFrame, groups: list[Any]) -> None:
    leaf = COLOURS["leaf"]
    columns = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
    for i, (middle, low, high, pi_low, pi_high) in enumerate(line[columns].to_numpy(dtype=float).tolist()):
        if math.isfinite(pi_low):
            ax.plot([i, i], [pi_low, pi_high], lw=1.2, color=leaf, zorder=1, label=f"_prediction {i}")
        ax.plot(
            [i, i], [low, high], lw=6, alpha=0.42, color=leaf, solid_capstyle="butt", zorder=2, label=f"_confidence {i}"
        )
        ax.plot(i, middle, "o", ms=6.5, color=leaf, mec=COLOURS["paper"], mew=0.8, zorder=4, label=f"_mean {i}")
    ax.set_xlim(-0.6, len(groups) - 0.4)
    ax.set_xticks(range(len(groups)), [str(group) for group in groups])


def _beside(x: Any, y: Any) -> Any:
    """Put the studies of a group beside its bar, those with near effects next to each other."""
    out = x + 0.14
    for group in np.unique(x):
        places = np.flatnonzero(x == group)
        order = places[np.argsort(y[places], kind="stable")]
        out[order] += 0.07 * (np.arange(order.size) % 3)
    return out
