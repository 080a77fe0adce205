"""Beta-binomial model for single proportions: marginal mean and intraclass correlation by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betainc, expit, gammaln, roots_legendre

from comfrey.errors import ConvergenceError, NotEstimableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfrey.models.counts._input import Counts
    from comfrey.models.counts._kernels import Array

__all__ = ["BetaBinomialFit", "fit_beta_binomial", "prediction"]

_DIRECT = 1000  # terms of each sum that are added one by one; beyond them Euler and Maclaurin are exact to 1e-11
_GRID = np.concatenate(([0.0], 10.0 ** np.arange(-7, 5.0, 0.5)))


@dataclass(frozen=True, slots=True)
class BetaBinomialFit:
    """Logit of the marginal mean with its standard error, intraclass correlation, and the certificate."""

    mean: float
    se: float
    rho: float
    log_likelihood: float
    gradient_norm: float


@dataclass(frozen=True, slots=True)
class _Sums:
    """Nodes that turn sums over 0 <= j < x_i of a smooth f(j), added over studies, into one weighted sum.

    The sum is ``weight @ f(node) + end_weight @ f'(end)``.
    """

    node: Array
    weight: Array
    end: Array
    end_weight: Array

    @classmethod
    def of(cls, limits: Array) -> _Sums:
        direct = np.arange(min(_DIRECT, int(limits.max(initial=0.0))), dtype=float)
        weight = len(limits) - np.searchsorted(np.sort(limits), direct, side="right")
        nodes, weights, ends, end_weights = [direct], [weight.astype(float)], [np.zeros(0)], [np.zeros(0)]
        s, w = roots_legendre(48)
        for limit in limits[limits > _DIRECT]:
            # Integral from _DIRECT to the limit, on a log scale, and the two first corrections at its ends.
            span = 0.5 * np.log(limit / _DIRECT)
            t = _DIRECT * np.exp(span * (s + 1.0))
            nodes += [t, np.array([_DIRECT, limit])]
            weights += [w * span * t, np.array([0.5, -0.5])]
            ends.append(np.array([_DIRECT, limit]))
            end_weights.append(np.array([-1.0, 1.0]) / 12.0)
        return cls(*(np.concatenate(part) for part in (nodes, weights, ends, end_weights)))

    def log(self, p: float, gamma: float) -> Array:
        """Sum of log(p + j gamma), then its derivatives in p, gamma, pp, p gamma, gamma gamma."""
        t, inverse = self.node, 1.0 / (p + self.node * gamma)
        second = -(inverse**2)
        values = (-np.log(inverse), inverse, t * inverse, second, t * second, t * t * second)
        t, e = self.end, 1.0 / (p + self.end * gamma)
        ends = (
            gamma * e,
            -gamma * e**2,
            p * e**2,
            2 * gamma * e**3,
            (t * gamma - p) * e**3,
            -2 * t * p * e**3,
        )
        return np.array([self.weight @ v + self.end_weight @ c for v, c in zip(values, ends, strict=True)])


def _likelihood(counts: Counts) -> Callable[[float, float], tuple[float, Array, Array]]:
    r"""Log-likelihood in (logit mean, gamma), with score and Hessian; gamma = rho / (1 - rho).

    .. math:: \ell = \sum_i \log\binom{n_i}{x_i} + \sum_{j<x_i}\log(\pi + j\gamma)
              + \sum_{j<n_i-x_i}\log(1-\pi+j\gamma) - \sum_{j<n_i}\log(1+j\gamma)

    This form is smooth down to gamma = 0, where it is the binomial.
    """
    x, n = counts.events[0], counts.size[0]
    constant = float((gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)).sum())
    cases, others, all_ = _Sums.of(x), _Sums.of(n - x), _Sums.of(n)

    def value(mu: float, gamma: float) -> tuple[float, Array, Array]:
        p, q = float(expit(mu)), float(expit(-mu))
        up, down, total = cases.log(p, gamma), others.log(q, gamma), all_.log(1.0, gamma)
        d1, d2 = p * q, p * q * (q - p)
        slope = up[1] - down[1]
        score = np.array([d1 * slope, up[2] + down[2] - total[2]])
        cross = d1 * (up[4] - down[4])
        hessian = np.array([
            [d1**2 * (up[3] + down[3]) + d2 * slope, cross],
            [cross, up[5] + down[5] - total[5]],
        ])  # fmt: skip
        return constant + float(up[0] + down[0] - total[0]), score, hessian

    return value


def _profile(
    value: Callable[[float, float], tuple[float, Array, Array]], mu: float, gamma: float
) -> tuple[float, float]:
    """Best logit mean at one gamma, by damped Newton steps, and the log-likelihood there."""
    level, score, hessian = value(mu, gamma)
    for _ in range(60):
        step = float(np.clip(score[0] / max(abs(hessian[0, 0]), 1e-300), -2.0, 2.0))
        trial = value(mu + step, gamma)
        while trial[0] < level - 1e-9 * (1 + abs(level)) and abs(step) > 1e-12:
            step *= 0.5
            trial = value(mu + step, gamma)
        mu, (level, score, hessian) = mu + step, trial
        if abs(step) < 1e-7:
            break
    return mu, level


def fit_beta_binomial(counts: Counts) -> BetaBinomialFit:
    r"""Maximise the beta-binomial likelihood [1]_.

    Raises
    ------
    NotEstimableError
        Where no study has both events and non-events: the correlation goes to one.
    ConvergenceError
        Where no maximum is reached.

    References
    ----------
    .. [1] Kuss O. Statistical methods for meta-analyses including information from studies without any events.
       Stat Med 2015;34:1097-1116. doi:10.1002/sim.6383
    """
    x, n = counts.events[0], counts.size[0]
    if ((x == 0) | (x == n)).all() and len(x) > 1:
        raise NotEstimableError("no study has both events and non-events: the correlation within studies goes to one")
    value = _likelihood(counts)
    pooled = float(np.log(x.sum() / (n.sum() - x.sum())))
    if len(x) == 1:
        return _boundary(value, pooled)
    mu, scan = pooled, []
    for gamma in _GRID:
        mu, level = _profile(value, mu, float(gamma))
        scan.append((level, mu, float(gamma)))
    levels = np.array([point[0] for point in scan])
    best = int(levels.argmax())
    if best == len(_GRID) - 1:
        raise ConvergenceError("the likelihood keeps rising as the correlation within studies goes to one")
    if best == 0 and value(pooled, 0.0)[1][1] <= 0:
        return _boundary(value, pooled)
    found = _climb(value, scan[best][1], np.log(scan[max(best, 1)][2]))
    if found.log_likelihood < levels.max() - 1e-8 * (1 + abs(levels.max())):
        raise ConvergenceError("the profile of the likelihood is higher elsewhere than at the maximum found")
    return found


def _boundary(value: Callable[[float, float], tuple[float, Array, Array]], mu: float) -> BetaBinomialFit:
    """Give the binomial fit: correlation zero, all studies alike."""
    level, score, hessian = value(mu, 0.0)
    se = float(1.0 / np.sqrt(-hessian[0, 0]))
    return BetaBinomialFit(mu, se, 0.0, level, float(abs(score[0]) * se))


def _climb(value: Callable[[float, float], tuple[float, Array, Array]], mu: float, log_gamma: float) -> BetaBinomialFit:
    """Climb in (logit mean, log gamma) to the maximum."""
    at = np.array([mu, log_gamma])

    def transformed(at: Array) -> tuple[float, Array, Array]:
        gamma = float(np.exp(at[1]))
        level, score, hessian = value(float(at[0]), gamma)
        scale = np.array([1.0, gamma])
        bent = hessian * np.outer(scale, scale)
        bent[1, 1] += gamma * score[1]
        return level, score * scale, bent

    level, score, hessian = transformed(at)
    decrement = np.inf
    for _ in range(100):
        curvature, vectors = np.linalg.eigh(-hessian)
        step = vectors @ ((vectors.T @ score) / np.maximum(np.abs(curvature), 1e-10 * np.abs(curvature).max()))
        before, decrement = decrement, float(score @ step)
        if decrement < 1e-13 and (decrement > 0.1 * before or decrement < 1e-20):
            break
        step *= min(1.0, 2.0 / float(np.abs(step).max()))
        trial = transformed(at + step)
        while trial[0] < level - 1e-10 * (1 + abs(level)) and np.abs(step).max() > 1e-12:
            step = 0.5 * step
            trial = transformed(at + step)
        at, (level, score, hessian) = at + step, trial
    if not decrement < 1e-8 or np.linalg.eigvalsh(-hessian)[0] <= 0:
        raise ConvergenceError(f"the fit stopped {np.sqrt(abs(decrement)):.2g} standard errors away from a maximum")
    gamma = float(np.exp(at[1]))
    se = float(np.sqrt(np.linalg.inv(-hessian)[0, 0]))
    return BetaBinomialFit(float(at[0]), se, gamma / (1 + gamma), level, float(np.sqrt(max(decrement, 0.0))))


def prediction(fit: BetaBinomialFit, level: float, quantile: Callable[[float], float]) -> tuple[float, float]:
    """Prediction interval for the logit proportion of a new study.

    The proportion is beta distributed around a mean that is itself uncertain: its logit is spread over the
    quantiles of the estimate. `quantile` is that of the reference distribution. The interval is found by halving.
    """
    if fit.rho == 0:
        half = quantile(0.5 + level / 2) * fit.se
        return fit.mean - half, fit.mean + half
    u, weight = roots_legendre(64)
    weight = weight / 2
    mean = fit.mean + fit.se * np.array([quantile(p) for p in 0.5 * (u + 1.0)])
    size = (1 - fit.rho) / fit.rho
    a, b = expit(mean) * size, expit(-mean) * size

    def below(theta: float) -> float:
        # In the upper half count from above: a proportion next to one would lose its digits.
        if theta > 0:
            return 1.0 - float(weight @ betainc(b, a, expit(-theta)))
        return float(weight @ betainc(a, b, expit(theta)))

    ends = []
    for probability in (0.5 - level / 2, 0.5 + level / 2):
        low, high = -700.0, 700.0
        for _ in range(80):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if below(middle) < probability else (low, middle)
        ends.append(0.5 * (low + high))
    return ends[0], ends[1]
