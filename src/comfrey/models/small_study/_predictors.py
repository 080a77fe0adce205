"""What the tests by regression regress on what: one entry for each published variant.

Sources: Egger et al. 1997 (doi:10.1136/bmj.315.7109.629); Harbord et al. 2006 (doi:10.1002/sim.2380); Peters et al.
2006 (doi:10.1001/jama.295.6.676); Macaskill et al. 2001 (doi:10.1002/sim.698); Deeks et al. 2005
(doi:10.1016/j.jclinepi.2005.01.016); Pustejovsky & Rodgers 2019 (doi:10.1002/jrsm.1332).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from comfrey.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from comfrey.effects.measure import Array
    from comfrey.effects.sizes import EffectSizes
    from comfrey.models._view import FitView

__all__ = ["PREDICTORS", "VARIANTS", "Regressed", "predictor_of", "regressed_by"]

PREDICTORS = ("se", "variance", "n", "inverse-n", "root-inverse-n")


class Regressed(NamedTuple):
    """Outcome, predictor and weights of a regression test, each of shape (k,), and the predictor in words."""

    outcome: Array
    predictor: Array
    weights: Array
    words: str


def predictor_of(view: FitView, name: str) -> Array:
    """Values of a named predictor.

    Raises
    ------
    InputError
        If it needs numbers of people that the fit does not have.
    """
    if name == "se":
        return np.sqrt(view.vi)
    if name == "variance":
        return view.vi
    if view.n is None or not np.isfinite(view.n).all():
        fix = "Pool effect sizes made from group sizes, or use predictor='se'."
        raise InputError("predictor", found=repr(name), expected="numbers of people, which the fit has not", fix=fix)
    return {"n": view.n, "inverse-n": 1.0 / view.n, "root-inverse-n": 1.0 / np.sqrt(view.n)}[name]


def regressed_by(variant: str, view: FitView, sizes: EffectSizes | None) -> Regressed:
    """Outcome, predictor and weights of a variant.

    Raises
    ------
    InputError
        If the variant needs columns that are not there.
    """
    needed, make = VARIANTS[variant]
    if sizes is None or not hasattr(sizes, "inputs"):
        fix = "Give the effect sizes that were pooled: sizes=comfrey.effect_sizes(...)."
        found = "nothing" if sizes is None else type(sizes).__name__
        raise InputError("sizes", found=found, expected=f"effect sizes with {', '.join(needed)}", fix=fix)
    if len(sizes) <= int(view.rows.max()):
        raise InputError("sizes", found=f"{len(sizes)} rows", expected="the effect sizes that were pooled")
    absent = [name for name in needed if name not in sizes.inputs]
    if absent:
        held = ", ".join(sizes.inputs)
        raise InputError("sizes", found=held, expected=f"the columns {', '.join(needed)} for the {variant} test")
    if not np.allclose(sizes.yi[view.rows], view.yi, equal_nan=True):
        raise InputError("sizes", found="other estimates", expected="the effect sizes that were pooled")
    if variant == "pustejovsky" and sizes.measure.unit != "standardised difference":
        fix = "Use variant='egger': the errors of other measures do not hang on the group sizes alone."
        raise InputError("sizes", found=sizes.measure.label, expected="standardised mean differences", fix=fix)
    return make(view, {name: np.asarray(sizes.inputs[name], dtype=float)[view.rows] for name in needed})


def _harbord(view: FitView, x: Mapping[str, Array]) -> Regressed:
    """Score of each table over its variance (both under no effect), on the root of that variance's inverse."""
    del view
    events, total = x["events_1"] + x["events_2"], x["total_1"] + x["total_2"]
    score = x["events_1"] - x["total_1"] * events / total
    spread = x["total_1"] * x["total_2"] * events * (total - events) / (total * total * (total - 1.0))
    row = np.flatnonzero(~(spread > 0))
    if row.size:
        expected = "at least one event and one non-event in each study for the Harbord test"
        raise InputError("sizes", found="none", expected=expected, row=int(row[0]))
    return Regressed(score / spread, 1.0 / np.sqrt(spread), spread, "inverse root of the score's variance")


def _totals(x: Mapping[str, Array], test: str) -> tuple[Array, Array]:
    events, total = x["events_1"] + x["events_2"], x["total_1"] + x["total_2"]
    row = np.flatnonzero((events <= 0) | (events >= total))
    if row.size:
        expected = f"at least one event and one non-event in each study for the {test} test"
        raise InputError("sizes", found="none", expected=expected, row=int(row[0]))
    return total, events * (total - events) / total  # 1/(1/events + 1/non-events)


def _peters(view: FitView, x: Mapping[str, Array]) -> Regressed:
    total, weights = _totals(x, "Peters")
    return Regressed(view.yi, 1.0 / total, weights, "inverse of the number of people")


def _macaskill(view: FitView, x: Mapping[str, Array]) -> Regressed:
    total, weights = _totals(x, "Macaskill")
    return Regressed(view.yi, total, weights, "number of people")


def _deeks(view: FitView, x: Mapping[str, Array]) -> Regressed:
    effective = 4.0 * x["total_1"] * x["total_2"] / (x["total_1"] + x["total_2"])
    return Regressed(view.yi, 1.0 / np.sqrt(effective), effective, "inverse root of the effective number of people")


def _pustejovsky(view: FitView, x: Mapping[str, Array]) -> Regressed:
    spread = 1.0 / x["n_1"] + 1.0 / x["n_2"]
    return Regressed(view.yi, np.sqrt(spread), 1.0 / spread, "standard error without the part that holds the estimate")


_TABLE = ("events_1", "total_1", "events_2", "total_2")
VARIANTS: dict[str, tuple[tuple[str, ...], Callable[[FitView, Mapping[str, Array]], Regressed]]] = {
    "harbord": (_TABLE, _harbord),
    "peters": (_TABLE, _peters),
    "macaskill": (_TABLE, _macaskill),
    "deeks": (("total_1", "total_2"), _deeks),
    "pustejovsky": (("n_1", "n_2"), _pustejovsky),
}
