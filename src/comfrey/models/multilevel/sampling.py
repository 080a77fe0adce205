"""The known covariance of sampling errors: block-diagonal, kept as blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from comfrey.errors import InputError
from comfrey.models.multilevel._grouping import Floats, Ints, batches, combine
from comfrey.models.multilevel._reading import codes_of, column, floats

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["SamplingCovariance", "as_sampling_covariance", "sampling_covariance"]


@dataclass(frozen=True, slots=True, eq=False)
class SamplingCovariance:
    """A block-diagonal covariance matrix of k sampling errors.

    Attributes
    ----------
    variances : ndarray (k,)
        The diagonal.
    blocks : tuple of (rows, matrices)
        Blocks of two rows and more, stacked by size: rows (m, n), matrices (m, n, n).
    """

    variances: Floats
    blocks: tuple[tuple[Ints, Floats], ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the whole matrix, (k, k)."""
        return (self.variances.size, self.variances.size)

    @property
    def diagonal_only(self) -> bool:
        """True when no two sampling errors are correlated."""
        return not self.blocks

    def block_codes(self) -> Ints:
        """Code of the block of each row (k,)."""
        first = np.arange(self.variances.size, dtype=np.intp)
        for rows, _ in self.blocks:
            first[rows] = rows[:, :1]
        return combine([first])

    def toarray(self) -> Floats:
        """Build the whole matrix, (k, k)."""
        dense = np.diag(self.variances)
        for rows, matrices in self.blocks:
            dense[rows[:, :, None], rows[:, None, :]] = matrices
        return dense

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.toarray(), dtype=dtype)

    def __len__(self) -> int:
        return int(self.variances.size)

    def __repr__(self) -> str:
        count = sum(len(rows) for rows, _ in self.blocks)
        linked = sum(rows.size for rows, _ in self.blocks)
        return f"SamplingCovariance of {len(self)} effects: {linked} in {count} blocks, the others independent"

    def scaled(self, factor: float) -> SamplingCovariance:
        """Multiply the matrix by a number."""
        blocks = tuple((rows, matrices * factor) for rows, matrices in self.blocks)
        return SamplingCovariance(self.variances * factor, blocks)

    def part(self, rows: Ints) -> SamplingCovariance:
        """Covariance of some rows, in their new order of places."""
        place = np.full(len(self), -1, dtype=np.intp)
        place[rows] = np.arange(rows.size)
        found: list[tuple[Ints, Floats]] = []
        for index, matrices in self.blocks:
            moved = place[index]
            whole = np.all(moved >= 0, axis=1)
            if whole.any():
                found.append((moved[whole], matrices[whole]))
            for i in np.flatnonzero(~whole & (np.sum(moved >= 0, axis=1) > 1)):
                keep = np.flatnonzero(moved[i] >= 0)
                found.append((moved[i][keep][None, :], matrices[i][np.ix_(keep, keep)][None]))
        return SamplingCovariance(self.variances[rows], tuple(found))

    def rotation(self) -> tuple[Floats, tuple[tuple[Ints, Floats], ...]]:
        """Eigenvalues (k,) and eigenvectors (per stack of blocks): V = Q diag(values) Q'."""
        values = self.variances.copy()
        vectors = []
        for rows, matrices in self.blocks:
            found, basis = np.linalg.eigh(matrices)
            values[rows] = found
            vectors.append((rows, basis))
        return values, tuple(vectors)


def rotate(array: Floats, vectors: tuple[tuple[Ints, Floats], ...], *, back: bool = False) -> Floats:
    """Multiply the rows of `array` (k, c) by Q' of the eigenvectors, or by Q to come back."""
    if not vectors:
        return array
    out = array.copy()
    for rows, basis in vectors:
        out[rows] = (basis if back else basis.swapaxes(1, 2)) @ array[rows]
    return out


