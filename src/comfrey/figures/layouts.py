"""Layouts of forest plots as data: which columns stand where, in which words, colours and lines.

Each follows a house's printed style: `revman` that of Cochrane reviews, `jama` and `bmj` those of the journals;
`default` is ours. Make another with ``dataclasses.replace(LAYOUTS["bmj"], ...)`` and hand it to `forest_plot`.
"""

from __future__ import annotations

from dataclasses import dataclass

from comfrey.errors import InputError
from comfrey.figures.style import COLOURS

__all__ = ["LAYOUTS", "ForestLayout", "layout_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestLayout:
    """Everything that differs between the styles of forest plots.

    Texts are templates. Of the `heterogeneity`, `test`, `between` and `regression` lines each piece is left out
    where a number in it does not exist. Fields: tau2, i2, q, q_df, q_p, statistic, test, p, between_q, between_df,
    between_p, r2, omnibus, omnibus_df, omnibus_p; in labels level, studies, people and group.

    Attributes
    ----------
    left, right : tuple of str
        Columns on both sides of the plot: "study", "data", "estimate", "weight".
    interval, interval_signed : str
        An estimate with its interval; `interval_signed` where a number is below zero.
    study_colour, line_colour, pooled_colour, prediction_colour, pooled_edge : str
    null_dotted, pooled_line, head_rule, bold_heads, zero : bool
        Whether the null line is dotted, the pooled estimate has a line through the studies, a rule stands under the
        heads, heads are bold, and a zero stands before the point of P values.
    favours, favours_at : str
        Words at the ends of the axis, and whether they stand at its "bottom" or on "top".
    row, size : float
        Height of a row in inches, size of type in points.
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    interval: str
    interval_signed: str
    study_head: str = "Study"
    estimate_head: str = "{name} ({level} CI)"
    weight_head: str = "Weight"
    overall: str = "Pooled, {studies}"
    subtotal: str = "{group}, {studies}"
    prediction: str = "{level} prediction interval"
    heterogeneity: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    regression: tuple[str, ...] = ()
    joint: str = "; "
    study_colour: str = COLOURS["accent"]
    line_colour: str = COLOURS["ink"]
    pooled_colour: str = COLOURS["leaf"]
    prediction_colour: str = COLOURS["leaf"]
    pooled_edge: str = "none"
    null_dotted: bool = True
    pooled_line: bool = False
    head_rule: bool = False
    bold_heads: bool = False
    zero: bool = True
    favours: str = "Favours {}"
    favours_at: str = "bottom"
    row: float = 0.235
    size: float = 9.0


_REGRESSION = ("tau² {tau2} left", "I² {i2}%", "R² {r2}%", "test of moderators P {omnibus_p}")

LAYOUTS: dict[str, ForestLayout] = {
    "default": ForestLayout(
        left=("study", "data"),
        right=("estimate", "weight"),
        interval="{estimate} ({low} to {high})",
        interval_signed="{estimate} ({low} to {high})",
        heterogeneity=("tau² {tau2}", "I² {i2}%", "Q {q} on {q_df} df, P {q_p}"),
        between=("Difference between groups: Q {between_q} on {between_df} df, P {between_p}",),
        regression=_REGRESSION,
    ),
    "revman": ForestLayout(
        left=("study", "data", "weight", "estimate"),
        right=(),
        interval="{estimate} [{low}, {high}]",
        interval_signed="{estimate} [{low}, {high}]",
        study_head="Study or subgroup",
        estimate_head="{name}\n[{level} CI]",
        overall="Total ({level} CI)",
        subtotal="Subtotal ({level} CI)",
        heterogeneity=("Heterogeneity: tau² = {tau2}", "chi² = {q}, df = {q_df} (P {q_p})", "I² = {i2}%"),
        test=("Test for overall effect: {test} = {statistic} (P {p})",),
        between=("Test for subgroup differences: chi² = {between_q}, df = {between_df} (P {between_p})",),
        regression=_REGRESSION,
        study_colour="#2B5FA8",
        line_colour="#111111",
        pooled_colour="#111111",
        prediction_colour="#111111",
        null_dotted=False,
        head_rule=True,
        bold_heads=True,
        row=0.22,
        size=8.6,
    ),
    "jama": ForestLayout(
        left=("study", "data", "estimate"),
        right=("weight",),
        interval="{estimate} ({low}-{high})",
        interval_signed="{estimate} ({low} to {high})",
        study_head="Source",
        estimate_head="{name}\n({level} CI)",
        weight_head="Weight, %",
        overall="Total",
        subtotal="Subtotal",
        prediction="{level} PI",
        heterogeneity=("Heterogeneity: I² = {i2}%", "P {q_p}"),
        test=("Overall: {test} = {statistic}", "P {p}"),
        between=("Subgroup difference: P {between_p}",),
        regression=("I² = {i2}%", "R² = {r2}%", "P {omnibus_p} for moderators"),
        study_colour="#1C6CA8",
        line_colour="#1E2A2E",
        pooled_colour="#8CB4D6",
        pooled_edge="#1C6CA8",
        prediction_colour="#1C6CA8",
        null_dotted=False,
        pooled_line=True,
        head_rule=True,
        bold_heads=True,
        zero=False,
        favours="Favors {}",
        favours_at="top",
    ),
    "bmj": ForestLayout(
        left=("study", "data"),
        right=("weight", "estimate"),
        interval="{estimate} ({low} to {high})",
        interval_signed="{estimate} ({low} to {high})",
        estimate_head="{name}\n({level} CI)",
        weight_head="Weight\n(%)",
        overall="Total ({level} CI)",
        subtotal="Subtotal ({level} CI)",
        heterogeneity=("Test for heterogeneity: tau²={tau2}", "chi²={q}", "df={q_df}", "P{q_p}", "I²={i2}%"),
        test=("Test for overall effect: {test}={statistic}", "P{p}"),
        between=("Test for subgroup differences: chi²={between_q}", "df={between_df}", "P{between_p}"),
        regression=_REGRESSION,
        joint=", ",
        study_colour="#2A6EBB",
        line_colour="#2A6EBB",
        pooled_colour="#2A6EBB",
        prediction_colour="#2A6EBB",
        null_dotted=False,
        pooled_line=True,
        head_rule=True,
        bold_heads=True,
        row=0.225,
        size=8.8,
    ),
}


def layout_of(layout: str | ForestLayout) -> ForestLayout:
    """Return the layout of this name, or the layout itself.

    Raises
    ------
    InputError
        If there is none of the name.

    Examples
    --------
    >>> layout_of("jama").zero
    False
    """
    if isinstance(layout, ForestLayout):
        return layout
    if layout not in LAYOUTS:
        raise InputError("layout", found=repr(layout), expected=f"one of {', '.join(LAYOUTS)}, or a ForestLayout")
    return LAYOUTS[layout]
