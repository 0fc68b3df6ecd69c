"""The widget's part for the size of objects: found out, as described, or told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, Container, FloatSpinBox

from napari_imagec_ai._napari.controls import Eliding, align, keep_low, quiet
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.object_size import known_sizes, size_to_aim_at
from napari_imagec_ai.run.size.asked import ObjectSize

USUAL, FOUND, DESCRIBED, TOLD = "usual", "auto", "as described", "told"


class ObjectSizeForm(Container):  # type: ignore[type-arg]
    """How large the objects are, for models that know objects of some size.

    Parameters
    ----------
    changed : callable
        Called when the person changes it.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.how = ComboBox(
            choices=[
                ("automatic", USUAL),
                ("found out in the image", FOUND),
                ("from the model, not resized", DESCRIBED),
                ("as I measured it", TOLD),
            ],
            name="object_size",
            label="Object size",
        )
        self.diameter = FloatSpinBox(
            value=30,
            min=1,
            max=100_000,
            step=1,
            name="diameter",
            label="Diameter (pixels)",
            tooltip="Of a usual object, in pixels of the image. Larger: the image is "
            "made smaller for the network, so that its objects have the size that it "
            "knows.",
        )
        super().__init__(widgets=[self.how, self.diameter], name="object_size_form")
        self.margins = (0, 0, 0, 0)
        self.offered = False
        keep_low(self)
        align(self)
        Eliding(self.how)
        self.how.changed.connect(lambda _: self._chosen(changed))
        self.diameter.changed.connect(lambda _: changed())
        self._show()

    def _chosen(self, changed: Callable[[], None]) -> None:
        self._show()
        changed()

    def _show(self) -> None:
        self.diameter.visible = self.how.value == TOLD

    def show_model(self, model: Model | None) -> None:
        """Show it for models that know objects of some size, and say which."""
        try:
            aim = size_to_aim_at(model) if model is not None else None
            known = known_sizes(model) if model is not None else None
        except ModelError:
            aim = known = None
        self.offered = self.visible = aim is not None
        said = (
            f"The network knows objects of {known.least:g} to {known.most:g} pixels, "
            f"{known.best:g} best. "
            if known is not None
            else ""
        )
        self.how.tooltip = (
            f"{said}The image is resized so that its objects have such a size. "
            "Automatic: found out where the model tells its sizes."
        )

    def value(self) -> ObjectSize | None:
        """What the person chose, as :class:`RunSettings` has it."""
        chosen: Any = self.how.value
        if chosen == USUAL or not self.offered:
            return None
        return float(self.diameter.value) if chosen == TOLD else chosen

    def show_value(self, size: ObjectSize | None) -> None:
        """Show a size; tells nobody."""
        with quiet(self.how, self.diameter):
            if isinstance(size, (int, float)):
                self.how.value, self.diameter.value = TOLD, float(size)
            else:
                self.how.value = size or USUAL
        self._show()
