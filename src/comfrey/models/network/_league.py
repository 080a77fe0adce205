"""The league table: all treatments against all, as text to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from comfrey.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOG_MEASURES", "direct_cells", "league", "network_cells"]

LOG_MEASURES = frozenset({"OR", "RR", "IRR", "ROM", "HR"})


def _ordered(net: Any, order: Sequence[str] | None) -> list[str]:
    if order is None:
        if net.small_values is None:
            return list(net.treatments)
        return list(net.p_scores.sort_values(ascending=False, kind="stable").index)
    names = [str(t) for t in order]
    if sorted(names) != sorted(net.treatments):
        raise InputError("order", found=", ".join(names), expected=f"each of {', '.join(net.treatments)} once")
    return names


def direct_cells(net: Any) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Direct estimates with their limits, for both directions."""
    direct = net._direct
    half = stats.norm.ppf(0.5 * (1 + net.level)) * np.sqrt(direct.variance)
    cells = {}
    for i, j, y, h in zip(direct.first, direct.second, direct.estimate, half, strict=True):
        a, b = net.treatments[i], net.treatments[j]
        cells[a, b] = (float(y), float(y - h), float(y + h))
        cells[b, a] = (float(-y), float(-y - h), float(-y + h))
    return cells


def network_cells(net: Any) -> dict[tuple[str, str], tuple[float, float, float]]:
    pairs = net._pairs
    return {
        (a, b): (float(pairs.estimate[i, j]), float(pairs.ci_low[i, j]), float(pairs.ci_high[i, j]))
        for i, a in enumerate(net.treatments)
        for j, b in enumerate(net.treatments)
        if i != j and np.isfinite(pairs.estimate[i, j])
    }


def league(net: Any, upper: Any, digits: int, transform: bool | None, order: Sequence[str] | None) -> pd.DataFrame:
    """Make the table of :meth:`Network.league`."""
    names = _ordered(net, order)
    below = network_cells(net)
    if isinstance(upper, str):
        if upper not in {"direct", "network"}:
            raise InputError("upper", found=repr(upper), expected="'direct', 'network' or a network")
        above = direct_cells(net) if upper == "direct" else below
    elif hasattr(upper, "_pairs"):
        above = network_cells(upper)
    else:
        raise InputError("upper", found=type(upper).__name__, expected="'direct', 'network' or a network")
    ratio = net.measure in LOG_MEASURES if transform is None else transform

    def text(cell: tuple[float, float, float] | None) -> str:
        if cell is None:
            return ""
        shown = [float(np.exp(x)) if ratio else x for x in cell]
        middle, low, high = (f"{x:.{digits}f}" if np.isfinite(x) else "not available" for x in shown)
        return f"{middle} [{low}; {high}]"

    table = [
        [a if i == j else text(below.get((b, a)) if i > j else above.get((a, b))) for j, b in enumerate(names)]
        for i, a in enumerate(names)
    ]
    return pd.DataFrame(table, index=pd.Index(names, name="treatment"), columns=names)
