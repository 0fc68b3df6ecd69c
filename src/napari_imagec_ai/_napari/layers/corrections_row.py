"""The widget's part for corrections by hand: how many there are, and what of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, Container, PushButton

from napari_imagec_ai._napari.controls import text

KEEP, NEW = "stay as they are", "get layers of their own"

BEFORE = "This image was corrected before, and napari ended since."

DISCARDED = "The corrections were discarded."

_COUNT = "{n} object{s} corrected by hand."


class CorrectionsRow(Container):  # type: ignore[type-arg]
    """Shown while there are corrections: what becomes of them when settings change.

    Parameters
    ----------
    changed : callable
        Called when the person chose otherwise.
    let_go : callable
        Called when what was found shall count again.
    bring_back : callable
        Called when corrections of an earlier time shall count.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        let_go: Callable[[], None],
        bring_back: Callable[[], None],
    ) -> None:
        self.said = text("corrections")
        self.choice: Any = ComboBox(
            choices=[KEEP, NEW],
            name="corrected",
            label="When settings change, they",
            tooltip="Corrected objects stay as they are, and new ones give way to "
            "them; or the corrected layers are left alone, and what is found next goes "
            "into new layers.",
        )
        self.drop: Any = PushButton(
            text="Discard corrections",
            name="discard_corrections",
            tooltip="Show what the network found, without what you painted, drew or "
            "erased.",
        )
        self.back: Any = PushButton(
            text="Bring them back",
            name="bring_back",
            tooltip="Show the objects as you corrected them before.",
        )
        self.back.changed.connect(lambda _: bring_back())
        super().__init__(
            widgets=[self.said, self.back, self.choice, self.drop],
            name="corrections_row",
            visible=False,
        )
        self.margins = (0, 0, 0, 0)
        self.choice.changed.connect(lambda _: changed())
        self.drop.changed.connect(lambda _: let_go())

    @property
    def into_new(self) -> bool:
        """Whether what is found next goes into new layers."""
        return bool(self.choice.value == NEW)

    def show_count(self, count: int, offer: str = "") -> None:
        """Say how many objects were corrected; nothing of all this where none was.

        Parameters
        ----------
        count : int
            Corrected objects.
        offer : str
            A sentence on corrections that are not shown and can be brought back.
        """
        offered = bool(offer) and not count
        told = _COUNT.format(n=count, s="" if count == 1 else "s")
        self.said.value = offer if offered else told
        self.visible = count > 0 or offered
        self.back.visible = offered
        self.choice.visible = self.drop.visible = count > 0
