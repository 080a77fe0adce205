"""The league table as a figure: every treatment against every other, two models or direct evidence side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.patches import Rectangle

from comfrey.errors import InputError
from comfrey.figures.network._page import Page, open_page, text_width, wrap
from comfrey.figures.network._reading import Reading, check_network, model_words, ordered, reading
from comfrey.figures.style import COLOURS, house_style
from comfrey.models.network import Network
from comfrey.models.network._league import direct_cells, network_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["league_plot", "league_plot_table"]

_HIGH = 0.42  # of a cell, inches
_TINT = {"accent": "#E3DFF0", "leaf": "#DCEAE2"}


def _cells(net: Network, what: str | Network, argument: str) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Give estimate, lower and upper limit of each pair that has them, the first minus the second."""
    if isinstance(what, Network):
        return network_cells(what)
    if what == "network":
        return network_cells(net)
    if what == "direct":
        return direct_cells(net)
    if what == "common":
        pairs, names = net._common_pairs, net.treatments
        return {
            (a, b): (float(pairs.estimate[i, j]), float(pairs.ci_low[i, j]), float(pairs.ci_high[i, j]))
            for i, a in enumerate(names)
            for j, b in enumerate(names)
            if i != j and math.isfinite(pairs.estimate[i, j])
        }
    raise InputError(argument, found=repr(what), expected="'network', 'direct', 'common' or a network")


