"""One call from a review to all of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfrey.findings.finding import Answers, QuestionAnswer, TreatmentRow
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
    return Answers(tuple(questions), treatments)
