"""Results that would take the place of a person's files, or of what a run reads."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from faults.fault import Case, Fault, Lost, Make

MODELS = Path(__file__).resolve().parents[1] / "models"
_THEIRS = b"made by hand, over weeks"


def prepare(folder: Path) -> Make:
    """Cases on every writer, in Python and on the command line."""
    import tifffile

    from napari_imagec_ai.export.writing import FORMATS
    from napari_imagec_ai.image.samples import sample_image

    pixels = np.asarray(sample_image().data)[:64, :64]
    # Tracks are of objects that are followed from plane to plane; one plane has none.
    forms = [form for form in FORMATS if not form.word.startswith("track")]
    names = [".recipe.yaml", ".prediction.npz", *(form.suffix for form in forms)]
    words = ",".join(form.word for form in forms)
    alone = folder / "alone" / "a.tif"
    alone.parent.mkdir()
    tifffile.imwrite(alone, pixels)
    if _run(alone, words) != 0:  # else each case below would be refused for nothing
        raise RuntimeError("The run fails where nobody's files are.")

    def make(chance: random.Random) -> Case:
        suffix, told = chance.choice(names), chance.random() < 0.5
        as_source = told or chance.random() < 0.3
        place = folder / f"case{chance.randrange(1 << 30)}"
        stem = chance.choice(["a", "a b", "a.1", "Größe", "a.labels"])

        def run() -> None:
            place.mkdir()
            try:
                image = place / f"{stem}.tif"
                tifffile.imwrite(image, pixels)
                theirs = place / f"{stem}{suffix}"
                if suffix.endswith(".zarr"):
                    theirs.mkdir()
                    (theirs / "zarr.json").write_bytes(_THEIRS)
                elif as_source and suffix.endswith(".tif"):
                    tifffile.imwrite(theirs, pixels)
                else:
                    theirs.write_bytes(_THEIRS)
                _tried(image, theirs, words, overwrite=told and as_source)
            finally:
                shutil.rmtree(place, ignore_errors=True)

        what = "a source" if as_source else "a person's file"
        return Case(f"{what} named {stem}{suffix}", run)

    return make


def _tried(image: Path, theirs: Path, words: str, overwrite: bool) -> None:
    before = {path: _content(path) for path in (image, theirs)}
    # A source stays, whoever says otherwise.
    code = _run(image, words, *([str(theirs), "--overwrite"] if overwrite else []))
    for path, content in before.items():
        if _content(path) != content:
            raise Lost(f"'{path.name}' was replaced")
    if code != 1:
        raise Lost(f"the run ended with {code}, where it had to be refused")
    left = {path.name for path in image.parent.iterdir()}
    if left != {image.name, theirs.name}:
        raise Lost(f"something was written: {sorted(left)}")


def _run(image: Path, words: str, *more: str) -> int:
    from napari_imagec_ai.cli import main

    argv = ["predict", str(MODELS / "nuclei-unet"), str(image), "-o", str(image.parent)]
    return main([*argv, "--export", words, "--save-prediction", *more])


def _content(path: Path) -> Any:
    if path.is_dir():
        return {str(part): part.read_bytes() for part in path.rglob("*")}
    return path.read_bytes()


PLACES = Fault(
    "results under the names of a person's files and of sources",
    prepare,
    count=150,
    quick=6,
)
