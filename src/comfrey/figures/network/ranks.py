"""The rankogram: how probable each rank is, always with the interval of ranks and the precision of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import Rectangle

from comfrey.errors import InputError
from comfrey.figures.network._page import Page, open_page, text_width, wrap
from comfrey.figures.style import COLOURS, house_style
from comfrey.models.network import Network, Ranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["rankogram", "rankogram_table"]

_ROW = 0.5


def _ranking(net: Network | Ranking, draws: int, seed: int) -> Ranking:
    if isinstance(net, Ranking):
        return net
    if isinstance(net, Network):
        return net.ranking(draws=draws, seed=seed)
    raise InputError("net", found=type(net).__name__, expected="the result of comfrey.network, or its ranking")


def rankogram_table(
    net: Network | Ranking, *, order: Sequence[str] | None = None, draws: int = 20_000, seed: int = 1
) -> pd.DataFrame:
    """Give the numbers of :func:`rankogram`.

    Parameters
    ----------
    net, order, draws, seed
        As in :func:`rankogram`.

    Returns
    -------
    DataFrame
        One row a treatment, in the order of the figure: `p_score`, `sucra`, `mean_rank`, `rank_low`, `rank_high`,
        and the probability of each rank (columns 1, 2, ...).

    Raises
    ------
    InputError
        If the network does not know which direction is good, or has several parts (rank each of its `subnetworks`).

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE", small_values="desirable")
    >>> rankogram_table(net)["p_score"].round(3).tolist()
    [0.871, 0.581, 0.048]
    """
    ranking = _ranking(net, draws, seed)
    table = ranking.summary.drop(columns="probability_best").join(ranking.probabilities)
    if order is None:
        return table
    names = [str(t) for t in order]
    if sorted(names) != sorted(ranking.treatments):
        raise InputError("order", found=", ".join(names), expected=f"each of {', '.join(ranking.treatments)} once")
    return table.loc[names]


def rankogram(
    net: Network | Ranking,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    order: Sequence[str] | None = None,
    draws: int = 20_000,
    seed: int = 1,
) -> Axes:
    """Draw the probability of each rank as bars, one row a treatment, with its mean rank and interval of ranks.

    Parameters
    ----------
    net : Network or Ranking
        A fitted network, or a ranking (of a Bayesian network, say).
    ax : Axes, optional
        Where to draw; a figure of the right size by default.
    title, caption : str, optional
        What the figure says, and what it is; made from the numbers by default, empty for none.
    order : sequence of str, optional
        Treatments from top to bottom; by default by P-score.
    draws, seed : int
        Size and start of the simulation of a network's ranks.

    Returns
    -------
    Axes
        Its child axes is the panel.

    Raises
    ------
    InputError
        As in :func:`rankogram_table`, and for axes that are too small.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.05], ["A", "B"], ["C", "C"], [1, 2], method="EE", small_values="desirable")
    >>> ax = rankogram(net)
    """
    ranking = _ranking(net, draws, seed)
    table = rankogram_table(ranking, order=order)
    n = len(table)
    with house_style():
        labels = {t: wrap(t, 2.0) for t in table.index}
        left = max(0.8, *(text_width(line) for lines in labels.values() for line in lines)) + 0.2
        plot = max(2.4, min(0.24 * n, 2.4 + 0.1 * n))
        columns = (0.62, 0.62, 1.3)
        right = sum(columns)
        height = 0.3 + _ROW * n + 0.42
        page = open_page(
            ax, left + plot + right, height, title=_title(ranking) if title is None else title,
            caption=_caption(ranking) if caption is None else caption, most=left + 2 * plot + right,
        )  # fmt: skip
        plot = page.width - left - right
        tallest = float(ranking.probabilities.to_numpy().max())
        panel = page.panel(left, 0.26, plot, _ROW * n + 0.04)
        panel.set(xlim=(0.4, n + 0.6), ylim=(_ROW * n + 0.04, 0))
        every = max(1, round(n * 0.24 / max(plot, 0.1))) if n > 9 else 1
        panel.set_xticks([r for r in range(1, n + 1) if (r - 1) % every == 0])
        page.text(left + plot / 2, height - 0.1, "Rank (1 is the best)", 8.2, muted=True, align="center")
        page.text(0, 0.1, "Treatment", 8.2, muted=True)
        heads = ("P-score", "SUCRA", f"Mean rank ({100 * ranking.level:g}%)")
        at = [left + plot + sum(columns[: i + 1]) for i in range(3)]
        for x, head in zip(at, heads, strict=True):
            page.text(x, 0.1, head, 8.2, muted=True, align="right")
        for i, (name, row) in enumerate(zip(table.index, table.to_dict("records"), strict=True)):
            _row(page, panel, row, (i + 1) * _ROW, n, tallest)
            middle = 0.26 + (i + 0.58) * _ROW
            for j, line in enumerate(labels[name]):
                page.text(0, middle + 0.17 * (j - (len(labels[name]) - 1) / 2), line)
            span = f"{row['mean_rank']:.1f} ({row['rank_low']} to {row['rank_high']})"
            for x, text in zip(at, (f"{row['p_score']:.2f}", f"{row['sucra']:.2f}", span), strict=True):
                page.text(x, middle, text, 8.8, align="right")
    return page.ax


def _row(page: Page, panel: Axes, row: dict[Any, Any], base: float, n: int, tallest: float) -> None:
    """Draw one treatment: bars on a scale that all rows share, below them the interval of ranks."""
    floor = base - 0.1
    for rank in range(1, n + 1):
        chance = row[rank]
        if chance > 0:
            high = 0.34 * chance / tallest
            bar = Rectangle((rank - 0.38, floor - high), 0.76, high, fc=COLOURS["faint"], ec="none")
            panel.add_patch(bar)
    panel.plot([0.4, n + 0.6], [floor, floor], lw=0.7 * page.scale, color=COLOURS["hairline"], zorder=1)
    mark = floor + 0.05
    line: dict[str, Any] = {"color": COLOURS["accent"], "solid_capstyle": "butt", "zorder": 3}
    panel.plot([row["rank_low"], row["rank_high"]], [mark, mark], lw=1.6 * page.scale, **line)
    panel.plot(row["mean_rank"], mark, "o", ms=5 * page.scale, mfc=COLOURS["accent"], mec=COLOURS["paper"], zorder=4)


def _title(ranking: Ranking) -> str:
    best = ranking.summary.index[0]
    last = int(ranking.rank_high[best])
    low = int(ranking.rank_low[best])
    where = f"rank {low}" if low == last else f"ranks {low} to {last}"
    return f"Highest P-score: {best}, compatible with {where} of {len(ranking.treatments)}"


def _caption(ranking: Ranking) -> str:
    said = [
        f"Bars: probability of each rank; the highest is {ranking.probabilities.to_numpy().max():.2f}. Dot and line: "
        f"mean rank and {100 * ranking.level:g}% interval of ranks.",
        f"Precision of the hierarchy (POTH) {ranking.poth:.2f}: 0 is no order at all, 1 is certainty.",
    ]
    if ranking.draws:
        said.append(f"{ranking.draws:,} draws, seed {ranking.seed}.")
    return " ".join(said)
