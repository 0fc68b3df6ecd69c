"""The widget's part for layers: what is drawn of the objects, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, PushButton

from napari_imagec_ai._napari.controls import Fold, column, row
from napari_imagec_ai._napari.layers.draw_kinds import Drawn
from napari_imagec_ai._napari.layers.drawing import EACH, ONE, RIM
from napari_imagec_ai._napari.layers.drawn_layers import MANY, MAX_SHAPES


class LayerOptions(Fold):
    """Which layers a result has.

    Parameters
    ----------
    changed : callable
        Called when the person wants other layers.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.outlines = _box("outlines", "Outlines", True, "A Shapes layer of them.")
        self.boxes = _box("boxes", "Boxes", False, "A Shapes layer of boxes.")
        self.points = _box("points", "Points", False, "A point in each object.")
        self.many = _box(
            "many",
            f"{MANY} (slow)",
            False,
            f"Also above {MAX_SHAPES} objects of a class: napari needs seconds and "
            "much memory for them, and draws them while you go on.",
        )
        self.fill: Any = ComboBox(
            choices=[ONE, EACH, RIM],
            name="fill",
            label="Objects in",
            tooltip="Touching objects can be told apart by a colour for each, or by "
            "their contours, however many there are.",
        )
        self.keep = _box(
            "keep_layers",
            "New layers at each run",
            False,
            "On: the next run on this image adds layers. Off: it takes the place of "
            "these.",
        )
        self.maps = PushButton(
            text="Show probability maps",
            name="maps",
            tooltip="Image layers of what the network gave, such as probabilities.",
        )
        self.table = PushButton(
            text="Show table",
            name="table",
            tooltip="List the objects; a chosen row shows its object.",
        )
        super().__init__(
            "Layers",
            [
                row(self.outlines, self.boxes, self.points),
                column(self.fill),
                self.many,
                self.keep,
                row(self.maps, self.table),
            ],
            tooltip="What is drawn of the objects, and what is kept.",
        )
        self._choices = [self.outlines, self.boxes, self.points, self.many]
        self.fill.changed.connect(lambda _: changed())
        for box in self._choices:
            box.changed.connect(lambda _: changed())

    def drawn(self) -> Drawn:
        """What the person wants to see."""
        outlines, boxes, points, many = (bool(box.value) for box in self._choices)
        return Drawn(outlines, boxes, points, many, fill=str(self.fill.value))


def _box(name: str, words: str, value: bool, tooltip: str) -> Any:
    return CheckBox(value=value, text=words, name=name, tooltip=tooltip)
