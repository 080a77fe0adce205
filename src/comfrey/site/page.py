"""The page: one HTML file that needs nothing else, no script and no network."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from comfrey._version import __version__
from comfrey.findings import words
from comfrey.findings.finding import Interval
from comfrey.site.marks import cell_forest, interval_bar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Environment

    from comfrey.findings.finding import Answers, Finding, QuestionAnswer, StudyLine, TreatmentRow
    from comfrey.review.folder import Review
    from comfrey.site.pictures import Picture

__all__ = ["render_page", "source_links"]

# Faces of the page: family, weight, style, file, and the characters that the file holds.
_LATIN = "U+0000-00FF, U+0131, U+0152-0153, U+02BB-02BC, U+02C6, U+02DA, U+02DC, U+2000-206F, U+20AC, U+2122, U+2212"
_LATIN_EXT = "U+0100-0130, U+0132-0151, U+0154-02BA, U+02BD-02C5, U+02C7-02CC, U+1E00-1E9F, U+1EF2-1EFF"
_FACES = (
    ("Source Serif 4", 400, "normal", "source-serif-4-latin-400-normal", _LATIN),
    ("Source Serif 4", 400, "italic", "source-serif-4-latin-400-italic", _LATIN),
    ("Source Serif 4", 600, "normal", "source-serif-4-latin-600-normal", _LATIN),
    ("Source Serif 4", 400, "normal", "source-serif-4-latin-ext-400-normal", _LATIN_EXT),
    ("Source Sans 3", 400, "normal", "source-sans-3-latin-400-normal", _LATIN),
    ("Source Sans 3", 600, "normal", "source-sans-3-latin-600-normal", _LATIN),
    ("Source Sans 3", 400, "normal", "source-sans-3-latin-ext-400-normal", _LATIN_EXT),
)


def render_page(review: Review, answers: Answers, pictures: Sequence[Picture]) -> str:
    """Render the page of a review.

    Parameters
    ----------
    review : Review
        For the words around the findings.
    answers : Answers
        The findings.
    pictures : sequence of Picture
        The figures, to stand where their findings are.

    Returns
    -------
    str
        A whole HTML document. It loads nothing: styles, fonts and figures are inside.
    """
    script = _text("page.js")
    cited = {line.study for question in answers.questions for finding in question.findings for line in finding.studies}
    cited |= {row.study for question in answers.questions for row in question.unused}
    cited |= {row.study for question in answers.questions for row in question.published}
    studies = sorted((review.studies[name] for name in cited), key=lambda study: (study.label.lower(), study.study))
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            review=review,
            spec=review.spec,
            answers=answers,
            pictures={picture.name: picture for picture in pictures},
            studies=studies,
            style=_text("page.css"),
            fonts=_font_faces(),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            version=__version__,
            sections=_sections(answers),
            groups=_groups(answers.treatments),
            labels={name: study.label for name, study in review.studies.items()},
        )
    )
    return re.sub(r"\n\s*\n+", "\n", html)


def _sections(answers: Answers) -> list[QuestionAnswer]:
    """Order the sections as a reader needs them: how common, which forms, what helps, then why and what remains."""
    order = ("prevalence", "distribution", "treatments", "mechanisms", "signatures")
    return sorted(answers.questions, key=lambda question: order.index(question.kind))


def _groups(rows: Sequence[TreatmentRow]) -> list[tuple[str, list[TreatmentRow]]]:
    """Group the treatment table by category, categories in the order of their first row."""
    groups: dict[str, list[TreatmentRow]] = {}
    for row in rows:
        groups.setdefault(row.category, []).append(row)
    return list(groups.items())


_DERIVED = {
    "from_percentage": "count worked back from a percentage",
    "complement": "complement of a printed count",
    "sum": "sum of printed counts",
    "from_effect": "worked back from a printed effect",
    "rounded_percentage": "from a rounded percentage",
}


def _source_words(source: str) -> str:
    """Name a source in words, without its kind; ids keep theirs."""
    ids = ("doi:", "pmid:", "pmcid:")
    return "; ".join(part if part.startswith(ids) else part.split(":", 1)[-1] for part in source.split(" ; "))


def _cell(findings: Sequence[Finding], better: str) -> str:
    """Draw the comparisons of one row of the treatment table, with what each side favours."""
    ends = ("favours it", "favours the other")
    return cell_forest(findings, [_against(f) for f in findings], ends if better == "lower" else ends[::-1])


def _against(finding: Finding) -> str:
    """Say what a comparison is with, for the row of a small forest plot."""
    other = words.lower_first(finding.label.rsplit(" v ", 1)[-1])
    return f"v {other}, {words.counted(finding.k, 'trial')}"


def _effect_numbers(effect: Mapping[str, Any], scale: str) -> str:
    """Write one effect of a network with its intervals."""
    if effect["estimate"] is None:
        return "not given"
    result = Interval(effect["estimate"], effect["ci_low"], effect["ci_high"])
    return words.with_intervals(result, scale, effect.get("pi_low"), effect.get("pi_high"))


def _told(finding: Finding) -> str:
    """Say the counts of a finding by direction in a few words."""
    said = {
        "favours_treatment": "for it",
        "favours_comparator": "against it",
        "higher": "higher",
        "lower": "lower",
        "no_clear_difference": "no clear difference",
        "no_difference": "no clear difference",
        "mixed": "mixed",
        "not_reported": "not stated",
    }
    told = [f"{finding.counts[name]} {text}" for name, text in said.items() if finding.counts.get(name)]
    return ", ".join(told) or "no study counted"


def _details(line: StudyLine) -> str:
    """Say what else is shown of a study: its counts, what was measured, and what is odd about it."""
    told = line.details
    parts: list[str] = []
    if "events_1" in told:
        parts.append(f"{told['events_1']:,}/{told['total_1']:,} v {told['events_2']:,}/{told['total_2']:,}")
    if "cases" in told:
        parts.append(f"{told['cases']:,} of {line.n or 0:,}")
    names = ("marker", "comparator", "outcome", "printed")
    parts += [str(told[name]).replace("_", " ") for name in names if told.get(name) not in {None, "none"}]
    if told.get("direction") and line.result is not None:
        parts.append(str(told["direction"]).replace("_", " "))
    if told.get("weeks"):
        parts.append(f"{told['weeks']:g} weeks")
    if told.get("derivation") not in {None, "printed"}:
        parts.append(_DERIVED.get(str(told["derivation"]), str(told["derivation"])))
    return "; ".join((*parts, *told.get("remarks", ())))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("comfrey.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": words.count,
        "numbers": words.of_finding,
        "intervals": _intervals,
        "links": source_links,
        "bar": lambda finding: Markup(interval_bar(finding)),  # noqa: S704 - built from numbers and escaped labels
        "cell_forest": lambda findings, better: Markup(_cell(findings, better)),  # noqa: S704 - the same
        "told": _told,
        "effect_numbers": _effect_numbers,
        "counted": words.counted,
        "studies": words.studies,
        "source_words": _source_words,
        "details": _details,
        "lower_first": words.lower_first,
    }
    return environment


def _intervals(line: Any, scale: str) -> str:
    """Write a study line's own estimate and interval."""
    if line.result is None:
        return ""
    return words.with_intervals(line.result, scale).replace("95% CI ", "")


