"""The page on the review folder names every column of every table, and every key of a question."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from comfrey.review.rows import ROW_TYPES
from comfrey.review.spec import NetworkSpec

PAGE = (Path(__file__).parents[2] / "docs" / "reviews.md").read_text(encoding="utf-8")


def words_of(annotation: Any) -> set[str]:
    """Return the closed list that a column takes, where it has one."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {word for part in get_args(annotation) for word in words_of(part)}


@pytest.mark.parametrize("name", ROW_TYPES)
def test_the_page_names_every_column_and_whether_it_must_be_there(name):
    kind = ROW_TYPES[name]
    section = PAGE.split(f"### {name}\n")[1].split("\n#")[0]
    rows = {match[1]: match for match in re.finditer(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", section, re.MULTILINE)}
    assert rows.keys() == kind.model_fields.keys() - {"line", "more"}
    for column, match in rows.items():
        needed = "filled" if column in kind.required else "header" if column in kind.header else "optional"
        assert match[2] == needed, column
        words = words_of(kind.model_fields[column].annotation)
        assert not words or words == set(re.findall(r"`(\w+)`", match[3].split("one of ")[1])), column


def test_the_page_names_every_key_of_a_network():
    table = PAGE.split("| key of a network |")[1]
    assert set(NetworkSpec.model_fields) <= set(re.findall(r"`(\w+)`", table))


@pytest.mark.parametrize("key", ["networks", "counted", "two_studies", "phrases"])
def test_the_page_explains_the_keys_of_questions(key):
    assert re.search(rf"^\| `{key}[`:]", PAGE, re.MULTILINE)
