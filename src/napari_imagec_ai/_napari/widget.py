"""The dock widget: choose a model, run it, and tune what comes out.

It reads its form into settings, starts workers on a session, hands results to the
layers, and shows errors as sentences; it computes nothing itself.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme

from napari_imagec_ai._napari import tasks as work
from napari_imagec_ai._napari.background import Run
from napari_imagec_ai._napari.controls import Undocking
from napari_imagec_ai._napari.fed_form import FedForm
from napari_imagec_ai._napari.layers.layers import Source
from napari_imagec_ai._napari.layers.result_layers import ResultLayers
from napari_imagec_ai._napari.model.card import FAILED
from napari_imagec_ai._napari.model.model_actions import Extras
from napari_imagec_ai._napari.model.model_choice import ASK
from napari_imagec_ai._napari.repeat.repeating import Repeating
from napari_imagec_ai._napari.tune.settings_form import about_the_model
from napari_imagec_ai.decoders.registry import class_threshold, keep_choice
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.library import trust
from napari_imagec_ai.library.folders import ModelEntry
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.recipes.recipe import PredictSettings
from napari_imagec_ai.recipes.session import Session, starting_feed
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system.progress import Progress

if TYPE_CHECKING:
    import napari


class ClassifierWidget(FedForm):
    """Run a pre-trained model on the active image layer, and tune the result.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where layers are taken from and added.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self._run: Run | None = None
        self._placed: dict[int, ResultLayers] = {}
        super().__init__(napari_viewer)
        self._extras = Extras(self)
        self._repeating = Repeating(self)
        self._connect()
        self.choice.look()
        self._follow_active()

    def _connect(self) -> None:
        self.run_button.changed.connect(lambda: self.run())
        for control in (self.engine, self.device):
            control.changed.connect(lambda _: self._engine_changed())
        self.cancel_button.changed.connect(lambda: self.cancel())
        self.viewer.layers.selection.events.active.connect(self._follow_active)
        self.viewer.layers.events.removed.connect(self._layer_removed)
        Undocking(self.native)
        self.thresholds.histogram.accent = lambda: _accent(self.viewer)
        self.native.destroyed.connect(partial(_stop, self.__dict__))

    # -- model -------------------------------------------------------------------------

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model."""
        return self.choice.entry

    @property
    def entries(self) -> list[ModelEntry]:
        """All models of the list."""
        return self.choice.entries

    def choose(self, folder: str) -> None:
        """Choose the first model whose folder has this name."""
        self.choice.choose(folder)

    def refresh_models(self) -> None:
        """Look for models again; the chosen one stays chosen."""
        self.choice.look()

    def _model_changed(self) -> None:
        entry = self.entry
        model = entry.model if entry is not None and entry.problem is None else None
        if self.session and model and _is_same(self.session.model, model):
            self.session.moved(model)  # its folder may have another name now
            self._check()
            return
        self._leave()
        self.consent.drop()
        self.results, self._problem = None, ""
        self._unshown = {}
        self.source.show_model(model)
        if model is not None:
            feed = starting_feed(model)
            self._show_feed(feed)
        if model is not None and self.decoder.value != ASK:
            self._begin()
        self._check()

    def _decoder_changed(self) -> None:
        """Another meaning of the output: the network need not run again for it."""
        name, model = self.decoder.value, self.entry.model if self.entry else None
        if name == ASK or model is None:
            return
        if self.session is None:
            self._begin()
        else:
            self.session.use(name)
            self._show_session()
        if self.session is not None:
            keep_choice(model, self.session.decoder, self.session.defaults)
        self._check()
        self._tuner.tune()

    def _begin(self) -> None:
        entry = self.entry
        if entry is None or entry.model is None:
            return
        try:
            self.session = Session(entry.model, self.decoder.value)
            self.session.tell(self.assumptions.classes())
            self._show_session()
        except ImagecAIError as error:
            self.session, self._problem = None, str(error)

    def _show_session(self) -> None:
        """Thresholds, classes and what can be tuned, as the model has them."""
        session = self.session
        if session is None:
            return
        settings = session.defaults
        self.thresholds.show_settings(settings, class_threshold(session.model))
        self.assumptions.show_reading(settings, about_the_model(settings))
        self.assumptions.show_kind(session.model.kind in DETECTORS)
        described = self.entry.model if self.entry is not None else None
        self.assumptions.show_described(described.classes if described else ())
        self.assumptions.telling.visible = session.decoder.gives is not Images
        self.assumptions.show_sentences(())
        self.tuning.visible = session.decoder.gives is Objects
        self.classes.set_classes(session.model.classes)
        self._history.clear()
        self._note()

    # -- image -------------------------------------------------------------------------

    def _follow_active(self, event: Any = None) -> None:
        if self._showing:  # results take the selection for a moment
            return
        self.source.follow(self.viewer.layers.selection.active)

    def _source_changed(self) -> None:
        self._check()

    def _engine_changed(self) -> None:
        """Other weights would run: what was asked is no longer the question."""
        if self.consent.asking:
            self.consent.drop()
            self._check()

    def _layer_removed(self, event: Any = None) -> None:
        self._check()

    def _check(self) -> str:
        """Enable Run, or say why it cannot run; gives the reason."""
        reason = self.reason()
        self.run_button.enabled = not reason and self._run is None
        self.source.show_planes()
        if reason:
            self.say(reason)
        elif self.consent.asking:
            self.say(self.consent.waits)
        elif self._run is None and self.results is None:
            self.say("Ready.", FAILED if self.choice.verdict == "failed" else "")
        return reason

    def reason(self) -> str:
        """Why it cannot run; empty where it can."""
        entry = self.entry
        if entry is None or entry.problem is not None or entry.model is None:
            return "Choose a model that can run."
        if self.session is None:
            return self._problem or (
                f"It is not known what the output of '{entry.name}' means; choose it "
                "under 'Output is'."
            )
        try:
            self.source.check(self.session.model)
        except ImagecAIError as error:
            return _without_flags(str(error))
        return ""

    # -- run ---------------------------------------------------------------------------

    def run(self) -> None:
        """Run the network on the image layer as it is now."""
        if self._run is not None:
            self.say("A run is under way; cancel it or wait for its end.", bad=True)
            return
        reason, state = self._check(), self.state()
        if reason or state is None:
            self.say(reason or self._problem, bad=True)
            return
        session = state[0]
        asked = trust.question(session.model, self.engine.value, self.device.value)
        if asked is not None:
            self.consent.ask(asked, self._run_trusted)
            return
        self.consent.drop()
        source = self.source.take()
        images, channels = self.source.inputs(session.model)
        predicted = self._predict_settings(channels)
        self._run = Run(
            work.run,
            session,
            images,
            predicted,
            *state[1:],
            progressed=self._progressed,
            returned=partial(self._ran, session, source, predicted),
            failed=self._failed,
            finished=self._finished,
        )
        self.run_button.enabled, self.cancel_button.enabled = False, True
        self.progress.visible = True
        self.say(f"Opening {session.model.name}...")
        self._run.start()

    def _run_trusted(self) -> None:
        """Run a program that a person trusts."""
        if self.session is not None:
            asked = (self.engine.value, self.device.value)
            trust.remember(self.session.model, *asked)
            self.run()

    def _run_knowingly(self, session: Session) -> None:
        """Run weights that are not those described."""
        if session is self.session:
            session.verify = False
            self.run()

    def _leave(self) -> None:
        """Part with the model; one that runs is closed at its end."""
        if self.session is not None and self._run is None:
            self.session.close()
        self.session = None
        self._drop_glimpse()

    def begin(self, decoder: str | None, predict: PredictSettings) -> Session | None:
        """Begin anew with the chosen model, as a recipe says."""
        if decoder is not None:
            with self.decoder.changed.blocked():
                self.decoder.value = decoder
        self._leave()
        self._model_changed()
        if self.session is not None:
            self._show_feed(predict)
            self.session.tell(predict.classes)
            self._show_session()
        self._check()
        return self.session

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None

    def cancel(self) -> None:
        """Stop the run after the tile that it is at."""
        if self._run is not None:
            self._run.cancel()

    def _progressed(self, progress: Progress, words: str) -> None:
        self.progress.max = max(progress.total, 1)
        self.progress.value = progress.done
        self.say(words)

    def _ran(
        self,
        session: Session,
        source: Source,
        predicted: PredictSettings,
        outcome: work.Outcome,
    ) -> None:
        prediction, result = outcome.prediction, outcome.result
        if prediction is None or result is None:
            problem = _without_flags(outcome.problem)
            self.say(problem, bad=True)
            if outcome.other_weights and session is self.session:
                question = "Run the weights that are there, knowingly?"
                self.consent.ask(question, partial(self._run_knowingly, session))
                self.say(problem, self.consent.waits, bad=True)
            return
        if session is not self.session:
            self.say("Another model was chosen meanwhile; the run was left out.")
            return
        self.results = self._layers_for(source)
        self._ran_with = predicted
        if isinstance(session.decoded, Objects):  # detectors may tell classes only now
            self.classes.set_classes(session.decoded.classes)
        found = self._show(result, outlines=True)
        self.assumptions.show_sentences(result.assumed)
        self.say(
            f"{found} Ran on {prediction.device} with {prediction.engine}, "
            f"{prediction.network_calls} tile"
            f"{'' if prediction.network_calls == 1 else 's'}, "
            f"{prediction.network_seconds:.1f} s in the network.",
            *result.assumed,
            *self._gone(source.name),
        )

    def _layers_for(self, source: Source) -> ResultLayers:
        """Where a result goes: into the layers of an earlier run, or into new ones."""
        before, keep = self._placed.get(source.layer), self.layer_options.keep.value
        if before is not None and not keep:
            same = before.source.image.key == source.image.key
            if same and before is self.results:
                return before
        spare = before.clear() if before is not None and not keep else []
        made = ResultLayers(self.viewer, source, spare)
        self._placed[source.layer] = made
        return made

    def _gone(self, name: str) -> list[str]:
        if any(layer.name == name for layer in self.viewer.layers):
            return []
        return [f"The layer '{name}' is gone; the result lies where it was."]

    def _failed(self, sentence: str) -> None:
        self.say(sentence, bad=not sentence.startswith("Cancelled"))

    def _finished(self) -> None:
        self._run = None
        self.cancel_button.enabled = False
        self.progress.visible = False
        self.run_button.enabled = not self.reason()

    def _calibrate(self) -> None:
        self._extras.calibrate()


def _stop(state: dict[str, Any], *_: Any) -> None:
    """The window is gone: nothing may touch it any more.

    The widget itself may be half gone, too, so only its attributes are looked at.
    """
    for name in ("_tuner", "_glimpse", "inspector", "_extras", "_repeating"):
        if name in state:
            state[name].stop()
    for shown in (state.get("_placed") or {}).values():
        shown.stop()
    if state.get("_run") is not None:
        state["_run"].drop()
    elif state.get("session") is not None:
        state["session"].close()


def _without_flags(sentence: str) -> str:
    """A sentence without the flags of the command line, which mean nothing here."""
    return re.sub(r" \(--[a-z][^()]*\)", "", sentence)


def _accent(viewer: Any) -> str:
    """The colour that the viewer's theme marks things with."""
    return str(get_theme(viewer.theme).current.as_hex())


def _is_same(one: Model, other: Model) -> bool:
    """Whether two are one model, which may have been moved."""
    moved = one.source == other.source and not one.path.exists()
    return one.path == other.path or moved
