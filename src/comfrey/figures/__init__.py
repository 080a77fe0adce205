"""Figures: one function each, drawn from findings and fits, matplotlib axes in and out.

Every figure of a fit is drawn from the fit itself and has a table twin of the same numbers: ``forest_plot`` and
``forest_table``, and so on. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # The same names for type checkers and editors; tests/figures/test_plots.py holds the two lists together.
    from comfrey.figures.baujat import baujat_plot as baujat_plot
    from comfrey.figures.baujat import baujat_table as baujat_table
    from comfrey.figures.bubble import bubble_plot as bubble_plot
    from comfrey.figures.bubble import bubble_table as bubble_table
    from comfrey.figures.drapery import drapery_plot as drapery_plot
    from comfrey.figures.drapery import drapery_table as drapery_table
    from comfrey.figures.forest_plot import forest_plot as forest_plot
    from comfrey.figures.forest_plot import forest_table as forest_table
    from comfrey.figures.funnel import funnel_plot as funnel_plot
    from comfrey.figures.funnel import funnel_table as funnel_table
    from comfrey.figures.gosh import gosh_plot as gosh_plot
    from comfrey.figures.gosh import gosh_table as gosh_table
    from comfrey.figures.layouts import LAYOUTS as LAYOUTS
    from comfrey.figures.layouts import ForestLayout as ForestLayout
    from comfrey.figures.profile import profile_plot as profile_plot
    from comfrey.figures.profile import profile_table as profile_table
    from comfrey.figures.radial import radial_plot as radial_plot
    from comfrey.figures.radial import radial_table as radial_table
    from comfrey.figures.style import COLOURS as COLOURS
    from comfrey.figures.style import house_style as house_style
    from comfrey.figures.style import to_png as to_png
    from comfrey.figures.style import to_svg as to_svg

# Public name -> the module that defines it.
_DOOR: dict[str, str] = {
    "COLOURS": "comfrey.figures.style",
    "LAYOUTS": "comfrey.figures.layouts",
    "ForestLayout": "comfrey.figures.layouts",
    "baujat_plot": "comfrey.figures.baujat",
    "baujat_table": "comfrey.figures.baujat",
    "bubble_plot": "comfrey.figures.bubble",
    "bubble_table": "comfrey.figures.bubble",
    "drapery_plot": "comfrey.figures.drapery",
    "drapery_table": "comfrey.figures.drapery",
    "forest_plot": "comfrey.figures.forest_plot",
    "forest_table": "comfrey.figures.forest_plot",
    "funnel_plot": "comfrey.figures.funnel",
    "funnel_table": "comfrey.figures.funnel",
    "gosh_plot": "comfrey.figures.gosh",
    "gosh_table": "comfrey.figures.gosh",
    "house_style": "comfrey.figures.style",
    "profile_plot": "comfrey.figures.profile",
    "profile_table": "comfrey.figures.profile",
    "radial_plot": "comfrey.figures.radial",
    "radial_table": "comfrey.figures.radial",
    "to_png": "comfrey.figures.style",
    "to_svg": "comfrey.figures.style",
}

__all__ = [
    "COLOURS",
    "LAYOUTS",
    "ForestLayout",
    "baujat_plot",
    "baujat_table",
    "bubble_plot",
    "bubble_table",
    "drapery_plot",
    "drapery_table",
    "forest_plot",
    "forest_table",
    "funnel_plot",
    "funnel_table",
    "gosh_plot",
    "gosh_table",
    "house_style",
    "profile_plot",
    "profile_table",
    "radial_plot",
    "radial_table",
    "to_png",
    "to_svg",
]


def __getattr__(name: str) -> Any:
    if name in _DOOR:
        value = getattr(import_module(_DOOR[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'comfrey.figures' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
