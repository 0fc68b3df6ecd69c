"""A threshold as a slider with a number beside it, and a picture of what it cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import Container, FloatSlider, Label, LineEdit
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import QSizePolicy, QSlider, QWidget

from napari_imagec_ai._napari.controls import keep_low, row

STEP, PAGE = 0.01, 0.1
"""What an arrow key moves a threshold by, and a page key or a click in the groove."""

_TYPED = 52
"""Pixels of the field for a number."""


class Threshold(Container):  # type: ignore[type-arg]
    """A slider, and a field for a typed number.

    Parameters
    ----------
    say : callable
        Told in a sentence when a typed number was changed to one that can be.
    about_to_move : callable
        Called before a key, the wheel or a click beside the handle moves it.
    **options
        Of the slider: name, label, tooltip, value, min, max.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        about_to_move: Callable[[], None],
        **options: Any,
    ) -> None:
        self._say = say
        self.slider = FloatSlider(step=0.01, readout=False, **options)
        self.line = LineEdit(
            name="typed", tooltip=f"{options['label']} as a number; Enter sets it."
        )
        self.line.native.setFixedWidth(_TYPED)
        self.head = row(Label(value=options["label"]), self.line)
        self.head.native.layout().insertStretch(1, 1)
        super().__init__(
            widgets=[self.head, self.slider],
            labels=False,
            label=options["label"],
            name=f"{options['name']}_row",
        )
        self.margins = (0, 0, 0, 0)
        keep_low(self)
        self.slider.native.setMinimumWidth(60)
        self.line.native.setAccessibleName(f"{options['label']} as a number")
        # Also where the code moves it and tells nobody: the number follows.
        handle = self.slider.native.findChild(QSlider)
        handle.setAccessibleName(options["label"])
        handle.valueChanged.connect(lambda _: self._shown())
        # Qt counts a million steps from end to end: one of them is nothing.
        whole = (handle.maximum() - handle.minimum()) / (
            options["max"] - options["min"]
        )
        handle.setSingleStep(round(STEP * whole))
        handle.setPageStep(round(PAGE * whole))
        handle.actionTriggered.connect(lambda action: self._acted(action))
        self.handle, self._about_to_move = handle, about_to_move
        self.line.native.editingFinished.connect(self._typed)
        self._shown()

    def _shown(self) -> None:
        self.line.value = f"{self.slider.value:.4f}".rstrip("0").rstrip(".")

    def _acted(self, action: int) -> None:
        if action != QSlider.SliderAction.SliderMove.value:  # that is a drag
            self._about_to_move()

    def _typed(self) -> None:
        words = str(self.line.value).replace(",", ".")
        low, high = float(self.slider.min), float(self.slider.max)
        between = f"{self.label} goes from {low:g} to {high:g}"
        try:
            number = float(words)
        except ValueError:
            number = float("nan")
        if low <= number <= high:
            if f"{number:.4f}" != f"{self.slider.value:.4f}":
                self.slider.value = number
            return
        if number == number:  # a number, and out of range
            self.slider.value = min(max(number, low), high)
            self._say(f"{between}; {number:g} became {self.slider.value:g}.")
        else:
            self._say(f"{between}; '{words}' is no number.")
        self._shown()


class Histogram(QWidget):  # type: ignore[misc]
    """How many objects have which confidence; what is kept is coloured.

    It begins and ends where a slider's handle does.

    Parameters
    ----------
    chosen : callable
        Called with a confidence when the person clicks on it.
    """

    def __init__(self, chosen: Callable[[float], None]) -> None:
        super().__init__()
        self._chosen = chosen
        self.bars: tuple[float, ...] = ()
        self.threshold = 0.5
        self.inset = 0
        self.accent: Callable[[], str] = lambda: "#4f8cff"
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Objects by confidence")
        self.setToolTip(
            "Objects by confidence, from 0 to 1: coloured ones are kept. Click to set "
            "the minimum confidence."
        )

    def sizeHint(self) -> QSize:
        """Low and wide."""
        return QSize(120, 48)

    def show_bars(self, bars: Sequence[float], threshold: float) -> None:
        """Show these heights, each from 0 to 1, and what lies above the threshold."""
        self.bars, self.threshold = tuple(bars), threshold
        self.update()

    def paintEvent(self, event: Any) -> None:
        """Draw the bars in the colours of the theme."""
        painter = QPainter(self)
        palette = self.palette()
        ink = palette.color(QPalette.ColorRole.WindowText)
        faint = palette.color(QPalette.ColorRole.WindowText)
        faint.setAlphaF(0.35)
        strong = QColor(self.accent())
        width, height = self.width() - 2 * self.inset, self.height() - 2
        step = width / max(len(self.bars), 1)
        painter.translate(self.inset, 0)
        for i, bar in enumerate(self.bars):
            counts = (i + 0.5) / len(self.bars) >= self.threshold
            tall = max(bar * height, 2.0) if bar else 0.0
            box = QRectF(i * step, height - tall, max(step - 1, 1), tall)
            painter.fillRect(box, strong if counts else faint)
        painter.setPen(ink)
        edge = round(self.threshold * (width - 1))
        painter.drawLine(edge, 0, edge, height)
        painter.drawLine(0, height, width, height)
        painter.end()

    def mousePressEvent(self, event: Any) -> None:
        """Set the threshold to where the person clicks."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._at(event)

    def mouseMoveEvent(self, event: Any) -> None:
        """Let the threshold follow the mouse."""
        self._at(event)

    def _at(self, event: Any) -> None:
        width = max(self.width() - 2 * self.inset - 1, 1)
        share = (event.position().x() - self.inset) / width
        self._chosen(round(min(max(share, 0.0), 1.0), 2))
