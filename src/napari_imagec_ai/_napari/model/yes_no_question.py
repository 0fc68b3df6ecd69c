"""A question in the form itself, with two answers: it stands in nobody's way."""

from __future__ import annotations

from collections.abc import Callable

from magicgui.widgets import Container, PushButton
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QScrollArea

from napari_imagec_ai._napari.controls import row, text

NO = "Not now"


class Consent(Container):  # type: ignore[type-arg]
    """Asks whether to go on; hidden where there is nothing to ask.

    Parameters
    ----------
    say : callable
        Given a sentence for the status: what is waited for, and what the answer was.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(labels=False, name="consent", visible=False)
        self.margins = (0, 0, 0, 0)
        self._say = say
        self.said = text("question")
        self.yes = PushButton(text="Run it", name="yes")
        self.no = PushButton(text=NO, name="no", tooltip="Go on without it.")
        self.extend([self.said, row(self.yes, self.no)])
        self._answered: Callable[[], None] | None = None
        self.yes.changed.connect(lambda: self._answer(True))
        self.no.changed.connect(lambda: self._answer(False))

    def ask(
        self, question: str, goes_on: Callable[[], None], yes: str = "Run it"
    ) -> None:
        """Ask; ``goes_on`` is called if the answer is yes."""
        self.said.value, self._answered = question, goes_on
        self.yes.text, self.yes.tooltip = yes, f"Yes: {question}"
        self.visible = True
        self._say(self.waits)
        QTimer.singleShot(0, self._come_into_view)

    def drop(self) -> None:
        """Ask no more: something else was chosen."""
        self._answered, self.visible = None, False

    @property
    def asking(self) -> bool:
        """Whether an answer is waited for."""
        return self._answered is not None

    @property
    def waits(self) -> str:
        """What is waited for, and what to press."""
        return f"Waits for your answer: press '{self.yes.text}' or '{NO}'."

    def _come_into_view(self) -> None:
        """Scroll to it, and let the keyboard begin at the answer that risks nothing."""
        if not self.asking:
            return
        area = self.native.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(self.native)
        self.no.native.setFocus()

    def _answer(self, yes: bool) -> None:
        goes_on = self._answered
        self.drop()
        if yes and goes_on is not None:
            goes_on()
        elif goes_on is not None:
            self._say("Not run, as you said.")
