"""The comparison-adjusted funnel plot: whether small studies are kinder to one side than large ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from comfrey.figures.network._page import Page, open_page, text_width, wrap
from comfrey.figures.network._reading import check_network, model_words, ordered, reading
from comfrey.figures.style import COLOURS, house_style
from comfrey.findings import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from comfrey.models.network import Network

__all__ = ["comparison_funnel", "comparison_funnel_table"]

_TITLE = "Small and large studies around the mean of their comparison"
_HIGH, _WIDE = 3.2, 3.6
# Comparisons with most studies get a mark of their own: form and colour together.
_MARKS = (
    ("o", COLOURS["accent"]), ("s", COLOURS["leaf"]), ("^", COLOURS["amber"]), ("D", COLOURS["ink"]),
    ("v", "#6D8FB3"), ("P", "#8A5A78"), ("X", "#5E7A3C"), ("<", "#7C6A5A"),
)  # fmt: skip


def comparison_funnel_table(net: Network, *, order: Sequence[str] | None = None) -> pd.DataFrame:
    """Give the numbers of :func:`comparison_funnel`.

    Parameters
    ----------
    net, order
        As in :func:`comparison_funnel`.

    Returns
    -------
    DataFrame
        One row a study's comparison: `study`, `treatment_1`, `treatment_2`, `k` (studies of this comparison), `yi`
        (treatment 1 minus treatment 2), `se`, `centre` (pooled direct estimate of the comparison) and `adjusted`
        (`yi` minus `centre`), on the scale of analysis.

    Raises
    ------
    InputError
        If `order` does not hold each treatment once.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.04], ["A", "A"], ["C", "C"], [1, 2], method="EE",
    ...               reference="C")
    >>> comparison_funnel_table(net)["adjusted"].round(3).tolist()
    [-0.1, 0.1]
    """
    check_network(net)
    rows, direct = net._rows, net._direct
    if order is None:
        base = net.treatments.index(net.reference)
        place = np.array([int(i == base) for i in range(len(net.treatments))])
        keep = (rows.first == base) | (rows.second == base)
    else:
        names = ordered(net, order)
        place = np.array([names.index(t) for t in net.treatments])
        keep = np.ones(rows.first.size, dtype=bool)
    turn = np.where(place[rows.first] <= place[rows.second], 1.0, -1.0)
    low = rows.first < rows.second
    centre = np.where(low, 1.0, -1.0) * direct.estimate[direct.comparison] * turn
    first = np.where(turn > 0, rows.first, rows.second)
    second = np.where(turn > 0, rows.second, rows.first)
    label = np.asarray(net.treatments, dtype=object)
    table = pd.DataFrame(
        {
            "study": np.asarray(rows.studies, dtype=object)[rows.study],
            "treatment_1": label[first], "treatment_2": label[second],
            "k": direct.k[direct.comparison], "yi": rows.yi * turn, "se": np.sqrt(rows.vi), "centre": centre,
            "adjusted": rows.yi * turn - centre,
        }
    )  # fmt: skip
    return pd.DataFrame(table.loc[keep]).reset_index(drop=True)


def comparison_funnel(
    net: Network,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    order: Sequence[str] | None = None,
) -> Axes:
    """Draw each study's effect minus the pooled direct effect of its comparison against its standard error.

    All comparisons have to point the same way for asymmetry to mean something. Without `order` only comparisons with
    the reference are drawn, each as treatment against reference. With it all are drawn, each as the treatment named
    earlier against the one named later (new against old, say).

    Parameters
    ----------
    net : Network
        A fitted network.
    ax : Axes, optional
        Where to draw; a figure of the right size by default.
    title, caption : str, optional
        What the figure says, and what it is; made from the numbers by default, empty for none.
    order : sequence of str, optional
        All treatments, first those that small studies are thought to favour.

    Returns
    -------
    Axes
        Its child axes is the panel; positions there are on the scale of analysis.

    Raises
    ------
    InputError
        If `order` does not hold each treatment once, or the axes are too small.

    References
    ----------
    Chaimani A, Higgins JPT, Mavridis D, et al. PLoS ONE 2013;8:e76654, doi:10.1371/journal.pone.0076654.

    Examples
    --------
    >>> from comfrey.models.network import network
    >>> net = network([-0.5, -0.3], [0.04, 0.04], ["A", "A"], ["C", "C"], [1, 2], method="EE")
    >>> ax = comparison_funnel(net)
    """
    table = comparison_funnel_table(net, order=order)
    shown = reading(net)
    several = table[table["k"] > 1]
    counts = (
        several.groupby(["treatment_1", "treatment_2"], sort=True).size().sort_values(ascending=False, kind="stable")
    )
    marks = {pair: _MARKS[i] for i, pair in enumerate(counts.index[: len(_MARKS)])}
    with house_style():
        lines = {pair: wrap(f"{pair[0]} vs {pair[1]}", 2.1, 8.6) for pair in marks}
        side = max([1.2, *(text_width(line, 8.6) for text in lines.values() for line in text)]) + 0.62
        page = open_page(
            ax, 0.62 + _WIDE + 0.3 + side, _HIGH + 0.62, title=_TITLE if title is None else title,
            caption=_caption(net, table, order) if caption is None else caption, most=9.0,
        )  # fmt: skip
        plot = page.width - 0.62 - 0.3 - side
        panel = page.panel(0.62, 0.05, plot, _HIGH)
        deep = float(table["se"].max()) * 1.06
        tail = float(ndtri(0.5 * (1 + net.level)))
        wide = max(tail * deep, float(table["adjusted"].abs().max())) * 1.06
        panel.set_ylim(deep, 0)
        shown.ticks(panel, -wide, wide)
        panel.fill([-tail * deep, 0, tail * deep], [deep, 0, deep], fc="#FFFFFF", ec="none", zorder=0)
        for sign in (-1, 1):
            panel.plot([0, sign * tail * deep], [0, deep], lw=0.9 * page.scale, color=COLOURS["faint"], zorder=1)
        panel.axvline(0, color=COLOURS["muted"], lw=0.9 * page.scale, ls=(0, (1, 2)), zorder=1)
        _points(page, panel, table, marks)
        ticks = [t for t in _steps(deep) if t <= deep]
        for t in ticks:
            at = 0.05 + _HIGH * t / deep
            page.text(0.55, at, f"{t:g}", 8.2, muted=True, align="right")
            page.line([0.58, 0.62], [at, at], 0.8)
        page.text(0.1, 0.05 + _HIGH / 2, "Standard error", 8.2, muted=True, align="center", rotation=90)
        name = f"{shown.name[:1].upper()}{shown.name[1:]}" + (" divided by" if shown.ratio else " minus")
        page.text(0.62 + plot / 2, _HIGH + 0.45, f"{name} the direct mean of its comparison", 8.2, muted=True,
                  align="center")  # fmt: skip
        _key(page, 0.62 + plot + 0.3, table, marks, lines, counts)
    return page.ax


def _points(page: Page, panel: Axes, table: pd.DataFrame, marks: dict[tuple[str, str], tuple[str, str]]) -> None:
    for row in table.to_dict("records"):
        mark, colour = marks.get((row["treatment_1"], row["treatment_2"]), ("o", COLOURS["muted"]))
        look: dict[str, Any] = {"mfc": colour, "mec": COLOURS["paper"], "mew": 0.6}
        if row["k"] == 1:
            look = {"mfc": COLOURS["paper"], "mec": COLOURS["muted"], "mew": 0.9}
        panel.plot(row["adjusted"], row["se"], mark, ms=5.2 * page.scale, zorder=3, clip_on=False, **look)


def _key(
    page: Page, x: float, table: pd.DataFrame, marks: dict[tuple[str, str], tuple[str, str]],
    lines: dict[tuple[str, str], list[str]], counts: pd.Series,
) -> None:  # fmt: skip
    y = 0.12
    for pair, (mark, colour) in marks.items():
        page.ax.plot(x + 0.06, y, mark, ms=5.2 * page.scale, mfc=colour, mec="none")
        for j, line in enumerate(lines[pair]):
            page.text(x + 0.2, y + 0.15 * j, line, 8.6)
        page.text(page.width, y, str(counts[pair]), 8.2, muted=True, align="right")
        y += 0.15 * len(lines[pair]) + 0.1
    rest = counts.iloc[len(marks) :]
    if len(rest):
        page.ax.plot(x + 0.06, y, "o", ms=5.2 * page.scale, mfc=COLOURS["muted"], mec="none")
        page.text(x + 0.2, y, words.counted(len(rest), "more comparison"), 8.6)
        page.text(page.width, y, str(int(rest.sum())), 8.2, muted=True, align="right")
        y += 0.25
    alone = int((table["k"] == 1).sum())
    if alone:
        page.ax.plot(x + 0.06, y, "o", ms=5.2 * page.scale, mfc=COLOURS["paper"], mec=COLOURS["muted"], mew=0.9)
        page.text(x + 0.2, y, "only study of its pair", 8.6)
        page.text(page.width, y, str(alone), 8.2, muted=True, align="right")


def _steps(deep: float) -> list[float]:
    step = 10 ** math.floor(math.log10(deep))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if deep / s <= 5)
    return [round(i * step, 10) for i in range(6)]


def _caption(net: Network, table: pd.DataFrame, order: Sequence[str] | None) -> str:
    said = [f"Comparison-adjusted funnel of {words.counted(len(table), 'comparison')} in "
            f"{words.counted(int(table['study'].nunique()), 'study', 'studies')}; pooled direct effects under the "
            f"{model_words(net)}."]  # fmt: skip
    if order is None:
        lost = net._rows.yi.size - len(table)
        said.append(
            f"Each as treatment against {net.reference}"
            + (f"; {lost} comparisons without it not drawn." if lost else ".")
        )
    else:
        said.append("Each as the treatment named earlier against the one named later in: " + ", ".join(order) + ".")
    if net.small_values is not None:
        side = "left" if net.small_values == "desirable" else "right"
        said.append(f"To the {side}: kinder to the first treatment than the mean.")
    if (table["k"] == 1).any():
        said.append("The only study of a pair lies on the line by definition.")
    said.append(f"Lines: {100 * net.level:g}% limits without heterogeneity.")
    return " ".join(said)
