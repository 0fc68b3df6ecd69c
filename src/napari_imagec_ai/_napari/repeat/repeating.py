"""Does again what the widget shows: recipes, scripts, and the panel for many images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.image.image_controls import SOME_PLANES
from napari_imagec_ai._napari.image.origin import Origin, file_of, origin
from napari_imagec_ai._napari.image.region_choice import rings
from napari_imagec_ai._napari.layers.from_napari import placed
from napari_imagec_ai._napari.repeat.batch_panel import BatchPanel
from napari_imagec_ai._napari.repeat.recipe_form import RecipeForm
from napari_imagec_ai.decoders.registry import decoders
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.recipes import script
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.run.settings import RunSettings

if TYPE_CHECKING:
    from napari_imagec_ai._napari.image.feeding import Feeding
    from napari_imagec_ai._napari.model.opening_models import Opening
    from napari_imagec_ai._napari.tune.tuning import Tuning

_FILES = "Recipes (*.yaml *.yml)"


class Repeating:
    """The section for recipes, scripts and batches, and what its buttons do.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    opening : Opening
        Opens the model of a recipe.
    feeding : Feeding
        Shows how a recipe feeds it.
    tuning : Tuning
        Shows what a recipe makes of its output.
    """

    def __init__(
        self, desk: Desk, opening: Opening, feeding: Feeding, tuning: Tuning
    ) -> None:
        self._desk, self._opening = desk, opening
        self._feeding, self._tuning = feeding, tuning
        self.panel: BatchPanel | None = None
        self.form = form = RecipeForm()
        form.save.changed.connect(lambda: self._ask_where())
        form.load.changed.connect(lambda: self._ask_which())
        form.python.connect(self.copy_python)
        form.command.connect(self.copy_command)
        feeding.source.region.draw.changed.connect(lambda: self.draw_region())
        form.batch.changed.connect(lambda: self.open_batch())

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        if self.panel is not None:
            self.panel.stop()

    # -- what is shown -----------------------------------------------------------------

    def _shown(self) -> tuple[Recipe, Origin] | None:
        """The recipe, and where its image lies; None, and the reason is said."""
        recipe = self._desk.recipe()
        if recipe is None:
            return None
        try:
            whole = self._feeding.source.whole()
        except ImagecAIError as error:
            return recipe, Origin(None, {}, str(error))
        found = origin(self._feeding.source.layer.value, whole.image)
        fed = recipe.predict.model_copy(update=found.opened)
        return recipe.model_copy(update={"predict": fed}), found

    def _lost(self) -> list[str]:
        """What neither a recipe nor a script can say of what feeds the network."""
        return [self._feeding.source.beyond_a_file()]

    # -- recipes -----------------------------------------------------------------------

    def _ask_where(self) -> None:
        layer = self._feeding.source.layer.value
        own = layer is not None and layer.source.sample is None
        image = file_of(layer) if own else None
        place = (image.parent if image is not None else Path()) / "my.recipe.yaml"
        name, _ = QFileDialog.getSaveFileName(
            self._desk.native, "Save settings", str(place), _FILES
        )
        if name:
            self.save(Path(name))

    def save(self, path: Path) -> None:
        """Write everything that was chosen into a file."""
        shown = self._shown()
        if shown is None:
            return
        # Whether a file may go was asked for the name that was typed, and no other.
        asked = path.suffix in (".yaml", ".yml")
        path = path if asked else Path(f"{path}.yaml")
        try:
            saved = shown[0].save(path, overwrite=asked)
        except ImagecAIError as error:
            self._desk.say(str(error), bad=True)
            return
        self._desk.say(f"Saved '{saved.name}' into {saved.parent}.", *self._lost())

    def _ask_which(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self._desk.native, "Load settings", "", _FILES
        )
        if name:
            self.load(Path(name))

    def load(self, path: Path) -> None:
        """Choose everything as a recipe says; what cannot be restored is said."""
        desk = self._desk
        if desk.running:
            self._desk.say("A run is under way; load the recipe after it.", bad=True)
            return
        try:
            recipe = Recipe.load(path)
            # Without the classes that were told: those come with its other settings.
            bare = recipe.predict.model_copy(update={"classes": None})
            model = recipe.model_copy(update={"predict": bare}).open_model()
            lost = self.restore(recipe, model)
            session = desk.session
            if session is not None:
                settings = recipe.decoder_settings(session.model)
                lost += self._tuning.adopt(settings, recipe.classes)
        except ImagecAIError as error:
            self._desk.say(str(error), bad=True)
            return
        ready = desk.reason()
        self._desk.say(
            f"Loaded '{path.name}'.",
            *lost,
            ready or "Press Run to see what it finds in this image.",
        )

    def restore(self, recipe: Recipe, model: Model) -> list[str]:
        """Choose model and all that a run takes; gives sentences on what was lost."""
        lost: list[str] = []
        self._opening.choice.choose_model(model)
        name = recipe.decoder
        if name is not None and name not in decoders():
            lost.append(f"The recipe's decoder '{name}' is not installed here.")
            name = None
        if self._desk.begin(name, recipe.predict) is not None:
            lost += self._restore_feeding(recipe.predict)
        return lost

    def _restore_feeding(self, predict: RunSettings) -> list[str]:
        lost: list[str] = []
        for name in ("engine", "device"):
            control, value = getattr(self._feeding, name), getattr(predict, name)
            if value in control.choices:
                control.value = value
            else:
                lost.append(f"The recipe's {name} '{value}' is not known here.")
        source = self._feeding.source
        if predict.axes is not None and source.axes.value != predict.axes:
            if predict.axes in source.axes.choices:
                source.axes.value = predict.axes
            else:
                lost.append(
                    f"The recipe is for images with the axes {predict.axes}, which "
                    "this image has not."
                )
        if predict.planes is not None:
            source.planes.value = SOME_PLANES
            source.span.value = _planes(predict)
        source.region.restore(predict.region)
        if not predict.verify:
            lost.append(
                "The recipe runs weights even if they are not those of the description."
            )
        return lost

    def draw_region(self) -> None:
        """Draw the recipe's region on the image, where it can be changed."""
        choice = self._feeding.source.region
        if choice.held is None:
            return
        corners = rings(choice.held)
        try:
            whole = self._feeding.source.whole()
        except ImagecAIError as error:
            self._desk.say(str(error), bad=True)
            return
        if not corners:
            self._desk.say(
                "The recipe's region has no place along Y and X to be drawn at."
            )
            return
        planes = len(whole.placement["scale"]) - 2  # drawn on the first one
        layer = self._desk.viewer.add_shapes(
            [np.pad(ring, ((0, 0), (planes, 0))) for ring in corners],
            shape_type="polygon",
            name=f"region ({whole.name})",
            edge_color="yellow",
            face_color="transparent",
            **placed(whole, (0, 0)),
        )
        choice.drawn_in(layer)

    # -- scripts -----------------------------------------------------------------------

    def copy_python(self) -> str:
        """Put a script that does the same on the clipboard; gives it."""
        shown = self._shown()
        if shown is None:
            return ""
        recipe, found = shown
        try:
            text = script.as_python(
                recipe, self._feeding.source.whole().image, found.path
            )
        except ImagecAIError as error:
            self._desk.say(str(error), bad=True)
            return ""
        QApplication.clipboard().setText(text)
        self._desk.say("Copied as Python.", found.problem, *self._lost())
        return text

    def copy_command(self) -> str:
        """Put a line for a terminal that does the same on the clipboard; gives it."""
        shown = self._shown()
        if shown is None:
            return ""
        recipe, found = shown
        try:
            command = script.as_command(recipe, found.path)
        except ImagecAIError as error:
            self._desk.say(str(error), bad=True)
            return ""
        QApplication.clipboard().setText(command.text)
        beside = (
            f"Flags cannot say all of it, so it runs the recipe {command.recipe}."
            if command.recipe is not None
            else ""
        )
        self._desk.say("Copied as a command.", beside, found.problem, *self._lost())
        return command.text

    # -- many images -------------------------------------------------------------------

    def open_batch(self) -> None:
        """Show the panel for many images, with what is chosen now."""
        if self.panel is None:
            self.panel = BatchPanel(self._recipe_for_many, self._model)
            self.panel.native.destroyed.connect(self._forget)
            self._desk.viewer.window.add_dock_widget(
                self.panel, name="Batch", area="right", tabify=True
            )
        dock = self.panel.native.parent()
        if dock is not None:
            dock.show()
            dock.raise_()
        self.panel.look()

    def _recipe_for_many(self) -> tuple[Recipe | None, str]:
        """What is to be done to each image, and a sentence on what cannot be."""
        shown = self._shown()
        if shown is None:
            return None, self._desk.reason() or "Choose a model first."
        return shown[0], " ".join(filter(None, self._lost()))

    def _model(self) -> Model | None:
        session = self._desk.session
        return session.model if session is not None else None

    def _forget(self, *_: object) -> None:
        self.panel = None


def _planes(predict: RunSettings) -> str:
    spans = (predict.planes or {}).items()
    return ", ".join(
        f"{axis}={span}" if isinstance(span, int) else f"{axis}={span[0]}-{span[1] - 1}"
        for axis, span in spans
    )
