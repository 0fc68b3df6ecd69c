"""The widget's part for objects that are followed through the planes of a stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, Label, SpinBox

from napari_imagec_ai._napari.controls import column, row
from napari_imagec_ai.results.linking.link_settings import AXES, Linking

NOT, TIME, DEPTH, VOLUMES = "no", "through time", "through depth", "as volumes"


class Following(Container):  # type: ignore[type-arg]
    """Whether objects are followed, and how; hidden where there is one plane only.

    Parameters
    ----------
    changed : callable
        Called when the person chooses.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._words: tuple[str, ...] = (NOT,)
        self._more: Linking = Linking()
        self.how: Any = ComboBox(
            choices=lambda _: self._words,
            name="follow",
            label="Follow objects",
            tooltip="Objects of following planes that lie over each other get the same "
            "track number: in the table, in a Tracks layer and in exported files. As "
            "volumes, planes of a stack become objects in 3D.",
        )
        self.gap: Any = SpinBox(
            value=1,
            min=0,
            max=100,
            step=1,
            name="gap",
            label="Planes missed",
            tooltip="An object may be missing in so many planes and stay itself.",
        )
        self.divisions: Any = CheckBox(
            name="divisions",
            text="May divide",
            tooltip="An object that becomes two begins two tracks, and the table says "
            "which they came from.",
        )
        self._detail = row(Label(value="Planes missed"), self.gap, self.divisions)
        super().__init__(
            labels=False, name="following", widgets=[column(self.how), self._detail]
        )
        self.margins = (0, 0, 0, 0)
        self.visible = self._detail.visible = False
        self.how.changed.connect(lambda _: self._show_detail())
        for control in (self.how, self.gap, self.divisions):
            control.changed.connect(lambda _: changed())

    def set_planes(self, axes: str) -> None:
        """Offer what goes along these plane axes of a result, such as ``T``."""
        words: tuple[str, ...] = (NOT,)
        words += (TIME,) if AXES["time"] in axes else ()
        words += (DEPTH, VOLUMES) if AXES["depth"] in axes else ()
        if words != self._words:
            with self.how.changed.blocked():
                self._words = words
                self.how.reset_choices()
        self.visible = len(words) > 1
        self._show_detail()

    def linking(self) -> Linking | None:
        """What the person chose."""
        how = self.how.value
        if how in (None, NOT):
            return None
        return self._more.model_copy(
            update={
                "along": "time" if how == TIME else "depth",
                "volumes": how == VOLUMES,
                "max_gap": int(self.gap.value),
                "divisions": bool(self.divisions.value) and how == TIME,
            }
        )

    def set_linking(self, linking: Linking | None) -> None:
        """Show a choice from elsewhere; tells nobody. What has no control is kept."""
        with (
            self.how.changed.blocked(),
            self.gap.changed.blocked(),
            self.divisions.changed.blocked(),
        ):
            if linking is None:
                self.how.value = NOT
            else:
                self._more = linking
                words = VOLUMES if linking.volumes else DEPTH
                words = TIME if linking.along == "time" else words
                if words not in self._words:  # known when the result is there
                    self._words = (*self._words, words)
                    self.how.reset_choices()
                self.how.value = words
                self.gap.value = linking.max_gap
                self.divisions.value = linking.divisions
        self._show_detail()

    def _show_detail(self) -> None:
        how = self.how.value
        self._detail.visible = self.visible and how not in (None, NOT)
        self.divisions.visible = self._detail.visible and how == TIME
