"""What an effect measure is: its name, the scale it is analysed on, and the scale that people read.

Sources of the transformations: Freeman & Tukey 1950 (doi:10.1214/aoms/1177729756) and its inversion by Miller 1978
(doi:10.1080/00031305.1978.10479283) for the double arcsine; Fisher 1921 for the z of a correlation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Array", "Formula", "Measure", "Scale"]

Array = npt.NDArray[np.float64]
Formula = Callable[..., tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Scale:
    """The way from the scale that people read to the scale of analysis, and back.

    Parameters
    ----------
    name : str
        ``identity``, ``log``, ``logit`` ...
    forward, inverse, slope : callable
        Reading to analysis, analysis to reading, and the derivative of `forward`; arrays in, arrays out.
    needs_n : bool
        Whether the transformation depends on the number of people (only the double arcsine does).
    """

    name: str
    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    needs_n: bool = False


def _same(x: Array) -> Array:
    return x


def _clip_unit(x: Array) -> Array:
    """Square of the sine, for angles held between 0 and a quarter turn."""
    return np.asarray(np.sin(np.clip(x, 0.0, np.pi / 2)) ** 2, dtype=float)


def _square(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0.0) ** 2, dtype=float)


def _arcsine(p: Array) -> Array:
    return np.asarray(np.arcsin(np.sqrt(p)), dtype=float)


IDENTITY = Scale("identity", _same, _same, np.ones_like)
LOG = Scale("log", np.log, np.exp, np.reciprocal)
LOGIT = Scale("logit", special.logit, special.expit, lambda p: 1.0 / (p * (1.0 - p)))
ARCSINE = Scale("arcsine square root", _arcsine, _clip_unit, lambda p: 0.5 / np.sqrt(p * (1.0 - p)))
DOUBLE_ARCSINE = Scale("double arcsine", _arcsine, _clip_unit, lambda p: 0.5 / np.sqrt(p * (1.0 - p)), needs_n=True)
PROBIT = Scale("probit", special.ndtri, special.ndtr, lambda p: np.sqrt(2 * np.pi) * np.exp(special.ndtri(p) ** 2 / 2))
SQUARE_ROOT = Scale("square root", np.sqrt, _square, lambda x: 0.5 / np.sqrt(x))
FISHER_Z = Scale("Fisher z", np.arctanh, np.tanh, lambda r: 1.0 / (1.0 - r**2))


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """An effect measure as an object: compare it with its name (``measure == "RR"``) or ask it to transform.

    Parameters
    ----------
    name : str
        Short name, e.g. ``"RR"``.
    label : str
        Name in words, e.g. ``"risk ratio"``.
    inputs : tuple of str
        Names of the columns that it is computed from.
    formula : callable
        Those columns as arrays in; estimates and sampling variances (scale of analysis) out.
    scale : Scale
        From the reading scale to the scale of analysis.
    null : float
        Value of no effect on the scale of analysis; not-a-number where there is none (a prevalence).
    unit : str
        What the reading scale counts in: ``ratio``, ``difference``, ``proportion``, ``rate``, ``correlation``,
        ``mean``,
        ``standardised difference`` or ``estimate``.
    increments : str
        Which zero cells need an increment: ``"none"``, ``"two-by-two"``, ``"events"`` or ``"proportion"``.
    source : str
        Where the variance comes from, with its DOI.

    Examples
    --------
    >>> from comfrey.effects.registry import find_measure
    >>> ratio = find_measure("RR")
    >>> ratio == "RR", str(ratio), ratio.axis_label
    (True, 'RR', 'Risk ratio (log scale)')
    >>> float(ratio.back_transform(0.0))
    1.0
    """

    name: str
    label: str
    inputs: tuple[str, ...]
    formula: Formula = field(repr=False)
    scale: Scale = field(repr=False, default=IDENTITY)
    null: float = 0.0
    unit: str = "difference"
    increments: str = "none"
    n_inputs: tuple[str, ...] = ()
    source: str = field(repr=False, default="")

    @property
    def ratio(self) -> bool:
        """Whether people read it as a ratio (and axes are logarithmic)."""
        return self.unit == "ratio"

    @property
    def analysis_label(self) -> str:
        """The scale of analysis in words, e.g. ``log risk ratio``."""
        return self.label if self.scale.name == "identity" else f"{self.scale.name} of the {self.label}"

    @property
    def axis_label(self) -> str:
        """Label for an axis that shows the reading scale."""
        head = self.label[:1].upper() + self.label[1:]
        return f"{head} (log scale)" if self.ratio else head

    @property
    def reading_null(self) -> float:
        """Value of no effect on the reading scale (1 for ratios)."""
        return float(self.back_transform(self.null)) if np.isfinite(self.null) else float("nan")

    def transform(self, values: npt.ArrayLike, n: npt.ArrayLike | None = None) -> Array:
        """Bring values from the reading scale to the scale of analysis.

        The double arcsine needs `n`, the number of people behind each value:
        ``(asin sqrt(x/(n+1)) + asin sqrt((x+1)/(n+1))) / 2`` with ``x = n p``.
        """
        x = np.asarray(values, dtype=float)
        if self.scale.needs_n and n is not None:
            size = np.asarray(n, dtype=float)
            cases = x * size
            lower = np.arcsin(np.sqrt(cases / (size + 1.0)))
            return np.asarray((lower + np.arcsin(np.sqrt((cases + 1.0) / (size + 1.0)))) / 2.0, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.scale.forward(x), dtype=float)

    def back_transform(self, values: npt.ArrayLike, n: npt.ArrayLike | None = None) -> Array:
        """Bring values from the scale of analysis to the reading scale.

        Parameters
        ----------
        values : array_like
            On the scale of analysis.
        n : array_like, optional
            For the double arcsine only: the numbers of people. One number is used as it is; for a pooled value give
            the studies' numbers and their harmonic mean is used (Miller 1978). Without it the limit of large n is
            used.
        """
        x = np.asarray(values, dtype=float)
        if self.scale.needs_n and n is not None:
            size = np.asarray(n, dtype=float)
            return _inverse_double_arcsine(x, size if size.ndim == 0 or size.shape == x.shape else harmonic_mean(size))
        with np.errstate(over="ignore"):
            return np.asarray(self.scale.inverse(x), dtype=float)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Measure):
            return self.name == other.name
        return self.name == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


def harmonic_mean(n: npt.ArrayLike) -> float:
    """Harmonic mean of the finite, positive numbers given (not-a-number if there are none)."""
    size = np.atleast_1d(np.asarray(n, dtype=float))
    size = size[np.isfinite(size) & (size > 0)]
    return float(size.size / np.sum(1.0 / size)) if size.size else float("nan")


def _inverse_double_arcsine(t: Array, n: Array | float) -> Array:
    """Miller's inversion; values beyond what 0 or n cases give are held at 0 or 1."""
    size = np.asarray(n, dtype=float)
    low = 0.5 * np.arcsin(np.sqrt(1.0 / (size + 1.0)))
    high = 0.5 * (np.arcsin(np.sqrt(size / (size + 1.0))) + np.pi / 2)
    angle = 2.0 * np.clip(t, low, high)
    sine = np.sin(angle)
    inner = 1.0 - (sine + (sine - 1.0 / sine) / size) ** 2
    p = 0.5 * (1.0 - np.sign(np.cos(angle)) * np.sqrt(np.maximum(inner, 0.0)))
    p = np.where(t <= low, 0.0, np.where(t >= high, 1.0, p))
    return np.asarray(np.where(np.isnan(t), np.nan, p), dtype=float)


def names(measures: Sequence[Measure]) -> str:
    """Names in one line, for messages."""
    return ", ".join(measure.name for measure in measures)
