#!/bin/sh
# Finds a Chromium for the page's tests, or installs one: Debian's package where it may, Playwright's own otherwise.
# Without one the review still builds and the page's tests say loudly that they were skipped.
set -u
cd "$(dirname "$0")/.."

ready() { .venv/bin/playwright --version >/dev/null 2>&1 && .venv/bin/python tests/chromium.py >/dev/null 2>&1; }

ready && exit 0
printf 'setup: no Chromium found, or its driver does not start; installing what the tests of the page need\n' >&2
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then root=; else root='sudo -n'; fi
    { $root apt-get update -q && $root apt-get install -y -q --no-install-recommends chromium libatomic1; } >/dev/null 2>&1
fi
ready && exit 0
.venv/bin/playwright install chromium >/dev/null 2>&1
ready && exit 0
printf 'setup: NO CHROMIUM COULD BE INSTALLED. The tests of the page will be skipped. Install chromium and run make setup again.\n' >&2
exit 0
