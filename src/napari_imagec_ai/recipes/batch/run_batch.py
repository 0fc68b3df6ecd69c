"""A recipe on many images: one after the other, or spread over workers with dask.

What is done is written down beside the results, so that a batch that was stopped goes
on where it was. An image that fails is reported and stops no other.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.summary import all_images as summary
from napari_imagec_ai.export.summary.all_images import Line
from napari_imagec_ai.export.summary.coco_set import write_coco_set
from napari_imagec_ai.export.writing import EXPORTS
from napari_imagec_ai.image.opening import SUFFIXES
from napari_imagec_ai.image.zarr_images import fields_of, stem_of
from napari_imagec_ai.recipes.batch.jobs import (
    DONE,
    Batch,
    Outcome,
    do_image,
    model_state,
    noted,
    thumbnail_of,
)
from napari_imagec_ai.recipes.runner import Runner
from napari_imagec_ai.system import whole_files as files
from napari_imagec_ai.system.progress import Progress

__all__ = ["Batch", "Outcome", "expand", "run_batch", "sensible_workers"]

_MEMORY = 3 << 30
"""What a worker may need, in bytes."""


def expand(patterns: Sequence[str], scene: str | None = None) -> list[Path]:
    """Files that names and patterns such as ``folder/*.tif`` mean, each once.

    A plate or a well of OME-Zarr means all its fields, unless a scene is asked for.

    Raises
    ------
    ImagecAIError
        If two of them would have results of one name.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        matches = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
        for path in map(Path, matches or [pattern]):
            fields = fields_of(path) if scene is None else []
            found |= dict.fromkeys(fields or [path])
    stems: dict[str, Path] = {}
    for path in found:
        stem = stem_of(path)
        if stem in stems:
            raise ImagecAIError(
                f"Two images are named '{stem}', so their files would be the "
                "same; run them into different folders."
            )
        stems[stem] = path
    return list(found)


def images_in(folder: Path) -> list[Path]:
    """Image files of a folder, by name; what an earlier batch wrote is left out."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in (*SUFFIXES, ".zarr")
        and (path.is_file() or path.suffix.lower() == ".zarr")
        and not path.name.startswith(".")
        and not _is_result(path)
    ]


def _is_result(path: Path) -> bool:
    """Whether what would have written a file lies beside it: a recipe, or a batch."""
    if summary.is_sheet(path.name) and path.with_name(summary.TABLE).exists():
        return True
    return any(
        path.name.endswith(suffix)
        and path.with_name(f"{path.name.removesuffix(suffix)}.recipe.yaml").exists()
        for suffix in EXPORTS.values()
    )


def sensible_workers(images: int) -> int:
    """How many workers this machine has room for: each keeps two cores busy."""
    cores = os.cpu_count() or 1
    room = int(psutil.virtual_memory().available // _MEMORY)
    return max(1, min(images, cores // 2, room))


def run_batch(
    batch: Batch,
    images: Sequence[Path],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    progress: Callable[[Path, Progress], None] | None = None,
) -> Iterator[Outcome]:
    """Run a recipe on images; yields what became of each, as it is known.

    At the end of a batch with ``summary`` the tables over all images and the contact
    sheet are written; of one that is stopped before, they are not.

    Parameters
    ----------
    batch : Batch
        What to do.
    images : sequence of Path
        The image files.
    workers : int
        How many processes; 1: this one.
    scheduler : str, optional
        Address of a dask scheduler whose workers do it instead; they need this package
        and the same files.
    progress : callable, optional
        Called with an image and its progress; where workers do it, only with large
        images, whose blocks they share.

    Raises
    ------
    ImagecAIError
        If the model cannot run, or the cluster cannot be reached.
    """
    # What is wrong with the model is wrong everywhere.
    batch = replace(batch, state=model_state(batch.recipe.open_model()))
    files.check_folder(batch.folder)
    for place in (batch.folder, batch.folder / DONE) if batch.resumable else ():
        files.sweep(place)
    known: dict[Path, Line] = {}
    for outcome in _outcomes(batch, images, workers, scheduler, progress):
        known[outcome.image] = _line(batch, outcome)
        yield outcome
    lines = [known[image] for image in images if image in known]
    if batch.summary:
        summary.write_all(lines, batch.folder, batch.recipe.model.name)
    if len(images) > 1 and "coco" in (batch.exports or ()):
        write_coco_set(lines, EXPORTS["coco"], batch.folder)


def _line(batch: Batch, outcome: Outcome) -> Line:
    there = None if outcome.problem else thumbnail_of(batch, outcome.image)
    return Line(outcome.image, outcome.report or {}, outcome.problem, there)


def _outcomes(
    batch: Batch,
    images: Sequence[Path],
    workers: int,
    scheduler: str | None,
    progress: Callable[[Path, Progress], None] | None,
) -> Iterator[Outcome]:
    todo = []
    for image in images:
        fresh = batch.again or not batch.resumable
        known = None if fresh else noted(batch, image)
        if known is None:
            todo.append(image)
        else:
            yield Outcome(image, known, before=True)
    if not todo:
        return
    if scheduler is not None or workers > 1:
        from napari_imagec_ai.recipes.batch.cluster import spread

        yield from spread(batch, todo, workers, scheduler, progress)
    else:
        yield from _one_by_one(batch, todo, progress)


def _one_by_one(
    batch: Batch,
    images: Sequence[Path],
    progress: Callable[[Path, Progress], None] | None,
) -> Iterator[Outcome]:
    with Runner(batch.recipe.open_model(), batch.recipe) as runner:
        for image in images:
            told = None
            if progress is not None:
                told = _bound(progress, image)
            done = do_image(runner, batch, image, told)
            assert isinstance(done, Outcome)  # a plan only where it is asked for
            yield done


def _bound(
    progress: Callable[[Path, Progress], None], image: Path
) -> Callable[[Progress], None]:
    return lambda step: progress(image, step)