def source_links(source: str | None) -> list[tuple[str, str | None]]:
    """Return (words, address or None) for each part of a source.

    Examples
    --------
    >>> source_links("doi:10.1000/xyz ; ref:Smith J. A journal 1999;1:1-2")
    [('doi:10.1000/xyz', 'https://doi.org/10.1000/xyz'), ('Smith J. A journal 1999;1:1-2', None)]
    """
    links: list[tuple[str, str | None]] = []
    for part in (source or "").split(" ; "):
        kind, _, rest = part.partition(":")
        addresses = {
            "doi": f"https://doi.org/{rest}",
            "pmid": f"https://pubmed.ncbi.nlm.nih.gov/{rest}/",
            "pmcid": f"https://pmc.ncbi.nlm.nih.gov/articles/{rest}/",
        }
        if kind in addresses:
            links.append((part, addresses[kind]))
        elif kind == "registry":
            nct = rest.startswith("NCT")
            home = f"https://clinicaltrials.gov/study/{rest}" if nct else f"https://www.isrctn.com/{rest}"
            links.append((rest, home if nct or rest.startswith("ISRCTN") else None))
        elif part:
            links.append((rest if kind in {"ref", "label", "guideline", "regulator"} else part, None))
    return links


def _text(name: str) -> str:
    return (files("comfrey.site") / "templates" / name).read_text(encoding="utf-8")


@cache
def _font_faces() -> str:
    faces = []
    for family, weight, style, name, characters in _FACES:
        data = base64.b64encode((files("comfrey.site") / "fonts" / f"{name}.woff2").read_bytes()).decode()
        faces.append(
            f"@font-face{{font-family:'{family}';font-weight:{weight};font-style:{style};font-display:swap;"
            f"src:url(data:font/woff2;base64,{data}) format('woff2');unicode-range:{characters}}}"
        )
    return "\n".join(faces)
