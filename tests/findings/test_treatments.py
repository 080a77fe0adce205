"""Treatments: from arms to pairs, merged nodes, one time a trial, directions where there is no number."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import comfrey as cf

REFERENCE = Path(__file__).parents[1] / "reference"


def question_of(answers):
    return next(question for question in answers.questions if question.kind == "treatments")


@pytest.fixture
def treatments(small):
    return lambda: question_of(small.answers())


def rows_of(finding):
    return {row for line in finding.studies for row in line.rows}


def reasons(finding):
    return {row.row: row.reason for row in finding.excluded}


DBT = "treatments-dbt-usual_care"


def test_the_arms_of_each_trial_become_one_pair_with_the_treatment_first(treatments):
    finding = treatments().finding(DBT)
    assert finding.label == "DBT skills v Usual care"
    assert [(line.study, line.rows) for line in finding.studies] == [
        ("alpha_2001", ("a1", "a2")),
        ("beta_2002", ("a3", "a4")),
        ("delta_2004", ("a5", "a6")),
    ]
    assert [line.details["events_1"] for line in finding.studies] == [10, 12, 0]
    assert [line.details["total_2"] for line in finding.studies] == [50, 60, 30]
    assert (finding.k, finding.n, finding.rows_included) == (3, 280, 6)


def test_the_pooled_odds_ratio_is_that_of_the_engine_with_one_half_in_the_trial_with_a_zero(treatments):
    finding = treatments().finding(DBT)
    sizes = cf.effect_sizes(
        "OR", events_1=np.array([10, 12, 0.5]), total_1=np.array([50, 60, 31]),
        events_2=np.array([20, 21, 4.5]), total_2=np.array([50, 60, 31]),
    )  # fmt: skip
    read = cf.pool(sizes, method="REML", test="hk").reading
    assert finding.result.estimate == pytest.approx(read.estimate, rel=1e-10)
    assert finding.result.ci_low == pytest.approx(read.ci_low, rel=1e-10)
    assert finding.pi_high == pytest.approx(read.pi_high, rel=1e-10)
    zero = finding.studies[2].result
    assert zero.estimate == pytest.approx((0.5 / 30.5) / (4.5 / 26.5))
    assert math.isfinite(zero.ci_low)
    assert math.isfinite(zero.ci_high)


def test_no_events_in_both_arms_give_a_finite_effect_or_a_reason(small):
    small.cell("arms.csv", 7, "events", "0")
    finding = question_of(small.answers()).finding(DBT)
    line = next(line for line in finding.studies if line.study == "delta_2004")
    assert line.result.estimate == pytest.approx(1.0)
    assert math.isfinite(finding.result.estimate)


def test_names_of_one_control_are_merged_and_the_reason_is_printed(treatments):
    question = treatments()
    assert {finding.group["comparator"] for finding in question.findings if finding.role == "main"} == {"usual_care"}
    assert "Usual care: two names for one thing." in question.notes


def test_two_arms_of_one_merged_node_are_taken_together(small):
    small.add("arms.csv", "a7,alpha_2001,c,euc,relapse,52,40,12,")
    finding = question_of(small.answers()).finding(DBT)
    line = finding.studies[0]
    assert line.rows == ("a1", "a2", "a7")
    assert (line.details["events_2"], line.details["total_2"]) == (32, 90)
    assert finding.rows_included == 7


def test_swapping_the_arms_turns_the_odds_ratio_over(small):
    before = question_of(small.answers()).finding(DBT)
    text = small.text("arms.csv")
    small.write("arms.csv", text.replace(",dbt,", ",X,").replace(",tau,", ",dbt,").replace(",euc,", ",dbt,")
                .replace(",X,", ",tau,"))  # fmt: skip
    after = question_of(small.answers()).finding(DBT)
    assert after.result.estimate == pytest.approx(1 / before.result.estimate, rel=1e-8)
    assert after.result.ci_low == pytest.approx(1 / before.result.ci_high, rel=1e-8)
    assert after.result.ci_high == pytest.approx(1 / before.result.ci_low, rel=1e-8)
    assert after.tau2 == pytest.approx(before.tau2, abs=1e-8)


def test_exchanging_events_and_no_events_turns_the_odds_ratio_over(small):
    before = question_of(small.answers()).finding(DBT)
    for line, row in enumerate(small.rows("arms.csv")[1:], 2):
        small.cell("arms.csv", line, "events", str(int(row[6]) - int(row[7])))
    after = question_of(small.answers()).finding(DBT)
    assert after.result.estimate == pytest.approx(1 / before.result.estimate, rel=1e-8)


def test_of_several_times_the_one_closest_to_the_declared_week_is_used(small):
    small.add("arms.csv", "a7,alpha_2001,a,dbt,relapse,26,50,5,", "a8,alpha_2001,b,tau,relapse,26,50,9,")
    finding = question_of(small.answers()).finding(DBT)
    assert finding.studies[0].rows == ("a1", "a2")
    assert finding.studies[0].details["weeks"] == 52
    why = "another time point of the same trial; the one closest to 52 weeks is used"
    assert reasons(finding) == {"a7": why, "a8": why}


@pytest.mark.parametrize("turned", [False, True], ids=["earlier first", "later first"])
def test_of_two_times_as_close_the_later_one_is_used(turned, small):
    times = ("62", "42") if turned else ("42", "62")
    for line, week in zip((2, 3), (times[0], times[0]), strict=True):
        small.cell("arms.csv", line, "weeks", week)
    small.add(
        "arms.csv", f"a7,alpha_2001,a,dbt,relapse,{times[1]},50,5,", f"a8,alpha_2001,b,tau,relapse,{times[1]},50,9,"
    )
    finding = question_of(small.answers()).finding(DBT)
    assert finding.studies[0].details["weeks"] == 62


def test_a_time_with_both_arms_is_preferred_to_a_closer_one_with_one_arm(small):
    small.cell("arms.csv", 2, "weeks", "26").cell("arms.csv", 3, "weeks", "26")
    small.add("arms.csv", "a7,alpha_2001,a,dbt,relapse,52,50,5,")
    finding = question_of(small.answers()).finding(DBT)
    assert finding.studies[0].rows == ("a1", "a2")


def test_a_time_that_is_not_known_yields_to_one_that_is(small):
    small.cell("arms.csv", 2, "weeks", "").cell("arms.csv", 3, "weeks", "")
    small.add("arms.csv", "a7,alpha_2001,a,dbt,relapse,300,50,5,", "a8,alpha_2001,b,tau,relapse,300,50,9,")
    assert question_of(small.answers()).finding(DBT).studies[0].rows == ("a7", "a8")


def test_a_trial_of_three_arms_enters_each_comparison_once(small):
    small.add("arms.csv", "a7,alpha_2001,c,cbt,relapse,52,50,15,")
    question = question_of(small.answers())
    main = {finding.id: finding for finding in question.findings if finding.role == "main"}
    assert set(main) == {DBT, "treatments-dbt-cbt", "treatments-cbt-usual_care"}
    assert rows_of(main["treatments-dbt-cbt"]) == {"a1", "a7"}
    assert rows_of(main["treatments-cbt-usual_care"]) == {"a2", "a7"}
    assert question.rows_used == 8 + 1


def test_two_controls_are_not_compared_with_each_other(small):
    small.edit("review.yaml", "of: [tau, euc]", "of: [tau]")
    small.add("arms.csv", "a7,gamma_2003,a,tau,relapse,52,40,12,", "a8,gamma_2003,b,euc,relapse,52,40,12,")
    question = question_of(small.answers())
    assert {row.row: row.reason for row in question.unused if row.study == "gamma_2003"} == {
        "a7": "both arms are controls",
        "a8": "both arms are controls",
    }


def test_an_arm_alone_is_listed_with_the_reason(small):
    small.add("arms.csv", "a7,gamma_2003,a,cbt,relapse,52,40,12,")
    question = question_of(small.answers())
    left = {row.row: row.reason for row in question.unused}
    assert left["a7"] == "the trial has no other arm with numbers to compare with"


def test_an_arm_without_events_is_listed_with_the_reason(small):
    small.cell("arms.csv", 2, "events", "")
    question = question_of(small.answers())
    left = {row.row: row.reason for row in question.unused}
    assert left["a1"] == "number with the outcome or number analysed not printed"
    assert left["a2"] == "the trial has no other arm with numbers to compare with"
    assert question.finding(DBT).k == 2


def test_an_outcome_that_no_question_asks_for_is_listed(small):
    small.add("arms.csv", "a7,gamma_2003,a,cbt,dropout,52,40,12,")
    assert {row.row: row.reason for row in question_of(small.answers()).unused}["a7"].startswith("outcome not analysed")


def test_a_sensitivity_analysis_applies_its_rule_in_addition(treatments):
    finding = treatments().finding("treatments-randomised-dbt-usual_care")
    assert {line.study for line in finding.studies} == {"alpha_2001", "beta_2002"}
    assert set(reasons(finding).values()) == {"not randomised"}
    assert "normal" in finding.model  # two trials, as the review declares


def test_one_trial_shows_its_own_effect_with_a_normal_interval(small):
    small.write("arms.csv", "\n".join(small.text("arms.csv").splitlines()[:3]) + "\n")
    finding = question_of(small.answers()).finding(DBT)
    ratio = (10 / 40) / (20 / 30)
    half = 1.959963984540054 * math.sqrt(1 / 10 + 1 / 40 + 1 / 20 + 1 / 30)
    assert finding.k == 1
    assert finding.result.estimate == pytest.approx(ratio)
    assert finding.result.ci_low == pytest.approx(ratio * math.exp(-half))
    assert finding.result.ci_high == pytest.approx(ratio * math.exp(half))
    assert finding.reasons["tau2"] == "one study: nothing to pool"


def test_directions_are_counted_once_a_trial_and_only_against_a_comparator(treatments):
    question = treatments()
    dbt = question.finding("treatments-direction-frequency-dbt")
    assert dbt.counts == {"favours_treatment": 1, "no_clear_difference": 1, "favours_comparator": 0, "not_reported": 0}
    assert (dbt.k, dbt.result) == (2, None)
    assert reasons(dbt) == {"c3": "no comparison group"}
    cbt = question.finding("treatments-direction-frequency-cbt")
    assert (cbt.k, reasons(cbt)) == (0, {"c4": "something odd"})


def test_of_several_reports_of_a_trial_the_told_and_closest_one_gives_its_direction(small):
    small.add("contrasts.csv", "c5,alpha_2001,dbt,tau,frequency,26,none,,,,favours_comparator,",
              "c6,beta_2002,dbt,euc,frequency,52,none,,,,not_reported,")  # fmt: skip
    dbt = question_of(small.answers()).finding("treatments-direction-frequency-dbt")
    assert rows_of(dbt) == {"c1", "c2"}
    assert reasons(dbt)["c5"] == "the same trial as in row c1"


def test_the_bcg_review_gives_the_published_reml_results(bcg_answers):
    # metafor: rma(yi, vi, method="REML", test="knha") on the log risk ratios of dat.bcg
    (finding,) = [f for f in question_of(bcg_answers).findings if f.role == "main"]
    assert finding.k == 13
    assert finding.tau2 == pytest.approx(0.313243258136, rel=1e-6)
    assert math.log(finding.result.estimate) == pytest.approx(-0.714532342158, rel=1e-6)
    assert math.log(finding.result.ci_low) == pytest.approx(-1.108444, abs=1e-6)
    assert math.log(finding.result.ci_high) == pytest.approx(-0.320621, abs=1e-6)
    assert finding.scale == "risk ratio"
    assert sum(line.weight for line in finding.studies) == pytest.approx(100)


def test_the_bcg_review_holds_the_published_counts(bcg):
    data = json.loads((REFERENCE / "escalc_2x2_bcg.json").read_text(encoding="utf-8"))["data"]
    rows = {(row.study, row.treatment): row for row in bcg.rows("arms")}
    studies = dict.fromkeys(study for study, _ in rows)
    got = [
        (vaccine.events, vaccine.total - vaccine.events, control.events, control.total - control.events)
        for vaccine, control in ((rows[study, "bcg"], rows[study, "no_vaccine"]) for study in studies)
    ]
    expected = list(zip(*(data[name] for name in ("ai", "bi", "ci", "di")), strict=True))
    assert sorted(got) == sorted(expected)


def test_randomised_trials_of_the_review_are_randomised(nssi, nssi_answers):
    for finding in question_of(nssi_answers).findings:
        if finding.role == "main":
            assert {nssi.studies[line.study].design for line in finding.studies} <= {"rct", "cluster_rct"}
            assert len({line.study for line in finding.studies}) == finding.k
            for line in finding.studies:
                told = line.details
                assert 0 <= told["events_1"] <= told["total_1"]
                assert 0 <= told["events_2"] <= told["total_2"]
                assert line.n == told["total_1"] + told["total_2"]
