"""Networks of odds ratios from the exact likelihood of the counts, for rare events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, gammaln, xlog1py, xlogy

from comfrey.errors import ConvergenceError, InputError, NotEstimableError
from comfrey.models._maximum import Certificate
from comfrey.models.network._contrasts import Contrasts
from comfrey.models.network._ranking import p_scores
from comfrey.models.network._structure import islands
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["LikelihoodNetwork", "hypergeometric_network", "penalised_logistic_network"]

_STEPS = 200


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LikelihoodNetwork(Result):
    """A common-effect network of log odds ratios from a likelihood of counts.

    Attributes
    ----------
    model : str
        Which likelihood.
    treatments : tuple of str
        Labels, sorted.
    reference : str
        What `summary` compares with.
    level : float
        Of the normal intervals.
    small_values : str or None
        Which direction is good.
    k : int
        Number of studies.
    log_likelihood : float
        At the maximum (with the penalty, where there is one).
    gradient : float
        Largest scaled gradient at the maximum.
    iterations : int
        Newton steps.
    notes : tuple of str
        Studies left out.
    """

    model: str
    treatments: tuple[str, ...]
    reference: str
    level: float
    small_values: str | None
    k: int
    log_likelihood: float
    gradient: float
    iterations: int
    notes: tuple[str, ...]
    _theta: NDArray[np.float64]
    _covariance: NDArray[np.float64]

    def _frame(self, values: NDArray[np.float64]) -> pd.DataFrame:
        index = pd.Index(self.treatments, name="treatment")
        return pd.DataFrame(values, index=index, columns=index)

    @property
    def effects(self) -> pd.DataFrame:
        """Log odds ratios: row minus column."""
        return self._frame(self._theta[:, None] - self._theta)

    @property
    def standard_errors(self) -> pd.DataFrame:
        """Standard errors of `effects`."""
        own = np.diagonal(self._covariance)
        return self._frame(np.sqrt(np.maximum(own[:, None] + own - 2 * self._covariance, 0.0)))

    @property
    def p_scores(self) -> pd.Series:
        """P-scores by treatment."""
        if self.small_values is None:
            raise InputError("small_values", found="nothing", expected="'desirable' or 'undesirable'")
        scores = p_scores(self.effects.to_numpy(), self.standard_errors.to_numpy(), self.small_values)
        return pd.Series(scores, index=pd.Index(self.treatments, name="treatment"), name="p_score")

    @property
    def summary(self) -> pd.DataFrame:
        """One row a treatment, against the reference."""
        estimate, se = self.effects[self.reference], self.standard_errors[self.reference]
        half = stats.norm.ppf(0.5 * (1 + self.level)) * se
        table = pd.DataFrame({"estimate": estimate, "se": se, "ci_low": estimate - half, "ci_high": estimate + half})
        table = table.drop(index=self.reference)
        table["p_value"] = 2 * stats.norm.sf(np.abs(table["estimate"] / table["se"]))
        return table

    @property
    def certificate(self) -> Certificate:
        """What is known about the search: this log-likelihood is concave, so that its maximum is the only one."""
        return Certificate(True, self.iterations, self.gradient, False, 1, True)

    @property
    def headline(self) -> tuple[str, ...]:
        """Model and sizes."""
        return (
            f"Network meta-analysis of OR, {self.model}: {len(self.treatments)} treatments, {self.k} studies",
            f"Common effects against {self.reference}; {100 * self.level:g}% normal intervals",
            f"Log likelihood {self.log_likelihood:.4f}, largest scaled gradient {self.gradient:.1e}",
            *self.notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Every public field and the effects, as plain JSON values."""
        result = Result.to_dict(self)
        result["effects"] = plain(self.summary.reset_index())
        return result


@dataclass(frozen=True, slots=True)
class _Counts:
    """Arms of each study: indices of treatments, events and totals."""

    treatments: tuple[str, ...]
    studies: tuple[str, ...]
    arms: tuple[NDArray[np.int64], ...]
    events: tuple[NDArray[np.float64], ...]
    total: tuple[NDArray[np.float64], ...]


def _counts(source: Any) -> _Counts:
    if not isinstance(source, Contrasts) or source.measure != "OR":
        found = f"measure {source.measure}" if isinstance(source, Contrasts) else type(source).__name__
        raise InputError("source", found=found, expected="the result of comfrey.contrasts with measure OR")
    frame = source.arms
    if not ((frame["events"] % 1 == 0).all() and (frame["total"] % 1 == 0).all()):
        raise InputError("source", found="counts with fractions", expected="whole numbers of events and totals")
    treatments = tuple(sorted(set(frame["treatment"])))
    place = {t: i for i, t in enumerate(treatments)}
    studies, arms, events, total = [], [], [], []
    for name, part in frame.groupby("study", sort=False):
        studies.append(str(name))
        arms.append(np.array([place[t] for t in part["treatment"]]))
        events.append(part["events"].to_numpy(dtype=np.float64))
        total.append(part["total"].to_numpy(dtype=np.float64))
    counts = _Counts(treatments, tuple(studies), tuple(arms), tuple(events), tuple(total))
    parts = islands(len(treatments), [a[None] for a in arms])
    if parts.max() > 0:
        here = ", ".join(t for t, p in zip(treatments, parts, strict=True) if p == parts.max())
        raise InputError(
            "source", found=f"{parts.max() + 1} parts that no study connects (one is {here})",
            expected="a connected network", fix="Analyse each part by itself",
        )  # fmt: skip
    return counts


