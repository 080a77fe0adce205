"""The equation y'P(tau2)y = target: for Paule-Mandel estimates and Q-profile intervals.

``1/(y'Py)`` is increasing and concave in tau2 (Cauchy-Schwarz), so that Newton's steps on it, from the left, never
pass the root and always end at it. Sources: Paule & Mandel 1982 (doi:10.6028/jres.087.022); Viechtbauer 2007
(doi:10.1002/sim.2514).
"""

from __future__ import annotations

from comfrey.errors import ConvergenceError
from comfrey.models._profile import Observed, moments_at

__all__ = ["solve_q"]

_STEPS = 500


def solve_q(data: Observed, target: float, start: float = 0.0) -> tuple[float, int, float]:
    """Find tau2 >= 0 with ``y'Py = target``; zero if y'Py is below the target from the outset.

    Returns
    -------
    tau2 : float
    steps : int
    residual : float
        ``y'Py/target - 1`` at the root.

    Raises
    ------
    ConvergenceError
        If the steps do not end (they can only by rounding).

    Examples
    --------
    >>> import numpy as np
    >>> solve_q(Observed(np.array([0.0, 4.0]), np.array([1.0, 1.0]), None), 1.0)[0]
    7.0
    """
    tau2 = start
    for step in range(1, _STEPS + 1):
        m = moments_at(data, tau2)
        excess = m.rss / target - 1.0
        if step == 1 and excess <= 0.0:
            if start == 0.0:
                return 0.0, step, excess
            return solve_q(data, target)
        move = excess * m.rss / m.ypp
        if abs(move) <= 4e-16 * tau2 or excess <= 0.0:
            return tau2 + move, step, excess
        tau2 += move
    raise ConvergenceError(f"the equation y'Py = {target:g} was not solved after {_STEPS} steps (tau2 {tau2:g})")
