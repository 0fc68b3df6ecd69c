"""Shares the height of a low window: pages, and the parts that give way in them."""

from __future__ import annotations

from magicgui.widgets import Label
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QListWidget, QScrollArea, QSizePolicy, QWidget

_PART = 8
"""A text may take this part of the window, where that is more."""


class LowText(QScrollArea):  # type: ignore[misc]
    """A text that takes some lines at most, and scrolls where it has more.

    Parameters
    ----------
    words : Label
        See :func:`.controls.text`.
    lines : int
        As many are in sight at most in a low window.
    """

    def __init__(self, words: Label, lines: int) -> None:
        super().__init__()
        self._words, self._lines = words.native, lines
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setWidget(self._words)
        self.fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Take as many lines as the text has at this width."""
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Follow a text that is another now, and show its beginning."""
        words = self._words
        words.setMinimumHeight(0)  # Qt never answers less than this
        tall = words.heightForWidth(self.width()) if words.text() else 0
        lines = self._lines * words.fontMetrics().lineSpacing()
        most = max(lines, self.window().height() // _PART)
        policy = Qt.ScrollBarPolicy
        # Shown where it is not needed, the bar takes width, and the text more lines.
        off = policy.ScrollBarAlwaysOff if tall <= most else policy.ScrollBarAsNeeded
        self.setVerticalScrollBarPolicy(off)
        self.setFixedHeight(min(tall, most))
        self.verticalScrollBar().setValue(0)


class GreedyList(QListWidget):  # type: ignore[misc]
    """Takes the room that a page has left, and gives it back in a low window.

    Parameters
    ----------
    least, most : float
        Items in sight, of two lines each.
    """

    def __init__(self, least: float, most: float) -> None:
        super().__init__()
        self._least, self._most = least, most
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(self._height(least))

    def take(self, room: int) -> bool:
        """Be as high as this, as far as that makes sense; gives whether it changes."""
        height = min(max(room, self._height(self._least)), self._height(self._most))
        changes = height != self.height()
        if changes:
            self.setFixedHeight(height)
        return bool(changes)

    def _height(self, items: float) -> int:
        return int(items * (2 * self.fontMetrics().lineSpacing() + 8))


class Page(QScrollArea):  # type: ignore[misc]
    """Gives the room that is left to what can use it: see :class:`GreedyList`.

    Qt asks a page with texts that wrap for its height at its width, and that is the
    height that everything in it would like to have.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: int | None = None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Share the room anew whenever something in the page has another size."""
        kinds = (QEvent.Type.LayoutRequest, QEvent.Type.Resize)
        done = bool(super().eventFilter(watched, event))
        if event is not None and event.type() in kinds and watched is self.widget():
            self._share()
        return done

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Share the room anew."""
        super().resizeEvent(event)
        self._share()

    def _share(self) -> None:
        page, seen = self.widget(), self.viewport()
        if page is None:
            return
        needed = _height_of(page, seen.width())
        if needed == self._before:
            return  # sections tell the page of a new height only some time later
        self._before = None
        for one in page.findChildren(GreedyList):
            if one.isVisibleTo(page):
                room = one.height() + seen.height() - needed
                self._before = needed if one.take(room) else None


def _height_of(page: QWidget, width: int) -> int:
    """Height that a page needs at a width."""
    least = int(page.minimumSizeHint().height())
    wraps = page.hasHeightForWidth()
    return max(int(page.heightForWidth(width)), least) if wraps else least
