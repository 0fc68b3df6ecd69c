#!/usr/bin/env bash
# The oldest versions of every package that pyproject.toml allows, in an environment of
# their own, and the tests that touch them: Python, command line, exports, the widget.
#
# PyTorch's oldest build for processors is taken where it can be had; else the one that
# the other environment has.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
PLACE=${PLACE:-.venv-lowest}
CPU=https://download.pytorch.org/whl/cpu

[ -x "$PLACE/bin/python" ] || "$PYTHON" -m venv "$PLACE"
"$PLACE/bin/python" -m pip install -q --disable-pip-version-check uv
export UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}} VIRTUAL_ENV=$PWD/$PLACE
[ "${PLACE#/}" = "$PLACE" ] || export VIRTUAL_ENV=$PLACE
[ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS
uv=$PLACE/bin/uv

lowest=$(sed -n 's/^ *"torch>=\([0-9.]*\)".*/\1/p' pyproject.toml)
if ! timeout 60 "$uv" pip install -q --no-deps "torch==$lowest.0+cpu" \
    --index-url "$CPU" 2>/dev/null; then
    echo "No small build of PyTorch $lowest was found; a newer one is taken." >&2
    sh tools/torch.sh "$uv" pip install
fi
torch=$("$PLACE/bin/python" -c \
    'from importlib.metadata import version; print(version("torch"))')

"$uv" pip compile -q pyproject.toml --extra qt --extra export \
    --resolution lowest-direct --python-version 3.11 \
    --override <(echo "torch==$torch") --no-header --no-annotate -o "$PLACE/lowest.txt"
# What only tests need may be new, as long as it takes the old packages.
"$uv" pip install -q -r "$PLACE/lowest.txt" --override <(echo "torch==$torch") \
    'pytest>=8' 'pytest-qt>=4.4' 'hypothesis>=6.100' 'shapely>=2' 'pycocotools>=2.0.8'
"$uv" pip install -q --no-deps -e .

# Old packages warn of what newer ones do otherwise: that is not what is looked for.
sh tools/with_display.sh "$PLACE/bin/python" -m pytest -q -W ignore -p no:cacheprovider \
    tests/test_prediction.py tests/test_cli.py tests/test_export.py \
    tests/test_export_cli.py tests/test_imagefile.py \
    tests/test_selftest.py tests/test_readme.py tests/test_layers.py tests/test_widget.py \
    "$@"
