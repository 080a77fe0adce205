"""The ledger's pages of effect sizes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.effects.registry import find_measure
from comfrey.effects.sizes import effect_sizes
from comfrey.ledger._entry import CLOSED, Tolerance
from comfrey.ledger._page import open_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.ledger._entry import Entry

__all__ = ["PAGES", "two_by_two", "two_rates"]

_MEANS = {"mean_1": "m1i", "sd_1": "sd1i", "n_1": "n1i", "mean_2": "m2i", "sd_2": "sd2i", "n_2": "n2i"}
# Reference file -> our names of its columns (None: four cells of a table).
_FILES: dict[str, dict[str, str] | None] = {
    "escalc_2x2_bcg": None,
    "escalc_2x2_lidocaine": None,
    "escalc_cont_stay": _MEANS,
    "escalc_cont_co2": _MEANS,
    "escalc_cor_adherence": {"r": "ri", "n": "ni"},
    "escalc_rates_warfarin": {"events_1": "x1i", "time_1": "t1i", "events_2": "x2i", "time_2": "t2i"},
    "escalc_prop_vasospasm": {"cases": "xi", "total": "ni"},
    "escalc_paired": {
        "mean_pre": "m_pre", "sd_pre": "sd_pre", "mean_post": "m_post", "sd_post": "sd_post", "n": "n", "r": "r",
        "mean": "m_pre", "sd": "sd_pre",
    },
    "escalc_rates_one": {"events": "x1", "time": "t1"},
}  # fmt: skip
_RULES = {"only0": "zero-rows", "all": "all-rows", "if0all": "all-if-any-zero", "none": "none"}
_TETRACHORIC = {
    "yi": Tolerance(1e-2, 1e-4, "the reference's search is loosely closed; ours goes on to the last digit"),
    "vi": Tolerance(1e-4, 1e-8, "the reference's search is loosely closed; ours goes on to the last digit"),
}


def two_by_two(data: dict[str, Any]) -> dict[str, Any]:
    """Events and totals of both arms from the four cells of each study."""
    a, b, c, d = (np.array(data[name], dtype=float) for name in ("ai", "bi", "ci", "di"))
    return {"events_1": a, "total_1": a + b, "events_2": c, "total_2": c + d}


def two_rates(data: dict[str, Any]) -> dict[str, Any]:
    """Events and person-time of both arms."""
    names = (("events", "x"), ("time", "t"))
    return {f"{ours}_{arm}": np.array(data[f"{theirs}{arm}i"], float) for ours, theirs in names for arm in (1, 2)}


def _sizes(name: str) -> Iterator[Entry]:
    page = open_page("effects", name)
    for measure in page.results:
        names = _FILES[name]
        if names is None:
            columns = two_by_two(page.data)
        else:
            wanted = find_measure(measure).inputs
            columns = {
                ours: np.array(page.data[theirs], dtype=float) for ours, theirs in names.items() if ours in wanted
            }
        found = effect_sizes(measure, **columns)
        rule = _TETRACHORIC.__getitem__ if measure == "RTET" else CLOSED
        yield from page.entries(measure, found, {"yi": "yi", "vi": "vi"}, f"cf.effect_sizes({measure!r}, ...)", rule)


def _zeros() -> Iterator[Entry]:
    page = open_page("effects", "escalc_2x2_zeros")
    trials = two_by_two(page.data)
    for key in page.results:
        measure, _, rule = key.partition("_")
        if rule == "drop00":
            found, how = effect_sizes(measure, **trials, double_zero="drop"), "double_zero='drop'"
        else:
            found = effect_sizes(measure, **trials, increment_to=_RULES[rule])  # type: ignore[arg-type]  # a rule's name
            how = f"increment_to={_RULES[rule]!r}"
        call = f"cf.effect_sizes({measure!r}, ..., {how})"
        yield from page.entries(key, found, {"yi": "yi", "vi": "vi"}, call, CLOSED)


def _partial() -> Iterator[Entry]:
    page = open_page("effects", "escalc_partial")
    found = effect_sizes("PCOR", t=page.data["ti"], n=page.data["n"], predictors=page.data["m"])
    yield from page.entries("PCOR", found, {"yi": "yi", "vi": "vi"}, "cf.effect_sizes('PCOR', t=...)", CLOSED)


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (
    *(partial(_sizes, name) for name in _FILES),
    _zeros,
    _partial,
)
