"""One line of the ledger: a reference value, the value computed here, and how far they may lie apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLOSED", "EXACT", "ITERATIVE", "QUADRATURE", "Entry", "Tolerance", "Verdict", "compare", "printed"]

#: Two doubles that are the same agree to this many digits.
ALL_DIGITS = 16.0

Verdict = Literal["agrees", "misprint", "reference wrong", "differs"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a value may lie from its reference, and why that far.

    A value agrees where ``|computed - reference| <= max(relative |reference|, absolute)``.
    """

    relative: float
    absolute: float
    reason: str

    def allowed(self, reference: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the largest difference from each reference value that agrees."""
        return np.maximum(self.relative * np.abs(reference), self.absolute)

    def scale(self, reference: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give what a difference is measured against: the reference, or what the tolerance takes as small near zero.

        A number printed to some decimals has no such floor; a printed zero is measured against one.
        """
        size = np.abs(reference)
        if self.relative > 0:
            size = np.maximum(size, self.absolute / self.relative)
        return np.where(size > 0, size, 1.0)


# The last digits of a difference of two numbers near one are noise: 1e-13 is about five hundred roundings.
CLOSED = Tolerance(1e-10, 1e-13, "closed form")
ITERATIVE = Tolerance(1e-6, 1e-12, "found by a search on both sides")
QUADRATURE = Tolerance(1e-4, 1e-10, "integrals by quadrature on both sides")
EXACT = Tolerance(0.0, 0.0, "a whole number")


def printed(text: str, units: float = 0.5, why: str = "") -> Tolerance:
    """Half a unit of the last digit that was printed (or more, where there is a reason).

    Examples
    --------
    >>> round(printed("0.25").absolute, 6), printed("0.25").reason
    (0.005, 'printed to 2 decimals')
    """
    decimals = len(text.partition(".")[2])
    # A value in the very middle of two printed ones may be rounded either way.
    return Tolerance(0.0, units * (1 + 1e-7) / 10**decimals, f"printed to {decimals} decimals{why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A quantity of the ledger. Where it has several numbers, those shown are of the number that agrees worst.

    Attributes
    ----------
    id : str
        Reference file and place in it, unique.
    group : str
        The part of Comfrey that is held to it.
    quantity : str
    source : str
        The paper with its DOI, or the program; and the data.
    call : str
        What the source did.
    how : str
        How Comfrey computes it.
    numbers : int
        How many numbers the quantity has.
    reference, computed : float
    where : str
        Which of several numbers is shown (counted from 0), else empty.
    tolerance : Tolerance
    wrong : float or None
        What the source gives where it is known to err; `reference` is then the right value.
    kind : {"publication", "program"}
    remark : str
        Why the source is wrong, or why nothing could be computed.
    """

    id: str
    group: str
    quantity: str
    source: str
    call: str
    how: str
    numbers: int
    reference: float
    computed: float
    where: str
    tolerance: Tolerance
    wrong: float | None = None
    kind: str = "program"
    remark: str = ""

    @property
    def digits(self) -> float:
        """Digits of agreement: -log10 of the relative error, 16 where there is none."""
        difference = abs(self.computed - self.reference)
        if math.isnan(difference):
            return 0.0
        reference = np.array([self.reference])
        error = difference / float(self.tolerance.scale(reference)[0])
        return ALL_DIGITS if error == 0 else min(ALL_DIGITS, max(0.0, -math.log10(error)))

    @property
    def asked(self) -> float:
        """Digits that the tolerance asks for, on the scale of `digits`."""
        reference = np.array([self.reference])
        allowed, scale = self.tolerance.allowed(reference), self.tolerance.scale(reference)
        return ALL_DIGITS if allowed[0] == 0 else min(ALL_DIGITS, max(0.0, -math.log10(allowed[0] / scale[0])))

    @property
    def agrees(self) -> bool:
        """Whether the computed value is near enough to the (right) reference value, and not to a wrong one."""
        near = self._near(self.reference)
        return near and not (self.wrong is not None and self._near(self.wrong))

    @property
    def verdict(self) -> Verdict:
        """`agrees`; `misprint` or `reference wrong` where Comfrey agrees with the right value; or `differs`."""
        if not self.agrees:
            return "differs"
        if self.wrong is None:
            return "agrees"
        return "misprint" if self.kind == "publication" else "reference wrong"

    def _near(self, value: float) -> bool:
        return abs(self.computed - value) <= float(self.tolerance.allowed(np.array([value]))[0])


def compare(reference: object, computed: object, tolerance: Tolerance) -> tuple[int, float, float, str]:
    """Find the number of a quantity that agrees worst: how many there are, its values, and its place.

    Values that the reference does not give (null) are passed over.

    Raises
    ------
    ValueError
        If there is another number of values on either side.
    """
    one = np.asarray(reference, dtype=float)
    two = np.asarray(computed, dtype=float)
    if one.shape != two.shape:
        raise ValueError(f"the reference has shape {one.shape}, the computed value {two.shape}")
    given = ~np.isnan(one)
    error = np.where(given, np.abs(one - two) / np.maximum(tolerance.allowed(one), 1e-300), -1.0)
    error = np.where(given & np.isnan(two), np.inf, error)
    place = np.unravel_index(int(np.argmax(error)), one.shape)
    where = "" if one.size == 1 else "[" + ", ".join(str(int(i)) for i in place) + "]"
    return int(given.sum()), float(one[place]), float(two[place]), where
