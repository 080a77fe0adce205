#!/bin/sh
# Makes .venv with everything for use and development, pinned with hashes. Does nothing when nothing changed.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }

stamp=.venv/.setup-stamp
want=$(cat pyproject.toml requirements/*.txt scripts/setup.sh scripts/browser.sh | cksum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1; then sudo -n "$@"; else return 1; fi
}

python=$(find_python)
[ -n "$python" ] || stop "Python 3.11 or newer is needed and was not found; install it, or name it: make setup PYTHON=/path/to/python3"

say "making .venv with $("$python" --version 2>&1)"
rm -rf .venv
if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --python "$python" .venv
elif ! "$python" -m venv .venv >/dev/null 2>&1; then
    # Debian ships venv apart from Python.
    rm -rf .venv
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "this Python cannot make an environment yet: installing python$version-venv"
    { as_root apt-get update -q && as_root apt-get install -y -q --no-install-recommends "python$version-venv"; } >/dev/null 2>&1 \
        || stop "please install the package python$version-venv (Debian, Ubuntu) or uv, then run this again"
    "$python" -m venv .venv
fi

say "installing pinned packages (the first time takes a minute or two)"
if command -v uv >/dev/null 2>&1; then
    uv=uv
elif .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt; then
    uv=.venv/bin/uv
else
    uv=
fi
with_uv() {
    # Certificates of the system: behind a proxy of one's own the built-in ones do not do.
    VIRTUAL_ENV=$PWD/.venv UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 "$uv" pip install --quiet "$@"
}
with_pip() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }

if [ -n "$uv" ] && with_uv --compile-bytecode --require-hashes -r requirements/constraints.txt; then
    with_uv --no-deps --no-build-isolation -e .
else
    say "uv cannot be had or does not get through; pip does it, more slowly"
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    with_pip --require-hashes -r requirements/constraints.txt
    with_pip --no-deps --no-build-isolation -e .
fi

sh scripts/browser.sh
printf '%s\n' "$want" > "$stamp"
say "done"
