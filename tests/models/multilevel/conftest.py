"""The models written down directly, with dense k x k matrices: slow, and nothing shared with the package."""

import sys

import numpy as np
import pytest


@pytest.fixture(scope="session")
def direct():
    """This file as a module."""
    return sys.modules[__name__]


def group_matrix(codes):
    codes = np.asarray(codes)
    return (codes[:, None] == codes[None, :]).astype(float)


def structured_matrix(G, inner, outer):
    return np.asarray(G)[np.ix_(inner, inner)] * group_matrix(outer)


def log_likelihood(y, X, M, restricted=True):
    k, p = X.shape
    W = np.linalg.inv(M)
    XWX = X.T @ W @ X
    beta = np.linalg.solve(XWX, X.T @ W @ y)
    rest = y - X @ beta
    value = np.linalg.slogdet(M)[1] + rest @ W @ rest
    if not restricted:
        return -0.5 * (value + k * np.log(2 * np.pi))
    value += np.linalg.slogdet(XWX)[1] - np.linalg.slogdet(X.T @ X)[1]
    return -0.5 * (value + (k - p) * np.log(2 * np.pi))


def best_linear_effects(y, X, M, G, Z):
    """Predicted random effects and the variances of their errors, from the mixed-model equations' closed form."""
    W = np.linalg.inv(M)
    C = np.linalg.inv(X.T @ W @ X)
    P = W - W @ X @ C @ X.T @ W
    return G @ Z.T @ P @ y, np.diag(G - G @ Z.T @ P @ Z @ G)


def sandwich_cr2(y, X, M, cluster):
    """CR2 and what its degrees of freedom need, by the definitions (Pustejovsky and Tipton 2018)."""
    W = np.linalg.inv(M)
    C = np.linalg.inv(X.T @ W @ X)
    H = X @ C @ X.T @ W
    rest = (np.eye(len(y)) - H) @ y
    left = np.eye(len(y)) - H
    D = np.linalg.cholesky(M).T
    covariance = np.zeros((X.shape[1],) * 2)
    forms = []
    for label in np.unique(cluster):
        rows = np.flatnonzero(cluster == label)
        block = D[np.ix_(rows, rows)]
        B = block @ left[rows] @ M @ left[rows].T @ block.T
        values, vectors = np.linalg.eigh(B)
        power = np.where(values > 1e-12 * values.max(), np.maximum(values, 1e-300) ** -0.5, 0.0)
        A = block.T @ (vectors * power) @ vectors.T @ block
        score = X[rows].T @ W[np.ix_(rows, rows)] @ A
        forms.append((C @ score) @ left[rows])  # (p, k): each row is a p_j
        covariance += C @ score @ np.outer(rest[rows], rest[rows]) @ score.T @ C
    return covariance, forms


def satterthwaite(forms, M, contrast):
    vectors = np.array([contrast @ form for form in forms])
    P = vectors @ M @ vectors.T
    return np.trace(P) ** 2 / np.sum(P**2)


def hotelling(forms, M, contrast):
    """h of the AHT test by a sum over all pairs of clusters and entries."""
    q = contrast.shape[0]
    expected = sum(contrast @ form @ M @ form.T @ contrast.T for form in forms)
    values, vectors = np.linalg.eigh(expected)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    pieces = [root @ contrast @ form for form in forms]
    total = 0.0
    for left in pieces:
        for right in pieces:
            cross = left @ M @ right.T
            for s in range(q):
                for t in range(q):
                    total += cross[s, s] * cross[t, t] + cross[s, t] * cross[t, s]
    return q * (q + 1) / total
