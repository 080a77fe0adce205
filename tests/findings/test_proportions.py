"""Prevalence and distribution: groups, splits, people counted once, one study and none, other models beside."""

from __future__ import annotations

import numpy as np
import pytest

import comfrey as cf
from comfrey.effects.wilson import wilson_interval


@pytest.fixture
def prevalence(small):
    return lambda: small.answers().questions[0]


def rows_of(finding):
    return {row for line in finding.studies for row in line.rows}


def test_a_group_with_several_studies_is_pooled_in_one_stage(prevalence):
    finding = prevalence().finding("prevalence-north-lifetime")
    fit = cf.count_model("PLO", cases=np.array([20, 30, 75]), total=np.array([100, 200, 300]), test="t")
    shown = fit.back_transformed()
    assert (finding.k, finding.n, rows_of(finding)) == (3, 600, {"p1", "p2", "p3"})
    for name in ("estimate", "ci_low", "ci_high"):
        assert getattr(finding.result, name) == pytest.approx(100 * float(shown[name]), rel=1e-12)
    assert finding.pi_low == pytest.approx(100 * float(shown["pi_low"]), rel=1e-12)
    assert finding.pi_high == pytest.approx(100 * float(shown["pi_high"]), rel=1e-12)
    assert finding.tau2 == pytest.approx(fit.tau2, rel=1e-12)
    assert finding.scale == "percent"
    assert "one stage" in finding.model
    assert finding.pi_low < finding.result.ci_low < finding.result.estimate < finding.result.ci_high < finding.pi_high


def test_a_group_with_one_study_shows_that_study_with_wilsons_interval(prevalence):
    finding = prevalence().finding("prevalence-south-lifetime")
    low, high = wilson_interval(10, 50)
    assert finding.k == 1
    assert finding.result.estimate == pytest.approx(20.0)
    assert (finding.result.ci_low, finding.result.ci_high) == pytest.approx((100 * float(low), 100 * float(high)))
    assert finding.result == finding.studies[0].result
    assert (finding.pi_low, finding.tau2, finding.i2) == (None, None, None)
    assert finding.reasons["pi_low"] == "one study: nothing to pool"
    assert "Wilson" in finding.model


def test_a_group_without_a_study_says_so_and_gives_no_number(prevalence):
    finding = prevalence().finding("prevalence-west-lifetime")
    assert (finding.k, finding.n, finding.result) == (0, 0, None)
    assert set(finding.reasons.values()) == {"no eligible study"}
    assert finding.statement.startswith("No eligible study was found")


def test_two_studies_get_the_interval_that_the_review_declares_and_no_prediction(small):
    small.edit("prevalence.csv", "p3,gamma_2003,s3,DNK,north,lifetime", "p3,gamma_2003,s3,DNK,north,other")
    finding = small.answers().questions[0].finding("prevalence-north-lifetime")
    assert (finding.k, finding.pi_low, finding.pi_high) == (2, None, None)
    assert finding.reasons["pi_low"].startswith("fewer than three studies")
    assert "normal interval" in finding.model
    small.edit("review.yaml", "    two_studies: normal\n    sentence", "    sentence")
    wide = small.answers().questions[0].finding("prevalence-north-lifetime")
    assert "t interval" in wide.model
    assert wide.result.estimate == pytest.approx(finding.result.estimate)
    assert wide.result.ci_high - wide.result.ci_low > finding.result.ci_high - finding.result.ci_low


def test_fewer_studies_than_the_review_pools_are_listed_and_not_pooled(small):
    small.edit("review.yaml", "    overall: World", "    overall: World\n    min_studies: 4")
    finding = small.answers().questions[0].finding("prevalence-north-lifetime")
    assert (finding.k, finding.result, len(finding.studies)) == (3, None, 3)
    assert finding.reasons["estimate"] == "3 studies; this review pools 4 or more"


def test_lifetime_and_12_months_are_never_mixed_in_a_main_analysis(nssi, nssi_answers):
    recall = {row.row: row.value("recall") for row in nssi.rows("prevalence")}
    for finding in nssi_answers.questions[0].findings:
        found = {recall[row] for row in rows_of(finding)}
        if "recall" in finding.group:
            assert found <= {finding.group["recall"]}, finding.id
        else:
            assert finding.role == "sensitivity"


def test_main_analyses_hold_community_samples_with_any_nssi_of_one_region_only(nssi, nssi_answers):
    rows = {row.row: row for row in nssi.rows("prevalence")}
    for finding in nssi_answers.questions[0].findings:
        if finding.role == "main":
            for name in rows_of(finding):
                row = rows[name]
                assert (row.value("setting"), row.value("definition")) == ("community", "any_nssi")
                assert row.value("region") == finding.group.get("region", row.value("region"))
                assert 0 <= row.cases <= row.total


def test_no_people_count_twice_in_one_analysis(nssi, nssi_answers):
    rows = {row.row: row for table in ("prevalence", "forms") for row in nssi.rows(table)}
    for question in nssi_answers.questions[:2]:
        for finding in question.findings:
            samples = [rows[name].sample for name in rows_of(finding) if rows[name].sample]
            assert len(samples) == len(set(samples)), finding.id


