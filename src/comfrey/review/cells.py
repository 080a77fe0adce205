"""Kinds of cell: what a cell of each kind may hold, and what to say when it does not.

A cell arrives as text. Each kind is a pydantic type whose validator turns the text into a value or raises a
:class:`pydantic_core.PydanticCustomError` that carries what was expected and how to mend it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

__all__ = [
    "Count",
    "Countries",
    "Flags",
    "Identifier",
    "Identifiers",
    "Number",
    "Percent",
    "Positive",
    "Proportion",
    "Source",
    "Text",
    "Weeks",
    "Year",
    "cell_error",
]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_]*")
_MOST = 1e10  # more than the people alive
_SOURCE = re.compile(
    r"doi:10\.\d{4,9}/\S+|pmid:\d{4,9}|pmcid:PMC\d+|registry:[A-Z][A-Za-z0-9-]+\S*|isbn:[\dX-]+"
    r"|(ref|label|guideline|regulator):\S.+"
)


def cell_error(code: str, expected: str, fix: str) -> PydanticCustomError:
    """Make the error that a cell's validator raises."""
    return PydanticCustomError(code, "{expected}", {"expected": expected, "fix": fix})


def _number(text: Any, *, count: bool = False) -> float:
    if isinstance(text, (int, float)):
        return float(text)
    if _NUMBER.fullmatch(text):
        value = float(text)
        if abs(value) == float("inf"):
            raise cell_error("not-finite", "a finite number", "write a number that a computer can hold")
        return value
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", text):
        plain = text.replace(",", "")
        if count or text.count(",") > 1 or "." in text:
            raise cell_error("thousands-separator", "a number without separators", f"write {plain}")
        raise cell_error(
            "ambiguous-comma", "a number with a decimal point and without separators",
            f"write {text.replace(',', '.')} if the comma is a decimal sign, {plain} if it groups thousands",
        )  # fmt: skip
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        raise cell_error(
            "decimal-comma", "a number with a decimal point", f"write {text.replace(',', '.')} (a point, not a comma)"
        )
    if text.endswith("%"):
        raise cell_error("percent-sign", "a plain number", "leave out the percent sign and write the plain value")
    if text.upper() in {"NA", "N/A", "NAN", "NULL", "NONE", "-", "?", "."}:
        raise cell_error("not-a-number", "a number or an empty cell", "leave the cell empty when the value is unknown")
    raise cell_error("not-a-number", "a number", "write digits with a decimal point, or leave it empty if unknown")


def _finite(text: Any) -> float:
    return _number(text)


def _positive(text: Any) -> float:
    value = _number(text)
    if value <= 0:
        raise cell_error(
            "not-positive", "a number above zero", "correct it, or leave the cell empty if it was not printed"
        )
    return value


def _count(text: Any) -> int:
    value = _number(text, count=True)
    if not 0 <= value <= _MOST or value != int(value):
        raise cell_error("not-a-count", "a whole number, zero or more", "write a count of people or events")
    return int(value)


def _proportion(text: Any) -> float:
    value = _number(text)
    if 1 < value <= 100:
        raise cell_error(
            "percentage-in-proportion",
            "a proportion between 0 and 1",
            "write a share from 0 to 1; if it is a percentage, divide by 100",
        )
    if not 0 <= value <= 1:
        raise cell_error("not-a-proportion", "a proportion between 0 and 1", "write the share as a number from 0 to 1")
    return value


def _percent(text: Any) -> float:
    value = _number(text)
    if not 0 <= value <= 100:
        raise cell_error("not-a-percentage", "a percentage between 0 and 100", "correct the value")
    return value


def _year(text: Any) -> int:
    value = _number(text)
    if value != int(value) or not 1800 <= value <= 2100:
        raise cell_error("not-a-year", "a year of four digits", "write for instance 2021, or leave the cell empty")
    return int(value)


def _weeks(text: Any) -> float:
    value = _number(text)
    if value < 0:
        raise cell_error("negative-time", "a number of weeks, zero or more", "count weeks from randomisation")
    return value


