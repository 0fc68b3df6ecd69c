#!/bin/sh
# Installs PyTorch's build for processors, which is ten times smaller than the usual one:
#     sh tools/torch.sh PIP INSTALL...     such as .venv/bin/python -m pip install
# On Windows and macOS the usual build is the small one.
set -eu
VERSION=${TORCH:-2.13.0}

"$@" -q "torch==$VERSION+cpu" 2>/dev/null ||
    PIP_RETRIES=1 PIP_DEFAULT_TIMEOUT=10 UV_HTTP_TIMEOUT=10 \
        "$@" -q "torch==$VERSION" --index-url https://download.pytorch.org/whl/cpu \
        2>/dev/null || {
    [ "$(uname -s)" != Linux ] ||
        echo "No small build of PyTorch was found; the usual one is installed." >&2
    "$@" -q "torch==$VERSION"
}
