"""Crossed random effects by the number of their groups q, not of the effects k: M = D + Z L L Z', L^2 the variances.

With O = I + L Z'D^-1 Z L (q, q): log|M| = log|D| + log|O|, and u = O^-1 L Z'D^-1 B gives
B'M^-1 B = (B - Z L u)' D^-1 (B - Z L u) + u'u, which stays exact when variances are zero or large
(Bates et al. 2015, doi:10.18637/jss.v067.i01, penalised least squares). V with blocks is turned by its eigenvectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from comfrey.models.multilevel._grouping import Floats, Ints, count
from comfrey.models.multilevel._likelihood import Moments, profile
from comfrey.models.multilevel._terms import VarianceTerm
from comfrey.models.multilevel.sampling import SamplingCovariance, rotate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.models.multilevel._terms import Term

SMALL = 64  # sets of rows up to this size are handled as dense matrices at once


def is_low_rank(terms: Sequence[Term], covariance: SamplingCovariance, components: Ints) -> bool:
    """Tell whether working with the groups is cheaper than with dense sets of linked rows."""
    sizes = np.bincount(components).astype(float)
    if not all(isinstance(term, VarianceTerm) for term in terms) or sizes.max() <= SMALL:
        return False
    groups = sum(count(term.codes) for term in terms if count(term.codes) < len(covariance))
    return float(groups) ** 3 < float(np.sum(sizes**3))


class CrossedEngine:
    """Likelihood of crossed variance terms."""

    def __init__(self, data: Floats, covariance: SamplingCovariance, terms: Sequence[Term]) -> None:
        k = data.shape[0]
        self.k, self.terms = k, terms
        self.rows_term = next((i for i, term in enumerate(terms) if count(term.codes) == k), None)
        self.grouped = [i for i in range(len(terms)) if i != self.rows_term]
        sizes = [count(terms[i].codes) for i in self.grouped]
        self.places = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]
        ones, rows = np.ones(k), np.arange(k)
        parts = [
            sparse.csr_array((ones, (rows, terms[i].codes)), shape=(k, size))
            for i, size in zip(self.grouped, sizes, strict=True)
        ]
        self.known, vectors = covariance.rotation()
        self.vectors = vectors
        self.basis: Any = _sparse_basis(vectors, k) if vectors else None
        stacked: Any = sparse.csr_array(sparse.hstack(parts))
        self.z: Any = stacked if self.basis is None else sparse.csr_array(self.basis.T @ stacked)
        self.data = rotate(data, vectors)

    def _solve(self, w: Floats) -> dict[str, Any]:
        variance = self.known if self.rows_term is None else self.known + w[self.rows_term]
        precision = 1.0 / variance
        root = np.concatenate(
            [np.full(at.stop - at.start, np.sqrt(w[i])) for i, at in zip(self.grouped, self.places, strict=True)]
        )
        weighted_z: Any = self.z.multiply(precision[:, None]).tocsr()
        inner = (self.z.T @ weighted_z).toarray()
        middle = inner * root[:, None] * root[None, :]
        middle[np.diag_indices_from(middle)] += 1.0
        factor, info = lapack.dpotrf(middle, lower=1, overwrite_a=1)
        if info:
            raise np.linalg.LinAlgError("the matrix of the groups is not positive definite")
        right = root[:, None] * (weighted_z.T @ self.data)
        u = lapack.dpotrs(factor, right, lower=1)[0]
        rest = self.data - self.z @ (root[:, None] * u)
        applied = rest * precision[:, None]
        gram = rest.T @ applied + u.T @ u
        log_det = float(np.log(variance).sum() + 2 * np.log(np.diag(factor)).sum())
        return {
            "moments": Moments(log_det, 0.5 * (gram + gram.T)), "precision": precision, "root": root, "inner": inner,
            "factor": factor, "applied": applied, "weighted_z": weighted_z,
        }  # fmt: skip

    def moments(self, w: Floats) -> Moments:
        """Log-determinant and Gram matrix at the variances w."""
        return self._solve(w)["moments"]  # type: ignore[no-any-return]  # a Moments

    def _diagonal(self, state: dict[str, Any]) -> tuple[Floats, Floats]:
        """diag(Z'M^-1 Z) (q,), and L O^-1 L (q, q)."""
        root, inner = state["root"], state["inner"]
        lower = np.tril(lapack.dpotri(state["factor"], lower=1)[0])
        inverse = lower + np.tril(lower, -1).T
        own = np.diag(inner)
        strength = root**2 * own
        # Two forms of one number: the first loses digits when a variance is small, the second when it is large.
        with np.errstate(divide="ignore", invalid="ignore"):
            large = (1.0 - np.diag(inverse)) / root**2
        out = np.where(strength > 1, large, 0.0)
        spread = inverse * root[:, None] * root[None, :]
        small = np.flatnonzero(strength <= 1)
        if small.size:
            out[small] = own[small] - np.sum(inner[:, small] * (spread @ inner[:, small]), axis=0)
        return out, spread

    def value_and_gradient(self, w: Floats, restricted: bool) -> tuple[float, Floats]:
        """Log-likelihood and its derivative by each variance: (|Z'Py|^2 - tr(Z'PZ)) / 2."""
        state = self._solve(w)
        best = profile(state["moments"], self.k, restricted)
        diagonal, spread = self._diagonal(state)
        across = self.z.T @ state["applied"]
        pieces = [(i, across[at], float(diagonal[at].sum())) for i, at in zip(self.grouped, self.places, strict=True)]
        if self.rows_term is not None:
            squared = (state["weighted_z"].T @ state["weighted_z"]).tocoo()
            lost = float(spread[squared.row, squared.col] @ squared.data)
            trace = float(state["precision"].sum()) - lost
            pieces.append((self.rows_term, state["applied"], trace))
        gradient = np.zeros(len(self.terms))
        for term, applied, trace in pieces:
            residual = applied[:, 0] - applied[:, 1:] @ best.beta
            lost = 0.0
            if restricted:
                lost = float(np.sum(best.beta_covariance * (applied[:, 1:].T @ applied[:, 1:])))
            gradient[term] = 0.5 * (float(residual @ residual) - (trace - lost))
        return best.log_likelihood, gradient

    def weighted(self, w: Floats) -> Floats:
        """M^-1 B (k, 1 + p) in the order of the rows."""
        return rotate(self._solve(w)["applied"], self.vectors, back=True)

    def group_blocks(self, w: Floats, term: int) -> Floats:
        """Z_g'M^-1 Z_g of each group of a term, (groups, 1, 1)."""
        state = self._solve(w)
        diagonal, spread = self._diagonal(state)
        if term != self.rows_term:
            return diagonal[self.places[self.grouped.index(term)]][:, None, None]
        turned, precision = state["weighted_z"], state["precision"]
        if self.basis is not None:
            turned = self.basis @ turned
            precision = self.basis.multiply(self.basis) @ precision
        found = precision - np.sum(turned.multiply(turned @ spread), axis=1)
        out = np.empty(self.k)
        out[self.terms[term].codes] = found
        return out[:, None, None]


def _sparse_basis(vectors: tuple[tuple[Ints, Floats], ...], k: int) -> Any:
    """Eigenvectors of V as one sparse matrix (k, k)."""
    alone = np.ones(k, dtype=bool)
    rows, columns, values = [], [], []
    for index, basis in vectors:
        alone[index] = False
        m, n = index.shape
        rows.append(np.broadcast_to(index[:, :, None], (m, n, n)).ravel())
        columns.append(np.broadcast_to(index[:, None, :], (m, n, n)).ravel())
        values.append(basis.ravel())
    rest = np.flatnonzero(alone)
    rows.append(rest)
    columns.append(rest)
    values.append(np.ones(rest.size))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(entries, shape=(k, k))
