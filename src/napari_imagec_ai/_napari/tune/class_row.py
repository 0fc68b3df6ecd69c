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
from qtpy.QtWidgets import QColorDialog, QSizePolicy, QToolButton

from napari_imagec_ai._napari.controls import column, put, row, tool
from napari_imagec_ai._napari.tune.filter_rows import FilterRows
from napari_imagec_ai.results.classes import ClassRule


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
        self.swatch = tool("", f"Colour of '{name}'", self._ask)
        self.swatch.setFixedSize(16, 16)
        self.eye = tool("◉", f"Show or hide the layers of '{name}'", checkable=True)
        self.eye.setChecked(True)
        self.eye.toggled.connect(self._eyed)
        put(self, 0, self.swatch)
        put(self, 1, self.eye)
        self.native.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
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

    def _eyed(self, shown: bool) -> None:
        self.eye.setText("◉" if shown else "○")
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
            row(Label(value="Handicap"), self.handicap),
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
        self._connect()
        self._show_details()

    def _make_head(self, source: str) -> None:
        self.keep = CheckBox(
            value=True,
            text=source,
            name="keep",
            tooltip=f"Count objects of the model's class '{source}'; unchecked, they "
            "become no class.",
        )
        self.target = LineEdit(
            value=source,
            name="target",
            tooltip=f"The class of yours that '{source}' becomes.",
        )
        self.number = Label(
            value="", name="number", tooltip="How many objects there are."
        )
        self.number.native.setMinimumWidth(30)
        align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        self.number.native.setAlignment(align)

    def _make_details(self, features: Callable[[], Sequence[str]]) -> None:
        self.handicap = FloatSpinBox(
            value=0,
            min=-1,
            max=1,
            step=0.05,
            name="handicap",
            tooltip="Taken off the confidence before the class threshold is applied: "
            "above 0, fewer objects of this class count.",
        )
        self.filters = FilterRows(features, self._filters_changed)
        self.require_all = CheckBox(
            value=False,
            text="An object must meet all filters",
            name="require_all",
            tooltip="Else it takes the class of the first filter that it meets.",
        )
        self.otherwise = LineEdit(
            name="otherwise",
            tooltip="Class of the objects that meet no filter; blank: they are left "
            "out.",
        )
        self.otherwise.native.setPlaceholderText("left out")
        self._rest = row(Label(value="Otherwise"), self.otherwise)
        self.add = PushButton(
            text="Add a filter",
            name="add",
            tooltip="Sort objects by size, shape, intensity or any other column.",
        )

    def _make_fold(self) -> QToolButton:
        fold = tool("", f"Filters and handicap of '{self.source}'", checkable=True)
        fold.setArrowType(Qt.ArrowType.LeftArrow)
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
        shown = self.fold.isChecked()
        down, left = Qt.ArrowType.DownArrow, Qt.ArrowType.LeftArrow
        self.fold.setArrowType(down if shown else left)
        self.details.native.setVisible(shown)
        self.require_all.visible = self._rest.visible = len(self.filters) > 0

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
