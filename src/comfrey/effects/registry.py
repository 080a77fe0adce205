"""All effect measures by name."""

from __future__ import annotations

import difflib

from comfrey.effects import correlations, means, proportions, rates, two_by_two
from comfrey.effects.measure import Array, Measure
from comfrey.errors import InputError

__all__ = ["GENERIC", "find_measure", "measures"]


def _given_only(**_: Array) -> tuple[Array, Array]:
    raise InputError(
        "measure",
        found="GEN",
        expected="a measure that can be computed",
        fix="Give estimate and variance, se or interval.",
    )


#: An estimate of any kind, taken as given on the scale of analysis.
GENERIC = Measure("GEN", "estimate", (), _given_only, unit="estimate")

_ALL = (
    *two_by_two.MEASURES,
    *rates.MEASURES,
    *means.MEASURES,
    *correlations.MEASURES,
    *proportions.MEASURES,
    GENERIC,
)
_BY_NAME = {item.name: item for item in _ALL}
_BY_NAME["given"] = _BY_NAME["GIVEN"] = GENERIC


def measures() -> tuple[Measure, ...]:
    """Every effect measure that Comfrey knows.

    Examples
    --------
    >>> [m.name for m in measures() if m.unit == "proportion"]
    ['PR', 'PLN', 'PLO', 'PRZ', 'PAS', 'PFT']
    """
    return _ALL


def find_measure(name: str | Measure) -> Measure:
    """Find a measure by its name (or hand a Measure through).

    Raises
    ------
    InputError
        If no measure has this name; the message suggests near ones.

    Examples
    --------
    >>> find_measure("PLO").scale.name
    'logit'
    """
    if isinstance(name, Measure):
        return name
    found = _BY_NAME.get(name) if isinstance(name, str) else None
    if found is None:
        near = difflib.get_close_matches(str(name).upper(), _BY_NAME, n=3, cutoff=0.5)
        raise InputError(
            "measure",
            found=repr(name),
            expected="the name of an effect measure",
            fix=f"Near names: {', '.join(near)}." if near else f"Names: {', '.join(item.name for item in _ALL)}.",
        )
    return found
