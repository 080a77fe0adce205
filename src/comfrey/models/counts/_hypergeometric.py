"""Noncentral hypergeometric likelihood: the events of one arm given those of both, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from comfrey.errors import InputError

if TYPE_CHECKING:
    from comfrey.models.counts._kernels import Array, Values

__all__ = ["Hypergeometric"]

_ELEMENTS = 2e6  # numbers held at once, at most, where the whole batch would be more
_LARGEST = 2e7  # terms of the sums over all tables, held in memory
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hypergeometric:
    r"""Events :math:`x` of arm 1 given the sum :math:`m` of both arms, as a function of the log odds ratio.

    .. math:: g(\theta) = -\log \sum_j \exp\{c_j - c_x + (j - x)\theta\}, \qquad
              c_j = \log\binom{n_1}{j}\binom{n_2}{m-j}

    The coefficients are sums of log ratios outward from x, once for each study, without factorials: nothing is lost
    in large margins. At each call the sum runs over the part of the support that carries the mass (ten standard
    deviations and thirty counts to each side of the mean), so that large margins stay fast.

    `events`, `total_1`, `total_2`, `margin`, `low`, `high` have the shape (k,); `log_coefficient` is flat over the
    supports, `first` (k,) the place of each study's support in it.
    """

    events: Array
    total_1: Array
    total_2: Array
    margin: Array
    low: Array
    high: Array
    first: Integers
    log_coefficient: Array

    @classmethod
    def of(cls, events: Array, totals: Array) -> Hypergeometric:
        """Prepare the supports from counts (2, k)."""
        x, (n1, n2), m = events[0], totals, events.sum(axis=0)
        low, high = np.maximum(0.0, m - n2), np.minimum(m, n1)
        size = float((high - low + 1).sum())
        if size > _LARGEST:
            raise InputError(
                "total_1",
                found=f"{size:.0f} tables",
                expected=f"margins that allow no more than {_LARGEST:.0e} tables",
                fix='With counts this large, model="fixed-study" gives the same answer.',
            )
        parts = []
        for i in range(len(x)):
            j = np.arange(low[i], high[i])
            ratio = np.log((n1[i] - j) * (m[i] - j) / ((j + 1) * (n2[i] - m[i] + j + 1)))
            at = int(x[i] - low[i])
            # Cumulated from x to both sides: the terms that matter come first, and are the most exact.
            parts += [-np.cumsum(ratio[:at][::-1])[::-1], np.zeros(1), np.cumsum(ratio[at:])]
        first = np.concatenate(([0], np.cumsum(high - low + 1)[:-1])).astype(np.int64)
        return cls(x, n1, n2, m, low, high, first, np.concatenate(parts))

    def _mean(self, theta: Array) -> Array:
        """Approximate mean at log odds ratios (..., k): the root of a quadratic, stable at both ends."""
        odds = np.exp(np.clip(theta, -200.0, 200.0))
        a = odds - 1.0
        b = (self.total_1 + self.margin) * odds + self.total_2 - self.margin
        c = self.total_1 * self.margin * odds
        root = np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(b >= 0, 2.0 * c / (b + root), (b - root) / (2.0 * a))
        return np.clip(mean, self.low, self.high)

    def _spread(self, mean: Array) -> Array:
        """Approximate standard deviation at a mean."""
        cells = (mean, self.total_1 - mean, self.margin - mean, self.total_2 - self.margin + mean)
        return 1.0 / np.sqrt(sum(1.0 / np.maximum(cell, 0.5) for cell in cells))

    def __call__(self, eta: Array) -> Values:
        """Log-likelihood and its two derivatives at log odds ratios `eta` (1, batch, k, nodes)."""
        batch, studies, count = eta.shape[1:]
        at_once = max(1, int(_ELEMENTS / (len(self.log_coefficient) * count)))
        parts = []
        for begin in range(0, batch, at_once):
            theta = eta[0, begin : begin + at_once]
            flat = self._rows(theta.reshape(-1, count), len(theta))
            parts.append([part.reshape(1, -1, studies, count) for part in flat])
        value, first, second = (np.concatenate([part[i] for part in parts], axis=1) for i in range(3))
        return value, first, second

    def _rows(self, theta: Array, batch: int) -> Values:
        """Log-likelihood and derivatives for rows of log odds ratios (batch * k, nodes)."""
        tiled = (self.low, self.high, self.events, self.first)
        floor, ceiling, events, place = (np.tile(part, batch) for part in tiled)
        shape = (2, batch, len(self.low))
        ends = np.stack((theta.min(axis=1), theta.max(axis=1))).reshape(shape)
        mean = self._mean(ends)
        reach = 10.0 * self._spread(mean) + 30.0
        low = np.maximum(floor, np.floor(mean - reach)[0].ravel())
        high = np.minimum(ceiling, np.ceil(mean + reach)[1].ravel())
        centre = np.round(mean.mean(axis=0)).ravel()
        width = (high - low + 1).astype(np.int64)
        start = np.concatenate(([0], np.cumsum(width)[:-1]))
        step = np.arange(width.sum()) - np.repeat(start, width)
        place = np.repeat(place + (low - floor).astype(np.int64), width) + step
        offset = (step + np.repeat(low - centre, width))[:, None]  # j minus centre: small where the mass is
        term = np.repeat(theta, width, axis=0)
        term *= offset
        term += self.log_coefficient[place][:, None]
        top = np.maximum.reduceat(term, start, axis=0)
        term -= np.repeat(top, width, axis=0)
        np.exp(term, out=term)
        total = np.add.reduceat(term, start, axis=0)
        term *= offset
        first = np.add.reduceat(term, start, axis=0) / total
        term *= offset
        second = np.add.reduceat(term, start, axis=0) / total
        shift = (events - centre)[:, None]
        return shift * theta - top - np.log(total), shift - first, first * first - second

    def saturated(self) -> tuple[Array, Array, float]:
        """Conditional maximum likelihood log odds ratio of each study, its information, and the log-likelihood."""
        inside = (self.events > self.low) & (self.events < self.high)
        cells = (
            self.events,
            self.total_1 - self.events,
            self.margin - self.events,
            self.total_2 - self.margin + self.events,
        )
        a, b, c, d = (np.log(cell + 0.5) for cell in cells)
        theta = np.where(inside, a - b - c + d, 0.0)
        for _ in range(100):
            value, score, curvature = (part[0, 0, :, 0] for part in self(theta[None, None, :, None]))
            step = np.where(inside, np.clip(-score / np.minimum(curvature, -1e-300), -1.0, 1.0), 0.0)
            theta = theta + step
            if np.abs(step).max() < 1e-11:
                break
        edge = np.where(self.events == self.low, -np.inf, np.inf)
        information = np.where(inside, -curvature, 0.0)
        return np.where(inside, theta, edge)[None], information[None], float(value[inside].sum())
