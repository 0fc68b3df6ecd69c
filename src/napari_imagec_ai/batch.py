"""A recipe on many images: one after the other, or spread over workers with dask.

What is done is written down beside the results, so that a batch that was stopped goes
on where it was. An image that fails is reported and stops no other.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from napari_imagec_ai import engines, files
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.model import Model
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.recipe import Recipe
from napari_imagec_ai.runner import Runner
from napari_imagec_ai.weights import fingerprint

_DONE = ".imagec-ai-batch"
"""Folder beside the results with a note for each image that is done."""

_MEMORY = 3 << 30
"""What a worker may need, in bytes."""

_RETRIES = 2
"""How often an image is tried again whose worker died."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be done to each image.

    Attributes
    ----------
    recipe : Recipe
        What to do.
    folder : Path
        Where files go.
    exports : sequence of str or None
        Words of the formats; None: all that fit.
    axes : str or None
        Of the images, instead of what the files say.
    beside : mapping
        What goes to other inputs of the network.
    save_prediction : bool
        Write the raw output, too.
    resumable : bool
        Write down what is done, and leave out what was done before.
    again : bool
        Do images again that are done.
    state : str
        What the model's files are; filled in when the batch begins.
    """

    recipe: Recipe
    folder: Path
    exports: Sequence[str] | None = None
    axes: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    save_prediction: bool = False
    resumable: bool = True
    again: bool = False
    state: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image: a report, or the problem in words."""

    image: Path
    report: dict[str, Any] | None = None
    problem: str = ""


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files that names and patterns such as ``folder/*.tif`` mean, each once.

    Raises
    ------
    ImagecAIError
        If two of them would have results of one name.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        matches = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
        found |= dict.fromkeys(Path(match) for match in matches or [pattern])
    stems: dict[str, Path] = {}
    for path in found:
        if path.stem in stems:
            raise ImagecAIError(
                f"Two images are named '{path.stem}', so their files would be the "
                "same; run them into different folders."
            )
        stems[path.stem] = path
    return list(found)


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
        Called with the image and its progress, where this process does the work.

    Raises
    ------
    ImagecAIError
        If the model cannot run, or the cluster cannot be reached.
    """
    batch = replace(batch, state=_state(batch.recipe.open_model()))
    todo = []
    for image in images:
        fresh = batch.again or not batch.resumable
        known = None if fresh else _noted(batch, image)
        if known is None:
            todo.append(image)
        else:
            yield Outcome(image, known)
    if not todo:
        return
    if scheduler is not None or workers > 1:
        yield from _spread(batch, todo, workers, scheduler)
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
            yield _do(runner, batch, image, told)


def _bound(
    progress: Callable[[Path, Progress], None], image: Path
) -> Callable[[Progress], None]:
    return lambda step: progress(image, step)


def _do(
    runner: Runner,
    batch: Batch,
    image: Path,
    progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    try:
        report = runner.run_file(
            image,
            batch.folder,
            batch.exports,
            axes=batch.axes,
            beside=batch.beside,
            save_prediction=batch.save_prediction,
            progress=progress,
        )
    except ImagecAIError as error:
        return Outcome(image, problem=str(error))
    if batch.resumable:
        _note(batch, image, report)
    return Outcome(image, report)


# -- on workers ------------------------------------------------------------------------


def _spread(
    batch: Batch, images: Sequence[Path], workers: int, scheduler: str | None
) -> Iterator[Outcome]:
    import dask
    from distributed import Client, LocalCluster, as_completed

    batch.recipe.open_model()  # what is wrong with it is wrong everywhere
    if scheduler is not None:
        try:
            client, threads = Client(scheduler, timeout="10s"), 0
        except (OSError, ValueError, TimeoutError) as error:
            raise ImagecAIError(
                f"The dask scheduler at '{scheduler}' cannot be reached ({error}); "
                "start one with 'dask scheduler', or leave out --scheduler."
            ) from error
        cluster = None
    else:
        threads = max(1, (os.cpu_count() or 1) // workers)
        with dask.config.set({"distributed.worker.daemon": False}):
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            )
        client = Client(cluster)
    try:
        jobs = {
            client.submit(_job, batch, image, threads, pure=False, retries=_RETRIES): (
                image
            )
            for image in images
        }
        for future in as_completed(jobs):
            yield _outcome(jobs[future], future)
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


def _outcome(image: Path, future: Any) -> Outcome:
    error = future.exception()
    if error is None:
        found: Outcome = future.result()
        return found
    what = " ".join(str(error).split())[:200] or type(error).__name__
    return Outcome(
        image, problem=f"The worker that had '{image.name}' died or failed ({what})."
    )


_open_runner: tuple[str, Runner] | None = None
"""Of this worker: the network stays open from one image to the next."""


def _job(batch: Batch, image: Path, threads: int) -> Outcome:
    global _open_runner
    name = _digest(batch.recipe)
    if _open_runner is None or _open_runner[0] != name:
        engines.use_threads(threads)
        _open_runner = (name, Runner(batch.recipe.open_model(), batch.recipe))
    return _do(_open_runner[1], batch, image)


# -- what is done ----------------------------------------------------------------------


def _digest(recipe: Recipe) -> str:
    told = recipe.model_dump_json(exclude={"used"})
    return hashlib.sha256(told.encode()).hexdigest()


def _mark(batch: Batch, image: Path) -> str:
    """What must be the same for an image to be done."""
    about = image.stat()
    beside = sorted((name, str(what)) for name, what in batch.beside.items())
    asked = [list(batch.exports or ()), batch.axes, batch.save_prediction, beside]
    about_image = [about.st_size, about.st_mtime_ns]
    return json.dumps([_digest(batch.recipe), batch.state, about_image, asked])


def _state(model: Model) -> str:
    """What changes when a model's description or weights do."""
    weights = [fingerprint(model, name) for name in model.runnable]
    return f"{hashlib.sha256(model.source).hexdigest()[:24]} {' '.join(weights)}"


def _place(batch: Batch, image: Path) -> Path:
    return batch.folder / _DONE / f"{image.stem}.json"


def _note(batch: Batch, image: Path, report: dict[str, Any]) -> None:
    text = json.dumps({"mark": _mark(batch, image), "report": report})

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    files.replace_whole(_place(batch, image), write)


def _noted(batch: Batch, image: Path) -> dict[str, Any] | None:
    """The report of an image that is done and whose files are all there."""
    try:
        known = json.loads(_place(batch, image).read_text(encoding="utf-8"))
        done = known["mark"] == _mark(batch, image)
        report: dict[str, Any] = known["report"]
        if done and all(Path(file).exists() for file in report["files"]):
            return report
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None
