"""Small parts that the widget's forms are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from html import escape
from pathlib import Path
from typing import Any

from magicgui.widgets import Container, FloatSpinBox, Label
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QLabel,
    QMenu,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QWidget,
)

NARROW = (
    "QComboBox, QAbstractSpinBox, QLineEdit, QPushButton { min-width: 2em; }"
    "QToolButton { border: none; }"
)
"""Style that lets controls shrink, also those that are made later."""


BORDERED = "QToolButton { border: 1px solid gray; border-radius: 3px; padding: 2px; }"
"""Style of a small button that is to look like one."""

_MARGIN = 4
"""Pixels beside the text of a box that napari's style takes."""


def text(name: str, words: str = "") -> Label:
    """A text that wraps to the width that there is."""
    label = Label(value=words, name=name)
    label.native.setWordWrap(True)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    label.native.setSizePolicy(policy)
    label.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    label.native.installEventFilter(_Wrapper(label.native))
    return label


def shown(words: str, bold: bool = False) -> str:
    """Words as a text shows them as they are, whatever is in them.

    Qt takes a text for HTML as soon as something looks like a tag.
    """
    if not bold and "<" not in words:
        return words
    safe = escape(words, quote=False).replace("\n", "<br>")
    return f"<b>{safe}</b>" if bold else safe


def on_button(words: str) -> str:
    """Words as a button shows them as they are: to Qt, '&' marks a key."""
    return " ".join(words.splitlines()).replace("&", "&&")


class _Wrapper(QObject):  # type: ignore[misc]
    """Keeps a text as tall as it is at its width: sections ask before they know it."""

    def __init__(self, label: QLabel) -> None:
        super().__init__(label)
        self._seen = ("", 0)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at what happens, and leave it to others."""
        kinds = (QEvent.Type.Resize, QEvent.Type.Paint)
        if event is not None and event.type() in kinds:
            label = self.parent()
            if self._seen != (label.text(), label.width()):
                self._seen = (label.text(), label.width())
                label.setMinimumHeight(0)  # Qt never answers less than this
                tall = label.heightForWidth(label.width()) if label.text() else 0
                label.setMinimumHeight(max(tall, 0))
        return False


class Eliding(QObject):  # type: ignore[misc]
    """Shows dots where a choice is too long for its box; napari's style cuts it."""

    def __init__(self, combo: Any) -> None:
        super().__init__(combo.native)
        combo.native.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Paint the box; leave everything else to it."""
        if event is None or event.type() != QEvent.Type.Paint:
            return False
        box = self.parent()
        option = QStyleOptionComboBox()
        box.initStyleOption(option)
        style, whole = box.style(), QStyle.ComplexControl.CC_ComboBox
        part = QStyle.SubControl.SC_ComboBoxEditField
        room = style.subControlRect(whole, option, part, box).width() - _MARGIN
        dots = Qt.TextElideMode.ElideRight
        text_ = box.fontMetrics().elidedText(option.currentText, dots, room)
        option.currentText = text_
        painter = QStylePainter(box)
        painter.drawComplexControl(whole, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()
        return True


class ElidingTick(QObject):  # type: ignore[misc]
    """Shows dots where the words of a check box are too long for it."""

    def __init__(self, box: Any) -> None:
        super().__init__(box.native)
        box.native.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Paint the check box; leave everything else to it."""
        if event is None or event.type() != QEvent.Type.Paint:
            return False
        box = self.parent()
        option = QStyleOptionButton()
        box.initStyleOption(option)
        part = QStyle.SubElement.SE_CheckBoxContents
        room = box.style().subElementRect(part, option, box).width()
        dots = Qt.TextElideMode.ElideRight
        option.text = box.fontMetrics().elidedText(option.text, dots, room)
        painter = QStylePainter(box)
        painter.drawControl(QStyle.ControlElement.CE_CheckBox, option)
        painter.end()
        return True


def row(*widgets: Any) -> Container:  # type: ignore[type-arg]
    """Widgets side by side."""
    made = Container(widgets=list(widgets), layout="horizontal", labels=False)
    made.margins = (0, 0, 0, 0)
    keep_low(made)
    return made


