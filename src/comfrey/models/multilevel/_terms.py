"""Random effects: reading `district/school` and `outcome | trial`, and their groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from comfrey.errors import InputError
from comfrey.models.multilevel._grouping import Floats, Ints, combine, count
from comfrey.models.multilevel._reading import Labels, codes_of, column

STRUCTURES = ("UN", "CS", "HCS", "DIAG", "ID", "AR", "HAR", "CAR")


@dataclass(frozen=True, slots=True)
class VarianceTerm:
    """One variance shared by independent effects, one for each group."""

    name: str
    codes: Ints
    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class StructuredTerm:
    """Correlated effects of the levels of `inner` within each group of `outer`."""

    name: str
    structure: str
    outer: Ints
    outer_labels: tuple[str, ...]
    inner: Ints
    inner_labels: tuple[str, ...]
    positions: Floats  # of the levels, counted in gaps
    gap: float = 1.0  # length of the typical gap between time points (CAR)

    @property
    def codes(self) -> Ints:
        """Groups within which effects are linked."""
        return self.outer


Term = VarianceTerm | StructuredTerm
Coded = tuple[Ints, Sequence[str]]  # codes of the rows, labels of the codes


def read_terms(random: Any, structure: Any, data: Any, k: int) -> tuple[Term, ...]:
    """Turn the `random` argument into terms, outermost first within each nested chain."""
    if random is None:
        texts: list[str] = []
    elif isinstance(random, str):
        texts = [random]
    else:
        texts = list(random)
    for given in texts:
        _check_text(given)
    terms: list[Term] = []
    kinds = _structures(structure, sum(_is_structured(text) for text in texts))
    for text in texts:
        if _is_structured(text):
            terms.append(_structured(text, kinds.pop(0), data, k))
        else:
            terms.extend(_nested(text, data, k))
    _check_distinct(terms)
    return tuple(terms)


def _check_text(given: object) -> None:
    if not isinstance(given, str) or not given.strip():
        expected = 'text such as "district/school" or "outcome | trial"'
        raise InputError("random", found=repr(given), expected=expected)


def _bare(text: str) -> str:
    return text.strip().removeprefix("~").strip()


def _is_structured(text: str) -> bool:
    return "|" in text and _bare(text).split("|")[0].strip() != "1"


def _structures(structure: Any, needed: int) -> list[str]:
    given = [structure] * needed if structure is None or isinstance(structure, str) else list(structure)
    if needed == 0 and structure is not None:
        fix = 'Write random="outcome | trial", or leave structure out.'
        raise InputError(
            "structure", found=repr(structure), expected="no structure without an inner | outer term", fix=fix
        )
    if len(given) != needed:
        raise InputError(
            "structure", found=f"{len(given)} structures", expected=f"{needed}, one for each inner | outer term"
        )
    kinds = ["CS" if kind is None else str(kind).upper() for kind in given]
    for kind in kinds:
        if kind not in STRUCTURES:
            raise InputError("structure", found=repr(kind), expected="one of " + ", ".join(STRUCTURES))
    return kinds


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split("/")]
    if not all(names):
        raise InputError("random", found=repr(text), expected='column names joined by "/", such as "district/school"')
    return names


def _labelled(names: Sequence[str], data: Any, k: int, seen: dict[str, Coded] | None = None) -> Coded:
    """Codes and labels of the combinations of some columns (a:b is an interaction); `seen` holds what was read."""
    seen = {} if seen is None else seen
    parts = [piece.strip() for name in names for piece in name.split(":")]
    for part in parts:
        if part not in seen:
            seen[part] = codes_of(column(part, "random", data), f"random ({part})", k)
    read = [seen[part] for part in parts]
    if len(read) == 1:
        return read[0]
    codes = combine([codes for codes, _ in read])
    first = np.zeros(count(codes), dtype=np.intp)
    first[codes[::-1]] = np.arange(k - 1, -1, -1)

    def write() -> tuple[str, ...]:
        columns = [map(labels.__getitem__, own[first].tolist()) for own, labels in read]
        return tuple(map("/".join, zip(*columns, strict=True)))

    return codes, Labels(write)


def _nested(text: str, data: Any, k: int) -> list[Term]:
    grouping = _bare(text).split("|")[-1].strip()
    names = _names(grouping)
    out: list[Term] = []
    seen: dict[str, Coded] = {}
    for depth in range(1, len(names) + 1):
        codes, labels = _labelled(names[:depth], data, k, seen)
        out.append(VarianceTerm("/".join(names[:depth]), codes, labels))
    return out


def _structured(text: str, kind: str, data: Any, k: int) -> StructuredTerm:
    left, _, right = _bare(text).partition("|")
    inner_name, outer_name = left.strip(), right.strip()
    if not inner_name or not outer_name or "/" in inner_name + outer_name or "|" in outer_name:
        raise InputError("random", found=repr(text), expected='one column on each side of the bar: "outcome | trial"')
    outer, written = _labelled([outer_name], data, k)
    outer_labels = tuple(written)
    if len(outer_labels) < 2:
        fix = "One group cannot show how groups vary."
        raise InputError("random", found=f"one group in {outer_name}", expected="two groups or more", fix=fix)
    raw = column(inner_name, "random", data)
    inner, inner_labels = codes_of(raw, f"random ({inner_name})", k)
    if len(inner_labels) < 2:
        expected = "two levels or more"
        raise InputError(
            "random", found=f"one level in {inner_name}", expected=expected, fix=f'Use random="{outer_name}".'
        )
    positions, gap = np.arange(len(inner_labels), dtype=float), 1.0
    ordered = isinstance(getattr(raw, "dtype", None), pd.CategoricalDtype)
    numeric = not ordered and np.asarray(raw).dtype.kind in "iuf"
    if kind in {"AR", "HAR", "CAR"} and numeric:
        values = np.unique(np.asarray(raw, dtype=float))
        if kind == "CAR":
            gap = float(np.median(np.diff(values)))
            positions = (values - values[0]) / gap
        elif values.size > 1 and not np.allclose(np.diff(values), values[1] - values[0]):
            fix = 'Use structure="CAR" for gaps of any length.'
            raise InputError(
                "structure", found=f"{kind} with unequal gaps in {inner_name}", expected="equal gaps", fix=fix
            )
    elif kind == "CAR":
        raise InputError("random", found=f"labels in {inner_name}", expected="numeric time points for structure CAR")
    return StructuredTerm(
        f"{inner_name} | {outer_name}", kind, outer, outer_labels, inner, inner_labels, positions, gap
    )


def _check_distinct(terms: Sequence[Term]) -> None:
    """Two terms with the same groups share one variance that no data can divide."""
    seen: dict[bytes, str] = {}
    for term in terms:
        if isinstance(term, StructuredTerm):
            continue
        if count(term.codes) < 2:
            fix = "One group cannot show how groups vary."
            raise InputError("random", found=f"one group in {term.name}", expected="two groups or more", fix=fix)
        key = _first_seen(term.codes).tobytes()
        if key in seen:
            found = f"{seen[key]} and {term.name}, which divide the effects in the same way"
            fix = "Leave one of them out: their variances cannot be told apart."
            raise InputError("random", found=found, expected="terms with different groups", fix=fix)
        seen[key] = term.name


def _first_seen(codes: Ints) -> Ints:
    """Recode groups by their first row, so that equal partitions have equal codes."""
    first = np.zeros(count(codes), dtype=np.intp)
    first[codes[::-1]] = np.arange(codes.size - 1, -1, -1)
    return first[codes]
