"""What every result object has in common: a summary table, plain values, and a face in notebooks.

Results are frozen, slotted dataclasses made by pure functions. They inherit from :class:`Result` and give
``summary`` (a DataFrame) and ``headline`` (the lines that ``print`` shows above the table).
"""

from __future__ import annotations

import dataclasses
import math
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "plain"]


class Result:
    """Base of all results: `summary`, `to_dict()`, a readable `repr`, and HTML in notebooks."""

    __slots__ = ()

    @property
    def summary(self) -> pd.DataFrame:
        """The result as a table, one row a quantity of interest."""
        raise NotImplementedError

    @property
    def headline(self) -> tuple[str, ...]:
        """The lines above the table: what was fitted, by which method, test and interval."""
        return (type(self).__name__,)

    def to_dict(self) -> dict[str, Any]:
        """Every public field as plain JSON values; what could not be computed is None."""
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]  # subclasses are dataclasses
        return {name: plain(getattr(self, name)) for name in names if not name.startswith("_")}

    def __repr__(self) -> str:
        table = self.summary.to_string(float_format=_short, na_rep="")
        return "\n".join((*self.headline, "", table))

    def _repr_html_(self) -> str:
        head = "".join(f"<div>{escape(line)}</div>" for line in self.headline)
        return head + self.summary.to_html(float_format=_short, na_rep="", border=0)


def _short(value: float) -> str:
    """Four decimals where they fit, else four significant digits."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.4f}"
    return f"{value:.3e}"


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows; not-a-number and infinity become None.

    Examples
    --------
    >>> plain({"tau2": np.float64(0.5), "pi_low": float("nan"), "k": np.array([1, 2])})
    {'tau2': 0.5, 'pi_low': None, 'k': [1, 2]}
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Result):
        return value.to_dict()
    if hasattr(value, "to_dict"):  # pandas: a frame gives its records, a series its index and values
        return plain(value.to_dict("records") if hasattr(value, "columns") else value.to_dict())
    return str(value)
