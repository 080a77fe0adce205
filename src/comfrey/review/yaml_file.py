"""Reading a YAML file into a pydantic model, with the line of everything that is wrong."""

from __future__ import annotations

import difflib
import re
import shlex
import warnings
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from comfrey.review.problems import Problem
from comfrey.review.spec import COUNTRY_PATTERN, ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["read_text", "read_yaml", "with_lines"]

# A review file has some thousands of values; references to references could make billions of a few lines.
_MOST_VALUES = 1_000_000
Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, name: str, model: type[Model], problems: list[Problem]) -> Model | None:
    """Read `path` as `model`; append what is wrong to `problems` and return None where anything is.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Its name in messages.
    model : type
        The pydantic model that it must fit.
    problems : list of Problem
        Problems are appended here.
    """
    text = read_text(path, name, problems)
    if text is None:
        return None
    tree = _parse(text, name, problems)
    if tree is None:
        return None
    try:
        plain = _plain(tree, [_MOST_VALUES])
    except RecursionError:
        problems.append(_broken(name, None, "a value that contains itself, or is nested too deeply"))
        return None
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        found = error.errors()
        inner = {detail["loc"][:depth] for detail in found for depth in range(len(detail["loc"]))}
        problems.extend(
            _problem(detail, tree, name, model)
            for detail in found
            if detail["type"] != "too_short" or detail["loc"] not in inner  # an item that is wrong is no missing one
        )
        return None


def with_lines(path: Path, name: str, problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems, each of this YAML file's that has a dotted path but no line with its line."""
    if not any(problem.file == name and problem.row is None and problem.column for problem in problems):
        return list(problems)
    tree = _parse(read_text(path, name, []) or "", name, [])

    def placed(problem: Problem) -> Problem:
        if problem.file != name or problem.row is not None or problem.column is None:
            return problem
        parts = [int(part) if part.isdecimal() else part for part in problem.column.split(".")]
        return replace(problem, row=_line(tree, parts)[0])

    return [placed(problem) for problem in problems]


def read_text(path: Path, name: str, problems: list[Problem]) -> str | None:
    """Read a file as UTF-8 without a byte order mark."""

    def wrong(code: str, found: str, expected: str, fix: str, row: int | None = None) -> None:
        problems.append(Problem(code, name, row, None, found, expected, fix))

    if not path.is_file():
        wrong("missing-file", "no such file", "a file of this name", "add the file, or correct its name in review.yaml")
        return None
    try:
        raw = path.read_bytes()
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        wrong("unreadable-file", found, "a file that may be read", "change its permissions")
        return None
    if not raw.strip():
        wrong("empty-file", "an empty file", "at least a header line", "restore the content, or remove the file")
        return None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        wrong(
            "wrong-encoding", "UTF-16", "UTF-8 without a byte order mark",
            "open it in a text editor and save the file as UTF-8 without BOM, or on the command line: "
            f"iconv -f UTF-16 -t UTF-8 {shlex.quote(name)} > NEW",
        )  # fmt: skip
        return None
    if raw.startswith(b"\xef\xbb\xbf"):
        wrong(
            "byte-order-mark", "a byte order mark before the first character", "plain UTF-8",
            "open it in a text editor and save it with the encoding UTF-8 without BOM, or on the command line: "
            f"sed -i '1s/^\\xEF\\xBB\\xBF//' {shlex.quote(name)} (in Excel, 'CSV UTF-8' writes the mark; "
            "'CSV (comma delimited)' does not, but keeps plain ASCII only)", 1,
        )  # fmt: skip
        raw = raw[3:]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n") + 1
        wrong(
            "wrong-encoding", f"the byte {raw[error.start]:#04x}, which is not UTF-8", "UTF-8",
            "save the file as UTF-8 (it was probably saved as Latin-1 or Windows-1252)", row,
        )  # fmt: skip
        return None
    if "\x00" in text:
        wrong(
            "null-character", "a null character", "plain text", "save the file again as text",
            text[: text.index("\x00")].count("\n") + 1,
        )  # fmt: skip
        return None
    return text


@cache
def _constructor() -> Any:
    """Return ruamel's constructor, except that dates stay text, so that a wrong one is found with its line."""
    from ruamel.yaml.constructor import RoundTripConstructor

    class Constructor(RoundTripConstructor):
        pass

    Constructor.add_constructor("tag:yaml.org,2002:timestamp", Constructor.construct_scalar)
    return Constructor


def _broken(name: str, row: int | None, found: str) -> Problem:
    """Say what is no YAML here, in words."""
    found = found.removeprefix("found ").replace("but found", "not")
    fix = "look at this line and the one before it: indentation, a missing colon or an unclosed quote"
    if sign := re.match(r"character '(\\t|.)' that cannot start", found):
        tab = sign[1] == "\\t"
        found = "a tab" if tab else f"a value that begins with {sign[1]}"
        fix = "indent with spaces" if tab else "put the value in quotes"
    elif found.startswith("mapping values are not allowed"):
        found = "a second colon, or a key that is indented too far"
        fix = "put a value that holds a colon in quotes; look at the indentation of this line and the one before it"
    elif "<block end>" in found:
        found = "a line that does not fit the lines above it"
    if name == "review.yaml":
        fix += "; mend this first: the tables are checked after"
    return Problem("broken-yaml", name, row, None, found, "valid YAML", fix)


def _parse(text: str, name: str, problems: list[Problem]) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="rt")
    yaml.Constructor = _constructor()
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = yaml.load(text)
    except DuplicateKeyError as error:
        mark = error.problem_mark
        key = str(error.problem).split('"')[1] if '"' in str(error.problem) else "a key"
        row = None if mark is None else mark.line + 1
        problems.append(
            Problem(
                "duplicate-key",
                name,
                row,
                key,
                f"the key {key!r} twice",
                "each key once",
                "remove or rename one of the two",
            )
        )
        return None
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        problems.append(_broken(name, None if mark is None else mark.line + 1, str(what)))
        return None
    except RecursionError:
        problems.append(_broken(name, None, "values nested too deeply"))
        return None
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError) as error:
        # What ruamel.yaml raises for a tag that does not fit its value, among others.
        problems.append(_broken(name, None, str(error) or type(error).__name__))
        return None
    if not hasattr(tree, "lc") or not hasattr(tree, "keys"):
        problems.append(
            Problem(
                "not-a-mapping",
                name,
                1,
                None,
                "no keys",
                "lines of the form `key: value`",
                "begin the file with `comfrey: 1`",
            )
        )
        return None
    return tree


