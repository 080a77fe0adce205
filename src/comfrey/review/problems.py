"""What is wrong in a review folder, in one grammar: where, what was found, what was expected, how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a review folder.

    Parameters
    ----------
    code : str
        Stable name of the rule, e.g. ``unknown-study``.
    file : str
        Path relative to the review folder.
    row : int or None
        Line in the file as a text editor counts it (the header is line 1).
    column : str or None
        Column of a table, or dotted path in a YAML file.
    found, expected, fix : str
        What stands there, what the rule asks for, and how to mend it.

    Examples
    --------
    >>> print(Problem("above-total", "arms.csv", 7, "events", "12 of 10", "at most total", "correct one of them"))
    arms.csv, line 7, events: found 12 of 10; expected at most total. To mend it: correct one of them. [above-total]
    """

    code: str
    file: str
    row: int | None
    column: str | None
    found: str
    expected: str
    fix: str

    @property
    def place(self) -> str:
        """File, line and column in words."""
        parts = [self.file, f"line {self.row}" if self.row is not None else "", self.column or ""]
        return ", ".join(part for part in parts if part)

    def __str__(self) -> str:
        return f"{self.place}: found {self.found}; expected {self.expected}. To mend it: {self.fix}. [{self.code}]"
