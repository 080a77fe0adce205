"""Rules that join files: ids that refer to one another, vocabularies, and what questions ask of tables."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from comfrey.review.messaging import check_messaging
from comfrey.review.problems import Problem
from comfrey.review.rows import ROW_TYPES, Arm
from comfrey.review.spec import Associations, Proportions, Treatments

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from comfrey.review.rows import Row
    from comfrey.review.spec import Question, ReviewSpec, Rule, TableSpec

__all__ = ["check_references"]


def check_references(
    spec: ReviewSpec,
    tables: Mapping[str, tuple[Row, ...]],
    unreadable: Collection[str],
    broken: Collection[str],
    problems: list[Problem],
) -> None:
    """Append what does not fit between files.

    Parameters
    ----------
    spec : ReviewSpec
        The review file.
    tables : mapping
        The rows that could be read.
    unreadable : collection of str
        Tables whose header or bytes are wrong: rows that refer to them are not blamed for it.
    broken : collection of str
        Ids of rows that are wrong themselves: rows that refer to them are not blamed for it either.
    problems : list of Problem
        Problems are appended here.
    """
    for kind, key, columns in (
        ("studies", "study", ("study",)),
        ("treatments", "treatment", ("treatment", "comparator", "treatments")),
    ):
        homes = {name: table for name, table in spec.tables.items() if table.type == kind}
        if not unreadable & homes.keys():
            known = {getattr(row, key) for name in homes for row in tables.get(name, ())} | set(broken)
            _ids_of(spec, tables, kind, key, columns, homes, known, problems)
            if kind == "treatments":
                _merged(spec, known, problems)
    _rows_once(spec, tables, problems)
    _arms_once(spec, tables, problems)
    _flags(spec, tables, problems)
    _one_region_a_country(spec, tables, problems)
    _questions(spec, problems)
    if spec.content == "self_injury":
        check_messaging(spec, tables, problems)


def _ids_of(
    spec: ReviewSpec,
    tables: Mapping[str, tuple[Row, ...]],
    kind: str,
    key: str,
    columns: Iterable[str],
    homes: Mapping[str, TableSpec],
    known: Collection[str],
    problems: list[Problem],
) -> None:
    """Every id in `columns` of the other tables is a `key` of a table of this kind."""
    for name, rows in tables.items():
        if name in homes:
            continue
        file = spec.tables[name].file
        for row in rows:
            for column in columns:
                if kind == "treatments" and column == "comparator" and spec.tables[name].type != "contrasts":
                    continue
                for used in _used(row, column):
                    if used not in known:
                        homes_named = " or ".join(table.file for table in homes.values()) or f"a {kind} table"
                        fix = _near(used, known) or f"add it to {homes_named}, or correct it"
                        code = f"unknown-{key}"
                        problems.append(
                            Problem(code, file, row.line, column, repr(used), f"an id of {homes_named}", fix)
                        )


def _merged(spec: ReviewSpec, known: Collection[str], problems: list[Problem]) -> None:
    """Every treatment that a question merges is one of the table."""
    for index, question in enumerate(spec.questions):
        for number, merge in enumerate(getattr(question, "merge", ())):
            for used in merge.of:
                if used not in known:
                    where, homes = f"questions.{index}.merge.{number}.of", "the table of treatments"
                    fix = _near(used, known) or f"add it to {homes}, or correct it"
                    problems.append(
                        Problem("unknown-treatment", "review.yaml", None, where, repr(used), f"an id of {homes}", fix)
                    )


def _near(word: str, known: Iterable[str]) -> str | None:
    """Ask whether a known word was meant, where one is like it."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"did you mean {near[0]!r}?" if near else None


def _used(row: Row, column: str) -> tuple[str, ...]:
    value = getattr(row, column, None)
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _rows_once(spec: ReviewSpec, tables: Mapping[str, tuple[Row, ...]], problems: list[Problem]) -> None:
    """Ids of rows are unique over the whole review, so that a number can be followed to one row."""
    first: dict[str, str] = {}
    for name, rows in tables.items():
        file = spec.tables[name].file
        for row in rows:
            key = getattr(row, "row", None)
            if key is None:
                continue
            place = first.setdefault(key, file)
            if place != file:
                fix = "give one of the two another id"
                problems.append(
                    Problem("duplicate-id", file, row.line, "row", f"{key!r}, already in {place}", "each id once", fix)
                )


def _arms_once(spec: ReviewSpec, tables: Mapping[str, tuple[Row, ...]], problems: list[Problem]) -> None:
    """Find arms that report an outcome at a time twice: their people would be counted twice."""
    for name, rows in tables.items():
        first: dict[tuple[Any, ...], int] = {}
        for row in rows:
            if not isinstance(row, Arm):
                continue
            key = (row.study, row.arm, row.treatment, row.outcome, row.weeks, row.outcome_detail)
            line = first.setdefault(key, row.line)
            if line != row.line:
                found = f"{row.arm!r} again, as in line {line}"
                expected = "each arm once for an outcome, a time and a detail of the outcome"
                fix = "give another arm its own id, or say in outcome_detail how the two differ"
                problems.append(Problem("duplicate-arm", spec.tables[name].file, row.line, "arm", found, expected, fix))


