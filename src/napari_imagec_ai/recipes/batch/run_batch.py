"""A recipe on many images: one after the other, or spread over workers with dask.

What is done is written down beside the results, so that a batch that was stopped goes
on where it was. An image that fails is reported and stops no other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.export.summary import all_images
from napari_imagec_ai.export.summary.all_images import Line
from napari_imagec_ai.export.summary.coco_set import NAME as COCO_SET
from napari_imagec_ai.export.summary.coco_set import write_coco_set
from napari_imagec_ai.export.writing import EXPORTS, USUAL, expected_files
from napari_imagec_ai.image.zarr_images import stem_of
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.recipes.batch.batch import Batch, Outcome
from napari_imagec_ai.recipes.batch.done_notes import (
    DONE,
    model_state,
    noted,
    thumbnail_of,
    written_before,
)
from napari_imagec_ai.recipes.batch.image_files import expand, images_in
from napari_imagec_ai.recipes.batch.jobs import do_image
from napari_imagec_ai.recipes.runner import Runner
from napari_imagec_ai.system import own_files
from napari_imagec_ai.system.progress import Progress
from napari_imagec_ai.system.whole_files import check_folder, sweep

__all__ = ["Batch", "Outcome", "expand", "images_in", "run_batch", "sensible_workers"]

_MEMORY = 3 << 30
"""What a worker may need, in bytes."""


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
        If the model cannot run, the cluster cannot be reached, or files would be
        replaced that must not: then nothing is run.
    """
    # What is wrong with the model is wrong everywhere.
    model = batch.recipe.open_model()
    batch = replace(batch, state=model_state(model))
    check_folder(batch.folder)
    check_places(batch, images, model)
    for place in (batch.folder, batch.folder / DONE) if batch.resumable else ():
        sweep(place)
    known: dict[Path, Line] = {}
    for outcome in _outcomes(batch, images, workers, scheduler, progress):
        known[outcome.image] = _line(batch, outcome)
        yield outcome
    lines = [known[image] for image in images if image in known]
    if batch.summary:
        with own_files.permitted(batch.overwrite, images, in_batch=True):
            all_images.write_all(lines, batch.folder, batch.recipe.model.name)
    if len(images) > 1 and "coco" in (batch.exports or ()):
        with own_files.permitted(batch.overwrite, images, in_batch=True):
            write_coco_set(lines, EXPORTS["coco"], batch.folder)


def check_places(batch: Batch, images: Sequence[Path], model: Model) -> None:
    """Find out before the run whether its files may take their places.

    Raises
    ------
    ImagecAIError
        If one is an image of the batch, or is there and was not written by this
        software.
    """
    words = batch.exports
    if words is None and model.kind == "boxes":
        words = [word for word in USUAL if word != "labels"]
    gives = choose_decoder(model, batch.recipe.decoder).gives
    outputs = [spec.id for spec in model.outputs]
    places: list[Path] = []
    earlier: list[str] = []
    for image in images:
        if batch.resumable and not batch.again and noted(batch, image) is not None:
            continue
        earlier += written_before(batch, image) if batch.resumable else ()
        stem = stem_of(image)
        places += expected_files(gives, batch.folder, stem, words, outputs)
        names = [".prediction.npz"] if batch.save_prediction else []
        names += [".recipe.yaml"]
        places += [batch.folder / f"{stem}{name}" for name in names]
    if batch.summary:
        places += [batch.folder / name for name in all_images.names(len(images))]
    if len(images) > 1 and "coco" in (batch.exports or ()):
        places.append(batch.folder / COCO_SET)
    read = [each for each in batch.beside.values() if isinstance(each, Path)]
    sources = [*images, *read, *batch.sources]
    with own_files.permitted(batch.overwrite, sources, before=earlier):
        own_files.check(list(dict.fromkeys(places)))


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
        from napari_imagec_ai.recipes.batch.cluster import share_out

        yield from share_out(batch, todo, workers, scheduler, progress)
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
