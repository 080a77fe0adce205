"""Effect measures for events over person-time, in two groups or one.

Formulas take `events` and `time` (arrays of one shape; increments already added where wanted). Sources: Rothman,
Greenland & Lash 2008, Modern Epidemiology, chapter 14; Bagos & Nikolopoulos 2009 (doi:10.2202/1557-4679.1155).
"""

from __future__ import annotations

from math import nan

import numpy as np

from comfrey.effects.measure import LOG, SQUARE_ROOT, Array, Measure

__all__ = ["MEASURES"]

INPUTS = ("events_1", "time_1", "events_2", "time_2")


def rate_ratio(events_1: Array, time_1: Array, events_2: Array, time_2: Array) -> tuple[Array, Array]:
    """Log rate ratio, variance ``1/x1 + 1/x2``."""
    yi = np.log(events_1) - np.log(time_1) - (np.log(events_2) - np.log(time_2))
    return yi, 1 / events_1 + 1 / events_2


def rate_difference(events_1: Array, time_1: Array, events_2: Array, time_2: Array) -> tuple[Array, Array]:
    """Rate difference, ``x1/t1 - x2/t2``, variance ``x1/t1^2 + x2/t2^2``."""
    return events_1 / time_1 - events_2 / time_2, events_1 / time_1**2 + events_2 / time_2**2


def root_rate_difference(events_1: Array, time_1: Array, events_2: Array, time_2: Array) -> tuple[Array, Array]:
    """Difference of the square roots of the rates, variance ``1/4t1 + 1/4t2``."""
    return np.sqrt(events_1 / time_1) - np.sqrt(events_2 / time_2), 1 / (4 * time_1) + 1 / (4 * time_2)


def rate(events: Array, time: Array) -> tuple[Array, Array]:
    """Incidence rate ``x/t``, variance ``x/t^2``."""
    return events / time, events / time**2


def log_rate(events: Array, time: Array) -> tuple[Array, Array]:
    """Log incidence rate, variance ``1/x``."""
    return np.log(events) - np.log(time), 1 / events


def root_rate(events: Array, time: Array) -> tuple[Array, Array]:
    """Square root of the incidence rate, variance ``1/4t``."""
    return np.sqrt(events / time), 1 / (4 * time)


_ONE = ("events", "time")

MEASURES = (
    Measure("IRR", "rate ratio", INPUTS, rate_ratio, LOG, unit="ratio", increments="events"),
    Measure("IRD", "rate difference", INPUTS, rate_difference, increments="events"),
    Measure("IRSD", "difference of square root rates", INPUTS, root_rate_difference),
    Measure("IR", "incidence rate", _ONE, rate, null=nan, unit="rate", increments="events"),
    Measure("IRLN", "incidence rate", _ONE, log_rate, LOG, null=nan, unit="rate", increments="events"),
    Measure("IRS", "incidence rate", _ONE, root_rate, SQUARE_ROOT, null=nan, unit="rate"),
)
