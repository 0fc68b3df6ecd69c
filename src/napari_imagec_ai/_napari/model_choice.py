"""The widget's part for the model: which one, and how its output is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, Container, PushButton
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices

from napari_imagec_ai._napari import preferences
from napari_imagec_ai._napari.card import card
from napari_imagec_ai._napari.parts import row, text
from napari_imagec_ai.decoders import decoders, guess_decoder
from napari_imagec_ai.library import ModelEntry, default_folders, find_models

ASK = ""
"""Value of the output's choice while the person has made none."""


class ModelChoice(Container):  # type: ignore[type-arg]
    """List, folder, card, and the meaning of the output.

    Parameters
    ----------
    model_changed, decoder_changed : callable
        Called when the person chooses another.
    """

    def __init__(
        self, model_changed: Callable[[], None], decoder_changed: Callable[[], None]
    ) -> None:
        self._entries: list[ModelEntry] = []
        self._model_changed = model_changed
        self._asking = True
        self.model = ComboBox(
            choices=self._choices,
            name="model",
            tooltip="Models found in ./models, in your models folder and built in.",
        )
        self.refresh = PushButton(
            text="Refresh", tooltip="Look for models again in all model folders."
        )
        self.open_folder = PushButton(
            text="Open folder", tooltip="Show the folder that models go into."
        )
        self.card = text("card")
        self.decoder = ComboBox(
            choices=self._meanings,
            name="decoder",
            label="Output is",
            tooltip="What the network's output means; kept for this model.",
        )
        reading = Container(widgets=[self.decoder])
        reading.margins = (0, 0, 0, 0)
        super().__init__(
            labels=False,
            name="model_choice",
            widgets=[
                self.model,
                row(self.refresh, self.open_folder),
                self.card,
                reading,
            ],
        )
        self.margins = (0, 0, 0, 0)
        self.refresh.changed.connect(lambda: self.look())
        self.open_folder.changed.connect(lambda: _open_folder())
        self.model.changed.connect(lambda _: self._chosen())
        self.decoder.changed.connect(lambda _: decoder_changed())

    def look(self) -> None:
        """Look for models; the chosen one stays chosen."""
        chosen = self.entry
        self._entries = find_models(*_folders())
        with self.model.changed.blocked():
            self.model.reset_choices()
            usable = [i for i, e in enumerate(self._entries) if e.problem is None]
            paths = [entry.path for entry in self._entries]
            if chosen is not None and chosen.path in paths:
                self.model.value = paths.index(chosen.path)
            elif usable:
                self.model.value = usable[0]
        self._chosen()

    def _chosen(self) -> None:
        entry = self.entry
        self.card.value = card(entry)
        usable = entry is not None and entry.problem is None
        model = entry.model if entry is not None and usable else None
        guess = guess_decoder(model) if model is not None else None
        self._asking = guess is None
        with self.decoder.changed.blocked():
            self.decoder.reset_choices()
            self.decoder.value = guess.name if guess is not None else ASK
        self.decoder.enabled = usable
        self._model_changed()

    def _meanings(self, _widget: Any = None) -> list[tuple[str, str]]:
        known = [(decoder.title, name) for name, decoder in decoders().items()]
        return [("choose what it means", ASK), *known] if self._asking else known

    def _choices(self, _widget: Any = None) -> list[tuple[str, int]]:
        names = [entry.name for entry in self._entries]
        choices = []
        for i, entry in enumerate(self._entries):
            name = entry.name
            if names.count(name) > 1:
                name = f"{name} ({entry.path.name})"
            choices.append((name if entry.problem is None else f"{name} - no", i))
        return choices

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model."""
        i = self.model.value
        return self._entries[i] if i is not None and i < len(self._entries) else None

    @property
    def entries(self) -> list[ModelEntry]:
        """All models of the list."""
        return list(self._entries)

    def choose(self, folder: str) -> None:
        """Choose the first model whose folder has this name."""
        names = [entry.path.name for entry in self._entries]
        self.model.value = names.index(folder)


def _folders() -> list[Path]:
    extra = preferences.models_folder()
    folders = [*([extra] if extra is not None else []), *default_folders()]
    return [folder for folder in folders if folder.is_dir()]


def _open_folder() -> None:
    folder = next((f for f in _folders() if f.is_dir()), Path.cwd())
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