def league_plot_table(
    net: Network,
    *,
    lower: str | Network = "network",
    upper: str | Network = "direct",
    order: Sequence[str] | None = None,
    transform: bool | None = None,
) -> pd.DataFrame:
    """Give the numbers of :func:`league_plot`.

    Parameters
    ----------
    net, lower, upper, order, transform
        As in :func:`league_plot`.

    Returns
    -------
    DataFrame
        One row a cell: index (row, column) of the league table; `triangle`, what it shows (`source`), and
        `treatment_1`, `treatment_2`, `estimate`, `ci_low`, `ci_high`: treatment 1 against treatment 2, on the scale
        that people read. A comparison that does not exist is not a number.

    Raises
    ------
    InputError
        For an option that does not exist.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE")
    >>> league_plot_table(net).loc[("C", "A"), "estimate"].round(4)
    np.float64(-0.5)
    """
    check_network(net)
    names, shown = ordered(net, order), reading(net, transform)
    below, above = _cells(net, lower, "lower"), _cells(net, upper, "upper")
    rows = []
    for i, row in enumerate(names):
        for j, column in enumerate(names):
            if i == j:
                continue
            triangle, source, what = ("lower", below, lower) if i > j else ("upper", above, upper)
            # both triangles read: the treatment further up and left against the other one
            first, second = (column, row) if i > j else (row, column)
            cell = source.get((first, second), (math.nan,) * 3)
            rows.append(
                {
                    "row": row, "column": column, "triangle": triangle,
                    "source": "another network" if isinstance(what, Network) else what,
                    "treatment_1": first, "treatment_2": second,
                    "estimate": shown.read(cell[0]), "ci_low": shown.read(cell[1]), "ci_high": shown.read(cell[2]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows).set_index(["row", "column"])


def league_plot(
    net: Network,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    lower: str | Network = "network",
    upper: str | Network = "direct",
    order: Sequence[str] | None = None,
    transform: bool | None = None,
) -> Axes:
    """Draw the league table: treatments on the diagonal, their comparisons in the two triangles.

    Parameters
    ----------
    net : Network
        A fitted network.
    ax : Axes, optional
        Where to draw; a figure of the right size by default.
    title, caption : str, optional
        What the figure says, and what it is; made from the numbers by default, empty for none.
    lower, upper : "network", "direct", "common" or Network
        What the triangles show: the model that was asked for, direct evidence alone, the common-effect model, or
        another network of the same treatments (another outcome, say).
    order : sequence of str, optional
        Treatments along the diagonal; by default by P-score if the direction is known.
    transform : bool, optional
        Show ratios; by default for measures that are analysed as logarithms.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For an option that does not exist, and for axes that are too small.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE")
    >>> ax = league_plot(net)
    """
    table = league_plot_table(net, lower=lower, upper=upper, order=order, transform=transform)
    names, shown = ordered(net, order), reading(net, transform)
    with house_style():
        texts = {key: _words(shown, row) for key, row in zip(table.index, table.to_dict("records"), strict=True)}
        heads = {name: wrap(name, 1.05, 8.8, bold=True) for name in names}
        wide = 0.2 + max(
            *(text_width(line, 8.8, bold=True) for head in heads.values() for line in head),
            *(max(text_width(a, 9.0, bold=True), text_width(b, 7.8)) for a, b in texts.values()),
        )
        high = max(_HIGH, *(0.16 * len(head) + 0.1 for head in heads.values()))
        n = len(names)
        page = open_page(
            ax, max(wide * n, 3.6), high * n,
            title=_title(net, shown) if title is None else title,
            caption=_caption(net, lower, upper, table) if caption is None else caption, most=1.6 * wide * n,
        )  # fmt: skip
        wide = page.width / n
        for i, name in enumerate(names):
            page.ax.add_patch(Rectangle((i * wide, i * high), wide, high, fc=COLOURS["accent"], ec="none"))
            for j, line in enumerate(heads[name]):
                down = (i + 0.5) * high + 0.15 * (j - (len(heads[name]) - 1) / 2)
                page.text((i + 0.5) * wide, down, line, 8.8, bold=True, align="center", color=COLOURS["paper"])
        where = {name: i for i, name in enumerate(names)}
        for (row, column), cell in zip(table.index, table.to_dict("records"), strict=True):
            _draw(page, where[column] * wide, where[row] * high, wide, high, cell, texts[row, column], net, shown)
        for i in range(n + 1):
            page.line([0, page.width], [i * high, i * high], 0.8)
            page.line([i * wide, i * wide], [0, high * n], 0.8)
    return page.ax


def _words(shown: Reading, cell: dict[Any, Any]) -> tuple[str, str]:
    if not math.isfinite(cell["estimate"]):
        return "", ""
    return shown.number(cell["estimate"]), shown.interval(cell["ci_low"], cell["ci_high"])


def _apart(cell: dict[Any, Any], null: float) -> int:
    """-1 if the whole interval is below no effect, 1 if above, else 0."""
    return int(cell["ci_low"] > null) - int(cell["ci_high"] < null)


def _draw(
    page: Page, x: float, y: float, wide: float, high: float, cell: dict[Any, Any], texts: tuple[str, str],
    net: Network, shown: Reading,
) -> None:  # fmt: skip
    middle = x + wide / 2
    if not texts[0]:
        part = net._structure.island
        one, two = (net.treatments.index(cell[name]) for name in ("treatment_1", "treatment_2"))
        joined = part[one] == part[two]
        if not joined:
            page.ax.add_patch(
                Rectangle((x, y), wide, high, fc="none", ec=COLOURS["hairline"], hatch="////", lw=0, zorder=0.5)
            )
        elif cell["source"] == "direct":
            page.text(middle, y + high / 2, "–", 8.0, muted=True, align="center")
        return
    side = _apart(cell, 1.0 if shown.ratio else 0.0)
    if side:
        page.ax.add_patch(Rectangle((x, y), wide, high, fc=_TINT["leaf"], ec="none", zorder=0.5))
    gap = 0.082
    page.text(middle, y + high / 2 - gap, texts[0], 9.0, bold=bool(side), align="center")
    page.text(middle, y + high / 2 + gap, texts[1], 7.8, muted=True, align="center")


def _title(net: Network, shown: Reading) -> str:
    name = shown.name[:1].upper() + shown.name[1:]
    return f"{name}s between {len(net.treatments)} treatments"


def _source(net: Network, what: str | Network) -> str:
    if isinstance(what, Network):
        return "another network" + (f" ({what.measure})" if what.measure else "")
    return {"network": f"network, {model_words(net)}", "direct": "direct evidence alone",
            "common": "network, common-effect model"}[what]  # fmt: skip


def _caption(net: Network, lower: str | Network, upper: str | Network, table: pd.DataFrame) -> str:
    said = [
        f"Estimates with {100 * net.level:g}% confidence intervals from {net.k} studies; in both triangles the "
        "treatment further up and left against the other one.",
        f"Below the diagonal: {_source(net, lower)}. Above: {_source(net, upper)}.",
        "Shaded and bold: the interval excludes no effect.",
    ]
    if "direct" in (lower, upper) and table.loc[table["source"] == "direct", "estimate"].isna().any():
        said.append("A dash: no study compares the two.")
    if net.n_parts > 1:
        said.append("Hatched: no chain of studies connects the two.")
    return " ".join(said)
