"""Figures of networks, drawn from the fitted network; each has a table with the same numbers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_DOOR = {
    "comparison_funnel": "funnel",
    "comparison_funnel_table": "funnel",
    "contribution_plot": "contribution",
    "contribution_plot_table": "contribution",
    "league_plot": "league",
    "league_plot_table": "league",
    "net_heat_plot": "heat",
    "net_heat_plot_table": "heat",
    "network_forest": "forest",
    "network_forest_table": "forest",
    "network_graph": "graph",
    "network_graph_table": "graph",
    "rankogram": "ranks",
    "rankogram_table": "ranks",
}

__all__ = [
    "comparison_funnel",
    "comparison_funnel_table",
    "contribution_plot",
    "contribution_plot_table",
    "league_plot",
    "league_plot_table",
    "net_heat_plot",
    "net_heat_plot_table",
    "network_forest",
    "network_forest_table",
    "network_graph",
    "network_graph_table",
    "rankogram",
    "rankogram_table",
]


def __getattr__(name: str) -> Any:
    if name in _DOOR:
        value = getattr(import_module(f"comfrey.figures.network.{_DOOR[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'comfrey.figures.network' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