def _identifier(text: Any) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise cell_error(
            "not-an-id", "an id of lower-case letters, digits and underscores", f"write for instance {slug(text)}"
        )
    return str(text)


def _identifiers(text: Any) -> tuple[str, ...]:
    return tuple(_identifier(part) for part in str(text).split())


def slug(text: str, otherwise: str = "a_name") -> str:
    """Turn any words into an id; `otherwise` is the id where nothing of them can stand in one."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or otherwise


def _source(text: Any) -> str:
    for part in (piece.strip() for piece in str(text).split(" ; ")):
        if re.match(r"https?://|www\.", part):
            raise cell_error(
                "web-address-as-source",
                "doi:…, pmid:…, pmcid:…, registry:…, or ref: with a journal reference",
                "give the DOI or the journal reference instead of a web address",
            )
        if not _SOURCE.fullmatch(part):
            raise cell_error(
                "unknown-source",
                "doi:…, pmid:…, pmcid:…, registry:…, isbn:…, ref:…, label:…, guideline:… or regulator:…",
                "begin with the kind of source and a colon; separate several with ' ; '",
            )
    return str(text)


@cache
def known_countries() -> frozenset[str]:
    """Return the alpha-3 codes of ISO 3166-1."""
    import pycountry

    return frozenset(country.alpha_3 for country in pycountry.countries)


_COUNTRY_NAMES = {
    "uk": "GBR", "england": "GBR", "scotland": "GBR", "wales": "GBR", "northern ireland": "GBR", "britain": "GBR",
    "great britain": "GBR", "us": "USA", "usa": "USA", "america": "USA", "uae": "ARE", "turkey": "TUR",
    "russia": "RUS", "korea": "KOR", "south korea": "KOR", "north korea": "PRK", "holland": "NLD",
}  # fmt: skip


def _country_meant(words: str) -> str | None:
    """Return the code of a country that is named in another way, or None."""
    import pycountry

    known = _COUNTRY_NAMES.get(words.lower().replace(".", "").strip())
    if known is not None:
        return known
    try:
        return str(pycountry.countries.lookup(words).alpha_3)
    except LookupError:
        pass
    if len(words) < 4 or not re.fullmatch(r"[^\W\d_]+([ '-][^\W\d_]+)*", words):
        return None
    try:
        like = pycountry.countries.search_fuzzy(words)
    except LookupError:
        return None
    return str(like[0].alpha_3) if len(like) == 1 else None


def _countries(text: Any) -> tuple[str, ...]:
    codes = tuple(str(text).split())
    for code in codes:
        if code not in known_countries():
            meant = _country_meant(str(text)) or _country_meant(code)
            hint = "use three capital letters, several separated by spaces, for instance NOR or CHE DEU"
            raise cell_error(
                "unknown-country", "ISO 3166-1 alpha-3 country codes", f"write {meant}" if meant is not None else hint
            )
    return codes


def _flags(text: Any) -> tuple[str, ...]:
    return tuple(_identifier(part) for part in str(text).split())


Text = Annotated[str, Field(max_length=2000)]
Number = Annotated[float, BeforeValidator(_finite)]
Positive = Annotated[float, BeforeValidator(_positive)]
Count = Annotated[int, BeforeValidator(_count)]
Proportion = Annotated[float, BeforeValidator(_proportion)]
Percent = Annotated[float, BeforeValidator(_percent)]
Year = Annotated[int, BeforeValidator(_year)]
Weeks = Annotated[float, BeforeValidator(_weeks)]
Identifier = Annotated[str, BeforeValidator(_identifier)]
Identifiers = Annotated[tuple[str, ...], BeforeValidator(_identifiers)]
Source = Annotated[str, BeforeValidator(_source)]
Countries = Annotated[tuple[str, ...], BeforeValidator(_countries)]
Flags = Annotated[tuple[str, ...], BeforeValidator(_flags)]
