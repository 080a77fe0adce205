"""A build is all or nothing: what stood there stays until the new one is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfrey import InputError, ReviewError, build_review


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_build_holds_page_results_figures_and_tables_and_says_how_many(small, tmp_path):
    said = []
    made = build_review(small.path, tmp_path / "out", progress=said.append)
    files = contents(tmp_path / "out")
    assert made.index == tmp_path / "out" / "index.html"
    assert made.files == len(files)
    assert {"index.html", "results.json", "figures/prevalence.svg", "figures/prevalence.png"} <= files.keys()
    assert {"tables/prevalence.csv", "tables/treatment-table.csv"} <= files.keys()
    assert any("How common is it?" in words for words in said)
    assert hidden(tmp_path) == []


def test_a_failing_build_leaves_the_earlier_one_byte_for_byte(starter, tmp_path):
    out = tmp_path / "out"
    build_review(starter.path, out)
    before = contents(out)
    starter.cell("arms.csv", 2, "events", "999")
    with pytest.raises(ReviewError):
        build_review(starter.path, out)
    assert contents(out) == before
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("earlier", [True, False], ids=["over an earlier build", "into a new folder"])
def test_a_crash_in_the_middle_of_writing_leaves_no_half_folder(earlier, starter, tmp_path, monkeypatch):
    out = tmp_path / "out"
    if earlier:
        build_review(starter.path, out)
    before = contents(out)
    starter.cell("arms.csv", 2, "events", "11")
    write, written = Path.write_bytes, []

    def full_disk(path, data):
        written.append(path)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        build_review(starter.path, out)
    assert contents(out) == before
    assert out.exists() is earlier
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("step", [1, 2], ids=["as the old one goes", "as the new one comes"])
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_a_crash_in_the_swap_brings_the_earlier_build_back(step, kind, starter, tmp_path, monkeypatch):
    out = tmp_path / "out"
    build_review(starter.path, out)
    before = contents(out)
    starter.cell("arms.csv", 2, "events", "11")
    move, moved = Path.replace, []

    def refuse(path, target):
        moved.append(path)
        if len(moved) == step:
            raise kind("refused")
        return move(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(kind):
        build_review(starter.path, out)
    assert contents(out) == before
    assert hidden(tmp_path) == []


def test_a_crash_of_a_drawing_writes_nothing(starter, tmp_path, monkeypatch):
    import comfrey.site.pictures as pictures

    def broken(plan):
        raise RuntimeError("no ink")

    monkeypatch.setattr(pictures.Plan, "draw", broken)
    with pytest.raises(RuntimeError, match="no ink"):
        build_review(starter.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert hidden(tmp_path) == []


def test_an_account_that_does_not_add_up_writes_nothing(starter, tmp_path, monkeypatch):
    import comfrey.findings.treatments as treatments

    monkeypatch.setattr(treatments, "_unused", lambda *_: ())
    starter.add("arms.csv", "r7,third_2024,c,usual,another_outcome,26,47,15")
    with pytest.raises(AssertionError, match="6 rows used and 0 not, of 7 read"):
        build_review(starter.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_earlier_build_is_replaced_as_a_whole(starter, tmp_path):
    out = tmp_path / "out"
    build_review(starter.path, out)
    (out / "tables" / "stale.csv").write_text("old")
    build_review(starter.path, out)
    assert not (out / "tables" / "stale.csv").exists()


def test_a_second_build_of_the_same_is_the_same_and_draws_nothing(starter, tmp_path, monkeypatch):
    import comfrey.site.pictures as pictures

    out = tmp_path / "out"
    build_review(starter.path, out)
    before = contents(out)

    def again(plan):
        raise AssertionError(f"{plan.name} is drawn again")

    monkeypatch.setattr(pictures.Plan, "draw", again)
    build_review(starter.path, out)
    assert contents(out) == before


def test_a_changed_number_redraws_its_figure_only(small, tmp_path, monkeypatch):
    import comfrey.site.pictures as pictures

    out = tmp_path / "out"
    build_review(small.path, out)
    small.cell("forms.csv", 2, "cases", "9")
    drawn, draw = [], pictures.Plan.draw

    def noted(plan):
        drawn.append(plan.name)
        return draw(plan)

    monkeypatch.setattr(pictures.Plan, "draw", noted)
    build_review(small.path, out)
    assert drawn == ["forms", "forms-hitting-people_with_nssi"]


def test_a_damaged_earlier_build_is_built_anew(small, tmp_path):
    out = tmp_path / "out"
    build_review(small.path, out)
    before = contents(out)
    (out / ".comfrey-build").write_text("{")
    (out / "figures" / "forms.svg").unlink()
    build_review(small.path, out)
    assert contents(out) == before


def test_a_folder_with_foreign_files_is_refused(starter, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.docx").write_text("years of work")
    with pytest.raises(InputError, match="did not build"):
        build_review(starter.path, out)
    assert contents(out) == {"thesis.docx": b"years of work"}


def test_the_review_folder_itself_is_refused(starter):
    before = starter.files()
    for target in (starter.path, starter.path / "..", starter.path.parent, Path("/")):
        with pytest.raises(InputError, match="apart from the review"):
            build_review(starter.path, target)
    assert starter.files() == before


def test_the_review_folder_is_refused_through_a_link_too(starter, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(starter.path, target_is_directory=True)
    with pytest.raises(InputError, match="apart from the review"):
        build_review(starter.path, link)


def test_a_file_as_target_is_refused(starter, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="expected a folder"):
        build_review(starter.path, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a file"


def test_an_empty_folder_and_a_folder_within_the_review_are_fine(starter):
    (starter.path / "build").mkdir()
    made = build_review(starter.path, starter.path / "build")
    assert made.index.exists()
    assert starter.problems() == ()


def test_the_mark_of_a_build_names_its_figures(starter, tmp_path):
    build_review(starter.path, tmp_path / "out")
    keys = json.loads((tmp_path / "out" / ".comfrey-build").read_text())
    assert {f"{name}.svg" for name in keys} <= {path.name for path in (tmp_path / "out" / "figures").iterdir()}
