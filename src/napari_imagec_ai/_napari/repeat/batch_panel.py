"""The panel for many images: a folder, in the background, with the widget's recipe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_imagec_ai._napari.background import Run, duration
from napari_imagec_ai._napari.controls import Undocking, shown
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.repeat.batch_form import BatchForm
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.image.zarr_images import is_zarr
from napari_imagec_ai.library import trust
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.recipes.batch.run_batch import (
    Batch,
    Outcome,
    expand,
    images_in,
    run_batch,
    sensible_workers,
)
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.system.progress import Progress

_LOOK = 250
"""Milliseconds between two looks at how far the image is."""


class BatchStopped(Exception):
    """The person does not want to wait for the end of an image."""


class Stop:
    """Asks a batch to stop, and knows how far its image is; shared by two threads."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.image, self.progress = "", Progress(0, 0, "")

    def watch(self, image: Path, progress: Progress) -> None:
        """Called after each tile, in the batch's thread."""
        if self.asked.is_set():
            raise BatchStopped
        self.image, self.progress = image.name, progress


def work(
    batch: Batch, images: Sequence[Path], workers: int, stop: Stop
) -> Generator[Outcome, None, str]:
    """Run a batch; gives the sentence on what stopped it, empty at a good end."""
    steps: Any = run_batch(batch, images, workers=workers, progress=stop.watch)
    with closing(steps):
        try:
            for outcome in steps:
                yield outcome
                if stop.asked.is_set():
                    break
        except BatchStopped:
            return ""
        except ImagecAIError as error:
            return str(error)
    return ""


class BatchRun(Run):
    """A batch in the background: told of outcomes, not of tiles."""

    def _yielded(self, outcome: Any) -> None:
        self._progressed(outcome, "")


