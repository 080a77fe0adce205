"""The engine as findings use it: pooled numbers on the reading scale, with reasons for those that are missing.

No estimate is computed here; models and effect measures do that. This module asks them and passes on what they say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from comfrey.errors import ConvergenceError, NotEstimableError
from comfrey.findings.finding import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comfrey.effects.sizes import EffectSizes
    from comfrey.review.spec import Method, Test

__all__ = ["Pooled", "own_results", "pool_effects", "pool_proportions", "single_proportions"]

ONE_STUDY = "one study: nothing to pool"
FEW_FOR_PREDICTION = "fewer than three studies: no prediction interval"
NO_STUDY = "no eligible study"


@dataclass(frozen=True, slots=True)
class Pooled:
    """What the engine said, on the reading scale."""

    model: str
    result: Interval | None = None
    pi_low: float | None = None
    pi_high: float | None = None
    tau2: float | None = None
    i2: float | None = None
    weights: tuple[float, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


def single_proportions(cases: Sequence[int], totals: Sequence[int]) -> list[Interval]:
    """Return each study's own percentage with Wilson's interval."""
    from comfrey.effects.wilson import wilson_interval

    low, high = wilson_interval(np.array(cases), np.array(totals))
    share = np.array(cases) / np.array(totals)
    return [Interval(*(100 * float(part) for part in trio)) for trio in zip(share, low, high, strict=True)]


def own_results(effects: EffectSizes, scale: float = 1.0) -> list[Interval]:
    """Return each study's own effect with its normal interval, on the reading scale."""
    frame, measure = effects.summary, effects.measure
    n = effects.n if measure.scale.needs_n else None
    columns = [measure.back_transform(frame[name].to_numpy(), n) for name in ("yi", "ci_low", "ci_high")]
    return [Interval(*(scale * float(value) for value in row)) for row in zip(*columns, strict=True)]


def pool_proportions(
    cases: Sequence[int], totals: Sequence[int], measure: str, stages: int, two_studies: str | None = None
) -> Pooled:
    """Pool proportions, in one stage (binomial-normal likelihood) or in two.

    Parameters
    ----------
    cases, totals : sequence of int
        At least two studies.
    measure : {"PLO", "PFT"}
        Logit or Freeman-Tukey.
    stages : {1, 2}
        One-stage model, or effect sizes pooled by REML with the Hartung-Knapp test.
    two_studies : {"normal"}, optional
        Use the normal interval where just two studies are pooled.

    Returns
    -------
    Pooled
        On the percent scale.
    """
    import comfrey as cf

    x, n = np.array(cases), np.array(totals)
    test = "z" if len(x) == 2 and two_studies == "normal" else "t"
    if stages == 2 or measure != "PLO":
        sizes = cf.effect_sizes(measure, cases=x, total=n)
        return pool_effects(sizes, "REML", "z" if test == "z" else "hk", scale=100.0)
    model = f"binomial-normal, one stage, maximum likelihood, {'normal' if test == 'z' else 't'} interval"
    try:
        fit = cf.count_model("PLO", cases=x, total=n, test=test)
    except (ConvergenceError, NotEstimableError) as error:
        return Pooled(model, reasons=dict.fromkeys(("estimate", "ci_low", "ci_high", "pi_low", "pi_high"), str(error)))
    percent = fit.back_transformed()
    shown = {name: 100 * float(percent[name]) for name in ("estimate", "ci_low", "ci_high", "pi_low", "pi_high")}
    reasons = {"i2": "not defined for a one-stage model", "weights": "not defined for a one-stage model"}
    if len(x) < 3:
        reasons |= dict.fromkeys(("pi_low", "pi_high"), FEW_FOR_PREDICTION)
    return Pooled(
        model,
        Interval(shown["estimate"], shown["ci_low"], shown["ci_high"]),
        None if len(x) < 3 else shown["pi_low"],
        None if len(x) < 3 else shown["pi_high"],
        tau2=fit.tau2,
        reasons=reasons,
    )


def pool_effects(effects: EffectSizes, method: Method, test: Test, scale: float = 1.0) -> Pooled:
    """Pool effect sizes by inverse variance and read them on the measure's own scale.

    Parameters
    ----------
    effects : EffectSizes
        At least two studies.
    method, test : str
        As for :func:`comfrey.pool`.
    scale : float
        Unit of the reading scale: 100 for percent.
    """
    import comfrey as cf

    words = {"hk": "Hartung-Knapp", "hk-adhoc": "Hartung-Knapp, never narrower than z", "z": "normal", "t": "t"}
    model = f"random effects, inverse variance, tau2 by {method}, {words.get(test, test)} interval"
    try:
        fit = cf.pool(effects, method=method, test=test)
    except (ConvergenceError, NotEstimableError) as error:
        return Pooled(model, reasons=dict.fromkeys(("estimate", "ci_low", "ci_high", "pi_low", "pi_high"), str(error)))

    read = fit.reading
    few = len(effects.yi) < 3
    return Pooled(
        model,
        Interval(*(scale * float(value) for value in (read.estimate, read.ci_low, read.ci_high))),
        None if few else scale * float(read.pi_low),
        None if few else scale * float(read.pi_high),
        tau2=float(fit.tau2),
        i2=float(fit.i2),
        weights=tuple(float(weight) for weight in fit.weights),
        reasons=dict.fromkeys(("pi_low", "pi_high"), FEW_FOR_PREDICTION) if few else {},
    )
