"""results.json and the tables: the names of the contract, a value or a reason for each number, the same bytes."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("comfrey", "review", "inputs_sha256", "questions", "treatments")
QUESTION = ("id", "kind", "analyses")
ANALYSIS = (
    "id", "label", "measure", "scale", "model", "k", "n", "estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2",
    "i2", "certainty", "statement", "studies", "excluded",
)  # fmt: skip
NUMBERS = ("k", "n", "estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(params=["nssi", "bcg"])
def built(request):
    return request.getfixturevalue(f"{request.param}_build")


def results(folder):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON number")

    return json.loads((folder / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)


def analyses(folder):
    return [(question, analysis) for question in results(folder)["questions"] for analysis in question["analyses"]]


def test_results_hold_the_names_of_the_contract(built):
    content = results(built)
    assert set(TOP) <= content.keys()
    assert len(content["inputs_sha256"]) == 64
    assert {"id", "title", "version", "updated"} <= content["review"].keys()
    for question in content["questions"]:
        assert set(QUESTION) <= question.keys()
        for analysis in question["analyses"]:
            assert set(ANALYSIS) <= analysis.keys(), analysis["id"]
            assert all({"study", "rows", "source"} <= study.keys() for study in analysis["studies"])
            assert all({"study", "reason"} <= row.keys() for row in analysis["excluded"])


def test_every_number_that_is_missing_has_its_reason_and_no_number_has_one(built):
    for _, analysis in analyses(built):
        for name in NUMBERS:
            given, reason = analysis[name], analysis["reasons"].get(name)
            if given is None:
                assert reason, (analysis["id"], name)
            else:
                assert reason is None, (analysis["id"], name, reason)
                assert math.isfinite(given)


def test_intervals_hold_their_estimate_on_the_scale_that_people_read(built):
    for _, analysis in analyses(built):
        if analysis["estimate"] is None:
            continue
        low, estimate, high = analysis["ci_low"], analysis["estimate"], analysis["ci_high"]
        assert low <= estimate <= high, analysis["id"]
        if analysis["pi_low"] is not None:
            # A prediction interval with t holds the confidence interval up to rounding; z intervals are shorter.
            assert analysis["pi_low"] <= low * (1 + 1e-6) + 1e-9, analysis["id"]
            assert analysis["pi_high"] >= high * (1 - 1e-6) - 1e-9, analysis["id"]
        if analysis["scale"] == "percent":
            assert 0 <= low <= high <= 100
        elif analysis["scale"].endswith("ratio"):
            assert low > 0


def test_ids_of_analyses_are_unique_in_the_whole_file(built):
    ids = [analysis["id"] for _, analysis in analyses(built)]
    assert len(ids) == len(set(ids))


def test_every_source_is_a_reference_and_no_address(built):
    for _, analysis in analyses(built):
        for study in analysis["studies"]:
            assert study["source"], (analysis["id"], study["study"])
            assert not study["source"].startswith(("http", "www"))


def test_rows_add_up_in_the_file_too(built):
    for question, analysis in analyses(built):
        assert analysis["rows_included"] + len(analysis["excluded"]) == analysis["rows_in_scope"]
        assert question["rows_used"] + len(question["excluded"]) == question["rows_read"]


def test_weights_add_up_to_a_hundred_where_a_model_has_weights(built):
    for _, analysis in analyses(built):
        weights = [study["weight"] for study in analysis["studies"] if study.get("weight") is not None]
        if weights:
            assert sum(weights) == pytest.approx(100)
            assert len(weights) == analysis["k"]


def test_each_figure_and_finding_has_its_table_and_the_numbers_of_the_file_stand_in_it(built):
    content = results(built)
    for question in content["questions"]:
        rows = list(csv.DictReader(io.StringIO((built / "tables" / f"{question['id']}.csv").read_text("utf-8"))))
        assert [row["analysis"] for row in rows] == [analysis["id"] for analysis in question["analyses"]]
        for row, analysis in zip(rows, question["analyses"], strict=True):
            for name in ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2"):
                assert row[name] == ("" if analysis[name] is None else repr(analysis[name]))
        unused = list(
            csv.DictReader(io.StringIO((built / "tables" / f"{question['id']}-excluded.csv").read_text("utf-8")))
        )
        assert len(unused) == len(question["excluded"])
    for figure in (built / "figures").glob("*.png"):
        assert (built / "tables" / f"{figure.stem}.csv").exists()
        assert (built / "figures" / f"{figure.stem}.svg").exists()


def test_no_cell_of_a_table_is_a_formula(built):
    for table in (built / "tables").glob("*.csv"):
        for row in csv.reader(io.StringIO(table.read_text("utf-8"))):
            for cell in row:
                assert not cell.startswith(("=", "@", "+", "\t")), (table.name, cell)


def test_a_formula_in_the_words_of_a_review_is_made_harmless():
    from comfrey.site.files import _safe

    assert [_safe(text) for text in ("=A1", "@x", "+1", "-0.5", "-A1", "a=b")] == [
        "'=A1", "'@x", "'+1", "-0.5", "'-A1", "a=b",
    ]  # fmt: skip


def test_nothing_of_the_machine_or_the_day_is_in_the_files(built):
    for name, data in contents(built).items():
        for private in (str(ROOT).encode(), str(Path.home()).encode() + b"/", b"/tmp/", b"pytest"):
            assert private not in data, name


def build_apart(review, target, seed):
    subprocess.run(
        [sys.executable, "-m", "comfrey", "build", str(review), "-o", str(target)], check=True, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": str(seed), "TZ": "Pacific/Chatham",
                          "LC_ALL": "C"},
    )  # fmt: skip
    return contents(target)


def same(one, two):
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_the_same_input_gives_the_same_bytes_in_processes_with_different_hashes(tmp_path, starter):
    first = build_apart(starter.path, tmp_path / "one", 1)
    same(first, build_apart(starter.path, tmp_path / "two", 4242))


def test_the_shipped_review_gives_the_same_bytes_in_another_process(nssi_build, tmp_path):
    same(contents(nssi_build), build_apart(ROOT / "reviews" / "nssi", tmp_path / "again", 99))


def test_a_changed_word_changes_the_digest_of_the_inputs(small):
    before = small.review().inputs_sha256
    assert small.review().inputs_sha256 == before
    small.cell("studies.csv", 2, "label", "Alpha 2001a")
    assert small.review().inputs_sha256 != before
