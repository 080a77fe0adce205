"""Reading arguments: columns of a frame or arrays, checked, with errors that name the row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd

from comfrey.errors import InputError

if TYPE_CHECKING:
    from comfrey.models.multilevel._grouping import Floats, Ints


class Labels(Sequence[str]):
    """Labels that are written when one is first asked for: most fits never show them."""

    __slots__ = ("_labels", "_write")

    def __init__(self, write: Callable[[], tuple[str, ...]]) -> None:
        self._write = write
        self._labels: tuple[str, ...] = ()

    def _all(self) -> tuple[str, ...]:
        self._labels = self._labels or self._write()
        return self._labels

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...

    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        return self._all()[at]

    def __len__(self) -> int:
        return len(self._all())


def column(value: Any, name: str, data: Any) -> Any:
    """Look a column name up in `data`, or give an array back as it is."""
    if not isinstance(value, str):
        return value
    if data is None:
        raise InputError("data", found=None, expected=f"a DataFrame with the column {value!r} that `{name}` names")
    try:
        return data[value]
    except KeyError:
        known = ", ".join(map(str, list(data)[:12]))
        raise InputError(name, found=repr(value), expected=f"a column of data ({known})") from None


def floats(value: Any, name: str, data: Any) -> Floats:
    """Read finite numbers (k,)."""
    raw = column(value, name, data)
    if isinstance(raw, np.ndarray) and raw.ndim == 1 and raw.dtype == float and np.isfinite(raw).all():
        return raw.copy()
    series = pd.Series(np.asarray(raw).reshape(-1) if np.ndim(raw) == 0 else raw).reset_index(drop=True)
    numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        row = int(bad[0])
        fix = "Leave incomplete rows out before the call, so that what is dropped is known."
        raise InputError(name, found=repr(series.iloc[row]), expected="a finite number", row=row, fix=fix)
    return np.ascontiguousarray(numbers, dtype=float)


def codes_of(values: Any, name: str, k: int) -> tuple[Ints, tuple[str, ...]]:
    """Codes (k,) and sorted labels of a grouping column; missing labels are an error."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and values.shape == (k,):
        kinds, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.intp), tuple(map(str, kinds.tolist()))
    series = pd.Series(values).reset_index(drop=True)
    if series.size != k:
        raise InputError(name, found=f"{series.size} values", expected=f"{k} values, one for each effect")
    missing = np.flatnonzero(series.isna().to_numpy())
    if missing.size:
        raise InputError(name, found=repr(series.iloc[int(missing[0])]), expected="a label", row=int(missing[0]))
    if isinstance(series.dtype, pd.CategoricalDtype):
        used = series.cat.remove_unused_categories()
        return used.cat.codes.to_numpy().astype(np.intp), tuple(map(str, used.cat.categories))
    try:
        codes, labels = pd.factorize(series, sort=True)
    except TypeError:  # labels of several types have no order of their own: sort them as text
        codes, labels = pd.factorize(series.map(str), sort=True)
    return codes.astype(np.intp), tuple(map(str, labels))
