#!/bin/sh
# Runs a command, under a virtual display where there is no real one.
if [ "$(uname -s)" != Linux ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    exec "$@"
fi
if ! command -v xvfb-run >/dev/null; then
    echo "There is no display; install xvfb and xauth to make a virtual one." >&2
    exit 1
fi
exec xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
