"""The door of the one-stage models for counts: read, fit, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from comfrey.errors import InputError
from comfrey.models.counts._beta_binomial import fit_beta_binomial
from comfrey.models.counts._fit import fit_fixed, maximise
from comfrey.models.counts._heterogeneity import heterogeneity
from comfrey.models.counts._input import read_counts
from comfrey.models.counts._problems import CODINGS, one_arm, two_arms
from comfrey.models.counts._report import report, report_beta_binomial
from comfrey.models.counts._request import Request

if TYPE_CHECKING:
    from comfrey.models.counts._input import Counts
    from comfrey.models.counts._kernels import Array
    from comfrey.models.counts.result import CountModel

__all__ = ["count_model", "fit_counts"]

_ARGUMENTS = {
    "PLO": [("cases", "total")],
    "IRLN": [("events", "time")],
    "OR": [("events_1", "total_1"), ("events_2", "total_2")],
    "IRR": [("events_1", "time_1"), ("events_2", "time_2")],
}
# The first model of each measure is its default.
_MODELS = {
    "PLO": ("binomial-normal", "beta-binomial"),
    "IRLN": ("poisson-normal",),
    "OR": ("conditional-exact", "fixed-study", "random-study", "conditional-approximate"),
    "IRR": ("conditional-exact", "fixed-study", "random-study"),
}
_WITH_CODING = ("fixed-study", "random-study")


def count_model(
    measure: str,
    *,
    data: Any = None,
    model: str | None = None,
    coding: str = "half",
    test: str = "z",
    level: float = 0.95,
    points: int | None = None,
    **counts: Any,
) -> CountModel:
    r"""Pool counts in one stage, by the likelihood of the counts themselves.

    The counts of study i are binomial or Poisson given the study's own effect, and the effects are normal between
    studies [1]_; for a proportion

    .. math:: x_i \mid \theta_i \sim \mathrm{Bin}(n_i, \mathrm{logit}^{-1}\theta_i), \qquad
              \theta_i \sim N(\mu, \tau^2)

    so that no study needs a continuity correction. For two arms, with :math:`c_1 - c_2 = 1`,

    .. math:: \mathrm{logit}\,p_{i1} = \alpha_i + c_1\theta_i, \qquad \mathrm{logit}\,p_{i2} = \alpha_i + c_2\theta_i

    and the models differ in what they do with :math:`\alpha_i` [2]_. The likelihood is integrated by adaptive
    Gauss-Hermite quadrature and maximised; standard errors come from the observed information in all parameters.

    Parameters
    ----------
    measure : {"PLO", "IRLN", "OR", "IRR"}
        Logit proportion (`cases`, `total`), log rate (`events`, `time`), log odds ratio (`events_1`, `total_1`,
        `events_2`, `total_2`) or log rate ratio (`events_1`, `time_1`, `events_2`, `time_2`).
    data : DataFrame or mapping, optional
        Then the counts may be column names.
    model : str, optional
        PLO: "binomial-normal" (default), or "beta-binomial" (proportions beta distributed between studies; the
        estimate is the logit of their mean, and the spread is the intraclass correlation `rho`) [3]_.
        OR and IRR:

        - "conditional-exact" (default): given the events of both arms together, :math:`\alpha_i` drops out: the
          noncentral hypergeometric distribution for OR, the binomial for IRR.
        - "conditional-approximate" (OR): the same with a binomial in place of the hypergeometric; for rare events.
        - "fixed-study": each :math:`\alpha_i` is a parameter of its own, profiled out.
        - "random-study": the :math:`\alpha_i` are normal as well, independent of the effects.
    coding : {"half", "treatment", "control"}
        Fixed-study and random-study only: how the random effect enters the arms, :math:`(c_1, c_2)` = (1/2, -1/2),
        (1, 0) or (0, -1). The models differ: only "half" gives both arms the same variance.
    test : {"z", "t"}
        Reference distribution of test and intervals: normal, or t with k - 1 degrees of freedom. Both the confidence
        and the prediction interval use it.
    level : float
        Of the intervals, between 0 and 1.
    points : int, optional
        Quadrature points in each dimension (5 to 100). Left out, they start at 15 and grow until the log-likelihood
        stands still; where more than 100 would be needed, the rule changes to one for skewed integrands.
    **counts
        One array (or column name) for each count and denominator, one value a study.

    Returns
    -------
    CountModel
        On the scale of analysis (logit, log). Studies without events stay in wherever the likelihood has use for
        them; the others are in `excluded`.

    Raises
    ------
    InputError
        An argument cannot be used as given.
    NotEstimableError
        No study, or counts that put the estimate at infinity.
    ConvergenceError
        No maximum was reached: there is no number to give.

    References
    ----------
    .. [1] Stijnen T, Hamza TH, Ozdemir P. Random effects meta-analysis of event outcome in the framework of the
       generalized linear mixed model with applications in sparse data. Stat Med 2010;29:3046-3067.
       doi:10.1002/sim.4040
    .. [2] Jackson D, Law M, Stijnen T, Viechtbauer W, White IR. A comparison of seven random-effects models for
       meta-analyses that estimate the summary odds ratio. Stat Med 2018;37:1059-1085. doi:10.1002/sim.7588
    .. [3] Kuss O. Statistical methods for meta-analyses including information from studies without any events.
       Stat Med 2015;34:1097-1116. doi:10.1002/sim.6383

    Examples
    --------
    >>> fit = count_model("PLO", cases=[30, 12, 55, 8], total=[100, 80, 240, 31])
    >>> round(fit.estimate, 4), round(fit.tau2, 4)
    (-1.1965, 0.0191)
    >>> round(fit.back_transformed()["estimate"], 3)
    0.232

    A study without events in one arm needs no correction:

    >>> arms = {"events_1": [0, 4, 9], "total_1": [40, 52, 81], "events_2": [3, 11, 14], "total_2": [41, 50, 80]}
    >>> fit = count_model("OR", model="conditional-exact", **arms)
    >>> round(fit.back_transformed()["estimate"], 2)
    0.41
    """
    if not isinstance(measure, str) or measure not in _ARGUMENTS:
        raise InputError("measure", found=repr(measure), expected=" or ".join(_ARGUMENTS))
    model = _MODELS[measure][0] if model is None else model
    _check_options(measure, model, coding, test, level, points)
    given = read_counts(_ARGUMENTS[measure], counts, data, time=measure in {"IRLN", "IRR"})
    return fit_counts(given, Request(measure, model, coding, test, level, points))


def fit_counts(given: Counts, request: Request, start: tuple[Array, Array] | None = None) -> CountModel:
    """Fit a model to clean counts; `start` holds coefficients and own parameters of a fit nearby."""
    measure, model, coding, points = request.measure, request.model, request.coding, request.points
    rates = measure in {"IRLN", "IRR"}
    single = measure in {"PLO", "IRLN"}
    setup = one_arm(given, rates=rates) if single else two_arms(given, model, coding, rates=rates)
    tests = heterogeneity(setup, points)
    if model == "beta-binomial":
        fit = fit_beta_binomial(given)
        return report_beta_binomial(fit, setup, tests, request)
    beta, alpha = setup.beta, setup.alpha
    if start is not None and start[0].shape == beta.shape and start[1].shape == alpha.shape:
        beta, alpha = start
    if setup.problem.studies == 1:
        found = fit_fixed(setup.problem, setup.beta, setup.alpha)
    else:
        found = maximise(setup.problem, beta, alpha, points)
    return report(found, setup, tests, request)


def _check_options(measure: str, model: str, coding: str, test: str, level: Any, points: Any) -> None:
    """Refuse options that are unknown, or that do not go together."""
    if model not in _MODELS[measure]:
        fix = None
        if (measure, model) == ("IRR", "conditional-approximate"):
            fix = "For rates the exact conditional likelihood is binomial: there is nothing to approximate."
        raise InputError("model", found=repr(model), expected=" or ".join(_MODELS[measure]), fix=fix)
    if coding not in tuple(CODINGS):
        raise InputError("coding", found=repr(coding), expected=" or ".join(CODINGS))
    if coding != "half" and model not in _WITH_CODING:
        raise InputError("coding", found=repr(coding), expected=f"no coding for the model {model}")
    if test not in ("z", "t"):
        raise InputError("test", found=repr(test), expected='"z" or "t"')
    if not isinstance(level, (int, float, np.floating)) or not 0 < level < 1:
        raise InputError("level", found=repr(level), expected="a number between 0 and 1")
    if points is not None and (not isinstance(points, (int, np.integer)) or not 5 <= points <= 100):
        raise InputError("points", found=repr(points), expected="a whole number from 5 to 100")
