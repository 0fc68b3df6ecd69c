r"""Writes results and lets other programs read them: the figures of docs/export.md.

Clients that are not here are left out, and said. To install them::

    apt-get install imagej xvfb xauth r-base-core libreoffice-calc
    python -m venv readers
    readers/bin/pip install bioio bioio-ome-tiff bioio-tifffile bioio-ome-zarr \
        napari-tiff napari-ome-zarr "napari[pyqt6]" pycocotools pandas
    python tools/read_by_others.py --python readers/bin/python
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import napari_imagec_ai as ai
from napari_imagec_ai.export import writing
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.objects import Objects

SIZES = (2.0, 0.5, 0.25)
"""Along Z, Y and X."""

UNITS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "angstrom": 1e-4}
UNITS |= {"centimeter": 1e4, "inch": 25_400.0, "meter": 1e6, "picometer": 1e-6}
"""Units that are tried, in micrometres."""

NAMES = ('=HYPERLINK("http://x.invalid/","y")', "µ-nucleus", "NA", "None", "-")
"""Classes that are easily misread."""

LIMITS = {
    ("bioio", ".tif"): ("angstrom", "inch", "meter"),
    ("napari-tiff", ".ome.tif"): ("angstrom", "inch", "picometer"),
}
"""Units that a client takes for micrometres, by the ending of files."""

Row = tuple[str, str, bool, str]
"""Client, file, whether all is right, and what was found."""


# -- what is written -------------------------------------------------------------------


def volume(unit: str, unsized: str = "") -> Objects:
    """Two objects in a volume, in two times."""
    labels = np.zeros((2, 3, 20, 24), np.int32)
    labels[0, 1, 4:6, 10:13], labels[1, 2, 8:12, 1:5] = 1, 2
    frame = Frame("TZYX", labels.shape, SIZES, unit, interval=1.5, unsized=unsized)
    return ai.read_labels(labels, frame, volumes=True)


def table() -> Objects:
    """An object of each class of :data:`NAMES`, the first with a hole."""
    labels = np.zeros((12, 8 * len(NAMES)), np.int32)
    for number in range(len(NAMES)):
        labels[2:8, 8 * number : 8 * number + 6] = number + 1
    labels[4:6, 2:4] = 0
    frame = Frame("YX", labels.shape, (0.5, 0.5), "micrometer", file="it.tif")
    names = dict(enumerate(NAMES, start=1))
    found = ai.read_labels(labels, frame, classes=names)
    assert found.classes == NAMES
    return found


def write(folder: Path) -> dict[str, str]:
    """Write everything; gives the unit of each file by its name."""
    told = {}
    for unit in UNITS:
        for word in ("labels", "ometiff", "imagej", "omezarr"):
            path = folder / f"{unit}{writing.EXPORTS[word]}"
            writing.write_as(word, volume(unit), path)
            told[path.name] = unit
    lost = volume("nanometer", "Z")
    for word in ("labels", "ometiff", "imagej", "omezarr"):
        path = folder / f"no-depth{writing.EXPORTS[word]}"
        writing.write_as(word, lost, path)
        told[path.name] = "nanometer"
    for name in ("a.objects.csv", "a.coco.json", "a.txt"):
        ai.write(table(), folder / name)
    return told


# -- who reads it ----------------------------------------------------------------------

_MACRO = """
args = split(getArgument(), "|"); out = "";
for (i = 1; i < args.length; i++) {
  open(args[i]);
  getVoxelSize(w, h, d, unit);
  Stack.getDimensions(width, height, channels, slices, frames);
  Stack.setPosition(1, 2, 1); sum = getValue("RawIntDen");
  out = out + args[i] + "\\t" + d + "\\t" + h + "\\t" + w + "\\t" + unit + "\\t";
  out = out + slices + "\\t" + frames + "\\t" + Stack.getFrameInterval();
  out = out + "\\t" + sum + "\\n";
  close();
}
File.saveString(out, args[0]);
"""

_IMAGEJ = {"µm": "micrometer", "inches": "inch", "angstrom": "angstrom"}
_IMAGEJ |= {"nm": "nanometer", "mm": "millimeter", "cm": "centimeter"}
_IMAGEJ |= {"m": "meter", "pm": "picometer"}


def imagej(folder: Path, told: dict[str, str]) -> Iterator[Row]:
    """ImageJ under a virtual display: sizes, unit, interval, and ids of a plane."""
    macro, out = folder / "read.ijm", folder / "read.txt"
    macro.write_text(_MACRO, encoding="utf-8")
    files = [n for n in told if n.endswith((".labels.tif", ".imagej.tif"))]
    words = "|".join([str(out), *(str(folder / name) for name in files)])
    _call("xvfb-run", "-a", "imagej", "-b", str(macro), words)
    for line in out.read_text(encoding="utf-8").splitlines():
        path, *values, unit, slices, frames, interval, total = line.split("\t")
        name = Path(path).name
        sizes = tuple(map(float, values))
        depth = 1.0 if name.startswith("no-depth") else SIZES[0]
        right = sizes == (depth, *SIZES[1:]) and _IMAGEJ.get(unit) == told[name]
        right &= (slices, frames, float(interval)) == ("3", "2", 1.5)
        right &= float(total) == 6
        yield "ImageJ", name, right, f"{sizes} {unit}, {interval} s"


def libreoffice(folder: Path, told: dict[str, str]) -> Iterator[Row]:
    """LibreOffice: no formula, and names as they are."""
    _call("soffice", "--headless", "--convert-to", "fods", "--outdir", str(folder),
          str(folder / "a.objects.csv"))  # fmt: skip
    text = (folder / "a.objects.fods").read_text(encoding="utf-8")
    right = "table:formula" not in text and "µ-nucleus" in text
    yield "LibreOffice", "a.objects.csv", right, "no formula; µ-nucleus"


_R = """
told <- read.csv(commandArgs(TRUE)[1], na.strings = "")
names <- paste(told$class, collapse = "|")
cat(names(told)[1], is.numeric(told$area), names, sep = "\\n")
"""


def r(folder: Path, told: dict[str, str]) -> Iterator[Row]:
    """R: names of classes and numbers."""
    script = folder / "read.R"
    script.write_text(_R, encoding="utf-8")
    lines = _call("Rscript", str(script), str(folder / "a.objects.csv")).splitlines()
    names = "|".join(f"'{n}" if n[0] in "=-" else n for n in NAMES)
    yield "R", "a.objects.csv", lines == ["id", "TRUE", names], lines[-1]


_PYTHON = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
folder, names, out = Path(sys.argv[1]), json.loads(sys.argv[2]), []

def seen(client, name, read):
    try:
        out.append([client, name, read(str(folder / name))])
    except Exception as error:
        out.append([client, name, repr(error)])

def bioio(reader):
    def read(path):
        from bioio import BioImage
        image = BioImage(path, reader=reader.Reader)
        size = image.physical_pixel_sizes
        return [[size.Z, size.Y, size.X], int(image.data.max())]
    return read

def napari(get):
    def read(path):
        layers = get(path)(path)
        meta = layers[-1][1]
        return [[float(v) for v in meta["scale"][-3:]],
                [None if u is None else str(u) for u in meta["units"][-3:]]]
    return read

import bioio_ome_tiff, bioio_ome_zarr, bioio_tifffile
from napari_ome_zarr._reader import napari_get_reader as zarrs
from napari_tiff.napari_tiff_reader import napari_get_reader as tiffs
for name in names:
    if name.endswith(".ome.tif"):
        seen("bioio", name, bioio(bioio_ome_tiff))
        seen("napari-tiff", name, napari(tiffs))
    elif name.endswith(".zarr"):
        seen("bioio", name, bioio(bioio_ome_zarr))
        seen("napari-ome-zarr", name, napari(zarrs))
    else:
        seen("bioio", name, bioio(bioio_tifffile))
        seen("napari-tiff", name, napari(tiffs))

def coco(path):
    from pycocotools import mask
    from pycocotools.coco import COCO
    found = COCO(path)
    areas = []
    for one in found.anns.values():
        runs = mask.frPyObjects(one["segmentation"], 12, 40)
        areas.append([int(mask.decode(runs).max(axis=2).sum()), one["area"]])
    return areas

def frame(path):
    import pandas
    told = pandas.read_csv(path, keep_default_na=False, na_values=[""])
    return told["class"].tolist()

seen("torchvision, detectron2 (pycocotools)", "a.coco.json", coco)
seen("pandas", "a.objects.csv", frame)
print("\\n" + json.dumps(out))
"""