def _flags(spec: ReviewSpec, tables: Mapping[str, tuple[Row, ...]], problems: list[Problem]) -> None:
    for name, rows in tables.items():
        for row in rows:
            for flag in row.flags:
                if flag not in spec.flags:
                    fix = _near(flag, spec.flags) or "declare it under `flags` in review.yaml, in words"
                    problems.append(
                        Problem("unknown-flag", spec.tables[name].file, row.line, "flags", repr(flag), "a flag", fix)
                    )


def _one_region_a_country(spec: ReviewSpec, tables: Mapping[str, tuple[Row, ...]], problems: list[Problem]) -> None:
    for name, rows in tables.items():
        if "region" not in spec.tables[name].columns:
            continue
        seen: dict[str, tuple[str, int]] = {}
        for row in rows:
            countries: tuple[str, ...] = getattr(row, "countries", ())
            region = row.more["region"]
            if len(countries) != 1 or region is None:
                continue
            first, line = seen.setdefault(countries[0], (region, row.line))
            if region != first:
                problems.append(
                    Problem(
                        "country-in-two-regions",
                        spec.tables[name].file,
                        row.line,
                        "region",
                        f"{region!r} for {countries[0]}",
                        f"{first!r}, as in line {line}",
                        "correct one of the two",
                    )
                )


def _questions(spec: ReviewSpec, problems: list[Problem]) -> None:
    seen: set[str] = set()
    for index, question in enumerate(spec.questions):
        where = f"questions.{index}"

        def wrong(code: str, column: str, found: str, expected: str, fix: str, where: str = where) -> None:
            problems.append(Problem(code, "review.yaml", None, f"{where}.{column}", found, expected, fix))

        if question.id in seen:
            wrong("duplicate-id", "id", repr(question.id), "each question id once", "give it another id")
        seen.add(question.id)
        table = _tables_of(question, spec, wrong)
        if table is not None:
            for column, rule in _rules(question):
                _rule(rule, column, table, spec, wrong)
            if isinstance(question, Proportions):
                _groups(question, spec, wrong)
            elif isinstance(question, Associations):
                for column in question.pool_within:
                    _column(column, "pool_within", table, spec, wrong)
            else:
                _sensitivity(question, spec, wrong)
                for column, rule in _counted(question) if question.contrasts else ():
                    _rule(rule, column, question.contrasts or "", spec, wrong)


def _tables_of(question: Question, spec: ReviewSpec, wrong: Any) -> str | None:
    """Check the tables that a question names; return the name of the one that its rules speak of."""
    wanted = {"table": "proportions"}
    if isinstance(question, Associations):
        wanted = {"table": "associations"}
    elif isinstance(question, Treatments):
        wanted = {
            "arms": "arms", "contrasts": "contrasts", "treatments": "treatments", "claims": "claims",
            "precautions": "precautions",
        }  # fmt: skip
    right = True
    for key, kind in wanted.items():
        name = getattr(question, key)
        if name is None:
            continue
        if name not in spec.tables:
            right = False
            fix = _near(name, spec.tables) or "name a table of this review"
            wrong("unknown-table", key, repr(name), f"one of: {', '.join(spec.tables)}", fix)
        elif spec.tables[name].type != kind:
            right = False
            wrong(
                "wrong-table",
                key,
                f"{name!r}, of type {spec.tables[name].type}",
                f"type {kind}",
                "name another table",
            )
    return getattr(question, next(iter(wanted))) if right else None


def _rules(question: Question) -> Iterator[tuple[str, Rule]]:
    for index, rule in enumerate(question.eligible):
        yield f"eligible.{index}", rule
    for part in ("sensitivity", "networks"):
        for number, other in enumerate(getattr(question, part, ())):
            for index, rule in enumerate(other.also):
                yield f"{part}.{number}.also.{index}", rule
    for index, rule in enumerate(getattr(question, "counted", ())):
        yield f"counted.{index}", rule


def _counted(question: Treatments) -> Iterator[tuple[str, Rule]]:
    for index, rule in enumerate(question.counted):
        yield f"counted.{index}", rule


def _columns(table: str, spec: ReviewSpec) -> dict[str, Mapping[str, str] | None]:
    """Return the columns of a table and of its studies, each with its vocabulary where it has one."""
    if spec.tables[table].type == "studies" or "study" not in ROW_TYPES[spec.tables[table].type].model_fields:
        return _own_columns(table, spec)
    studies = [name for name, other in spec.tables.items() if other.type == "studies"]
    columns: dict[str, Mapping[str, str] | None] = {}
    for name in (*studies, table):
        columns |= _own_columns(name, spec)
    return columns


