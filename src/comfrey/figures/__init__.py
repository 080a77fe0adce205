"""Figures: one function each, drawn from findings and fits, matplotlib axes in and out.

Every figure of a fit is drawn from the fit itself and has a table twin of the same numbers: ``forest_plot`` and
``forest_table``, and so on. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

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

__all__ = sorted(_DOOR)  # noqa: PLE0605  # a list of names, made from the one above


def __getattr__(name: str) -> Any:
    if name in _DOOR:
        value = getattr(import_module(_DOOR[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'comfrey.figures' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
