"""The treatment table: every printed claim beside what the trials show, and verdicts by the stated rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from comfrey.findings.claims import _verdict
from comfrey.findings.finding import Interval
from comfrey.review.spec import Treatments


@dataclass(frozen=True)
class Effect:
    result: Interval | None
    role: str = "main"


@dataclass(frozen=True)
class Told:
    counts: dict = field(default_factory=dict)

    @property
    def k(self):
        return sum(self.counts.values())


def asked(**given):
    content = {"id": "t", "kind": "treatments", "title": "T", "arms": "a", "treatments": "t", "outcome": "o",
               "outcome_label": "o"}  # fmt: skip
    return Treatments.model_validate(content | given)


BETTER, NONE, WORSE = Interval(0.5, 0.3, 0.9), Interval(0.9, 0.5, 1.5), Interval(2.0, 1.2, 3.0)
TOUCHING, BARE = Interval(0.7, 0.5, 1.0), Interval(0.5)


@pytest.mark.parametrize(
    ("results", "given", "begins"),
    [
        ([BETTER], {}, "Supported in part: one of 1 comparison "),
        ([BETTER, NONE], {}, "Supported in part: one of 2 comparisons"),
        ([BETTER, WORSE], {}, "Contradicted in part"),
        ([WORSE], {}, "Contradicted in part"),
        ([NONE], {}, "Not confirmed: the interval here includes no difference"),
        ([NONE, TOUCHING], {}, "Not confirmed: every interval here"),
        ([TOUCHING], {}, "Not confirmed"),
        ([BETTER], {"better": "higher"}, "Contradicted in part"),
        ([WORSE], {"better": "higher"}, "Supported in part"),
        ([Interval(-0.2, -0.3, -0.1)], {"measure": "RD"}, "Supported in part"),
        ([Interval(-0.2, -0.3, 0.1)], {"measure": "RD"}, "Not confirmed"),
    ],
)
def test_the_verdict_says_where_the_intervals_lie(results, given, begins):
    assert _verdict([Effect(result) for result in results], [], asked(**given)).startswith(begins)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"favours_treatment": 1}, "the only trial whose result could be read favours it"),
        ({"no_clear_difference": 1}, "the only trial whose result could be read does not favour it"),
        ({"favours_treatment": 2, "favours_comparator": 1}, "two of 3 trials whose result could be read favour it"),
        ({"favours_treatment": 1, "no_clear_difference": 1}, "one of 2 trials whose result could be read favours it"),
        ({"no_clear_difference": 2}, "none of 2 trials whose result could be read favours it"),
        ({"favours_treatment": 1, "not_reported": 3}, "the only trial whose result could be read favours it"),
        ({"not_reported": 2}, "no result could be read"),
    ],
)
def test_where_there_are_directions_only_the_verdict_counts_them(counts, words):
    verdict = _verdict([], [Told(counts)], asked())
    assert words in verdict
    assert verdict.startswith("Cannot be")


def test_without_any_trial_the_verdict_says_that_it_cannot_be_checked():
    assert _verdict([], [], asked()).startswith("Cannot be checked: no controlled trial")


def test_an_effect_without_interval_supports_nothing():
    assert "Supported" not in _verdict([Effect(BARE)], [], asked())
    assert "Supported" not in _verdict([Effect(None)], [], asked())


def test_every_claim_is_a_row_with_all_of_its_parts(small):
    rows = small.answers().treatments
    assert [row.claim for row in rows] == ["k1", "k2", "k3"]
    dbt, cbt, drug = rows
    assert dbt.findings == ("treatments-dbt-usual_care", "treatments-direction-frequency-dbt")
    assert (dbt.trials, dbt.untried) == (3, None)
    assert (cbt.trials, drug.trials) == (0, 0)
    assert cbt.shows == "No controlled trial with an outcome of self-injury was found for cognitive therapy."
    assert [rule["rule"] for rule in drug.precautions] == ["q2", "q1"]  # the gravest first
    assert dbt.precautions == ()


def test_rows_stand_in_the_printed_order_whatever_the_order_of_the_table(small):
    head, *rows = small.text("claims.csv").splitlines()
    small.write("claims.csv", "\n".join([head, *reversed(rows)]) + "\n")
    assert [row.claim for row in small.answers().treatments] == ["k1", "k2", "k3"]


def test_the_precautions_of_the_parts_of_a_combination_are_shown_too(small):
    small.add("treatments.csv", "dbt_drug,DBT with the drug,Both,dbt + drug,active")
    small.cell("claims.csv", 2, "treatments", "dbt_drug")
    assert [rule["rule"] for rule in small.answers().treatments[0].precautions] == ["q2", "q1"]


def test_the_eight_printed_rows_are_all_there_with_every_part(nssi_answers):
    rows = nssi_answers.treatments
    assert len(rows) == 8
    for row in rows:
        assert row.mechanism
        assert row.shows
        assert row.verdict.endswith(".")
        assert row.certainty == "not yet assessed"
        assert row.precautions, row.claim
        assert row.printed_effect
        assert (row.trials == 0) <= ("no controlled trial" in row.shows.lower()), row.claim
        assert bool(row.trials) == bool(row.findings), row.claim
    known = {finding.id for question in nssi_answers.questions for finding in question.findings}
    assert {name for row in rows for name in row.findings} <= known


def test_no_verdict_speaks_of_support_without_an_interval_on_that_side(nssi_answers):
    found = {f.id: f for question in nssi_answers.questions for f in question.findings}
    for row in nssi_answers.treatments:
        effects = [found[name] for name in row.findings if found[name].role == "main"]
        better = [f for f in effects if f.result and f.result.ci_high is not None and f.result.ci_high < 1]
        assert row.verdict.startswith("Supported") <= bool(better), row.claim


def test_no_verdict_or_statement_says_proven_effective_or_safe(nssi_answers):
    for row in nssi_answers.treatments:
        text = f"{row.verdict} {row.shows}".lower()
        assert not [word for word in ("proven", "effective", "safe ", "cure", "!") if word in text], row.claim
