"""An eye that opens and closes, as beside napari's layers."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QPainter, QPainterPath, QPalette, QPen
from qtpy.QtWidgets import QStyle, QStyleOptionFocusRect, QToolButton

_SIDE = 20


class Eye(QToolButton):  # type: ignore[misc]
    """A button that says whether something is seen.

    Parameters
    ----------
    tooltip : str
        What it shows and hides; its name for screen readers, too.
    """

    def __init__(self, tooltip: str) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setChecked(True)
        self.setToolTip(tooltip)
        self.setAccessibleName(tooltip)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFixedSize(_SIDE, _SIDE)

    def paintEvent(self, event: Any) -> None:
        """Draw it in the ink of the theme; closed, it is struck out and pale."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        ink.setAlphaF(1.0 if self.isChecked() else 0.5)
        painter.setPen(QPen(ink, 1.4))
        middle = QPointF(self.width() / 2, self.height() / 2)
        left, right = middle - QPointF(7, 0), middle + QPointF(7, 0)
        lids = QPainterPath(left)
        lids.quadTo(middle - QPointF(0, 9), right)
        lids.quadTo(middle + QPointF(0, 9), left)
        painter.drawPath(lids)
        if self.isChecked():
            painter.setBrush(ink)
            painter.drawEllipse(middle, 2.2, 2.2)
        else:
            painter.drawLine(middle + QPointF(-6, 6), middle + QPointF(6, -6))
        if self.hasFocus():
            option = QStyleOptionFocusRect()
            option.initFrom(self)
            option.rect = QRectF(self.rect()).toRect()
            frame = QStyle.PrimitiveElement.PE_FrameFocusRect
            self.style().drawPrimitive(frame, option, painter, self)
        painter.end()
