"""Reading one CSV table into typed rows, with everything that is wrong in it."""

from __future__ import annotations

import csv
import difflib
import io
import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import TypeAdapter, ValidationError

from comfrey.review import cells
from comfrey.review.problems import Problem
from comfrey.review.rows import ROW_TYPES, Row
from comfrey.review.yaml_file import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from comfrey.review.spec import TableSpec

__all__ = ["read_table"]

_FORMULA = re.compile(r"[=@]|[+-](?![\d.\s]|$)")
_INTERNAL = frozenset({"line", "more"})


def read_table(
    path: Path,
    spec: TableSpec,
    vocabularies: Mapping[str, Mapping[str, str]],
    problems: list[Problem],
    broken: set[str],
) -> tuple[Row, ...] | None:
    """Read a table; append what is wrong to `problems` and return the rows that are right.

    Parameters
    ----------
    path : Path
        The file.
    spec : TableSpec
        Its entry in ``review.yaml``.
    vocabularies : mapping
        Vocabularies of the review: name -> {value: label}.
    problems : list of Problem
        Problems are appended here.
    broken : set of str
        The ids of rows that are wrong are added here: rows that refer to them are not to be blamed.

    Returns
    -------
    tuple of Row or None
        None where the file as a whole cannot be read.
    """
    text = read_text(path, spec.file, problems)
    if text is None:
        return None
    lines = _lines(text, spec.file, problems)
    if lines is None:
        return None
    (_, header), *body = lines
    kind = ROW_TYPES[spec.type]
    if not _header_is_right(header, kind, spec, problems):
        return None
    place = header.index(kind.key)
    rows = []
    for number, raw in body:
        if len(raw) != len(header):
            problems.append(
                Problem(
                    "wrong-number-of-cells",
                    spec.file,
                    number,
                    None,
                    f"{len(raw)} cells",
                    f"{len(header)} cells",
                    "look for a missing or an unquoted comma in this line",
                )
            )
            broken.update(raw[place : place + 1])
            continue
        row = _row(dict(zip(header, raw, strict=True)), number, kind, spec, vocabularies, problems)
        if row is None:
            broken.add(raw[place])
        else:
            rows.append(row)
    _unique_keys(rows, kind, spec.file, problems)
    return tuple(rows)


def _lines(text: str, file: str, problems: list[Problem]) -> list[tuple[int, list[str]]] | None:
    """Split into (line number, cells); None where this is no comma-separated table."""
    first = text.split("\n", 1)[0]
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if separator in first and "," not in first:
            problems.append(
                Problem(
                    f"separated-by-{word}",
                    file,
                    1,
                    None,
                    f"cells separated by {word}",
                    "cells separated by commas",
                    "save as comma-separated values; where the decimal sign is a comma, change that to a point too",
                )
            )
            return None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines, start = [], 1
    try:
        for raw in reader:
            if any(cell.strip() for cell in raw):
                lines.append((start, [cell.strip() for cell in raw]))
            start = reader.line_num + 1
    except csv.Error as error:
        problems.append(
            Problem(
                "broken-csv",
                file,
                start,
                None,
                str(error),
                "comma-separated values",
                "look for a quotation mark that is not closed, or not doubled inside a quoted cell",
            )
        )
        return None
    if not lines:
        fix = "restore the content, or remove the file"
        problems.append(Problem("empty-file", file, None, None, "an empty file", "at least a header line", fix))
        return None
    return lines


def _header_is_right(header: list[str], kind: type[Row], spec: TableSpec, problems: list[Problem]) -> bool:
    known = [name for name in kind.model_fields if name not in _INTERNAL] + list(spec.columns)
    needed = list(dict.fromkeys([*kind.header, *spec.columns]))
    missing = [name for name in needed if name not in header]
    right = True
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            right = False
            problems.append(
                Problem(
                    "duplicate-column",
                    spec.file,
                    1,
                    name,
                    f"the column {name!r} {header.count(name)} times",
                    "each column once",
                    "remove or rename the others",
                )
            )
        if name in known:
            continue
        right = False
        near = difflib.get_close_matches(name, missing or known, n=1, cutoff=0.6)
        if near and near[0] in missing:
            missing.remove(near[0])
        fix = f"rename it to {near[0]!r}" if near else "remove it, or declare it under `columns` in review.yaml"
        problems.append(
            Problem("unknown-column", spec.file, 1, name or "(no name)", repr(name), "a column of this table", fix)
        )
    for name in missing:
        right = False
        problems.append(
            Problem("missing-column", spec.file, 1, name, "no such column", f"the column {name!r}", f"add {name!r}")
        )
    return right


