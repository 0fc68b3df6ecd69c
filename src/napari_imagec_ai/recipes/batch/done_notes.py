"""Writes down which images of a batch are done, and tells whether they still are.

A note lies beside the results. With it a batch that was stopped goes on where it was:
an image is done as long as recipe, model, image and all that was written stay the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from napari_imagec_ai.image.zarr_images import stem_of
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.weights import fingerprint
from napari_imagec_ai.recipes.batch.batch import Batch
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.system import own_files
from napari_imagec_ai.system.contents import sha256_of_all, sha256_of_samples
from napari_imagec_ai.system.file_changes import last_change
from napari_imagec_ai.system.whole_files import replace_text

DONE = own_files.BATCH
"""Folder beside the results with a note for each image that is done."""


def digest(recipe: Recipe) -> str:
    """What changes with any setting of a recipe."""
    told = recipe.model_dump_json(exclude={"used"})
    return hashlib.sha256(told.encode()).hexdigest()


def model_state(model: Model) -> str:
    """What changes when a model's description or weights do."""
    weights = [fingerprint(model, name) for name in model.runnable]
    return f"{hashlib.sha256(model.source).hexdigest()[:24]} {' '.join(weights)}"


def _beside(batch: Batch) -> list[tuple[str, str]]:
    return sorted((name, str(what)) for name, what in batch.beside.items())


_MOST_READ = 1 << 30
"""Bytes of an image that are read to know it; of a larger one evenly spread blocks."""


def _written(image: Path) -> tuple[int | str, ...]:
    """What an image, a file or a Zarr folder, is and when it was last written to.

    One that is not there is told as it opens.
    """
    try:
        return (*last_change(image), sha256_of_samples(image, _MOST_READ))
    except OSError:
        return ()


def mark_of(batch: Batch, image: Path) -> str:
    """What must be the same for an image to be done."""
    asked = [list(batch.exports or ()), batch.axes, batch.save_prediction]
    state = [digest(batch.recipe), batch.state, _written(image)]
    return json.dumps([*state, [*asked, _beside(batch)]])


def mark_of_shares(batch: Batch, image: Path) -> str:
    """What must be the same for a share of an image to be done."""
    fed = batch.recipe.predict.model_dump_json()
    state = [fed, batch.state, str(image.absolute()), _written(image)]
    return json.dumps([*state, batch.axes, _beside(batch)])


_LONGEST = 200
"""Bytes of a name to which a suffix is added."""


def name_of(image: Path) -> str:
    """An image's name, for notes; of a long one its beginning and its hash."""
    name = stem_of(image)
    if len(os.fsencode(name)) <= _LONGEST:
        return name
    told = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f"{os.fsdecode(os.fsencode(name)[: _LONGEST // 2])}-{told}"


def _place(batch: Batch, image: Path) -> Path:
    return batch.folder / DONE / f"{name_of(image)}.json"


def thumbnail_of(batch: Batch, image: Path) -> Path:
    """Where the small picture of an image lies."""
    return batch.folder / DONE / f"{name_of(image)}.png"


def note(batch: Batch, image: Path, report: dict[str, Any]) -> None:
    """Write down that an image is done."""
    whole = {str(part): _content(part) for part in _parts(batch, image, report)}
    known = {"mark": mark_of(batch, image), "report": report, "content": whole}
    replace_text(_place(batch, image), json.dumps(known), private=True)


def _parts(batch: Batch, image: Path, report: dict[str, Any]) -> list[Path]:
    """What was written for an image."""
    parts = [Path(file) for file in report["files"]]
    return parts + ([thumbnail_of(batch, image)] if batch.summary else [])


def _content(path: Path) -> list[int | str]:
    """What a file must have to be the one that was written."""
    return [last_change(path)[1], sha256_of_all(path)]


def written_before(batch: Batch, image: Path) -> tuple[str, ...]:
    """Names of what an earlier run wrote for an image, whatever became of it."""
    try:
        known = json.loads(_place(batch, image).read_text(encoding="utf-8"))
        return tuple(Path(file).name for file in known["report"]["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def noted(batch: Batch, image: Path) -> dict[str, Any] | None:
    """The report of an image that is done and whose files are all as they were."""
    try:
        known = json.loads(_place(batch, image).read_text(encoding="utf-8"))
        done = known["mark"] == mark_of(batch, image)
        report: dict[str, Any] = known["report"]
        parts = _parts(batch, image, report)
        whole = known["content"]
        if done and all(_content(part) == whole[str(part)] for part in parts):
            return report
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None
