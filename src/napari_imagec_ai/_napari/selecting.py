"""Which result is tuned: the one of the chosen model on the chosen image."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_imagec_ai._napari.image.image_choice import ImageChoice
    from napari_imagec_ai._napari.layers.live import Live
    from napari_imagec_ai._napari.layers.showing import Showing
    from napari_imagec_ai._napari.model.opening_models import Opening
    from napari_imagec_ai._napari.tune.tuning import Tuning
    from napari_imagec_ai.recipes.session import Session
    from napari_imagec_ai.results.result import Result


class Selecting:
    """Follows the choice of model and image to the result that belongs to them.

    Every result keeps its session, its settings and its history as long as it has
    layers; where there is none yet, the model starts afresh and the form stays.

    Parameters
    ----------
    opening, source, showing, tuning
        The parts of the widget that know the model, the image, the layers and the form.
    running : callable
        Gives the session that runs, if any.
    """

    def __init__(
        self,
        opening: Opening,
        source: ImageChoice,
        showing: Showing,
        tuning: Tuning,
        running: Callable[[], Session | None],
    ) -> None:
        self._opening, self._source = opening, source
        self._showing, self._tuning = showing, tuning
        self._running = running
        self._key: Hashable = None

    def _now(self) -> Hashable:
        session = self._opening.session
        if session is None:
            return None
        return str(session.model.path), self._source.identity

    def stay(self) -> None:
        """What is chosen now is followed already."""
        self._key = self._now()

    def forget(self) -> None:
        """Follow again, also if nothing else is chosen."""
        self._key = None

    def follow(self) -> None:
        """Bring up the result of what is chosen, or make ready for its first run."""
        key, session = self._now(), self._opening.session
        if key == self._key:
            return
        self._key = key
        if session is None:
            return
        image, current = self._source.identity, self._showing.live
        if image is None and current is not None and current.session is session:
            return  # its image was closed; the result is still there
        live = self._showing.known.of(session.model, image)
        if live is None:
            self.begin()
        elif live is not current or live.session is not session:
            self.choose(live)

    def begin(self) -> None:
        """No result is tuned: the next run makes one of its own."""
        session = self._opening.session
        self._showing.select(None)
        self._tuning.show_nothing()
        if session is not None and session.prediction is not None:
            busy = self._running() is session
            self._opening.use(session.fresh(engine=not busy))
            self._tuning.begin_history()

    def choose(self, live: Live) -> None:
        """Tune this result from now on."""
        before = self._opening.session
        if before is not None and self._running() is not before:
            live.session.take_engine(before)
        self._opening.use(live.session)
        self._showing.select(live)
        self._tuning.restore(live)
        self._key = self._now()

    def keep_aside(self, live: Live, result: Result) -> str:
        """Show what came out of a run after something else was chosen; says so."""
        self._showing.show_aside(live, result, {})
        if live.session is self._opening.session:
            self.begin()
        source, model = live.results.source, live.session.model
        said = (
            f"'{model.name}' ran on '{source.name}' meanwhile; choose them to tune it."
        )
        return f"{said} {self._showing.gone(source)}".rstrip()

    def choose_layer(self, layer: Any) -> bool:
        """Tune the result that a layer belongs to; gives whether it is of one."""
        live = self._showing.known.with_layer(layer)
        if live is None:
            return False
        if live is self._showing.live:
            return True
        if not self._opening.choose(live.session.model):
            return True
        self._source.choose(live.image)
        if self._showing.live is not live:
            self.choose(live)
        return True
