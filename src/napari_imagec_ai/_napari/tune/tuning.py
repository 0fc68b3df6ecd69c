"""The part of the dock widget that tunes: thresholds, classes, and their history.

The network is not run here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_imagec_ai._napari import chosen_before, tasks
from napari_imagec_ai._napari.controls import Fold
from napari_imagec_ai._napari.desk import Desk, State
from napari_imagec_ai._napari.tune.class_rows import ClassRows
from napari_imagec_ai._napari.tune.history import History
from napari_imagec_ai._napari.tune.thresholds_form import ThresholdsForm
from napari_imagec_ai._napari.tune.tuner import Tuner
from napari_imagec_ai.decoders.decoder import Settings, settings_with
from napari_imagec_ai.decoders.registry import class_threshold
from napari_imagec_ai.errors import DecodeError, ImagecAIError
from napari_imagec_ai.results.calibration import counted, shares
from napari_imagec_ai.results.class_map import ClassMap
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.linking.assign_tracks import TRACK
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.result import Result

if TYPE_CHECKING:
    from napari_imagec_ai._napari.layers.live import Live
    from napari_imagec_ai._napari.layers.preview import Seen
    from napari_imagec_ai._napari.layers.showing import Showing
    from napari_imagec_ai._napari.tune.settings_form import SettingsForm
    from napari_imagec_ai.recipes.session import Session


class Tuning:
    """Settings that are tuned without the network.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    showing : Showing
        Where results are shown.
    reading : SettingsForm
        What else the person said of how the output is read.
    """

    def __init__(self, desk: Desk, showing: Showing, reading: SettingsForm) -> None:
        self._desk, self._showing, self._reading = desk, showing, reading
        self._history: History[tuple[Settings, ClassMap]] = History()
        self.problem = ""
        self.thresholds = ThresholdsForm(self.soon, desk.say, self._note)
        self.classes = ClassRows(self.soon, self._restyle)
        self.section = Fold("Classes", [self.classes])
        self._tuner = Tuner(self.state, self._tuned, showing.seen, self._previewed)
        self.thresholds.reset.changed.connect(lambda: self._reset())
        self.thresholds.undo.changed.connect(lambda: self._go(self._history.undo))
        self.thresholds.redo.changed.connect(lambda: self._go(self._history.redo))

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        self._tuner.stop()

    @property
    def busy(self) -> bool:
        """Whether a worker is tuning."""
        return self._tuner.busy

    def soon(self) -> None:
        """Tune in a moment, together with what changes until then."""
        self._tuner.soon()

    def now(self) -> None:
        """Tune at once."""
        self._tuner.tune()

    # -- the form ----------------------------------------------------------------------

    def begin(self, session: Session) -> None:
        """Show thresholds and classes as the model has them."""
        settings = chosen_before.settings_for(session.decoder, session.model)
        threshold = class_threshold(session.model, session.decoder)
        masks = session.model.kind != "boxes"
        self.thresholds.show_settings(settings, threshold, masks)
        self.classes.set_classes(session.model.classes)
        self.show_nothing()
        self._history.clear()
        self._note()

    def begin_history(self) -> None:
        """Nothing was tried yet of what is tuned now."""
        self._history = History()
        self._show_steps()

    def show_nothing(self) -> None:
        """No result is tuned: no counts, bars or scores of another one stay."""
        self.classes.clear_counts()
        self.thresholds.show_histogram(())
        self._showing.scores.visible = False

    @property
    def history(self) -> History[tuple[Settings, ClassMap]]:
        """Settings that the person tried."""
        return self._history

    def restore(self, live: Live) -> None:
        """Show the settings of a result that is tuned again."""
        found = live.session.decoded
        self._history = live.history
        if live.tuned is None:
            return
        if isinstance(found, Objects):  # detectors may tell classes only when they ran
            self.classes.set_classes(found.classes)
        settings, class_map = live.tuned
        self.thresholds.set_values(settings, class_map.class_threshold)
        self._reading.set_values(settings.model_dump())
        self.classes.set_map(class_map)
        self.now()

    def _settings(self) -> Settings | None:
        session = self._desk.session
        if session is None:
            return None
        settings = chosen_before.settings_for(session.decoder, session.model)
        form = self.thresholds.values() | self._reading.values()
        known = type(settings).model_fields
        return settings_with(settings, {k: v for k, v in form.items() if k in known})

    def state(self) -> State | None:
        """What is tuned and how; None, and the reason is said, where that cannot be."""
        try:
            settings = self._settings()
            class_map = self.classes.class_map(self.thresholds.class_threshold)
        except ImagecAIError as error:
            self._showing.drop_preview()
            self.problem = str(error)
            self._desk.say(self.problem, bad=True)
            return None
        session = self._desk.session
        if session is None or settings is None:
            return None
        return session, settings, class_map

    def objects(self) -> Objects:
        """The objects that the layers show now.

        Raises
        ------
        DecodeError
            If nothing was run yet, or what came out is no objects.
        """
        state = self.state()
        if state is None:
            raise DecodeError("Nothing was run yet; choose a model and run it.")
        session, settings, class_map = state
        result = session.result(settings, class_map)
        if not isinstance(result, Objects):
            raise DecodeError(f"'{session.model.name}' gives no objects.")
        corrected = self._showing.corrected(result, class_map)
        return corrected if isinstance(corrected, Objects) else result

    def set_thresholds(self, mask: float | None, of_class: float) -> None:
        """Set the thresholds, as if the person had moved them."""
        if mask is not None:
            self.thresholds.mask.value = mask
        self.thresholds.classes.value = of_class

    def adopt(self, settings: Settings, class_map: ClassMap | None) -> list[str]:
        """Show settings from elsewhere; gives sentences on what cannot be shown."""
        session = self._desk.session
        if session is None:
            return []
        classes = session.model.classes
        rules = class_map.rules if class_map is not None else ()
        sources = [rule.source for rule in rules]
        # Some detectors tell their classes only when they ran.
        self.classes.set_classes(classes or sources)
        threshold = class_threshold(session.model, session.decoder)
        if class_map is not None:
            threshold = class_map.class_threshold
            self.classes.set_map(class_map)
        self.thresholds.set_values(settings, threshold)
        self._reading.set_values(settings.model_dump())
        self.now()
        lost = [name for name in sources if classes and name not in classes]
        return [
            f"The recipe's class '{name}' is none of the model's, which are "
            f"{', '.join(classes)}."
            for name in lost
        ]

    def _reset(self) -> None:
        """Thresholds and the decoder's settings as the model has them."""
        session = self._desk.session
        if session is not None:
            threshold = class_threshold(session.model, session.decoder)
            settings = chosen_before.settings_for(session.decoder, session.model)
            self.thresholds.set_values(settings, threshold)
            self.now()

    def _restyle(self) -> None:
        self._showing.restyle(self.classes.styles())

    # -- the history -------------------------------------------------------------------

    def _note(self) -> None:
        """Note the settings, so that the person can come back to them."""
        state = self.state()
        if state is not None:
            self._history.add(state[1:])
        self._show_steps()

    def _show_steps(self) -> None:
        self.thresholds.undo.enabled = self._history.can_undo
        self.thresholds.redo.enabled = self._history.can_redo

    def _go(self, step: Callable[[], tuple[Settings, ClassMap] | None]) -> None:
        """Bring the form to the settings before or after these."""
        self._note()  # what the person did a moment ago may not be noted yet
        settings = step()
        self._show_steps()
        if settings is None:
            return
        chosen, class_map = settings
        self.thresholds.set_values(chosen, class_map.class_threshold)
        self._reading.set_values(chosen.model_dump())
        self.classes.set_map(class_map)
        self.now()

    # -- the result --------------------------------------------------------------------

    def show(self, result: Result, outlines: bool, by_turns: bool = False) -> str:
        """Show a result with the settings that gave it; gives a sentence on it."""
        state = self.state()
        if self._showing.results is None or state is None:
            return ""
        session, settings, class_map = state
        sentence, result = "", self._showing.corrected(result, class_map)
        if isinstance(result, Objects) and isinstance(session.decoded, Objects):
            self.classes.set_features(tuple(session.decoded.features))
            self.classes.following.set_planes(session.decoded.plane_axes)
            self.classes.show_counts(result.counts())
            self.thresholds.show_histogram(shares(counted(session.decoded, class_map)))
            every = len(session.decoded)
            what = f"{self._showing.results.source.name}, {session.model.name}"
            sentence = f"{len(result)} of {every} objects kept ({what})."
            if (tracks := result.features.get(TRACK)) is not None:
                many = f"{len(result)} of {every} objects"
                sentence = f"{many} in {len(set(tracks.tolist()))} tracks ({what})."
            corrected = self._showing.results.edits.count()
            if corrected:
                sentence = (
                    f"{len(result)} objects kept ({what}); {corrected} corrected by "
                    "hand."
                )
        elif isinstance(result, Images) and outlines:
            sentence = f"{', '.join(result.maps)}: see the new layers."
        live = self._showing.live
        if live is not None:
            live.tuned = settings, class_map
        styles = self.classes.styles()
        notes = self._showing.show(result, styles, outlines, by_turns)
        if outlines:
            ran = self._showing.ran_with
            self._showing.note(session.recipe(ran, settings, class_map))
            self._note()
        return " ".join([sentence, *notes])

    def _tuned(self, outcome: tasks.TaskResult, outlines: bool) -> None:
        if outcome.result is None:
            self._showing.drop_preview()
            self._desk.say(outcome.problem, bad=True)
        elif self._showing.results is not None:
            self._desk.say(self.show(outcome.result, outlines, by_turns=True))

    def _previewed(self, outcome: tasks.TaskResult, seen: Seen) -> None:
        """Show the visible part of a large result, while the rest is being decoded."""
        if isinstance(outcome.result, Objects):
            self._showing.show_preview(outcome.result, seen)
            about = "About " if seen.step > 1 else ""
            self._desk.say(
                f"{about}{len(outcome.result)} objects in view; the others follow."
            )
        elif outcome.problem:
            self._showing.drop_preview()
            self._desk.say(outcome.problem, bad=True)

    def looked_elsewhere(self) -> None:
        """The person moved on while the rest of a large result is being decoded."""
        if self._showing.seen() is None:
            self._showing.drop_preview()
        elif self._showing.preview.shown:
            self._tuner.look_around()
