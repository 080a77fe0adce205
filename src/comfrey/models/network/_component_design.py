"""Which components treatments have, and which of their effects the studies identify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import InputError, NotEstimableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from comfrey.models.network._structure import Structure

__all__ = ["TOLERANCE", "parse_components", "row_space", "what_is_unknown"]

TOLERANCE = 1e-8  # what is left of a contrast outside the row space; the matrices hold small whole numbers


def parse_components(
    treatments: Sequence[str], separator: str, inactive: str | None, interactions: Sequence[str | tuple[str, ...]]
) -> tuple[tuple[tuple[str, ...], ...], str | None, NDArray[np.float64]]:
    """Components of each term, the inactive component as spelt in the data, and the (n, terms) matrix."""
    if not separator:
        raise InputError("separator", found="an empty text", expected="what joins components, such as '+'")
    split = [[part.strip() for part in t.split(separator)] for t in treatments]
    for t, own in zip(treatments, split, strict=True):
        if "" in own or len(set(own)) < len(own):
            raise InputError("separator", found=f"treatment {t!r}", expected="components that are named, each once")
    names = sorted({part for own in split for part in own})
    spelt = None
    if inactive is not None:
        match = [c for c in names if c == inactive] or [c for c in names if c.lower() == str(inactive).lower()]
        if len(match) != 1:
            raise InputError("inactive", found=repr(inactive), expected=f"one of the components ({', '.join(names)})")
        spelt = match[0]
        names = [c for c in names if c != spelt]
    terms: list[tuple[str, ...]] = [(name,) for name in names]
    columns = [[float(c in own) for own in split] for c in names]
    for item in interactions:
        parts = tuple(p.strip() for p in (item.split("*") if isinstance(item, str) else item))
        unknown = [p for p in parts if p not in names]
        if unknown or len(set(parts)) < 2:
            raise InputError(
                "interactions", found=repr(item), expected=f"two or more of {', '.join(names)}, joined by '*'"
            )
        terms.append(parts)
        columns.append([float(all(p in own for p in parts)) for own in split])
        if not any(columns[-1]):
            raise InputError("interactions", found=repr(item), expected="components that some treatment combines")
    return tuple(terms), spelt, np.array(columns).T


def row_space(structure: Structure, design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal basis (terms, rank) of what the studies' comparisons say of the terms."""
    seen: set[tuple[int, int]] = set()
    for group in structure.groups:
        for row in np.unique(group.arms, axis=0):
            seen.update((int(row[0]), int(other)) for other in row[1:])
    pairs = np.array(sorted(seen))
    matrix = design[pairs[:, 1]] - design[pairs[:, 0]]
    _, values, vectors = np.linalg.svd(matrix, full_matrices=False)
    rank = int((values > 1e-9 * max(1.0, values.max(initial=0.0))).sum())
    if not rank:
        raise NotEstimableError("no study compares treatments with different components: no component has an effect")
    return np.asarray(vectors[:rank].T)


def what_is_unknown(
    terms: tuple[str, ...], basis: NDArray[np.float64], inactive: str | None
) -> tuple[list[bool], list[str]]:
    left = np.eye(len(terms)) - basis @ basis.T
    identifiable = [bool(x < TOLERANCE) for x in np.abs(left).max(axis=1)]
    unknown = [t for t, known in zip(terms, identifiable, strict=True) if not known]
    if not unknown:
        return identifiable, []
    why = "" if inactive else "; without an inactive component often only differences are"
    return identifiable, [
        f"The data do not identify by themselves (not a number): {', '.join(unknown)}{why}. Combinations of them may "
        "be identified: see effects and combination()"
    ]
