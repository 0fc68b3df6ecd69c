"""The part of the dock widget that exports: the same writers as everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Shapes
from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.background import Jobs
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.export.export_form import LAYERS, SELECTED, ExportForm
from napari_imagec_ai._napari.image.origin import as_file_name, file_of
from napari_imagec_ai._napari.layers.writers import objects_of
from napari_imagec_ai.errors import DecodeError, ImagecAIError
from napari_imagec_ai.export.pace import Pace

if TYPE_CHECKING:
    from napari_imagec_ai._napari.image.feeding import Feeding
    from napari_imagec_ai._napari.layers.showing import Showing
    from napari_imagec_ai._napari.tune.tuning import Tuning
    from napari_imagec_ai.image.image_input import ImageInput
    from napari_imagec_ai.results.objects import Objects

_LOOK = 150
"""Milliseconds after which it is looked again how far an export is."""


class Exporting:
    """The section for export, and what its buttons do.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    tuning : Tuning
        Has the objects that are kept.
    showing : Showing
        Knows their layers, and which are selected.
    feeding : Feeding
        Knows the image, and where its file lies.
    """

    def __init__(
        self, desk: Desk, tuning: Tuning, showing: Showing, feeding: Feeding
    ) -> None:
        self._desk, self._tuning = desk, tuning
        self._showing, self._feeding = showing, feeding
        self.form = ExportForm(self.start, self._ask_folder, self._show)
        self.jobs = Jobs(desk.say)
        self._written: list[Path] = []
        self._pace = Pace()
        self._timer = QTimer(self.form.native)
        self._timer.timeout.connect(self._look)
        self.form.cancel.changed.connect(lambda: self.cancel())

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        self._pace.stop = True
        self.jobs.stop()

    def cancel(self) -> None:
        """Stop writing at the next step."""
        self._pace.stop = True
        self.form.cancel.enabled = False

    def _look(self) -> None:
        """Show how far it is; when it has ended, what can be done with the files."""
        if not self.busy:
            self._timer.stop()
            self.form.show_busy(False)
            return
        pace = self._pace
        self.form.progress.value = int(100 * pace.done)
        if pace.title and not pace.stop:
            of = f"file {pace.number + 1} of {pace.total}"
            self.form.say(f"Writing {of}: {pace.title}...")

    @property
    def busy(self) -> bool:
        """Whether files are being written."""
        return self.jobs.busy

    def suggest(self) -> None:
        """Fill in a folder, where the person chose none: that of the image's file."""
        layer = self._feeding.source.layer.value
        if self.form.place() is None and layer is not None:
            self.form.folder.value = str(self._beside() / "results")

    def _beside(self) -> Path:
        """The folder of the image's file; without one, that of the program."""
        layer = self._feeding.source.layer.value
        # A sample's file lies among those of a package, which are nobody's own.
        own = layer is not None and layer.source.sample is None
        path = file_of(layer) if own else None
        return path.parent if path is not None else Path.cwd()

    def start(self) -> None:
        """Write the chosen formats."""
        form = self.form
        self.suggest()
        folder, words = form.place(), form.words()
        if folder is not None and not folder.is_absolute():
            folder = self._beside() / folder
            form.folder.value = str(folder)
        if not words:
            form.say("Choose a format to write.", bad=True)
        elif folder is None:
            form.say("Choose a folder for the files.", bad=True)
        else:
            try:
                objects, stem = self._objects(), self._stem()
            except ImagecAIError as error:
                form.say(str(error), bad=True)
                return
            recipe = self._desk.recipe() if self._showing.results is not None else None
            form.say(f"Writing {len(objects)} objects...")
            form.show_folder.enabled = False
            self._pace = Pace()
            form.show_busy(True)
            self._timer.start(_LOOK)
            self.jobs.start(
                form.go,
                self._done,
                tasks.exported,
                objects,
                folder,
                stem,
                words,
                self._image(),
                recipe.text() if recipe is not None else "",
                bool(form.overwrite.value),
                self._pace,
            )

    def _done(self, outcome: list[Path] | str) -> None:
        self._timer.stop()
        self.form.show_busy(False)
        if isinstance(outcome, str):
            self.form.say(outcome, bad=not outcome.startswith("Cancelled"))
            return
        self._written = outcome
        self.form.show_folder.enabled = bool(outcome)
        names = ", ".join(path.name for path in outcome)
        self.form.say(f"Wrote {names} into {outcome[0].parent}.")

    # -- what is written ---------------------------------------------------------------

    def _objects(self) -> Objects:
        """The objects that the person wants to write.

        Raises
        ------
        ImagecAIError
            If there are none.
        """
        if self.form.what.value == LAYERS:
            chosen = [
                layer.as_layer_data_tuple()
                for layer in self._desk.viewer.layers
                if layer in self._desk.viewer.layers.selection
                and isinstance(layer, (Labels, Shapes))
            ]
            return objects_of(chosen)
        if self._showing.results is None:
            raise DecodeError("There is no result to write yet; run the network first.")
        objects = self._tuning.objects()
        if self.form.what.value != SELECTED:
            return objects
        selected = self._selected()
        mine = objects[np.isin(objects.id, sorted(selected))]
        if not len(mine):
            raise DecodeError(
                "No object is selected; click one in the image, or select outlines."
            )
        return mine

    def _selected(self) -> set[int]:
        """Ids of objects that are selected in the layers of the result."""
        found: set[int] = set()
        results = self._showing.results
        for layer in results.all_layers if results is not None else ():
            if isinstance(layer, Labels):
                found.add(int(layer.selected_label))
            elif isinstance(layer, Shapes) and "index" in layer.features:
                ids = layer.features["index"].to_numpy()
                found |= {int(ids[i]) for i in layer.selected_data if i < len(ids)}
        return found

    def _source(self) -> Any:
        results = self._showing.results
        return results.source if results is not None else None

    def _stem(self) -> str:
        """The image's name, as that of a file."""
        source, layer = self._source(), self._feeding.source.layer.value
        name = source.name if source is not None else layer.name if layer else ""
        return as_file_name(name) or "objects"

    def _image(self) -> ImageInput | None:
        """The pixels beside the objects, where all of them are at hand."""
        source = self._source()
        if source is None or self.form.what.value == LAYERS:
            return None
        if not any(source.corner):
            return source.image  # type: ignore[no-any-return]
        layer = self._feeding.source.layer.value
        if layer is not None and layer.unique_id == source.layer:
            return self._feeding.source.whole().image
        return None

    # -- the folder --------------------------------------------------------------------

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self._desk.native, "Folder for files")
        if name:
            self.form.folder.value = name

    def _show(self) -> None:
        if self._written:
            place = QUrl.fromLocalFile(str(self._written[0].parent))
            QDesktopServices.openUrl(place)