def test_every_region_is_shown_in_the_declared_order_whatever_it_holds(nssi, nssi_answers):
    question = nssi.spec.questions[0]
    for split in question.splits:
        shown = [f for f in nssi_answers.questions[0].findings if f.role == "main" and f.group["recall"] == split]
        assert [finding.group.get("region") for finding in shown] == [*question.order, None]
        assert shown[-1].k == sum(finding.k for finding in shown[:-1])


def test_the_same_people_are_taken_once_where_recall_periods_are_merged(prevalence):
    finding = prevalence().finding("prevalence-any-recall-north")
    assert rows_of(finding) == {"p1", "p2", "p3"}
    assert ("p5", "the same people as in row p1") in [(row.row, row.reason) for row in finding.excluded]


def test_a_sensitivity_analysis_leaves_out_the_rule_that_it_names(prevalence):
    question = prevalence()
    assert "p6" in rows_of(question.finding("prevalence-clinical-north-lifetime"))
    main = question.finding("prevalence-north-lifetime")
    assert ("p6", "not a community sample") in [(row.row, row.reason) for row in main.excluded]


def test_a_sensitivity_analysis_may_use_another_scale(prevalence):
    finding = prevalence().finding("prevalence-freeman-tukey-north-lifetime")
    sizes = cf.effect_sizes("PFT", cases=np.array([20, 30, 75]), total=np.array([100, 200, 300]))
    read = cf.pool(sizes, method="REML", test="hk").reading
    assert finding.result.estimate == pytest.approx(100 * float(read.estimate), rel=1e-12)
    assert finding.role == "sensitivity"
    assert sum(line.weight for line in finding.studies) == pytest.approx(100)


def test_a_sensitivity_analysis_may_go_by_any_column_and_loses_no_row(small):
    small.edit("review.yaml", "merge_splits: true}", "merge_splits: true, by: total}")
    question = small.answers().questions[0]
    by_total = {f.group["total"]: rows_of(f) for f in question.findings if f.id.startswith("prevalence-any-recall")}
    assert by_total == {"100": {"p1"}, "200": {"p2"}, "300": {"p3"}, "50": {"p4"}, "40": set()}


def test_each_declared_sensitivity_analysis_is_there(nssi, nssi_answers):
    for spec in nssi.spec.questions:
        answered = next(question for question in nssi_answers.questions if question.id == spec.id)
        for sensitivity in getattr(spec, "sensitivity", ()):
            named = [f for f in answered.findings if f.id.startswith(f"{spec.id}-{sensitivity.id}-")]
            assert named, sensitivity.id
            assert all(finding.role == "sensitivity" for finding in named)


def test_rows_without_cases_or_total_are_listed_and_never_pooled(small):
    small.cell("prevalence.csv", 3, "cases", "")
    question = small.answers().questions[0]
    finding = question.finding("prevalence-north-lifetime")
    assert rows_of(finding) == {"p1", "p3"}
    assert ("p2", "number of cases or of people not printed") in [(row.row, row.reason) for row in finding.excluded]
    assert "p2" in [row.row for row in question.unused]


@pytest.mark.parametrize(("cases", "share"), [("0", 0), ("50", 100)], ids=["nobody", "everybody"])
def test_nobody_and_everybody_keep_the_estimate_within_the_scale(cases, share, small):
    small.cell("prevalence.csv", 5, "cases", cases).cell("prevalence.csv", 5, "proportion", "")
    question = small.answers().questions[0]
    alone = question.finding("prevalence-south-lifetime").result
    assert 0 <= alone.ci_low <= alone.estimate <= alone.ci_high <= 100
    assert alone.estimate == share
    assert share in {alone.ci_low, alone.ci_high}
    overall = question.finding("prevalence-all-lifetime").result
    assert 0 < overall.ci_low < overall.estimate < overall.ci_high < 100


def test_categories_are_at_most_eight_and_each_is_pooled_apart(nssi, nssi_answers):
    forms = next(question for question in nssi_answers.questions if question.kind == "distribution")
    categories = {finding.group["category"] for finding in forms.findings if "category" in finding.group}
    assert len(categories) <= 8
    rows = {row.row: row for row in nssi.rows("forms")}
    for finding in forms.findings:
        if finding.role == "main":
            about = [(rows[name].value("category"), rows[name].value("denominator")) for name in rows_of(finding)]
            assert set(about) <= {(finding.group["category"], finding.group["denominator"])}


def test_the_answer_on_forms_names_no_form(nssi, nssi_answers):
    forms = next(question for question in nssi_answers.questions if question.kind == "distribution")
    assert not [word for word in nssi.spec.vocabularies["form"] if word in forms.headline.lower()]


def test_the_statement_holds_the_numbers_of_the_finding(nssi_answers):
    for question in nssi_answers.questions[:2]:
        for finding in question.findings:
            if finding.result is not None:
                assert f"{finding.result.estimate:.1f}%" in finding.statement
                assert f"95% CI {finding.result.ci_low:.1f} to {finding.result.ci_high:.1f}" in finding.statement
                assert (f"95% PI {finding.pi_low:.1f}" in finding.statement) if finding.pi_low is not None else True
                assert f"{finding.n:,} people" in finding.statement
