#!/usr/bin/env bash
# Builds the wheel, installs it into an empty environment, and uses it from an empty
# folder: nothing of the checkout may be needed.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
root=$PWD
export PIP_DISABLE_PIP_VERSION_CHECK=1

"$PYTHON" -m venv "$place/env"
# Three times as fast as pip, and its downloads are kept for the next environment.
"$place/env/bin/python" -m pip install -q build uv
export VIRTUAL_ENV=$place/env UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}
[ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS
uv=$place/env/bin/uv
# Built from the source distribution, so that this one is whole, too.
"$place/env/bin/python" -m build --installer uv --outdir "$place/dist" . \
    >"$place/build.log" 2>&1 || {
    cat "$place/build.log" >&2
    exit 1
}
sh tools/torch.sh "$uv" pip install
pins=requirements/py$("$PYTHON" -c 'import sys; print("%d%d" % sys.version_info[:2])').txt
[ -f "$pins" ] || pins=/dev/null
"$uv" pip install -q -c "$pins" "$(echo "$place"/dist/*.whl)[qt]"

mkdir "$place/work"
cp "$root/src/napari_imagec_ai/data/nuclei.tif" "$place/work/image.tif"
cd "$place/work"
export XDG_DATA_HOME=$place/data XDG_CACHE_HOME=$place/cache XDG_CONFIG_HOME=$place/config
export NAPARI_CONFIG=$place/napari.yaml
bin=$place/env/bin

"$bin/npe2" validate --imports napari-imagec-ai
"$bin/python" - <<'END'
from importlib.resources import files

import npe2

manager = npe2.PluginManager()
manager.discover()
manifest = manager.get_manifest("napari-imagec-ai")
widgets = [widget.display_name for widget in manifest.contributions.widgets]
assert "AI classifier" in widgets, widgets
package = files("napari_imagec_ai")
for name in ("napari.yaml", "py.typed", "models/nuclei-unet/rdf.yaml", "data/nuclei.tif"):
    assert (package / name).is_file(), name
print("discovered:", manifest.name, manifest.package_version)
END
"$bin/imagec-ai" models
test "$("$bin/imagec-ai" models --json | grep -c '"usable": true')" = 3
"$bin/imagec-ai" predict nuclei-unet image.tif -o results
test -s results/image.geojson
sh "$root/tools/with_display.sh" "$bin/imagec-ai" demo -o demo --close
test -s demo/*.png
echo "The wheel works."
