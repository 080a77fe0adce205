"""The network graph: who was compared with whom, in how many studies, with how many people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.patches import Circle, Polygon, Rectangle

from comfrey.errors import InputError
from comfrey.figures.network._island import Island, lay_out, place_counts, shelves
from comfrey.figures.network._page import LINE, Page, open_page, text_width
from comfrey.figures.network._reading import check_network, ordered
from comfrey.figures.network._tables import comparison_table, treatment_table
from comfrey.figures.style import COLOURS, house_style
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from comfrey.models.network import Contrasts, Network

__all__ = ["network_graph", "network_graph_table"]

_LARGEST = 0.23  # radius of the largest circle, inches
_WIDEST = 9.0  # the widest line, points
_COUNTED = 30  # with more lines than this their numbers would crowd; the table has them
_SHADED = 5  # with more designs of several arms than this shades would lie over one another
_WIDE = 7.2
_KEY = 1.0  # where the key begins
# From the best level to the worst: hue, and a pattern, so that nothing depends on colour.
_LOOKS: tuple[tuple[str, Any], ...] = (
    (COLOURS["leaf"], "-"),
    ("#8C97A0", (0, (3.2, 0.7))),
    (COLOURS["amber"], (0, (1.2, 0.6))),
    (COLOURS["ink"], (0, (0.45, 0.5))),
)


def network_graph_table(
    net: Network,
    *,
    of: Literal["comparisons", "treatments"] = "comparisons",
    participants: Mapping[str, float] | Contrasts | None = None,
    risk_of_bias: Mapping[str, str] | None = None,
    levels: Sequence[str] | None = None,
    judge: str | Callable[[Sequence[str]], str] = "majority",
) -> pd.DataFrame:
    """Give the numbers of :func:`network_graph`.

    Parameters
    ----------
    net : Network
        A fitted network.
    of : "comparisons" or "treatments"
        Lines or circles.
    participants, risk_of_bias, levels, judge
        As in :func:`network_graph`.

    Returns
    -------
    DataFrame
        One row a comparison with direct evidence: `part`, `k` (studies), with `risk_of_bias` also the number of
        studies at each level and the level that is shown. Or one row a treatment: `part`, `k`, `comparisons`, and
        `participants` if they were given.

    Raises
    ------
    InputError
        For a study without a level, a treatment without participants, an option that does not exist.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3, 0.1], [0.04, 0.05, 0.06], ["A", "B", "A"], ["C", "C", "B"], [1, 2, 3], method="EE")
    >>> network_graph_table(net)["k"].tolist()
    [1, 1, 1]
    """
    check_network(net)
    if of == "treatments":
        return treatment_table(net, participants)
    if of != "comparisons":
        raise InputError("of", found=repr(of), expected="'comparisons' or 'treatments'")
    return comparison_table(net, risk_of_bias, levels=levels, judge=judge)


def network_graph(
    net: Network,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    participants: Mapping[str, float] | Contrasts | None = None,
    risk_of_bias: Mapping[str, str] | None = None,
    levels: Sequence[str] | None = None,
    judge: str | Callable[[Sequence[str]], str] = "majority",
    order: Sequence[str] | None = None,
) -> Axes:
    """Draw which treatments were compared: circles by participants, straight lines by studies.

    Treatments stand on a ring in an order with few crossings; one stands in the middle if all lines then stay clear
    of it. Labels stand outside and never overlap. Parts that no study connects stand apart, each with its caption.

    Parameters
    ----------
    net : Network
        A fitted network.
    ax : Axes, optional
        Where to draw; a figure of the right size by default.
    title, caption : str, optional
        What the figure says, and what it is; made from the numbers by default, empty for none.
    participants : mapping of treatment to number, or Contrasts
        Areas of the circles; the contrasts that the network was made of know them. By default areas are by studies.
    risk_of_bias : mapping of study to level, optional
        Lines get the colour and the pattern of the level of their studies.
    levels : sequence of str, optional
        Up to four levels, the best first; not needed for the usual ones (low, some concerns, high ...).
    judge : "majority", "worst" or callable
        How a comparison's level follows from the levels of its studies; of equally frequent ones the worse counts.
    order : sequence of str, optional
        Treatments clockwise from the top, instead of an order with few crossings.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For input as in :func:`network_graph_table`, and for axes that are too small.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE")
    >>> ax = network_graph(net)
    """
    check_network(net)
    lines = comparison_table(net, risk_of_bias, levels=levels, judge=judge)
    circles = treatment_table(net, participants)
    with house_style():
        islands = _islands(net, circles, order)
        boxes = [island.bounds for island in islands]
        notes = _island_notes(net, circles) if net.n_parts > 1 else [""] * len(islands)
        room = LINE + 0.1 if net.n_parts > 1 else 0.0
        sizes = [
            (max(b[1] - b[0], text_width(note, 8.2, bold=True)), b[3] - b[2] + room)
            for b, note in zip(boxes, notes, strict=True)
        ]
        turn = sorted(range(len(islands)), key=lambda i: -len(islands[i].members))  # the largest part first
        islands, boxes = [islands[i] for i in turn], [boxes[i] for i in turn]
        notes, sizes = [notes[i] for i in turn], [sizes[i] for i in turn]
        places, height = shelves(sizes, max(_WIDE, *(s[0] for s in sizes)), 0.4)
        width = max(4.4, *(x + size[0] for (x, _), size in zip(places, sizes, strict=True)))
        key = risk_of_bias is not None
        keys = _keys(lines)
        if key:
            width = max(width, _KEY + sum(0.75 + text_width(text, 8.2) for text in keys))
        page = open_page(
            ax, width, height + (0.34 if key else 0.0), title=_title(net, lines) if title is None else title,
            caption=_caption(net, lines, circles, key) if caption is None else caption,
        )  # fmt: skip
        across = max(x + size[0] for (x, _), size in zip(places, sizes, strict=True))
        alone = (page.width - across) / 2
        for island, box, (x, y), size, note in zip(islands, boxes, places, sizes, notes, strict=True):
            left = x + (size[0] - (box[1] - box[0])) / 2 + alone
            _draw(page, net, island, left - box[0], y - box[2], lines)
            if note:
                page.text(
                    x + alone + size[0] / 2, y + size[1] - LINE / 2, note, 8.2, bold=True, muted=True, align="center"
                )
        if key:
            _key(page, keys, height + 0.24)
    return page.ax


def _islands(net: Network, circles: pd.DataFrame, order: Sequence[str] | None) -> list[Island]:
    direct, part = net._direct, net._structure.island
    edges = np.column_stack([direct.first, direct.second])
    size = circles["participants"] if "participants" in circles else circles["k"]
    area = _LARGEST**2 * size.to_numpy(dtype=float) / float(size.max())
    numbers = [words.count(round(v)) if "participants" in circles else _studies(int(v)) for v in size]
    names = list(net.treatments) if order is None else ordered(net, order)
    place = [net.treatments.index(name) for name in names]
    crowd = np.bincount(part).max()
    if crowd > 12:  # circles must not touch on a crowded ring
        area = area * min(1.0, 12 / float(crowd))
    return [
        lay_out(
            [i for i in place if part[i] == p], edges[part[edges[:, 0]] == p], net.treatments, numbers, area,
            circles["k"].to_numpy(dtype=float), keep_order=order is not None,
        )
        for p in range(net.n_parts)
    ]  # fmt: skip


def _studies(count: int) -> str:
    return words.counted(count, "study", "studies")


def _draw(page: Page, net: Network, island: Island, left: float, top: float, lines: pd.DataFrame) -> None:
    x, y = island.x + left, island.y + top
    at = {net.treatments[i]: j for j, i in enumerate(island.members)}
    here = lines[[a in at for a in lines.index.get_level_values(0)]]
    _shades(page, net, island, x, y)
    most = int(lines["k"].max())
    scale = min(_WIDEST if len(lines) <= _COUNTED else _WIDEST / 2, 1.6 * most) / most
    levels = _shown(lines)
    edges = np.array([(at[a], at[b]) for a, b in here.index])
    for (i, j), (_, row) in zip(edges, here.iterrows(), strict=True):
        colour, pattern = _LOOKS[levels.index(row["risk_of_bias"])] if levels else ("#A9A5C4", "-")
        wide = scale * row["k"]
        if isinstance(pattern, tuple) and wide < 2:  # dashes are in widths of the line: keep those of thin ones visible
            pattern = (0, tuple(d * 2 / wide for d in pattern[1]))
        page.line([x[i], x[j]], [y[i], y[j]], wide, color=colour, ls=pattern, zorder=2)
    if len(lines) <= _COUNTED:
        _counts(page, island, edges, [int(k) for k in here["k"]], left, top)
    for i in range(len(island.members)):
        look: dict[str, Any] = {"fc": COLOURS["accent"], "ec": COLOURS["paper"], "lw": 1.0 * page.scale, "zorder": 4}
        page.ax.add_patch(Circle((x[i], y[i]), island.radius[i], **look))
        if island.radius[i] < 0.035:  # a dot at least, so that every treatment is seen
            page.ax.plot(x[i], y[i], "o", ms=2.6 * page.scale, mfc=COLOURS["accent"], mec="none", zorder=5)
        _label(page, island, i, left, top)


def _shades(page: Page, net: Network, island: Island, x: Any, y: Any) -> None:
    """Lay a faint shade over the treatments of each design with several arms."""
    groups = [g for g in net._structure.groups if g.arms.shape[1] > 2]
    designs = sorted({tuple(sorted(row)) for g in groups for row in g.arms.tolist()})
    if len(designs) > _SHADED:
        return
    for design in designs:
        if design[0] in island.members:
            at = [island.members.index(i) for i in design]
            middle = np.mean(x[at]), np.mean(y[at])
            at.sort(key=lambda i: math.atan2(y[i] - middle[1], x[i] - middle[0]))
            corners = np.column_stack([x[at], y[at]])
            page.ax.add_patch(Polygon(corners, closed=True, fc=COLOURS["leaf"], alpha=0.10, ec="none", zorder=1))


def _counts(page: Page, island: Island, edges: Any, numbers: list[int], left: float, top: float) -> None:
    sizes = [(text_width(str(k), 7.6) + 0.05, 0.12) for k in numbers]
    box = {"fc": COLOURS["paper"], "ec": "none", "boxstyle": "round,pad=0.14", "alpha": 0.92}
    for (px, py), k in zip(place_counts(island, edges, sizes), numbers, strict=True):
        page.text(px + left, py + top, str(k), 7.6, muted=True, align="center", bbox=box, zorder=3)


def _label(page: Page, island: Island, i: int, left: float, top: float) -> None:
    box, text = island.labels[i], island.lines[i]
    x, y = box.anchor + left, box.y + top
    inside = i == island.middle
    if not inside:
        _leader(page, island, i, left, top)
    more: dict[str, Any] = {"zorder": 7}
    if inside:
        corner = box.edges[0] + left - 0.02, box.edges[2] + top
        look: dict[str, Any] = {"fc": COLOURS["paper"], "ec": "none", "alpha": 0.85, "zorder": 6.5}
        page.ax.add_patch(Rectangle(corner, box.width + 0.04, box.height, **look))
    if box.height < 1.5 * LINE and len(text) == 2:  # one line: the number beside the name
        gap = text_width("  ", 8.0)
        name, number = text
        if box.align == "center":
            x = box.edges[0] + left
        if box.align == "right":
            page.text(x, y, number, 8.0, muted=True, align="right", **more)
            page.text(x - text_width(number, 8.0) - gap, y, name, align="right", **more)
        else:
            page.text(x, y, name, **more)
            page.text(x + text_width(name) + gap, y, number, 8.0, muted=True, **more)
        return
    for j, line in enumerate(text):
        down = y - box.height / 2 + (j + 0.5) * LINE
        last = j == len(text) - 1
        page.text(x, down, line, 8.0 if last else 9.0, muted=last, align=box.align, **more)


def _leader(page: Page, island: Island, i: int, left: float, top: float) -> None:
    """Join a label that had to move with its circle."""
    box, cx, cy, radius = island.labels[i], island.x[i], island.y[i], island.radius[i]
    low_x, high_x, low_y, high_y = box.edges
    end = np.array([np.clip(cx, low_x, high_x), np.clip(cy, low_y, high_y)])
    way = end - np.array([cx, cy])
    length = float(np.hypot(*way))
    if length - radius < 0.24:
        return
    start = np.array([cx, cy]) + way / length * (radius + 0.02)
    end = end - way / length * 0.025
    page.line([start[0] + left, end[0] + left], [start[1] + top, end[1] + top], 0.6, color="#AEB7B6", zorder=1.5)


def _shown(lines: pd.DataFrame) -> list[str]:
    """Levels of risk of bias, the best first; empty without them."""
    return [c for c in lines.columns if c not in {"part", "k", "risk_of_bias"}] if "risk_of_bias" in lines else []


def _keys(lines: pd.DataFrame) -> list[str]:
    """Words of the key: each level, and how many lines have it."""
    return [f"{level} ({int((lines['risk_of_bias'] == level).sum())})" for level in _shown(lines)]


def _key(page: Page, keys: list[str], y: float) -> None:
    page.text(0, y, "Risk of bias", 8.2, muted=True)
    x = _KEY
    for (colour, pattern), label in zip(_LOOKS, keys, strict=False):
        page.line([x, x + 0.42], [y, y], 4, color=colour, ls=pattern)
        page.text(x + 0.5, y, label, 8.2)
        x += 0.75 + text_width(label, 8.2)


def _island_notes(net: Network, circles: pd.DataFrame) -> list[str]:
    notes = []
    for part, row in net.parts.iterrows():
        note = f"Part {part}: {words.counted(int(row['n_treatments']), 'treatment')}, {_studies(int(row['k']))}"
        if "participants" in circles:
            people = circles.loc[circles["part"] == part, "participants"].sum()
            note += f", {words.count(round(people))} people"
        notes.append(note)
    return notes


def _title(net: Network, lines: pd.DataFrame) -> str:
    parts = f" in {net.n_parts} parts that no study connects" if net.n_parts > 1 else ""
    return (
        f"{words.counted(len(net.treatments), 'treatment')} in {_studies(net.k)}: "
        f"{words.counted(len(lines), 'comparison')} made directly{parts}"
    )


def _caption(net: Network, lines: pd.DataFrame, circles: pd.DataFrame, key: bool) -> str:
    by = "people" if "participants" in circles else "studies"
    said = [f"Area of the circles: {by} (number below or beside each name)."]
    most = int(lines["k"].max())
    if len(lines) <= _COUNTED:
        said.append("Width of the lines and number on them: studies.")
    else:
        said.append(f"Width of the lines: studies, from {int(lines['k'].min())} to {most}.")
    several = [g for g in net._structure.groups if g.arms.shape[1] > 2]
    many = sum(g.studies.size for g in several)
    if many:
        designs = {tuple(sorted(row)) for g in several for row in g.arms.tolist()}
        shade = " (shaded)" if len(designs) <= _SHADED else ""
        said.append(f"{words.counted(many, 'study', 'studies')} with three or more arms{shade}.")
    if key:
        said.append("A line has the level that its studies give it together; in brackets, lines of each level.")
    return " ".join(said)
