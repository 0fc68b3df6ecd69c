"""The dock widget: choose a model, run it, and tune what comes out.

It is made of parts, each with a section of the form and what its controls do. Here
they are put together; what concerns several of them passes through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.accent import accent_of
from napari_imagec_ai._napari.controls import Undocking, column
from napari_imagec_ai._napari.desk import State
from napari_imagec_ai._napari.export.exporting import Exporting
from napari_imagec_ai._napari.form import MODEL, RESULTS, TUNE, Form
from napari_imagec_ai._napari.image.feeding import Feeding
from napari_imagec_ai._napari.image.moved import ImageWatch
from napari_imagec_ai._napari.layers.changes import CanvasGuard
from napari_imagec_ai._napari.layers.result_layers import ResultLayers
from napari_imagec_ai._napari.layers.showing import Showing
from napari_imagec_ai._napari.model.model_actions import ModelActions
from napari_imagec_ai._napari.model.opening_models import Opening
from napari_imagec_ai._napari.readiness import Readiness
from napari_imagec_ai._napari.repeat.repeating import Repeating
from napari_imagec_ai._napari.running import Running, ran_on
from napari_imagec_ai._napari.saved.resuming import Resuming
from napari_imagec_ai._napari.selecting import Selecting
from napari_imagec_ai._napari.tune.calibrating import Calibrating
from napari_imagec_ai._napari.tune.tuning import Tuning
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.library.folders import ModelEntry
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.run.settings import RunSettings

if TYPE_CHECKING:
    import napari

    from napari_imagec_ai._napari.layers.from_napari import Source
    from napari_imagec_ai._napari.layers.live import Live, Tuned


class ClassifierWidget(Container):  # type: ignore[type-arg]
    """Run a pre-trained model on the active image layer, and tune the result.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where layers are taken from and added.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(labels=False)
        self.margins = (0, 0, 0, 0)
        self.viewer = napari_viewer
        self._make_parts()
        self._name_controls()
        self._arrange()
        self._connect()
        self.showing.take_up()
        self.opening.choice.look()
        self._follow_active()
        self.form.remember()

    def _make_parts(self) -> None:
        self.showing = Showing(self, lambda: self.tuning.looked_elsewhere())
        self.feeding = Feeding(self, self.showing)
        self.running_bar = Running(self, self.feeding, self._ran)
        reading = self.feeding.assumptions.reading
        self.tuning = Tuning(self, self.showing, reading)
        self.image_watch = ImageWatch(self, self.feeding.source, self.showing)
        self.notice = self.image_watch.notice
        self.calibrating = Calibrating(self, self.tuning, self.showing)
        self.opening = Opening(self)
        self.selecting = Selecting(
            self.opening,
            self.feeding.source,
            self.showing,
            self.tuning,
            lambda: self.running_bar.session,
        )
        self.readiness = Readiness(
            self.opening,
            self.feeding,
            self.running_bar,
            self.showing,
            self.selecting,
            self.image_watch,
        )
        consent = self.running_bar.consent
        self.model_actions = ModelActions(self, self.opening.choice, consent)
        self.exporting = Exporting(self, self.tuning, self.showing, self.feeding)
        self.repeating = Repeating(self, self.opening, self.feeding, self.tuning)
        self.resuming = Resuming(
            self,
            self.repeating,
            self.opening,
            self.feeding,
            self.showing,
            self.selecting,
        )

    def _name_controls(self) -> None:
        """Names by which scripts drive the form."""
        choice = self.choice = self.opening.choice
        self.model, self.card, self.decoder = choice.model, choice.card, choice.decoder
        self.refresh = choice.refresh
        self.engine, self.device = self.feeding.engine, self.feeding.device
        source = self.source = self.feeding.source
        self.image, self.axes = source.layer, source.axes
        self.channels, self.planes = source.channels, source.planes
        self.assumptions = self.feeding.assumptions
        self.run_button = self.running_bar.button
        self.cancel_button = self.running_bar.cancel_button
        self.consent, self.status = self.running_bar.consent, self.running_bar.status
        self.progress = self.running_bar.progress
        self.thresholds, self.classes = self.tuning.thresholds, self.tuning.classes
        self.mask_threshold = self.thresholds.mask
        self.class_threshold = self.thresholds.classes
        self.split, self.settings = self.thresholds.split, self.thresholds.settings
        self.calibration = self.calibrating.form
        self.layer_options, self.scores = self.showing.options, self.showing.scores
        self.inspector = self.showing.inspector
        self.export_section, self.repeat = self.exporting.form, self.repeating.form

    def _arrange(self) -> None:
        self.model_section = self.opening.section(self.feeding.engine_section)
        self.image_section = self.feeding.section
        self.class_section = self.tuning.section
        self.tuned = column(
            self.thresholds, self.class_section, self.calibration, labels=False
        )
        pages: list[list[Any]] = [[], [], []]
        pages[MODEL] = [self.model_section, self.image_section, self.assumptions]
        pages[TUNE] = [self.showing.corrections, self.tuned]
        pages[RESULTS] = [
            self.scores,
            self.layer_options,
            self.export_section,
            self.repeat,
        ]
        self.running_bar.bar.insert(1, self.notice)
        self.form = Form(pages, self.running_bar.bar)
        self.native.layout().addWidget(self.form.native)

    def _connect(self) -> None:
        self.form.on_return(lambda: self.run())
        self.viewer.layers.selection.events.active.connect(self._follow_active)
        self.viewer.layers.events.removed.connect(self._layer_removed)
        Undocking(self.native)
        self._guard = CanvasGuard(self.viewer, self.native)
        self.thresholds.histogram.accent = lambda: accent_of(self.viewer)
        self.viewer.events.theme.connect(self._paint)
        self._paint()
        parts = (
            self.feeding.scenes,
            self.tuning,
            self.calibrating,
            self.model_actions,
            self.exporting,
            self.repeating,
            self.resuming,
            self.showing,
            self.opening,
            self.running_bar,
            self._guard,
            self.image_watch,
        )
        self.native.destroyed.connect(partial(_stop, parts))

    def reset_choices(self, *_: Any) -> None:
        """Read the lists of layers again; napari calls it when layers change."""
        self.form.reset_choices()

    # -- what scripts ask --------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        """The chosen model, and what it gave; None: there is none that can run."""
        return self.opening.session

    @property
    def results(self) -> ResultLayers | None:
        """Layers of the result that is tuned."""
        return self.showing.results

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model."""
        return self.choice.entry

    @property
    def entries(self) -> list[ModelEntry]:
        """All models of the list."""
        return self.choice.entries

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.running_bar.running

    def choose(self, folder: str) -> None:
        """Choose the first model whose folder has this name."""
        self.choice.choose(folder)

    def refresh_models(self) -> None:
        """Look for models again; the chosen one stays chosen."""
        self.choice.look()

    def objects(self) -> Objects:
        """The objects that the layers show now.

        Raises
        ------
        DecodeError
            If nothing was run yet, or what came out is no objects.
        """
        return self.tuning.objects()

    def run(self) -> None:
        """Run the network on the image layer as it is now."""
        self.running_bar.run()

    def open_saved(self, path: Path) -> None:
        """Go on with a saved result, or choose everything as a recipe says."""
        self.resuming.open(path)

    def cancel(self) -> None:
        """Stop the run after the tile that it is at."""
        self.running_bar.cancel()

    # -- what parts ask ----------------------------------------------------------------

    def say(self, *sentences: str, bad: bool = False) -> None:
        """Show sentences in the status; those about a failure stand out."""
        self.readiness.say(*sentences, bad=bad)

    def state(self) -> State | None:
        """What is tuned and how; None, and the reason is said, where that cannot be."""
        return self.tuning.state()

    def tune(self) -> None:
        """Decode and classify again what was predicted."""
        self.tuning.now()

    def tune_soon(self) -> None:
        """Tune in a moment, together with what changes until then."""
        self.tuning.soon()

    def reason(self) -> str:
        """Why it cannot run; empty where it can."""
        return self.readiness.reason()

    def check(self) -> str:
        """Enable Run, or say why it cannot run; gives the reason."""
        return self.readiness.check()

    def model_chosen(self) -> None:
        """The person chose another model, or none that can run."""
        self.consent.drop()
        self.feeding.show_model(self.opening.model)

    def result_gone(self) -> None:
        """The person took the layers of the tuned result away."""
        self.selecting.begin()
        self.check()

    def model_left(self) -> None:
        """What was shown of the model before is no longer tuned."""
        self.showing.leave()

    def session_begun(self) -> None:
        """Show what can be tuned of a model, and how it is read."""
        session, entry = self.session, self.entry
        if session is None:
            return
        session.tell(self.assumptions.classes())
        self.feeding.begin(session, entry.model if entry is not None else None)
        self.tuned.visible = session.decoder.gives is Objects
        self.tuning.begin(session)

    def classes_told(self, names: tuple[str, ...] | None) -> bool:
        """Take classes that the person told; gives whether no run is needed for it."""
        if self.session is None:
            return False
        done = self.session.tell(names)
        self.classes.set_classes(self.session.model.classes)
        if done:
            ran = self.showing.ran_with
            self.showing.ran_with = ran.model_copy(update={"classes": names})
            self.tune()
        return done

    def begin(self, decoder: str | None, predict: RunSettings) -> Session | None:
        """Begin anew with the chosen model, as a recipe says."""
        self.opening.begin(decoder)
        if self.session is not None:
            self.feeding.show_feed(predict)
            self.session_begun()
        self.check()
        return self.session

    def recipe(self) -> Recipe | None:
        """What would make again what is shown; None, and the reason is said."""
        state = self.state()
        if state is None:
            self.say(self.reason() or self.tuning.problem, bad=True)
            return None
        session, settings, class_map = state
        predicted = self.showing.ran_with
        if self.results is None:
            try:
                predicted = self.feeding.predict_settings()
            except ImagecAIError:  # without an image: all but what is chosen of it
                predicted = self.feeding.without_image()
        return session.recipe(predicted, settings, class_map)

    def opened(self, live: Live) -> None:
        """What is tuned from here on came from a run, or from a file."""
        self.image_watch.look()
        self.exporting.suggest()
        objects = live.session.decoder.gives is Objects
        self.form.front = TUNE if objects else RESULTS

    # -- what happens ------------------------------------------------------------------

    def _follow_active(self, event: Any = None) -> None:
        if self.showing.busy:  # results take the selection for a moment
            return
        active = self.viewer.layers.selection.active
        if not self.source.pin.value and self.selecting.choose_layer(active):
            return
        self.source.follow(active)

    def _paint(self, event: Any = None) -> None:
        """Follow the theme."""
        self.running_bar.paint(accent_of(self.viewer))

    def _layer_removed(self, event: Any = None) -> None:
        self.check()

    def _ran(
        self,
        session: Session,
        source: Source,
        predicted: RunSettings,
        tuned: Tuned,
        outcome: tasks.TaskResult,
    ) -> None:
        """Show what came out of a run."""
        prediction, result = outcome.prediction, outcome.result
        if prediction is None or result is None:
            return
        live = self.showing.place(session, source, predicted)
        live.tuned = tuned
        if session is not self.session or source.layer != self.source.identity:
            self.say(self.selecting.keep_aside(live, result))
            return
        live.history = self.tuning.history
        self.selecting.stay()
        self.showing.select(live)
        if isinstance(session.decoded, Objects):  # detectors may tell classes only now
            self.classes.set_classes(session.decoded.classes)
        found = self.tuning.show(result, outlines=True)
        self.assumptions.show_sentences(result.assumed)
        self.opened(live)
        self.say(  # what a person has to know comes first: a low window shows that
            found,
            self.showing.gone(source),
            self.source.aged(source),
            *result.assumed,
            ran_on(prediction),
        )


def _stop(parts: Sequence[Any], *_: Any) -> None:
    """The window is gone: nothing may touch it any more."""
    for part in parts:
        part.stop()
