"""A review: the typed content of a review folder, read and checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfrey.errors import ReviewError
from comfrey.review.problems import Problem
from comfrey.review.references import check_references
from comfrey.review.spec import Helplines, ReviewSpec
from comfrey.review.tables import read_table
from comfrey.review.yaml_file import read_yaml, with_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comfrey.review.rows import Claim, Precaution, Row, Study, Treatment

__all__ = ["Review", "check_review", "read_review"]


@dataclass(frozen=True, slots=True)
class Review:
    """A review folder in memory.

    Attributes
    ----------
    folder : Path
        Where it was read from.
    spec : ReviewSpec
        ``review.yaml``.
    tables : dict
        Table name -> tuple of rows.
    helplines : Helplines or None
        The dated help lines.
    inputs_sha256 : str
        Digest of every file that was read, names included.
    """

    folder: Path
    spec: ReviewSpec
    tables: Mapping[str, tuple[Row, ...]]
    helplines: Helplines | None
    inputs_sha256: str

    def rows(self, table: str) -> tuple[Any, ...]:
        """Return the rows of a table."""
        return self.tables[table]

    def of_type(self, kind: str) -> tuple[Any, ...]:
        """Return the rows of every table of a kind."""
        names = [name for name, table in self.spec.tables.items() if table.type == kind]
        return tuple(row for name in names for row in self.tables[name])

    @property
    def studies(self) -> dict[str, Study]:
        """The studies by id."""
        return {study.study: study for study in self.of_type("studies")}

    @property
    def treatments(self) -> dict[str, Treatment]:
        """The treatment nodes by id."""
        return {treatment.treatment: treatment for treatment in self.of_type("treatments")}

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The printed claims in their order."""
        return tuple(sorted(self.of_type("claims"), key=lambda claim: claim.position))

    @property
    def precautions(self) -> tuple[Precaution, ...]:
        """The precautions."""
        return self.of_type("precautions")

    def label(self, vocabulary: str, value: str) -> str:
        """Return the label of a vocabulary's value, the value itself where none is declared."""
        return self.spec.vocabularies.get(vocabulary, {}).get(value, value.replace("_", " "))

    def label_in(self, table: str, column: str, value: str) -> str:
        """Return the label of a value of a table's column, by the vocabulary that the column declares."""
        return self.label(self.spec.tables[table].columns.get(column, column), value)


def read_review(folder: str | Path) -> Review:
    """Read and check a review folder.

    Parameters
    ----------
    folder : str or Path
        A folder with a ``review.yaml``.

    Returns
    -------
    Review

    Raises
    ------
    ReviewError
        With every problem found, in ``.problems``.
    """
    review, problems = _read(Path(folder))
    if problems or review is None:
        raise ReviewError(problems)
    return review


def check_review(folder: str | Path) -> tuple[Problem, ...]:
    """Return every problem of a review folder, in the order of files and lines; nothing is written."""
    return tuple(_read(Path(folder))[1])


def _read(folder: Path) -> tuple[Review | None, Sequence[Problem]]:
    problems: list[Problem] = []
    if not folder.is_dir():
        problem = Problem(
            "missing-folder", str(folder), None, None, "no such folder", "a review folder",
            "correct the path, or make a folder to start from with: comfrey new DIR",
        )  # fmt: skip
        return None, [problem]
    spec = read_yaml(folder / "review.yaml", "review.yaml", ReviewSpec, problems)
    if spec is None:
        return None, _in_order(problems, ())
    inputs = {"review.yaml": folder / "review.yaml"}
    tables: dict[str, tuple[Row, ...]] = {}
    unreadable: set[str] = set()
    broken: set[str] = set()
    for name, table in spec.tables.items():
        declared = _declared_columns(name, table.columns, spec, problems)
        path = _inside(folder, table.file, f"tables.{name}.file", problems)
        rows = None
        if path is not None:
            inputs[table.file] = path
            if declared:
                rows = read_table(path, table, spec.vocabularies, problems, broken)
        if rows is None:
            unreadable.add(name)
        tables[name] = rows or ()
    helplines = None
    if spec.helplines is not None:
        path = _inside(folder, spec.helplines, "helplines", problems)
        if path is not None:
            inputs[spec.helplines] = path
            helplines = read_yaml(path, spec.helplines, Helplines, problems)
    check_references(spec, tables, unreadable, broken, problems)
    if problems:
        return None, _in_order(with_lines(folder / "review.yaml", "review.yaml", problems), tuple(inputs))
    return Review(folder, spec, tables, helplines, _digest(inputs)), problems


def _in_order(problems: Sequence[Problem], files: Sequence[str]) -> list[Problem]:
    """Sort problems by file, as the review names them, and by line."""
    order = {file: index for index, file in enumerate(files)}
    return sorted(problems, key=lambda problem: (order.get(problem.file, -1), problem.row or 0))


def _declared_columns(name: str, columns: Mapping[str, str], spec: ReviewSpec, problems: list[Problem]) -> bool:
    """Tell whether every declared column is of a kind that there is."""
    before = len(problems)
    plain = {"text", "number", "count", "percent", "flags"}
    for column, what in columns.items():
        if what not in plain and what not in spec.vocabularies:
            problems.append(
                Problem(
                    "unknown-vocabulary",
                    "review.yaml",
                    None,
                    f"tables.{name}.columns.{column}",
                    repr(what),
                    f"one of {', '.join(sorted(plain))}, or a vocabulary of this review",
                    f"declare the vocabulary {what!r} under `vocabularies`",
                )
            )
    return len(problems) == before


def _inside(folder: Path, name: str, where: str, problems: list[Problem]) -> Path | None:
    """Return the path of a file of the review, or None where it would leave the folder."""
    path = folder / name
    home = folder.resolve()
    try:
        real, _ = path.resolve(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a link to itself, a null character
        found = f"{name[:60]!r} ({error.args[-1] if isinstance(error, OSError) else str(error).split(' from ')[0]})"
        expected, fix = "a path that this computer can follow", "correct the name"
        problems.append(Problem("unusable-path", "review.yaml", None, where, found, expected, fix))
        return None
    if Path(name).is_absolute() or not real.is_relative_to(home):
        problems.append(
            Problem(
                "path-leaves-folder",
                "review.yaml",
                None,
                where,
                repr(name),
                "a path inside the review folder",
                "move the file into the review folder and name it from there",
            )
        )
        return None
    return path


def _digest(inputs: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name in sorted(inputs):
        content = inputs[name].read_bytes()
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
