"""Where a Chromium for the page's tests is; run as a program, prints its path or fails."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def find_chromium() -> str | None:
    """Return the path of a Chromium: the machine's own first, else the one that Playwright installed."""
    named = os.environ.get("COMFREY_CHROMIUM")
    for candidate in (named, *(shutil.which(name) for name in NAMES), *PLACES):
        if candidate and Path(candidate).exists():
            return candidate
    return _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


if __name__ == "__main__":
    found = find_chromium()
    if found is None:
        sys.exit("no Chromium found")
    sys.stdout.write(found + "\n")
