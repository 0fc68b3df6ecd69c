"""Small parts that the widget's forms are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from magicgui.widgets import Container, Label
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy, QToolButton, QWidget

NARROW = (
    "QComboBox, QAbstractSpinBox, QLineEdit, QPushButton { min-width: 2em; }"
    "QToolButton { border: none; }"
)
"""Style that lets controls shrink, also those that are made later."""


def text(name: str) -> Label:
    """A text that wraps to the width that there is."""
    label = Label(value="", name=name)
    label.native.setWordWrap(True)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.native.setSizePolicy(policy)
    label.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    return label


def row(*widgets: Any) -> Container:  # type: ignore[type-arg]
    """Widgets side by side."""
    made = Container(widgets=list(widgets), layout="horizontal", labels=False)
    made.margins = (0, 0, 0, 0)
    keep_low(made)
    return made


def column(*widgets: Any, labels: bool = True, name: str = "") -> Container:  # type: ignore[type-arg]
    """Widgets below each other, with their labels."""
    made = Container(widgets=list(widgets), labels=labels, name=name)
    made.margins = (0, 0, 0, 0)
    keep_low(made)
    align(made)
    return made


def align(group: Any) -> None:
    """Let the controls of a group begin at the same place, beside their labels."""
    _align(group.native)
    group.native.installEventFilter(_Aligner(group.native))


class _Aligner(QObject):  # type: ignore[misc]
    """Aligns again when a group is shown: only then are its fonts those of napari."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at what happens, and leave it to others."""
        if event is not None and event.type() == QEvent.Type.Show:
            _align(self.parent())
        return False


def _align(group: Any) -> None:
    layout = group.layout()
    parts = [layout.itemAt(i).widget() for i in range(layout.count())]
    rows = [part.layout() for part in parts if part is not None]
    first = [line.itemAt(0) for line in rows if line is not None and line.count()]
    labels = [item.widget() for item in first if isinstance(item.widget(), QLabel)]
    width = max((label.sizeHint().width() for label in labels), default=0)
    for label in labels:
        label.setMinimumWidth(width)


def keep_low(widget: Any) -> None:
    """Do not let a group grow taller than what is in it."""
    widget.native.setSizePolicy(
        QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum
    )


def tool(
    words: str,
    tooltip: str,
    clicked: Callable[[], None] | None = None,
    checkable: bool = False,
) -> QToolButton:
    """A small button; its tooltip is its name for screen readers, too."""
    button = QToolButton()
    button.setText(words)
    button.setToolTip(tooltip)
    button.setAccessibleName(tooltip)
    button.setCheckable(checkable)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    if clicked is not None:
        button.clicked.connect(lambda *_: clicked())
    return button


def put(group: Any, position: int, widget: QWidget) -> None:
    """Put a Qt widget between the widgets of a group."""
    group.native.layout().insertWidget(position, widget)


class Fold(Container):  # type: ignore[type-arg]
    """A section that opens and closes at its heading.

    Parameters
    ----------
    title, tooltip : str
        The heading, and what it says about the section.
    widgets : sequence of Widget
        What is in it.
    open_ : bool
        Whether it is open to begin with.
    labels : bool
        Whether the widgets have their labels beside them.
    """

    def __init__(
        self,
        title: str,
        widgets: Sequence[Any],
        tooltip: str = "",
        open_: bool = True,
        labels: bool = False,
    ) -> None:
        self.body = column(*widgets, labels=labels)
        super().__init__(widgets=[self.body], labels=False)
        self.margins = (0, 0, 0, 0)
        self.button = tool(title, tooltip or f"Show or hide: {title}", checkable=True)
        self.button.setAccessibleName(title)
        self.button.setChecked(open_)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setStyleSheet("font-weight: bold; padding: 2px;")
        self.button.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed
        )
        self.button.toggled.connect(self._toggled)
        put(self, 0, self.button)
        self.native.layout().addStretch(1)  # takes what a section has too much
        keep_low(self)
        self._toggled(open_)

    def _toggled(self, shown: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow
        self.button.setArrowType(arrow)
        self.body.native.setVisible(shown)

    @property
    def title(self) -> str:
        """The heading."""
        return str(self.button.text())

    @title.setter
    def title(self, words: str) -> None:
        self.button.setText(words)
        self.button.setAccessibleName(words)

    def reset_choices(self, *_: Any) -> None:
        """Read the choices of what is in it again."""
        self.body.reset_choices()


def quiet(*widgets: Any) -> AbstractContextManager[Any]:
    """Keep controls from telling of changes that the code makes."""
    stack = ExitStack()
    for widget in widgets:
        stack.enter_context(widget.changed.blocked())
    return stack


class Picture(Container):  # type: ignore[type-arg]
    """A small picture from a file, if there is one that can be shown."""

    def __init__(self, height: int = 120) -> None:
        super().__init__(labels=False)
        self.margins = (0, 0, 0, 0)
        self._height = height
        self._screen = QLabel()
        self._screen.setAccessibleName("Cover picture")
        put(self, 0, self._screen)
        self._screen.hide()

    def show_file(self, path: Path | None) -> None:
        """Show a file, or nothing."""
        picture = QPixmap(str(path)) if path is not None else QPixmap()
        self._screen.setVisible(not picture.isNull())
        if not picture.isNull():
            smooth = Qt.TransformationMode.SmoothTransformation
            self._screen.setPixmap(picture.scaledToHeight(self._height, smooth))


class Undocking(QObject):  # type: ignore[misc]
    """Deletes a widget that napari took out of its window for good.

    napari only takes the parent away, and Qt keeps what belongs to nobody for ever.
    """

    def __init__(self, watched: QWidget) -> None:
        super().__init__(watched)
        watched.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at what happens, and leave it to others."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            QTimer.singleShot(0, self._look)
        return False

    def _look(self) -> None:
        widget = self.parent()
        if widget.parent() is None:  # it was not put elsewhere at once
            widget.deleteLater()
