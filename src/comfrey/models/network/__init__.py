"""Network meta-analysis: many treatments compared at once, with components, rankings, and inconsistency.

Public names: :func:`network`, :func:`contrasts` and :func:`components` (also at ``comfrey``'s door), the functions
and priors below, and the result classes that they give.
"""

from __future__ import annotations

from comfrey.models.network._bayes import BayesianComponents, BayesianNetwork
from comfrey.models.network._bayes_pool import BayesianPooling, bayesian_pool
from comfrey.models.network._classes import BayesianClasses
from comfrey.models.network._components import Components, components
from comfrey.models.network._contrasts import Contrasts, contrasts
from comfrey.models.network._fit import network
from comfrey.models.network._inconsistency import Designs, NetHeat
from comfrey.models.network._likelihood import (
    LikelihoodNetwork,
    hypergeometric_network,
    penalised_logistic_network,
)
from comfrey.models.network._network import Network
from comfrey.models.network._priors import (
    TURNER_2012,
    HalfCauchy,
    HalfNormal,
    HalfT,
    LogNormal,
    LogT,
    Prior,
    Uniform,
    turner_prior,
)
from comfrey.models.network._random_inconsistency import RandomInconsistency
from comfrey.models.network._ranking import PartialOrder, Ranking
from comfrey.models.network._threshold import threshold_analysis

__all__ = [
    "TURNER_2012",
    "BayesianClasses",
    "BayesianComponents",
    "BayesianNetwork",
    "BayesianPooling",
    "Components",
    "Contrasts",
    "Designs",
    "HalfCauchy",
    "HalfNormal",
    "HalfT",
    "LikelihoodNetwork",
    "LogNormal",
    "LogT",
    "NetHeat",
    "Network",
    "PartialOrder",
    "Prior",
    "RandomInconsistency",
    "Ranking",
    "Uniform",
    "bayesian_pool",
    "components",
    "contrasts",
    "hypergeometric_network",
    "network",
    "penalised_logistic_network",
    "threshold_analysis",
    "turner_prior",
]
