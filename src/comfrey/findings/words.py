"""Numbers and sentences in one voice: every printed number of a review passes through here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfrey.findings.finding import Finding, Interval

__all__ = [
    "RATIOS",
    "SCALES",
    "count",
    "counted",
    "decimals",
    "listed",
    "lower_first",
    "number",
    "spell",
    "studies",
    "with_intervals",
]

# Measure -> the scale that people read.
SCALES = {
    "OR": "odds ratio",
    "RR": "risk ratio",
    "HR": "hazard ratio",
    "IRR": "rate ratio",
    "RD": "risk difference",
    "SMD": "standardised mean difference",
    "MD": "mean difference",
}
RATIOS = frozenset({"ratio", "odds ratio", "risk ratio", "hazard ratio", "rate ratio"})
_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def number(value: float, scale: str) -> str:
    """Write a number as its scale asks.

    Percentages have one decimal; ratios have two, or two significant digits beyond 0.1 to 10; the rest have two.

    Examples
    --------
    >>> number(17.234, "percent"), number(0.6543, "odds ratio"), number(0.0123, "odds ratio")
    ('17.2%', '0.65', '0.012')
    """
    if scale == "percent":
        return f"{value:.1f}%"
    return decimals(value, scale)


def decimals(value: float, scale: str) -> str:
    """Write the number without its unit (for the ends of an interval)."""
    if scale == "percent":
        return f"{value:.1f}"
    if scale in RATIOS and value > 0 and not 0.1 <= value <= 10:
        places = 1 - math.floor(math.log10(value))
        rounded = round(value, places)
        return f"{rounded:,.{max(1 - math.floor(math.log10(rounded)), 0)}f}"
    return f"{value:.2f}".replace("-0.00", "0.00")


def count(value: int) -> str:
    """Write a count with commas.

    Examples
    --------
    >>> count(64671)
    '64,671'
    """
    return f"{value:,}"


def spell(value: int) -> str:
    """Spell small counts.

    Examples
    --------
    >>> spell(0), spell(3), spell(12)
    ('no', 'three', '12')
    """
    return _SMALL[value] if value < len(_SMALL) else count(value)


def counted(value: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> counted(1, "study", "studies"), counted(12, "study", "studies")
    ('1 study', '12 studies')
    """
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def lower_first(label: str) -> str:
    """Begin a label in lower case within a sentence, unless it begins with an acronym or a name in capitals.

    Examples
    --------
    >>> lower_first("Usual care"), lower_first("rTMS"), lower_first("DBT with sertraline")
    ('usual care', 'rTMS', 'DBT with sertraline')
    """
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def studies(finding: Finding) -> str:
    """Count the studies of a finding; where one study gives several samples, count both."""
    different = len({line.study for line in finding.studies})
    if different == finding.k or not different:
        return counted(finding.k, "study", "studies")
    return f"{counted(finding.k, 'sample')} from {counted(different, 'study', 'studies')}"


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + " and " + words[-1]


def interval(low: float, high: float, scale: str) -> str:
    """Write the ends of an interval, with the word `to`; ratios beyond 0.001 to 1,000 say nothing more.

    Examples
    --------
    >>> interval(0.4, 0.9, "odds ratio"), interval(1e-9, 3e8, "odds ratio")
    ('0.40 to 0.90', 'too wide to be of use')
    """
    if scale in RATIOS and (low < 0.001 or high > 1000):
        return "too wide to be of use"
    return f"{decimals(low, scale)} to {decimals(high, scale)}"


def with_intervals(result: Interval, scale: str, pi_low: float | None = None, pi_high: float | None = None) -> str:
    """Write an estimate with its intervals.

    Examples
    --------
    >>> from comfrey.findings.finding import Interval
    >>> with_intervals(Interval(17.21, 14.8, 19.9), "percent", 6.1, 39.8)
    '17.2% (95% CI 14.8 to 19.9; 95% PI 6.1 to 39.8)'
    """
    parts = []
    if result.ci_low is not None and result.ci_high is not None:
        parts.append(f"95% CI {interval(result.ci_low, result.ci_high, scale)}")
    if pi_low is not None and pi_high is not None:
        parts.append(f"95% PI {interval(pi_low, pi_high, scale)}")
    estimate = number(result.estimate, scale)
    return f"{estimate} ({'; '.join(parts)})" if parts else estimate


def of_finding(finding: Finding) -> str:
    """Write a finding's estimate with its intervals, or an empty string where it has none."""
    if finding.result is None:
        return ""
    return with_intervals(finding.result, finding.scale, finding.pi_low, finding.pi_high)
