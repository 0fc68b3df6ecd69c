"""Which files a batch is run on: names, patterns and folders, without results."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.summary.all_images import TABLE, is_sheet
from napari_imagec_ai.export.writing import EXPORTS
from napari_imagec_ai.image.opening_files import KINDS, SUFFIXES
from napari_imagec_ai.image.zarr_images import fields_of, is_zarr, stem_of
from napari_imagec_ai.system import own_files

_WILD = re.compile(r"[*?[]")
_NUMBER = re.compile(r"(\d+)")


def expand(
    patterns: Sequence[str], scene: str | None = None, output: Path | None = None
) -> list[Path]:
    """Files that names, patterns such as ``folder/*.tif`` and folders mean, each once.

    A plate or a well of OME-Zarr means all its fields, unless a scene is asked for.
    What earlier runs wrote is left out, but for images that a network made, where they
    lie in another folder than ``output``. A single file that is named is always taken.

    Parameters
    ----------
    patterns : sequence of str
        Those of a pattern or folder are in natural order: ``a2`` before ``a10``.
    scene : str, optional
        Which image of files that hold several.
    output : Path, optional
        Where the results of this run go.

    Raises
    ------
    ImagecAIError
        If a pattern or folder holds no image, or two images would have results of one
        name.
    """
    found: dict[Path, None] = {}
    named = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir() and not is_zarr(path) and path.suffix.lower() != ".zarr":
            matches = images_in(path, output)
            if not matches:
                raise ImagecAIError(_none_in(path))
        elif os.path.exists(pattern) or not _WILD.search(pattern):
            matches = [path]
            named.append(path)
        else:
            there = sorted(map(Path, glob.glob(pattern)), key=natural)
            matches = [one for one in there if not is_result(one, output)]
            if not matches:
                but = " but results of earlier runs" if there else ""
                raise ImagecAIError(
                    f"There is nothing{but} that '{pattern}' means; check the folder "
                    "and the pattern."
                )
        for match in matches:
            fields = fields_of(match) if scene is None else []
            found |= dict.fromkeys(fields or [match])
    # A shell that knows patterns itself gives names: results are among them, too.
    results = [path for path in named if len(found) > 1 and is_result(path, output)]
    if len(results) < len(found):
        found = {path: None for path in found if path not in set(results)}
    _check_stems(list(found))
    return list(found)


def _none_in(folder: Path) -> str:
    """Why a folder has no image that is run, and what to do."""
    if images_in(folder):  # what this software wrote, samples among it
        return (
            f"All images in '{folder}' were written by this software, and are left "
            "out of what is run into the same folder; choose another one with -o."
        )
    within = sorted(one for one in folder.iterdir() if _may_be_read(one))
    deeper = next((one for one in within if images_in(one)), None)
    if deeper is not None:
        return (
            f"There are no images in the folder '{folder}', but in folders in it; name "
            f"these, as '{deeper}', or a pattern, as '{folder / '*' / '*.tif'}'."
        )
    return (
        f"There are no images in the folder '{folder}'; name files, or a folder that "
        f"holds them ({KINDS})."
    )


def _may_be_read(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.is_dir() and not hidden and os.access(path, os.R_OK | os.X_OK)


def _check_stems(paths: Sequence[Path]) -> None:
    stems: dict[str, Path] = {}
    for path in paths:
        stem = stem_of(path)
        if stem in stems:
            raise ImagecAIError(
                f"Two images are named '{stem}', so their files would be the same; "
                "run them into different folders."
            )
        stems[stem] = path


def images_in(folder: Path, output: Path | None = None) -> list[Path]:
    """Image files of a folder, in natural order; what runs wrote is left out."""
    return [
        path
        for path in sorted(folder.iterdir(), key=natural)
        if path.suffix.lower() in (*SUFFIXES, ".zarr")
        and (path.is_file() or path.suffix.lower() == ".zarr")
        and not path.name.startswith(".")
        and not is_result(path, output)
    ]


def natural(path: Path) -> list[tuple[int, str]]:
    """Sorts names as people do: by the numbers in them."""
    parts = _NUMBER.split(str(path))
    return [(int(p), "") if i % 2 else (-1, p) for i, p in enumerate(parts)]


def is_result(path: Path, output: Path | None = None) -> bool:
    """Whether a run wrote a file, and it is no image to go on with.

    Parameters
    ----------
    path : Path
        The file.
    output : Path, optional
        The folder of this run's results: images in there that a network made are its
        results, and in other folders what the next network may take.
    """
    if is_sheet(path.name) and path.with_name(TABLE).exists():
        return True
    told = _told_by_a_recipe(path)
    if not told and not own_files.is_ours(path):
        return False
    name = path.name.lower()
    if name.endswith(tuple(EXPORTS.values())) or path.suffix.lower() not in SUFFIXES:
        return True
    return output is not None and path.parent.resolve() == output.resolve()


def _told_by_a_recipe(path: Path) -> bool:
    """Whether a recipe beside a file is of the run that wrote it."""
    if any(
        path.name.endswith(suffix)
        and path.with_name(f"{path.name.removesuffix(suffix)}.recipe.yaml").exists()
        for suffix in EXPORTS.values()
    ):
        return True
    line = f"    {path.name}: "
    for notes in own_files.recipes_on(path):
        try:
            if line in notes.read_text(encoding="utf-8"):
                return True
        except (OSError, UnicodeDecodeError):
            continue
    return False
