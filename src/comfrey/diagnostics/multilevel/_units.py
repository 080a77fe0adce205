"""What is left out or added together: single effects, or clusters of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import NotEstimableError
from comfrey.models.multilevel._grouping import Floats, Ints, count
from comfrey.models.multilevel._reading import codes_of, column

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comfrey.models.multilevel.result import State

__all__ = ["Units", "gathered", "read_units"]

SHOWN = 8  # names in one note


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """J units of effects.

    Attributes
    ----------
    codes : ndarray (k,)
        The unit of each effect.
    labels : tuple of str
        Their names.
    single : bool
        Whether each unit is one effect because no clusters were asked for.
    """

    codes: Ints
    labels: tuple[str, ...]
    single: bool

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> Ints:
        """Number of effects in each unit (J,)."""
        return np.bincount(self.codes, minlength=len(self)).astype(np.intp)

    @property
    def rows(self) -> list[Ints]:
        """Rows of each unit, in their order."""
        order = np.argsort(self.codes, kind="stable").astype(np.intp)
        return list(np.split(order, np.cumsum(self.sizes)[:-1]))

    @property
    def word(self) -> str:
        """What a unit is called."""
        return "effect" if self.single else "cluster"

    def sums(self, values: Floats) -> Floats:
        """Sum of a value of the effects over each unit (J,)."""
        return np.bincount(self.codes, weights=values, minlength=len(self)).astype(float)


def read_units(state: State, cluster: Any, least: int = 2) -> Units:
    """Read the `cluster` argument: None for single effects, labels (k,), or the name of a column.

    Raises
    ------
    InputError
        If there is not one label for each effect.
    NotEstimableError
        If all effects are in one cluster.
    """
    k = state.problem.k
    if cluster is None:
        return Units(np.arange(k, dtype=np.intp), tuple(f"row {i}" for i in range(k)), True)
    codes, labels = codes_of(column(cluster, "cluster", state.data), "cluster", k)
    if count(codes) < least:
        raise NotEstimableError("All effects are in one cluster: nothing is left without it.")
    return Units(codes, labels, False)


def gathered(reasons: Iterable[tuple[str, str]], before: str) -> list[str]:
    """Say each reason once, with the names of all that it stands for."""
    named: defaultdict[str, list[str]] = defaultdict(list)
    for name, reason in reasons:
        named[reason].append(name)
    out = []
    for reason, names in named.items():
        more = len(names) - SHOWN
        listed = ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        out.append(f"{before} {listed}: {reason}")
    return out
