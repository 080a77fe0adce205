"""The command line: it mirrors the Python calls and loads what it needs when it needs it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comfrey._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comfrey.review.problems import Problem

__all__ = ["app", "main"]

app = typer.Typer(
    name="comfrey",
    help="Make and keep living reviews: a folder of study data in; findings, figures, tables and a page out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ReviewFolder = Annotated[Path, typer.Argument(help="A folder with a review.yaml.", show_default=False)]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(f"comfrey {__version__}")
        raise typer.Exit


@app.command()
def check(review: ReviewFolder) -> None:
    """Report every problem of a review at once; nothing is written."""
    from comfrey.review.folder import check_review

    with _refusals(review, "read", "stopped"):
        problems = check_review(review)
    if problems:
        _show(problems)
        raise typer.Exit(1)
    typer.echo(f"{review}: no problem found")


@app.command()
def build(
    review: ReviewFolder,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the page, the results, the figures and the tables go.")
    ] = Path("build/review"),
) -> None:
    """Build a review: index.html, results.json, figures and tables; all of it or nothing."""
    with _refusals(output, "written"):
        from comfrey.errors import ComfreyError, ReviewError
        from comfrey.site.build import build_review

        try:
            made = build_review(review, output, progress=_say)
        except ReviewError as error:
            _show(error.problems)
            typer.echo("nothing was written", err=True)
            raise typer.Exit(1) from None
        except ComfreyError as error:
            typer.echo(f"{error}\nnothing was written", err=True)
            raise typer.Exit(1) from None
    typer.echo(f"built {made.files} files in {made.seconds:.1f} s; open {made.index}")


@app.command()
def new(folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.", show_default=False)]) -> None:
    """Write a small review that builds at once, to start from."""
    import shlex

    with _refusals(folder, "written"):
        from comfrey.errors import ComfreyError
        from comfrey.review.starter import write_starter

        try:
            write_starter(folder)
        except ComfreyError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
    review, output = shlex.quote(str(folder)), shlex.quote(str(folder / "build"))
    typer.echo(f"a small review is in {review}\nbuild it with: comfrey build {review} -o {output}")


@app.command()
def verify(
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
    only: Annotated[list[str] | None, typer.Option("--only", help="A group of the ledger; may be repeated.")] = None,
    rows: Annotated[int, typer.Option("--rows", help="How many quantities to show, worst first; 0 for all.")] = 40,
) -> None:
    """Compute the numbers of other programs and of papers here, and show how far they agree; exit 1 if any differs."""
    import json

    from comfrey.errors import InputError
    from comfrey.ledger import verify as run

    if output not in {"table", "json"}:
        raise typer.BadParameter("expected table or json", param_hint="--format")
    try:
        found = run(only or None)
    except InputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if output == "json":
        typer.echo(json.dumps(found.to_dict(), indent=1))
    else:
        from comfrey.ledger.table import show

        show(found, rows)
    if not found.passed:
        raise typer.Exit(1)


@app.command()
def schema(
    folder: Annotated[Path | None, typer.Argument(help="Write the schemas here instead of printing them.")] = None,
) -> None:
    """Print (or write) the JSON Schemas of review.yaml, the help lines and the tables."""
    import json

    from comfrey.review.spec import json_schemas

    schemas = json_schemas()
    if folder is None:
        typer.echo(json.dumps(schemas, indent=1))
        return
    with _refusals(folder, "written"):
        from comfrey.review.aside import folder_aside

        with folder_aside(folder) as aside:
            for name, content in schemas.items():
                (aside / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            folder.mkdir(exist_ok=True)
            for path in aside.iterdir():
                path.replace(folder / path.name)
            aside.rmdir()
    typer.echo(f"{len(schemas)} schemas are in {folder}")


@contextmanager
def _refusals(target: Path, done: str, stopped: str = "stopped; nothing was written") -> Iterator[None]:
    """Say in one sentence what the computer refuses, and what Ctrl-C left: no traceback, nothing half-written."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        where = "" if error.filename is None or done == "written" else f" ({error.filename})"
        nothing = "; nothing was written" if done == "written" else ""
        typer.echo(f"{target} could not be {done}: {reason}{where}{nothing}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(stopped, err=True)
        raise typer.Exit(130) from None


def _say(words: str) -> None:
    typer.echo(words, err=True)


def _show(problems: tuple[Problem, ...]) -> None:
    """Print problems by file: where, what was found, what was expected, how to mend it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    current = None
    for problem in problems:
        if problem.file != current:
            current = problem.file
            console.print(Text(problem.file, style="bold"))
        place = ", ".join(part for part in (f"line {problem.row}" if problem.row else "", problem.column or "") if part)
        console.print(Text(f"  {place or 'whole file'}: found {problem.found}; expected {problem.expected}"))
        console.print(Text(f"    to mend it: {problem.fix}  [{problem.code}]", style="dim"))
    count = len(problems)
    console.print(Text(f"{count} problem{'' if count == 1 else 's'}", style="bold"))


def main() -> None:
    """Run the command line; a pipe that closes early is no error."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