def column(
    *widgets: Any, labels: bool = True, name: str = "", alone: bool = True
) -> Container:  # type: ignore[type-arg]
    """Widgets below each other, with their labels; aligned, where it stands alone."""
    made = Container(widgets=list(widgets), labels=labels, name=name)
    made.margins = (0, 0, 0, 0)
    keep_low(made)
    if alone:
        align(made)
    return made


def align(*groups: Any) -> None:
    """Let the controls of groups begin at the same place, beside their labels."""
    natives = [group.native for group in groups]
    _align(natives)
    for native in natives:
        native.installEventFilter(_Aligner(native, natives))


def realign(*groups: Any) -> None:
    """Align groups again whose controls have changed."""
    _align([group.native for group in groups])


class _Aligner(QObject):  # type: ignore[misc]
    """Aligns again when a group is shown: only then are its fonts those of napari."""

    def __init__(self, parent: Any, groups: Sequence[Any]) -> None:
        super().__init__(parent)
        self._groups = groups

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at what happens, and leave it to others."""
        if event is not None and event.type() == QEvent.Type.Show:
            _align(self._groups)
        return False


def _labels(group: Any) -> list[QLabel]:
    layout = group.layout()
    parts = [layout.itemAt(i).widget() for i in range(layout.count())]
    rows = [part.layout() for part in parts if part is not None]
    first = [line.itemAt(0) for line in rows if line is not None and line.count()]
    return [item.widget() for item in first if isinstance(item.widget(), QLabel)]


def _align(groups: Sequence[Any]) -> None:
    labels = [label for group in groups for label in _labels(group)]
    width = max((label.sizeHint().width() for label in labels), default=0)
    for label in labels:
        label.setMinimumWidth(width)


def keep_low(widget: Any) -> None:
    """Do not let a group grow taller than what is in it."""
    widget.native.setSizePolicy(
        QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum
    )


def whole_numbers(special: str, **options: Any) -> FloatSpinBox:
    """A box for whole numbers whose lowest one is shown as a word.

    magicgui's own box for integers knows no such word.
    """
    box = FloatSpinBox(step=1, **options)
    box.native.setDecimals(0)
    box.native.setSpecialValueText(special)
    return box


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


class MenuItem:
    """A line of a menu, that is used as a button is.

    Parameters
    ----------
    menu : QMenu
        Where it is added.
    words, tooltip : str
        What it says.
    name : str
        What it is called in the code.
    """

    def __init__(self, menu: QMenu, words: str, tooltip: str, name: str) -> None:
        self.name = name
        self.native = menu.addAction(words)
        self.native.setToolTip(tooltip)

    def connect(self, clicked: Callable[[], Any]) -> None:
        """Call this when a person chooses the line."""
        self.native.triggered.connect(lambda *_: clicked())

    @property
    def enabled(self) -> bool:
        """Whether it can be chosen."""
        return bool(self.native.isEnabled())

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self.native.setEnabled(on)


def menu_button(words: str, tooltip: str) -> tuple[QToolButton, QMenu]:
    """A small button that opens a menu."""
    button = tool(words, tooltip)
    menu = QMenu(button)
    menu.setToolTipsVisible(True)
    button.setMenu(menu)
    button.setStyleSheet(f"{BORDERED} QToolButton::menu-indicator {{ image: none; }}")
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    return button, menu


def put(group: Any, position: int, widget: QWidget) -> None:
    """Put a Qt widget between the widgets of a group."""
    group.native.layout().insertWidget(position, widget)


_DENSE = 4
"""Pixels between the lines of a section: a laptop's window is low."""


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
    minor : bool
        Whether it is a part of another section.
    """

    def __init__(
        self,
        title: str,
        widgets: Sequence[Any],
        tooltip: str = "",
        open_: bool = True,
        labels: bool = False,
        minor: bool = False,
    ) -> None:
        self.body = column(*widgets, labels=labels)
        self.body.native.layout().setSpacing(_DENSE)
        super().__init__(widgets=[self.body], labels=False)
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(_DENSE)
        self.button = tool(title, tooltip or f"Show or hide: {title}", checkable=True)
        self.button.setAccessibleName(title)
        self.button.setChecked(open_)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        weight = "normal" if minor else "bold"
        self.button.setStyleSheet(f"font-weight: {weight}; padding: 2px;")
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
        self.button.setText(on_button(words))
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
