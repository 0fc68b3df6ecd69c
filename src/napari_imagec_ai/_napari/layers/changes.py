"""Changes of layers that napari's canvas survives, and who makes them.

When a layer goes, napari deletes what it had on the graphics card at once, in whatever
OpenGL context is current. Outside of painting that is not the canvas's own: buffers
that the canvas still refers to go in another one, and its next picture reads freed
memory, which ends the program. So the rule for everything that may be done to layers
in one step is: the canvas's context is current when a layer goes, whoever takes it
away. It is kept here, and nowhere else has to know it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel


class CanvasGuard:
    """Makes the canvas's own context current before any layer of a viewer goes.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers.
    docked : QWidget
        A widget of the window that shows them.
    """

    def __init__(self, viewer: ViewerModel, docked: QWidget) -> None:
        self._docked: QWidget | None = docked
        self._events = viewer.layers.events.removing
        self._events.connect(self._make_current)

    def stop(self) -> None:
        """Guard no more: the window is gone."""
        self._docked = None
        self._events.disconnect(self._make_current)

    def _make_current(self, event: Any = None) -> None:
        if self._docked is None:
            return
        top = self._docked
        while top.parentWidget() is not None:  # a floating dock is a window, too
            top = top.parentWidget()
        for canvas in top.findChildren(QWidget):
            # What draws with OpenGL; one that never was shown has no context.
            if hasattr(canvas, "makeCurrent") and canvas.isValid():
                canvas.makeCurrent()


@contextmanager
def unasked(viewer: ViewerModel) -> Iterator[None]:
    """While it lasts, napari does not ask what lies under the mouse.

    It asks whenever the active layer changes, and raises an error in 3D display if the
    mouse did not move over the canvas since: then it knows no direction to look in.
    """
    over, viewer.mouse_over_canvas = viewer.mouse_over_canvas, False
    try:
        yield
    finally:
        viewer.mouse_over_canvas = over


class OurChanges:
    """Tells changes that we make to layers from those that the person makes."""

    def __init__(self) -> None:
        self._depth = 0

    @property
    def ours(self) -> bool:
        """Whether what happens now is our doing."""
        return self._depth > 0

    @contextmanager
    def working(self) -> Iterator[None]:
        """While it lasts, what happens to layers is our doing."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
