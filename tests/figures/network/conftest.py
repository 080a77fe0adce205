"""Networks of every shape, and the reference networks with names that people read."""

import json
from pathlib import Path

import numpy as np
import pytest

from comfrey.models.network import network

FOLDER = Path(__file__).parents[2] / "reference"
MEASURE = {"smoking": "OR", "depression": "OR", "parkinson": "MD", "diabetes_REML": "MD"}


def make(pairs, seed=1, **options):
    """A network with one study a pair, its numbers drawn with a seed."""
    rng = np.random.default_rng(seed)
    one, two = zip(*pairs, strict=True)
    given = {"method": "DL", "small_values": "desirable", "measure": "OR"} | options
    return network(
        rng.normal(0, 0.4, len(pairs)), rng.uniform(0.02, 0.2, len(pairs)), one, two, range(len(pairs)), **given
    )


def load(name):
    data = json.loads((FOLDER / f"nma_{name}.json").read_text())["data"]
    small = "undesirable" if MEASURE[name] == "OR" else "desirable"
    return network(
        data["TE"], np.square(data["seTE"]), data["treat1"], data["treat2"], data["studlab"], method="DL",
        measure=MEASURE[name], small_values=small,
    )  # fmt: skip


SHAPES = {
    "star": [("Placebo", f"Drug {i}") for i in range(1, 7)] * 2,
    "chain": [(f"Step {i}", f"Step {i + 1}") for i in range(6)],
    "islands": [("A", "B"), ("B", "C"), ("A", "C"), ("A", "D"), ("X", "Y"), ("X", "Y"), ("P", "Q"), ("Q", "R")],
    "two": [("A", "B")] * 3,
    "forty": [("T00", f"T{i:02d}") for i in range(1, 40)] + [(f"T{i:02d}", f"T{i + 5:02d}") for i in range(1, 30)],
    "star of forty": [("Placebo", f"Treatment {i}") for i in range(1, 40)],
}


@pytest.fixture(scope="session")
def shape():
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = make(SHAPES[name]) if name in SHAPES else load(name)
        return cache[name]

    return get


@pytest.fixture(scope="session")
def build():
    return make
