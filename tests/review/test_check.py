"""Every bad input, one by one: where it stands, what was found, what was expected, how to mend it; nothing written."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from comfrey import ReviewError, build_review
from comfrey.cli import app
from comfrey.review.rows import ROW_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Bad:
    """A way to break the small review, and the problem that must be reported."""

    name: str
    break_it: Callable
    code: str
    file: str
    line: int | str | None
    """Or what stands in the line, of which there is one."""
    column: str | None
    found: str
    expected: str
    fix: str


def header(name, old, new):
    return lambda review: review.edit(name, old, new)


def cell(name, line, column, value):
    return lambda review: review.cell(name, line, column, value)


def ratio(direction, better, low, high):
    """Write a contrast with a ratio and its interval."""

    def write(review):
        mean = f"{(float(low) * float(high)) ** 0.5:.4f}"
        cells = {"measure": "OR", "estimate": mean, "ci_low": low, "ci_high": high, "better": better}
        for column, value in (cells | {"direction": direction}).items():
            review.cell("contrasts.csv", 2, column, value)

    return write


def yaml(old, new):
    return lambda review: review.edit("review.yaml", old, new)


def recode(name, encoding, old="Alpha", new="Ålpha"):
    return lambda review: review.write(name, review.text(name).replace(old, new).encode(encoding))


def link_outside(review):
    outside = review.path.parent / "outside.csv"
    (review.path / "arms.csv").rename(outside)
    (review.path / "arms.csv").symlink_to(outside)


def shipped_out(review):
    review.edit("review.yaml", "arms.csv", "../arms.csv")
    (review.path / "arms.csv").rename(review.path.parent / "arms.csv")


Y = "review.yaml"
BAD = [
    Bad("a missing table", lambda r: (r.path / "arms.csv").unlink(),
        "missing-file", "arms.csv", None, None, "no such file", "a file of this name", "add the file"),
    Bad("a missing review.yaml", lambda r: (r.path / "review.yaml").unlink(),
        "missing-file", Y, None, None, "no such file", "a file of this name", "add the file"),
    Bad("a missing file of help lines", lambda r: (r.path / "helplines.yaml").unlink(),
        "missing-file", "helplines.yaml", None, None, "no such file", "a file of this name", "add the file"),
    Bad("a folder where a table belongs", lambda r: ((r.path / "arms.csv").unlink(), (r.path / "arms.csv").mkdir()),
        "missing-file", "arms.csv", None, None, "no such file", "a file", "add the file"),
    Bad("a missing column", header("arms.csv", "treatment,outcome", "treatment,flags"),
        "missing-column", "arms.csv", 1, "outcome", "no such column", "'outcome'", "add 'outcome'"),
    Bad("a missing declared column", header("prevalence.csv", ",setting,", ",note,"),
        "missing-column", "prevalence.csv", 1, "setting", "no such column", "'setting'", "add 'setting'"),
    Bad("a misspelt column", header("arms.csv", "outcome", "outcme"),
        "unknown-column", "arms.csv", 1, "outcme", "'outcme'", "a column of this table", "rename it to 'outcome'"),
    Bad("a misspelt optional column", header("arms.csv", "events", "event"),
        "unknown-column", "arms.csv", 1, "event", "'event'", "a column of this table", "rename it to 'events'"),
    Bad("a column without a name", header("arms.csv", "events,flags", "events,"),
        "unknown-column", "arms.csv", 1, "(no name)", "''", "a column of this table", "remove it"),
    Bad("a column twice", header("arms.csv", "weeks,total", "total,total"),
        "duplicate-column", "arms.csv", 1, "total", "2 times", "each column once", "remove or rename"),
    Bad("a duplicate study id", cell("studies.csv", 3, "study", "alpha_2001"),
        "duplicate-id", "studies.csv", 3, "study", "already in line 2", "each id once", "another id"),
    Bad("a duplicate row id", cell("arms.csv", 4, "row", "a1"),
        "duplicate-id", "arms.csv", 4, "row", "'a1', already in line 2", "each id once", "another id"),
    Bad("a row id of another table", cell("forms.csv", 2, "row", "p1"),
        "duplicate-id", "forms.csv", 2, "row", "'p1', already in prevalence.csv", "each id once", "another id"),
    Bad("a duplicate question id", yaml("id: forms\n    kind", "id: prevalence\n    kind"),
        "duplicate-id", Y, "id: prevalence\n    kind: dist", "questions.1.id", "'prevalence'", "each question", ""),
    Bad("an unknown study id", cell("arms.csv", 2, "study", "alpha_2002"),
        "unknown-study", "arms.csv", 2, "study", "'alpha_2002'", "an id of studies.csv", "did you mean 'alpha_2001'?"),
    Bad("a study id like none", cell("arms.csv", 2, "study", "zzz"),
        "unknown-study", "arms.csv", 2, "study", "'zzz'", "an id of studies.csv", "add it to studies.csv"),
    Bad("an unknown treatment", cell("arms.csv", 2, "treatment", "dbtt"),
        "unknown-treatment", "arms.csv", 2, "treatment", "'dbtt'", "an id of treatments.csv", "did you mean 'dbt'?"),
    Bad("an unknown treatment of a claim", cell("claims.csv", 2, "treatments", "dbt cbtt"),
        "unknown-treatment", "claims.csv", 2, "treatments", "'cbtt'", "treatments.csv", "did you mean 'cbt'?"),
    Bad("an unknown flag", cell("arms.csv", 2, "flags", "od"),
        "unknown-flag", "arms.csv", 2, "flags", "'od'", "a flag", "did you mean 'odd'?"),
    Bad("cases above total", cell("prevalence.csv", 2, "cases", "101"),
        "above-total", "prevalence.csv", 2, "cases", "101 where total is 100", "at most total", "exchanged"),
    Bad("events above total", cell("arms.csv", 5, "events", "61"),
        "above-total", "arms.csv", 5, "events", "61 where total is 60", "at most total", "exchanged"),
    Bad("nobody asked", cell("forms.csv", 2, "total", "0"),
        "no-people", "forms.csv", 2, "total", "0", "at least one person", "correct the total"),
    Bad("a negative count", cell("arms.csv", 2, "events", "-1"),
        "not-a-count", "arms.csv", 2, "events", "'-1'", "a whole number, zero or more", "a count"),
    Bad("a count with a fraction", cell("arms.csv", 2, "events", "1.5"),
        "not-a-count", "arms.csv", 2, "events", "'1.5'", "a whole number, zero or more", "a count"),
    Bad("more people than live", cell("arms.csv", 2, "total", "1e30"),
        "not-a-count", "arms.csv", 2, "total", "'1e30'", "a whole number", "a count"),
    Bad("a number that no computer can hold", cell("contrasts.csv", 2, "estimate", "1e999"),
        "not-finite", "contrasts.csv", 2, "estimate", "'1e999'", "a finite number", "hold"),
    *(Bad(f"{word} {column}", cell("contrasts.csv", 2, column, value),
          "not-positive", "contrasts.csv", 2, column, repr(value), "a number above zero", "leave the cell empty")
      for column in ("variance", "se") for word, value in (("a negative", "-0.2"), ("a zero", "0"))),
    Bad("a contradiction of counts and proportion", cell("prevalence.csv", 2, "proportion", "0.4"),
        "contradiction", "prevalence.csv", 2, "proportion", "0.4 where 20/100", "within 0.01", "check the source"),
    Bad("an interval the wrong way round", cell("contrasts.csv", 2, "ci_low", "0.5"),
        "interval-reversed", "contrasts.csv", 2, "ci_low", "0.5 above 0", "ci_low below ci_high", "exchange"),
    Bad("an estimate outside its interval", cell("contrasts.csv", 2, "estimate", "0.4"),
        "estimate-outside-interval", "contrasts.csv", 2, "estimate", "0.4 outside -0.8 to 0", "within", "check the"),
    Bad("a ratio below zero", cell("contrasts.csv", 2, "measure", "OR"),
        "ratio-not-positive", "contrasts.csv", 2, "estimate", "-0.4", "a ratio above zero", "not their logarithm"),
    Bad("a treatment compared with itself", cell("contrasts.csv", 2, "comparator", "dbt"),
        "compared-with-itself", "contrasts.csv", 2, "comparator", "dbt", "another treatment", "correct"),
    Bad("a percentage as share of people", lambda r: r.cell("mechanisms.csv", 5, "measure", "proportion")
        .cell("mechanisms.csv", 5, "estimate", "24"),
        "impossible-estimate", "mechanisms.csv", 5, "estimate", "24 as proportion", "from 0 to 1", "0.2, not 20"),
    Bad("a correlation above one", lambda r: r.cell("mechanisms.csv", 5, "measure", "r")
        .cell("mechanisms.csv", 5, "estimate", "1.2"),
        "impossible-estimate", "mechanisms.csv", 5, "estimate", "1.2 as r", "from -1 to 1", "correct the measure"),
    Bad("an arm twice", lambda r: r.add("arms.csv", "a7,alpha_2001,a,dbt,relapse,52,50,10,"),
        "duplicate-arm", "arms.csv", 8, "arm", "'a' again, as in line 2", "each arm once", "its own id"),
    Bad("text where a number belongs", cell("arms.csv", 2, "total", "fifty"),
        "not-a-number", "arms.csv", 2, "total", "'fifty'", "a number", "digits with a decimal point"),
    Bad("NA where a number belongs", cell("arms.csv", 2, "total", "NA"),
        "not-a-number", "arms.csv", 2, "total", "'NA'", "a number or an empty cell", "leave the cell empty"),
    Bad("a dash where a number belongs", cell("arms.csv", 2, "total", "-"),
        "not-a-number", "arms.csv", 2, "total", "'-'", "a number or an empty cell", "leave the cell empty"),
    Bad("a decimal comma", cell("prevalence.csv", 2, "proportion", "0,2"),
        "decimal-comma", "prevalence.csv", 2, "proportion", "'0,2'", "a decimal point", "write 0.2"),
    Bad("a thousands separator", cell("prevalence.csv", 2, "total", "1,100"),
        "thousands-separator", "prevalence.csv", 2, "total", "'1,100'", "without separators", "write 1100"),
    Bad("a decimal comma before three digits", cell("contrasts.csv", 2, "estimate", "-0,202"),
        "decimal-comma", "contrasts.csv", 2, "estimate", "'-0,202'", "a decimal point", "write -0.202 (a point"),
    Bad("a comma of two readings", cell("contrasts.csv", 2, "estimate", "2,107"),
        "ambiguous-comma", "contrasts.csv", 2, "estimate", "'2,107'", "without separators",
        "write 2.107 if the comma is a decimal sign, 2107 if it groups thousands"),
    Bad("an interval of no width", lambda r: r.cell("contrasts.csv", 2, "ci_low", "-0.4")
        .cell("contrasts.csv", 2, "ci_high", "-0.4"),
        "zero-variance", "contrasts.csv", 2, "ci_low", "-0.4 to -0.4", "ci_low below ci_high", "more decimals"),
    Bad("a contradiction with a flag that does not explain it", lambda r: r.cell("prevalence.csv", 2, "flags", "odd")
        .cell("prevalence.csv", 2, "proportion", "0.4"),
        "contradiction", "prevalence.csv", 2, "proportion", "0.4 where 20/100", "within 0.01", "contradictory"),
    *(Bad(f"{said} with {better} better and {low} to {high}", ratio(said, better, low, high),
          "direction-contradicts-interval", "contrasts.csv", 2, "direction", f"{said} where", shown, "p-value")
      for said, better, low, high, shown in (
          ("favours_treatment", "lower", "0.6", "1.3", "no_clear_difference"),
          ("favours_treatment", "lower", "1.1", "1.9", "favours_comparator"),
          ("favours_treatment", "higher", "0.5", "0.9", "favours_comparator"),
          ("no_clear_difference", "higher", "1.2", "1.9", "favours_treatment"),
          ("favours_comparator", "lower", "0.5", "1", "favours_treatment or no_clear_difference"),
      )),
    Bad("a percent sign", cell("prevalence.csv", 2, "proportion", "20%"),
        "percent-sign", "prevalence.csv", 2, "proportion", "'20%'", "a plain number", "leave out the percent sign"),
    Bad("a percentage in a proportion column", cell("prevalence.csv", 2, "proportion", "20"),
        "percentage-in-proportion", "prevalence.csv", 2, "proportion", "'20'", "between 0 and 1", "divide by 100"),
    Bad("a share just above one", cell("prevalence.csv", 2, "proportion", "1.2"),
        "percentage-in-proportion", "prevalence.csv", 2, "proportion", "'1.2'", "between 0 and 1",
        "write a share from 0 to 1; if it is a percentage, divide by 100"),
    Bad("a proportion below zero", cell("prevalence.csv", 2, "proportion", "-0.2"),
        "not-a-proportion", "prevalence.csv", 2, "proportion", "'-0.2'", "between 0 and 1", "from 0 to 1"),
    Bad("a year of two digits", cell("studies.csv", 2, "year", "99"),
        "not-a-year", "studies.csv", 2, "year", "'99'", "a year of four digits", "2021"),
    Bad("a time before the start", cell("arms.csv", 2, "weeks", "-4"),
        "negative-time", "arms.csv", 2, "weeks", "'-4'", "weeks, zero or more", "randomisation"),
    Bad("an id with capitals and spaces", cell("studies.csv", 5, "study", "Delta 2004"),
        "not-an-id", "studies.csv", 5, "study", "'Delta 2004'", "lower-case letters", "delta_2004"),
    Bad("an empty cell that is needed", cell("arms.csv", 2, "treatment", ""),
        "empty-cell", "arms.csv", 2, "treatment", "an empty cell", "a value", "fill it in"),
    Bad("an unknown measure", cell("contrasts.csv", 2, "measure", "SMDD"),
        "unknown-value", "contrasts.csv", 2, "measure", "'SMDD'", "'OR'", "did you mean 'SMD'?"),
    Bad("an unknown direction", cell("contrasts.csv", 2, "direction", "favours_treatmnt"),
        "unknown-value", "contrasts.csv", 2, "direction", "treatmnt", "favours_comparator", "'favours_treatment'"),
    Bad("an unknown design", cell("studies.csv", 2, "design", "RCT"),
        "unknown-value", "studies.csv", 2, "design", "'RCT'", "'rct'", "did you mean 'rct'?"),
    Bad("an unknown region", cell("prevalence.csv", 2, "region", "norht"),
        "unknown-region", "prevalence.csv", 2, "region", "'norht'", "north, south, west", "did you mean 'north'?"),
    Bad("an unknown country", cell("prevalence.csv", 2, "countries", "NO"),
        "unknown-country", "prevalence.csv", 2, "countries", "'NO'", "alpha-3", "write NOR"),
    *(Bad(f"{name} as a country", cell("prevalence.csv", 2, "countries", name),
          "unknown-country", "prevalence.csv", 2, "countries", repr(name), "alpha-3", f"write {code}")
      for name, code in (("UK", "GBR"), ("U.S.", "USA"), ("England", "GBR"), ("South Korea", "KOR"),
                         ("Norway SWE", "NOR"), ("Great Britain", "GBR"), ("Russia", "RUS"))),
    Bad("a country that does not exist", cell("prevalence.csv", 2, "countries", "XYZ"),
        "unknown-country", "prevalence.csv", 2, "countries", "'XYZ'", "alpha-3", "three capital letters"),
    Bad("a country in two regions", cell("prevalence.csv", 6, "region", "south"),
        "country-in-two-regions", "prevalence.csv", 6, "region", "'south' for NOR", "'north', as in line 2", "correct"),
    Bad("a spreadsheet formula", cell("arms.csv", 2, "total", "=SUM(A1:A9)"),
        "formula", "arms.csv", 2, "total", "=SUM(A1:A9)", "not a formula", "the value that it computes"),
    Bad("a formula that begins with a plus", cell("studies.csv", 2, "label", "+A1"),
        "formula", "studies.csv", 2, "label", "+A1", "not a formula", "the value that it computes"),
    Bad("a formula that begins with an at sign", cell("studies.csv", 2, "label", "@SUM(1)"),
        "formula", "studies.csv", 2, "label", "@SUM(1)", "not a formula", "the value that it computes"),
    Bad("a web address as source", cell("studies.csv", 2, "source", "https://doi.org/10.1000/x"),
        "web-address-as-source", "studies.csv", 2, "source", "https://", "doi:", "instead of a web address"),
    Bad("a source of no kind", cell("studies.csv", 2, "source", "Alpha 2001"),
        "unknown-source", "studies.csv", 2, "source", "'Alpha 2001'", "doi:", "begin with the kind of source"),
    Bad("a semicolon file", lambda r: r.write("arms.csv", r.text("arms.csv").replace(",", ";")),
        "separated-by-semicolons", "arms.csv", 1, None, "semicolons", "commas", "save as comma-separated"),
    Bad("a tab file", lambda r: r.write("arms.csv", r.text("arms.csv").replace(",", "\t")),
        "separated-by-tabs", "arms.csv", 1, None, "tabs", "commas", "save as comma-separated"),
    Bad("a file in Latin-1", recode("studies.csv", "latin-1", "Beta 2002", "Béta 2002"),
        "wrong-encoding", "studies.csv", 3, None, "0xe9", "UTF-8", "Latin-1"),
    Bad("a review file in Latin-1", recode(Y, "latin-1", "A small", "Ä small"),
        "wrong-encoding", Y, 3, None, "0xc4", "UTF-8", "Latin-1"),
    Bad("a file in UTF-16", recode("studies.csv", "utf-16"),
        "wrong-encoding", "studies.csv", None, None, "UTF-16", "UTF-8", "save the file as UTF-8 without BOM"),
    Bad("a byte order mark", recode("studies.csv", "utf-8-sig"),
        "byte-order-mark", "studies.csv", 1, None, "a byte order mark", "plain UTF-8",
        r"sed -i '1s/^\xEF\xBB\xBF//' studies.csv"),
    Bad("a byte order mark in YAML", recode(Y, "utf-8-sig"),
        "byte-order-mark", Y, 1, None, "a byte order mark", "plain UTF-8", "without BOM"),
    Bad("an empty table", lambda r: r.write("arms.csv", ""),
        "empty-file", "arms.csv", None, None, "an empty file", "at least a header line", "restore"),
    Bad("a table of blanks", lambda r: r.write("arms.csv", " \n\n"),
        "empty-file", "arms.csv", None, None, "an empty file", "at least a header line", "restore"),
    Bad("a table of commas", lambda r: r.write("arms.csv", ",,,\n,,,\n"),
        "empty-file", "arms.csv", None, None, "an empty file", "at least a header line", "restore"),
    Bad("an empty review.yaml", lambda r: r.write(Y, ""),
        "empty-file", Y, None, None, "an empty file", "", "restore"),
    Bad("a review.yaml of comments", lambda r: r.write(Y, "# nothing\n"),
        "not-a-mapping", Y, 1, None, "no keys", "key: value", "comfrey: 1"),
    Bad("a review.yaml that is a list", lambda r: r.write(Y, "- a\n- b\n"),
        "not-a-mapping", Y, 1, None, "no keys", "key: value", "comfrey: 1"),
    Bad("a table without any study", lambda r: r.write("studies.csv", r.text("studies.csv").split("\n")[0] + "\n"),
        "unknown-study", "arms.csv", 2, "study", "'alpha_2001'", "an id of studies.csv", "add it to studies.csv"),
    Bad("a null character", lambda r: r.edit("studies.csv", "Beta 2002", "Beta\x00 2002"),
        "null-character", "studies.csv", 3, None, "a null character", "plain text", "save the file again"),
    Bad("a ragged row", lambda r: r.edit("arms.csv", "a3,beta_2002,a,dbt,", "a3,beta_2002,a,dbt,,"),
        "wrong-number-of-cells", "arms.csv", 4, None, "12 cells", "11 cells", "unquoted comma"),
    Bad("a short row", lambda r: r.edit("arms.csv", "a3,beta_2002,a,dbt,", "a3,beta_2002,a,"),
        "wrong-number-of-cells", "arms.csv", 4, None, "10 cells", "11 cells", "missing"),
    Bad("an unclosed quote", lambda r: r.edit("studies.csv", "Beta 2002", '"Beta 2002'),
        "broken-csv", "studies.csv", 3, None, "end of data", "comma-separated values", "quotation mark"),
    Bad("a quote that ends too early", lambda r: r.edit("studies.csv", "Beta 2002", '"Beta" 2002'),
        "broken-csv", "studies.csv", 3, None, "expected after", "comma-separated values", "quotation mark"),
    Bad("a problem below a quoted line break",
        lambda r: r.edit("studies.csv", "Alpha 2001", '"Alpha\n\n2001"').cell("studies.csv", 3, "year", "soon"),
        "not-a-number", "studies.csv", 5, "year", "'soon'", "a number", "digits"),
    Bad("a path up and out", shipped_out,
        "path-leaves-folder", Y, "  arms: {", "tables.arms.file", "'../arms.csv'", "inside", "move the file"),
    Bad("an absolute path", yaml("file: arms.csv", "file: /etc/passwd"),
        "path-leaves-folder", Y, "  arms: {", "tables.arms.file", "'/etc/passwd'", "inside", "move the file"),
    Bad("a link that leads out", link_outside,
        "path-leaves-folder", Y, "  arms: {", "tables.arms.file", "'arms.csv'", "inside", "move the file"),
    Bad("help lines outside", yaml("helplines: helplines.yaml", "helplines: ../helplines.yaml"),
        "path-leaves-folder", Y, 7, "helplines", "'../helplines.yaml'", "inside", "move the file"),
    Bad("a path that no system can have", yaml("file: arms.csv", 'file: "arms\\0.csv"'),
        "unusable-path", Y, "  arms: {", "tables.arms.file", "null", "can follow", "correct the name"),
    Bad("a path that is too long", yaml("file: arms.csv", f"file: {'a' * 300}.csv"),
        "unusable-path", Y, "  arms: {", "tables.arms.file", "too long", "can follow", "correct the name"),
    Bad("a link to itself", lambda r: ((r.path / "arms.csv").unlink(), (r.path / "arms.csv").symlink_to("arms.csv")),
        "unusable-path", Y, "  arms: {", "tables.arms.file", "ymlink", "can follow", "correct the name"),
    Bad("YAML with an unclosed quote", yaml("title: A small review", 'title: "A small review'),
        "broken-yaml", Y, None, None, "", "valid YAML", "unclosed quote"),
    Bad("YAML with a wrong indent", yaml("    kind: prevalence", "   kind: prevalence"),
        "broken-yaml", Y, "   kind: prevalence", None, "", "valid YAML", "indentation"),
    Bad("YAML with a tab", yaml("    kind: prevalence", "\tkind: prevalence"),
        "broken-yaml", Y, "\tkind", None, "a tab", "valid YAML", "with spaces; mend this first"),
    Bad("YAML with a sign that begins no value", yaml("title: A small", "title: @A small"),
        "broken-yaml", Y, 3, None, "a value that begins with @", "valid YAML", "put the value in quotes"),
    Bad("YAML with a colon in a value", yaml("title: A small", "title: A: small"),
        "broken-yaml", Y, 3, None, "a second colon", "valid YAML", "in quotes"),
    Bad("an id that is none in the review file", yaml("id: small", "id: My Review"),
        "bad-value", Y, 2, "id", "'My Review'", "an id of lower-case letters", "correct"),
    Bad("a help line of no country", lambda r: r.edit("helplines.yaml", "country: INT", "country: all"),
        "bad-value", "helplines.yaml", 4, "lines.0.country", "'all'", "alpha-3 code, or INT", "correct"),
    Bad("YAML that repeats itself for ever", yaml("title: A small review", "title: &a {b: {c: *a}}"),
        "bad-value", Y, "title:", "title", "a mapping", "string", "correct"),
    Bad("YAML nested too deeply", yaml("title: A small review", "title: " + "[" * 400),
        "broken-yaml", Y, None, None, "", "valid YAML", ""),
    Bad("a duplicate key", yaml("title: A small review", "title: A small review\ntitle: Another"),
        "duplicate-key", Y, 4, "title", "'title' twice", "each key once", "remove or rename"),
    Bad("an unknown key", yaml("title: A small review", "titel: A small review\ntitle: A small review"),
        "unknown-key", Y, 3, "titel", "titel", "a key of the schema", "did you mean 'title'?"),
    Bad("an unknown key of a question", yaml("    overall: World", "    overal: World"),
        "unknown-key", Y, "overal:", "questions.0.overal", "overal", "a key of the schema", "'overall'"),
    Bad("a missing key", yaml("title: A small review\n", ""),
        "missing-key", Y, 1, "title", "nothing", "'title'", "add 'title'"),
    Bad("a question without a kind", yaml("    kind: prevalence\n", ""),
        "missing-key", Y, "  - id: prevalence", "questions.0.kind", "nothing", "'kind'", "add 'kind'"),
    Bad("an unknown kind of question", yaml("kind: prevalence", "kind: prevalance"),
        "bad-value", Y, "prevalance", "questions.0.kind", "'prevalance'", "'prevalence'", "did you mean 'prevalence'?"),
    Bad("an unknown type of table", yaml("type: arms", "type: arm"),
        "bad-value", Y, "  arms: {", "tables.arms.type", "'arm'", "'arms'", "did you mean 'arms'?"),
    Bad("a list where words belong", yaml("title: A small review", "title: [A, B]"),
        "bad-value", Y, 3, "title", "a list", "string", "correct"),
    Bad("words where a list belongs", yaml("splits: [lifetime, 12_month]", "splits: lifetime"),
        "bad-value", Y, "splits: lifetime", "questions.0.splits", "'lifetime'", "list", "correct"),
    Bad("words where keys belong", yaml("flags: {odd: something odd", "flags: {odd: {deep: something odd}"),
        "bad-value", Y, "deep", "flags.odd", "a mapping", "string", "correct"),
    Bad("a number where words belong", yaml('version: "1"', "version: 1.0"),
        "bad-value", Y, 4, "version", "1.0", "string", "quotes"),
    Bad("no date", yaml("2026-01-02", "yesterday"),
        "bad-value", Y, 5, "updated", "'yesterday'", "a date", "write for instance 2026-11-23"),
    Bad("a day that does not exist", yaml("2026-01-02", "2026-02-30"),
        "bad-value", Y, 5, "updated", "2026-02-30", "a date", "write for instance 2026-11-23"),
    Bad("another version of the schema", yaml("comfrey: 1", "comfrey: 2"),
        "bad-value", Y, 1, "comfrey", "2", "1", "correct"),
    Bad("no help lines", yaml("helplines: helplines.yaml\n", ""),
        "bad-value", Y, 1, None, "without help lines", "the key `helplines`", "helplines.yaml"),
    Bad("help lines without a line", lambda r: r.write("helplines.yaml", r.text("helplines.yaml").split("lines:")[0]
                                                       + "lines: []\n"),
        "bad-value", "helplines.yaml", 3, "lines", "an empty list", "1 item", "correct"),
    Bad("a rule with two conditions", yaml("is: [community],", "is: [community], present: true,"),
        "bad-value", Y, "{id: setting", "questions.0.eligible.0", "2 conditions", "exactly one of", "leave one"),
    Bad("a question with an unknown table", yaml("    table: forms", "    table: form"),
        "unknown-table", Y, "table: form\n", "questions.1.table", "'form'", "forms", "did you mean 'forms'?"),
    Bad("a question with a table of another type", yaml("    table: forms", "    table: arms"),
        "wrong-table", Y, "table: arms\n", "questions.1.table", "of type arms", "type proportions", "another table"),
    Bad("a question by an unknown column", yaml("    by: category", "    by: categry"),
        "unknown-column", Y, "categry", "questions.1.by", "'categry'", "a column of 'forms'", "'category'"),
    Bad("a question by a column without words", yaml("    by: category", "    by: total"),
        "no-vocabulary", Y, "by: total", "questions.1.by", "'total'", "vocabulary", "declare"),
    Bad("a group that no vocabulary has", yaml("order: [hitting, biting", "order: [hiting, biting"),
        "unknown-value", Y, "order: [hiting", "questions.1.order", "'hiting'", "hitting, biting", "'hitting'"),
    Bad("a rule on an unknown column", yaml("column: setting", "column: seting"),
        "unknown-column", Y, "{id: setting", "questions.0.eligible.0.column", "'seting'", "a column", "'setting'"),
    Bad("a rule with an unknown value", yaml("is: [community]", "is: [comunity]"),
        "unknown-value", Y, "{id: setting", "questions.0.eligible.0", "'comunity'", "community", "'community'"),
    Bad("a rule on an unknown flag", yaml("lacks: [odd]", "lacks: [od]"),
        "unknown-flag", Y, "lacks: [od]", "questions.2.counted.0", "'od'", "a declared flag", "'odd'"),
    Bad("a condition for numbers on words", yaml("is: [community]", "at_least: 3"),
        "rule-does-not-fit", Y, "at_least: 3", "questions.0.eligible.0", "'setting', which holds words", "for words",
        "use at_least and at_most for numbers"),
    Bad("a condition for words on a number", yaml("{id: setting, column: setting, is: [community]",
                                                  "{id: setting, column: year, is: ['2001']"),
        "rule-does-not-fit", Y, "is: ['2001']", "questions.0.eligible.0", "'year', which holds a number", "a number",
        "use at_least and at_most for numbers"),
    Bad("a condition for flags on words", yaml("column: flags, lacks: [odd]", "column: outcome, lacks: [odd]"),
        "rule-does-not-fit", Y, "column: outcome, lacks", "questions.2.counted.0", "'outcome', which holds words",
        "for words", "lacks for flags"),
    Bad("an unknown method", yaml("    measure: OR\n", "    measure: OR\n    method: REMl\n"),
        "bad-value", Y, "method: REMl", "questions.2.method", "'REMl'", "'REML'", "did you mean"),
    Bad("an unknown test", yaml("    measure: OR\n", "    measure: OR\n    test: hk-adhocc\n"),
        "bad-value", Y, "test: hk-adhocc", "questions.2.test", "'hk-adhocc'", "'hk'", "did you mean 'hk-adhoc'?"),
    Bad("a sensitivity analysis without an unknown rule", yaml("without: [setting]", "without: [seting]"),
        "unknown-rule", Y, "[seting]", "questions.0.sensitivity.0.without", "'seting'", "setting", "name a rule"),
    Bad("people counted once by an unknown column", yaml("    one_per: sample", "    one_per: samples"),
        "unknown-column", Y, "one_per: samples", "questions.0.one_per", "'samples'", "a column", "'sample'"),
    Bad("pooling within an unknown column", yaml("pool_within: [comparator]", "pool_within: [comparater]"),
        "unknown-column", Y, "comparater", "questions.3.pool_within", "'comparater'", "a column", "'comparator'"),
    Bad("a merged node of an unknown treatment", yaml("of: [tau, euc]", "of: [tau, eu]"),
        "unknown-treatment", Y, "[tau, eu]", "questions.2.merge.0.of", "'eu'", "treatments", "'euc'"),
    Bad("an undeclared vocabulary", yaml("category: form,", "category: forms,"),
        "unknown-vocabulary", Y, "category: forms", "tables.forms.columns.category", "'forms'", "", "declare"),
    Bad("more than eight categories",
        lambda r: r.edit(Y, "{hitting: hitting, biting: biting, other: other forms}",
                         "{hitting: h, biting: b, other: o, a: a, b: b, c: c, d: d, e: e, f: f}")
        .edit(Y, "order: [hitting, biting, other]", "order: [hitting, biting, other, a, b, c, d, e, f]"),
        "too-many-categories", Y, "order: [hit", "questions.1.order", "9 categories", "at most eight", "merge"),
    Bad("a harmful word in a table", cell("claims.csv", 2, "mechanism", "It stops attention-seeking."),
        "harmful-words", "claims.csv", 2, "mechanism", "'attention-seeking'", "careful words", "what the person needs"),
    Bad("a harmful word in the review file", yaml("title: A small review", "title: The epidemic"),
        "harmful-words", Y, 3, "title", "'epidemic'", "careful words", "number"),
    Bad("a dose", cell("precautions.csv", 2, "message", "Not above 20 mg."),
        "harmful-words", "precautions.csv", 2, "message", "'20 mg'", "careful words", "leave out doses"),
    Bad("an implement", cell("prevalence.csv", 2, "note", "with a razor"),
        "harmful-words", "prevalence.csv", 2, "note", "'razor'", "careful words", "leave out implements"),
    Bad("a body site", cell("prevalence.csv", 2, "note", "on the wrist"),
        "harmful-words", "prevalence.csv", 2, "note", "'wrist'", "careful words", "leave out body sites"),
    Bad("a harmful name of a treatment", cell("treatments.csv", 2, "label", "Skills for cutters"),
        "harmful-words", "treatments.csv", 2, "label", "'cutters'", "careful words", "person who self-injures"),
]  # fmt: skip


# One mistake, several problems: all of them true.
CASCADES = {
    "a table without any study", "an unknown type of table", "a duplicate study id", "a ratio below zero",
    "an id with capitals and spaces",
}  # fmt: skip


def test_the_unbroken_review_has_no_problem(small):
    assert small.problems() == ()


NEEDED = [
    (table.removesuffix(".csv"), column)
    for table, kind in (
        ("studies.csv", "studies"), ("prevalence.csv", "proportions"), ("treatments.csv", "treatments"),
        ("arms.csv", "arms"), ("contrasts.csv", "contrasts"), ("mechanisms.csv", "associations"),
        ("claims.csv", "claims"), ("precautions.csv", "precautions"), ("published.csv", "published"),
        ("edges.csv", "edges"), ("accuracy.csv", "accuracy"),
    )
    for column in ROW_TYPES[kind].header
]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), NEEDED)
def test_a_column_that_is_left_out_is_one_problem(table, column, small):
    if table in {"published", "edges", "accuracy"}:
        small.write(f"{table}.csv", ",".join(ROW_TYPES[table].header) + "\n")
        small.edit("review.yaml", "questions:\n", f"  {table}: {{file: {table}.csv, type: {table}}}\nquestions:\n")
    assert small.problems() == ()
    rows = small.rows(f"{table}.csv")
    place = rows[0].index(column)
    small.write(f"{table}.csv", "".join(",".join(row[:place] + row[place + 1 :]) + "\n" for row in rows))
    (problem,) = small.problems()
    assert (problem.code, problem.file, problem.column) == ("missing-column", f"{table}.csv", column)


def test_cells_that_must_be_filled_are_in_the_header():
    for kind in ROW_TYPES.values():
        assert set(kind.required) <= set(kind.header) <= set(kind.model_fields)
        assert kind.key in kind.header


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name.replace(" ", "-"))
def test_a_bad_input_is_reported_with_its_place_and_remedy_and_nothing_is_written(bad, small, tmp_path):
    bad.break_it(small)
    before = small.files() if not any(path.is_symlink() for path in small.path.iterdir()) else None
    output = tmp_path / "out"
    with pytest.raises(ReviewError) as raised:
        build_review(small.path, output)
    problems = raised.value.problems
    like = [p for p in problems if p.code == bad.code and p.file == bad.file]
    assert like, "\n".join(map(str, problems))
    line = small.line_of(bad.file, bad.line) if isinstance(bad.line, str) else bad.line
    chosen = next((p for p in like if p.row == line and p.column == bad.column), like[0])
    assert chosen.column == bad.column
    if bad.line is not None:
        assert chosen.row == line, str(chosen)
    assert bad.found in chosen.found
    assert bad.expected in chosen.expected
    assert bad.fix in chosen.fix
    assert chosen.fix

    ended = CliRunner().invoke(app, ["check", str(small.path)])
    assert ended.exit_code == 1, ended.output
    assert ended.stdout == ""
    assert bad.code in ended.stderr
    assert bad.file in ended.stderr
    assert not output.exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    if before is not None:
        assert small.files() == before
    # Rows that only refer to a wrong row are not blamed for it.
    assert len(problems) <= 2 or bad.name in CASCADES, "\n".join(map(str, problems))


@pytest.mark.parametrize("flag", ["contradictory", "weighted", "approximate", "rounded", "count_percent_differ"])
def test_a_flag_that_explains_lets_a_contradiction_stand(flag, small):
    small.edit("review.yaml", "flags: {odd", f"flags: {{{flag}: explained, odd")
    small.cell("prevalence.csv", 2, "proportion", "0.4").cell("prevalence.csv", 2, "flags", flag)
    assert small.problems() == ()


@pytest.mark.parametrize(
    ("said", "better", "low", "high", "flags"),
    [
        ("favours_treatment", "lower", "0.5", "1", ""),
        ("no_clear_difference", "lower", "1", "2", ""),
        ("not_reported", "lower", "0.5", "0.9", ""),
        ("favours_treatment", "", "1.1", "1.9", ""),
        ("favours_treatment", "lower", "0.6", "1.3", "interval_not_symmetric"),
    ],
)
def test_a_direction_that_the_interval_allows_or_a_flag_explains_is_fine(said, better, low, high, flags, small):
    small.edit("review.yaml", "flags: {odd", "flags: {interval_not_symmetric: printed so, odd")
    ratio(said, better, low, high)(small)
    small.cell("contrasts.csv", 2, "flags", flags)
    assert small.problems() == ()


def test_a_wrong_item_of_a_list_is_not_a_missing_one(small):
    small.edit("helplines.yaml", "country: INT", "country: all")
    assert [problem.column for problem in small.problems()] == ["lines.0.country"]


@pytest.mark.skipif(shutil.which("sed") is None or sys.platform != "linux", reason="needs GNU sed")
def test_the_way_out_of_a_byte_order_mark_works(small):
    small.write("studies.csv", small.text("studies.csv").encode("utf-8-sig"))
    (problem,) = small.problems()
    command = problem.fix.split("command line: ")[1].split(" (in Excel")[0]
    subprocess.run(shlex.split(command), check=True, cwd=small.path)
    assert small.problems() == ()


def test_windows_line_ends_are_fine(small):
    for name in list(small.files()):
        small.write(name, small.text(name).replace("\n", "\r\n"))
    assert small.problems() == ()
    assert small.review().rows("arms")[-1].events == 4


def test_old_macintosh_line_ends_are_fine_in_tables(small):
    small.write("arms.csv", small.text("arms.csv").replace("\n", "\r"))
    assert small.problems() == ()


def test_line_breaks_within_quotes_keep_line_numbers_right(small):
    small.edit("studies.csv", "Alpha 2001", '"Alpha\r\n2001"').edit("studies.csv", "Gamma 2003", '"Gamma\n2003"')
    rows = small.review().rows("studies")
    assert [row.line for row in rows] == [2, 4, 5, 7]


def test_blank_lines_and_spaces_around_cells_are_fine(small):
    small.edit("arms.csv", "a3,beta_2002", "\n,,,,,,,,\n a3 , beta_2002 ")
    rows = small.review().rows("arms")
    assert (rows[2].row, rows[2].study, rows[2].line) == ("a3", "beta_2002", 6)


def test_a_table_with_a_header_only_is_a_review_without_studies_yet(small):
    for name in ("prevalence.csv", "forms.csv", "arms.csv", "contrasts.csv", "mechanisms.csv"):
        small.write(name, small.text(name).split("\n")[0] + "\n")
    answers = small.answers()
    assert all(finding.k == 0 and finding.result is None for q in answers.questions for finding in q.findings)
    assert all(question.rows_read == 0 for question in answers.questions)


def test_all_problems_are_reported_in_one_run_by_file_and_line(small):
    small.cell("studies.csv", 4, "year", "soon").cell("studies.csv", 2, "design", "RCT")
    small.cell("arms.csv", 7, "events", "99").cell("arms.csv", 3, "study", "nobody").cell("arms.csv", 2, "total", "1,0")
    small.cell("forms.csv", 2, "cases", "=A1")
    small.edit("review.yaml", "order: [hitting, biting", "order: [hiting, biting")
    small.edit("review.yaml", "    one_per: sample", "    one_per: samples")
    problems = small.problems()
    assert [(p.file, p.row) for p in problems] == [
        ("review.yaml", small.line_of("review.yaml", "one_per: samples")),
        ("review.yaml", small.line_of("review.yaml", "order: [hiting")),
        ("studies.csv", 2),
        ("studies.csv", 4),
        ("forms.csv", 2),
        ("arms.csv", 2),
        ("arms.csv", 3),
        ("arms.csv", 7),
    ]
    ended = CliRunner().invoke(app, ["check", str(small.path)])
    assert ended.stderr.rstrip().endswith("8 problems")


def test_several_problems_of_one_row_and_of_the_yaml_are_all_reported(small):
    small.cell("arms.csv", 2, "total", "x").cell("arms.csv", 2, "events", "y").cell("arms.csv", 2, "weeks", "z")
    assert [p.column for p in small.problems()] == ["weeks", "total", "events"]
    small.edit("review.yaml", "title: A small", "titel: A small").edit("review.yaml", "kind: mechanisms", "kind: mech")
    found = [(p.row, p.code) for p in small.problems()]
    assert found == sorted(found)
    assert {code for _, code in found} == {"unknown-key", "missing-key", "bad-value"}


def test_a_byte_order_mark_does_not_hide_other_problems(small):
    small.write("studies.csv", small.text("studies.csv").encode("utf-8-sig")).cell("arms.csv", 2, "study", "nobody")
    assert {p.code for p in small.problems()} == {"byte-order-mark", "unknown-study"}


def test_a_file_that_may_not_be_read_is_a_problem_and_no_crash(small, monkeypatch):
    from pathlib import Path

    read = Path.read_bytes

    def refuse(path):
        if path.name == "arms.csv":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (problem,) = small.problems()
    assert (problem.code, problem.file) == ("unreadable-file", "arms.csv")
    assert "permission" in problem.found.lower()


def test_a_folder_that_is_not_there_is_one_problem(tmp_path):
    ended = CliRunner().invoke(app, ["check", str(tmp_path / "nowhere")])
    assert ended.exit_code == 1
    assert "no such folder" in ended.stderr
    assert "comfrey new" in ended.stderr


@pytest.mark.parametrize("name", ["nssi", "bcg"])
def test_the_shipped_reviews_have_no_problem(name, request):
    review = request.getfixturevalue(name)
    assert review.spec.id == name
    assert len(review.inputs_sha256) == 64


def test_titles_of_publications_are_quoted_as_they_are(small):
    small.cell("studies.csv", 2, "title", "The epidemic of cutters")
    assert small.problems() == ()
