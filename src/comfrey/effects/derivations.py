"""Means and standard deviations from what reports give instead: each derivation is named, and records what it used.

Sources: Luo et al. 2018 (doi:10.1177/0962280216669183) for means; Wan et al. 2014 (doi:10.1186/1471-2288-14-135) for
SDs; McGrath et al. 2020 (doi:10.1177/0962280219889080) for quantile estimation; Shi et al. 2023
(doi:10.1177/09622802231172043) for the test of skewness; Cochrane Handbook 2024, sections 6.5.2.2, 6.5.2.3, 6.5.2.10.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import optimize, special

from comfrey.effects._columns import as_floats, same_length
from comfrey.errors import InputError
from comfrey.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from comfrey.effects.measure import Array

    _Family = tuple[tuple[float, float], Callable[[Array, Array], Array], Callable[[Array], tuple[float, float]]]

__all__ = ["Derived", "combine_groups", "mean_sd_from_quantiles", "sd_from_interval", "sd_from_se"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Derived(Result):
    """Derived means and SDs with the record of how they came about.

    Attributes
    ----------
    mean, sd : arrays of shape (k,)
        Not-a-number where a row lacks a value (or, for `mean`, where it is not derived).
    n : array of shape (k,)
    method : str
        Name of the derivation.
    source : str
        Where it was published.
    inputs : dict of str to array
        What it was derived from.
    warnings : tuple of str
        Rows where it is doubtful, and why.
    """

    mean: Array
    sd: Array
    n: Array
    method: str
    source: str
    inputs: Mapping[str, Array] = field(repr=False)
    warnings: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """Inputs beside the derived mean and SD."""
        import pandas as pd

        return pd.DataFrame({**self.inputs, "derived_mean": self.mean, "derived_sd": self.sd})

    @property
    def headline(self) -> tuple[str, ...]:
        """The derivation, its source, and warnings."""
        return (f"{self.method} ({self.source})", *(f"warning: {text}" for text in self.warnings))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        from comfrey.results import plain

        return {**Result.to_dict(self), "inputs": plain(dict(self.inputs))}


def mean_sd_from_quantiles(
    *,
    n: object,
    median: object,
    q1: object = None,
    q3: object = None,
    minimum: object = None,
    maximum: object = None,
    method: Literal["luo-wan", "mcgrath"] = "luo-wan",
) -> Derived:
    """Estimate mean and SD from median and quartiles, median and range, or all five.

    Parameters
    ----------
    n : array of shape (k,)
        People in the sample.
    median, q1, q3, minimum, maximum : arrays of shape (k,)
        Quartiles, or the extremes, or both pairs.
    method : {"luo-wan", "mcgrath"}
        Luo's mean and Wan's SD (the data are taken as near normal), or McGrath's quantile estimation: the best of a
        normal, log-normal, gamma or Weibull distribution fitted to the quantiles (the last three for positive data).

    Returns
    -------
    Derived
        For Luo and Wan with a warning for each row whose numbers show skewed data (Shi's test at 5 %).

    Raises
    ------
    InputError
        If neither pair is complete, or the numbers are not in order.

    Examples
    --------
    >>> found = mean_sd_from_quantiles(n=100, q1=8, median=10, q3=12)
    >>> found.mean.round(3), found.sd.round(3)
    (array([10.]), array([3.009]))
    """
    given = {"minimum": minimum, "q1": q1, "median": median, "q3": q3, "maximum": maximum, "n": n}
    read = same_length({name: as_floats(name, value) for name, value in given.items() if value is not None})
    quartiles, extremes = {"q1", "q3"} <= read.keys(), {"minimum", "maximum"} <= read.keys()
    if (
        not (quartiles or extremes)
        or len({"q1", "q3"} & read.keys()) == 1
        or len({"minimum", "maximum"} & read.keys()) == 1
    ):
        raise InputError("q1", found=", ".join(read), expected="q1 with q3, minimum with maximum, or all four")
    if method not in {"luo-wan", "mcgrath"}:
        raise InputError("method", found=repr(method), expected="'luo-wan' or 'mcgrath'")
    _in_order(read)
    size = read["n"]
    bad = size < 3
    if bad.any():
        raise InputError("n", found=f"{size[bad][0]:g}", expected="3 or more", row=int(np.flatnonzero(bad)[0]))
    if method == "luo-wan":
        mean, sd = _luo(read, quartiles, extremes), _wan(read, quartiles, extremes)
        label, source = "mean by Luo, SD by Wan", "doi:10.1177/0962280216669183, doi:10.1186/1471-2288-14-135"
    else:
        mean, sd = _quantile_estimation(read, quartiles, extremes)
        label, source = "quantile estimation by McGrath", "doi:10.1177/0962280219889080"
    warnings = _skewed(read, quartiles, extremes) if method == "luo-wan" else ()
    return Derived(mean, sd, size, label, source, read, warnings)


def _in_order(read: Mapping[str, Array]) -> None:
    names = [name for name in ("minimum", "q1", "median", "q3", "maximum") if name in read]
    for low, high in pairwise(names):
        bad = read[low] > read[high]
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                low, found=f"{read[low][row]:g}", expected=f"at most the {high} ({read[high][row]:g})", row=row
            )


def _luo(read: Mapping[str, Array], quartiles: bool, extremes: bool) -> Array:
    n, median = read["n"], read["median"]
    ends = (read["minimum"] + read["maximum"]) / 2 if extremes else median
    hinges = (read["q1"] + read["q3"]) / 2 if quartiles else median
    if quartiles and extremes:
        outer, inner = 2.2 / (2.2 + n**0.75), 0.7 - 0.72 / n**0.55
    elif quartiles:
        outer, inner = np.zeros_like(n), 0.7 + 0.39 / n
    else:
        outer, inner = 4 / (4 + n**0.75), np.zeros_like(n)
    return np.asarray(outer * ends + inner * hinges + (1 - outer - inner) * median, dtype=float)


def _wan(read: Mapping[str, Array], quartiles: bool, extremes: bool) -> Array:
    n = read["n"]
    parts = []
    if extremes:
        parts.append((read["maximum"] - read["minimum"]) / (2 * special.ndtri((n - 0.375) / (n + 0.25))))
    if quartiles:
        parts.append((read["q3"] - read["q1"]) / (2 * special.ndtri((0.75 * n - 0.125) / (n + 0.25))))
    return np.asarray(np.mean(parts, axis=0), dtype=float)


def _skewed(read: Mapping[str, Array], quartiles: bool, extremes: bool) -> tuple[str, ...]:
    """Name rows that Shi's test finds skewed at 5 %."""
    n, median = read["n"], read["median"]
    with np.errstate(divide="ignore", invalid="ignore"):
        if extremes:
            ends = np.abs(read["minimum"] + read["maximum"] - 2 * median) / (read["maximum"] - read["minimum"])
        if quartiles:
            hinges = np.abs(read["q1"] + read["q3"] - 2 * median) / (read["q3"] - read["q1"])
        if quartiles and extremes:
            found = np.fmax(2.65 * np.log(0.6 * n) / np.sqrt(n) * ends, hinges) > 2.97 / np.sqrt(n) - 39.1 / n**3
        elif quartiles:
            found = hinges > 2.65 / np.sqrt(n) - 6 / n**2
        else:
            found = ends > 1.01 / np.log(n + 9) + 2.43 / (n + 1)
    # the bounds were made for samples of this size
    found &= n >= 5
    return tuple(f"row {row}: the quantiles show skewed data; the mean is doubtful" for row in np.flatnonzero(found))


def _quantile_estimation(read: Mapping[str, Array], quartiles: bool, extremes: bool) -> tuple[Array, Array]:
    k = read["n"].size
    mean, sd = np.full(k, np.nan), np.full(k, np.nan)
    names = [("minimum", None)] * extremes + [("q1", 0.25)] * quartiles + [("median", 0.5)]
    names += [("q3", 0.75)] * quartiles + [("maximum", None)] * extremes
    for row in range(k):
        values = np.array([read[name][row] for name, _ in names])
        n = float(read["n"][row])
        shares = np.array(
            [{"minimum": 1 / n, "maximum": 1 - 1 / n}.get(name, share) for name, share in names], dtype=float
        )
        if np.isfinite(values).all() and np.isfinite(n):
            mean[row], sd[row] = _best_distribution(values, shares)
    return mean, sd


def _best_distribution(values: Array, shares: Array) -> tuple[float, float]:
    """Mean and SD of the distribution whose quantiles lie nearest in squares."""
    z = special.ndtri(shares)
    slope, level = np.polyfit(z, values, 1)
    if slope <= 0:
        return float(values.mean()), 0.0
    fits = [(float(((level + slope * z - values) ** 2).sum()), float(level), float(slope))]
    if values[0] > 0:
        scale = float(values.mean())
        scaled = values / scale
        sigma, mu = np.polyfit(z, np.log(scaled), 1)
        spread = max(float(slope) / scale, 1e-3)
        families: tuple[_Family, ...] = (
            ((mu, np.log(max(sigma, 1e-3))), _log_normal, _log_normal_moments),
            ((np.log(1 / spread**2), np.log(spread**2)), _gamma, _gamma_moments),
            ((np.log(1.2 / spread), 0.0), _weibull, _weibull_moments),
        )
        for start, quantiles, moments in families:
            found = optimize.least_squares(_misses, start, args=(quantiles, shares, scaled), xtol=1e-12, ftol=1e-12)
            center, width = moments(found.x)
            fits.append((float((found.fun**2).sum()) * scale**2, center * scale, width * scale))
    return min(fits)[1:]


def _misses(x: Array, quantiles: Callable[[Array, Array], Array], shares: Array, values: Array) -> Array:
    return np.asarray(np.nan_to_num(quantiles(x, shares), posinf=1e6) - values, dtype=float)


def _log_normal(x: Array, shares: Array) -> Array:
    return np.asarray(np.exp(x[0] + np.exp(x[1]) * special.ndtri(shares)), dtype=float)


def _log_normal_moments(x: Array) -> tuple[float, float]:
    variance = np.exp(x[1]) ** 2
    mean = np.exp(x[0] + variance / 2)
    return float(mean), float(mean * np.sqrt(np.expm1(variance)))


def _gamma(x: Array, shares: Array) -> Array:
    return np.asarray(np.exp(x[1]) * special.gammaincinv(np.exp(x[0]), shares), dtype=float)


def _gamma_moments(x: Array) -> tuple[float, float]:
    shape, scale = np.exp(x)
    return float(shape * scale), float(np.sqrt(shape) * scale)


def _weibull(x: Array, shares: Array) -> Array:
    return np.asarray(np.exp(x[1]) * (-np.log1p(-shares)) ** np.exp(-x[0]), dtype=float)


def _weibull_moments(x: Array) -> tuple[float, float]:
    shape, scale = np.exp(x)
    first, second = special.gamma(1 + 1 / shape), special.gamma(1 + 2 / shape)
    return float(scale * first), float(scale * np.sqrt(second - first**2))


def sd_from_se(se: object, n: object) -> Derived:
    """Find SDs from the standard errors of means, ``sd = se sqrt n``.

    Examples
    --------
    >>> sd_from_se(0.5, 100).sd
    array([5.])
    """
    read = same_length({"se": as_floats("se", se), "n": as_floats("n", n)})
    _positive(read)
    sd = read["se"] * np.sqrt(read["n"])
    return Derived(np.full(sd.size, np.nan), sd, read["n"], "SD from the standard error", "Cochrane 6.5.2.2", read, ())


def sd_from_interval(ci_low: object, ci_high: object, n: object, level: float = 0.95) -> Derived:
    """Find SDs (and means) from confidence intervals of means, by the t distribution with n-1 degrees of freedom.

    Examples
    --------
    >>> sd_from_interval(9.0, 11.0, 25).sd.round(4)
    array([2.4226])
    """
    if not 0 < level < 1:
        raise InputError("level", found=level, expected="a number between 0 and 1")
    read = same_length(
        {"ci_low": as_floats("ci_low", ci_low), "ci_high": as_floats("ci_high", ci_high), "n": as_floats("n", n)}
    )
    bad = (read["ci_low"] >= read["ci_high"]) | (read["n"] < 2)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            "ci_low", found=f"{read['ci_low'][row]:g}", expected="less than ci_high, and n of 2 or more", row=row
        )
    width = read["ci_high"] - read["ci_low"]
    sd = width / 2 / special.stdtrit(read["n"] - 1, (1 + level) / 2) * np.sqrt(read["n"])
    mean = (read["ci_high"] + read["ci_low"]) / 2
    return Derived(mean, sd, read["n"], f"SD from the {level:.0%} interval", "Cochrane 6.5.2.2", read, ())


