"""A question in the form itself, with two answers: it stands in nobody's way."""

from __future__ import annotations

from collections.abc import Callable

from magicgui.widgets import Container, PushButton

from napari_imagec_ai._napari.parts import row, text


class Consent(Container):  # type: ignore[type-arg]
    """Asks whether to go on; hidden where there is nothing to ask."""

    def __init__(self) -> None:
        super().__init__(labels=False, name="consent", visible=False)
        self.margins = (0, 0, 0, 0)
        self.said = text("question")
        self.yes = PushButton(text="Run it", name="yes")
        self.no = PushButton(text="Not now", name="no")
        self.extend([self.said, row(self.yes, self.no)])
        self._answered: Callable[[], None] | None = None
        self.yes.changed.connect(lambda: self._answer(True))
        self.no.changed.connect(lambda: self._answer(False))

    def ask(self, question: str, goes_on: Callable[[], None]) -> None:
        """Ask; ``goes_on`` is called if the answer is yes."""
        self.said.value, self._answered = question, goes_on
        self.visible = True

    def drop(self) -> None:
        """Ask no more: something else was chosen."""
        self._answered, self.visible = None, False

    @property
    def asking(self) -> bool:
        """Whether an answer is waited for."""
        return self._answered is not None

    def _answer(self, yes: bool) -> None:
        goes_on = self._answered
        self.drop()
        if yes and goes_on is not None:
            goes_on()
