"""The widget's part that keeps a run in files, and goes on with one that was kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.background import Jobs
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.image.origin import as_file_name, file_of
from napari_imagec_ai._napari.layers.from_napari import Source, cut
from napari_imagec_ai._napari.saved.image_of_result import Found, image_of
from napari_imagec_ai.decoders.registry import class_threshold, decoders
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.image.zarr_images import stem_of
from napari_imagec_ai.recipes.saved_run import PREDICTION, RECIPE, SavedRun
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.class_map import ClassMap
from napari_imagec_ai.results.objects import Objects

if TYPE_CHECKING:
    from napari_imagec_ai._napari.image.feeding import Feeding
    from napari_imagec_ai._napari.layers.live import Tuned
    from napari_imagec_ai._napari.layers.showing import Showing
    from napari_imagec_ai._napari.model.opening_models import Opening
    from napari_imagec_ai._napari.repeat.repeating import Repeating
    from napari_imagec_ai._napari.selecting import Selecting
    from napari_imagec_ai.recipes.recipe import Recipe
    from napari_imagec_ai.results.prediction import Prediction

_RESULTS = f"Saved results (*{PREDICTION})"


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A saved run that was brought back, but for what is made of it."""

    session: Session
    source: Source
    recipe: Recipe
    tuned: Tuned
    said: tuple[str, ...]


