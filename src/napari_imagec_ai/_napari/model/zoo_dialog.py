"""The dialog that finds models of the zoo, and installs one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from magicgui.widgets import LineEdit, ProgressBar, PushButton
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDialog, QListWidget, QListWidgetItem, QVBoxLayout

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.background import Run
from napari_imagec_ai._napari.controls import row, shown, text
from napari_imagec_ai.library.folders import user_models
from napari_imagec_ai.library.zoo import installing
from napari_imagec_ai.library.zoo_models import (
    ZooModel,
    asking_size,
    list_address,
    reading_zoo,
)
from napari_imagec_ai.system.progress import Progress

WAYS = {
    "as it is": "runs as it is",
    "after converting": "runs after converting",
    "no": "does not run here",
    "unknown": "not known yet whether it runs",
}
"""Whether a model runs, in words."""

_REST = 300
"""Milliseconds that a model is chosen before its size is asked for."""

_STEPS = 1000
"""Of the bar."""

_WIDTH, _HEIGHT, _LIST = 460, 580, 170
"""Pixels, which fit into a laptop's window."""

_KEPT = "Cancelled. What was fetched is kept, and 'Install' goes on from there."


class ZooDialog(QDialog):  # type: ignore[misc]
    """Search, a list, what is known of the chosen model, and a button to install it.

    Nothing goes online before the person presses a button.

    Parameters
    ----------
    parent : QWidget
        What it belongs to.
    installed : callable
        Given a model and its new folder.
    """

    def __init__(
        self, parent: Any, installed: Callable[[ZooModel, Path], None]
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models of the BioImage Model Zoo")
        self._installed = installed
        self.models: list[ZooModel] = []
        self._sizes: dict[str, str] = {}
        self._run: Run | None = None
        self._sizing: Run | None = None
        self._make_parts()
        self._lay_out()
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST)
        self._rest.timeout.connect(self._ask_size)
        self.search.changed.connect(lambda _: self._fill())
        self.list.currentItemChanged.connect(lambda *_: self._chosen())
        self.ask.changed.connect(lambda: self.ask_for_list())
        self.install.changed.connect(lambda: self.install_chosen())
        self.cancel.changed.connect(lambda: self._cancel())
        self.leave.changed.connect(lambda: self.reject())
        self._show_buttons()

    def _make_parts(self) -> None:
        self.online = text(
            "online",
            "Nothing is fetched before you press a button. 'Show models' asks "
            f"{shown(list_address().partition('?')[0])}; the size of a model that you "
            "choose, and its files, are asked for there, too.",
        )
        self.search = LineEdit(
            name="zoo_search",
            tooltip="Words from the name, the description, the tags or the authors.",
        )
        self.search.native.setPlaceholderText("search, such as nuclei")
        self.search.native.setClearButtonEnabled(True)
        self.search.native.setAccessibleName("Search models of the zoo")
        self.ask = PushButton(
            text="Show models", tooltip="Go online, and list the models of the zoo."
        )
        self.list = QListWidget()
        self.list.setAccessibleName("Models of the zoo")
        self.list.setWordWrap(True)
        self.list.setSpacing(2)
        self.list.setMinimumHeight(_LIST)
        self.details, self.said = text("zoo_details"), text("zoo_said")
        self.progress = ProgressBar(value=0, min=0, max=_STEPS, step=1)
        self.install = PushButton(
            text="Install", tooltip="Fetch this model into your models folder."
        )
        self.cancel = PushButton(
            text="Cancel", tooltip="Stop; what was fetched is kept."
        )
        self.leave = PushButton(
            text="Close", tooltip="Stop what is under way, and close this window."
        )
        for button in (self.install, self.cancel, self.leave):
            button.native.setAutoDefault(False)
        self.ask.native.setDefault(True)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.addWidget(self.online.native)
        layout.addWidget(row(self.search, self.ask).native)
        layout.addWidget(self.list, 1)
        for part in (self.details, self.said, self.progress):
            layout.addWidget(part.native)
        layout.addWidget(row(self.install, self.cancel, self.leave).native)
        self.resize(_WIDTH, _HEIGHT)

    # -- the list ----------------------------------------------------------------------

    def ask_for_list(self) -> None:
        """Go online, and list the models."""
        self._begin(reading_zoo, (), self._listed, "Cancelled.")

    def _listed(self, outcome: list[ZooModel] | str) -> None:
        if isinstance(outcome, str):
            self._say(outcome)
            return
        self.models = outcome
        self._fill()

    def _fill(self) -> None:
        """List the models that a person searches for; the chosen one stays chosen."""
        chosen, words = self.chosen, str(self.search.value)
        found = [model for model in self.models if model.fits(words)]
        self.list.blockSignals(True)
        self.list.clear()
        for model in found:
            self.list.addItem(_line(model))
        if chosen in found:
            self.list.setCurrentRow(found.index(chosen))
            self.list.scrollToItem(self.list.currentItem())
        self.list.blockSignals(False)
        if self.models and self._run is None:
            runs = sum(model.outlook.way in list(WAYS)[:2] for model in found)
            count = f"{len(found)} of {len(self.models)} models"
            self._say(f"{count}; {runs} of them run here, some after converting.")
        self._chosen()

    @property
    def chosen(self) -> ZooModel | None:
        """The model that is chosen in the list."""
        item = self.list.currentItem()
        if item is None:
            return None
        zoo_id = item.data(Qt.ItemDataRole.UserRole)
        return next((model for model in self.models if model.id == zoo_id), None)

    def _chosen(self) -> None:
        """Show what is known of the chosen model, and ask for its size in a moment."""
        self._drop_sizing()
        model = self.chosen
        if model is not None and model.rdf and model.id not in self._sizes:
            self._rest.start()
        self._show_details()
        self._show_buttons()

    def _show_details(self) -> None:
        model = self.chosen
        if model is None:
            self.details.value = ""
            return
        way, why = WAYS[model.outlook.way].capitalize(), escape(model.outlook.why)
        licence = escape(model.license or "not named")
        size = self._sizes.get(model.id, "not asked yet")
        lines = [
            f"<b>{escape(model.name)}</b> ({escape(model.id)})",
            escape(model.description),
            f"<b>{way}.</b> {why}",
            f"Licence: {licence}. Size: {size}.",
        ]
        if _folder(model).exists():
            lines.append("It is in your models folder.")
        self.details.value = "<br>".join(line for line in lines if line)

    def _ask_size(self) -> None:
        model = self.chosen
        if model is None:
            return
        self._sizing = Run(
            tasks.told,
            asking_size,
            model,
            progressed=lambda *_: None,
            returned=partial(self._sized, model),
            failed=lambda _: None,
            finished=lambda: None,
        )
        self._sizing.start()

    def _sized(self, model: ZooModel, outcome: str) -> None:
        self._sizes[model.id] = outcome
        self._show_details()

    def _drop_sizing(self) -> None:
        self._rest.stop()
        if self._sizing is not None:
            self._sizing.drop()
        self._sizing = None

    # -- a model -----------------------------------------------------------------------

    def install_chosen(self) -> None:
        """Fetch the chosen model, or use it where it was installed before."""
        model = self.chosen
        if model is None:
            return
        folder = _folder(model)
        if folder.exists():
            self._installed(model, folder)
            return
        done = partial(self._fetched, model)
        self._begin(installing, (model.id,), done, _KEPT)

    def _fetched(self, model: ZooModel, outcome: Path | str) -> None:
        if isinstance(outcome, str):
            self._say(outcome)
            return
        self._say(f"Installed '{model.name}' into {outcome.parent}.")
        self._show_details()
        self._installed(model, outcome)

    def _begin(
        self,
        steps: Callable[..., Any],
        arguments: tuple[Any, ...],
        done: Callable[[Any], None],
        cancelled: str,
    ) -> None:
        if self._run is not None:
            return
        self._say("")
        self._run = Run(
            tasks.told,
            steps,
            *arguments,
            progressed=lambda progress, _: self._progressed(progress),
            returned=partial(self._returned, done),
            failed=partial(self._failed, cancelled),
            finished=self._finished,
        )
        self._show_buttons()
        self._run.start()

    def _progressed(self, progress: Progress) -> None:
        self._say(progress.message)
        bar, total = self.progress.native, progress.total
        bar.setRange(0, _STEPS if total else 0)  # up to 0: it moves, and says nothing
        if total:
            bar.setValue(round(_STEPS * min(progress.done / total, 1.0)))

    def _returned(self, done: Callable[[Any], None], outcome: Any) -> None:
        self._run = None
        done(outcome)

    def _failed(self, cancelled: str, sentence: str) -> None:
        self._run = None
        self._say(cancelled if sentence.startswith("Cancelled") else sentence)

    def _finished(self) -> None:
        self._run = None
        self._show_buttons()

    def _cancel(self) -> None:
        if self._run is not None:
            self._run.cancel()

    def stop(self) -> None:
        """Stop what is under way, and tell nobody."""
        self._drop_sizing()
        if self._run is not None:
            self._run.drop()
        self._run = None

    def done(self, result: int) -> None:
        """Close; what is under way stops."""
        under_way = self._run is not None
        self.stop()
        if under_way:
            self._say(_KEPT)
        self._show_buttons()
        super().done(result)

    def _say(self, sentence: str) -> None:
        self.said.value = shown(sentence)

    def _show_buttons(self) -> None:
        model, busy = self.chosen, self._run is not None
        there = model is not None and _folder(model).exists()
        self.install.text = "Use it" if there else "Install"
        can = model is not None and model.outlook.way != "no"
        self.install.enabled = (can or there) and not busy
        self.ask.enabled = not busy
        self.cancel.visible = self.progress.visible = busy


def _folder(model: ZooModel) -> Path:
    return user_models() / model.id


def _line(model: ZooModel) -> QListWidgetItem:
    """A line of the list: several models have one name, and none an id of others."""
    licence = model.license or "licence not named"
    below = f"{WAYS[model.outlook.way]}, {licence} ({model.id})"
    item = QListWidgetItem(f"{model.name}\n{below}")
    item.setData(Qt.ItemDataRole.UserRole, model.id)
    item.setToolTip(f"<p>{escape(model.description or model.outlook.why)}</p>")
    return item
