"""Care with words: texts of a review on self-injury are checked before they can reach a page.

The rules follow Westers NJ et al. (2020), Non-suicidal self-injury and the media: guidelines, Br J Psychiatry
217:415-418, doi:10.1192/bjp.2019.191. Titles of publications are quoted as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from comfrey.review.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from comfrey.review.rows import Row
    from comfrey.review.spec import ReviewSpec

__all__ = ["check_messaging", "unkind_words"]

# Pattern -> what to write instead.
_RULES: tuple[tuple[str, str], ...] = (
    (r"\bcutters?\b|\bself[- ]?harmers?\b|\bself[- ]?injurers?\b", "say 'person who self-injures'"),
    (r"\bself[- ]?mutilat\w*", "say 'self-injury'"),
    (r"\bepidemics?\b", "give the number and its interval instead"),
    (r"\battention[- ]?seek\w*|\bmanipulative\b", "say what the person needs, not what they are"),
    (r"\bcommit\w* suicide\b", "say 'died by suicide'"),
    (r"\b(successful|failed|completed) (suicide|attempt)\w*", "say 'died by suicide' or 'suicide attempt'"),
    (r"\bcontract for safety\b", "say 'safety plan'"),
    (r"\b(razor|blade|knife|knives|scissors|lighters?|needles?)\b", "leave out implements: broad categories only"),
    (r"\b(wrists?|forearms?|thighs?|upper arms?)\b", "leave out body sites: broad categories only"),
    (r"\b\d+([.,]\d+)? ?(mg|mcg|µg|ml|tablets?|pills?)\b", "leave out doses and quantities"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), fix) for pattern, fix in _RULES)
# Bibliographic columns, quoted as printed; a label is one where it names a study.
_QUOTED = frozenset({"title", "source", "authors", "registration"})


def unkind_words(text: str) -> Iterator[tuple[str, str]]:
    """Yield (what stands there, what to write instead) for each expression that does harm.

    Examples
    --------
    >>> list(unkind_words("An epidemic of self-injury"))
    [('epidemic', 'give the number and its interval instead')]
    """
    for pattern, fix in _COMPILED:
        for match in pattern.finditer(text):
            yield match.group(0), fix


def check_messaging(spec: ReviewSpec, tables: Mapping[str, tuple[Row, ...]], problems: list[Problem]) -> None:
    """Append every expression that does harm, in the review file and in the tables."""
    for where, text in _strings(spec.model_dump(exclude={"starts_from"}), ""):
        for found, fix in unkind_words(text):
            problems.append(Problem("harmful-words", "review.yaml", None, where, repr(found), "careful words", fix))
    for name, rows in tables.items():
        columns = [column for column in spec.tables[name].columns if spec.tables[name].columns[column] == "text"]
        for row in rows:
            quoted = _QUOTED | ({"label"} if spec.tables[name].type == "studies" else set())
            fields = [field for field in type(row).model_fields if field not in {"line", "more"} | quoted]
            for column in (*fields, *columns):
                value = row.value(column)
                if not isinstance(value, str):
                    continue
                for found, fix in unkind_words(value):
                    file = spec.tables[name].file
                    problems.append(Problem("harmful-words", file, row.line, column, repr(found), "careful words", fix))


def _strings(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _strings(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _strings(value, f"{path}.{index}")