class Resuming:
    """What *Save result* and *Open result* do.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    repeating : Repeating
        Has the buttons, and shows what a recipe says.
    opening, feeding, showing, selecting
        The parts of the widget that know the model, the image, the layers, and which
        result is tuned.
    """

    def __init__(
        self,
        desk: Desk,
        repeating: Repeating,
        opening: Opening,
        feeding: Feeding,
        showing: Showing,
        selecting: Selecting,
    ) -> None:
        self._desk, self._repeating, self._opening = desk, repeating, opening
        self._feeding, self._showing = feeding, showing
        self._selecting = selecting
        self.jobs = Jobs(desk.say)
        form = self._form = repeating.form
        form.save_result.changed.connect(lambda: self._ask_where())
        form.open_result.changed.connect(lambda: self._ask_which())

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        self.jobs.stop()

    @property
    def busy(self) -> bool:
        """Whether a file is being read or written."""
        return self.jobs.busy

    # -- keeping -----------------------------------------------------------------------

    def _ask_where(self) -> None:
        if self._kept() is None:
            return
        name, _ = QFileDialog.getSaveFileName(
            self._desk.native, "Save the result", self._usual(), _RESULTS
        )
        if name:
            self.save(Path(name))

    def _usual(self) -> str:
        """Where a result is saved if nobody says otherwise: beside its image."""
        layer = self._feeding.source.layer.value
        results = self._showing.results
        path = file_of(layer) if layer is not None else None
        if layer is not None and layer.source.path and path is not None:
            return str(path.with_name(stem_of(path) + PREDICTION))
        name = results.source.name if results is not None else "my"
        return as_file_name(name) + PREDICTION

    def _kept(self) -> tuple[Prediction, Recipe] | None:
        """What is saved of the tuned result; None, and the reason is said."""
        live = self._showing.live
        prediction = live.session.prediction if live is not None else None
        if prediction is None:
            self._desk.say("Run the network first; then its result can be saved.")
            return None
        recipe = self._desk.recipe()
        return None if recipe is None else (prediction, recipe)

    def save(self, path: Path) -> None:
        """Write the tuned result and all its settings into files."""
        kept = self._kept()
        if kept is None:
            return
        # Whether a file may go was asked for the name that was typed, and no other.
        asked = path.name.endswith(PREDICTION)
        if not asked:
            path = path.with_name(path.name.removesuffix(".npz") + PREDICTION)
        self._desk.say("Saving...")
        button = self._form.save_result
        self.jobs.start(button, self._saved, tasks.saved, *kept, path, asked)

    def _saved(self, outcome: list[Path] | str) -> None:
        if isinstance(outcome, str):
            self._desk.say(outcome, bad=True)
            return
        first, second = outcome
        self._desk.say(
            f"Saved '{first.name}' and '{second.name}' in {first.parent}: open the "
            "first one, with the image, to go on."
        )

    # -- going on ----------------------------------------------------------------------

    def _ask_which(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self._desk.native, "Open a saved result", "", _RESULTS
        )
        if name:
            self.open(Path(name))

    def open(self, path: Path) -> None:
        """Go on with a saved result, or choose everything as a recipe says."""
        if not path.name.lower().endswith(PREDICTION) and path.suffix != ".npz":
            self._repeating.load(path)
            return
        if self._desk.running:
            self._desk.say("A run is under way; open the result after it.", bad=True)
            return
        self._desk.say(f"Opening '{path.name}'...")
        done = partial(self._loaded, path)
        self.jobs.start(self._form.open_result, done, tasks.loaded, path)

    def _loaded(self, path: Path, outcome: SavedRun | str) -> None:
        if isinstance(outcome, str):
            self._desk.say(outcome, bad=True)
            return
        try:
            opened = self._bring_back(path, outcome)
        except ImagecAIError as error:
            self._desk.say(str(error), bad=True)
            return
        done = partial(self._made, path, opened)
        self._desk.say(f"Making the objects of '{path.name}' again...")
        button = self._form.save_result  # the other one is still busy
        self.jobs.start(button, done, tasks.tune, opened.session, *opened.tuned)

    def _bring_back(self, path: Path, saved: SavedRun) -> _Opened:
        """Show how a saved run was made; the settings of the form are its own then.

        Raises
        ------
        ImagecAIError
            If its image is not open, or a setting of it cannot be.
        """
        prediction, recipe = saved.prediction, saved.recipe
        image = self._image(prediction)
        model = self._opening.find(prediction.model)
        decoder = recipe.decoder if recipe.decoder in decoders() else None
        session = Session(model, decoder)
        settings = recipe.decoder_settings(model) if decoder == recipe.decoder else None
        self._choose(image)
        fed = recipe.predict.model_copy(update={"axes": None})
        said = self._repeating.restore(
            recipe.model_copy(update={"predict": fed}), model
        )
        if self._desk.session is None:  # its model is not here: nothing was shown
            self._feeding.show_feed(fed)
        source = _part(image.source, prediction)
        session.hold(replace(prediction, model=model, image=source.image))
        if source.image.unit is not None:  # the layer knows its pixel size: it counts
            session.place(image.source.image.frame)
        self._opening.use(session)
        self._desk.session_begun()
        beside = f"'{path.name.removesuffix(PREDICTION)}{RECIPE}'"
        none = f"No recipe lies beside it ({beside}): thresholds are the model's own."
        return _Opened(
            session,
            source,
            recipe.model_copy(update={"predict": fed}),
            (
                session.defaults if settings is None else settings,
                recipe.classes
                or ClassMap(class_threshold=class_threshold(model, session.decoder)),
            ),
            (image.doubt, *said, saved.problem or ("" if recipe.classes else none)),
        )

    def _image(self, prediction: Prediction) -> Found:
        """The open image that it was made of."""
        part = prediction.cut
        frame = prediction.frame if part is None else part.whole
        return image_of(self._desk.viewer.layers, frame, prediction.space)

    def _choose(self, image: Found) -> None:
        source = self._feeding.source
        source.choose(image.layer.unique_id)
        if image.axes in source.axes.choices:
            source.axes.value = image.axes
        source.look()

    def _made(self, path: Path, opened: _Opened, outcome: tasks.TaskResult) -> None:
        if outcome.result is None:
            self._desk.say(outcome.problem, bad=True)
            return
        session, (settings, class_map) = opened.session, opened.tuned
        if isinstance(outcome.result, Objects) and not class_map.rules:
            found = session.decoded
            names = found.classes if isinstance(found, Objects) else ()
            class_map = ClassMap.identity(names, class_map.class_threshold)
        # What is there of an earlier result stays: a person may have tuned it.
        live = self._showing.place(
            session, opened.source, opened.recipe.predict, keep=True
        )
        live.tuned = settings, class_map
        if self._desk.session is not session:
            self._desk.say(self._selecting.keep_aside(live, outcome.result))
            return
        self._selecting.choose(live)
        self._desk.opened(live)
        said = self._opening.reason() or f"Opened '{path.name}'; go on tuning."
        self._desk.say(said, *opened.said)


def _part(source: Source, prediction: Prediction) -> Source:
    """The part of an image that was run."""
    if prediction.cut is None:
        return source
    region = prediction.cut.region
    box = {axis: span for axis, span in region.box.items() if axis in prediction.space}
    return cut(source, region.model_copy(update={"box": box}))
