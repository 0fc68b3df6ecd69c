"""The part of the dock widget that shows: layers of results, table, maps, scores.

It knows where results lie in the viewer. What is in them it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

from superqt.utils import qdebounced

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.controls import text
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.layers import left_behind
from napari_imagec_ai._napari.layers.changes import OurChanges, unasked
from napari_imagec_ai._napari.layers.corrections_row import (
    BEFORE,
    DISCARDED,
    CorrectionsRow,
)
from napari_imagec_ai._napari.layers.inspector import Inspector
from napari_imagec_ai._napari.layers.layer_options import LayerOptions
from napari_imagec_ai._napari.layers.live import Live, LiveResults
from napari_imagec_ai._napari.layers.preview import Glimpse, Seen
from napari_imagec_ai._napari.layers.result_layers import ResultLayers
from napari_imagec_ai._napari.layers.safekeeping import Safekeeping
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.scores import Scores
from napari_imagec_ai.run.settings import RunSettings

if TYPE_CHECKING:
    from napari_imagec_ai._napari.layers.from_napari import Source, Style
    from napari_imagec_ai.recipes.session import Session
    from napari_imagec_ai.results.class_map import ClassMap
    from napari_imagec_ai.results.result import Result


_STROKE = 120
"""Milliseconds after which a stroke is over, and more may come."""


_AT_WORK = OurChanges()
"""Of all widgets of the program: they may share a viewer."""


class Showing:
    """Results in the viewer, and the section that says what is drawn of them.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    looked : callable
        Called when the person looks elsewhere while a preview is shown.

    Attributes
    ----------
    known : LiveResults
        All results that can be tuned.
    live : Live or None
        The one that is tuned.
    ran_with : RunSettings
        How the network ran that gave it.
    """

    def __init__(self, desk: Desk, looked: Callable[[], None]) -> None:
        self._desk = desk
        self.known = LiveResults()
        self.live: Live | None = None
        self.ran_with = RunSettings()
        self.options = LayerOptions(desk.tune)
        self.scores = text("scores")
        self.scores.visible = False
        self.corrections = CorrectionsRow(
            self._choose_place, self._let_go, self._bring_back
        )
        self._safe = Safekeeping()
        # A stroke may be one of several: what follows from it can wait a moment.
        self._edited_soon = qdebounced(self._edited, timeout=_STROKE)
        self.preview = Glimpse(desk.viewer, looked)
        self.inspector = Inspector(desk.viewer, desk.say)
        self.options.maps.changed.connect(lambda: self.show_maps())
        self.options.table.changed.connect(lambda: self.show_table())

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        self._edited_soon.cancel()
        self._safe.stop()
        self.preview.stop()
        self.inspector.stop()
        for live in self.known:
            left_behind.leave(live)

    def take_up(self) -> None:
        """Go on with results whose panel was closed."""
        for live in left_behind.take_up(self._desk.viewer.layers):
            live.results.tell(self._edited_soon, self._emptied)
            self.known.add(live)

    @property
    def results(self) -> ResultLayers | None:
        """Layers of the result that is tuned."""
        return None if self.live is None else self.live.results

    @property
    def busy(self) -> bool:
        """Whether results, also of another widget, take the viewer's selection now."""
        return _AT_WORK.ours

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody follows the selection meanwhile."""
        with _AT_WORK.working(), unasked(self._desk.viewer):
            yield

    def leave(self) -> None:
        """Another model was chosen: what is shown stays, and is not tuned meanwhile."""
        self.select(None)

    def select(self, live: Live | None) -> None:
        """Tune this result from now on; None: none."""
        self.drop_preview()
        self.live = live
        if live is None:
            self.corrections.show_count(0)
            self.inspector.leave()
        else:
            self.ran_with = live.ran_with
            self._show_corrections(live)
            self.inspector.watch(live.results)

    # -- the result --------------------------------------------------------------------

    def place(
        self,
        session: Session,
        source: Source,
        predicted: RunSettings,
        keep: bool = False,
    ) -> Live:
        """Choose the layers that a new result goes to; it is not selected by that.

        Parameters
        ----------
        session, source, predicted
            What ran, on what, and how.
        keep : bool
            Whether layers of an earlier result stay, also if the person did not ask for
            that.
        """
        keep = keep or bool(self.options.keep.value)
        before = self.known.of(session.model, source.layer)
        same = before is not None and (
            before.results.source.image.key == source.image.key
        )
        if before is not None and same and not keep:
            before.session, before.ran_with = session, predicted
            before.results.bring_back()
            return before
        for other in self.known.on(source.layer):
            if keep and other is not before:
                continue
            if not keep:
                other.results.clear()
            self.known.drop(other)
        viewer = self._desk.viewer
        made = ResultLayers(viewer, source, self._edited_soon, self._emptied)
        live = Live(session, made, source.layer, predicted)
        self.known.add(live)
        return live

    def _emptied(self) -> None:
        """The person took the last layer of a result away: it is let go."""
        for live in self.known:
            if not live.results.all_layers:
                self.known.drop(live)
                if live is self.live:
                    self._desk.result_gone()

    def gone(self, source: Source) -> str:
        """A sentence where the layer of a result is no longer there."""
        if any(layer.unique_id == source.layer for layer in self._desk.viewer.layers):
            return ""
        return f"The layer '{source.name}' is gone; the result lies where it was."

    def _bring_back(self) -> None:
        """Corrections of an earlier time count again."""
        live = self.live
        if live is None:
            return
        if live.discarded:
            live.results.edits.take(live.discarded)
        elif not self._safe.bring(live):
            return
        live.discarded = {}
        self._desk.tune()

    def _show_corrections(self, live: Live) -> None:
        """Say what was corrected, and keep a copy of it where that changed."""
        edits = live.results.edits
        now = tuple(edits.by_hand.values())
        offer = ""
        if now != live.kept:
            live.kept = now
            self._safe.keep(live)
        elif self._safe.is_there(live):
            offer = BEFORE
        if edits.count():
            live.discarded = {}
        self.corrections.show_count(
            edits.count(), DISCARDED if live.discarded else offer
        )

    def show_aside(
        self, live: Live, result: Result, styles: Mapping[str, Style]
    ) -> None:
        """Show a result that is not tuned now."""
        with self._alone():
            if isinstance(result, Objects) and live.tuned is not None:
                live.results.styles = dict(styles)
                live.results.drawn = self.options.drawn()
                corrected = live.results.corrected(result, live.tuned[1])
                live.results.show(corrected, True)
            elif isinstance(result, Images):
                live.results.show_images(result)
            if live.tuned is not None:
                recipe = live.session.recipe(live.ran_with, *live.tuned)
                live.results.note(recipe.model_dump(mode="json"))

    def corrected(self, result: Result, class_map: ClassMap) -> Result:
        """A result with what the person corrected of it by hand."""
        if self.results is None or not isinstance(result, Objects):
            return result
        self.results.into_new = self.corrections.into_new
        return self.results.corrected(result, class_map)

    def _edited(self) -> None:
        """The person painted, drew or erased: table, counts and outlines follow."""
        if self.results is not None:
            self._desk.tune()
        for live in self.known:
            if live is not self.live and live.tuned and live.results.edits.changed:
                result = live.session.result(*live.tuned)
                self.show_aside(live, result, live.results.styles)

    def _choose_place(self) -> None:
        if self.results is not None:
            self.results.into_new = self.corrections.into_new

    def _let_go(self) -> None:
        """What was found counts again, until the person wants corrections back."""
        if self.live is not None:
            self.live.discarded = self.live.results.drop_corrections()
            self._desk.tune()

    def show(
        self,
        result: Result,
        styles: Mapping[str, Style],
        outlines: bool,
        by_turns: bool = False,
    ) -> list[str]:
        """Bring the layers up to date; gives sentences on what was not shown."""
        self.scores.value = _score_lines(result) if isinstance(result, Scores) else ""
        self.scores.visible = isinstance(result, Scores)
        if self.results is None:
            return []
        with self._alone():
            self.preview.clear()
            if isinstance(result, Objects):
                self.results.styles = dict(styles)
                self.results.drawn = self.options.drawn()
                notes = self.results.show(result, outlines, by_turns)
                if self.live is not None:
                    self._show_corrections(self.live)
                self.inspector.watch(self.results)
                return notes
            if isinstance(result, Images) and outlines:
                self.results.show_images(result)
        return []

    def note(self, recipe: Recipe) -> None:
        """Write into the layers what would make them again."""
        if self.results is not None:
            self.results.note(recipe.model_dump(mode="json"))

    def restyle(self, styles: Mapping[str, Style]) -> None:
        """Give classes other colours, show them or hide them."""
        if self.results is not None:
            self.results.restyle(styles)
            self.preview.restyle(self.results)

    # -- while a setting moves ---------------------------------------------------------

    def seen(self) -> Seen | None:
        """The part of a large result that is looked at; None: it is not large."""
        return None if self.results is None else self.preview.seen(self.results)

    def show_preview(self, objects: Objects, seen: Seen) -> None:
        """Show the visible part of a large result while the rest is being decoded."""
        if self.results is not None:
            with self._alone():
                self.preview.show(objects, seen, self.results)

    def drop_preview(self) -> None:
        """Show the layers of the result again, also if nothing new came for them."""
        with self._alone():
            self.preview.clear()

    # -- beside the canvas -------------------------------------------------------------

    def show_maps(self) -> None:
        """Show what the network gave as Image layers."""
        session = self._desk.session
        if session is None or self.results is None:
            self._desk.say("Run the network first; then its maps can be shown.")
            return
        found = tasks.maps(session)
        if isinstance(found, str):
            self._desk.say(found, bad=True)
        else:
            with self._alone():
                self.results.show_images(found)

    def show_table(self) -> None:
        """List the objects beside the canvas."""
        if self.results is None:
            self._desk.say("There is no result to list yet; run the network first.")
            return
        if self.inspector.table is not None:
            self.inspector.table.show()
            self.inspector.table.parent().show()
            return
        table = self.inspector.make_table()
        window = self._desk.viewer.window
        window.add_dock_widget(table, name="Objects", area="bottom")


def _score_lines(scores: Scores, most: int = 10) -> str:
    """The highest scores as HTML, the highest first; for the first plane."""
    values = scores.values.reshape(-1, scores.values.shape[-1])[0]
    order = values.argsort()[::-1][:most]
    lines = [f"{escape(scores.classes[i])}: {values[i]:.3g}" for i in order]
    if len(values) > most:
        lines.append(f"and {len(values) - most} more")
    return "<br>".join(["<b>Scores</b>", *lines])
