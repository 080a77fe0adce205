"""Covariance structures: from free coordinates to the cells of the random effects' covariance.

Every structure has a few cells (numbers that stand in G), and coordinates in which the likelihood is smooth.
Variances use t with variance = unit * expm1(t), t >= 0: near log scale when large, and zero is a point like any
other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from comfrey.models.multilevel._terms import StructuredTerm, Term

if TYPE_CHECKING:
    from comfrey.models.multilevel._grouping import Floats, Ints

CEILING = 60.0  # of t: a variance e^60 times the typical sampling variance


class Block(Protocol):
    """The coordinates of one random-effects term."""

    @property
    def lower(self) -> Floats:
        """Lower bounds."""
        ...

    @property
    def upper(self) -> Floats:
        """Upper bounds."""
        ...

    @property
    def cells(self) -> int:
        """Number of cells."""
        ...

    def values(self, x: Floats) -> Floats:
        """Cells (cells,) at coordinates x."""
        ...

    def jacobian(self, x: Floats) -> Floats:
        """Give the derivatives (cells, coordinates)."""
        ...

    def starts(self, total: float) -> list[Floats]:
        """Places to start from, when `total` is the variance that the random effects share; the plainest first."""
        ...

    def probes(self, x: Floats) -> list[tuple[int, float]]:
        """Coordinates and other values of them, at which the profile of the likelihood is looked at."""
        ...


def _t(variance: float, unit: float) -> float:
    return math.log1p(variance / unit)


def _variance_probes(x: Floats) -> list[tuple[int, float]]:
    """Places of each coordinate t away from x: near zero, and well above."""
    return [(i, value) for i, t in enumerate(x) for value in ((0.03, 0.6) if t < 0.02 else (0.0, 0.3 * t, t + 1.0))]


def _sd_probes(sd: Floats, scale: float) -> list[tuple[int, float]]:
    return [(i, share * max(abs(value), 0.3 * scale)) for i, value in enumerate(sd) for share in (0.0, 0.25, 2.0)]


def _grid(floor: float) -> list[tuple[float, float]]:
    """Shares of the variance and correlations to start from, the plainest first."""
    out = [(0.8, 0.5), (0.8, 0.05), (2.0, 0.5), (0.8, 0.9), (0.05, 0.5), (0.8, 0.97)]
    return [*out, (0.8, 0.5 * floor), (0.8, 0.9 * floor), (0.05, 0.5 * floor)] if floor < 0 else out


@dataclass(frozen=True, slots=True)
class Variances:
    """Independent variances, one cell each (a variance term, ID and DIAG)."""

    lower: Floats
    upper: Floats
    cells: int
    unit: float

    def values(self, x: Floats) -> Floats:
        return self.unit * np.expm1(x)

    def jacobian(self, x: Floats) -> Floats:
        return np.diag(self.unit * np.exp(x))

    def starts(self, total: float) -> list[Floats]:
        out = [np.full(self.cells, _t(share * total, self.unit)) for share in (0.5, 0.02, 2.0)]
        if self.cells > 1:
            large, small = _t(2 * total, self.unit), _t(0.02 * total, self.unit)
            out += [np.where(np.arange(self.cells) == i, large, small) for i in range(self.cells)]
        return out

    def probes(self, x: Floats) -> list[tuple[int, float]]:
        return _variance_probes(x)


def variances(number: int, unit: float) -> Variances:
    """Make a block of independent variances."""
    return Variances(np.zeros(number), np.full(number, CEILING), number, unit)


@dataclass(frozen=True, slots=True)
class Homogeneous:
    """One variance, and correlations that are powers of one rho (CS, AR, CAR): cell = tau2 * rho^power."""

    lower: Floats
    upper: Floats
    cells: int
    unit: float
    powers: Floats

    def values(self, x: Floats) -> Floats:
        return np.asarray(self.unit * math.expm1(x[0]) * _power(x[1], self.powers))

    def jacobian(self, x: Floats) -> Floats:
        tau2, powers = self.unit * math.expm1(x[0]), self.powers
        first = self.unit * math.exp(x[0]) * _power(x[1], powers)
        return np.column_stack((first, tau2 * _power_slope(x[1], powers)))

    def starts(self, total: float) -> list[Floats]:
        grid = _grid(float(self.lower[1]))
        return [np.array([_t(share * total, self.unit), rho]) for share, rho in grid]

    def probes(self, x: Floats) -> list[tuple[int, float]]:
        return (
            _variance_probes(x[:1])
            + [(1, share * float(self.lower[1])) for share in (0.9, 0.4)]
            + [(1, 0.5), (1, 0.95)]
        )


def _power(rho: float, powers: Floats) -> Floats:
    return np.where(powers == 0, 1.0, np.power(rho, powers, where=powers > 0, out=np.ones_like(powers)))


def _power_slope(rho: float, powers: Floats) -> Floats:
    # CAR with a gap below 1 has an infinite slope at rho = 0; its box starts a little above.
    out = np.zeros_like(powers)
    some = powers > 0
    out[some] = powers[some] * np.power(rho, powers[some] - 1)
    return out


@dataclass(frozen=True, slots=True)
class Heterogeneous:
    """A standard deviation for each level and one rho (HCS, HAR): cell = sd_a sd_b rho^lag."""

    lower: Floats
    upper: Floats
    cells: int
    first: Ints
    second: Ints
    powers: Floats

    def values(self, x: Floats) -> Floats:
        return np.asarray(x[self.first] * x[self.second] * _power(x[-1], self.powers))

    def jacobian(self, x: Floats) -> Floats:
        correlation = _power(x[-1], self.powers)
        out = np.zeros((self.cells, x.size))
        index = np.arange(self.cells)
        np.add.at(out, (index, self.first), x[self.second] * correlation)
        np.add.at(out, (index, self.second), x[self.first] * correlation)
        out[:, -1] = x[self.first] * x[self.second] * _power_slope(x[-1], self.powers)
        return out

    def starts(self, total: float) -> list[Floats]:
        levels = self.lower.size - 1
        grid = _grid(float(self.lower[-1]))
        out = [np.append(np.full(levels, math.sqrt(share * total)), rho) for share, rho in grid]
        large, small = math.sqrt(2 * total), 0.2 * math.sqrt(total)
        for i in range(levels):
            out += [np.append(np.where(np.arange(levels) == i, large, small), rho) for rho in (0.3, -0.3)]
        return out

    def probes(self, x: Floats) -> list[tuple[int, float]]:
        at, floor = x.size - 1, float(self.lower[-1])
        return _sd_probes(x[:-1], float(np.abs(x[:-1]).max())) + [(at, rho) for rho in (0.8 * floor, 0.0, 0.5, 0.95)]


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Any covariance matrix (UN), by standard deviations and the angles of its correlations' Cholesky rows.

    Smooth everywhere, singular matrices included, so neither coordinate needs a bound; the matrix is checked
    afterwards. `order` puts the levels whose correlation is to be fixed in front: that correlation is then cos(first
    angle).

    Pinheiro JC, Bates DM (1996). Statistics and Computing 6:289-296. doi:10.1007/BF00140873 (spherical form)
    """

    lower: Floats
    upper: Floats
    cells: int
    first: Ints
    second: Ints
    order: tuple[int, ...]

    def matrix(self, x: Floats) -> tuple[Floats, Floats, list[tuple[int, Floats]]]:
        """Build standard deviations (s,), Cholesky rows (s, s), and each angle's (row, derivative of that row)."""
        s = len(self.order)
        sd, angles = x[:s], x[s:]
        rows = np.zeros((s, s))
        rows[0, 0] = 1.0
        slopes: list[tuple[int, Floats]] = []
        at = 0
        for i in range(1, s):
            angle = angles[at : at + i]
            cos, sin = np.append(np.cos(angle), 1.0), np.append(np.sin(angle), 1.0)
            before = np.concatenate(([1.0], np.cumprod(sin[:i])))
            rows[i, : i + 1] = cos * before
            for m in range(i):
                swapped = sin.copy()
                swapped[m] = cos[m]
                slope = np.zeros(s)
                slope[m] = -sin[m] * before[m]
                slope[m + 1 : i + 1] = cos[m + 1 :] * np.cumprod(swapped[:i])[m:]
                slopes.append((i, slope))
            at += i
        return sd, rows, slopes

    def full(self, values: Floats) -> Floats:
        """Matrix G (s, s) from its cells."""
        out = np.zeros((len(self.order),) * 2)
        out[self.first, self.second] = out[self.second, self.first] = values
        return out

    def slope(self, slopes: Floats) -> Floats:
        """Turn derivatives by the cells into dl/dG (s, s); off the diagonal a cell stands twice."""
        return self.full(np.where(self.first == self.second, slopes, 0.5 * slopes))

    def coordinates(self, matrix: Floats) -> Floats:
        """Coordinates of a matrix G (s, s), singular ones included."""
        turned = matrix[np.ix_(self.order, self.order)]
        sd = np.sqrt(np.maximum(np.diag(turned), 0.0))
        safe = np.where(sd > 0, sd, 1.0)
        correlation = turned / np.outer(safe, safe)
        np.fill_diagonal(correlation, 1.0)
        s = sd.size
        rows, angles = np.zeros((s, s)), []
        rows[0, 0] = 1.0
        for i in range(1, s):
            left = 1.0
            for j in range(i):
                pivot = rows[j, j]
                entry = (correlation[i, j] - rows[i, :j] @ rows[j, :j]) / pivot if pivot > 1e-12 else 0.0
                cos = min(1.0, max(-1.0, entry / left)) if left > 1e-12 else 1.0
                angles.append(math.acos(cos))
                rows[i, j] = left * cos
                left *= math.sqrt(max(0.0, 1 - cos * cos))
            rows[i, i] = left
        return np.concatenate((sd, np.array(angles)))

    def _pick(self, matrix: Floats) -> Floats:
        place = np.argsort(np.array(self.order))
        return np.asarray(matrix[place[self.first], place[self.second]])

    def values(self, x: Floats) -> Floats:
        sd, rows, _ = self.matrix(x)
        return self._pick((rows @ rows.T) * np.outer(sd, sd))

    def jacobian(self, x: Floats) -> Floats:
        sd, rows, slopes = self.matrix(x)
        correlation = rows @ rows.T
        columns = []
        for i in range(sd.size):
            derivative = np.zeros_like(correlation)
            derivative[i] = correlation[i] * sd
            columns.append(self._pick(derivative + derivative.T))
        for i, slope in slopes:
            derivative = np.zeros_like(correlation)
            derivative[i] = rows @ slope
            columns.append(self._pick((derivative + derivative.T) * np.outer(sd, sd)))
        return np.column_stack(columns)

    def starts(self, total: float) -> list[Floats]:
        s = len(self.order)
        angles = self.lower.size - s
        grid = _grid(-1.0)
        out = [np.append(np.full(s, math.sqrt(share * total)), np.full(angles, math.acos(r))) for share, r in grid]
        large, small = math.sqrt(2 * total), 0.2 * math.sqrt(total)
        for i in range(s):
            sd = np.where(np.arange(s) == i, large, small)
            out.append(np.append(sd, np.full(angles, math.acos(0.3))))
        return out

    def probes(self, x: Floats) -> list[tuple[int, float]]:
        levels = len(self.order)
        angles = [(i, angle) for i in range(levels, x.size) for angle in (0.6, math.pi / 2, 2.5)]
        return _sd_probes(x[:levels], float(np.abs(x[:levels]).max())) + angles


