#!/usr/bin/env bash
# The newest versions of every package that the registry has today, in an environment of
# their own, and all tests: a break in somebody else's release is news, and not a
# newcomer's first impression. PyTorch stays the one of tools/torch.sh, or TORCH.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
PLACE=${PLACE:-.venv-newest}

[ -x "$PLACE/bin/python" ] || "$PYTHON" -m venv "$PLACE"
pip() { "$PLACE/bin/python" -m pip --disable-pip-version-check "$@"; }
sh tools/torch.sh "$PLACE/bin/python" -m pip --disable-pip-version-check install
torch=$("$PLACE/bin/python" -c \
    'from importlib.metadata import version; print(version("torch"))')
pip install -q --upgrade --upgrade-strategy eager \
    -c <(echo "torch==$torch") -e '.[test]'
# What is other than in the pinned set is said first: that is where to look.
pip freeze --exclude-editable | sort >"$PLACE/newest.txt"
pins=requirements/py$("$PYTHON" -c 'import sys; print("%d%d" % sys.version_info[:2])').txt
if [ -f "$pins" ]; then
    echo "Newer than the pinned set:"
    sed 's/ ;.*//' "$pins" | tr 'A-Z_' 'a-z-' | sort >"$PLACE/pinned.txt"
    tr 'A-Z_' 'a-z-' <"$PLACE/newest.txt" | sort | comm -23 - "$PLACE/pinned.txt"
fi
sh tools/with_display.sh "$PLACE/bin/python" -m pytest -q -p no:cacheprovider "$@"
