"""Says when an image is no longer where, or what, it was when it was run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import Container, PushButton

from napari_imagec_ai._napari.controls import row, text
from napari_imagec_ai._napari.layers.from_napari import Source, cut
from napari_imagec_ai._napari.layers.places import state
from napari_imagec_ai.errors import ImagecAIError

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_imagec_ai._napari.desk import Desk
    from napari_imagec_ai._napari.image.image_choice import ImageChoice
    from napari_imagec_ai._napari.layers.showing import Showing

_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")


class MovedNotice(Container):  # type: ignore[type-arg]
    """Shown while the tuned result belongs to an earlier state of its image.

    Parameters
    ----------
    move : callable
        Called when the result shall be moved along.
    run : callable
        Called when the image shall be run again.
    """

    def __init__(self, move: Callable[[], None], run: Callable[[], None]) -> None:
        self.said = text("moved")
        self.move: Any = PushButton(
            text="Move the result along",
            name="move_result",
            tooltip="Put the result where the image is now, and measure it by the "
            "pixel size that the image has now.",
        )
        self.again: Any = PushButton(
            text="Run again",
            name="run_again",
            tooltip="Run the network on the image as it is now.",
        )
        super().__init__(
            widgets=[self.said, row(self.move, self.again)],
            labels=False,
            name="moved_notice",
            visible=False,
        )
        self.margins = (0, 0, 0, 0)
        self.move.changed.connect(lambda: move())
        self.again.changed.connect(lambda: run())
        self._layer: Image | None = None
        self._source: Source | None = None

    def watch(self, layer: Image | None, source: Source | None) -> None:
        """Look at this layer from now on, which was run as this source."""
        self.stop()
        self._layer, self._source = layer, source
        if layer is not None:
            for name in _PLACE:
                getattr(layer.events, name).connect(self._look)
            layer.events.data.connect(self._look)
        self._look()

    def stop(self) -> None:
        """Look at nothing any more."""
        if self._layer is not None:
            for name in _PLACE:
                getattr(self._layer.events, name).disconnect(self._look)
            self._layer.events.data.disconnect(self._look)
        self._layer = self._source = None

    def _look(self, event: Any = None) -> None:
        layer, source = self._layer, self._source
        if layer is None or source is None:
            self.visible = False
            return
        other_pixels = id(layer.data) != source.array and not layer.multiscale
        moved = _is_moved(layer, source)
        self.visible = moved or other_pixels
        self.move.visible = moved and not other_pixels
        what = "other pixels" if other_pixels else "another place or pixel size"
        self.said.value = (
            f"'{layer.name}' has {what} now: the result is of an earlier state."
        )


def _is_moved(layer: Image, source: Source) -> bool:
    """Whether a layer's transform or units are others than they were."""
    now, before = state(layer), source.state
    return any(not np.array_equal(now[name], before[name]) for name in before)


class ImageWatch:
    """Looks at the image of the result that is tuned.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    source : ImageChoice
        The image that is chosen.
    showing : Showing
        The result that is tuned.
    """

    def __init__(self, desk: Desk, source: ImageChoice, showing: Showing) -> None:
        self._desk, self._source, self._showing = desk, source, showing
        self.notice = MovedNotice(self._move, desk.run)

    def stop(self) -> None:
        """Look no more: the window is gone."""
        self.notice.stop()

    def look(self) -> None:
        """Notice when the image is no longer what was run."""
        live, layer = self._showing.live, self._source.layer.value
        if live is None or layer is None or live.image != self._source.identity:
            self.notice.watch(None, None)
        else:
            self.notice.watch(layer, live.results.source)

    def _move(self) -> None:
        """Lay the tuned result where its image is now."""
        live = self._showing.live
        if live is None or live.image != self._source.identity:
            return
        try:
            source = self._source.whole()
            if live.ran_with.region is not None:
                source = cut(source, live.ran_with.region)
        except ImagecAIError as error:
            self._desk.say(str(error), bad=True)
            return
        live.results.move_to(source)
        live.session.place(source.image.frame)
        self.look()
        self._desk.tune()
