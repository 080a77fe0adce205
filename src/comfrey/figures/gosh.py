"""The display of subsets (GOSH): the result in every subset of the studies, against its heterogeneity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from comfrey.errors import InputError
from comfrey.figures._axes import box_inches, house_axes, title_of
from comfrey.figures._points import effect_axis
from comfrey.figures._scales import reader_of
from comfrey.figures.style import COLOURS, house_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from comfrey.effects.measure import Array, Measure

__all__ = ["gosh_plot", "gosh_table"]

_NAMES = {"i2": "I² (percent)", "tau2": "tau²", "h2": "H²", "q": "Q"}


def gosh_table(fit: Any, *, study: str | int | None = None) -> pd.DataFrame:
    """Return the points of the display: one row a subset, estimate, tau2, i2, h2, q, k, and whether it holds `study`.

    Parameters
    ----------
    fit, study : as in :func:`gosh_plot`

    Examples
    --------
    >>> import comfrey as cf
    >>> table = gosh_table(cf.pool([0.1, 0.5, 0.3], [0.04, 0.05, 0.03]), study=0)
    >>> len(table), int(table["holds"].sum())
    (7, 4)
    """
    found = _subsets(fit)
    table: pd.DataFrame = found.to_frame()
    if study is not None:
        table["holds"] = found.contains(study)
    return table


def _subsets(fit: Any) -> Any:
    found = fit.subsets() if hasattr(fit, "subsets") else fit
    if not (hasattr(found, "to_frame") and hasattr(found, "contains")):
        raise InputError("fit", found=type(fit).__name__, expected="a pooled or multilevel fit, or its subsets()")
    if np.ndim(found.estimate) != 1:
        raise InputError("fit", found="subsets of a regression", expected="those of a pooled estimate")
    return found


def gosh_plot(
    fit: Any,
    ax: Axes | None = None,
    *,
    against: Literal["i2", "tau2", "h2", "q"] = "i2",
    study: str | int | None = None,
    measure: Measure | None = None,
    bins: int = 90,
    title: str | None = None,
) -> Axes:
    """Draw the estimate in every subset of the studies against its heterogeneity, as a density with both margins.

    Several clouds speak of several kinds of studies. With `study`, subsets that hold it are in one colour and those
    without it in another: a study that parts the clouds makes the heterogeneity.

    Parameters
    ----------
    fit : Pooled, MultilevelFit, or their subsets()
        A fit's own subsets are computed (a million at most, else a sample; of a multilevel fit a thousand, by effects).
    ax : Axes, optional
    against : {"i2", "tau2", "h2", "q"}
    study : str or int, optional
        Label or place of a study.
    measure : Measure, optional
        Of the effects, for the axis, if `fit` is a Subsets (which does not know it).
    bins : int
        Cells of the density in each direction.
    title : str, optional

    Returns
    -------
    Axes
        Data coordinates: estimate on the scale of analysis, heterogeneity.

    References
    ----------
    Olkin, Dahabreh & Trikalinos 2012, doi:10.1002/jrsm.1053.

    Examples
    --------
    >>> import comfrey as cf
    >>> gosh_plot(cf.pool([0.1, 0.5, 0.3], [0.04, 0.05, 0.03])).get_ylabel()
    'I² (percent)'
    """
    if against not in _NAMES:
        raise InputError("against", found=repr(against), expected=f"one of {', '.join(_NAMES)}")
    table = gosh_table(fit, study=study)
    measure = getattr(fit, "measure", None) or measure
    x, y = table["estimate"].to_numpy(float), table[against].to_numpy(float)
    known = np.isfinite(x) & np.isfinite(y) & (table["k"].to_numpy() > 1)
    if not known.any():
        raise InputError("fit", found="no subset of two studies", expected="at least two studies")
    holds = table["holds"].to_numpy(bool)[known] if study is not None else np.ones(int(known.sum()), dtype=bool)
    x, y = x[known], y[known]
    reader = reader_of(measure, float(np.ptp(x)) / 4)
    low, high = _ends(x)
    floor, top = (0.0, 100.0) if against == "i2" else _ends(y)
    box = (low, high, floor, top)
    with house_style():
        ax = house_axes(ax, 5.8, 5.0, top=1.3 if study is not None else 1.05, right=0.95)
        effect_axis(ax, reader, low, high)
        ax.set(ylim=(floor, top), ylabel=_NAMES[against])
        parts = ((holds, COLOURS["accent"]), (~holds, COLOURS["leaf"]))
        for chosen, colour in parts:
            if chosen.any():
                _density(ax, x[chosen], y[chosen], box, bins, colour)
        _margins(ax, x, y, box, bins, parts)
        if study is not None:
            name = study if isinstance(study, str) else _subsets_label(fit, study)
            _key(ax, name)
        # both margins stand between the axes and their title
        tall = 0.2 * 72 * box_inches(ax)[3]
        title_of(ax, title, above=tall + (20 if study is not None else 4))
    return ax


def _subsets_label(fit: Any, place: int) -> str:
    labels = getattr(fit, "labels", ())
    return str(labels[place]) if labels else f"study {place}"


def _ends(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.03 * (high - low) or 0.5
    return low - pad, high + pad


def _density(ax: Axes, x: Array, y: Array, box: tuple[float, float, float, float], bins: int, colour: str) -> None:
    """Draw counts of subsets as a picture: the darker the more; empty cells stay clear."""
    from matplotlib.colors import to_rgb

    counts, _, _ = np.histogram2d(x, y, bins=bins, range=[box[:2], box[2:]])
    shade = np.log1p(counts.T) / np.log1p(counts.max())
    picture = np.empty((*shade.shape, 4))
    picture[..., :3] = to_rgb(colour)
    picture[..., 3] = np.where(counts.T > 0, 0.15 + 0.75 * shade, 0.0)
    ax.imshow(
        picture,
        extent=box,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        zorder=2,
        label=f"_density {colour}",
    )


def _margins(ax: Axes, x: Array, y: Array, box: tuple[float, float, float, float], bins: int, parts: Any) -> None:
    """Draw histograms of both axes at the edges."""
    above, beside = ax.inset_axes((0.0, 1.02, 1.0, 0.16)), ax.inset_axes((1.02, 0.0, 0.14, 1.0))
    for side, values, span in ((above, x, box[:2]), (beside, y, box[2:])):
        side.axis("off")
        for chosen, colour in parts:
            if chosen.any():
                counts, edges = np.histogram(values[chosen], bins=bins, range=span)
                direction = "vertical" if side is above else "horizontal"
                side.stairs(counts, edges, orientation=direction, fill=True, color=colour, alpha=0.45, lw=0)  # type: ignore[arg-type]
    above.set_xlim(*box[:2])
    beside.set_ylim(*box[2:])


def _key(ax: Axes, study: str) -> None:
    from matplotlib.patches import Patch

    marks = [Patch(fc=COLOURS["accent"], label=f"with {study}"), Patch(fc=COLOURS["leaf"], label=f"without {study}")]
    legend = ax.legend(
        handles=marks,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.19),
        ncols=2,
        frameon=False,
        fontsize=8.2,
        handlelength=1.0,
        borderaxespad=0.0,
        borderpad=0.0,
    )
    for text in legend.get_texts():
        text.set(color=COLOURS["ink"], parse_math=False)