def sampling_covariance(
    vi: Any,
    cluster: Any,
    rho: Any,
    *,
    outcome: Any = None,
    subgroup: Any = None,
    time: Any = None,
    phi: float | None = None,
    data: pd.DataFrame | Mapping[str, Any] | None = None,
) -> SamplingCovariance:
    r"""Covariance of sampling errors that are correlated within clusters.

    .. math:: V_{ij} = \rho_{ij} \, \varphi^{|t_i - t_j|} \sqrt{v_i v_j}

    within a cluster (and subgroup), and 0 elsewhere. The correlations are assumed, not estimated: try several.

    Parameters
    ----------
    vi : array (k,) or column name
        Sampling variances.
    cluster : array (k,) or column name
        Effects of different clusters are independent.
    rho : float, or square DataFrame of correlations
        One correlation for every pair, or correlations between outcomes (index and columns name the outcomes). With
        `time` it may be 1: then the errors of a cluster differ by their time alone.
    outcome : array (k,) or column name, optional
        Outcome of each effect; needed when `rho` is a table.
    subgroup : array (k,) or column name, optional
        Effects of different subgroups of a cluster share no people: their covariance is 0.
    time, phi : array (k,) or column name, and float, optional
        Time points, and the correlation between errors one unit of time apart.
    data : DataFrame or mapping, optional
        Where column names are looked up.

    Returns
    -------
    SamplingCovariance
        Blocks; ``.toarray()`` gives the dense matrix.

    Raises
    ------
    InputError
        If a variance is not above zero, or the correlations of a cluster are impossible (not positive definite).

    References
    ----------
    Pustejovsky JE, Tipton E (2022). Prevention Science 23:425-438. doi:10.1007/s11121-021-01246-3

    Examples
    --------
    >>> import comfrey as cf
    >>> V = cf.sampling_covariance([0.04, 0.09, 0.01], cluster=["a", "a", "b"], rho=0.5)
    >>> V.toarray()
    array([[0.04, 0.03, 0.  ],
           [0.03, 0.09, 0.  ],
           [0.  , 0.  , 0.01]])
    """
    variances = _variances(floats(vi, "vi", data))
    k = variances.size
    keys = [codes_of(column(cluster, "cluster", data), "cluster", k)[0]]
    if subgroup is not None:
        keys.append(codes_of(column(subgroup, "subgroup", data), "subgroup", k)[0])
    table, kinds = _correlations(rho, outcome, data, k, one=time is not None)
    times = None
    if (time is None) != (phi is None):
        raise InputError("phi", found=phi, expected="a number whenever `time` is given, and none without it")
    if time is not None:
        times = floats(time, "time", data)
        if times.size != k:
            raise InputError("time", found=f"{times.size} values", expected=f"{k} values, one for each variance")
        if not 0 <= float(phi or 0) < 1:
            raise InputError("phi", found=phi, expected="a correlation from 0 to below 1")
    blocks = []
    for rows in batches(combine(keys)):
        if rows.shape[1] == 1:
            continue
        spread = np.sqrt(variances[rows])
        matrices = table[kinds[rows][:, :, None], kinds[rows][:, None, :]] * spread[:, :, None] * spread[:, None, :]
        if times is not None:
            lag = np.abs(times[rows][:, :, None] - times[rows][:, None, :])
            matrices = matrices * float(phi or 0) ** lag
        index = np.arange(rows.shape[1])
        matrices[:, index, index] = variances[rows]
        blocks.append((rows, matrices))
    _check_definite(blocks, "rho", "A smaller correlation keeps the matrix of every cluster positive definite.")
    return SamplingCovariance(variances, _without_zero(blocks))


def as_sampling_covariance(value: Any, data: Any, k: int) -> SamplingCovariance:
    """Read variances, a dense or sparse matrix (k, k), a list of blocks in row order, or a SamplingCovariance."""
    name = "vi_or_V"
    if isinstance(value, SamplingCovariance):
        covariance = value
    elif sparse.issparse(value):
        covariance = _from_sparse(value)
    elif isinstance(value, (list, tuple)) and value and all(np.ndim(block) == 2 for block in value):
        covariance = _from_sparse(sparse.block_diag([np.asarray(block, dtype=float) for block in value]))
    elif not isinstance(value, str) and np.ndim(value) == 2:
        covariance = _from_sparse(np.asarray(value, dtype=float))
    else:
        covariance = SamplingCovariance(_variances(floats(value, name, data), name))
    if len(covariance) != k:
        raise InputError(name, found=f"{len(covariance)} rows", expected=f"{k} rows, one for each effect in yi")
    return covariance


def _variances(values: Floats, name: str = "vi") -> Floats:
    bad = np.flatnonzero(~(values > 0))
    if bad.size:
        fix = "Leave the row out, or give its variance." if bad.size == 1 else f"{bad.size} rows are at fault."
        row = int(bad[0])
        raise InputError(name, found=float(values[row]), expected="a variance above zero", row=row, fix=fix)
    return values