def _row(
    raw: Mapping[str, str],
    number: int,
    kind: type[Row],
    spec: TableSpec,
    vocabularies: Mapping[str, Mapping[str, str]],
    problems: list[Problem],
) -> Row | None:
    before = len(problems)

    def wrong(code: str, column: str, found: str, expected: str, fix: str) -> None:
        problems.append(Problem(code, spec.file, number, column, found, expected, fix))

    values: dict[str, Any] = {}
    more: dict[str, Any] = dict.fromkeys(spec.columns)
    for column, text in raw.items():
        if text == "":
            if column in kind.required:
                wrong("empty-cell", column, "an empty cell", "a value", "fill it in; this column cannot be empty")
            continue
        if _FORMULA.match(text) and not _is_number(text):
            wrong("formula", column, repr(text[:60]), "a value, not a formula", "paste the value that it computes")
            continue
        try:
            if column in kind.model_fields:
                values[column] = _adapter(kind, column).validate_python(text)
            else:
                more[column] = _declared(text, spec.columns[column], vocabularies)
        except ValidationError as error:
            detail = error.errors()[0]
            context = detail.get("ctx") or {}
            expected = context.get("expected", detail["msg"].removeprefix("Input should be "))
            code = detail["type"] if "fix" in context else "unknown-value"
            wrong(code, column, repr(text[:80]), str(expected), str(context.get("fix") or _near(text, expected)))
    for broken in kind.rules(values):
        wrong(*broken)
    if len(problems) > before:
        return None
    return kind.model_construct(**values, line=number, more=more)


@cache
def _adapter(kind: type[Row], column: str) -> TypeAdapter[Any]:
    field = kind.model_fields[column]
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, *field.metadata] if field.metadata else annotation)


_DECLARED: dict[str, TypeAdapter[Any]] = {
    "text": TypeAdapter(cells.Text),
    "number": TypeAdapter(cells.Number),
    "count": TypeAdapter(cells.Count),
    "percent": TypeAdapter(cells.Percent),
    "flags": TypeAdapter(cells.Flags),
}


def _declared(text: str, what: str, vocabularies: Mapping[str, Mapping[str, str]]) -> Any:
    """Read a cell of a column that the review itself declares."""
    if what in _DECLARED:
        return _DECLARED[what].validate_python(text)
    if text not in vocabularies[what]:
        allowed = ", ".join(vocabularies[what])
        near = difflib.get_close_matches(text, vocabularies[what], n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"use one of them, or add it to the vocabulary {what!r}"
        error = cells.cell_error(f"unknown-{what}", f"one of: {allowed}", fix)
        raise ValidationError.from_exception_data(
            what, [{"type": error, "loc": (), "input": text}], input_type="python"
        )
    return text


def _near(text: str, expected: object) -> str:
    options = re.findall(r"'([^']+)'", str(expected))
    near = [option for option in options if option.lower() == text.lower()]
    near = near or difflib.get_close_matches(text, options, n=1)
    return f"did you mean {near[0]!r}?" if near else "correct the value"


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _unique_keys(rows: list[Row], kind: type[Row], file: str, problems: list[Problem]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        key = getattr(row, kind.key)
        if key in first:
            problems.append(
                Problem(
                    "duplicate-id",
                    file,
                    row.line,
                    kind.key,
                    f"{key!r}, already in line {first[key]}",
                    "each id once",
                    "give one of the two another id, or remove the repeated row",
                )
            )
        else:
            first[key] = row.line