def combine_groups(n: object, mean: object, sd: object) -> Derived:
    """Combine the groups of one study into one: the mean and SD of all their people together.

    ``(N-1) sd^2 = sum (n-1) sd_g^2 + sum n (mean_g - mean)^2``.

    Examples
    --------
    >>> found = combine_groups([10, 10], [1.0, 3.0], [1.0, 1.0])
    >>> found.mean, found.sd.round(4), found.n
    (array([2.]), array([1.4142]), array([20.]))
    """
    read = same_length({"n": as_floats("n", n), "mean": as_floats("mean", mean), "sd": as_floats("sd", sd)})
    for name, column in read.items():
        bad = np.isnan(column) if name == "mean" else ~(column >= (1 if name == "n" else 0))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(name, found=f"{column[row]:g}", expected="a value that can be combined", row=row)
    size = read["n"]
    total = size.sum()
    center = float((size * read["mean"]).sum() / total)
    squares = float(((size - 1) * read["sd"] ** 2 + size * (read["mean"] - center) ** 2).sum())
    sd_all = np.array([np.sqrt(squares / (total - 1))])
    return Derived(np.array([center]), sd_all, np.array([total]), "groups combined", "Cochrane 6.5.2.10", read, ())


def _positive(read: Mapping[str, Array]) -> None:
    for name, column in read.items():
        bad = column <= 0
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(name, found=f"{column[row]:g}", expected="a number above zero", row=row)
