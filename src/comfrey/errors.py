"""Every exception that Comfrey raises on purpose.

.. code-block:: text

    ComfreyError
    ├── InputError          an argument cannot be used as given (also a ValueError)
    ├── ReviewError         a review folder has problems: all of them, in `.problems`
    ├── ConvergenceError    an iterative fit did not reach its maximum: there is no number to give
    ├── NotEstimableError   the data cannot answer this question (one study has no heterogeneity)
    └── MissingExtraError   an optional dependency is needed and not installed

Catch :class:`ComfreyError` to catch them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.review.problems import Problem

__all__ = [
    "ComfreyError",
    "ConvergenceError",
    "InputError",
    "MissingExtraError",
    "NotEstimableError",
    "ReviewError",
]


class ComfreyError(Exception):
    """The root of the tree: catch it to catch every error of Comfrey's own."""


class InputError(ComfreyError, ValueError):
    """An argument cannot be used as given.

    Parameters
    ----------
    argument : str
        Name of the argument.
    found, expected : object
        What was given, and what would have been right.
    row : int or str, optional
        The row (counted from 0, or its label) where an array is at fault.
    fix : str, optional
        How to mend it, as a sentence.

    Examples
    --------
    >>> raise InputError("vi", found=-0.2, expected="a variance above zero", row=3)
    Traceback (most recent call last):
    ...
    comfrey.errors.InputError: vi, row 3: expected a variance above zero, found -0.2
    """

    def __init__(
        self,
        argument: str,
        *,
        found: object,
        expected: str,
        row: int | str | None = None,
        fix: str | None = None,
    ) -> None:
        self.argument, self.found, self.expected, self.row, self.fix = argument, found, expected, row, fix
        place = argument if row is None else f"{argument}, row {row}"
        message = f"{place}: expected {expected}, found {found}"
        super().__init__(f"{message}. {fix}" if fix else message)


class ReviewError(ComfreyError):
    """A review folder has problems; `.problems` holds every one of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(str(problem) for problem in self.problems)
        super().__init__(f"{count} problem{'' if count == 1 else 's'} found:\n{lines}")


class ConvergenceError(ComfreyError, ArithmeticError):
    """An iterative fit did not reach its maximum, so there is no number to give; the message says why."""


class NotEstimableError(ComfreyError):
    """The data cannot answer the question that was put to them; the message says why."""


class MissingExtraError(ComfreyError, ImportError):
    """An optional dependency is needed for this and is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}; install it with: pip install 'comfrey[{extra}]'")
