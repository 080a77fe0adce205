"""What pooled fits and regressions share: the numbers of the fit, its studies, intervals of tau2."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from comfrey.diagnostics._methods import Diagnosable
from comfrey.models.tau2_intervals import IntervalKind, tau2_interval
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from comfrey.effects.measure import Array, Measure
    from comfrey.models._fit import Fit
    from comfrey.models._input import Studies
    from comfrey.models._maximum import Certificate

__all__ = ["Fitted", "HeterogeneityIntervals"]


class HeterogeneityIntervals(NamedTuple):
    """Intervals, each (low, high): tau2, its root, I2 in percent, and H2."""

    tau2: tuple[float, float]
    tau: tuple[float, float]
    i2: tuple[float, float]
    h2: tuple[float, float]


_SHARED = (
    "k", "tau2", "se_tau2", "i2", "h2", "q", "q_df", "q_p", "log_likelihood", "aic", "bic", "hk_factor", "weights",
    "yi", "vi", "n", "labels", "rows", "dropped",
)  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Fitted(Diagnosable, Result):
    """A fitted model of independent studies; what is listed here, pooled fits and regressions have in common.

    Attributes
    ----------
    method, test : str
        As asked.
    level : float
        Of confidence and prediction intervals.
    notes : tuple of str
        Why a number is missing, and other remarks.
    """

    method: str
    test: str
    level: float
    notes: tuple[str, ...]
    _fit: Fit = field(repr=False)
    _studies: Studies = field(repr=False)

    @property
    def k(self) -> int:
        """Number of studies used."""
        return self._studies.k

    @property
    def yi(self) -> Array:
        """Estimates of the studies used, shape (k,)."""
        return self._studies.yi

    @property
    def vi(self) -> Array:
        """Their sampling variances, shape (k,)."""
        return self._studies.vi

    @property
    def n(self) -> Array | None:
        """People in each study, or None where that is not known."""
        return self._studies.n

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the studies; empty where none were given."""
        return self._studies.labels

    @property
    def rows(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Places of the studies used in what was given."""
        return self._studies.rows

    @property
    def dropped(self) -> tuple[str, ...]:
        """Rows left out, each with the reason."""
        return self._studies.dropped

    @property
    def measure(self) -> Measure | None:
        """Effect measure, where effect sizes were given."""
        return self._studies.measure

    @property
    def tau2(self) -> float:
        """Variance of true effects between studies (with moderators: what they leave)."""
        return self._fit.tau2

    @property
    def tau(self) -> float:
        """Standard deviation of true effects between studies, the root of `tau2`."""
        return math.sqrt(self.tau2)

    @property
    def se_tau2(self) -> float:
        """Standard error of tau2; not a number where it is held fixed."""
        return self._fit.se_tau2

    @property
    def i2(self) -> float:
        """Share of tau2 in the total variance of a typical study, in percent."""
        return self._fit.i2

    @property
    def h2(self) -> float:
        """Total variance of a typical study over its sampling variance."""
        return self._fit.h2

    @property
    def q(self) -> float:
        """Cochran's Q (with moderators: of what they leave)."""
        return self._fit.q

    @property
    def q_df(self) -> int:
        """Degrees of freedom of Q."""
        return self._fit.q_df

    @property
    def q_p(self) -> float:
        """Probability of so large a Q where all true effects are equal; not a number for one study."""
        return float(special.chdtrc(self.q_df, self.q)) if self.q_df else math.nan

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood, restricted where the method is REML."""
        return self._fit.log_likelihood

    @property
    def aic(self) -> float:
        """Akaike's criterion, ``2 m - 2 log L`` with m coefficients and, where it was estimated, tau2.

        Of fits by REML, compare only those with the same moderators.
        """
        return 2.0 * self._estimated - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, ``m log n - 2 log L``; n is the number of studies, less the coefficients under REML."""
        n = self.q_df if self.method == "REML" else self.k
        return self._estimated * math.log(max(n, 1)) - 2.0 * self.log_likelihood

    @property
    def _estimated(self) -> int:
        held = self.method == "EE" or math.isnan(self.se_tau2)
        return self.k - self.q_df + (0 if held else 1)

    @property
    def hk_factor(self) -> float:
        """Weighted residual mean square, by which Knapp and Hartung multiply the variance of the estimate."""
        return self._fit.hk_factor

    @property
    def certificate(self) -> Certificate:
        """What is known about the search for tau2."""
        return self._fit.certificate

    @property
    def weights(self) -> Array:
        """Weights of the studies in percent, shape (k,), summing to 100."""
        if self.k == 1:
            return np.array([100.0])
        weights = (self.vi.min() + self.tau2) / (self.vi + self.tau2)
        return np.asarray(100.0 * weights / weights.sum(), dtype=float)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the measure by its name."""
        out = {**Result.to_dict(self), **{name: plain(getattr(self, name)) for name in _SHARED}}
        out["certificate"] = asdict(self.certificate)
        return {**out, "measure": None if self.measure is None else self.measure.name}

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
