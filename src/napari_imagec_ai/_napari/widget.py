"""The dock widget: choose a model, run it, and tune what comes out.

It reads its form into settings, starts workers on a session, hands results to the
layers, and shows errors as sentences; it computes nothing itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from superqt.utils import qdebounced, qthrottled

from napari_imagec_ai._napari import work
from napari_imagec_ai._napari.card import score_lines
from napari_imagec_ai._napari.form import Form
from napari_imagec_ai._napari.model_choice import ASK
from napari_imagec_ai._napari.results import ResultLayers
from napari_imagec_ai.classes import ClassMap
from napari_imagec_ai.decoders import Result, Settings, keep_choice, settings_with
from napari_imagec_ai.errors import DecodeError, ImagecAIError
from napari_imagec_ai.images import Images
from napari_imagec_ai.library import ModelEntry
from napari_imagec_ai.objects import Objects
from napari_imagec_ai.prediction import DETECTORS
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.recipe import PredictSettings, class_threshold
from napari_imagec_ai.scores import Scores
from napari_imagec_ai.session import Session

if TYPE_CHECKING:
    import napari

_ELSEWHERE = {"mask_threshold", "split"}
"""Settings of decoders that have a control of their own."""


class ClassifierWidget(Form):
    """Run a pre-trained model on the active image layer, and tune the result.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where layers are taken from and added.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self.viewer = napari_viewer
        self.session: Session | None = None
        self.results: ResultLayers | None = None
        self._problem = ""
        self._worker: Any = None
        self._tuner: Any = None
        self._tune_again = self._showing = False
        self._ran_with: PredictSettings | None = None
        super().__init__()
        self._connect()
        self.choice.look()
        self._follow_active()

    def _connect(self) -> None:
        self.run_button.changed.connect(lambda: self.run())
        self.cancel_button.changed.connect(lambda: self.cancel())
        self.more.native.toggled.connect(self._show_more)
        # The mouse moves faster than layers can be drawn: Labels follow it, outlines
        # come when it rests.
        self._tune_soon = qthrottled(self._tune, timeout=40)
        self._outlines_soon = qdebounced(self._tune_outlines, timeout=200)
        for slider in (self.mask_threshold, self.class_threshold, self.split):
            slider.changed.connect(lambda _: self._tune_soon())
        self.viewer.layers.selection.events.active.connect(self._follow_active)
        self.viewer.layers.events.removed.connect(self._layer_removed)
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
        if self.session and model and self.session.model.path == model.path:
            self._check()
            return
        if self.session is not None and self._worker is None:
            self.session.close()
        self.session, self.results, self._problem = None, None, ""
        self.source.show_model(model)
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
            self._reset_tuning()
        if self.session is not None:
            keep_choice(model, self.session.decoder, self.session.defaults)
        self._check()
        self._tune()

    def _begin(self) -> None:
        entry = self.entry
        if entry is None or entry.model is None:
            return
        try:
            self.session = Session(entry.model, self.decoder.value)
            self._reset_tuning()
        except ImagecAIError as error:
            self.session, self._problem = None, str(error)

    def _reset_tuning(self) -> None:
        """Thresholds and classes as the model has them."""
        if self.session is None:
            return
        settings = self.session.defaults.model_dump()
        with self._quiet():
            self.mask_threshold.value = settings.get("mask_threshold", 0.5)
            self.class_threshold.value = class_threshold(self.session.model)
            self.split.value = settings.get("split", True)
        self.settings.show_settings(self.session.defaults, _ELSEWHERE)
        self.mask_threshold.visible = "mask_threshold" in settings
        self.split.visible = "split" in settings
        self.detecting.visible = self.session.model.kind in DETECTORS
        self.tuning.visible = self.session.decoder.gives is Objects
        self.classes.set_classes(self.session.model.classes)

    def _show_more(self, shown: bool) -> None:
        self.settings.visible = shown

    def _quiet(self) -> _Quiet:
        return _Quiet(self.mask_threshold, self.class_threshold, self.split)

    # -- image -------------------------------------------------------------------------

    def _follow_active(self, event: Any = None) -> None:
        if self._showing:  # results take the selection for a moment
            return
        self.source.follow(self.viewer.layers.selection.active)

    def _source_changed(self) -> None:
        self._check()

    def _layer_removed(self, event: Any = None) -> None:
        self._check()

    def _check(self) -> str:
        """Enable Run, or say why it cannot run; gives the reason."""
        reason = self._reason()
        self.run_button.enabled = not reason and self._worker is None
        self.source.show_planes()
        if reason:
            self._say(reason)
        elif self._worker is None and self.results is None:
            self._say("Ready.")
        return reason

    def _reason(self) -> str:
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
            return str(error)
        return ""

    # -- run ---------------------------------------------------------------------------

    def run(self) -> None:
        """Run the network on the image layer as it is now."""
        if self._worker is not None:
            self._say("A run is under way; cancel it or wait for its end.", bad=True)
            return
        reason = self._check()
        settings = self._settings()
        if reason or self.session is None or settings is None:
            self._say(reason, bad=True)
            return
        session, source = self.session, self.source.take()
        images, channels = self.source.inputs(session.model)
        predicted = self._predict_settings(channels)
        arguments = (session, images, predicted, settings, self._class_map())
        self._worker = create_worker(work.run, *arguments, _start_thread=False)
        self._worker.yielded.connect(self._progressed)
        self._worker.returned.connect(
            lambda outcome: self._ran(session, source, predicted, outcome)
        )
        self._worker.aborted.connect(lambda: self._say("Cancelled; nothing changed."))
        self._worker.errored.connect(lambda error: self._say(_bug(error), bad=True))
        self._worker.finished.connect(self._finished)
        self.run_button.enabled, self.cancel_button.enabled = False, True
        self.progress.visible = True
        self._say(f"Opening {session.model.name}...")
        self._worker.start()

    def _predict_settings(self, channels: tuple[int, ...] | None) -> PredictSettings:
        return PredictSettings(
            engine=self.engine.value,
            device=self.device.value,
            channels=channels,
            planes=self.source.chosen_planes(self.viewer.dims.current_step),
            scale=round(self.scale.value, 4) or None,
            normalize=self.normalize.value,
            overlap=round(self.overlap.value, 4),
            percentiles=(round(self.black.value, 4), round(self.white.value, 4)),
        )

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def objects(self) -> Objects:
        """The objects that the layers show now.

        Raises
        ------
        DecodeError
            If nothing was run yet, or what came out is no objects.
        """
        settings = self._settings()
        if self.session is None or settings is None:
            raise DecodeError("Nothing was run yet; choose a model and run it.")
        result = self.session.result(settings, self._class_map())
        if not isinstance(result, Objects):
            raise DecodeError(f"'{self.session.model.name}' gives no objects.")
        return result

    def cancel(self) -> None:
        """Stop the run after the tile that it is at."""
        if self._worker is not None:
            self._worker.quit()

    def _progressed(self, progress: Progress) -> None:
        self.progress.max = max(progress.total, 1)
        self.progress.value = progress.done
        self._say(f"{progress.done} of {progress.total} tiles done.")

    def _ran(
        self,
        session: Session,
        source: Any,
        predicted: PredictSettings,
        outcome: work.Outcome,
    ) -> None:
        prediction, result = outcome.prediction, outcome.result
        if prediction is None or result is None:
            self._say(outcome.problem, bad=True)
            return
        if session is not self.session:
            self._say("Another model was chosen meanwhile; the run was left out.")
            return
        if self.results is None or self.results.source.image.key != source.image.key:
            self.results = ResultLayers(self.viewer, source)
        self._ran_with = predicted
        if isinstance(session.decoded, Objects):  # detectors may tell classes only now
            self.classes.set_classes(session.decoded.classes)
        found = self._show(result, outlines=True)
        self._say(
            f"{found} Ran on {prediction.device} with {prediction.engine}, "
            f"{prediction.network_calls} tile"
            f"{'' if prediction.network_calls == 1 else 's'}, "
            f"{prediction.network_seconds:.1f} s in the network.",
            *result.assumed,
            *self._gone(source.name),
        )

    def _gone(self, name: str) -> list[str]:
        if any(layer.name == name for layer in self.viewer.layers):
            return []
        return [f"The layer '{name}' is gone; the result lies where it was."]

    def _finished(self) -> None:
        self._worker = None
        self.cancel_button.enabled = False
        self.progress.visible = False
        self.run_button.enabled = not self._reason()

    # -- tuning ------------------------------------------------------------------------

    def _settings(self) -> Settings | None:
        if self.session is None:
            return None
        settings = self.session.defaults
        known = type(settings).model_fields
        form = {
            "mask_threshold": round(self.mask_threshold.value, 4),
            "split": self.split.value,
            **self.settings.values(),
        }
        return settings_with(settings, {k: v for k, v in form.items() if k in known})

    def _class_map(self) -> ClassMap:
        return self.classes.class_map(round(self.class_threshold.value, 4))

    def _classes_changed(self) -> None:
        settings = self._settings()
        if self.session is not None and settings is not None:
            keep_choice(self.session.model, self.session.decoder, settings)
        self._tune()

    def _tune(self) -> None:
        """Decode and classify again, without the network."""
        session, settings = self.session, self._settings()
        if session is None or session.prediction is None or self.results is None:
            return
        if self._tuner is not None:
            self._tune_again = True
            return
        if settings is None:
            return
        class_map = self._class_map()
        if work.is_small(session.prediction):
            self._tuned(work.tune(session, settings, class_map), outlines=False)
            self._outlines_soon()
            return
        arguments = (session, settings, class_map)
        self._tuner = create_worker(work.tune, *arguments, _start_thread=False)
        self._tuner.returned.connect(self._tuned)
        self._tuner.finished.connect(self._tuner_finished)
        self._tuner.start()

    def _tuned(self, outcome: work.Outcome, outlines: bool = True) -> None:
        if outcome.result is None:
            self._say(outcome.problem, bad=True)
        elif not self._tune_again:
            self._say(self._show(outcome.result, outlines))

    def _tuner_finished(self) -> None:
        self._tuner = None
        if self._tune_again:
            self._tune_again = False
            self._tune()

    def _tune_outlines(self) -> None:
        session, settings = self.session, self._settings()
        if session is None or session.prediction is None or settings is None:
            return
        self._tuned(work.tune(session, settings, self._class_map()))

    def _show(self, result: Result, outlines: bool) -> str:
        """Bring the layers up to date; gives a sentence on what is there."""
        self._showing = True
        try:
            return self._layers_show(result, outlines)
        finally:
            self._showing = False

    def _layers_show(self, result: Result, outlines: bool) -> str:
        if self.results is None or self.session is None:
            return ""
        self.scores.value = score_lines(result) if isinstance(result, Scores) else ""
        sentence, notes = "", []
        if isinstance(result, Objects):
            notes = self.results.show(result, outlines)
            self.classes.show_counts(result.counts())
            found = self.session.decoded
            total = len(found) if found is not None else len(result)
            sentence = f"{len(result)} of {total} objects count."
        elif isinstance(result, Images) and outlines:
            self.results.show_images(result)
            sentence = f"{', '.join(result.maps)}: see the new layers."
        settings = self._settings()
        if outlines and settings is not None:
            recipe = self.session.recipe(
                self._ran_with or PredictSettings(), settings, self._class_map()
            )
            self.results.note(recipe.model_dump(mode="json"))
        return " ".join([sentence, *notes])

    def _say(self, *sentences: str, bad: bool = False) -> None:
        words = " ".join(sentence for sentence in sentences if sentence)
        self.status.value = f"<b>{words}</b>" if bad else words


class _Quiet:
    """Keeps controls from telling of changes that the code makes."""

    def __init__(self, *widgets: Any) -> None:
        self._blockers = [widget.changed.blocked() for widget in widgets]

    def __enter__(self) -> None:
        for blocker in self._blockers:
            blocker.__enter__()

    def __exit__(self, *problem: Any) -> None:
        for blocker in self._blockers:
            blocker.__exit__(*problem)


def _stop(state: dict[str, Any], *_: Any) -> None:
    """The window is gone: nothing may touch it any more.

    The widget itself may be half gone, too, so only its attributes are looked at.
    """
    for name in ("_tune_soon", "_outlines_soon"):
        if name in state:
            state[name].cancel()
    if state.get("_worker") is not None:
        state["_worker"].quit()


def _bug(error: BaseException) -> str:
    return f"Something went wrong that should not ({type(error).__name__}: {error})."
