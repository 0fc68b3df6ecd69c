"""What the dock widget looks like: three tabs, and the bar that is always in sight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicgui.widgets import Container
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFrame, QScrollArea, QTabWidget

from napari_imagec_ai._napari import remembered
from napari_imagec_ai._napari.controls import NARROW
from napari_imagec_ai._napari.keys import Panel, WheelGuard
from napari_imagec_ai._napari.low_window import Page

MODEL, TUNE, RESULTS = range(3)
"""The tabs, in the order of the work."""

TITLES = ("Model && image", "Tune", "Results")

_WORDS = ("model", "tune", "results")
"""Under these names they are remembered."""

_TIPS = (
    "What is run: the model, the image, and what of it.",
    "What becomes of the network's output: it does not run again.",
    "What is done with the objects: layers, table, export, batches.",
)

_TABS = "QTabBar::tab { padding: 5px 10px; min-height: 1.2em; }"

WIDTH = 320
"""Pixels that the form needs; a page scrolls where it is too tall."""


class Form:
    """The pages in their tabs above the bar.

    Parameters
    ----------
    pages : sequence of sequence of Widget
        The sections of each page, from top to bottom.
    bar : Widget
        What is in sight whichever page is.
    """

    def __init__(self, pages: Sequence[Sequence[Any]], bar: Any) -> None:
        self.pages = [_page(widgets) for widgets in pages]
        self.bar = bar
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.tabBar().setAccessibleName("Steps of the work")
        for page, title, tip in zip(self.pages, TITLES, _TIPS, strict=True):
            index = self.tabs.addTab(_scrolled(page), title)
            self.tabs.setTabToolTip(index, tip)
        self.native = Panel(self.tabs, bar.native)
        self.native.setStyleSheet(NARROW + _TABS)
        self.native.setMinimumWidth(WIDTH)
        self._guard = WheelGuard(self.native)

    def reset_choices(self, *_: Any) -> None:
        """Read the lists of layers again."""
        for page in self.pages:
            page.reset_choices()

    def on_return(self, run: Any) -> None:
        """Let Ctrl+Return run from everywhere in the form."""
        shortcut = QShortcut(QKeySequence("Ctrl+Return"), self.native)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(run)

    def remember(self) -> None:
        """Bring the tab of the last time to the front, and keep it from now on."""
        kept = remembered.recall("tab")
        if kept in _WORDS:
            self.front = _WORDS.index(kept)
        self.tabs.currentChanged.connect(lambda i: remembered.keep("tab", _WORDS[i]))

    @property
    def front(self) -> int:
        """The tab that is in front."""
        return int(self.tabs.currentIndex())

    @front.setter
    def front(self, tab: int) -> None:
        self.tabs.setCurrentIndex(tab)


def _page(widgets: Sequence[Any]) -> Any:
    page: Any = Container(labels=False, widgets=list(widgets))
    page.margins = (4, 4, 4, 4)
    page.native.layout().addStretch(1)
    return page


def _scrolled(page: Any) -> QScrollArea:
    """A page in a scroll area; magicgui's own is left behind by napari's docks."""
    area = Page()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(page.native)
    return area
