"""The command line: quick to start, clear when it refuses, and the same as the Python calls."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from comfrey.cli import app

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "src" / "comfrey" / "review" / "schemas" / "1"


def comfrey(*words, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "comfrey", *map(str, words)], capture_output=True, text=True, cwd=cwd, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "COLUMNS": "100"} | environment,
    )  # fmt: skip


def test_help_loads_no_heavy_library_and_names_every_command():
    heavy = ("pandas", "numpy", "scipy", "matplotlib", "pydantic", "jinja2", "ruamel", "pycountry")
    code = (
        "import sys\nfrom comfrey.cli import app\nsys.argv = ['comfrey', '--help']\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [name for name in {heavy} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in ended.stdout
    for command in ("check", "build", "new", "schema"):
        assert command in ended.stdout


def test_no_command_shows_the_help():
    ended = comfrey()
    assert ended.returncode in {0, 2}
    assert "Usage" in ended.stdout + ended.stderr


def test_version_is_that_of_the_package():
    from comfrey import __version__

    ended = comfrey("--version")
    assert (ended.returncode, ended.stdout) == (0, f"comfrey {__version__}\n")


def test_an_unknown_command_is_an_error():
    ended = comfrey("bild")
    assert ended.returncode == 2
    assert "bild" in ended.stderr


def test_a_new_review_is_checked_and_built_from_end_to_end(tmp_path):
    made = comfrey("new", "mine", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "comfrey build mine" in made.stdout
    checked = comfrey("check", "mine", cwd=tmp_path)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "mine: no problem found\n", "")
    built = comfrey("build", "mine", "-o", "mine/build", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    assert "mine/build/index.html" in built.stdout
    assert "Traceback" not in built.stderr
    assert "drawing figures" in built.stderr
    page = (tmp_path / "mine" / "build" / "index.html").read_text(encoding="utf-8")
    results = json.loads((tmp_path / "mine" / "build" / "results.json").read_text(encoding="utf-8"))
    assert "invented" in page
    assert results["questions"][0]["analyses"][0]["k"] == 3
    again = comfrey("build", "mine", "-o", "mine/build", cwd=tmp_path)
    assert again.returncode == 0


def test_new_refuses_a_folder_that_is_not_empty_and_changes_nothing(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    ended = comfrey("new", tmp_path)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "not empty" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_new_refuses_a_file(tmp_path):
    (tmp_path / "taken").write_text("mine")
    ended = comfrey("new", tmp_path / "taken")
    assert ended.returncode == 1
    assert (tmp_path / "taken").read_text() == "mine"


def test_new_fills_an_empty_folder_and_makes_parents(tmp_path):
    (tmp_path / "empty").mkdir()
    assert comfrey("new", tmp_path / "empty").returncode == 0
    assert comfrey("new", tmp_path / "a" / "b").returncode == 0
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "arms.csv",
        "review.yaml",
        "studies.csv",
        "treatments.csv",
    ]
    assert list(tmp_path.rglob(".*")) == []


def test_a_bad_review_ends_with_1_and_its_problems_on_the_error_stream(starter, tmp_path):
    starter.cell("arms.csv", 2, "events", "99").cell("arms.csv", 3, "study", "first_2018")
    checked = comfrey("check", starter.path)
    assert (checked.returncode, checked.stdout) == (1, "")
    assert "arms.csv\n  line 2, events: found 99 where total is 60; expected at most total" in checked.stderr
    assert "to mend it: did you mean 'first_2019'?  [unknown-study]" in checked.stderr
    assert checked.stderr.rstrip().endswith("2 problems")
    built = comfrey("build", starter.path, "-o", tmp_path / "out")
    assert built.returncode == 1
    assert built.stderr.rstrip().endswith("nothing was written")
    assert not (tmp_path / "out").exists()


def test_a_refused_target_ends_with_1_and_says_why(starter):
    ended = comfrey("build", starter.path, "-o", starter.path)
    assert ended.returncode == 1
    assert "the build would replace the review itself" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_text_of_a_review_is_never_read_as_markup_of_the_terminal(starter):
    starter.cell("arms.csv", 2, "total", "[bold red]x[/]")
    ended = comfrey("check", starter.path)
    assert ended.returncode == 1
    assert "[bold red]x[/]" in ended.stderr


def test_a_pipe_that_closes_early_is_no_error(tmp_path):
    schema = subprocess.Popen(
        [sys.executable, "-m", "comfrey", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    schema.stdout.read(10)
    schema.stdout.close()
    with schema.stderr:
        assert "Traceback" not in schema.stderr.read()
    assert schema.wait() in {0, 1}


def test_the_published_schemas_are_current(tmp_path):
    ended = comfrey("schema", tmp_path)
    assert ended.returncode == 0
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    published = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.iterdir()}
    assert made == published, "run: comfrey schema src/comfrey/review/schemas/1"


def test_schema_prints_all_schemas_as_one_json():
    printed = json.loads(comfrey("schema").stdout)
    assert {"review", "helplines", "table-studies", "table-arms"} <= printed.keys()
    assert all(schema["type"] == "object" for schema in printed.values())


@pytest.mark.parametrize("name", ["nssi", "bcg"])
def test_the_schema_knows_every_column_of_the_shipped_tables(name, request):
    import csv

    review = request.getfixturevalue(name)
    for table in review.spec.tables.values():
        schema = json.loads((SCHEMAS / f"table-{table.type}.json").read_text(encoding="utf-8"))
        with (review.folder / table.file).open(encoding="utf-8", newline="") as lines:
            header = next(csv.reader(lines))
        assert set(header) <= schema["properties"].keys() | table.columns.keys()
        assert set(schema["required"]) <= set(schema["x-header"]) <= set(header)


def test_a_review_may_name_every_method_and_test_that_the_engine_has():
    from typing import get_args

    from comfrey.models._fit import TESTS
    from comfrey.models.tau2 import METHODS
    from comfrey.review.spec import Method, Test

    assert set(get_args(Method)) == set(METHODS)
    assert set(get_args(Test)) == set(TESTS)


@pytest.fixture
def refused(monkeypatch):
    """Let the disk refuse whatever is written after the first file."""

    def refuse(number):
        count = iter(range(100))
        for name in ("write_text", "write_bytes"):
            write = getattr(Path, name)

            def fail(path, *args, _write=write, **options):
                if next(count):
                    raise OSError(number, os.strerror(number), str(path))
                return _write(path, *args, **options)

            monkeypatch.setattr(Path, name, fail)

    return refuse


@pytest.mark.parametrize("words", [("build", "mine", "-o", "a/b/out"), ("new", "a/b/out"), ("schema", "a/b/out")])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS], ids=["space", "permission", "read-only"])
def test_a_disk_that_refuses_is_one_sentence_and_nothing_is_left(
    words, number, starter, refused, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    refused(number)
    ended = CliRunner().invoke(app, words)
    assert (ended.exit_code, ended.stdout) == (1, "")
    said = ended.stderr.splitlines()[-1]
    assert said == f"a/b/out could not be written: {os.strerror(number).lower()}; nothing was written"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("command", ["build", "new", "schema"])
def test_a_target_below_a_file_is_one_sentence(command, starter, tmp_path):
    (tmp_path / "taken").write_text("mine")
    target = tmp_path / "taken" / "out"
    ended = comfrey(command, starter.path, "-o", target) if command == "build" else comfrey(command, target)
    assert ended.returncode == 1
    assert f"{target} could not be written: not a directory; nothing was written" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("words", [("build", "mine", "-o", "a/b/out"), ("new", "a/b/out"), ("schema", "a/b/out")])
def test_a_stop_by_the_keyboard_writes_nothing(words, starter, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "write_text", stop)
    monkeypatch.setattr(Path, "write_bytes", stop)
    ended = CliRunner().invoke(app, words)
    assert (ended.exit_code, ended.stdout) == (130, "")
    assert ended.stderr.splitlines()[-1] == "stopped; nothing was written"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_check_says_that_a_folder_cannot_be_read(starter, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refuse)
    ended = CliRunner().invoke(app, ["check", str(starter.path)])
    assert ended.exit_code == 1
    assert "could not be read: permission denied" in ended.stderr


def test_schemas_replace_earlier_ones_and_leave_other_files(tmp_path):
    (tmp_path / "review.json").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    assert comfrey("schema", tmp_path).returncode == 0
    assert json.loads((tmp_path / "review.json").read_text())["type"] == "object"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in {".json", ".txt"}] == []


def test_new_quotes_the_path_and_takes_the_name_of_the_folder_as_id(tmp_path):
    ended = comfrey("new", "My sleep & pain", cwd=tmp_path)
    assert ended.returncode == 0
    assert "comfrey build 'My sleep & pain' -o 'My sleep & pain/build'" in ended.stdout
    assert "\nid: my_sleep_pain\n" in (tmp_path / "My sleep & pain" / "review.yaml").read_text()
    assert comfrey("new", "痛み", cwd=tmp_path).returncode == 0
    assert "\nid: my_review\n" in (tmp_path / "痛み" / "review.yaml").read_text()
    assert comfrey("check", "My sleep & pain", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("command", ["new", "schema"])
def test_the_folder_in_which_one_stands_may_be_filled(command, tmp_path):
    place = tmp_path / "here"
    place.mkdir()
    ended = comfrey(command, ".", cwd=place)
    assert ended.returncode == 0, ended.stderr
    assert (place / ("review.yaml" if command == "new" else "review.json")).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