def _correlations(rho: Any, outcome: Any, data: Any, k: int, *, one: bool) -> tuple[Floats, Ints]:
    """Table of correlations (s, s), and each row's place in it (k,); `one` allows 1, where only time parts errors."""
    if outcome is None or np.ndim(rho) == 0:
        if np.ndim(rho) != 0:
            raise InputError("outcome", found=None, expected="the outcome of each effect, since `rho` is a table")
        value = float(rho) if isinstance(rho, (int, float, np.number)) else math.nan
        if not (-1 < value < 1 or (one and value == 1)):
            raise InputError("rho", found=repr(rho), expected="a correlation between -1 and 1")
        return np.array([[value]]), np.zeros(k, dtype=np.intp)
    labels = column(outcome, "outcome", data)
    codes, names = codes_of(labels, "outcome", k)
    known = {str(name) for name in getattr(rho, "columns", [])}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(
            "rho", found=f"no column {missing[0]!r}", expected="a DataFrame with a row and column per outcome"
        )
    frame = rho.copy()
    frame.index, frame.columns = frame.index.map(str), frame.columns.map(str)
    table = frame.loc[list(names), list(names)].to_numpy(dtype=float)
    if not np.all(np.isfinite(table)) or np.any(np.abs(table) > 1) or not np.allclose(table, table.T):
        raise InputError("rho", found=table.tolist(), expected="a symmetric table of correlations")
    return table, codes


def _from_sparse(matrix: Any) -> SamplingCovariance:
    """Find the blocks of a (k, k) matrix, dense or sparse."""
    name = "vi_or_V"
    if matrix.shape[0] != matrix.shape[1]:
        raise InputError(name, found=f"shape {matrix.shape}", expected="a square matrix")
    entries = sparse.coo_array(matrix)
    entries.sum_duplicates()
    row, col, value = entries.row, entries.col, np.asarray(entries.data, dtype=float)
    bad = np.flatnonzero(~np.isfinite(value))
    if bad.size:
        where = f"{row[bad[0]]}, column {col[bad[0]]}"
        raise InputError(name, found=float(value[bad[0]]), expected="a finite number", row=where)
    k = matrix.shape[0]
    variances = _variances(np.asarray(entries.diagonal(), dtype=float), name)
    keep = value != 0
    row, col, value = row[keep], col[keep], value[keep]
    pattern = sparse.coo_array((np.ones(value.size), (row, col)), shape=(k, k))
    codes = combine([np.asarray(connected_components(pattern, directed=False)[1], dtype=np.intp)])
    place, set_of, size_of = np.empty(k, dtype=np.intp), np.empty(k, dtype=np.intp), np.bincount(codes)[codes]
    blocks = []
    for rows in batches(codes):
        m, n = rows.shape
        if n == 1:
            continue
        place[rows], set_of[rows] = np.arange(n), np.arange(m)[:, None]
        inside = size_of[row] == n
        matrices = np.zeros((m, n, n))
        matrices[set_of[row[inside]], place[row[inside]], place[col[inside]]] = value[inside]
        swapped = matrices.swapaxes(1, 2)
        if not np.allclose(matrices, swapped, rtol=1e-8, atol=1e-10 * float(np.abs(matrices).max())):
            raise InputError(name, found="a matrix that differs from its transpose", expected="a symmetric matrix")
        blocks.append((rows, 0.5 * (matrices + swapped)))
    _check_definite(blocks, name, "Check the covariances: no correlation may reach 1.")
    return SamplingCovariance(variances, tuple(blocks))


def _check_definite(blocks: list[tuple[Ints, Floats]], name: str, fix: str) -> None:
    for rows, matrices in blocks:
        try:
            np.linalg.cholesky(matrices)
        except np.linalg.LinAlgError:
            lowest = np.linalg.eigvalsh(matrices)[:, 0]
            worst = int(np.argmin(lowest))
            found = f"a smallest eigenvalue of {lowest[worst]:.3g} in the block of rows {rows[worst].tolist()[:8]}"
            expected = "a positive definite covariance matrix"
            raise InputError(name, found=found, expected=expected, fix=fix) from None


def _without_zero(blocks: list[tuple[Ints, Floats]]) -> tuple[tuple[Ints, Floats], ...]:
    """Drop stacks that hold no covariance at all (rho = 0)."""
    return tuple((rows, matrices) for rows, matrices in blocks if np.any(matrices != matrices * np.eye(rows.shape[1])))
