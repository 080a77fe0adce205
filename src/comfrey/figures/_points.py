"""What figures of points share: an axis of effects, areas by weight, and labels that do not overlap."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError
from comfrey.figures._axes import box_inches
from comfrey.figures._scales import analysis_ticks
from comfrey.figures._text import width_of
from comfrey.figures.style import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from comfrey.effects.measure import Array
    from comfrey.figures._scales import Reader

__all__ = ["areas_of", "chosen_labels", "effect_axis", "label_points"]

_SIZE = 8.0


def effect_axis(ax: Axes, reader: Reader, low: float, high: float, *, vertical: bool = False) -> None:
    """Make an axis of effects: places on the scale of analysis, ticks on the scale that people read."""
    _, _, width, height = box_inches(ax)
    places, labels = analysis_ticks(reader, low, high, max(3, int((height if vertical else width) / 0.62)))
    name = reader.name + (" (log scale)" if reader.ratio else "")
    if vertical:
        ax.set(ylim=(low, high), ylabel=name)
        ax.set_yticks(places, labels)
    else:
        ax.set(xlim=(low, high), xlabel=name)
        ax.set_xticks(places, labels)


def areas_of(weights: Array, largest: float = 130.0) -> Array:
    """Areas in square points, proportional to the weights; the heaviest has `largest`.

    Examples
    --------
    >>> areas_of(np.array([1.0, 4.0])).tolist()
    [32.5, 130.0]
    """
    top = float(weights.max()) if weights.size else 1.0
    return np.asarray(np.maximum(largest * weights / (top if top > 0 else 1.0), 4.0), dtype=float)


def chosen_labels(labels: bool | Sequence[str], names: Sequence[str]) -> list[bool]:
    """Say which points are named: all, none, or those listed.

    Raises
    ------
    InputError
        If one that is listed does not exist.
    """
    if isinstance(labels, bool):
        return [labels] * len(names)
    wanted = {labels} if isinstance(labels, str) else set(labels)
    if wanted - set(names):
        raise InputError("labels", found=repr(min(wanted - set(names))), expected="labels of studies in the fit")
    return [name in wanted for name in names]


def label_points(
    ax: Axes, x: Array, y: Array, names: Sequence[str], importance: Array, gap: float = 5.0, right: float = math.inf
) -> list[str]:
    """Name points, the most important first, wherever there is room beside them; return the names that were written.

    Parameters
    ----------
    ax : Axes
        Its limits are final: places are worked out from them.
    x, y, importance : arrays of shape (k,)
    names : sequence of str
    gap : float
        Distance from the point in points.
    right : float
        Data coordinate that no name may pass.
    """
    _, _, wide, high = box_inches(ax)
    inverse = ax.transAxes.inverted()
    places = inverse.transform(ax.transData.transform(np.column_stack((x, y)))) * (wide, high)
    away, tall = gap / 72.0, 1.25 * _SIZE / 72.0
    taken = [(px - away / 2, py - away / 2, px + away / 2, py + away / 2) for px, py in places]
    done = []
    edge = wide if math.isinf(right) else float(inverse.transform(ax.transData.transform((right, 0.0)))[0]) * wide
    for i in np.argsort(-importance, kind="stable").tolist():
        long, (px, py) = width_of(names[i], _SIZE), places[i]
        choices: tuple[tuple[float, float, str], ...] = (
            (px + away, py, "left"), (px - away, py, "right"), (px, py + away + tall / 2, "center"),
            (px, py - away - tall / 2, "center"), (px + away, py + tall, "left"), (px + away, py - tall, "left"),
        )  # fmt: skip
        for cx, cy, align in choices:
            left = cx - {"left": 0.0, "right": long, "center": long / 2}[align]
            box = (left, cy - tall / 2, left + long, cy + tall / 2)
            inside = box[0] >= 0 and box[2] <= edge and box[1] >= 0 and box[3] <= high
            if inside and not any(_meet(box, other) for other in taken):
                style: dict[str, Any] = {"transform": ax.transAxes, "ha": align, "va": "center", "parse_math": False}
                style["bbox"] = {"fc": COLOURS["paper"], "ec": "none", "alpha": 0.6, "pad": 0.6}
                ax.text(cx / wide, cy / high, names[i], fontsize=_SIZE, color=COLOURS["ink"], zorder=5, **style)
                taken.append(box)
                done.append(names[i])
                break
    return done


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
