"""The widget's rows for classes: what becomes of each class of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import CheckBox, Container, Label, LineEdit

from napari_imagec_ai._napari.layers import COLOURS
from napari_imagec_ai.classes import ClassMap, ClassRule


class ClassRows(Container):  # type: ignore[type-arg]
    """One row for each class: whether it is kept, its new name, how many there are.

    Parameters
    ----------
    changed : callable
        Called when the person changes a row.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(labels=False, name="classes")
        self.margins = (0, 0, 0, 0)
        self._notify = changed
        self._sources: tuple[str, ...] = ()

    def set_classes(self, names: Sequence[str]) -> None:
        """Make a row for each class of a model; names that stay keep their rows."""
        if tuple(names) == self._sources:
            return
        self._sources = tuple(names)
        self.clear()
        for i, name in enumerate(names):
            self.append(self._row(i, name))

    def _row(self, number: int, name: str) -> Container:  # type: ignore[type-arg]
        keep = CheckBox(
            value=True,
            text=name,
            name="keep",
            tooltip=f"Show objects of the model's class '{name}'.",
        )
        target = LineEdit(
            value=name,
            name="target",
            tooltip=f"The class of yours that '{name}' becomes.",
        )
        count = Label(value="", name="count", tooltip="How many objects there are.")
        swatch = Label(value="", name="colour", tooltip="Colour of the class.")
        swatch.native.setFixedSize(12, 12)
        colour = COLOURS[number % len(COLOURS)]
        swatch.native.setStyleSheet(f"background: {colour}; border-radius: 3px;")
        count.native.setMinimumWidth(36)
        keep.changed.connect(lambda _: self._notify())
        target.native.editingFinished.connect(self._notify)
        widgets: list[Any] = [swatch, keep, target, count]
        row = Container(widgets=widgets, layout="horizontal", labels=False)
        row.margins = (0, 0, 0, 0)
        return row

    def class_map(self, class_threshold: float) -> ClassMap:
        """The rules that the rows say."""
        rules = []
        for source, row in zip(self._sources, self, strict=True):
            target = str(row["target"].value).strip() or source
            becomes = target if row["keep"].value else None
            rules.append(ClassRule(source=source, becomes=becomes))
        return ClassMap(rules=tuple(rules), class_threshold=class_threshold)

    def show_counts(self, counts: dict[str, int]) -> None:
        """Show how many objects each class has."""
        for source, row in zip(self._sources, self, strict=True):
            target = str(row["target"].value).strip() or source
            kept = row["keep"].value
            row["count"].value = str(counts.get(target, 0)) if kept else "-"
