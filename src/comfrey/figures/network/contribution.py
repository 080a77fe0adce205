"""The contribution matrix as a heat map, and contributions by risk of bias as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from comfrey.errors import InputError
from comfrey.figures.network._page import Page, open_page, text_width
from comfrey.figures.network._reading import check_network, ordered
from comfrey.figures.network._tables import level_order
from comfrey.figures.style import COLOURS, house_style
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from comfrey.models.network import Network

__all__ = ["contribution_plot", "contribution_plot_table"]

_CELL, _HIGH = 0.32, 0.215
_ALL = 66  # more rows than this are too many by default: then those against the reference
_SHADE = LinearSegmentedColormap.from_list(
    "share", [(0.0, "#F7F5F0"), (0.45, "#D3CDE8"), (0.8, "#A79DD3"), (1.0, COLOURS["accent"])]
)
# From the best level to the worst; a pattern beside the colour.
_LEVELS = ((COLOURS["leaf"], ""), ("#C9D2CE", "...."), (COLOURS["amber"], "////"), (COLOURS["ink"], ""))


def contribution_plot_table(
    net: Network,
    *,
    kind: Literal["random-walk", "shortest-path", "hat"] = "random-walk",
    per: Literal["comparison", "study", "risk of bias"] = "comparison",
    rows: Literal["all", "reference"] | None = None,
    risk_of_bias: Mapping[str, str] | None = None,
    levels: Sequence[str] | None = None,
    common: bool = False,
) -> pd.DataFrame:
    """Give the numbers of :func:`contribution_plot`.

    Parameters
    ----------
    net, kind, per, rows, risk_of_bias, levels, common
        As in :func:`contribution_plot`.

    Returns
    -------
    DataFrame
        Rows as in the figure: index (treatment_1, treatment_2), comparisons with direct evidence first. Columns:
        comparisons with direct evidence, studies, or levels. Shares from 0 to 1; signed for the hat matrix.

    Raises
    ------
    InputError
        For an option that does not exist, or a study without a level.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE")
    >>> contribution_plot_table(net).to_numpy().tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    """
    check_network(net)
    table = net.contributions(kind, per=per, risk_of_bias=risk_of_bias, common=common)
    if per == "risk of bias":
        table = table[[level for level in level_order(list(table.columns), levels) if level in table.columns]]
    n = len(net.treatments)
    if rows is None:
        rows = "all" if n * (n - 1) / 2 <= _ALL else "reference"
    if rows not in {"all", "reference"}:
        raise InputError("rows", found=repr(rows), expected="'all' or 'reference'")
    pairs: list[tuple[str, str]] = [(str(a), str(b)) for a, b in table.index.to_list()]
    if rows == "reference":
        against = net.summary["compared_with"].to_dict()
        pairs = [(a, b) for a, b in pairs if against.get(a) == b or against.get(b) == a]
    direct, names = net._direct, net.treatments
    held = {(names[i], names[j]) for i, j in zip(direct.first, direct.second, strict=True)}
    place = {name: i for i, name in enumerate(ordered(net, None))}
    known = set(table.dropna().index)
    pairs = [pair for pair in pairs if pair in known]
    pairs.sort(key=lambda p: (p not in held, sorted((place[p[0]], place[p[1]]))))
    if per == "comparison":
        table = table[[*(pair for pair in pairs if pair in held), *sorted(held - set(pairs))]]
    return table.loc[pairs]


def contribution_plot(
    net: Network,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    kind: Literal["random-walk", "shortest-path", "hat"] = "random-walk",
    per: Literal["comparison", "study", "risk of bias"] = "comparison",
    rows: Literal["all", "reference"] | None = None,
    risk_of_bias: Mapping[str, str] | None = None,
    levels: Sequence[str] | None = None,
    common: bool = False,
) -> Axes:
    """Draw how much each piece of direct evidence contributes to each estimate, in percent.

    Parameters
    ----------
    net : Network
        A fitted network.
    ax : Axes, optional
        Where to draw; a figure of the right size by default.
    title, caption : str, optional
        What the figure says, and what it is; made from the numbers by default, empty for none.
    kind : "random-walk", "shortest-path" or "hat"
        As in :meth:`comfrey.models.network.Network.contributions`.
    per : "comparison", "study" or "risk of bias"
        What the columns are; for risk of bias a bar is divided among its levels.
    rows : "all" or "reference", optional
        Every pair, or only those with the reference of their part; by default the latter in large networks.
    risk_of_bias : mapping of study to level
        Needed for ``per="risk of bias"``.
    levels : sequence of str, optional
        Up to four levels, the best first; not needed for the usual ones.
    common : bool
        Use the common-effect model.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        As in :func:`contribution_plot_table`, and for axes that are too small.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE")
    >>> ax = contribution_plot(net)
    """
    table = contribution_plot_table(
        net, kind=kind, per=per, rows=rows, risk_of_bias=risk_of_bias, levels=levels, common=common
    )
    direct, names = net._direct, net.treatments
    held = {(names[i], names[j]) for i, j in zip(direct.first, direct.second, strict=True)}
    mixed = sum(pair in held for pair in table.index)
    if title is None:
        title = f"What {words.counted(len(table), 'estimate')} rest on"
    if caption is None:
        caption = _caption(net, table, kind, per, common)
    with house_style():
        labels = [f"{a} vs {b}" for a, b in table.index]
        left = max(text_width(label, 8.6) for label in labels) + 0.14
        aside = 0.0
        gap = 0.24 if 0 < mixed < len(table) else 0.0
        down = [0.24 + i * _HIGH + (gap if i >= mixed else 0.0) for i in range(len(table))]
        bottom = 0.24 + len(table) * _HIGH + gap
        if per == "risk of bias":
            page = open_page(ax, left + 4.0, bottom + 0.6, title=title, caption=caption, most=left + 7.0)
            _bars(page, table, left, down, bottom)
        else:
            heads = [" vs ".join(c) if per == "comparison" else str(c) for c in table.columns]
            numbered = list(table.columns) == list(table.index[:mixed])
            if numbered:
                aside = text_width(str(mixed), 8.0) + 0.14
                left += aside
            width = max(left + _CELL * len(heads), 4.2)
            keys = [] if numbered else [f"{i + 1}: {head}" for i, head in enumerate(heads)]
            step = max((text_width(key, 8.0) for key in keys), default=1.0) + 0.25
            across = max(1, int(width / step))
            tall = 0.165 * -(-len(keys) // across) + (0.12 if keys else 0.0)
            page = open_page(ax, max(width, step if keys else 0), bottom + tall, title=title, caption=caption)
            _cells(page, table, left, down)
            for i in range(mixed if numbered else 0):
                page.text(left - 0.08, down[i] + _HIGH / 2, str(i + 1), 8.0, muted=True, align="right")
            for i, key in enumerate(keys):
                column, line = divmod(i, -(-len(keys) // across))
                page.text(column * step, bottom + 0.16 + 0.165 * line, key, 8.0, muted=True)
        for y, label in zip(down, labels, strict=True):
            page.text(left - 0.08 - aside, y + _HIGH / 2, label, 8.6, align="right")
        if mixed:
            page.text(0, 0.12, "With direct evidence", 8.2, muted=True, bold=True)
        if mixed < len(table):
            page.text(0, down[mixed] - 0.12, "Indirect evidence only", 8.2, muted=True, bold=True)
    return page.ax


def _cells(page: Page, table: pd.DataFrame, left: float, down: list[float]) -> None:
    values = table.to_numpy(dtype=float)
    for y, row in zip(down, values, strict=True):
        for j, share in enumerate(row):
            x = left + j * _CELL
            size = min(abs(share), 1.0)
            page.ax.add_patch(
                Rectangle((x, y), _CELL, _HIGH, fc=_SHADE(size), ec=COLOURS["paper"], lw=0.7 * page.scale)
            )
            if abs(share) >= 0.005:
                colour = COLOURS["paper"] if size > 0.87 else COLOURS["ink"]
                text = f"{100 * share:.0f}".replace("-", "−")
                page.text(x + _CELL / 2, y + _HIGH / 2, text, 7.6, align="center", color=colour)
    for j in range(values.shape[1]):
        page.text(left + (j + 0.5) * _CELL, 0.12, str(j + 1), 8.0, muted=True, align="center")


def _bars(page: Page, table: pd.DataFrame, left: float, down: list[float], bottom: float) -> None:
    wide = page.width - left - 0.12
    for y, row in zip(down, table.to_numpy(dtype=float), strict=True):
        x = left
        for share, (colour, pattern) in zip(row, _LEVELS, strict=False):
            page.ax.add_patch(
                Rectangle(
                    (x, y + 0.03), wide * share, _HIGH - 0.06, fc=colour, ec=COLOURS["paper"], hatch=pattern,
                    lw=0.5 * page.scale,
                )
            )  # fmt: skip
            x += wide * share
    for tick in range(0, 101, 25):
        page.text(left + wide * tick / 100, bottom + 0.12, f"{tick}%", 8.2, muted=True, align="center")
    x = left
    for level, (colour, pattern) in zip(table.columns, _LEVELS, strict=False):
        box = Rectangle((x, bottom + 0.34), 0.24, 0.13, fc=colour, ec=COLOURS["paper"], hatch=pattern, lw=0.5)
        page.ax.add_patch(box)
        page.text(x + 0.3, bottom + 0.405, str(level), 8.2)
        x += 0.3 + text_width(str(level), 8.2) + 0.25


def _caption(net: Network, table: pd.DataFrame, kind: str, per: str, common: bool) -> str:
    what = {"comparison": "direct comparison", "study": "study", "risk of bias": "level of risk of bias"}[per]
    how = {"random-walk": "random walk", "shortest-path": "shortest paths", "hat": "hat matrix, signed"}[kind]
    model = "common-effect" if common or net.method in {"EE", "MH"} else "random-effects"
    said = [f"Percent that each {what} contributes to each network estimate ({how}; {model} model, {net.k} studies)."]
    if kind != "hat":
        said.append("Rows add up to 100.")
    if per != "risk of bias" and (np.abs(table.to_numpy(dtype=float)) < 0.005).any():
        said.append("Empty cells: less than half a percent.")
    n = len(net.treatments)
    if len(table) < n * (n - 1) / 2 and net.n_parts == 1:
        said.append("Only comparisons with the reference are shown.")
    return " ".join(said)
