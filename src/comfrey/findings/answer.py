"""One call from a review to all of its answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from comfrey.findings import words
from comfrey.findings.finding import Answers, Interval, Published, QuestionAnswer, TreatmentRow
from comfrey.review.spec import Associations, Proportions

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfrey.review.folder import Review

__all__ = ["answer"]


def answer(review: Review, progress: Callable[[str], None] | None = None) -> Answers:
    """Answer every question of a review.

    Parameters
    ----------
    review : Review
        As read by :func:`comfrey.read_review`.
    progress : callable, optional
        Called with the title of each question as its analysis begins.

    Returns
    -------
    Answers
        Every row of every table in question is accounted for: used, or listed with the reason; an account that does
        not add up is an error of the program and stops it.
    """
    quoted = _quoted(review)
    questions: list[QuestionAnswer] = []
    treatments: tuple[TreatmentRow, ...] = ()
    for question in review.spec.questions:
        if progress is not None:
            progress(question.title)
        if isinstance(question, Proportions):
            from comfrey.findings.proportions import answer_proportions

            questions.append(answer_proportions(review, question))
        elif isinstance(question, Associations):
            from comfrey.findings.associations import answer_associations

            questions.append(answer_associations(review, question))
        else:
            from comfrey.findings.treatments import answer_treatments

            answered, table = answer_treatments(review, question)
            questions.append(answered)
            treatments += table
    told = [replace(question, published=tuple(quoted.get(question.id, ()))) for question in questions]
    return Answers(tuple(told), treatments)


def _quoted(review: Review) -> dict[str, list[Published]]:
    """Return what other reviews printed, by the question that it speaks to."""
    by_question: dict[str, list[Published]] = {}
    for row in review.of_type("published"):
        study = review.studies[row.study]
        share = row.measure == "proportion"
        scale = "percent" if share else words.SCALES.get(row.measure, row.measure)
        values = [
            None if value is None else value * (100 if share else 1)
            for value in (row.estimate, row.ci_low, row.ci_high)
        ]
        estimate, low, high = values
        by_question.setdefault(row.about, []).append(
            Published(
                study=row.study,
                label=study.label,
                what=row.what or "",
                scale=scale,
                result=None if estimate is None else Interval(estimate, low, high),
                k=row.k,
                n=row.participants,
                certainty=row.certainty,
                remarks=tuple(review.spec.flags.get(flag, flag) for flag in row.flags),
                source=row.source or study.source or "",
            )
        )
    return by_question
