"""Mechanisms and signatures: counts of directions, and pools where studies print effects in one form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import comfrey as cf
from comfrey.findings.associations import _form, _standardised
from comfrey.review.rows import Association

HEAD = (
    "row,study,topic,comparator,total_cases,total_controls,measure,estimate,se,variance,ci_low,ci_high,"
    "mean_cases,sd_cases,mean_controls,sd_controls,direction,level,flags,population,derivation,source"
)


def row(**cells):
    return Association.model_construct(line=2, more={}, row="m", study="s", topic="t", direction="lower", **cells)


def question_of(small):
    return small.answers().questions[3]


def write(small, *lines):
    small.write("mechanisms.csv", "\n".join([HEAD, *(f"{line},,," for line in lines)]) + "\n")
    return small


def hedges(t, n_1, n_2):
    """Hedges 1981: d = t sqrt(1/n1 + 1/n2), g = J d with the exact J; var g = 1/n1 + 1/n2 + g^2 / 2(n1 + n2)."""
    m = n_1 + n_2 - 2
    j = math.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / math.sqrt(m / 2)
    g = j * t * math.sqrt(1 / n_1 + 1 / n_2)
    return g, 1 / n_1 + 1 / n_2 + g**2 / (2 * (n_1 + n_2))


@pytest.mark.parametrize(("t", "n_1", "n_2"), [(-2.1, 30, 31), (0.0, 10, 12), (4.5, 8, 50), (-0.3, 2, 2)])
def test_a_t_statistic_gives_the_published_standardised_difference(t, n_1, n_2):
    effects = _standardised([row(measure="t", estimate=t, total_cases=n_1, total_controls=n_2)])
    g, variance = hedges(t, n_1, n_2)
    assert effects.yi[0] == pytest.approx(g, rel=1e-12, abs=1e-15)
    assert effects.vi[0] == pytest.approx(variance, rel=1e-12)


def test_means_of_two_groups_and_their_t_give_the_same_standardised_difference():
    n_1, n_2, sd = 20, 25, 3.0
    t = (10 - 12) / (sd * math.sqrt(1 / n_1 + 1 / n_2))
    moments = row(mean_cases=10.0, sd_cases=sd, mean_controls=12.0, sd_controls=sd, total_cases=n_1, total_controls=n_2)
    both = _standardised([moments, row(measure="t", estimate=t, total_cases=n_1, total_controls=n_2)])
    assert both.yi[0] == pytest.approx(both.yi[1], rel=1e-12)
    assert both.vi[0] == pytest.approx(both.vi[1], rel=1e-12)


def test_a_printed_difference_is_taken_with_its_interval_its_error_or_its_variance():
    z = 1.959963984540054
    effects = _standardised([
        row(measure="SMD", estimate=-0.5, ci_low=-0.5 - 0.3 * z, ci_high=-0.5 + 0.3 * z),
        row(measure="SMD", estimate=-0.5, se=0.3),
        row(measure="SMD", estimate=-0.5, variance=0.09),
    ])  # fmt: skip
    assert effects.yi == pytest.approx([-0.5] * 3)
    assert effects.vi == pytest.approx([0.09] * 3)


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        ({"measure": "SMD", "estimate": 0.4, "ci_low": 0.1, "ci_high": 0.7}, "SMD"),
        ({"measure": "SMD", "estimate": 0.4, "ci_low": 0.1}, None),
        ({"measure": "SMD", "estimate": 0.4, "se": 0.1}, "SMD"),
        ({"measure": "SMD", "estimate": 0.4, "variance": 0.1}, "SMD"),
        ({"measure": "SMD", "estimate": 0.4}, None),
        ({"measure": "t", "estimate": 2.0, "total_cases": 9, "total_controls": 9}, "SMD"),
        ({"measure": "t", "estimate": 2.0, "total_cases": 9}, None),
        ({"measure": "t", "estimate": 2.0, "total_cases": 9, "total_controls": 0}, None),
        ({"measure": "t", "estimate": 2.0, "total_cases": 9, "total_controls": 9, "mean_cases": 1.0}, "SMD"),
        ({"measure": "proportion", "estimate": 0.2, "total_cases": 50}, "PLO"),
        ({"measure": "proportion", "estimate": 0.2}, None),
        ({"measure": "r", "estimate": 0.2, "total_cases": 50}, "ZCOR"),
        ({"measure": "r", "estimate": 1.0, "total_cases": 50}, None),
        ({"measure": "r", "estimate": 0.2, "total_cases": 3}, None),
        ({"measure": "OR", "estimate": 2.0, "ci_low": 1.0, "ci_high": 4.0}, "OR"),
        ({"measure": "OR", "estimate": 2.0, "se": 0.2}, None),
        ({"measure": "beta", "estimate": 0.2, "se": 0.1}, None),
        ({"measure": "none"}, None),
        ({"measure": "SMD", "estimate": 0.4, "se": 0.1, "flags": ("sign_inconsistent",)}, None),
        ({"measure": "SMD", "estimate": 0.4, "se": 0.1, "flags": ("not_poolable_as_printed",)}, None),
    ],
)
def test_an_effect_is_pooled_only_in_a_form_that_has_its_error(cells, form):
    assert _form(row(**cells)) == form
    if form == "SMD":
        assert np.all(np.isfinite(_standardised([row(**cells)]).vi))


def test_effects_in_one_form_are_pooled_and_the_directions_counted_beside(small):
    question = question_of(small)
    told, pooled = question.finding("mechanisms-cortisol"), question.finding("mechanisms-cortisol-smd-healthy")
    assert (told.k, told.counts["lower"]) == (2, 2)
    assert told.reasons["estimate"].startswith("pooled apart")
    g, variance = hedges(-2.1, 30, 31)
    printed = ((0.1 + 1.1) / (2 * 1.959963984540054)) ** 2
    read = cf.pool(np.array([-0.5, g]), np.array([printed, variance]), method="REML", test="hk")
    assert pooled.result.estimate == pytest.approx(read.estimate, rel=1e-10)
    assert pooled.result.ci_low == pytest.approx(read.ci_low, rel=1e-10)
    assert (pooled.k, pooled.n) == (2, 103)


def test_two_studies_get_the_interval_that_the_review_declares(small):
    wide = question_of(small).finding("mechanisms-cortisol-smd-healthy")
    small.edit("review.yaml", "    pool_within: [comparator]", "    pool_within: [comparator]\n    two_studies: normal")
    narrow = question_of(small).finding("mechanisms-cortisol-smd-healthy")
    assert "normal interval" in narrow.model
    assert narrow.result.estimate == pytest.approx(wide.result.estimate)
    assert narrow.result != wide.result


def test_published_meta_analyses_are_quoted_and_never_counted_or_pooled(small):
    question = question_of(small)
    for finding in question.findings:
        assert "m3" not in {name for line in finding.studies for name in line.rows}
    assert [line["rows"] for line in question.extras["published"]["cortisol"]] == [["m3"]]
    assert "quoted, not counted" in {row.row: row.reason for row in question.unused}["m3"]


def test_another_comparison_is_never_pooled_with_the_first(small):
    small.cell("mechanisms.csv", 3, "comparator", "clinical")
    question = question_of(small)
    assert [finding.role for finding in question.findings] == ["direction"] * 3
    assert "no 2 studies of them agree in form and comparison" in question.findings[0].reasons["estimate"]


def test_several_results_of_one_study_count_as_one_direction(small):
    write(
        small,
        "m1,alpha_2001,pain,healthy,20,22,none,,,,,,,,,,higher,primary,",
        "m2,alpha_2001,pain,healthy,20,22,none,,,,,,,,,,lower,primary,",
        "m3,beta_2002,pain,healthy,20,22,none,,,,,,,,,,higher,primary,",
        "m4,beta_2002,pain,healthy,20,22,none,,,,,,,,,,not_reported,primary,",
        "m5,gamma_2003,pain,healthy,20,22,none,,,,,,,,,,not_reported,primary,",
    )
    finding = question_of(small).finding("mechanisms-pain")
    assert (finding.k, finding.rows_included) == (3, 5)
    assert finding.counts == {"higher": 1, "lower": 0, "no_difference": 0, "mixed": 1, "not_reported": 1}


def test_shares_of_people_are_pooled_on_the_logit_scale_and_read_in_percent(small):
    write(
        small,
        "m1,alpha_2001,habit,none,50,,proportion,0.2,,,,,,,,,not_reported,primary,",
        "m2,beta_2002,habit,none,80,,proportion,0.3,,,,,,,,,not_reported,primary,",
        "m3,gamma_2003,habit,none,90,,proportion,0.5,,,,,,,,,not_reported,primary,",
    )
    question = question_of(small)
    (pooled,) = [finding for finding in question.findings if finding.group["topic"] == "habit"]
    sizes = cf.effect_sizes("PLO", cases=np.array([10, 24, 45]), total=np.array([50, 80, 90]))
    read = cf.pool(sizes, method="REML", test="hk").reading
    assert (pooled.scale, pooled.k, pooled.n) == ("percent", 3, 220)
    assert pooled.result.estimate == pytest.approx(100 * float(read.estimate), rel=1e-10)
    assert pooled.pi_high == pytest.approx(100 * float(read.pi_high), rel=1e-10)


def test_a_second_effect_of_a_study_is_not_pooled_again(small):
    write(
        small,
        "m1,alpha_2001,pain,healthy,20,22,t,2.0,,,,,,,,,higher,primary,",
        "m2,alpha_2001,pain,healthy,20,22,t,3.0,,,,,,,,,higher,primary,",
        "m3,beta_2002,pain,healthy,20,22,t,1.0,,,,,,,,,higher,primary,",
    )
    finding = question_of(small).finding("mechanisms-pain-smd-healthy")
    assert [line.rows for line in finding.studies] == [("m1",), ("m3",)]
    assert ("m2", "the same people as in row m1") in [(row.row, row.reason) for row in finding.excluded]


def test_a_topic_that_is_not_asked_for_is_listed(small):
    small.cell("mechanisms.csv", 5, "topic", "thyroid")
    assert {row.row: row.reason for row in question_of(small).unused}["m4"] == "topic not analysed: thyroid"


def test_the_counts_of_each_topic_add_up_to_its_studies(nssi_answers):
    for question in nssi_answers.questions:
        for finding in question.findings:
            if finding.role == "direction":
                assert sum(finding.counts.values()) == finding.k, finding.id
                assert finding.result is None


def test_no_meta_analysis_is_among_the_counted_studies(nssi, nssi_answers):
    level = {row.row: row.level for table in ("mechanisms", "signatures") for row in nssi.rows(table)}
    for question in nssi_answers.questions:
        if question.kind in {"mechanisms", "signatures"}:
            names = {name for f in question.findings for line in f.studies for name in line.rows}
            assert {level[name] for name in names} <= {"primary"}
            assert question.extras["counterpart"] or question.kind == "signatures"


def test_the_pool_of_the_shipped_review_is_that_of_its_rows(nssi, nssi_answers):
    rows = {row.row: row for row in nssi.rows("mechanisms")}
    pools = [f for question in nssi_answers.questions for f in question.findings
             if f.role == "main" and question.kind == "mechanisms"]  # fmt: skip
    assert pools
    for finding in pools:
        assert finding.measure == "PLO"
        used = [rows[line.rows[0]] for line in finding.studies]
        cases = np.rint([row.estimate * row.total_cases for row in used])
        sizes = cf.effect_sizes("PLO", cases=cases, total=np.array([row.total_cases for row in used]))
        assert finding.result.estimate == pytest.approx(100 * float(cf.pool(sizes).reading.estimate), rel=1e-9)
