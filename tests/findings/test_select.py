"""Choosing rows: every row is used or listed with the reason, and the account must add up."""

from __future__ import annotations

import dataclasses
import random

import pytest

from comfrey import answer
from comfrey.findings.finding import Excluded, Finding, QuestionAnswer
from comfrey.findings.select import first_reason, select
from comfrey.review.spec import Rule


def rule(**given):
    return Rule.model_validate({"id": "a", "column": "setting", "reason": "not so: {value}"} | given)


def reasons(review, table, *rules):
    return {row.row: first_reason(row, rules, review) for row in review.rows(table)}


def test_the_first_rule_that_a_row_fails_gives_the_reason_in_the_words_of_the_vocabulary(small):
    review = small.review()
    found = reasons(review, "prevalence", rule(**{"is": ["community"]}), rule(column="total", at_least=1e9))
    assert found["p6"] == "not so: clinical"
    assert found["p1"] == "not so: 100"


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        ({"is": ["community"]}, {"p6"}),
        ({"is_not": ["community"]}, {"p1", "p2", "p3", "p4", "p5"}),
        ({"column": "total", "at_least": 100}, {"p4", "p6"}),
        ({"column": "total", "at_most": 100}, {"p2", "p3"}),
        ({"column": "flags", "lacks": ["odd"]}, {"p2"}),
        ({"column": "countries", "present": True}, {"p3"}),
        ({"column": "design", "is": ["rct"]}, {"p3", "p4", "p6"}),
    ],
    ids=["is", "is not", "at least", "at most", "lacks a flag", "is present", "a column of the study"],
)
def test_each_kind_of_rule_leaves_out_the_rows_that_fail_it(given, left_out, small):
    small.cell("prevalence.csv", 3, "flags", "odd").cell("prevalence.csv", 4, "countries", "")
    if given.get("column") == "countries":
        given = given | {"column": "proportion"}
        small.cell("prevalence.csv", 4, "proportion", "")
    found = reasons(small.review(), "prevalence", rule(**given))
    assert {name for name, reason in found.items() if reason} == left_out


def test_a_missing_value_says_that_it_is_not_stated(small):
    small.cell("prevalence.csv", 2, "setting", "")
    assert reasons(small.review(), "prevalence", rule(**{"is": ["community"]}))["p1"] == "not so: not stated"


def test_people_count_once_and_the_later_row_names_the_earlier(small):
    review = small.review()
    found = select(review.rows("prevalence"), (), review, scope=lambda _: True, one_per="sample")
    assert [row.row for row in found.included] == ["p1", "p2", "p3", "p4", "p6"]
    assert [(row.row, row.reason) for row in found.excluded] == [("p5", "the same people as in row p1")]


def test_a_row_that_fails_a_rule_does_not_keep_the_same_people_from_counting(small):
    small.cell("prevalence.csv", 2, "setting", "clinical")
    review = small.review()
    found = select(review.rows("prevalence"), [rule(**{"is": ["community"]})], review, scope=lambda _: True,
                   one_per="sample")  # fmt: skip
    assert "p5" in [row.row for row in found.included]


def findings_of(answers):
    return [finding for question in answers.questions for finding in question.findings]


@pytest.mark.parametrize("name", ["nssi", "bcg"])
def test_in_every_finding_rows_in_scope_are_included_or_excluded(name, request):
    for finding in findings_of(request.getfixturevalue(f"{name}_answers")):
        assert finding.rows_included + len(finding.excluded) == finding.rows_in_scope <= finding.rows_read, finding.id
        used = [row for line in finding.studies for row in line.rows]
        assert len(set(used)) == finding.rows_included or finding.role != "main", finding.id
        assert not set(used) & {row.row for row in finding.excluded}, finding.id
        assert len(finding.studies) >= finding.k, finding.id
        assert len({line.study for line in finding.studies}) <= finding.rows_included


@pytest.mark.parametrize("name", ["nssi", "bcg"])
def test_in_every_question_each_row_of_its_tables_is_used_or_listed_with_a_reason(name, request):
    review, answers = request.getfixturevalue(name), request.getfixturevalue(f"{name}_answers")
    specs = {question.id: question for question in review.spec.questions}
    for question in answers.questions:
        spec = specs[question.id]
        tables = [getattr(spec, key, None) for key in ("table", "arms", "contrasts")]
        rows = [row.row for table in tables if table for row in review.rows(table)]
        assert question.rows_read == len(rows) == len(set(rows))
        unused = [row.row for row in question.unused]
        shown = [f for f in question.findings if f.role != "sensitivity"]
        used = {row for finding in shown for line in finding.studies for row in line.rows}
        assert used | set(unused) == set(rows)
        assert not used & set(unused)
        assert len(unused) == len(set(unused))
        assert all(row.reason and row.study in review.studies for row in question.unused)


def test_an_account_that_does_not_add_up_is_an_error(bcg_answers):
    (question,) = bcg_answers.questions
    finding = question.findings[0]
    with pytest.raises(AssertionError, match="25 rows included and 0 excluded, but 26 in scope"):
        dataclasses.replace(finding, rows_included=25)
    with pytest.raises(AssertionError, match="in scope"):
        dataclasses.replace(finding, excluded=(Excluded("x", "y", "z"),))
    with pytest.raises(AssertionError, match="26 rows used and 0 not, of 27 read"):
        dataclasses.replace(question, rows_read=27)
    assert isinstance(finding, Finding)
    assert isinstance(question, QuestionAnswer)


def numbers(answers):
    names = ("k", "n", "pi_low", "pi_high", "tau2", "i2")
    told = {}
    for finding in findings_of(answers):
        result = finding.result
        values = [getattr(finding, name) for name in names]
        values += [result.estimate, result.ci_low, result.ci_high] if result else [None] * 3
        told[finding.id] = [value if value is None else pytest.approx(value, rel=1e-7, abs=1e-9) for value in values]
        told[finding.id, "counts"] = dict(finding.counts)
    return told


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_rows_changes_no_estimate(seed, small):
    before = numbers(small.answers())
    shuffle = random.Random(seed)  # noqa: S311 - an order, not a secret
    for name in ("studies.csv", "forms.csv", "arms.csv", "contrasts.csv", "mechanisms.csv", "prevalence.csv"):
        head, *rows = small.text(name).splitlines()
        shuffle.shuffle(rows)
        small.write(name, "\n".join([head, *rows]) + "\n")
    after = numbers(small.answers())
    assert after == before


def test_the_order_of_trials_changes_no_estimate_of_the_bcg_review(bcg, bcg_answers):
    tables = {name: tuple(reversed(rows)) if name != "treatments" else rows for name, rows in bcg.tables.items()}
    assert numbers(answer(dataclasses.replace(bcg, tables=tables))) == numbers(bcg_answers)
