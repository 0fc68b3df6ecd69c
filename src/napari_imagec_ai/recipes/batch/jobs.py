"""What a batch is made of: one image, or one share of a large one; and what is done.

What is done is written down beside the results, so that a batch that was stopped goes
on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from napari_imagec_ai.image.zarr_images import stem_of
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.weights import fingerprint
from napari_imagec_ai.recipes.in_words import in_words
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.recipes.runner import Runner
from napari_imagec_ai.run.in_blocks.plan import Plan
from napari_imagec_ai.run.in_blocks.run_in_blocks import (
    ABOVE,
    Gathered,
    InShares,
    OneShare,
    SharedOut,
    Terms,
)
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.system import own_files
from napari_imagec_ai.system import whole_files as files
from napari_imagec_ai.system.contents import sha256_of_all, sha256_of_samples
from napari_imagec_ai.system.file_changes import CHANGED, last_change
from napari_imagec_ai.system.progress import Progress
from napari_imagec_ai.system.scratch import check_there

DONE = own_files.BATCH
"""Folder beside the results with a note for each image that is done."""

_RUN = re.compile(r"[0-9a-f]{16}")
"""The shares of one run of an image."""

_KEPT = (
    "'{}' was not as an earlier run had written it: it was made again, and what lay "
    "there is kept as '{}'."
)


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
    summary : bool
        Write tables over all images and a contact sheet when the batch has ended.
    in_blocks : bool
        Run large images in shares, which are kept until the image is done.
    split_above : int
        Pixels of an image above which it is large.
    scratch : Path or None
        Where shares go until then; all workers see it. None: beside the results.
    overwrite : bool
        Replace also files that this software did not write; never the images.
    sources : tuple of Path
        What is read beside the images and must stay, such as a person's recipe.
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
    summary: bool = False
    in_blocks: bool = True
    split_above: int = ABOVE
    scratch: Path | None = None
    overwrite: bool = False
    sources: tuple[Path, ...] = ()
    state: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image: a report, or the problem in words.

    ``before``: it was done in an earlier run, and not again.
    """

    image: Path
    report: dict[str, Any] | None = None
    problem: str = ""
    before: bool = False


# -- doing -----------------------------------------------------------------------------


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
    folder = places / f"{_name(image)}.shares"
    try:
        if batch.in_blocks:
            terms = Terms(folder, _ran(batch, image), batch.split_above, apart)
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
        if _ran(batch, image) != plan.mark:
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
    mark = _mark(batch, image)
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
    if batch.resumable and mark == _mark(batch, image):
        note(batch, image, report)
    return Outcome(image, report)


def said(error: Exception) -> str:
    """Why an image failed, in a sentence; a bug is raised again."""
    words = in_words(error)
    if words is None:
        raise error
    return words


# -- what is done ----------------------------------------------------------------------


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


def _mark(batch: Batch, image: Path) -> str:
    """What must be the same for an image to be done."""
    asked = [list(batch.exports or ()), batch.axes, batch.save_prediction]
    state = [digest(batch.recipe), batch.state, _written(image)]
    return json.dumps([*state, [*asked, _beside(batch)]])


def _ran(batch: Batch, image: Path) -> str:
    """What must be the same for a share of an image to be done."""
    fed = batch.recipe.predict.model_dump_json()
    state = [fed, batch.state, str(image.absolute()), _written(image)]
    return json.dumps([*state, batch.axes, _beside(batch)])


_LONGEST = 200
"""Bytes of a name to which a suffix is added."""


def _name(image: Path) -> str:
    """An image's name, for notes; of a long one its beginning and its hash."""
    name = stem_of(image)
    if len(os.fsencode(name)) <= _LONGEST:
        return name
    told = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f"{os.fsdecode(os.fsencode(name)[: _LONGEST // 2])}-{told}"


def _place(batch: Batch, image: Path) -> Path:
    return batch.folder / DONE / f"{_name(image)}.json"


def thumbnail_of(batch: Batch, image: Path) -> Path:
    """Where the small picture of an image lies."""
    return batch.folder / DONE / f"{_name(image)}.png"


def note(batch: Batch, image: Path, report: dict[str, Any]) -> None:
    """Write down that an image is done."""
    whole = {str(part): _content(part) for part in _parts(batch, image, report)}
    known = {"mark": _mark(batch, image), "report": report, "content": whole}
    files.replace_text(_place(batch, image), json.dumps(known), private=True)


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
        done = known["mark"] == _mark(batch, image)
        report: dict[str, Any] = known["report"]
        parts = _parts(batch, image, report)
        whole = known["content"]
        if done and all(_content(part) == whole[str(part)] for part in parts):
            return report
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def remove(folder: Path) -> None:
    """Take away the shares of an image that is done, and their folder once empty."""
    for run in folder.iterdir() if folder.is_dir() else ():
        if _RUN.fullmatch(run.name):  # a person may have a folder of that name
            shutil.rmtree(run, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty: others lie there
        folder.rmdir()
        folder.parent.rmdir()
