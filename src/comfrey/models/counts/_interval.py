"""Profile likelihood interval for the heterogeneity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri

from comfrey.errors import ConvergenceError
from comfrey.models.counts._fit import Fit, held

if TYPE_CHECKING:
    from comfrey.models.counts._quadrature import Problem

__all__ = ["profile_interval"]

_LARGEST = 25.0


def profile_interval(problem: Problem, fit: Fit, level: float) -> tuple[float, float]:
    r"""Values of tau2 whose profile log-likelihood is within :math:`\chi^2_{1,level}/2` of the maximum.

    The lower limit is zero where zero is within; the upper one is infinite where no standard deviation up to 25 is
    outside.
    """
    target = fit.log_likelihood - 0.5 * float(chdtri(1, 1.0 - level))

    def above(sd: float) -> float:
        found = held(problem, sd, fit).log_likelihood
        if not np.isfinite(found):
            raise ConvergenceError(f"the profile likelihood was not reached at tau2 = {sd**2:.4g}")
        return found - target

    best = float(fit.sd[0])
    low = 0.0
    if best > 0 and above(0.0) < 0:
        low = float(brentq(above, 0.0, best, xtol=1e-10, rtol=1e-10))
    high = max(2.0 * best, 0.1)
    while above(high) > 0:
        high *= 2.0
        if high > _LARGEST:
            return low**2, float("inf")
    return low**2, float(brentq(above, best, high, xtol=1e-10, rtol=1e-10)) ** 2
