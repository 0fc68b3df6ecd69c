"""A table of the objects that the layers show; a row and its object go together.

napari's own table takes the number of a row for the number of a label, which is wrong
as soon as objects are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from qtpy.QtWidgets import QAbstractItemView, QTableView, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari.layers import Layer

_VALUE = int(Qt.ItemDataRole.UserRole)


class _Model(QAbstractTableModel):  # type: ignore[misc]
    """A data frame, read only."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = pd.DataFrame()

    def rowCount(self, parent: Any = None) -> int:
        """How many objects."""
        return len(self.frame)

    def columnCount(self, parent: Any = None) -> int:
        """How many columns."""
        return len(self.frame.columns)

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """A number as a person would write it; as it is for sorting."""
        if role not in (Qt.ItemDataRole.DisplayRole, _VALUE):
            return None
        value: Any = self.frame.iat[index.row(), index.column()]
        if isinstance(value, str):
            return value
        if role == _VALUE:
            return float(value)
        return f"{value:.4g}" if value != int(value) else f"{int(value)}"

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        """Names of the columns."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if orientation == Qt.Orientation.Vertical:
            return section + 1
        return str(self.frame.columns[section]).replace("_", " ")

    def replace(self, frame: pd.DataFrame) -> None:
        """Show other rows."""
        self.beginResetModel()
        self.frame = frame
        self.endResetModel()


class ObjectTable(QWidget):  # type: ignore[misc]
    """All objects of a result, sorted by any column.

    Parameters
    ----------
    chosen : callable
        Called with the layer and the id of the object whose row the person chooses.
    """

    def __init__(self, chosen: Callable[[Layer, int], None]) -> None:
        super().__init__()
        self._chosen = chosen
        self._rows: list[tuple[Layer, int]] = []
        self._model = _Model()
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(_VALUE)
        self.view = QTableView()
        self.view.setModel(self._sorted)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setAccessibleName("Objects")
        self.view.setToolTip("Choose a row to see its object.")
        self.view.selectionModel().currentRowChanged.connect(self._selected)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)

    def show_layers(self, layers: Sequence[Layer]) -> None:
        """List the objects of these layers."""
        frames = [layer.features for layer in layers if len(layer.features)]
        self._rows = [
            (layer, int(i))
            for layer in layers
            if len(layer.features)
            for i in layer.features["index"]
        ]
        together = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        self._model.replace(together.rename(columns={"index": "id"}))

    def select(self, layer: Layer, identity: int) -> None:
        """Select the row of an object; tells nobody."""
        if (layer, identity) not in self._rows:
            return
        row = self._model.index(self._rows.index((layer, identity)), 0)
        there = self._sorted.mapFromSource(row)
        flags = QItemSelectionModel.SelectionFlag
        model = self.view.selectionModel()
        if model.currentIndex().row() != there.row():
            chosen, self._chosen = self._chosen, lambda *_: None
            model.setCurrentIndex(there, flags.ClearAndSelect | flags.Rows)
            self._chosen = chosen
        self.view.scrollTo(there)

    def _selected(self, now: QModelIndex, _before: QModelIndex) -> None:
        if now.isValid():
            self._chosen(*self._rows[self._sorted.mapToSource(now).row()])
