"""The dialog that makes a model folder of bare weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magicgui.types import FileDialogMode
from magicgui.widgets import ComboBox, FileEdit, LineEdit
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout

from napari_imagec_ai._napari.controls import column, text
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai.decoders.registry import decoders
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.library.folders import user_models
from napari_imagec_ai.library.package.facts import SCALINGS
from napari_imagec_ai.library.package.model_folder import Packaged
from napari_imagec_ai.library.package.package_model import package_model
from napari_imagec_ai.library.undescribed import SUFFIXES

FILTER = "Weights (" + " ".join(f"*{suffix}" for suffix in SUFFIXES) + ")"

_YOLO = "boxes: the file tells (YOLO)"
_USUAL = "usual"


def packaged(told: dict[str, Any]) -> Packaged | str:
    """The model folder that was made, or why there is none."""
    try:
        return package_model(**told)
    except ImagecAIError as error:
        return str(error)


class PackageDialog(QDialog):  # type: ignore[misc]
    """Asks what weights do not tell.

    Parameters
    ----------
    parent : QWidget
        What it belongs to.
    make : callable
        Called with the arguments of :func:`package_model`, when the person agrees.
    weights : Path, optional
        The weights to begin with.
    """

    def __init__(
        self,
        parent: Any,
        make: Callable[[dict[str, Any]], None],
        weights: Path | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Make a model of weights")
        self._make = make
        self.weights = FileEdit(
            value=weights,
            nullable=True,
            mode=FileDialogMode.EXISTING_FILE,
            filter=FILTER,
            label="Weights",
            tooltip="An ONNX file or a TorchScript archive. It is copied.",
        )
        titles = [(decoder.title, name) for name, decoder in decoders().items()]
        self.decoder = ComboBox(
            choices=[(_YOLO, ""), *(t for t in titles if t[1] != "yolo")],
            label="Network output",
            tooltip="What the network gives.",
        )
        self.classes = LineEdit(
            label="Classes",
            tooltip="Names of the classes of objects, with commas between them. A YOLO "
            "export knows them itself.",
        )
        self.channels = LineEdit(
            label="Output channels",
            tooltip="What the channels of its output mean, such as foreground, "
            "boundary; empty: what is usual.",
        )
        self.scaling = ComboBox(
            choices=[(_USUAL, ""), *((name, name) for name in SCALINGS)],
            label="Intensity normalisation",
            tooltip="How images were prepared in training.",
        )
        self.pixel_size = LineEdit(
            label="Pixel size",
            tooltip="Of the images in training, in micrometres; empty: unknown.",
        )
        self.named = LineEdit(label="Name", tooltip="Empty: that of the file.")
        self.license = LineEdit(
            label="Licence", tooltip="Of the weights, such as MIT or CC-BY-4.0."
        )
        for line, hint in (
            (self.classes, "nucleus, cell"),
            (self.channels, "usual"),
            (self.pixel_size, "unknown"),
            (self.named, "that of the file"),
            (self.license, "unknown"),
        ):
            line.native.setPlaceholderText(hint)
        self.said = text("said")
        self._lay_out()

    def _lay_out(self) -> None:
        form = column(
            self.weights,
            self.decoder,
            self.classes,
            self.channels,
            self.scaling,
            self.pixel_size,
            self.named,
            self.license,
        )
        ok = QDialogButtonBox.StandardButton.Ok
        self.buttons = QDialogButtonBox(ok | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self._agreed)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for part in (form.native, self.said.native, self.buttons):
            layout.addWidget(part)

    def _agreed(self) -> None:
        try:
            told = self.told()
        except ImagecAIError as error:
            self.said.value = in_form_words(str(error))
            return
        self.accept()
        self._make(told)

    def told(self) -> dict[str, Any]:
        """What was filled in, as arguments of :func:`package_model`.

        Raises
        ------
        ImagecAIError
            If something is missing or no number.
        """
        weights = self.weights.value
        if not isinstance(weights, Path) or not weights.is_file():
            raise ImagecAIError("Expected a weights file, found none; choose one.")
        sizes = _parts(self.pixel_size.value)
        try:
            numbers = [float(size) for size in sizes]
        except ValueError:
            raise ImagecAIError(
                "Expected a pixel size such as 0.5, found "
                f"'{self.pixel_size.value}'; write a number, or nothing."
            ) from None
        name = self.named.value.strip() or weights.stem
        return {
            "weights": weights,
            "folder": user_models() / _folder_name(name),
            "decoder": self.decoder.value,
            "classes": _parts(self.classes.value),
            "output_channels": _parts(self.channels.value),
            "scaling": self.scaling.value,
            "pixel_size": numbers,
            "name": name,
            "license": self.license.value.strip(),
        }


def _parts(words: str) -> list[str]:
    return [part.strip() for part in words.split(",") if part.strip()]


def _folder_name(name: str) -> str:
    """A name as that of a folder."""
    letters = (c if c.isalnum() or c in "-_." else "-" for c in name)
    return "".join(letters).strip(".-") or "model"
