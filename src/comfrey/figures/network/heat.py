"""The net heat plot: where a network contradicts itself, and which evidence drives what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist

from comfrey.figures.network._page import Page, open_page, text_width, wrap
from comfrey.figures.network._reading import check_network
from comfrey.figures.style import COLOURS, house_style
from comfrey.findings import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from comfrey.models.network import Network

__all__ = ["net_heat_plot", "net_heat_plot_table"]

_CELL = 0.36
_LEAST = 4.0  # colours are full at this change of Q or a larger one, so that trifles stay pale
_LABEL = 1.9  # width at which labels break
# Cool, nothing, warm: blue-violet and amber stay apart for every kind of colour vision; numbers say the same.
_HEAT = LinearSegmentedColormap.from_list("heat", ["#6C63B5", "#B9B3D3", "#F4F2EC", "#E3BE73", "#B97A00"])


def _in_loops(net: Network) -> list[str]:
    """Designs that can disagree with the rest of the network."""
    detached = net.designs().detached
    return [str(design) for design in detached.index[detached["in_a_loop"]]]


def net_heat_plot_table(net: Network, *, random: bool = False) -> pd.DataFrame:
    """Give the numbers of :func:`net_heat_plot`.

    Parameters
    ----------
    net, random
        As in :func:`net_heat_plot`.

    Returns
    -------
    DataFrame
        One row a cell: index (row, column), both contrasts of designs in the order of the figure; `row_design`,
        `column_design`, `heat` (Q of the row's design minus what it is when the column's design is detached) and
        `contribution` (hat matrix: how much the column counts for the network estimate of the row). Empty where no
        design is in a loop.

    Raises
    ------
    InputError
        If `net` is no network.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3, 0.4], [0.04, 0.05, 0.06], ["A", "B", "A"], ["C", "C", "B"], [1, 2, 3], method="EE")
    >>> net_heat_plot_table(net)["heat"].min() > 0
    np.True_
    """
    check_network(net)
    kept = _in_loops(net)
    index = pd.MultiIndex.from_arrays([[], []], names=["row", "column"])
    if not kept:
        return pd.DataFrame(
            {"row_design": [], "column_design": [], "heat": np.empty(0), "contribution": np.empty(0)}, index=index
        )
    found = net.net_heat(random=random)
    heat = found.heat.loc[kept, kept]
    designs = [kept[i] for i in _order(heat.to_numpy())]
    contrasts = _contrasts(found.heat.index.tolist(), found.contribution.index.tolist())
    rows = [(contrast, design) for design in designs for contrast in contrasts[design]]
    names = [contrast for contrast, _ in rows]
    of = [design for _, design in rows]
    table = pd.DataFrame(
        {
            "row_design": np.repeat(of, len(of)),
            "column_design": np.tile(of, len(of)),
            "heat": heat.loc[of, of].to_numpy().ravel(),
            "contribution": found.contribution.loc[names, names].to_numpy().ravel(),
        }
    )
    table.index = pd.MultiIndex.from_product([names, names], names=["row", "column"])
    return table


def _contrasts(designs: list[str], contrasts: list[str]) -> dict[str, list[str]]:
    """Contrasts of each design, which come in the order of the designs: one fewer than it has treatments."""
    result, at = {}, 0
    for design in designs:
        several = f"({design})"
        size = 1
        if contrasts[at].endswith(several):
            size = next((i for i, name in enumerate(contrasts[at:]) if not name.endswith(several)), len(contrasts) - at)
        result[design] = contrasts[at : at + size]
        at += size
    return result


def _order(heat: NDArray[np.float64]) -> list[int]:
    """Put designs with like rows and columns side by side: complete linkage, as Krahn et al. 2013 do."""
    if len(heat) < 3:
        return list(range(len(heat)))
    both = np.concatenate([heat, heat.T], axis=1).round(9)
    return [int(i) for i in leaves_list(linkage(pdist(both, "cityblock"), "complete"))]


def net_heat_plot(
    net: Network,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    random: bool = False,
) -> Axes:
    """Draw the net heat matrix: colours say where inconsistency comes from, squares how much evidence counts.

    Parameters
    ----------
    net : Network
        A fitted network.
    ax : Axes, optional
        Where to draw; a figure of the right size by default.
    title, caption : str, optional
        What the figure says, and what it is; made from the numbers by default, empty for none.
    random : bool
        Add the network's heterogeneity to the variances.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If `net` is no network, or the axes are too small.

    References
    ----------
    Krahn U, Binder H, König J. BMC Med Res Methodol 2013;13:35, doi:10.1186/1471-2288-13-35.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3, 0.4], [0.04, 0.05, 0.06], ["A", "B", "A"], ["C", "C", "B"], [1, 2, 3], method="EE")
    >>> ax = net_heat_plot(net)
    """
    table = net_heat_plot_table(net, random=random)
    with house_style():
        names = list(dict.fromkeys(table.index.get_level_values("row")))
        if not names:
            page = open_page(ax, 4.4, 0.5, title="No inconsistency can show" if title is None else title, caption="")
            page.text(0, 0.2, "No loop: no comparison is made in two independent ways.", muted=True)
            return page.ax
        labels = {name: wrap(_label(name), _LABEL, 8.6) for name in names}
        left = max(text_width(line, 8.6) for lines in labels.values() for line in lines) + 0.34
        n = len(names)
        size = max(_CELL, 0.15 * max(len(lines) for lines in labels.values()) + 0.06)
        page = open_page(
            ax, max(left + size * n, 5.4), 0.3 + size * n + 0.55,
            title=_title(net, random) if title is None else title,
            caption=_caption(net, table, random) if caption is None else caption,
        )  # fmt: skip
        reach = max(float(table["heat"].abs().max()), _LEAST)
        for k, cell in enumerate(table.to_dict("records")):
            i, j = divmod(k, n)
            x, y = left + j * size, 0.3 + i * size
            colour = _HEAT(0.5 + 0.5 * cell["heat"] / reach)
            page.ax.add_patch(Rectangle((x, y), size, size, fc=colour, ec=COLOURS["paper"], lw=0.6 * page.scale))
            share = min(abs(cell["contribution"]), 1.0) ** 0.5 * (size - 0.04)
            inner = Rectangle(
                (x + (size - share) / 2, y + (size - share) / 2), share, share, fc=COLOURS["muted"], ec="none",
                alpha=0.3, zorder=3,
            )  # fmt: skip
            page.ax.add_patch(inner)
            if abs(cell["heat"]) >= 0.5:
                text = f"{cell['heat']:.1f}".replace("-", "−")
                page.text(x + size / 2, y + size / 2, text, 7.2, align="center")
        for i, name in enumerate(names):
            middle = 0.3 + (i + 0.5) * size
            for j, line in enumerate(labels[name]):
                page.text(0.28, middle + 0.145 * (j - (len(labels[name]) - 1) / 2), line, 8.6)
            page.text(0.16, middle, str(i + 1), 8.0, muted=True, align="right")
            page.text(left + (i + 0.5) * size, 0.2, str(i + 1), 8.0, muted=True, align="center")
        _key(page, 0.16, 0.3 + size * n + 0.3, reach)
    return page.ax


def _label(contrast: str) -> str:
    pair, several, design = contrast.partition(" (")
    return " vs ".join(pair.split(":")) + (f" (in {design[:-1].replace(':', ', ')})" if several else "")


def _key(page: Page, x: float, y: float, reach: float) -> None:
    steps, wide = 40, 1.5
    for i in range(steps):
        box = Rectangle(
            (x + i * wide / steps, y - 0.05), wide / steps * 1.05, 0.1, fc=_HEAT(i / (steps - 1)), ec="none"
        )
        page.ax.add_patch(box)
    for share, value in ((0.0, -reach), (0.5, 0.0), (1.0, reach)):
        page.text(x + share * wide, y + 0.14, f"{value:.1f}".replace("-", "−"), 7.6, muted=True, align="center")
    page.text(x + wide + 0.18, y, "amber: the column makes the row look inconsistent", 8.2, muted=True)


def _title(net: Network, random: bool) -> str:
    test = net.designs()
    q, df, p = net.q_inconsistency, net.q_inconsistency_df, net.q_inconsistency_p
    if random:
        q, p = test.q_random, test.q_random_p
    chance = "less than 0.001" if p < 0.001 else f"{p:.3f}"
    return f"Inconsistency between designs: Q {q:.1f} on {df} df, p {chance}"


def _caption(net: Network, table: pd.DataFrame, random: bool) -> str:
    model = "random-effects" if random else "common-effect"
    said = [
        f"Net heat ({model} weights), {net.k} studies. Colour and number: change of the row design's Q when the "
        "column's design gets effects of its own. Side of a square: root of the share that the column counts for the "
        "row's network estimate.",
    ]
    left_out = len(net.designs().detached) - table["row_design"].nunique()
    if left_out:
        said.append(f"{words.counted(left_out, 'design')} in no loop left out: nothing can contradict them.")
    return " ".join(said)
