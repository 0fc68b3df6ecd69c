"""Does what a batch is made of: one image, or one share of a large one."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from napari_imagec_ai.recipes.batch.batch import Batch, Outcome
from napari_imagec_ai.recipes.batch.done_notes import (
    DONE,
    mark_of,
    mark_of_shares,
    name_of,
    note,
    thumbnail_of,
    written_before,
)
from napari_imagec_ai.recipes.in_words import in_words
from napari_imagec_ai.recipes.runner import Runner
from napari_imagec_ai.run.in_blocks.plan import Plan
from napari_imagec_ai.run.in_blocks.run_in_blocks import (
    Gathered,
    InShares,
    OneShare,
    SharedOut,
    Terms,
)
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.system import own_files
from napari_imagec_ai.system.file_changes import CHANGED
from napari_imagec_ai.system.progress import Progress
from napari_imagec_ai.system.scratch import check_there

_RUN = re.compile(r"[0-9a-f]{16}")
"""The shares of one run of an image."""

_KEPT = (
    "'{}' was not as an earlier run had written it: it was made again, and what lay "
    "there is kept as '{}'."
)


def do_image(
    runner: Runner,
    batch: Batch,
    image: Path,
    progress: Callable[[Progress], None] | None = None,
    *,
    apart: bool = False,
) -> Outcome | Plan:
    """Do one image.

    Parameters
    ----------
    runner : Runner
        Of the batch's recipe, open.
    batch, image
        What to do.
    progress : callable, optional
        Called after each call of the network.
    apart : bool
        Plan a large image only, for others to do its shares.

    Returns
    -------
    Outcome or Plan
        A plan where the image is large and ``apart`` was asked for.
    """
    dense: Callable[..., DenseRun] = DenseRun
    places = batch.scratch or batch.folder / DONE
    folder = places / f"{name_of(image)}.shares"
    try:
        if batch.in_blocks:
            terms = Terms(
                folder, mark_of_shares(batch, image), batch.split_above, apart
            )
            dense = partial(InShares, terms=terms)
        found = _finished(runner, batch, image, dense, progress)
    except SharedOut as shared:
        return shared.plan
    except Exception as error:  # noqa: BLE001 - a bug is raised again
        return Outcome(image, problem=said(error))
    if folder.exists():
        remove(folder)
    return found


def do_share(runner: Runner, batch: Batch, image: Path, plan: Plan) -> str:
    """Do one share of an image; gives the problem in words, or an empty string."""
    dense = partial(OneShare, plan=plan)
    try:
        runner.predict_file(image, dense, axes=batch.axes, beside=batch.beside)
    except Exception as error:  # noqa: BLE001 - a bug is raised again
        return said(error)
    return ""


def finish_image(runner: Runner, batch: Batch, image: Path, plan: Plan) -> Outcome:
    """Decode and export an image whose shares are all done."""
    dense = partial(Gathered, plan=plan)
    try:
        if mark_of_shares(batch, image) != plan.mark:
            remove(plan.folder.parent)
            return Outcome(image, problem=CHANGED.format(name=image.name))
        found = _finished(runner, batch, image, dense, begun=plan.begun)
        check_there(plan.folder)
    except Exception as error:  # noqa: BLE001 - a bug is raised again
        return Outcome(image, problem=said(error))
    remove(plan.folder.parent)
    return found


def _finished(
    runner: Runner,
    batch: Batch,
    image: Path,
    dense: Callable[..., DenseRun],
    progress: Callable[[Progress], None] | None = None,
    begun: float | None = None,
) -> Outcome:
    before = 0.0 if begun is None else max(0.0, time.time() - begun)
    mark = mark_of(batch, image)
    earlier = written_before(batch, image) if batch.resumable else ()
    with own_files.permitted(
        batch.overwrite, batch.sources, batch.resumable, earlier
    ) as permit:
        report = runner.run_file(
            image,
            batch.folder,
            batch.exports,
            axes=batch.axes,
            beside=batch.beside,
            save_prediction=batch.save_prediction,
            progress=progress,
            dense=dense,
            thumbnail=thumbnail_of(batch, image) if batch.summary else None,
        )
    report["assumed"] += [
        _KEPT.format(place.name.partition("-")[2], place) for place in permit.aside
    ]
    report["total_seconds"] = round(report["total_seconds"] + before, 4)
    # What was written to meanwhile is to be done again, when it is complete.
    if batch.resumable and mark == mark_of(batch, image):
        note(batch, image, report)
    return Outcome(image, report)


def said(error: Exception) -> str:
    """Why an image failed, in a sentence; a bug is raised again."""
    words = in_words(error)
    if words is None:
        raise error
    return words


def remove(folder: Path) -> None:
    """Take away the shares of an image that is done, and their folder once empty."""
    for run in folder.iterdir() if folder.is_dir() else ():
        if _RUN.fullmatch(run.name):  # a person may have a folder of that name
            shutil.rmtree(run, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty: others lie there
        folder.rmdir()
        folder.parent.rmdir()
