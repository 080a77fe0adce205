"""Seeded data sets, written as CSV so that every program reads the same numbers."""

import csv
import json
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).parents[1] / "tests" / "reference"


def studies(k):
    """Estimates with variances between .02 and .2 and tau2 .05."""
    rng = np.random.default_rng(k)
    vi = rng.uniform(0.02, 0.2, k)
    return {"yi": rng.normal(0.3, np.sqrt(vi + 0.05)), "vi": vi}


def sets(n, size=10):
    """Many sets of studies, each with its own mean."""
    rng = np.random.default_rng(n)
    vi = rng.uniform(0.02, 0.2, n * size)
    group = np.repeat(np.arange(n), size)
    return {"group": group, "yi": rng.normal(rng.normal(0, 1, n)[group], np.sqrt(vi + 0.05)), "vi": vi}


def levels(k):
    """Effects in studies of one to nine, with variances .05 between and .03 within studies."""
    rng = np.random.default_rng(k)
    sizes = rng.integers(1, 10, k)
    study = np.repeat(np.arange(k), sizes)[:k]
    vi = rng.uniform(0.02, 0.2, k)
    yi = 0.3 + rng.normal(0, 0.05**0.5, k)[study] + rng.normal(0, np.sqrt(vi + 0.03))
    return {"study": study, "effect": np.arange(k), "yi": yi, "vi": vi}


def trials():
    """The thirteen BCG trials: log risk ratios, and the four cells."""
    cells = json.loads((REFERENCE / "escalc_2x2_bcg.json").read_text(encoding="utf-8"))
    sizes = cells["results"]["RR"]
    return {**{name: cells["data"][name] for name in ("ai", "bi", "ci", "di")}, "yi": sizes["yi"], "vi": sizes["vi"]}


def ten():
    """The first ten of the BCG trials."""
    return {name: values[:10] for name, values in trials().items()}


def network(size, three_arms=0.2):
    """Contrasts of a connected network of n treatments and m studies, some of them with three arms."""
    n, m = size
    rng = np.random.default_rng(n)
    truth = rng.normal(0, 0.5, n)
    columns = {name: [] for name in ("study", "treat_1", "treat_2", "yi", "vi")}
    for study in range(m):
        if study < n - 1:  # a tree first, so that all treatments are connected
            arms = [study + 1, int(rng.integers(0, study + 1))]
        else:
            arms = list(rng.choice(n, 3 if rng.random() < three_arms else 2, replace=False))
        var = rng.uniform(0.02, 0.2, len(arms))
        level = truth[arms] + rng.normal(0, np.sqrt(var + 0.02))
        for i in range(len(arms)):
            for j in range(i + 1, len(arms)):
                row = (f"S{study}", f"T{arms[i]}", f"T{arms[j]}", level[i] - level[j], var[i] + var[j])
                for name, value in zip(columns, row, strict=True):
                    columns[name].append(value)
    return columns


def depression():
    """Antidepressants in primary care, Linde et al. 2015."""
    data = json.loads((REFERENCE / "nma_depression.json").read_text(encoding="utf-8"))["data"]
    return {
        "study": data["studlab"], "treat_1": data["treat1"], "treat_2": data["treat2"], "yi": data["TE"],
        "vi": np.square(data["seTE"]),
    }  # fmt: skip


def write(path, columns):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True))