_SHORT = {"µm": "micrometer", "um": "micrometer", "nm": "nanometer", "mm": "millimeter"}
_SHORT |= {"cm": "centimeter", "m": "meter", "pm": "picometer", "Å": "angstrom"}
_SHORT |= {"in": "inch"}


def python(interpreter: str, folder: Path, told: dict[str, str]) -> Iterator[Row]:
    """Packages of Python, in an environment of their own."""
    script = folder / "read.py"
    script.write_text(_PYTHON, encoding="utf-8")
    text = _call(interpreter, str(script), str(folder), json.dumps(list(told)))
    for client, name, found in json.loads(text.splitlines()[-1]):
        yield (
            client,
            name,
            _is_right(client, name, found, told),
            json.dumps(found, ensure_ascii=False),
        )


def _is_right(client: str, name: str, found: Any, told: dict[str, str]) -> bool:
    if isinstance(found, str):
        return False
    if name == "a.coco.json":
        return all(drawn == area for drawn, area in found)
    if name == "a.objects.csv":
        return list(found) == [f"'{n}" if n[0] in "=-" else n for n in NAMES]
    lost = name.startswith("no-depth")
    sizes, rest = found
    if client == "bioio":
        # It gives micrometres for TIFF, and what is written for OME.
        factor = UNITS[told[name]] if not name.endswith(("ome.tif", "zarr")) else 1.0
        depth = (None, 1.0) if lost else (SIZES[0] * factor,)
        near = np.allclose(sizes[1:], np.multiply(SIZES[1:], factor))
        return rest == 2 and near and any(_same(sizes[0], one) for one in depth)
    units = [_SHORT.get(unit, unit) for unit in rest]
    metres = [UNITS.get(unit or "", 0) * size for unit, size in zip(units, sizes)]  # noqa: B905
    expected = np.multiply(SIZES, UNITS[told[name]])
    return bool(np.allclose(metres[1:], expected[1:])) and (
        lost or bool(np.isclose(metres[0], expected[0]))
    )