def cell_table(term: Term) -> Ints:
    """Which cell each pair of levels takes its covariance from (s, s); -1 where there is none."""
    if not isinstance(term, StructuredTerm):
        return np.zeros((1, 1), dtype=np.intp)
    s = len(term.inner_labels)
    kind = term.structure
    if kind == "ID":
        return np.where(np.eye(s, dtype=bool), 0, -1).astype(np.intp)
    if kind == "DIAG":
        return np.where(np.eye(s, dtype=bool), np.arange(s), -1).astype(np.intp)
    if kind == "CS":
        return np.where(np.eye(s, dtype=bool), 0, 1).astype(np.intp)
    if kind in {"AR", "CAR"}:
        lag = np.abs(np.subtract.outer(term.positions, term.positions))
        return np.unique(lag, return_inverse=True)[1].reshape(s, s).astype(np.intp)
    first, second = np.tril_indices(s)
    table = np.zeros((s, s), dtype=np.intp)
    table[first, second] = table[second, first] = np.arange(first.size)
    return table


def block_of(term: Term, unit: float, front: tuple[int, ...] = ()) -> Block:
    """Coordinates of a term; `front` names the levels that an unstructured matrix puts first."""
    if not isinstance(term, StructuredTerm) or term.structure == "ID":
        return variances(1, unit)
    s, kind = len(term.inner_labels), term.structure
    if kind == "DIAG":
        return variances(s, unit)
    floor = -1.0 / (s - 1) if kind in {"CS", "HCS"} else -1.0
    if kind in {"CS", "AR", "CAR"}:
        powers = np.array([0.0, 1.0])
        if kind != "CS":
            powers = np.unique(np.abs(np.subtract.outer(term.positions, term.positions)))
        low = 1e-10 if kind == "CAR" else floor
        return Homogeneous(np.array([0.0, low]), np.array([CEILING, 1.0]), powers.size, unit, powers)
    first, second = np.tril_indices(s)
    if kind in {"HCS", "HAR"}:
        lag = np.abs(first - second).astype(float)
        powers = np.minimum(lag, 1.0) if kind == "HCS" else lag
        bottom, top = np.append(np.zeros(s), floor), np.append(np.full(s, 1e15), 1.0)
        return Heterogeneous(bottom, top, first.size, first, second, powers)
    free = s + s * (s - 1) // 2
    order = (*front, *(level for level in range(s) if level not in front))
    return Unstructured(np.full(free, -np.inf), np.full(free, np.inf), first.size, first, second, order)
