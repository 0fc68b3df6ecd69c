#!/bin/sh
# Makes .venv with everything that the demo and the tests need, and adds the few system
# libraries of Qt and OpenGL where they are missing and this may be done.
set -eu

PYTHON=${PYTHON:-python3}
# Three times as fast as pip, and its downloads are kept for the next environment.
UV=.venv/bin/uv
export VIRTUAL_ENV=.venv UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}"
[ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Expected Python 3.11 or later, found $("$PYTHON" --version 2>&1);" \
        "say which to use: make PYTHON=/path/to/python3.11" >&2
    exit 1
}

# Where Python may keep no bytecode, every start would compile all that it imports anew.
[ -z "${PYTHONDONTWRITEBYTECODE:-}" ] || export UV_COMPILE_BYTECODE=1

# Debian and its kin, as root: the only place where libraries are added unasked.
may_install() {
    [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

missing_libraries() {
    for library in libGL.so.1 libEGL.so.1 libxkbcommon-x11.so.0 libxcb-cursor.so.0 \
        libxcb-icccm.so.4 libxcb-keysyms.so.1 libxcb-shape.so.0 libfontconfig.so.1 \
        libdbus-1.so.3 libglib-2.0.so.0; do
        ldconfig -p 2>/dev/null | grep -q "$library" || echo "$library"
    done
    [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || command -v xvfb-run >/dev/null ||
        echo xvfb-run
}

if [ "$(uname -s)" = Linux ] && [ -n "$(missing_libraries)" ]; then
    if may_install; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
            xvfb xauth libgl1 libegl1 libxkbcommon-x11-0 libxcb-cursor0 \
            libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libfontconfig1 libdbus-1-3 \
            libglib2.0-0 fonts-dejavu-core
    else
        echo "These are missing for napari's window, please install them:" \
            $(missing_libraries) >&2
    fi
fi

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    "$PYTHON" -m venv .venv || {
        may_install && apt-get update -q && apt-get install -q -y python3-venv
        "$PYTHON" -m venv --clear .venv
    }
fi

echo "Setting up .venv; the first time this takes minutes, and 3 GB of disk." >&2

# The versions that are known to go together: see tools/lock.sh.
pinned=requirements/py$("$PYTHON" -c 'import sys; print("%d%d" % sys.version_info[:2])').txt
[ -f "$pinned" ] || {
    echo "There are no pinned versions for $("$PYTHON" --version); the newest are taken." >&2
    pinned=/dev/null
}
[ "${NEWEST:-}" = "" ] || pinned=/dev/null

[ -x "$UV" ] || .venv/bin/python -m pip install -q --disable-pip-version-check uv
.venv/bin/python -c 'import torch' 2>/dev/null || sh tools/torch.sh "$UV" pip install
"$UV" pip install -q -c "$pinned" -e '.[test]'
