"""The parity ledger holds, says where its numbers come from, and catches what differs."""

import dataclasses
import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

import comfrey as cf
from comfrey.cli import app
from comfrey.ledger import GROUPS, Entry, Tolerance, _verify
from comfrey.ledger._entry import CLOSED, compare, printed
from comfrey.ledger._page import open_page, read_reference, reference_folder


@pytest.fixture(scope="module")
def ledger():
    return cf.verify()


@pytest.mark.parametrize("group", GROUPS)
def test_every_number_of_a_group_agrees(ledger, group):
    here = [entry for entry in ledger.entries if entry.group == group]
    assert here
    differ = [(e.id + e.where, e.reference, e.computed, e.tolerance, e.remark) for e in here if not e.agrees]
    assert differ == []


def test_the_ledger_is_long_and_each_line_says_where_it_is_from(ledger):
    assert ledger.numbers > 10_000
    assert len(ledger.entries) > 400
    assert len({entry.id for entry in ledger.entries}) == len(ledger.entries)
    for entry in ledger.entries:
        assert entry.source
        assert entry.call
        assert entry.how
        assert entry.tolerance.reason
        assert entry.numbers > 0
        assert (entry.wrong is None) == (entry.remark == "")


def test_known_errors_of_sources_are_marked(ledger):
    verdicts = {entry.id: entry.verdict for entry in ledger.entries if entry.wrong is not None}
    assert verdicts["published/viechtbauer2007b/q"] == "misprint"
    assert verdicts["published/konstantopoulos2011/ml_year_intercept"] == "misprint"
    assert verdicts["published/raudenbush1985/q"] == "misprint"
    assert verdicts["published/ishak2007/mean_2"] == "misprint"
    assert verdicts["glmm/OR_CM.EL/QE_Wld"] == "reference wrong"
    assert verdicts["published/bcg_no_intercept/tau2"] == "reference wrong"
    corrected = read_reference("corrections")["results"]
    assert len(verdicts) == 6 + sum(len(values) for values in corrected.values())


def test_every_reference_file_is_cited(ledger):
    used = {entry.id.partition("/")[0] for entry in ledger.entries}
    files = {path.stem for path in reference_folder().glob("*.json")} - {"corrections"}
    assert files <= used
    for name in used - {"published"}:
        assert open_page("", name).source.startswith(("metafor", "netmeta", "R 4.2.2", "SAS"))
    for case in read_reference("published")["cases"]:
        assert case["paper"]
        assert case["place"]


def test_worst_digits_come_first(ledger):
    digits = [entry.digits for entry in ledger.entries]
    assert digits == sorted(digits)
    table = ledger.summary
    assert len(table) == len(ledger.entries)
    assert table["digits"].is_monotonic_increasing
    assert ledger.passed
    assert "all agree" in repr(ledger)
    assert set(ledger.versions) == {"Comfrey", "Python", "NumPy", "SciPy"}


def entry(reference, computed, tolerance=CLOSED, **more):
    return Entry(
        id="a/b", group="pooling", quantity="b", source="s", call="c", how="h", numbers=1, reference=reference,
        computed=computed, where="", tolerance=tolerance, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "computed", "agrees", "digits"),
    [
        (2.0, 2.0, True, 16),
        (2.0, 2.0 * (1 + 1e-12), True, 12),
        (2.0, 2.0 * (1 + 1e-9), False, 9),
        (0.0, 1e-15, True, 12),  # measured against what the tolerance takes as small
        (0.0, 1e-5, False, 2),
        (2.0, math.nan, False, 0),
        (2.0, math.inf, False, 0),
        (2.0, -2.0, False, 0),
    ],
)
def test_digits_and_verdict(reference, computed, agrees, digits):
    line = entry(reference, computed)
    assert line.agrees is agrees
    assert line.verdict == ("agrees" if agrees else "differs")
    assert line.digits == pytest.approx(digits, abs=0.1)


def test_a_source_that_errs_must_not_be_agreed_with():
    rule = printed("51.5454")
    assert entry(51.5454, 51.54541, rule, wrong=55.54, kind="publication").verdict == "misprint"
    assert entry(51.5454, 51.54541, rule, wrong=55.54).verdict == "reference wrong"
    assert entry(51.5454, 55.54, rule, wrong=55.54, kind="publication").verdict == "differs"
    assert entry(51.5454, 51.54541, rule, wrong=51.54541, kind="publication").verdict == "differs"


def test_of_several_numbers_the_worst_is_shown():
    assert compare([[1.0, 2.0], [None, 4.0]], [[1.0, 2.5], [9.0, 4.1]], CLOSED) == (3, 2.0, 2.5, "[0, 1]")
    numbers, one, two, where = compare([1.0, 2.0], [1.0, np.nan], CLOSED)
    assert (numbers, one, where) == (2, 2.0, "[1]")
    assert math.isnan(two)
    with pytest.raises(ValueError, match="shape"):
        compare([1.0, 2.0], [1.0], CLOSED)


def test_what_cannot_be_computed_is_reported(monkeypatch):
    def broken():
        yield entry(1.0, 1.0)
        raise cf.ConvergenceError("no maximum here")

    monkeypatch.setitem(_verify._PAGES, "counts", (__name__, "PAGES"))
    monkeypatch.setattr(_verify.importlib, "import_module", lambda name: type("Module", (), {"PAGES": (broken,)}))
    found = cf.verify("counts")
    assert not found.passed
    assert [e.verdict for e in found.entries] == ["differs", "agrees"]
    assert "no maximum here" in found.entries[0].remark
    assert found.to_dict()["entries"][0]["computed"] is None


def test_an_unknown_group_is_refused():
    with pytest.raises(cf.InputError, match="one of published, effects"):
        cf.verify("nothing")
    assert CliRunner().invoke(app, ["verify", "--only", "nothing"]).exit_code == 2


def test_command_line_table():
    done = CliRunner().invoke(app, ["verify", "--only", "stratified", "--only", "regression", "--rows", "5"])
    assert done.exit_code == 0
    assert "worst digits first" in done.output
    assert "all agree" in done.output
    assert "NumPy" in done.output


def test_command_line_json_and_exit_code(monkeypatch):
    done = CliRunner().invoke(app, ["verify", "--only", "stratified", "--format", "json"])
    content = json.loads(done.output)
    assert done.exit_code == 0
    assert content["passed"] is True
    assert content["numbers"] == sum(item["numbers"] for item in content["entries"])
    assert {"id", "source", "reference", "computed", "digits", "reason", "verdict"} <= set(content["entries"][0])
    strict = dataclasses.replace(entry(1.0, 1.1), tolerance=Tolerance(1e-3, 0.0, "a test"))
    monkeypatch.setattr("comfrey.ledger._verify._run", lambda group: iter([strict]))
    done = CliRunner().invoke(app, ["verify", "--only", "stratified"])
    assert done.exit_code == 1
    assert "1 differs" in done.output
