"""What is asked of a one-stage model, apart from its counts."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Request"]


class Request(NamedTuple):
    """The arguments of :func:`comfrey.count_model`, checked."""

    measure: str
    model: str
    coding: str
    test: str
    level: float
    points: int | None
