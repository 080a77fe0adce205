"""Log-likelihoods of counts as functions of a linear predictor, with their first and second derivatives.

A kernel holds the counts of all arms and studies, and gives ``(g, g', g'')`` at linear predictors ``eta`` of shape
(arms, batch, studies, nodes). Every kernel is concave in ``eta``: the search for a mode rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, xlogy

Array = npt.NDArray[np.float64]
Values = tuple[Array, Array, Array]

__all__ = ["Array", "Binomial", "Kernel", "Poisson", "Values"]


class Kernel(Protocol):
    """What a likelihood of counts offers to the fit."""

    def __call__(self, eta: Array) -> Values:
        """Log-likelihood and its two derivatives at `eta`, each of the shape of `eta`."""
        ...

    def saturated(self) -> tuple[Array, Array, float]:
        """Predictors (arms, studies) with a free value for each count, their information, and the log-likelihood.

        Where the best predictor is infinite, it is given as such, with information zero.
        """
        ...


@dataclass(frozen=True, slots=True)
class Binomial:
    r"""Binomial counts with logit link: :math:`g(\eta) = x\eta - n\log(1 + e^\eta) + \log\binom{n}{x}`.

    `cases` and `total` have the shape (arms, studies). Events as a share of a fixed sum are binomial too, so that
    the conditional likelihood of two Poisson counts is this kernel with an offset in the predictor.
    """

    cases: Array
    total: Array
    constant: Array

    @classmethod
    def of(cls, cases: Array, total: Array) -> Binomial:
        """Store the counts with their binomial coefficients."""
        constant = gammaln(total + 1) - gammaln(cases + 1) - gammaln(total - cases + 1)
        return cls(*(part[:, None, :, None] for part in (cases, total, constant)))

    def __call__(self, eta: Array) -> Values:
        """Log-likelihood and its two derivatives at `eta`."""
        small = np.exp(-np.abs(eta))  # never overflows, whatever the sign
        denominator = 1.0 + small
        probability = np.where(eta > 0, 1.0, small) / denominator
        value = self.cases * eta - self.total * (np.maximum(eta, 0.0) + np.log1p(small)) + self.constant
        return value, self.cases - self.total * probability, -self.total * small / denominator**2

    def saturated(self) -> tuple[Array, Array, float]:
        """Observed logits, their information, and the log-likelihood there."""
        x, n = self.cases[:, 0, :, 0], self.total[:, 0, :, 0]
        with np.errstate(divide="ignore"):
            eta = np.log(x) - np.log(n - x)
        value = xlogy(x, x / n) + xlogy(n - x, 1 - x / n) + self.constant[:, 0, :, 0]
        return eta, x * (n - x) / n, float(value.sum())


@dataclass(frozen=True, slots=True)
class Poisson:
    r"""Poisson counts with log link.

    With person-time :math:`t`: :math:`g(\eta) = x(\eta + \log t) - t e^\eta - \log x!`.

    `events` and `time` have the shape (arms, studies).
    """

    events: Array
    log_time: Array
    constant: Array

    @classmethod
    def of(cls, events: Array, time: Array) -> Poisson:
        """Store the counts with the constants of their likelihood."""
        constant = xlogy(events, time) - gammaln(events + 1)
        with np.errstate(divide="ignore"):
            log_time = np.log(time)
        return cls(*(part[:, None, :, None] for part in (events, log_time, constant)))

    def __call__(self, eta: Array) -> Values:
        """Log-likelihood and its two derivatives at `eta`."""
        mean = np.exp(np.minimum(eta + self.log_time, 600.0))  # beyond 600 the likelihood is nil either way
        return self.events * eta - mean + self.constant, self.events - mean, -mean

    def saturated(self) -> tuple[Array, Array, float]:
        """Observed log rates, their information, and the log-likelihood there."""
        x = self.events[:, 0, :, 0]
        with np.errstate(divide="ignore"):
            eta = np.log(x) - self.log_time[:, 0, :, 0]
        value = np.where(x > 0, x * np.where(x > 0, eta, 0.0), 0.0) - x + self.constant[:, 0, :, 0]
        return eta, x, float(value.sum())
