"""The door of the one-stage models for counts: read, fit, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.counts._fit import fit_fixed, maximise
from comfrey.models.counts._input import Counts, read_counts
from comfrey.models.counts._kernels import Array, Binomial, Poisson
from comfrey.models.counts._quadrature import Problem
from comfrey.models.counts._report import report

if TYPE_CHECKING:
    from comfrey.models.counts.result import CountModel

__all__ = ["count_model"]

_ARGUMENTS = {
    "PLO": [("cases", "total")],
    "IRLN": [("events", "time")],
    "OR": [("events_1", "total_1"), ("events_2", "total_2")],
    "IRR": [("events_1", "time_1"), ("events_2", "time_2")],
}


def count_model(
    measure: str,
    *,
    data: Any = None,
    test: str = "z",
    level: float = 0.95,
    points: int | None = None,
    **counts: Any,
) -> CountModel:
    r"""Pool counts in one stage, by the likelihood of the counts themselves.

    The counts of study i are binomial or Poisson given the study's own effect, and the effects are normal between
    studies [1]_:

    .. math:: x_i \mid \theta_i \sim \mathrm{Bin}(n_i, \mathrm{logit}^{-1}\theta_i), \qquad
              \theta_i \sim N(\mu, \tau^2)

    so that no study needs a continuity correction. The likelihood is integrated by adaptive Gauss-Hermite quadrature
    and maximised (maximum likelihood); standard errors come from the observed information in all parameters.

    Parameters
    ----------
    measure : {"PLO", "IRLN"}
        Logit proportion (`cases`, `total`) or log rate (`events`, `time`).
    data : DataFrame or mapping, optional
        Then the counts may be column names.
    test : {"z", "t"}
        Reference distribution of test and intervals: normal, or t with k - 1 degrees of freedom. Both the confidence
        and the prediction interval use it.
    level : float
        Of the intervals, between 0 and 1.
    points : int, optional
        Quadrature points (5 or more). Left out, they start at 15 and are doubled until the log-likelihood stands
        still.
    **counts
        One array (or column name) for each count and denominator, one value a study.

    Returns
    -------
    CountModel
        On the scale of analysis (logit, log).

    Raises
    ------
    InputError
        An argument cannot be used as given.
    NotEstimableError
        No study, no event at all, or nothing but events.
    ConvergenceError
        No maximum was reached: there is no number to give.

    References
    ----------
    .. [1] Stijnen T, Hamza TH, Ozdemir P. Random effects meta-analysis of event outcome in the framework of the
       generalized linear mixed model with applications in sparse data. Stat Med 2010;29:3046-3067.
       doi:10.1002/sim.4040

    Examples
    --------
    >>> fit = count_model("PLO", cases=[30, 12, 55, 8], total=[100, 80, 240, 31])
    >>> round(fit.estimate, 4), round(fit.tau2, 4)
    (-1.1965, 0.0191)
    >>> round(fit.back_transformed()["estimate"], 3)
    0.232
    """
    if measure not in _ARGUMENTS:
        raise InputError("measure", found=repr(measure), expected=" or ".join(_ARGUMENTS))
    if test not in {"z", "t"}:
        raise InputError("test", found=repr(test), expected='"z" or "t"')
    if not 0 < level < 1:
        raise InputError("level", found=level, expected="a number between 0 and 1")
    if points is not None and (points != int(points) or not 5 <= points <= 200):
        raise InputError("points", found=points, expected="a whole number from 5 to 200")
    rates = measure in {"IRLN", "IRR"}
    given = read_counts(_ARGUMENTS[measure], counts, data, time=rates)
    problem, beta, model = _one_arm(measure, given)
    alone = problem.studies == 1
    fit = fit_fixed(problem, beta, np.zeros(0)) if alone else maximise(problem, beta, np.zeros(0), points)
    return report(fit, given, measure=measure, model=model, test=test, level=level, time=rates)


def _one_arm(measure: str, given: Counts) -> tuple[Problem, Array, str]:
    """Set up the problem for single proportions or rates, with a start for its coefficient."""
    events, size = given.events.sum(), given.size.sum()
    if events == 0:
        raise NotEstimableError("no study has an event: the log odds or log rate has no finite estimate")
    studies = given.events.shape[1]
    shape = {"offset": np.zeros((1, studies)), "design": np.ones((1, studies, 1)), "loadings": np.ones((1, 1))}
    if measure == "IRLN":
        return (
            Problem(Poisson.of(given.events, given.size), **shape),
            np.array([np.log(events / size)]),
            "poisson-normal",
        )
    if events == size:
        raise NotEstimableError("every participant of every study has the event: the log odds has no finite estimate")
    start = np.array([np.log(events / (size - events))])
    return Problem(Binomial.of(given.events, given.size), **shape), start, "binomial-normal"
