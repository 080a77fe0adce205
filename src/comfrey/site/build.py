"""Building a review: everything is made aside and put in place at the end, or nothing is."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comfrey.errors import InputError
from comfrey.review.aside import folder_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from comfrey.site.pictures import Picture, Plan

__all__ = ["Built", "build_review"]

_MARK = ".comfrey-build"


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made."""

    index: Path
    files: int
    seconds: float


def build_review(folder: str | Path, output: str | Path, progress: Callable[[str], None] | None = None) -> Built:
    """Build the review in a folder into another folder.

    Parameters
    ----------
    folder : str or Path
        A review folder.
    output : str or Path
        Gets ``index.html``, ``results.json``, ``figures/`` and ``tables/``. An earlier build there is replaced as a
        whole; a folder that holds anything else is left alone.
    progress : callable, optional
        Called with a few words as each step begins.

    Returns
    -------
    Built

    Raises
    ------
    ReviewError
        If the review has problems: all of them. Nothing is written.
    InputError
        If the output folder is not one that may be replaced.
    OSError
        If the output cannot be written. Nothing is.
    """
    start = time.perf_counter()
    say = progress or (lambda _: None)
    target = Path(output)
    _check_target(target, Path(folder))
    content = _content(Path(folder), target, say)
    _put_in_place(content, target)
    return Built(target / "index.html", len(content), time.perf_counter() - start)


def _content(folder: Path, earlier: Path, say: Callable[[str], None]) -> dict[str, bytes]:
    """Make every file of the build in memory; figures that an earlier build drew of the same are used again."""
    from comfrey.findings.answer import answer
    from comfrey.review.folder import read_review
    from comfrey.site.files import results_json, tables
    from comfrey.site.page import render_page
    from comfrey.site.pictures import plan_pictures

    say(f"reading {folder}")
    review = read_review(folder)
    answers = answer(review, progress=lambda title: say(f"analysing: {title}"))
    files = {"results.json": results_json(review, answers)}
    files |= {f"tables/{name}": content for name, content in tables(answers)}
    say("drawing figures")
    pictures = [_drawn_before(plan, earlier) or plan.draw() for plan in plan_pictures(review, answers)]
    for picture in pictures:
        files[f"figures/{picture.name}.svg"] = picture.svg.encode()
        files[f"figures/{picture.name}.png"] = picture.png
        if picture.svg_narrow is not None:
            files[f"figures/{picture.name}-narrow.svg"] = picture.svg_narrow.encode()
    files[_MARK] = (json.dumps({picture.name: picture.key for picture in pictures}, indent=1) + "\n").encode()
    say("writing the page")
    files["index.html"] = render_page(review, answers, pictures).encode()
    return files


def _drawn_before(plan: Plan, earlier: Path) -> Picture | None:
    """Return the earlier build's drawing of the same, or None where there is none."""
    from comfrey.site.pictures import Picture

    try:
        keys = json.loads((earlier / _MARK).read_text(encoding="utf-8"))
        if keys[plan.name] != plan.key:
            return None
        home = earlier / "figures"
        narrow = (home / f"{plan.name}-narrow.svg").read_text(encoding="utf-8") if plan.narrow else None
        svg, png = (home / f"{plan.name}.svg").read_text(encoding="utf-8"), (home / f"{plan.name}.png").read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Picture(plan.name, plan.key, plan.title, plan.caption, svg, png, narrow)


def _check_target(target: Path, folder: Path) -> None:
    if target.exists() and not target.is_dir():
        raise InputError("output", found=f"the file {target}", expected="a folder")
    if target.resolve() == folder.resolve() or folder.resolve().is_relative_to(target.resolve()):
        raise InputError(
            "output",
            found=str(target),
            expected="a folder apart from the review",
            fix="the build would replace the review itself; choose another folder",
        )
    if target.is_dir() and any(target.iterdir()) and not (target / _MARK).exists():
        raise InputError(
            "output",
            found=f"{target}, which holds files that Comfrey did not build",
            expected="a new folder, an empty one, or an earlier build",
            fix="choose another folder, or empty this one",
        )


def _put_in_place(content: Mapping[str, bytes], target: Path) -> None:
    """Write aside, on the same disk, and swap; an earlier build stays until the new one is whole."""
    with folder_aside(target) as aside:
        aside.chmod(0o777 & ~_umask())
        for name, data in content.items():
            path = aside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        _swap(aside, target)


def _swap(aside: Path, target: Path) -> None:
    """Put `aside` where `target` is; what was there comes back where that fails."""
    if not target.exists():
        aside.replace(target)
        return
    kept = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    old = kept / "build"
    try:
        target.replace(old)
        aside.replace(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.replace(target)
        kept.rmdir()
        raise
    try:
        shutil.rmtree(kept, ignore_errors=True)
    except KeyboardInterrupt:  # the new build is in place already
        shutil.rmtree(kept, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