class BatchPanel(BatchForm):
    """Runs the widget's recipe on many images.

    Parameters
    ----------
    recipe : callable
        Gives the recipe that the widget shows now, or None, and a sentence on what is
        missing.
    model : callable
        Gives the model that the widget shows now, or None.
    """

    def __init__(
        self,
        recipe: Callable[[], tuple[Recipe | None, str]],
        model: Callable[[], Model | None],
    ) -> None:
        super().__init__()
        self._recipe, self._model = recipe, model
        self._run: BatchRun | None = None
        self._stop = Stop()
        self._total = self._begun = 0.0
        self._outcomes: list[Outcome] = []
        self._clock = QTimer(self.native)
        self._clock.setInterval(_LOOK)
        self._clock.timeout.connect(self._tell)
        Undocking(self.native)
        self.images.changed.connect(lambda _: self.look())
        self.scene.changed.connect(lambda _: self.look())
        self.output.changed.connect(lambda _: self._check())
        self.folder.changed.connect(lambda: self._ask_folder())
        self.files.changed.connect(lambda: self._ask_files())
        self.choose.changed.connect(lambda: self._ask_output())
        self.show_results.changed.connect(lambda: self._show_results())
        self.run_button.changed.connect(lambda: self.run())
        self.cancel_button.changed.connect(lambda: self.cancel())
        for box in self.formats.values():
            box.changed.connect(lambda _: self._check())
        self.native.destroyed.connect(lambda *_: self.stop())

    # -- what is asked for -------------------------------------------------------------

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self.native, "Images of a folder")
        if name:
            self.images.value = name

    def _ask_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self.native, "Images")
        if names:
            self.images.value = "; ".join(names)

    def _ask_output(self) -> None:
        name = QFileDialog.getExistingDirectory(self.native, "Folder for results")
        if name:
            self.output.value = name

    def _show_results(self) -> None:
        if self.output.value:
            place = Path(str(self.output.value)).expanduser()
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(place)))

    def paths(self) -> list[Path]:
        """The images that are asked for.

        Raises
        ------
        ImagecAIError
            If two of them have one name, or a folder cannot be read.
        """
        found: list[str] = []
        for part in str(self.images.value).split(";"):
            place = Path(part.strip()).expanduser()
            if not part.strip():
                continue
            if place.is_dir() and not is_zarr(place):
                found += map(str, images_in(place, self._folder()))
            else:
                found.append(str(place))
        return expand(found, self._scene()) if found else []

    def _scene(self) -> str | None:
        return str(self.scene.value).strip() or None

    def _folder(self) -> Path:
        """Where results go."""
        return Path(str(self.output.value).strip()).expanduser()

    def look(self) -> None:
        """Count the images, and say what will be done to them."""
        try:
            paths = self.paths()
        except (ImagecAIError, OSError) as error:
            self.found.value = shown(in_form_words(str(error)), bold=True)
            paths = []
        else:
            missing = [path.name for path in paths if not path.exists()]
            there = len(paths) - len(missing)
            said = f"{there} image{'' if there == 1 else 's'}"
            gone = f"; not there: {', '.join(missing[:3])}" if missing else ""
            self.found.value = f"{said}{gone}." if self.images.value else ""
        if paths and not self.output.value:
            self.output.value = str(paths[0].parent / "results")
        self.workers.max = max(1, len(paths))
        self.workers.tooltip = (
            "Processes that work side by side; each keeps a network in memory. This "
            f"machine has room for {sensible_workers(max(1, len(paths)))}."
        )
        recipe, sentence = self._recipe()
        self.summary.value = _summary(recipe, sentence)
        self._check()

    def _check(self) -> str:
        """Enable Run, or say why it cannot run; gives the reason."""
        reason = self._reason()
        self.run_button.enabled = not reason and self._run is None
        if self._run is None:
            waits = self.consent.waits if self.consent.asking else ""
            self.say(reason or waits or "Ready.")
        return reason

    def _reason(self) -> str:
        recipe, sentence = self._recipe()
        if recipe is None:
            return sentence
        try:
            paths = self.paths()
            if not paths:
                asked = str(self.images.value).strip()
                none = f"There are no images in '{asked}'; c" if asked else "C"
                return f"{none}hoose a folder with images, or files."
            if not any(path.exists() for path in paths):
                return f"'{paths[0]}' is not there; choose another folder, or files."
        except (ImagecAIError, OSError) as error:
            return str(error)
        if not str(self.output.value).strip():
            return "Choose a folder for the results."
        return "" if self.words() else "Choose a format to write."

    # -- a run -------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a batch is under way."""
        return self._run is not None

    def run(self) -> None:
        """Run what the widget shows on all images, in the background."""
        self.look()
        recipe, _ = self._recipe()
        if self._run is not None or recipe is None or self._reason():
            return
        model = self._model()
        chosen = (recipe.predict.engine, recipe.predict.device)
        asked = trust.question(model, *chosen) if model is not None else None
        if model is not None and asked is not None:
            self.consent.ask(asked, partial(self._run_trusted, model, *chosen))
            return
        self.consent.drop()
        recipe, images = recipe.for_other_images(), self.paths()
        if (scene := self._scene()) is not None:
            chosen_too = recipe.predict.model_copy(update={"scene": scene})
            recipe = recipe.model_copy(update={"predict": chosen_too})
        batch = Batch(
            recipe,
            self._folder(),
            self.words(),
            again=bool(self.again.value),
            summary=len(images) > 1,
        )
        self._outcomes, self._total = [], len(images)
        self.failures.clear()
        self.failures.hide()
        self._stop, self._begun = Stop(), time.monotonic()
        self.progress.max, self.progress.value = len(images), 0
        self.progress.visible = True
        self.run_button.enabled, self.cancel_button.enabled = False, True
        self.say("Opening the network...")
        self._run = BatchRun(
            work,
            batch,
            images,
            int(self.workers.value),
            self._stop,
            progressed=self._progressed,
            returned=self._returned,
            failed=lambda sentence: self.say(sentence, bad=True),
            finished=self._finished,
        )
        self._clock.start()
        self._run.start()

    def _run_trusted(self, model: Model, engine: str, device: str) -> None:
        """Run a program that a person trusts."""
        trust.remember(model, engine, device)
        self.run()

    def cancel(self) -> None:
        """Stop after the tile (with several workers: the image) that it is at."""
        self._stop.asked.set()
        self.cancel_button.enabled = False
        self.say("Stopping...")

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        self._stop.asked.set()
        if self._run is not None:
            self._run.drop()
            self._run = None

    def _progressed(self, outcome: Any, _: str) -> None:
        self._outcomes.append(outcome)
        self.progress.value = len(self._outcomes)
        for sentence in filter(None, (outcome.problem, *_warnings(outcome))):
            said = in_form_words(sentence)
            self.failures.addItem(f"{outcome.image.name}: {said}")
            self.failures.show()
        self._tell()

    def _tell(self) -> None:
        """Say how far it is."""
        if self._run is None or self._stop.asked.is_set():
            return
        words = _counts(self._outcomes, int(self._total))
        fresh = sum(not outcome.before for outcome in self._outcomes)
        left = self._total - len(self._outcomes)
        if fresh and left:
            passed = time.monotonic() - self._begun
            words += f", {duration(passed / fresh * left)}"
        now, at = self._stop.progress, self._stop.image
        part = f" {at}: {now.done} of {now.total} tiles." if now.total > 1 else ""
        self.say(f"{words}.{part}")

    def _returned(self, problem: Any) -> None:
        words = _counts(self._outcomes, int(self._total))
        if problem:
            self.say(problem, bad=True)
        elif len(self._outcomes) < self._total:
            self.say(f"Cancelled: {words}. The next batch goes on from there.")
        else:
            doubtful = sum(bool(_warnings(outcome)) for outcome in self._outcomes)
            doubts = f" {doubtful} with a warning: see below." if doubtful else ""
            self.say(f"{words}. They lie in {self.output.value}.{doubts}")

    def _finished(self) -> None:
        self._run = None
        self._clock.stop()
        self.cancel_button.enabled = False
        self.progress.visible = False
        self.run_button.enabled = not self._reason()


def _warnings(outcome: Outcome) -> list[str]:
    """What makes the result of an image doubtful, as sentences."""
    found: list[str] = (outcome.report or {}).get("warnings", [])
    return found


def _counts(outcomes: Sequence[Outcome], total: int) -> str:
    failed = sum(bool(outcome.problem) for outcome in outcomes)
    before = sum(outcome.before for outcome in outcomes)
    words = f"{len(outcomes) - failed} of {total} images done"
    words += f" ({before} of them before)" if before else ""
    return f"{words}, {failed} failed" if failed else words


def _summary(recipe: Recipe | None, sentence: str) -> str:
    """What will be done to each image, in short."""
    if recipe is None:
        return sentence
    threshold = recipe.classes.class_threshold if recipe.classes is not None else None
    mask = recipe.settings.get("mask_threshold")
    facts = [f"<b>{recipe.model.name}</b>"]
    facts += [f"mask threshold {mask:g}"] if mask is not None else []
    facts += [f"minimum confidence {threshold:g}"] if threshold is not None else []
    if recipe.predict.region is not None:
        facts.append("in the region that is chosen")
    said = f" {sentence}" if sentence else ""
    return f"{', '.join(facts)}, and all else as in the widget.{said}"
