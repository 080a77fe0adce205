"""The result of a selection model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from comfrey.models._fit import quantile
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._maximum import Certificate

__all__ = ["SelectionModel"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class SelectionModel(Result):
    """A random-effects model (or regression) fitted together with a selection of studies by their p-values.

    Attributes
    ----------
    estimate, se, statistic, p_value, ci_low, ci_high : float
        Adjusted estimate (of a regression: its first coefficient), normal test and interval.
    beta, beta_se : arrays of shape (p,)
        All coefficients; `terms` names them.
    tau2, se_tau2 : float
        `se_tau2` is not-a-number where tau2 is zero or held.
    delta, delta_se : arrays of shape (d,)
        Parameters of the weight function; of a step function, the weight of each interval relative to the first.
        `delta_names` names them. A standard error is not-a-number for what is fixed or on its boundary.
    log_likelihood, log_likelihood_without : float
        Of this model, and of the one without selection (maximum likelihood both).
    lrt, lrt_df, lrt_p : float, int, float
        Likelihood-ratio test of no selection. Where no selection lies on the boundary (one-parameter kinds) the p-value
        is that of chi-squared all the same, which is conservative.
    unadjusted : array of shape (p,)
        Coefficients by maximum likelihood without selection.
    counts : tuple of int
        Studies in each interval of a step function.
    certificate : Certificate
        `global_maximum` is false: several starts were tried, which is no proof. `local_maxima` counts their ends.
    """

    estimate: float
    se: float
    statistic: float
    p_value: float
    ci_low: float
    ci_high: float
    tau2: float
    se_tau2: float
    delta: Array
    delta_se: Array
    delta_names: tuple[str, ...]
    log_likelihood: float
    log_likelihood_without: float
    lrt: float
    lrt_df: int
    lrt_p: float
    beta: Array
    beta_se: Array
    terms: tuple[str, ...]
    unadjusted: Array
    unadjusted_tau2: float
    kind: str
    alternative: str
    steps: tuple[float, ...]
    counts: tuple[int, ...]
    p_min: float
    level: float
    k: int
    certificate: Certificate
    notes: tuple[str, ...]
    _weight: Callable[[Array], Array] = field(repr=False)

    def weight(self, p: object) -> Array:
        """Relative probability of publication at p-values (one-sided, or two-sided as the model is)."""
        return self._weight(np.asarray(p, dtype=float))

    @property
    def df(self) -> None:
        """None: the test is normal."""
        return

    @property
    def summary(self) -> pd.DataFrame:
        """Coefficients, tau2 and the parameters of the weight function."""
        import pandas as pd

        half = quantile(self.level, None)
        rows = [(term, b, s) for term, b, s in zip(self.terms, self.beta, self.beta_se, strict=True)]
        rows.append(("tau2", self.tau2, self.se_tau2))
        rows += list(zip(self.delta_names, self.delta, self.delta_se, strict=True))
        frame = pd.DataFrame(rows, columns=["term", "estimate", "se"]).set_index("term")
        frame["ci_low"], frame["ci_high"] = frame.estimate - half * frame.se, frame.estimate + half * frame.se
        frame.loc[["tau2", *self.delta_names], ["ci_low", "ci_high"]] = math.nan
        return frame

    @property
    def headline(self) -> tuple[str, ...]:
        """The kind of selection, its test, and the estimate without it."""
        lines = [
            f"Selection model ({self.kind}, {self.alternative}), {self.k} studies, maximum likelihood",
            f"no selection: chi-squared({self.lrt_df}) = {self.lrt:.4g}, p = {self.lrt_p:.4g}",
            f"without selection: {self.unadjusted[0]:.4f}, tau2 {self.unadjusted_tau2:.4f}",
        ]
        return (*lines, *(f"note: {text}" for text in self.notes))
