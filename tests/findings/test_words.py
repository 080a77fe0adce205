"""Numbers and sentences in one voice."""

from __future__ import annotations

import re

import pytest

from comfrey.findings import words
from comfrey.findings.finding import Interval


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (17.25, "percent", "17.2%"),
        (0.0, "percent", "0.0%"),
        (100.0, "percent", "100.0%"),
        (0.494, "odds ratio", "0.49"),
        (9.999, "odds ratio", "10.00"),
        (10.4, "risk ratio", "10"),
        (123.4, "odds ratio", "120"),
        (12345.0, "odds ratio", "12,000"),
        (0.0999, "odds ratio", "0.10"),
        (0.0123, "odds ratio", "0.012"),
        (-0.004, "standardised mean difference", "0.00"),
        (-0.52, "standardised mean difference", "-0.52"),
        (0.0004, "risk difference", "0.00"),
    ],
)
def test_numbers_are_written_as_their_scale_asks(value, scale, text):
    assert words.number(value, scale) == text


def test_intervals_say_to_and_never_use_a_dash():
    text = words.with_intervals(Interval(-0.5, -1.1, 0.1), "standardised mean difference", -2.0, 1.0)
    assert text == "-0.50 (95% CI -1.10 to 0.10; 95% PI -2.00 to 1.00)"
    assert not re.search(r"\d[-\u2013]\d", text)


def test_an_estimate_without_interval_stands_alone():
    assert words.with_intervals(Interval(0.5), "odds ratio") == "0.50"


@pytest.mark.parametrize(("value", "text"), [(0, "no"), (1, "one"), (9, "nine"), (10, "10"), (1234, "1,234")])
def test_small_counts_are_spelt(value, text):
    assert words.spell(value) == text


def test_no_statement_of_a_shipped_review_has_a_gap_or_a_double_stop(nssi_answers, bcg_answers):
    for answers in (nssi_answers, bcg_answers):
        for question in answers.questions:
            for text in (question.headline, *(finding.statement for finding in question.findings)):
                assert text[:1].isupper() or text[:1].isdigit() or text.startswith("rTMS"), text
                assert text.endswith((".", ")"))
                for bad in ("  ", "..", " .", " ,", "None", "nan", "{", "}", "_", "()", ".)"):
                    assert bad not in text, text
                assert not re.search(r"\b1 (studies|trials|people|results)\b", text), text
