"""The widget's part for the model: which one, and how its output is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, Container, LineEdit, PushButton
from qtpy.QtCore import Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QApplication

from napari_imagec_ai._napari import chosen_before, preferences, remembered
from napari_imagec_ai._napari.controls import (
    Eliding,
    Fold,
    MenuItem,
    Picture,
    column,
    menu_button,
    put,
    row,
    shown,
    text,
)
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.layers.live import is_same_model
from napari_imagec_ai._napari.model.card import (
    GROUPS,
    OTHER,
    card,
    citation,
    details,
    fits,
    group,
    measured,
    names,
)
from napari_imagec_ai._napari.model.folders import (
    FolderWatch,
    open_folder,
    search_folders,
)
from napari_imagec_ai.decoders.registry import decoders
from napari_imagec_ai.library.folders import ModelEntry, find_models
from napari_imagec_ai.library.selftest import Verdict, verdict
from napari_imagec_ai.model.description import Model

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
        self._added: list[ModelEntry] = []
        self._verdicts: dict[Path, Verdict] = {}
        self._kept: ModelEntry | None = None
        self._model_changed = model_changed
        self._asking = True
        self._make_menu()
        self._make_list()
        self._make_card()
        self.decoder = ComboBox(
            choices=self._meanings,
            name="decoder",
            label="Read output as",
            tooltip="What the network's output means: objects are made of it so. Kept "
            "for this model; the network need not run again.",
        )
        super().__init__(
            labels=False,
            name="model_choice",
            widgets=[
                self.search,
                self.found,
                self._line,
                self.warning,
                self.card,
                column(self.decoder),
                self.about,
            ],
        )
        self.margins = (0, 0, 0, 0)
        Eliding(self.model)
        Eliding(self.decoder)
        self._watch = FolderWatch(self.native, self.look)
        self.refresh.connect(self.look)
        self.open_folder.connect(open_folder)
        self.copy.changed.connect(lambda: self._copy())
        self.search.changed.connect(lambda _: self._search())
        self.model.changed.connect(lambda _: self._chosen_by_hand())
        self.decoder.changed.connect(lambda _: decoder_changed())

    def _make_list(self) -> None:
        self.search = LineEdit(
            name="search",
            tooltip="Words from the name, the description, the tags or the authors.",
        )
        self.search.native.setPlaceholderText("search models")
        self.search.native.setClearButtonEnabled(True)
        self.search.native.setAccessibleName("Search models")
        self.model = ComboBox(
            choices=self._choices,
            name="model",
            tooltip="Models found in ./models, in your models folder and built in; "
            "grey ones cannot run here, and say why.",
        )
        self.model.native.setAccessibleName("Model")
        self.found = text("found")
        self.found.visible = False
        self._line = row(self.model)
        put(self._line, 1, self.tools)

    def _make_menu(self) -> None:
        self.tools, menu = menu_button(
            "More ▾", "Look for models again, open their folder, install or import one."
        )
        self.refresh = MenuItem(
            menu, "Rescan", "Look for models again in all model folders.", "refresh"
        )
        self.open_folder = MenuItem(
            menu, "Open models folder", "Show the folder that models go into.", "folder"
        )
        menu.addSeparator()
        self.zoo = MenuItem(
            menu,
            "From the zoo...",
            "Search the BioImage Model Zoo, and install a model of it; nothing goes "
            "online before you say so.",
            "zoo",
        )
        self.install = MenuItem(
            menu,
            "Install .zip...",
            "Unpack a model package of the BioImage Model Zoo into your models folder; "
            "or drop one here.",
            "install",
        )
        self.package = MenuItem(
            menu,
            "Import weights...",
            "Make a model folder of bare weights (ONNX, TorchScript), such as your own "
            "training's export; or drop them here.",
            "package",
        )
        self.convert = MenuItem(
            menu,
            "Import from Cellpose, Keras...",
            "Make a model folder of a file that Cellpose, Keras, PyTorch or YOLO "
            "training saved.",
            "convert",
        )
        self.convert_folder = MenuItem(
            menu,
            "Import from StarDist...",
            "Make a model folder of a StarDist folder, a SavedModel, or a model of the "
            "zoo that has to be converted.",
            "convert_folder",
        )

    def _make_card(self) -> None:
        self.card, self.details = text("card"), text("details")
        self.warning = text("warning")
        self.cover = Picture()
        self.test = PushButton(
            text="Test this model",
            name="test",
            tooltip="Run the tensors that were published with it through each engine, "
            "and compare.",
        )
        self.copy = PushButton(
            text="Copy citation", tooltip="How its authors want to be cited."
        )
        self.tested = text("tested")
        self.about = Fold(
            "About this model",
            [self.cover, self.details, row(self.test, self.copy), self.tested],
            tooltip="Authors, licence, what it takes and gives, and its own test.",
            open_=False,
            minor=True,
        )

    # -- the list ----------------------------------------------------------------------

    def look(self) -> None:
        """Look for models; the chosen one stays chosen, or that of the last time."""
        chosen = self.entry
        self.warning.value = preferences.problem()
        self.warning.visible = bool(self.warning.value)
        self._watch.watch()
        self._entries = [*find_models(*search_folders()), *self._added]
        self._fill(chosen or self._of_last_time())
        self.show_verdicts()
        self._chosen()

    def _of_last_time(self) -> ModelEntry | None:
        """The model that was chosen when the widget was last used."""
        place = remembered.recall("model")
        return next((one for one in self._entries if str(one.path) == place), None)

    def _chosen_by_hand(self) -> None:
        entry = self.entry
        if entry is not None:
            remembered.keep("model", str(entry.path))
        self._chosen()

    def _search(self) -> None:
        """Filter the list; the chosen model stays chosen, whatever is typed."""
        self._fill(self.entry)
        words = str(self.search.value).strip()
        count = sum(fits(entry, words) for entry in self._entries)
        some = f"{count} model{'s match' if count != 1 else ' matches'} '{words}'"
        none = f"No model matches '{words}'."
        hint = f"{some}: open the list to choose." if count else none
        self.found.value = shown(hint) if words else ""
        self.found.visible = bool(words)

    def _fill(self, chosen: ModelEntry | None) -> None:
        """Fill the list, with the chosen model or the first that can run."""
        with self.model.changed.blocked():
            # Cleared first: what stays would keep its place, and others follow it.
            self.model.native.clear()
            self._kept = chosen
            self.model.reset_choices()
            listed = [i for _, i in self._choices() if i >= 0]
            paths = {self._entries[i].path: i for i in listed}
            usable = [i for i in listed if self._entries[i].problem is None]
            kept = self._place_of(chosen, paths)
            if kept is not None:
                self.model.value = kept
            elif usable or listed:
                self.model.value = (usable or listed)[0]
        self._mark()

    def _place_of(
        self, entry: ModelEntry | None, paths: Mapping[Path, int]
    ) -> int | None:
        """Number of a model whose folder may have been renamed; None: it is gone."""
        if entry is None or entry.path in paths:
            return None if entry is None else paths[entry.path]
        for number in paths.values():
            other = self._entries[number].model
            if entry.model and other and is_same_model(entry.model, other):
                return number
        return None

    def _choices(self, _widget: Any = None) -> list[tuple[str, int]]:
        """Models with their numbers, under headings with numbers below 0.

        Those that were measured come first: a person who knows none begins there.
        """
        named = names(self._entries)
        choices: list[tuple[str, int]] = []
        for number, title in enumerate((*GROUPS, OTHER), start=1):
            mine = [
                i
                for i, entry in enumerate(self._entries)
                if group(entry) == title and self._is_listed(entry)
            ]
            mine.sort(key=lambda i: not measured(self._entries[i]))
            if mine:
                choices += [(title, -number)]
                choices += [(self._title(self._entries[i], named[i]), i) for i in mine]
        return choices

    def _is_listed(self, entry: ModelEntry) -> bool:
        """Whether a model is among those that a person searches for, or is chosen."""
        kept = self._kept is not None and entry.path == self._kept.path
        return kept or fits(entry, str(self.search.value))

    def _title(self, entry: ModelEntry, name: str) -> str:
        if entry.problem is not None:
            return f"{name} - cannot run"
        tested = self._verdicts.get(entry.path, "")
        return name + {"passed": " ✓", "failed": " - failed its test", "": ""}[tested]

    def _mark(self) -> None:
        """Headings cannot be chosen; models that cannot run are grey, and say why."""
        combo = self.model.native
        grey = combo.palette().color(
            QPalette.ColorGroup.Disabled, QPalette.ColorRole.WindowText
        )
        for row_ in range(combo.count()):
            number = combo.itemData(row_)
            if number is None or number < 0:
                combo.model().item(row_).setEnabled(False)
                continue
            entry = self._entries[number]
            tested = self._verdicts.get(entry.path, "")
            words = f"Its own test: {tested or 'not run yet'}."
            problem = entry.problem
            combo.setItemData(row_, words, Qt.ItemDataRole.ToolTipRole)
            if problem is not None:
                combo.setItemData(row_, grey, Qt.ItemDataRole.ForegroundRole)
                combo.setItemData(
                    row_, in_form_words(problem), Qt.ItemDataRole.ToolTipRole
                )

    def _chosen(self) -> None:
        entry = self.entry
        model = entry.model if entry is not None else None
        self._show_card()
        self.details.value = details(entry)
        self.cover.show_file(model.cover if model is not None else None)
        self.tested.value = ""
        self.copy.enabled = model is not None and bool(model.citation)
        usable = entry is not None and entry.problem is None
        self.test.enabled = usable
        guess = (
            chosen_before.decoder_for(model) if model is not None and usable else None
        )
        self._asking = guess is None
        with self.decoder.changed.blocked():
            self.decoder.reset_choices()
            self.decoder.value = guess.name if guess is not None else ASK
        self.decoder.enabled = usable
        self._model_changed()

    def _show_card(self) -> None:
        entry = self.entry
        self.card.value = card(entry, self.verdict if entry is not None else "")

    @property
    def verdict(self) -> Verdict:
        """What is known of the chosen model's own test."""
        entry = self.entry
        return self._verdicts.get(entry.path, "") if entry is not None else ""

    def show_verdicts(self) -> None:
        """Show what is known of the models' own tests."""
        self._verdicts = {
            entry.path: verdict(entry.model)
            for entry in self._entries
            if entry.model is not None and entry.problem is None
        }
        self._fill(self.entry)
        self._show_card()

    def _meanings(self, _widget: Any = None) -> list[tuple[str, str]]:
        known = [(decoder.title, name) for name, decoder in decoders().items()]
        return [("(choose)", ASK), *known] if self._asking else known

    def _copy(self) -> None:
        entry = self.entry
        if entry is not None and entry.model is not None:
            QApplication.clipboard().setText(citation(entry.model))

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model."""
        i = self.model.value
        inside = i is not None and 0 <= i < len(self._entries)
        return self._entries[i] if inside else None

    @property
    def entries(self) -> list[ModelEntry]:
        """All models that were found."""
        return list(self._entries)

    def choose_model(self, model: Model) -> None:
        """Choose a model wherever it lies; it stays in the list."""
        places = [entry.model.path for entry in self._entries if entry.model]
        if model.path not in places:
            self._added.append(ModelEntry(model.path, model, model.problem))
            self._entries.append(self._added[-1])
            self._fill(self._added[-1])
            self._chosen()
            return
        mine = next(
            i
            for i, entry in enumerate(self._entries)
            if entry.model is not None and entry.model.path == model.path
        )
        if mine not in [i for _, i in self._choices()]:
            self.search.value = ""
        self.model.value = mine

    def choose(self, folder: str) -> None:
        """Choose the first model whose folder has this name."""
        names = [entry.path.name for entry in self._entries]
        number = names.index(folder)
        if number not in [i for _, i in self._choices()]:
            self.search.value = ""
        self.model.value = number
