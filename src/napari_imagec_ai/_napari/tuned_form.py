"""The part of the dock widget that tunes: settings, their history, what is shown.

It reads its form into settings and hands results to the layers; the network is not run
here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_imagec_ai._napari import tasks as work
from napari_imagec_ai._napari.form import Form
from napari_imagec_ai._napari.layers.inspector import Inspector
from napari_imagec_ai._napari.layers.preview import Glimpse, Seen
from napari_imagec_ai._napari.layers.result_layers import ResultLayers
from napari_imagec_ai._napari.model.card import score_lines
from napari_imagec_ai._napari.tune.history import History
from napari_imagec_ai._napari.tune.tuner import State, Tuner
from napari_imagec_ai.decoders.decoder import Settings, settings_with
from napari_imagec_ai.decoders.registry import class_threshold
from napari_imagec_ai.errors import DecodeError, ImagecAIError
from napari_imagec_ai.recipes.recipe import PredictSettings
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.calibration import counted, shares
from napari_imagec_ai.results.classes import ClassMap
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.results.scores import Scores

if TYPE_CHECKING:
    import napari


class TunedForm(Form):
    """The form with a session behind it, and layers before it.

    Parameters
    ----------
    viewer : napari.Viewer
        Where layers are added.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.viewer = viewer
        self.session: Session | None = None
        self.results: ResultLayers | None = None
        self._problem = ""
        self._showing = False
        self._ran_with = PredictSettings()
        self._history: History[tuple[Settings, ClassMap]] = History()
        super().__init__()
        self._glimpse = Glimpse(self.viewer, self._looked_elsewhere)
        self._tuner = Tuner(self.state, self._tuned, self._seen, self._glimpsed)
        self.inspector = Inspector(self.viewer, self.say)
        self.thresholds.reset.changed.connect(lambda: self._reset())
        self.thresholds.undo.changed.connect(lambda: self._go(self._history.undo))
        self.thresholds.redo.changed.connect(lambda: self._go(self._history.redo))

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
        return result

    def _settings(self) -> Settings | None:
        if self.session is None:
            return None
        settings = self.session.defaults
        form = self.thresholds.values() | self.assumptions.reading.values()
        known = type(settings).model_fields
        return settings_with(settings, {k: v for k, v in form.items() if k in known})

    def _class_map(self) -> ClassMap:
        return self.classes.class_map(self.thresholds.class_threshold)

    def state(self) -> State | None:
        """What is tuned and how; None, and the reason is said, where that cannot be."""
        try:
            settings, class_map = self._settings(), self._class_map()
        except ImagecAIError as error:
            self._drop_glimpse()
            self._problem = str(error)
            self.say(self._problem, bad=True)
            return None
        if self.session is None or settings is None:
            return None
        return self.session, settings, class_map

    def _thresholds_changed(self) -> None:
        self._tune()

    def _classes_changed(self) -> None:
        self._tune()

    def _tune(self) -> None:
        """Decode and classify again, without the network."""
        self._tuner.soon()

    def _styles_changed(self) -> None:
        if self.results is not None:
            self.results.restyle(self.classes.styles())
            self._glimpse.restyle(self.results)

    def _layers_changed(self) -> None:
        self._tuner.tune()

    def set_thresholds(self, mask: float | None, of_class: float) -> None:
        """Set the thresholds, as if the person had moved them."""
        if mask is not None:
            self.mask_threshold.value = mask
        self.class_threshold.value = of_class

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
        self.assumptions.reading.set_values(chosen.model_dump())
        self.classes.set_map(class_map)
        self._tuner.tune()

    def adopt(self, settings: Settings, class_map: ClassMap | None) -> list[str]:
        """Show settings from elsewhere; gives sentences on what cannot be shown."""
        if self.session is None:
            return []
        classes = self.session.model.classes
        rules = class_map.rules if class_map is not None else ()
        sources = [rule.source for rule in rules]
        # Some detectors tell their classes only when they ran.
        self.classes.set_classes(classes or sources)
        threshold = class_threshold(self.session.model)
        if class_map is not None:
            threshold = class_map.class_threshold
            self.classes.set_map(class_map)
        self.thresholds.set_values(settings, threshold)
        self.assumptions.reading.set_values(settings.model_dump())
        self._tuner.tune()
        lost = [name for name in sources if classes and name not in classes]
        return [
            f"The recipe's class '{name}' is none of the model's, which are "
            f"{', '.join(classes)}."
            for name in lost
        ]

    def _reset(self) -> None:
        """Thresholds and the decoder's settings as the model has them."""
        if self.session is not None:
            threshold = class_threshold(self.session.model)
            self.thresholds.set_values(self.session.defaults, threshold)
            self._tuner.tune()

    def _tuned(self, outcome: work.Outcome, outlines: bool) -> None:
        if outcome.result is None:
            self._drop_glimpse()
            self.say(outcome.problem, bad=True)
        elif self.results is not None:
            self.say(self._show(outcome.result, outlines))

    def _seen(self) -> Seen | None:
        return None if self.results is None else self._glimpse.seen(self.results)

    def _glimpsed(self, outcome: work.Outcome, seen: Seen) -> None:
        """Show the visible part of a large result, while the rest is being decoded."""
        if isinstance(outcome.result, Objects) and self.results is not None:
            self._showing = True
            try:
                self._glimpse.show(outcome.result, seen, self.results)
            finally:
                self._showing = False
            about = "About " if seen.step > 1 else ""
            self.say(
                f"{about}{len(outcome.result)} objects in view; the others follow."
            )
        elif outcome.problem:
            self._drop_glimpse()
            self.say(outcome.problem, bad=True)

    def _looked_elsewhere(self) -> None:
        """The person moved on while the rest of a large result is being decoded."""
        if self._seen() is None:
            self._drop_glimpse()
        elif self._glimpse.shown:
            self._tuner.look_around()

    def _drop_glimpse(self) -> None:
        """Show the layers of the result again, also if nothing new came for them."""
        self._showing = True
        try:
            self._glimpse.clear()
        finally:
            self._showing = False

    def _show(self, result: Result, outlines: bool) -> str:
        """Bring the layers up to date; gives a sentence on what is there."""
        self._showing = True
        self._glimpse.clear()
        try:
            return self._layers_show(result, outlines)
        finally:
            self._showing = False

    def _layers_show(self, result: Result, outlines: bool) -> str:
        state = self.state()
        if self.results is None or state is None:
            return ""
        session, settings, class_map = state
        self.scores.value = score_lines(result) if isinstance(result, Scores) else ""
        self.scores.visible = isinstance(result, Scores)
        sentence, notes = "", []
        if isinstance(result, Objects) and isinstance(session.decoded, Objects):
            self.classes.set_features(tuple(session.decoded.features))
            self.classes.show_counts(result.counts())
            self.results.styles = self.classes.styles()
            self.results.drawn = self.layer_options.drawn()
            notes = self.results.show(result, outlines)
            self.inspector.watch(self.results)
            self.thresholds.show_histogram(shares(counted(session.decoded, class_map)))
            sentence = f"{len(result)} of {len(session.decoded)} objects count."
        elif isinstance(result, Images) and outlines:
            self.results.show_images(result)
            sentence = f"{', '.join(result.maps)}: see the new layers."
        if outlines:
            recipe = session.recipe(self._ran_with, settings, class_map)
            self.results.note(recipe.model_dump(mode="json"))
            self._note()
        return " ".join([sentence, *notes])

    def _told(self, sentence: str) -> None:
        self.say(sentence)

    def say(self, *sentences: str, bad: bool = False) -> None:
        """Show sentences under the Run button; those about a failure stand out."""
        words = " ".join(sentence for sentence in sentences if sentence)
        self.status.value = f"<b>{words}</b>" if bad else words