def _plain(node: Any, left: list[int]) -> Any:
    """Turn the round-trip tree into plain dicts, lists and scalars; stop where references multiply it."""
    left[0] -= 1
    if left[0] < 0:
        raise RecursionError
    if hasattr(node, "items"):
        return {str(key): _plain(value, left) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item, left) for item in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _problem(detail: Any, tree: Any, name: str, model: type[BaseModel]) -> Problem:
    """Turn one of pydantic's errors into a problem with a line."""
    path = list(detail["loc"])
    if path[:1] == ["questions"] and len(path) > 2:
        del path[2]  # pydantic puts the kind of question there, which is no key of the file
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        path.append("kind")
        given, kind = context.get("tag"), {"union_tag_not_found": "missing"}.get(kind, kind)
    row, where = _line(tree, path)
    column = ".".join(str(part) for part in where) or None
    if kind == "extra_forbidden":
        unknown = str(path[-1])
        near = difflib.get_close_matches(unknown, sorted(_names(model)), n=1)
        fix = f"did you mean {near[0]!r}?" if near else "remove it; the schema lists what may stand here"
        return Problem("unknown-key", name, row, column, unknown, "a key of the schema", fix)
    if kind == "missing":
        wanted = str(path[-1])
        return Problem("missing-key", name, row, column, "nothing", f"the key {wanted!r}", f"add {wanted!r}")
    if "fix" in context:
        return Problem("bad-value", name, row, column, context["found"], context["expected"], context["fix"])
    expected = str(context.get("expected_tags") or context.get("expected") or _in_words(detail["msg"]))
    fix = "correct this value"
    if kind.startswith("date_"):
        expected, fix = "a date: year, month, day", "write for instance 2026-11-23"
    elif kind == "string_pattern_mismatch":
        expected = _PATTERNS.get(context["pattern"], expected)
    elif kind == "too_short":
        expected, given = "at least 1 item in the list", given or ()
    options = re.findall(r"'([^']+)'", expected) if context else []
    if isinstance(given, str) and (near := difflib.get_close_matches(given, options, n=1)):
        fix = f"did you mean {near[0]!r}?"
    elif kind == "string_type" and isinstance(given, (int, float)):
        fix = "correct this value: write it in quotes"
    elif kind in {"tuple_type", "list_type"}:
        fix = "correct this value: write it in square brackets"
    found = repr(given) if isinstance(given, (str, int, float, bool)) else _KINDS.get(type(given), type(given).__name__)
    return Problem("bad-value", name, row, column, found, expected, fix)


_PATTERNS = {ID_PATTERN: "an id of lower-case letters, digits, - and _", COUNTRY_PATTERN: "an alpha-3 code, or INT"}
_KINDS = {list: "a list", tuple: "an empty list", dict: "a mapping", type(None): "nothing"}


def _in_words(message: str) -> str:
    """Say what pydantic expects in the words of a YAML file."""
    text = message.removeprefix("Value error, ").removeprefix("Input should be ")
    if text.startswith("a valid dictionary"):
        return "lines of the form `key: value`"
    return text.replace("a valid tuple", "a list").replace("a valid list", "a list").replace("Tuple", "a list that")


def _line(tree: Any, path: list[Any]) -> tuple[int | None, list[Any]]:
    """Return the line of the deepest part of the path that is in the file."""
    node, row, walked = tree, 1, []
    for part in path:
        try:
            position = node.lc.item(part) if isinstance(part, int) else node.lc.key(part)
        except (KeyError, AttributeError, IndexError, TypeError):
            walked.append(part)
            continue
        row = position[0] + 1
        walked.append(part)
        node = node[part]
    return row, walked


def _names(model: type[BaseModel]) -> set[str]:
    """Return every key that the schema knows anywhere."""
    names: set[str] = set()
    stack: list[Any] = [model.model_json_schema()]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            names.update(node.get("properties", {}))
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return names
