"""Small drawings in the text, links of sources, and words of a review that are never taken for markup."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from comfrey import build_review
from comfrey.findings.finding import Finding, Interval
from comfrey.site.marks import cell_forest, interval_bar
from comfrey.site.page import source_links


def finding(result, *, scale="percent", pi=(None, None), k=3, label="A & B"):
    return Finding(
        id="f", label=label, role="main", group={}, measure="PLO", scale=scale, model="m", k=k, n=9,
        result=Interval(*result) if result else None, statement="s", studies=(), excluded=(), rows_read=0,
        rows_in_scope=0, rows_included=0, pi_low=pi[0], pi_high=pi[1],
    )  # fmt: skip


def line(svg, kind):
    return [tuple(map(float, pair)) for pair in re.findall(rf'class="{kind}" x1="([\d.]+)" x2="([\d.]+)"', svg)]


def test_the_bar_of_a_card_lies_at_its_numbers_on_an_axis_from_0_to_100():
    svg = interval_bar(finding((25.0, 10.0, 50.0), pi=(0.0, 100.0)), width=228)  # 200 units between the ends
    assert line(svg, "ci") == [(34.0, 114.0)]
    assert line(svg, "pi") == [(14.0, 214.0)]
    assert re.search(r'class="dot" cx="64.0"', svg)
    assert 'aria-label="A &amp; B: 25.0% (95% CI 10.0 to 50.0; 95% PI 0.0 to 100.0)"' in svg


def test_ratios_lie_on_a_logarithmic_axis_with_no_difference_in_the_middle():
    svg = cell_forest([finding((1.0, 0.1, 10.0), scale="odds ratio")], ["v x"], width=228)
    assert re.search(r'class="dot" cx="114.0"', svg)
    assert line(svg, "ci") == [(14.0, 214.0)]
    assert re.search(r'class="null" x1="114.0"', svg)
    assert "arrow" not in svg


@pytest.mark.parametrize(("result", "arrows"), [((1.0, 0.01, 2.0), 1), ((1.0, 0.01, 200.0), 2), ((1.0, 0.5, 2.0), 0)])
def test_an_interval_that_leaves_the_axis_ends_in_arrows(result, arrows):
    svg = cell_forest([finding(result, scale="odds ratio")], ["v x"])
    assert svg.count('class="arrow"') == arrows


def test_one_study_is_a_diamond_and_a_finding_without_a_number_draws_nothing():
    assert "rotate(45" in interval_bar(finding((25.0, 10.0, 50.0), k=1))
    assert interval_bar(finding(None)) == ""
    assert cell_forest([finding(None)], ["x"]) == ""


@pytest.mark.parametrize(
    ("source", "links"),
    [
        ("doi:10.1000/x", [("doi:10.1000/x", "https://doi.org/10.1000/x")]),
        ("pmid:123", [("pmid:123", "https://pubmed.ncbi.nlm.nih.gov/123/")]),
        ("pmcid:PMC1", [("pmcid:PMC1", "https://pmc.ncbi.nlm.nih.gov/articles/PMC1/")]),
        ("registry:NCT01", [("NCT01", "https://clinicaltrials.gov/study/NCT01")]),
        ("registry:ISRCTN01", [("ISRCTN01", "https://www.isrctn.com/ISRCTN01")]),
        ("registry:ACTRN01", [("ACTRN01", None)]),
        ("ref:A. J 1;2 ; label:L", [("A. J 1;2", None), ("L", None)]),
        ("isbn:123", [("isbn:123", None)]),
        ("", []),
        (None, []),
    ],
)
def test_sources_become_links_to_registries_and_indexes_only(source, links):
    assert source_links(source) == links


def test_words_of_a_review_are_never_markup(starter, tmp_path):
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    starter.edit("review.yaml", "title: My review", f'title: "{bad}"')
    starter.edit("review.yaml", "  - The trials", f'  - "{bad}"\n  - The trials')
    starter.cell("studies.csv", 2, "label", bad).cell("treatments.csv", 2, "label", bad)
    starter.cell("studies.csv", 3, "source", 'doi:10.1000/"><script>x')
    build_review(starter.path, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert '"><script>x' not in page
    assert page.count("<script") == 1
    for figure in (tmp_path / "out" / "figures").glob("*.svg"):
        assert "<script" not in figure.read_text(encoding="utf-8")


def test_the_policy_of_the_page_allows_its_own_script_and_nothing_else(nssi_build):
    page = (nssi_build / "index.html").read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert not re.search(r"\son[a-z]+=", page)


def test_the_page_is_no_larger_than_a_slow_phone_can_bear(nssi_build):
    assert (nssi_build / "index.html").stat().st_size < 4_000_000
