"""What pooled fits and regressions share: intervals of tau2 and of what is made of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from comfrey.models.tau2_intervals import IntervalKind, tau2_interval

if TYPE_CHECKING:
    from comfrey.effects.measure import Array

__all__ = ["Heterogeneity", "HeterogeneityIntervals"]


class HeterogeneityIntervals(NamedTuple):
    """Intervals, each (low, high): tau2, its root, I2 in percent, and H2."""

    tau2: tuple[float, float]
    tau: tuple[float, float]
    i2: tuple[float, float]
    h2: tuple[float, float]


class Heterogeneity:
    """Mixin of results that hold `yi, vi, method, level, tau2` and, for regressions, `X`."""

    __slots__ = ()
    yi: Array
    vi: Array
    method: str
    level: float
    i2: float
    h2: float
    tau2: float

    def tau2_interval(self, kind: IntervalKind = "q-profile", level: float | None = None) -> tuple[float, float]:
        """Confidence interval of tau2, (low, high).

        Parameters
        ----------
        kind : {"q-profile", "profile-likelihood", "generalised-q"}
            Viechtbauer 2007 (doi:10.1002/sim.2514); Hardy & Thompson 1996; Jackson 2013 (doi:10.1002/jrsm.1081).
        level : float, optional
            Default: that of the fit.

        Raises
        ------
        NotEstimableError
            For a single study, or a profile likelihood without a likelihood method (ML, REML).
        """
        return tau2_interval(
            self.yi, self.vi, getattr(self, "X", None), kind, self.level if level is None else level, self.method
        )

    def heterogeneity_intervals(
        self, kind: IntervalKind = "q-profile", level: float | None = None
    ) -> HeterogeneityIntervals:
        """Intervals of tau2, tau, I2 and H2; the last two through the typical sampling variance."""
        from comfrey.models._fit import typical_variance

        low, high = self.tau2_interval(kind, level)
        typical = typical_variance(self.yi, self.vi, getattr(self, "X", None))
        i2 = (100.0 * low / (low + typical), 100.0 if math.isinf(high) else 100.0 * high / (high + typical))
        h2 = (low / typical + 1.0, high / typical + 1.0)
        return HeterogeneityIntervals((low, high), (math.sqrt(low), math.sqrt(high)), i2, h2)