def _is_limit(client: str, name: str) -> bool:
    """Whether the client is known not to know the unit of a file."""
    return any(
        client == who and name.endswith(ending) and name.split(".")[0] in units
        for (who, ending), units in LIMITS.items()
    )


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.isclose(one, other))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _call(*words: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode and words[0] != "xvfb-run":  # ImageJ ends with any number
        raise OSError(f"{words[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout


def main() -> int:
    """Write, let read, and print what came of it; 1 where something was misread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help="interpreter that has bioio and the others")
    options = parser.parse_args()
    clients: dict[str, Callable[[Path, dict[str, str]], Iterator[Row]]] = {
        "imagej": imagej,
        "Rscript": r,
        "soffice": libreoffice,
    }
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = write(folder)
        for program, client in clients.items():
            if shutil.which(program) is None:
                _say(f"left out: {program} is not installed")
                continue
            rows += client(folder, told)
        if options.python:
            rows += python(options.python, folder, told)
        else:
            _say("left out: packages of Python (--python)")
    counts: dict[str, list[int]] = {}
    for client_name, file, right, found in rows:
        counts.setdefault(client_name, []).append(right)
        if not right:
            word = "limit of" if _is_limit(client_name, file) else "MISREAD by"
            _say(f"{word} {client_name}: {file}: {found}")
    for client_name, results in counts.items():
        _say(f"{client_name}: {sum(results)} of {len(results)} read as they are")
    return int(not all(right or _is_limit(who, file) for who, file, right, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
