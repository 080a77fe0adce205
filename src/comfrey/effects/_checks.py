"""Input that looks wrong though it can be computed, such as a standard error in place of an SD.

The rules only point at rows; nothing is changed. A standardised difference above three, or an SD that is a third or
less
of the others' and fits them once multiplied by the root of n, is far more often a slip than a finding (Gøtzsche et
al.
2007, doi:10.1001/jama.298.4.430).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfrey.effects.measure import Array, Measure

__all__ = ["suspicious_rows"]

_PAIRS = (("sd_1", "n_1"), ("sd_2", "n_2"), ("sd", "n"), ("sd_pre", "n"), ("sd_post", "n"))
LARGE = 3.0


def suspicious_rows(measure: Measure, columns: Mapping[str, Array], yi: Array, vi: Array) -> list[tuple[int, str, str]]:
    """Rows that look wrong, as (row, code, message)."""
    del vi
    found = []
    if measure.unit == "standardised difference":
        for row in np.flatnonzero(np.abs(yi) > LARGE):
            text = f"a standardised difference of {yi[row]:.2f} is hardly possible: are the SDs standard errors?"
            found.append((int(row), "impossible-difference", text))
    for sd_name, n_name in _PAIRS:
        if sd_name in columns and n_name in columns:
            found += _likely_standard_errors(sd_name, columns[sd_name], columns[n_name])
    return found


def _likely_standard_errors(name: str, sd: Array, n: Array) -> list[tuple[int, str, str]]:
    good = np.isfinite(sd) & np.isfinite(n) & (sd > 0) & (n > 1)
    rows = np.flatnonzero(good)
    if rows.size < 4:
        return []
    found = []
    logs, roots = np.log(sd[rows]), 0.5 * np.log(n[rows])
    for position, row in enumerate(rows):
        others = np.delete(logs, position)
        typical = float(np.median(others))
        spread = max(float(np.median(np.abs(others - typical))) * 1.4826, 0.2)
        short, mended = typical - logs[position], abs(logs[position] + roots[position] - typical)
        if short > max(np.log(3.0), 3 * spread) and mended < min(short / 2, 2 * spread):
            text = (
                f"{name} {sd[row]:g} may be a standard error: the other studies' is about {np.exp(typical):.3g}, "
                f"and {sd[row]:g} times the root of {n[row]:g} is {sd[row] * np.sqrt(n[row]):.3g}"
            )
            found.append((int(row), "sd-like-se", text))
    return found
