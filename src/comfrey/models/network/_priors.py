"""Priors for the between-study standard deviation tau, and empirical ones as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
from scipy.special import gammaln

from comfrey.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "TURNER_2012",
    "HalfCauchy",
    "HalfNormal",
    "HalfT",
    "LogNormal",
    "LogT",
    "Prior",
    "Uniform",
    "turner_prior",
]


@runtime_checkable
class Prior(Protocol):
    """A density for tau on (0, upper)."""

    @property
    def upper(self) -> float:
        """End of the support; infinite if there is none."""

    @property
    def tail(self) -> float:
        """The a for which the density falls like tau**-a; infinite if it falls faster than any power."""

    def log_density(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density at values of tau above zero."""


def _positive(name: str, value: float) -> None:
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise InputError(name, found=value, expected="a finite number above zero")


@dataclass(frozen=True, slots=True)
class HalfNormal:
    """Half-normal with the given scale.

    Examples
    --------
    >>> HalfNormal(0.5).log_density(np.array([0.5])).round(4)
    array([-0.0326])
    """

    scale: float
    upper: float = math.inf
    tail: float = math.inf

    def __post_init__(self) -> None:
        _positive("scale", self.scale)

    def log_density(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density at tau."""
        return 0.5 * math.log(2 / math.pi) - math.log(self.scale) - 0.5 * (tau / self.scale) ** 2


@dataclass(frozen=True, slots=True)
class HalfT:
    """Half-t with the given scale and degrees of freedom (Gelman 2006, doi:10.1214/06-BA117A)."""

    scale: float
    df: float
    upper: float = math.inf

    def __post_init__(self) -> None:
        _positive("scale", self.scale)
        _positive("df", self.df)

    @property
    def tail(self) -> float:
        """Falls like tau to the power of minus df minus one."""
        return self.df + 1

    def log_density(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density at tau."""
        nu = self.df
        constant = math.log(2) + gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * math.log(nu * math.pi)
        return np.asarray(constant - math.log(self.scale) - 0.5 * (nu + 1) * np.log1p((tau / self.scale) ** 2 / nu))


@dataclass(frozen=True, slots=True)
class HalfCauchy:
    """Half-Cauchy with the given scale (Polson & Scott 2012, doi:10.1214/12-BA730)."""

    scale: float
    upper: float = math.inf
    tail: float = 2.0

    def __post_init__(self) -> None:
        _positive("scale", self.scale)

    def log_density(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density at tau."""
        return np.asarray(math.log(2 / (math.pi * self.scale)) - np.log1p((tau / self.scale) ** 2))


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Log tau2 is normal with the given mean and standard deviation, the form of the empirical priors."""

    mean: float
    sd: float
    upper: float = math.inf
    tail: float = math.inf

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise InputError("mean", found=self.mean, expected="a finite number")
        _positive("sd", self.sd)

    def log_density(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density at tau (not at tau2)."""
        x = np.log(tau)
        return np.asarray(
            math.log(2)
            - x
            - math.log(self.sd)
            - 0.5 * math.log(2 * math.pi)
            - 0.5 * ((2 * x - self.mean) / self.sd) ** 2
        )


@dataclass(frozen=True, slots=True)
class LogT:
    """Log tau2 has a t distribution, the form of the empirical priors for standardised mean differences.

    References
    ----------
    Rhodes KM, Turner RM, Higgins JPT. J Clin Epidemiol 2015;68:52-60, doi:10.1016/j.jclinepi.2014.08.012.
    """

    location: float
    scale: float
    df: float = 5.0
    upper: float = math.inf
    tail: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.location):
            raise InputError("location", found=self.location, expected="a finite number")
        _positive("scale", self.scale)
        _positive("df", self.df)

    def log_density(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density at tau (not at tau2)."""
        nu = self.df
        z = (2 * np.log(tau) - self.location) / self.scale
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * math.log(nu * math.pi) - math.log(self.scale)
        return np.asarray(math.log(2) - np.log(tau) + constant - 0.5 * (nu + 1) * np.log1p(z * z / nu))


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform between zero and `upper`; without an end it is improper, and needs enough studies."""

    upper: float = math.inf
    tail: float = 0.0

    def __post_init__(self) -> None:
        if not self.upper > 0:
            raise InputError("upper", found=self.upper, expected="a number above zero")

    def log_density(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density at tau; without an end, zero."""
        return np.full_like(tau, -math.log(self.upper) if math.isfinite(self.upper) else 0.0)


Outcome = Literal["all-cause mortality", "semi-objective", "subjective"]
Comparison = Literal["pharmacological vs placebo", "pharmacological vs pharmacological", "non-pharmacological"]

# Mean and standard deviation of log tau2 of log odds ratios, by type of outcome and of comparison; predictive
# distributions from 14,886 meta-analyses of binary outcomes (Turner et al. 2012, doi:10.1093/ije/dys041).
TURNER_2012: dict[tuple[Outcome, Comparison], tuple[float, float]] = {
    ("all-cause mortality", "pharmacological vs placebo"): (-4.06, 1.45),
    ("all-cause mortality", "pharmacological vs pharmacological"): (-4.27, 1.48),
    ("all-cause mortality", "non-pharmacological"): (-3.93, 1.51),
    ("semi-objective", "pharmacological vs placebo"): (-3.02, 1.85),
    ("semi-objective", "pharmacological vs pharmacological"): (-3.23, 1.88),
    ("semi-objective", "non-pharmacological"): (-2.89, 1.91),
    ("subjective", "pharmacological vs placebo"): (-2.13, 1.58),
    ("subjective", "pharmacological vs pharmacological"): (-2.34, 1.62),
    ("subjective", "non-pharmacological"): (-2.01, 1.64),
}


def turner_prior(outcome: Outcome | None = None, comparison: Comparison | None = None) -> LogNormal:
    """Empirical prior for the heterogeneity of log odds ratios.

    Parameters
    ----------
    outcome : "all-cause mortality", "semi-objective" or "subjective", optional
        Mental health outcomes and withdrawals are among the subjective ones.
    comparison : "pharmacological vs placebo", "pharmacological vs pharmacological" or "non-pharmacological", optional
        What is compared. Without both, the prior for a general setting is given.

    Returns
    -------
    LogNormal

    Raises
    ------
    InputError
        For a setting that the papers do not have, or only one of the two.

    References
    ----------
    Turner RM, Davey J, Clarke MJ, Thompson SG, Higgins JPT. Int J Epidemiol 2012;41:818-827, doi:10.1093/ije/dys041.
    Turner RM, Jackson D, Wei Y, Thompson SG, Higgins JPT. Stat Med 2015;34:984-998, doi:10.1002/sim.6381 (general).

    Examples
    --------
    >>> prior = turner_prior("subjective", "non-pharmacological")
    >>> prior.mean, prior.sd
    (-2.01, 1.64)
    """
    if outcome is None and comparison is None:
        return LogNormal(-2.56, 1.74)
    if (outcome, comparison) not in TURNER_2012:
        settings = "; ".join(f"{o}, {c}" for o, c in TURNER_2012)
        raise InputError("outcome", found=f"{outcome!r}, {comparison!r}", expected=f"one of: {settings}")
    return LogNormal(*TURNER_2012[outcome, comparison])  # type: ignore[index]  # both are there
