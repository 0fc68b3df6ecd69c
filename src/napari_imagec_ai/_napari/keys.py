"""How keys and the wheel act in the dock widget: in the order that the eye follows."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLayout,
    QScrollArea,
    QScrollBar,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

_TURNED = (QComboBox, QAbstractSpinBox, QAbstractSlider)
"""Controls that the wheel changes, though a person may only want to scroll."""


class WheelGuard(QObject):  # type: ignore[misc]
    """Keeps the wheel, and letters, from changing what has no focus or is closed.

    Controls that are made later are guarded, too.

    Parameters
    ----------
    root : QWidget
        What is guarded, with everything in it.
    """

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        self._guard(root)

    def _guard(self, widget: QWidget) -> None:
        widget.removeEventFilter(self)  # it may have been put elsewhere
        widget.installEventFilter(self)
        if isinstance(widget, _TURNED) and not isinstance(widget, QScrollBar):
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # not by the wheel
        for child in widget.children():
            if isinstance(child, QWidget):
                self._guard(child)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Leave the wheel to the panel where the control has no focus."""
        if event is None:
            return False
        if event.type() == QEvent.Type.ChildPolished:
            child = event.child()
            if isinstance(child, QWidget):
                self._guard(child)
        elif event.type() == QEvent.Type.Wheel and _is_turned(watched):
            event.ignore()
            return True
        return event.type() == QEvent.Type.KeyPress and _is_letter(watched, event)


def _is_turned(watched: Any) -> bool:
    if isinstance(watched, QScrollBar) or not isinstance(watched, _TURNED):
        return False
    return not watched.hasFocus()


def _is_letter(watched: Any, event: Any) -> bool:
    """Whether a letter would choose something in a closed list."""
    if not isinstance(watched, QComboBox) or watched.isEditable():
        return False
    words = str(event.text())
    return bool(words.strip()) and words.isprintable()


class Panel(QWidget):  # type: ignore[misc]
    """Tabs above a bar; the tab key goes through them as the eye does.

    From the last control of the first page it goes to the bar, and then on through the
    other pages, each of which comes to the front.

    Parameters
    ----------
    tabs : QTabWidget
        Pages in scroll areas.
    bar : QWidget
        What is always in sight.
    """

    def __init__(self, tabs: QTabWidget, bar: QWidget) -> None:
        super().__init__()
        self._tabs, self._bar = tabs, bar
        # napari puts an empty space below what does not want the height.
        expanding = QSizePolicy.Policy.Expanding
        self.setSizePolicy(expanding, expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(tabs, 1)
        layout.addWidget(bar)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Go to the control after or before the one that has the focus."""
        now = self.window().focusWidget()
        stops = self._stops()
        here = [i for i, (_, one) in enumerate(stops) if one is now]
        if not here:
            return bool(super().focusNextPrevChild(forward))
        next_ = here[0] + (1 if forward else -1)
        if not 0 <= next_ < len(stops):
            return self._leave(now, forward)
        page, widget = stops[next_]
        if page is not None:
            self._tabs.setCurrentIndex(page)
        reason = Qt.FocusReason
        widget.setFocus(reason.TabFocusReason if forward else reason.BacktabFocusReason)
        area = self._tabs.currentWidget()
        if page is not None and isinstance(area, QScrollArea):
            area.ensureWidgetVisible(widget)
        return True

    def _leave(self, now: QWidget, forward: bool) -> bool:
        """Go to what comes after the panel in the window, or before it."""
        other = now
        while True:
            other = (
                other.nextInFocusChain() if forward else other.previousInFocusChain()
            )
            if other is None or other is now:
                return False
            if not self.isAncestorOf(other) and other is not self and _stops_at(other):
                other.setFocus(Qt.FocusReason.TabFocusReason)
                return True

    def _stops(self) -> list[tuple[int | None, QWidget]]:
        """Every control that keys reach, and the page that it lies on."""
        stops: list[tuple[int | None, QWidget]] = [(None, self._tabs.tabBar())]
        for page in range(self._tabs.count()):
            area = self._tabs.widget(page)
            if self._tabs.isTabEnabled(page):
                stops += [(page, one) for one in in_order(area)]
            if page == 0:
                stops += [(None, one) for one in in_order(self._bar)]
        return stops


def in_order(widget: QWidget) -> list[QWidget]:
    """Controls in a widget that keys reach, in the order of its layouts."""
    inner = widget.widget() if isinstance(widget, QScrollArea) else None
    if inner is not None:
        return in_order(inner)
    if _is_hidden(widget):
        return []
    if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        return [widget] if widget.isEnabled() else []
    layout = widget.layout()
    return _laid_out(layout) if layout is not None else []


def _laid_out(layout: QLayout) -> list[QWidget]:
    found: list[QWidget] = []
    for i in range(layout.count()):
        item = layout.itemAt(i)
        if item.widget() is not None:
            found += in_order(item.widget())
        elif item.layout() is not None:
            found += _laid_out(item.layout())
    return found


def _is_hidden(widget: QWidget) -> bool:
    """Whether somebody hid it; what was never shown yet is not hidden."""
    explicit = widget.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide)
    return bool(widget.isHidden() and explicit)


def _stops_at(widget: QWidget) -> bool:
    policy = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    return bool(policy and widget.isVisible() and widget.isEnabled())