def _own_columns(table: str, spec: ReviewSpec) -> dict[str, Mapping[str, str] | None]:
    own: dict[str, Mapping[str, str] | None] = dict.fromkeys(ROW_TYPES[spec.tables[table].type].model_fields)
    own.update({name: spec.vocabularies.get(what) for name, what in spec.tables[table].columns.items()})
    return own


def _holds(column: str, table: str, spec: ReviewSpec) -> str:
    """Say what the cells of a column hold: a number, a list, or words."""
    studies = [name for name, other in spec.tables.items() if other.type == "studies"]
    for name in (table, *studies):
        what = spec.tables[name].columns.get(column)
        if what is not None:
            return {"number": "a number", "count": "a number", "percent": "a number", "flags": "a list"}.get(
                what, "words"
            )
        field = ROW_TYPES[spec.tables[name].type].model_fields.get(column)
        if field is not None:
            if _made_of(field.annotation, tuple):
                return "a list"
            return "a number" if _made_of(field.annotation, int) or _made_of(field.annotation, float) else "words"
    return "words"


def _made_of(annotation: Any, kind: type) -> bool:
    """Tell whether a type is of this kind, or an optional or annotated one of it."""
    if annotation is kind or get_origin(annotation) is kind:
        return True
    return get_origin(annotation) is not Literal and any(_made_of(part, kind) for part in get_args(annotation))


def _column(column: str, where: str, table: str, spec: ReviewSpec, wrong: Any) -> bool:
    """Tell whether a table has a column; say so where it has not."""
    columns = _columns(table, spec)
    if column in columns:
        return True
    fix = _near(column, columns) or "name a column of the table"
    wrong("unknown-column", where, repr(column), f"a column of {table!r}", fix)
    return False


def _rule(rule: Rule, where: str, table: str, spec: ReviewSpec, wrong: Any) -> None:
    if not _column(rule.column, f"{where}.column", table, spec, wrong):
        return
    holds = _holds(rule.column, table, spec)
    asked = "a number" if rule.at_least is not None or rule.at_most is not None else "words"
    asked = "a list" if rule.lacks is not None else asked
    if holds != asked and not rule.present:
        found = f"a condition for {asked} on {rule.column!r}, which holds {holds}"
        fix = "use at_least and at_most for numbers, is and is_not for words, lacks for flags"
        wrong("rule-does-not-fit", where, found, f"a condition for {holds}", fix)
        return
    vocabulary = _columns(table, spec)[rule.column]
    if vocabulary is not None:
        for value in (rule.is_one_of or ()) + (rule.is_none_of or ()):
            if value not in vocabulary:
                fix = _near(value, vocabulary) or "correct the rule"
                wrong("unknown-value", where, repr(value), f"one of: {', '.join(vocabulary)}", fix)
    for flag in rule.lacks or ():
        if flag not in spec.flags:
            fix = _near(flag, spec.flags) or "declare it under `flags`, or correct it"
            wrong("unknown-flag", where, repr(flag), "a declared flag", fix)


def _groups(question: Proportions, spec: ReviewSpec, wrong: Any) -> None:
    columns = _columns(question.table, spec)
    for key, listed, values in (("by", "order", question.order), ("split", "splits", question.splits)):
        column = getattr(question, key)
        if not _column(column, key, question.table, spec, wrong):
            continue
        vocabulary = columns[column]
        if vocabulary is None:
            wrong("no-vocabulary", key, repr(column), "a column with a vocabulary", "declare one for it")
            continue
        for value in values:
            if value not in vocabulary:
                fix = _near(value, vocabulary) or "correct the value"
                wrong("unknown-value", listed, repr(value), f"one of: {', '.join(vocabulary)}", fix)
    if question.kind == "distribution" and len(question.order) > 8:
        wrong(
            "too-many-categories", "order", f"{len(question.order)} categories", "at most eight broad categories",
            "merge categories",
        )  # fmt: skip
    if question.one_per is not None:
        _column(question.one_per, "one_per", question.table, spec, wrong)
    _sensitivity(question, spec, wrong)


def _sensitivity(question: Proportions | Treatments, spec: ReviewSpec, wrong: Any) -> None:
    rules = [rule.id for rule in question.eligible]
    for index, sensitivity in enumerate(question.sensitivity):
        for name in sensitivity.without:
            if name not in rules:
                wrong(
                    "unknown-rule", f"sensitivity.{index}.without", repr(name), f"one of: {', '.join(rules)}",
                    "name a rule of `eligible`",
                )  # fmt: skip
        if sensitivity.by is not None and isinstance(question, Proportions):
            _column(sensitivity.by, f"sensitivity.{index}.by", question.table, spec, wrong)
