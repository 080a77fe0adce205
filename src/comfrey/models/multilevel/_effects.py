"""Predictions of the random effects themselves (BLUPs)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from comfrey.models.multilevel._blocks import cell_offsets
from comfrey.models.multilevel._grouping import Floats, count
from comfrey.models.multilevel._structures import cell_table
from comfrey.models.multilevel._terms import StructuredTerm

if TYPE_CHECKING:
    from comfrey.models.multilevel._problem import Problem


def random_covariance(problem: Problem, w: Floats, term: int) -> Floats:
    """G (s, s) of a term at the cells w, in the units of w."""
    table = cell_table(problem.terms[term])
    offset = cell_offsets(problem.terms)[term]
    return np.where(table >= 0, np.asarray(w)[np.maximum(table, 0) + offset], 0.0)


def predicted_effects(problem: Problem, w: Floats, level: float, df: float) -> pd.DataFrame:
    """Best linear unbiased predictions of all random effects, one row each.

    u = G Z'Py, and its error has the variance G - G Z'P Z G, the uncertainty of the coefficients included.

    Robinson GK (1991). Statistical Science 6:15-32. doi:10.1214/ss/1177011926
    """
    weighted = problem.engine.weighted(w)
    best = problem.best(w)
    frames = []
    for i, term in enumerate(problem.terms):
        levels = term.inner_labels if isinstance(term, StructuredTerm) else ("",)
        s = len(levels)
        groups = count(term.codes)
        cell = term.codes * s + (term.inner if isinstance(term, StructuredTerm) else 0)
        flat = np.zeros((groups * s, weighted.shape[1]))
        np.add.at(flat, cell, weighted)
        sums: npt.NDArray[np.float64] = flat.reshape(groups, s, -1)
        covariance = random_covariance(problem, w, i)
        residual = sums[:, :, 0] - sums[:, :, 1:] @ best.beta
        inside = problem.engine.group_blocks(w, i)
        inside = inside - sums[:, :, 1:] @ best.beta_covariance @ sums[:, :, 1:].swapaxes(1, 2)
        effects = (residual @ covariance) * problem.scale
        error = covariance - covariance @ inside @ covariance
        se = np.sqrt(np.maximum(np.einsum("gss->gs", error), 0.0)) * problem.scale
        labels = np.array(list(term.outer_labels if isinstance(term, StructuredTerm) else term.labels), dtype=object)
        frame = pd.DataFrame({"term": term.name, "group": np.repeat(labels, s)})
        frame["level"] = np.tile(np.array(levels, dtype=object), groups)
        frame["estimate"], frame["se"] = effects.reshape(-1), se.reshape(-1)
        frames.append(frame)
    columns = ["term", "group", "level", "estimate", "se"]
    out = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
    normal = np.isinf(df)
    reach = float(stats.norm.ppf(0.5 + level / 2) if normal else stats.t.ppf(0.5 + level / 2, df)) * out["se"]
    return out.assign(pi_low=out["estimate"] - reach, pi_high=out["estimate"] + reach)
