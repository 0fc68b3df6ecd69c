"""The widget's row for one class of the model: what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from magicgui.widgets import (
    CheckBox,
    Container,
    FloatSpinBox,
    Label,
    LineEdit,
    PushButton,
)
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QSizePolicy, QToolButton, QWidget

from napari_imagec_ai._napari.controls import (
    BORDERED,
    ElidingTick,
    column,
    on_button,
    put,
    row,
    shown,
    tool,
)
from napari_imagec_ai._napari.tune.eye_button import Eye
from napari_imagec_ai._napari.tune.filter_rows import FilterRows
from napari_imagec_ai.results.class_map import ClassRule

NO_NAME = "(no name)"
"""What stands for an empty name."""

SHOW, NUMBER, FILTERS = 42, 34, 66
"""Pixels of columns that are as wide in each row."""


def spread(head: Container) -> None:  # type: ignore[type-arg]
    """Lay out a row, or the heads above, in the same columns."""
    layout = head.native.layout()
    layout.setSpacing(4)
    parts = [layout.itemAt(i).widget() for i in range(layout.count())]
    for part, width in zip(parts, (SHOW, 0, 0, NUMBER, FILTERS), strict=True):
        _set_width(part, width)
    layout.setStretch(1, 5)
    layout.setStretch(2, 4)


def _set_width(part: QWidget, width: int) -> None:
    if width:
        part.setFixedWidth(width)
        return
    part.setMinimumWidth(30)
    part.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)


class Look(Container):  # type: ignore[type-arg]
    """Colour of a class, and whether its layers are shown.

    Parameters
    ----------
    name : str
        Of the class, for tooltips.
    colour : str
        To begin with, such as ``#00c2ff``.
    changed : callable
        Called when the person changes it.
    """

    def __init__(self, name: str, colour: str, changed: Callable[[], None]) -> None:
        super().__init__(layout="horizontal", labels=False, name="look")
        self.margins = (0, 0, 0, 0)
        self._notify = changed
        self.swatch = tool("", f"Colour of '{shown(name)}': click to choose another.")
        self.swatch.clicked.connect(lambda *_: self._ask())
        self.swatch.setFixedSize(16, 16)
        self.eye = Eye(f"Show or hide the layers of '{shown(name)}'")
        self.eye.toggled.connect(self._eyed)
        put(self, 0, self.swatch)
        put(self, 1, self.eye)
        self.native.setFixedWidth(SHOW)
        self._paint(colour)

    def _ask(self) -> None:
        chosen = QColorDialog.getColor(QColor(self.colour), self.native)
        if chosen.isValid():
            self.set_colour(chosen.name())

    def set_colour(self, colour: str) -> None:
        """Give the class another colour."""
        self._paint(colour)
        self._notify()

    def _paint(self, colour: str) -> None:
        self.colour = colour
        self.swatch.setStyleSheet(
            f"background: {colour}; border: 1px solid gray; border-radius: 3px;"
        )

    def _eyed(self, _: bool) -> None:
        self._notify()

    @property
    def is_shown(self) -> bool:
        """Whether the class's layers are shown."""
        return bool(self.eye.isChecked())


