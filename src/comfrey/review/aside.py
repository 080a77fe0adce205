"""Writing a folder aside, on the same disk, so that it is put in place whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["folder_aside"]


@contextmanager
def folder_aside(target: Path) -> Iterator[Path]:
    """Give a new folder beside `target` to write in; whatever goes wrong, it is removed, new parents too.

    Parameters
    ----------
    target : Path
        The folder that will be put in place. Its parents are made where they are missing.

    Yields
    ------
    Path
        The folder to write in and to move to `target` before the end.
    """
    target = target.absolute()
    made = [parent for parent in target.parents if not parent.exists()]
    nearest = next((parent for parent in target.parents if parent.exists()), target)
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
    aside = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield aside
    except BaseException:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):
            for parent in made:
                parent.rmdir()
        raise
