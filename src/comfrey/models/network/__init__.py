"""Network meta-analysis: many treatments compared at once, with components, rankings, and inconsistency."""

from __future__ import annotations

from comfrey.models.network._components import Components, components
from comfrey.models.network._contrasts import Contrasts, contrasts
from comfrey.models.network._fit import Network, network
from comfrey.models.network._inconsistency import Designs, NetHeat
from comfrey.models.network._ranking import PartialOrder, Ranking
from comfrey.models.network._threshold import threshold_analysis

__all__ = [
    "Components",
    "Contrasts",
    "Designs",
    "NetHeat",
    "Network",
    "PartialOrder",
    "Ranking",
    "components",
    "contrasts",
    "network",
    "threshold_analysis",
]