def _given_total(
    theta: NDArray[np.float64], total: NDArray[np.float64], events: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Conditional log likelihood of one study given its number of events, with mean and covariance of the counts.

    The noncentral hypergeometric weights are binomial probabilities up to a constant, for whatever common shift of
    the log odds. The shift that makes the expected number of events the observed one keeps every term in range.
    """
    t = int(events.sum())
    shift = _match(theta, total, float(t))
    p = expit(theta + shift)
    tables = [stats.binom.pmf(np.arange(min(int(n), t) + 1), n, q) for n, q in zip(total, p, strict=True)]
    whole = _convolve(tables, t)
    mass = float(whole[t])
    log_binomial = gammaln(total + 1) - gammaln(events + 1) - gammaln(total - events + 1)
    height = float((log_binomial + xlogy(events, p) + xlog1py(total - events, -p)).sum()) - float(np.log(mass))
    a = total.size
    mean, second = np.zeros(a), np.zeros((a, a))
    for i in range(a):
        u = np.arange(tables[i].size)
        rest = _convolve([x for m, x in enumerate(tables) if m != i], t)
        chance = tables[i] * rest[t - u] / mass
        mean[i], second[i, i] = float(u @ chance), float((u * u) @ chance)
        for j in range(i + 1, a):
            w = np.arange(tables[j].size)
            others = _convolve([x for m, x in enumerate(tables) if m not in (i, j)], t)
            left = t - u[:, None] - w[None, :]
            joint = np.outer(tables[i], tables[j]) * np.where(left >= 0, others[np.maximum(left, 0)], 0.0) / mass
            second[i, j] = second[j, i] = float(u @ joint @ w)
    return height, mean, second - np.outer(mean, mean)


def _match(theta: NDArray[np.float64], total: NDArray[np.float64], events: float) -> float:
    """Shift of the log odds at which the expected number of events is the observed one."""
    low, high = -60.0 - float(theta.max()), 60.0 - float(theta.min())
    for _ in range(80):
        middle = 0.5 * (low + high)
        if float((total * expit(theta + middle)).sum()) < events:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _convolve(tables: list[NDArray[np.float64]], t: int) -> NDArray[np.float64]:
    """Distribution of a sum up to t, as a (t + 1,) array."""
    result = np.zeros(t + 1)
    result[0] = 1.0
    for table in tables:
        result = np.convolve(result, table)[: t + 1]
    return result


def _newton(
    value: Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64], NDArray[np.float64]]],
    start: NDArray[np.float64],
    name: str,
) -> tuple[NDArray[np.float64], float, NDArray[np.float64], float, int]:
    """Maximise by Newton steps that are halved until they go up; the gradient certifies the end."""
    x = start
    height, gradient, information = value(x)
    for step in range(_STEPS):
        try:
            move = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            raise NotEstimableError(
                f"the {name} likelihood has no single maximum: an effect is not identified"
            ) from None
        decrement = float(gradient @ move)
        if decrement < 1e-20 or float(np.abs(move).max()) < 1e-12:
            return x, height, np.asarray(np.linalg.inv(information)), float(np.sqrt(max(decrement, 0.0))), step
        if float(np.abs(x + move).max()) > 40:
            raise NotEstimableError(
                f"the {name} likelihood rises without end: a treatment has no events (or only events)"
            )
        size = 1.0
        while size > 1e-6:
            new = value(x + size * move)
            if new[0] >= height - 1e-12 * abs(height):
                break
            size *= 0.5
        x = x + size * move
        height, gradient, information = new
    raise ConvergenceError(f"the {name} likelihood was not maximised in {_STEPS} steps")


def _choose(counts: _Counts, reference: str | None) -> str:
    if reference is None:
        return counts.treatments[int(np.argmax(np.bincount(np.concatenate(counts.arms))))]
    if str(reference) not in counts.treatments:
        raise InputError("reference", found=repr(reference), expected=f"one of {', '.join(counts.treatments)}")
    return str(reference)


def _result(
    counts: _Counts, source: Contrasts, model: str, small_values: str | None, level: float, reference: str | None,
    fit: tuple[NDArray[np.float64], float, NDArray[np.float64], float, int],
) -> LikelihoodNetwork:  # fmt: skip
    theta, height, inverse, gradient, steps = fit
    n = len(counts.treatments)
    full, covariance = np.zeros(n), np.zeros((n, n))
    full[1:], covariance[1:, 1:] = theta, inverse
    return LikelihoodNetwork(
        model=model, treatments=counts.treatments, reference=_choose(counts, reference), level=float(level),
        small_values=small_values, k=len(counts.studies), log_likelihood=height, gradient=gradient, iterations=steps,
        notes=tuple(x for x in source.notes if x.startswith("Left out")), _theta=full, _covariance=covariance,
    )  # fmt: skip


def hypergeometric_network(
    source: Contrasts, *, small_values: str | None = None, level: float = 0.95, reference: str | None = None
) -> LikelihoodNetwork:
    r"""Common-effect network of odds ratios from the exact conditional likelihood.

    .. math:: P(z \mid \textstyle\sum z) \propto \prod_i \binom{n_i}{z_i} e^{z_i \theta_i}

    Each study is taken given its number of events, so that its own risk drops out and nothing is added to empty
    cells.

    Parameters
    ----------
    source : Contrasts
        From :func:`comfrey.contrasts` with measure OR.
    small_values, level, reference
        As in :func:`comfrey.network`.

    Returns
    -------
    LikelihoodNetwork

    Raises
    ------
    InputError
        If `source` does not hold the arms of odds ratios, or is not connected.
    NotEstimableError
        If an odds ratio is zero or infinite.
    ConvergenceError
        If the maximum is not reached.

    References
    ----------
    Stijnen T, Hamza TH, Özdemir P. Stat Med 2010;29:3046-3067, doi:10.1002/sim.4040.
    Efthimiou O, Rücker G, Schwarzer G, et al. Stat Med 2019;38:2992-3012, doi:10.1002/sim.8158.
    """
    counts = _counts(source)
    n = len(counts.treatments)

    def value(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        theta = np.concatenate([[0.0], free])
        height, gradient, information = 0.0, np.zeros(n), np.zeros((n, n))
        for arms, events, total in zip(counts.arms, counts.events, counts.total, strict=True):
            h, mean, covariance = _given_total(theta[arms], total, events)
            height += h
            gradient[arms] += events - mean
            information[np.ix_(arms, arms)] += covariance
        return height, gradient[1:], information[1:, 1:]

    fit = _newton(value, np.zeros(n - 1), "noncentral hypergeometric")
    return _result(counts, source, "noncentral hypergeometric", small_values, level, reference, fit)


def penalised_logistic_network(
    source: Contrasts, *, small_values: str | None = None, level: float = 0.95, reference: str | None = None
) -> LikelihoodNetwork:
    r"""Common-effect network of odds ratios by logistic regression with Firth's penalty.

    .. math:: \ell(\alpha, \theta) + \tfrac12 \log |I(\alpha, \theta)|

    with an intercept for each study. The penalty keeps every estimate finite, whatever cells are empty.

    Parameters
    ----------
    source : Contrasts
        From :func:`comfrey.contrasts` with measure OR.
    small_values, level, reference
        As in :func:`comfrey.network`.

    Returns
    -------
    LikelihoodNetwork

    Raises
    ------
    InputError
        If `source` does not hold the arms of odds ratios, or is not connected.
    ConvergenceError
        If the maximum is not reached.

    References
    ----------
    Firth D. Biometrika 1993;80:27-38, doi:10.1093/biomet/80.1.27.
    Evrenoglou T, White IR, Afach S, Mavridis D, Chaimani A. Stat Med 2022;41:5203-5219, doi:10.1002/sim.9562.
    """
    counts = _counts(source)
    k, n = len(counts.studies), len(counts.treatments)
    events, total = np.concatenate(counts.events), np.concatenate(counts.total)
    X = np.zeros((events.size, k + n))
    X[np.arange(events.size), np.repeat(np.arange(k), [a.size for a in counts.arms])] = 1.0
    X[np.arange(events.size), k + np.concatenate(counts.arms)] = 1.0
    X = np.delete(X, k, axis=1)  # the first treatment is at zero

    def value(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        p = expit(X @ beta)
        w = total * p * (1 - p)
        information = X.T @ (w[:, None] * X)
        sign, log_det = np.linalg.slogdet(information)
        if sign <= 0:
            return -np.inf, np.zeros(beta.size), information
        leverage = w * ((X @ np.linalg.inv(information)) * X).sum(axis=1)
        height = float((xlogy(events, p) + xlog1py(total - events, -p)).sum() + 0.5 * log_det)
        return height, X.T @ (events - total * p + leverage * (0.5 - p)), information

    start = np.zeros(k + n - 1)
    start[:k] = [
        np.log((e.sum() + 0.5) / (t.sum() - e.sum() + 0.5)) for e, t in zip(counts.events, counts.total, strict=True)
    ]
    beta, height, inverse, gradient, steps = _newton(value, start, "penalised logistic")
    fit = (beta[k:], height, inverse[k:, k:], gradient, steps)
    return _result(counts, source, "penalised logistic", small_values, level, reference, fit)
