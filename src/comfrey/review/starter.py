"""A small review to start from: three made-up trials, clearly named as such, that build at once."""

from __future__ import annotations

from pathlib import Path

from comfrey.errors import InputError
from comfrey.review.aside import folder_aside
from comfrey.review.cells import slug

__all__ = ["write_starter"]

_FILES = {
    "review.yaml": """\
# A small review to start from. Change the words, then the tables; `comfrey check` says what does not fit.
comfrey: 1
id: my_review
title: My review
version: "0.1"
updated: 2026-01-01
about:
  - The trials in this starter are invented. Put your own studies in their place.
tables:
  studies: {file: studies.csv, type: studies}
  treatments: {file: treatments.csv, type: treatments}
  arms: {file: arms.csv, type: arms}
questions:
  - id: effect
    kind: treatments
    title: Does the new treatment help?
    arms: arms
    treatments: treatments
    outcome: relapse
    outcome_label: relapse
    measure: RR
    better: lower
    at_weeks: 52
""",
    "studies.csv": """\
study,label,year,source,design,note,flags
first_2019,First 2019,2019,ref:Invented example no. 1,rct,invented,
second_2021,Second 2021,2021,ref:Invented example no. 2,rct,invented,
third_2024,Third 2024,2024,ref:Invented example no. 3,rct,invented,
""",
    "treatments.csv": """\
treatment,label,role,components
new,New treatment,active,
usual,Usual care,control,
""",
    "arms.csv": """\
row,study,arm,treatment,outcome,weeks,total,events,derivation,source,flags
r1,first_2019,a,new,relapse,52,60,12,,,
r2,first_2019,b,usual,relapse,52,58,20,,,
r3,second_2021,a,new,relapse,52,110,31,,,
r4,second_2021,b,usual,relapse,52,112,39,,,
r5,third_2024,a,new,relapse,26,45,9,,,
r6,third_2024,b,usual,relapse,26,47,15,,,
""",
}


def write_starter(folder: str | Path) -> None:
    """Write a small review that builds at once.

    Parameters
    ----------
    folder : str or Path
        A folder that does not exist, or is empty. Its name becomes the id of the review.

    Raises
    ------
    InputError
        If there is something in the folder already: nothing is overwritten.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_starter(pathlib.Path(place) / "mine")
    ...     sorted(path.name for path in (pathlib.Path(place) / "mine").iterdir())
    ['arms.csv', 'review.yaml', 'studies.csv', 'treatments.csv']
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(
            "folder",
            found=f"{target}, which is not empty",
            expected="a folder that does not exist",
            fix="name another one",
        )
    name = slug(target.resolve().name, "my_review")
    with folder_aside(target) as aside:
        for file, text in _FILES.items():
            (aside / file).write_text(text.replace("id: my_review", f"id: {name}", 1), encoding="utf-8", newline="\n")
        if target.exists():  # it stays, being perhaps where the caller stands
            for path in aside.iterdir():
                path.replace(target / path.name)
            aside.rmdir()
        else:
            aside.chmod(0o755)
            aside.replace(target)
