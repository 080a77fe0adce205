"""Rules between the cells of one row: each yields (code, column, found, expected, how to mend it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SHARE_EXPLAINED", "Broken", "against_interval", "interval", "not_above"]

Broken = tuple[str, str, str, str, str]

# Flags that say why a printed share is not cases of total, and why a direction is not that of the interval beside it.
SHARE_EXPLAINED = frozenset({
    "approximate", "cases_from_percentage", "cases_not_binomial", "conflicting", "contradictory",
    "count_percent_differ", "counts_exceed_total", "not_attainable", "rounded", "rounded_percentage", "weighted",
})  # fmt: skip
_DIRECTION_EXPLAINED = frozenset({
    "conflicting", "contradictory", "credible_interval", "direction_inferred", "direction_unclear",
    "interval_not_symmetric", "p_inconsistent", "sign_inconsistent", "significance_not_seen",
})  # fmt: skip
_RATIOS = frozenset({"OR", "RR", "HR", "IRR"})


def not_above(cells: Mapping[str, Any], part: str, whole: str) -> Iterator[Broken]:
    """Yield where a part is larger than its whole."""
    low, high = cells.get(part), cells.get(whole)
    if low is not None and high is not None and low > high:
        yield (
            "above-total", part, f"{low} where {whole} is {high}", f"at most {whole}",
            f"correct {part} or {whole}; were the columns exchanged?",
        )  # fmt: skip


def interval(cells: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield where an estimate, its interval and its measure do not fit together."""
    low, high, estimate = cells.get("ci_low"), cells.get("ci_high"), cells.get("estimate")
    if low is not None and high is not None and low > high:
        yield "interval-reversed", "ci_low", f"{low:g} above {high:g}", "ci_low below ci_high", "exchange the two"
        return
    if low is not None and low == high and estimate is not None:
        yield (
            "zero-variance", "ci_low", f"{low:g} to {high:g}, an interval of no width", "ci_low below ci_high",
            "look for more decimals in the source, or leave the interval empty: no estimate is without error",
        )  # fmt: skip
        return
    outside = estimate is not None and low is not None and high is not None and not low <= estimate <= high
    if outside and "sign_inconsistent" not in (cells.get("flags") or ()):
        yield (
            "estimate-outside-interval", "estimate", f"{estimate:g} outside {low:g} to {high:g}",
            "an estimate within its interval",
            "check the source; if it is printed so, add the flag sign_inconsistent (the row is then not pooled)",
        )  # fmt: skip
    if cells.get("measure") in _RATIOS:
        for column in ("estimate", "ci_low", "ci_high"):
            value = cells.get(column)
            if value is not None and value <= 0:
                yield (
                    "ratio-not-positive", column, f"{value:g}", "a ratio above zero",
                    "give ratios as printed (0.8), not their logarithm",
                )  # fmt: skip


def against_interval(cells: Mapping[str, Any]) -> Iterator[Broken]:
    """Find a direction that the interval of the ratio beside it contradicts; a bound of just 1 may be rounded."""
    low, high, better, said = (cells.get(name) for name in ("ci_low", "ci_high", "better", "direction"))
    if cells.get("measure") not in _RATIOS or low is None or high is None or better is None:
        return
    if said in {None, "not_reported"} or not 0 < low < high or _DIRECTION_EXPLAINED & set(cells.get("flags") or ()):
        return
    if low < 1 < high:
        shown = {"no_clear_difference"}
    elif low == 1 or high == 1:
        side = "favours_treatment" if (high == 1) == (better == "lower") else "favours_comparator"
        shown = {"no_clear_difference", side}
    else:
        shown = {"favours_treatment" if (high < 1) == (better == "lower") else "favours_comparator"}
    if said not in shown:
        yield (
            "direction-contradicts-interval", "direction",
            f"{said} where the interval is {low:g} to {high:g} and {better} is better", " or ".join(sorted(shown)),
            "check direction, better and the interval; if the source says so (for instance by its p-value), add a flag "
            "that explains it: interval_not_symmetric, significance_not_seen or contradictory",
        )  # fmt: skip