class ClassRow(Container):  # type: ignore[type-arg]
    """One class of the model.

    Parameters
    ----------
    source : str
        The model's class.
    colour : str
        To begin with.
    features : callable
        Gives the columns that filters may look at.
    changed : callable
        Called when the person changes what objects become.
    styled : callable
        Called when the person changes what they look like.
    """

    def __init__(
        self,
        source: str,
        colour: str,
        features: Callable[[], Sequence[str]],
        changed: Callable[[], None],
        styled: Callable[[], None],
    ) -> None:
        self.source = source
        self._notify = changed
        self.look = Look(source, colour, styled)
        self._make_head(source)
        self._make_details(features)
        self.details = column(
            row(Label(value="Confidence penalty"), self.handicap),
            self.filters,
            self.require_all,
            self._rest,
            self.add,
            labels=False,
        )
        head = row(self.look, self.keep, self.target, self.number)
        super().__init__(widgets=[head, self.details], labels=False)
        self.margins = (0, 0, 0, 0)
        self.details.margins = (22, 0, 0, 4)
        self.fold = self._make_fold()
        put(head, 4, self.fold)
        spread(head)
        self._connect()
        self._show_details()

    def _make_head(self, source: str) -> None:
        self.keep = CheckBox(
            value=True,
            text=on_button(source) or NO_NAME,
            name="keep",
            tooltip=f"Use the model's class '{shown(source)}'. Off: its objects are "
            "left out.",
        )
        ElidingTick(self.keep)
        self.target = LineEdit(
            value=source,
            name="target",
            tooltip=f"What you call objects of the model's class '{shown(source)}': in "
            "layers, tables and files. Two classes of one name become one.",
        )
        self.target.native.setPlaceholderText(NO_NAME)
        self.target.native.setCursorPosition(0)  # a long name shows its beginning
        self.number = Label(
            value="", name="number", tooltip="How many objects are kept."
        )
        align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        self.number.native.setAlignment(align)

    def _make_details(self, features: Callable[[], Sequence[str]]) -> None:
        self.handicap = FloatSpinBox(
            value=0,
            min=-1,
            max=1,
            step=0.05,
            name="handicap",
            tooltip="Taken off the confidence of this class: higher, and fewer of its "
            "objects are kept.",
        )
        self.filters = FilterRows(features, self._filters_changed)
        self.require_all = CheckBox(
            value=False,
            text="Match all filters",
            name="require_all",
            tooltip="On: an object must match every filter. Off: it takes the class of "
            "the first one that it matches.",
        )
        self.otherwise = LineEdit(
            name="otherwise",
            tooltip="Class of the objects that match no filter; blank: they are left "
            "out.",
        )
        self.otherwise.native.setPlaceholderText("(leave out)")
        self._rest = row(Label(value="Objects that match none"), self.otherwise)
        self.add = PushButton(
            text="Add a filter",
            name="add",
            tooltip="Sort objects by size, shape, intensity or any other column.",
        )

    def _make_fold(self) -> QToolButton:
        tooltip = f"Sort '{shown(self.source)}' by size, shape or brightness, and more."
        fold = tool("Filters...", tooltip, checkable=True)
        fold.setStyleSheet(BORDERED)
        fold.toggled.connect(lambda _: self._show_details())
        return fold

    def _connect(self) -> None:
        for control in (self.keep, self.handicap, self.require_all):
            control.changed.connect(lambda _: self._notify())
        for line in (self.target, self.otherwise):
            line.native.editingFinished.connect(self._notify)
        self.add.changed.connect(lambda _: self.filters.add())

    def _filters_changed(self) -> None:
        self._show_details()
        self._notify()

    def _show_details(self) -> None:
        count = len(self.filters)
        self.fold.setText(f"Filters ({count})" if count else "Filters...")
        self.details.native.setVisible(self.fold.isChecked())
        self.require_all.visible = self._rest.visible = len(self.filters) > 0

    def show_number(self, words: str) -> None:
        """Show how many objects are kept."""
        if self.number.value != words:
            self.number.value = words

    @property
    def is_changed(self) -> bool:
        """Whether the person changed anything of the class."""
        plain = self.keep.value and self.named == self.source and not self.filters
        return not plain or bool(self.handicap.value)

    @property
    def named(self) -> str:
        """The person's class."""
        return str(self.target.value).strip() or self.source

    def rule(self) -> ClassRule:
        """What the row says.

        Raises
        ------
        DecodeError
            If a limit of a filter is no number.
        """
        return ClassRule(
            source=self.source,
            becomes=self.named if self.keep.value else None,
            otherwise=str(self.otherwise.value).strip() or None,
            handicap=round(self.handicap.value, 4),
            filters=self.filters.filters(),
            require_all=bool(self.require_all.value),
        )

    def set_rule(self, rule: ClassRule) -> None:
        """Show a rule; tells nobody."""
        with self.keep.changed.blocked(), self.handicap.changed.blocked():
            self.keep.value = rule.becomes is not None
            self.handicap.value = rule.handicap
        with self.require_all.changed.blocked():
            self.require_all.value = rule.require_all
        self.target.value = rule.becomes or self.target.value
        self.otherwise.value = rule.otherwise or ""
        if self.filters.filters() != rule.filters:
            self.filters.set_filters(rule.filters)
        self._show_details()
