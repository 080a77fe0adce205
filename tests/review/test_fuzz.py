"""Whatever stands in a cell or in the YAML, check answers with problems, never with a crash."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comfrey.review.problems import Problem

ODD = st.sampled_from([
    "", " ", "-", "+", "=", "@", "0", "-0", "1e5", "1e999", "-1e999", "nan", "inf", "1_000", "１２",
    "٣", "½", "1,5", "1.000,5",
    "1 000", "20%", "%", "NA", "None", "true", "[]", "{}", "'", '"', '""', "\\", ",", ";", "\t",
    "\n", "\r\n", "\x0b", "\x85",
    "\u2028", "\ufeff", "\u202e", "\U0001f9ea", "doi:", "doi:10.1/x", "ref: ", " ; ", "NOR SWE",
    "a b", "<script>", "../..",
])  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | ODD
TABLES = (
    "studies.csv", "prevalence.csv", "forms.csv", "treatments.csv", "arms.csv", "contrasts.csv", "claims.csv",
    "precautions.csv", "mechanisms.csv",
)  # fmt: skip
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(QUICK, max_examples=2000)


def are_problems(found):
    assert all(isinstance(problem, Problem) and problem.fix and problem.code for problem in found)
    for problem in found:
        str(problem)


def cells(small, data):
    kept = small.files()
    try:
        for _ in range(data.draw(st.integers(1, 4))):
            name = data.draw(st.sampled_from(TABLES))
            header, *rows = small.rows(name)
            small.cell(
                name, data.draw(st.integers(2, len(rows) + 1)), data.draw(st.sampled_from(header)), data.draw(TEXT)
            )
        are_problems(small.problems())
    finally:
        for name, content in kept.items():
            small.write(name, content)


def bytes_of_a_table(small, data):
    kept = small.files()
    try:
        name = data.draw(st.sampled_from(TABLES))
        old = kept[name]
        at = data.draw(st.integers(0, len(old)))
        small.write(name, old[:at] + data.draw(st.binary(max_size=12)) + old[at + data.draw(st.integers(0, 12)) :])
        are_problems(small.problems())
    finally:
        for name, content in kept.items():
            small.write(name, content)


PIECES = st.sampled_from([
    "[", "]", "{", "}", ":", ": ", "- ", "#", "&a ", "*a", "!!int x", "!!float x", "!!bool x",
    "!!binary x", "!!set {a}",
    "!!timestamp x", "!!omap [a: 1]", "!x y", "|", ">", "%YAML 1.1\n---\n", "---\n", "...\n",
    "<<: *a", "<<: {a: 1}", "? ",
    "\t", "\n", "'", '"', "~", "2026-13-45", "0o9", "1e999", ".inf", ".nan", "yes", "null",
    "1:2:3", "\\x", "@", "`", "\u2028",
])  # fmt: skip


def yaml(small, data):
    kept = small.text("review.yaml")
    try:
        text = kept
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(text)))
            text = text[:at] + data.draw(PIECES | TEXT) + text[at + data.draw(st.integers(0, 10)) :]
        small.write("review.yaml", text)
        are_problems(small.problems())
    finally:
        small.write("review.yaml", kept)


@given(st.data())
@QUICK
def test_no_cell_crashes_check(small, data):
    cells(small, data)


@given(st.data())
@QUICK
def test_no_bytes_of_a_table_crash_check(small, data):
    bytes_of_a_table(small, data)


@given(st.data())
@QUICK
def test_no_yaml_crashes_check(small, data):
    yaml(small, data)


@pytest.mark.slow
@given(st.data())
@LONG
def test_no_cell_crashes_check_in_many_tries(small, data):
    cells(small, data)


@pytest.mark.slow
@given(st.data())
@LONG
def test_no_bytes_of_a_table_crash_check_in_many_tries(small, data):
    bytes_of_a_table(small, data)


@pytest.mark.slow
@given(st.data())
@LONG
def test_no_yaml_crashes_check_in_many_tries(small, data):
    yaml(small, data)


@given(st.text(max_size=200))
@settings(QUICK, max_examples=60)
def test_any_text_as_review_file_is_a_problem_or_a_review(small, text):
    small.write("review.yaml", text.encode("utf-8", "replace"))
    are_problems(small.problems())
