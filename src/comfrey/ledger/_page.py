"""A file of reference values, and the entries made from it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfrey.errors import ComfreyError
from comfrey.ledger._entry import Entry, Tolerance, compare

__all__ = ["Page", "open_page", "read_reference", "reference_folder"]

#: Which tolerance a quantity has: one for all, or by the name of the quantity.
Rule = Tolerance | Callable[[str], Tolerance]


@functools.cache
def reference_folder() -> Path:
    """Where the reference files are: beside this module where Comfrey is installed, else in the source tree.

    Raises
    ------
    ComfreyError
        If they are in neither place.
    """
    here = Path(__file__).parent
    for folder in (here / "reference", here.parents[2] / "tests" / "reference"):
        if (folder / "published.json").is_file():
            return folder
    raise ComfreyError("the reference values of the ledger are not installed: install Comfrey from its wheel anew")


@functools.cache
def read_reference(name: str) -> dict[str, Any]:
    """Read one reference file by its name without ``.json``."""
    content: dict[str, Any] = json.loads((reference_folder() / f"{name}.json").read_text(encoding="utf-8"))
    return content


@dataclass(frozen=True, slots=True)
class Page:
    """A reference file opened for comparison: its data, its results, and where they come from."""

    group: str
    name: str
    data: dict[str, Any]
    results: dict[str, Any]
    source: str
    call: str
    kind: str = "program"

    def entry(
        self, quantity: str, reference: object, computed: object, how: str, tolerance: Tolerance, *,
        wrong: float | None = None, remark: str = "",
    ) -> Entry:  # fmt: skip
        """Make an entry of a quantity with one or several numbers.

        A value of a file that ``corrections.json`` lists as wrong is exchanged for the right one here.
        """
        correction = read_reference("corrections")["results"].get(self.name, {}).get(quantity)
        if correction is not None:
            wrong, reference, remark = float(reference), correction["right"], correction["why"]  # type: ignore[arg-type]
        numbers, one, two, where = compare(reference, computed, tolerance)
        return Entry(
            id=f"{self.name}/{quantity}", group=self.group, quantity=quantity.replace("/", ", "), source=self.source,
            call=self.call, how=how, numbers=numbers, reference=one, computed=two, where=where, tolerance=tolerance,
            wrong=wrong, kind=self.kind, remark=remark,
        )  # fmt: skip

    def entries(
        self, under: str, computed: object, names: Mapping[str, str], how: str, tolerance: Rule
    ) -> Iterator[Entry]:
        """Compare the fields of a result with what the file has under a key.

        A key with slashes reads on into the file. `names` maps the file's names to ours; a dotted name of ours reads
        on (``omnibus.statistic``). Names without a value in the file are passed over.
        """
        expected: Any = self.results
        for part in under.split("/") if under else ():
            expected = expected.get(part, {})
        for theirs, ours in names.items():
            if expected.get(theirs) is None:
                continue
            rule = tolerance if isinstance(tolerance, Tolerance) else tolerance(theirs)
            value = functools.reduce(getattr, ours.split("."), computed)
            quantity = f"{under}/{theirs}" if under else theirs
            yield self.entry(quantity, expected[theirs], value, f"{how}.{ours}", rule)


def open_page(group: str, name: str) -> Page:
    """Open a reference file that a program has made."""
    content = read_reference(name)
    source = f"{content['engine']}; data: {content['data_source']}"
    return Page(group, name, content["data"], content["results"], source, content["call"])
