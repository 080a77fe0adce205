"""Reference networks, and slow but plain algebra to hold the engine against."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from comfrey.models.network import network

FOLDER = Path(__file__).parents[2] / "reference"
SMALL = {"smoking": "undesirable", "depression": "undesirable"}


class Reference:
    """One file of numbers made by netmeta, whose call and data source are in the file."""

    def __init__(self, name):
        self.name = name
        content = json.loads((FOLDER / f"{name}.json").read_text())
        self.data, self.results = content["data"], content["results"]
        self.small_values = SMALL.get(name.split("_")[1], "desirable")

    def columns(self):
        d = self.data
        return d["TE"], np.square(d["seTE"]), d["treat1"], d["treat2"], d["studlab"]

    def fit(self, method="DL", **options):
        return network(*self.columns(), method=method, small_values=self.small_values, **options)

    def matrix(self, key):
        table = self.results[key]
        return pd.DataFrame(np.array(table["values"], dtype=float), index=table["rows"], columns=table["cols"])


@pytest.fixture(scope="session")
def reference():
    cache = {}

    def load(name):
        if name not in cache:
            cache[name] = Reference(name)
        return cache[name]

    return load


class Dense:
    """The same model in m x m matrices, one row fewer for each multi-arm study: brute force."""

    def __init__(self, yi, vi, t1, t2, study):
        yi, vi, study = np.asarray(yi, float), np.asarray(vi, float), np.asarray(study).astype(str)
        t1, t2 = np.asarray(t1).astype(str), np.asarray(t2).astype(str)
        self.names = sorted(set(t1) | set(t2))
        v_of = {(s, frozenset(p)): v for s, p, v in zip(study, zip(t1, t2, strict=True), vi, strict=True)}
        y_of = {}
        for s, a, b, y in zip(study, t1, t2, yi, strict=True):
            y_of[s, a, b], y_of[s, b, a] = y, -y
        blocks, shapes, rows, ys = [], [], [], []
        for s in dict.fromkeys(study):
            arms = sorted(set(t1[study == s]) | set(t2[study == s]))
            base, rest = arms[0], arms[1:]
            v0 = np.array([v_of[s, frozenset((base, a))] for a in rest])
            v = 0.5 * (v0[:, None] + v0[None, :])
            for i, a in enumerate(rest):
                for j, b in enumerate(rest):
                    if i != j:
                        v[i, j] -= 0.5 * v_of[s, frozenset((a, b))]
                row = np.zeros(len(self.names))
                row[self.names.index(a)], row[self.names.index(base)] = 1, -1
                rows.append(row)
                ys.append(y_of[s, a, base])
            blocks.append(v)
            shapes.append(0.5 * (np.eye(len(rest)) + 1))
        from scipy.linalg import block_diag

        self.V, self.S, self.y = block_diag(*blocks), block_diag(*shapes), np.array(ys)
        self.X = np.array(rows)[:, 1:]

    def solve(self, tau2):
        w = np.linalg.inv(self.V + tau2 * self.S)
        a = self.X.T @ w @ self.X
        cov = np.linalg.inv(a)
        theta = cov @ self.X.T @ w @ self.y
        r = self.y - self.X @ theta
        return theta, cov, float(r @ w @ r), float(np.linalg.slogdet(a)[1])

    def log_likelihood(self, tau2, *, restricted):
        _, _, q, log_det = self.solve(tau2)
        value = -0.5 * (np.linalg.slogdet(self.V + tau2 * self.S)[1] + q)
        return value - 0.5 * log_det if restricted else value


@pytest.fixture(scope="session")
def dense():
    return Dense


@pytest.fixture(scope="session")
def random_network():
    """A seeded random network with multi-arm studies, as columns."""

    def make(seed, n=6, k=14, multi=0.3, noise=0.3):
        rng = np.random.default_rng(seed)
        theta = rng.normal(size=n)
        rows = []
        for s in range(k):
            size = int(rng.integers(3, 5)) if rng.random() < multi else 2
            arms = np.array([s, s + 1]) if s < n - 1 else rng.choice(n, size, replace=False)
            var = rng.uniform(0.02, 0.3, arms.size)
            level = theta[arms] + rng.normal(size=arms.size) * (np.sqrt(var) + noise)
            for i in range(arms.size):
                for j in range(i + 1, arms.size):
                    flip = rng.random() < 0.5
                    y = level[i] - level[j]
                    a, b = f"T{arms[i]}", f"T{arms[j]}"
                    rows.append((-y, var[i] + var[j], b, a, f"S{s}") if flip else (y, var[i] + var[j], a, b, f"S{s}"))
        return tuple(map(list, zip(*rows, strict=True)))

    return make
