"""All treatments against one: estimates with confidence and prediction intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from comfrey.errors import InputError
from comfrey.figures.network._page import Page, open_page, text_width, wrap
from comfrey.figures.network._reading import Reading, check_network, model_words, ordered, reading
from comfrey.figures.style import COLOURS, house_style
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from comfrey.models.network import Network

__all__ = ["network_forest", "network_forest_table"]

_ROW = 0.27
_PLOT = 2.6  # width of the panel, inches


def network_forest_table(
    net: Network,
    *,
    reference: str | None = None,
    order: Sequence[str] | None = None,
    transform: bool | None = None,
) -> pd.DataFrame:
    """Give the numbers of :func:`network_forest`.

    Parameters
    ----------
    net, reference, order, transform
        As in :func:`network_forest`.

    Returns
    -------
    DataFrame
        One row a treatment, in the order of the figure: `compared_with`, `part`, `k` (studies that hold it),
        `k_direct` (studies that compare the two), `estimate`, `ci_low`, `ci_high`, `pi_low`, `pi_high` on the scale
        that people read. What does not exist is not a number.

    Raises
    ------
    InputError
        For a reference or an order that does not fit the network.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE")
    >>> network_forest_table(net, reference="C")["estimate"].round(4).tolist()
    [-0.5, -0.3]
    """
    check_network(net)
    against = _references(net, reference)
    shown = reading(net, transform)
    part = dict(zip(net.treatments, net._structure.island.tolist(), strict=True))
    studies = dict(zip(net.treatments, net._structure.studies_per_treatment().tolist(), strict=True))
    direct, names = net._direct, net.treatments
    held = {
        frozenset((names[i], names[j])): int(k)
        for i, j, k in zip(direct.first, direct.second, direct.k, strict=True)
    }  # fmt: skip
    first = part[reference] if reference is not None else part[net.reference]
    listed = [t for t in sorted(ordered(net, order), key=lambda t: part[t] != first) if t not in against.values()]
    pairs, place = net._pairs, {name: i for i, name in enumerate(names)}
    rows = []
    for treatment in listed:
        base = against[part[treatment]]
        at = place[treatment], place[base]
        rows.append(
            {
                "compared_with": base, "part": part[treatment] + 1, "k": studies[treatment],
                "k_direct": held.get(frozenset((treatment, base)), 0),
            }
            | {
                column: float(shown.read(getattr(pairs, column)[at]))
                for column in ("estimate", "ci_low", "ci_high", "pi_low", "pi_high")
            }
        )  # fmt: skip
    return pd.DataFrame(rows, index=pd.Index(listed, name="treatment"))


def _references(net: Network, reference: str | None) -> dict[int, str]:
    """Treatment that each part is compared with."""
    if reference is not None and reference not in net.treatments:
        raise InputError(
            "reference", found=repr(reference), expected=f"one of the treatments ({', '.join(net.treatments)})"
        )
    part = net._structure.island
    known = dict(zip(net.treatments, part.tolist(), strict=True))
    summary = net.summary
    result = {known[str(t)]: str(base) for t, base in summary["compared_with"].items()}
    if reference is not None:
        result[known[reference]] = reference
    return result


def network_forest(
    net: Network,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    reference: str | None = None,
    order: Sequence[str] | None = None,
    transform: bool | None = None,
    ends: tuple[str, str] | None = None,
) -> Axes:
    """Draw the effect of every treatment against a reference.

    A dot is the estimate, the thick bar its confidence interval, the thin one its prediction interval. Parts that no
    study connects follow one another, each with its own reference. Bars that leave the axis end in an arrow; their
    numbers stand at the right.

    Parameters
    ----------
    net : Network
        A fitted network.
    ax : Axes, optional
        Where to draw; a figure of the right size by default.
    title, caption : str, optional
        What the figure says, and what it is; made from the numbers by default, empty for none.
    reference : str, optional
        What the others are compared with; by default the network's reference.
    order : sequence of str, optional
        All treatments from top to bottom; by default by P-score if the direction is known.
    transform : bool, optional
        Show ratios; by default for measures that are analysed as logarithms.
    ends : tuple of str, optional
        What the two sides of the axis favour; made from `small_values` by default.

    Returns
    -------
    Axes
        Its child axes is the panel; positions there are on the scale of analysis.

    Raises
    ------
    InputError
        As in :func:`network_forest_table`, and for axes that are too small.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE")
    >>> ax = network_forest(net, reference="C")
    """
    table = network_forest_table(net, reference=reference, order=order, transform=transform)
    shown = reading(net, transform)
    with house_style():
        numbers = {t: _numbers(shown, row) for t, row in zip(table.index, table.to_dict("records"), strict=True)}
        level = f"{100 * net.level:g}%"
        name = shown.name[:1].upper() + shown.name[1:]
        heads = ["Studies", "direct", f"{name} ({level} CI)", f"{level} PI"]
        labels = {t: wrap(t, 2.4) for t in table.index}
        groups = list(table.groupby("part", sort=False))
        wide = max(text_width(line) for lines in labels.values() for line in lines)
        if len(groups) > 1:
            wide = max(wide, *(text_width(_group(g), 9.0, bold=True) - 0.6 for _, g in groups))
        some = table["pi_low"].notna().any()
        estimate = max(text_width(heads[2], 8.2), *(text_width(n[0], 8.8) for n in numbers.values()))
        predict = max(text_width(heads[3], 8.2), *(text_width(n[1], 8.8) for n in numbers.values())) if some else 0.0
        left = max(wide, 0.9) + 1.15
        right = estimate + (predict + 0.25 if some else 0.0) + 0.2
        rows = sum(0.75 * max(1, len(labels[t])) + 0.25 for t in table.index) + (
            1.1 * len(groups) if len(groups) > 1 else 0
        )
        height = 0.3 + _ROW * rows + 0.52
        base = str(groups[0][1]["compared_with"].iloc[0])
        sides = ends if ends is not None else _ends(net, base, len(groups))
        plot = max(_PLOT, sum(text_width(side, 8.2) for side in sides) + 0.3)
        page = open_page(
            ax, left + plot + right, height, title=_title(net, base, shown) if title is None else title,
            caption=_caption(net, table, order) if caption is None else caption, most=left + 2 * plot + right,
        )  # fmt: skip
        plot = page.width - left - right
        panel = page.panel(left, 0.26, plot, height - 0.26 - 0.4)
        bottom = height - 0.26 - 0.4
        panel.set_ylim(bottom, 0)
        limits = _limits(table, shown)
        shown.ticks(panel, *limits)
        panel.grid(axis="x", color=COLOURS["hairline"], lw=0.7 * page.scale, zorder=0)
        panel.set_axisbelow(True)
        panel.axvline(0, color=COLOURS["muted"], lw=0.9 * page.scale, ls=(0, (1, 2)), zorder=1)
        ends_at = (left - 0.62, left - 0.14)
        for x, head in zip(ends_at, heads, strict=False):
            page.text(x, 0.1, head, 8.2, muted=True, align="right")
        page.text(0, 0.1, "Treatment", 8.2, muted=True)
        page.text(page.width - (predict + 0.25 if some else 0), 0.1, heads[2], 8.2, muted=True, align="right")
        if some:
            page.text(page.width, 0.1, heads[3], 8.2, muted=True, align="right")
        y = 0.06
        for _, group in groups:
            if len(groups) > 1:
                page.text(0, 0.26 + y + 0.5 * _ROW, _group(group), 9.0, bold=True)
                y += 1.1 * _ROW
            for treatment, row in zip(group.index, group.to_dict("records"), strict=True):
                tall = _ROW * (0.75 * len(labels[treatment]) + 0.25)
                middle = y + tall / 2
                _row(page, panel, row, middle, limits, shown)
                for j, line in enumerate(labels[treatment]):
                    page.text(0, 0.26 + middle + 0.17 * (j - (len(labels[treatment]) - 1) / 2), line)
                page.text(ends_at[0], 0.26 + middle, words.count(row["k"]), 8.6, align="right")
                page.text(
                    ends_at[1],
                    0.26 + middle,
                    words.count(row["k_direct"]) if row["k_direct"] else "–",
                    8.6,
                    align="right",
                )
                page.text(
                    page.width - (predict + 0.25 if some else 0),
                    0.26 + middle,
                    numbers[treatment][0],
                    8.8,
                    align="right",
                )
                if some:
                    page.text(page.width, 0.26 + middle, numbers[treatment][1], 8.8, muted=True, align="right")
                y += tall
        for x, align, text in ((left, "left", sides[0]), (left + plot, "right", sides[1])):
            page.text(x, height - 0.05, text, 8.2, muted=True, align=align)
    return page.ax


def _numbers(shown: Reading, row: dict[Any, Any]) -> tuple[str, str]:
    interval = shown.interval(row["ci_low"], row["ci_high"])
    first = shown.number(row["estimate"]) + (f" ({interval})" if interval else "")
    return first, shown.interval(row["pi_low"], row["pi_high"])


def _group(group: pd.DataFrame) -> str:
    return f"Part {group['part'].iloc[0]}: against {group['compared_with'].iloc[0]}"


def _row(page: Page, panel: Axes, row: dict[Any, Any], y: float, limits: tuple[float, float], shown: Reading) -> None:
    at = {x: float(shown.back(row[x])) for x in ("estimate", "ci_low", "ci_high", "pi_low", "pi_high")}
    colour, scale = COLOURS["accent"], page.scale
    for low, high, width, alpha in (
        (at["pi_low"], at["pi_high"], 1.1, 1.0), (at["ci_low"], at["ci_high"], 5.0, 0.42),
    ):  # fmt: skip
        if not (math.isfinite(low) and math.isfinite(high)):
            continue
        ends = [max(low, limits[0]), min(high, limits[1])]
        panel.plot(ends, [y, y], lw=width * scale, color=colour, alpha=alpha, solid_capstyle="butt", zorder=2)
        for out, x, marker in ((low < limits[0], limits[0], "<"), (high > limits[1], limits[1], ">")):
            if out:
                panel.plot(x, y, marker, ms=4 * scale, color=colour, mec="none", clip_on=False, zorder=3)
    panel.plot(at["estimate"], y, "o", ms=6 * scale, color=colour, mec=COLOURS["paper"], mew=0.8 * scale, zorder=4)


def _limits(table: pd.DataFrame, shown: Reading) -> tuple[float, float]:
    """Limits that hold every estimate, no effect, and the intervals that do not flatten the rest."""
    points = table.loc[:, ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]]
    values = shown.back(points.to_numpy(dtype=float))
    values = np.where(np.isfinite(values), values, np.nan)
    inner = np.append(values[:, 0], 0.0)
    core = np.nanmax(inner) - np.nanmin(inner)
    half = np.abs(values[:, 1:3] - values[:, :1])
    usual = float(np.nanmedian(half)) if np.isfinite(half).any() else 0.0
    allowed = max(core, 1e-9) * 0.5 + 2.5 * usual  # beyond this an interval is cut
    low, high = np.nanmin(inner), np.nanmax(inner)
    for bottom, top in ((1, 2), (3, 4)):
        ends = values[:, bottom][np.isfinite(values[:, bottom])], values[:, top][np.isfinite(values[:, top])]
        if ends[0].size:
            low = min(low, max(float(ends[0].min()), float(np.nanmin(inner)) - allowed))
            high = max(high, min(float(ends[1].max()), float(np.nanmax(inner)) + allowed))
    air = 0.04 * (high - low) or 0.5
    return float(low - air), float(high + air)


def _ends(net: Network, base: str, groups: int) -> tuple[str, str]:
    other = base if groups == 1 else "the reference"
    if net.small_values is None:
        return f"lower than {other}", f"higher than {other}"
    sides = "favours the treatment", f"favours {other}"
    return sides if net.small_values == "desirable" else (sides[1], sides[0])


def _title(net: Network, base: str, shown: Reading) -> str:
    against = f"against {base}" if net.n_parts == 1 else "against the reference of their part"
    name = shown.name[:1].upper() + shown.name[1:]
    return f"{name}s of {words.counted(len(net.treatments) - net.n_parts, 'treatment')} {against}"


def _caption(net: Network, table: pd.DataFrame, order: Sequence[str] | None) -> str:
    said = [f"{model_words(net)[:1].upper()}{model_words(net)[1:]}, {net.k} studies."]
    said.append(
        "Dot: estimate; thick bar: confidence interval"
        + ("; thin bar: prediction interval." if table["pi_low"].notna().any() else ".")
    )
    if table["pi_low"].isna().any() and net.method not in {"EE", "MH"}:
        said.append("Without a prediction interval: too few studies to know how far effects vary.")
    if order is None:
        said.append("Ordered by P-score." if net.small_values is not None else "")
    if math.isfinite(net.tau2):
        said.append(f"tau²\u00a0{net.tau2:.3f}, I²\u00a0{net.i2:.0f}%.")
    said.append("direct: studies that compare the two themselves.")
    return " ".join(part for part in said if part)
