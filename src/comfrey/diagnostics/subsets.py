"""The result in every subset of the studies (a graphical display of study heterogeneity, GOSH)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.diagnostics._refit import refitter
from comfrey.diagnostics._series import AnySubsets
from comfrey.diagnostics._table import check_size
from comfrey.errors import InputError
from comfrey.models._view import view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comfrey.effects.measure import Array
    from comfrey.models._view import AnyFit

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]

__all__ = ["Subsets", "bounded", "masks_of", "subsets"]

_BLOCK = 500_000  # numbers in one block of masks


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class Subsets(AnySubsets):
    """The model fitted to n subsets of the studies; for its numbers see `AnySubsets`.

    A study alone has tau2 zero and H2 one; a subset that cannot carry a regression is not-a-number. `unproved` counts
    the subsets whose maximum is not proved to be the highest.
    """

    unproved: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the subsets themselves by their number and summary."""
        return {**AnySubsets.to_dict(self), "unproved": self.unproved}


def subsets(fit: AnyFit, maximum: int = 2**20 - 1, seed: int = 0) -> Subsets:
    """Fit the model to all non-empty subsets of the studies, or to a random sample if there are more than `maximum`.

    Subsets are streamed in blocks: what grows with their number is only what is kept of each (about 50 bytes). A sample
    takes each study with probability one half (so every subset is as likely as any other); it may hold a subset twice.
    A million fits of twenty studies take about half a second by closed formulas (DL, HE ...) and ten seconds by REML.

    Parameters
    ----------
    fit : Pooled or MetaRegression
    maximum : int
        The bound, and the size of the sample.
    seed : int
        For the sample.

    Raises
    ------
    InputError
        If `maximum` is no whole number above zero.

    References
    ----------
    Olkin, Dahabreh & Trikalinos 2012, doi:10.1002/jrsm.1053.

    Examples
    --------
    >>> import comfrey as cf
    >>> found = subsets(cf.pool([0.1, 0.5, 0.3, 0.9], [0.04, 0.05, 0.03, 0.08]))
    >>> len(found), round(float(found.estimate.max()), 2), int(found.contains(0).sum())
    (15, 0.9, 8)
    """
    view = view_of(fit)
    count, complete = bounded(view.k, maximum)
    check_size(view, "the display of subsets", 1)
    one = refitter(view)
    p = view.p
    estimate = np.empty((count, p))
    columns = np.empty((4, count))
    sizes = np.empty(count, dtype=np.int32)
    members = np.empty((count, (view.k + 7) // 8), dtype=np.uint8)
    start, unproved = 0, 0
    for packed, masks in masks_of(view.k, count, None if complete else seed):
        found = one(masks)
        part = slice(start, start + packed.shape[0])
        estimate[part], members[part], sizes[part] = found.beta, packed, found.k
        for row, values in enumerate((found.tau2, found.i2, found.h2, found.q)):
            columns[row, part] = values
        unproved += int((~found.proved).sum())
        start += packed.shape[0]
    notes = []
    missing = int(np.isnan(columns[0]).sum())
    if missing:
        why = "too few studies, or moderators that do not vary (or hardly, beside all)"
        notes.append(f"{missing} subsets cannot carry the model: {why}")
    if unproved:
        notes.append(f"for {unproved} subsets it is not proved that tau2 is at the global maximum")
    return Subsets(
        labels=view.labels,
        terms=view.terms,
        estimate=estimate[:, 0] if p == 1 else estimate,
        tau2=columns[0],
        i2=columns[1],
        h2=columns[2],
        q=columns[3],
        k=sizes,
        complete=complete,
        seed=None if complete else seed,
        unproved=unproved,
        method=view.method,
        notes=tuple(notes),
        _members=members,
    )


def bounded(k: int, maximum: int) -> tuple[int, bool]:
    """How many subsets are taken, and whether these are all.

    Raises
    ------
    InputError
        If `maximum` is no whole number above zero.

    Examples
    --------
    >>> bounded(4, 100), bounded(70, 100)
    ((15, True), (100, False))
    """
    if isinstance(maximum, bool) or not isinstance(maximum, (int, np.integer)) or maximum < 1:
        raise InputError("maximum", found=maximum, expected="a whole number above zero")
    complete = k < 63 and 2**k - 1 <= maximum
    return (2**k - 1 if complete else int(maximum)), complete


def masks_of(k: int, count: int, seed: int | None) -> Iterator[tuple[Bytes, Array]]:
    """Stream subsets in blocks, packed in bits and as masks of shape (m, k): all, or with a seed a random sample."""
    for packed in _all(k, count) if seed is None else _sample(k, count, seed):
        yield packed, np.unpackbits(packed, axis=1, bitorder="little", count=k).astype(float)


def _all(k: int, count: int) -> Iterator[Bytes]:
    """Bits of the numbers from one to 2^k - 1, in blocks, the lowest bit for the first study."""
    step = max(1, _BLOCK // k)
    for start in range(1, count + 1, step):
        numbers = np.arange(start, min(count + 1, start + step), dtype="<u8")
        yield numbers.view(np.uint8).reshape(-1, 8)[:, : (k + 7) // 8]


def _sample(k: int, count: int, seed: int) -> Iterator[Bytes]:
    """Draw non-empty subsets, each as likely as any other; the same ones for the same seed."""
    generator = np.random.default_rng(seed)
    step = max(1, _BLOCK // k)
    for start in range(0, count, step):
        masks = generator.integers(0, 2, size=(min(step, count - start), k), dtype=np.uint8)
        while (empty := np.flatnonzero(~masks.any(axis=1))).size:
            masks[empty] = generator.integers(0, 2, size=(empty.size, k), dtype=np.uint8)
        yield np.packbits(masks, axis=1, bitorder="little")
