"""The dock widget: choose a model, run it, and tune what comes out.

It reads its form into settings, starts workers on a session, hands objects to the
layers, and shows errors as sentences; it computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from superqt.utils import qdebounced, qthrottled

from napari_imagec_ai._napari import preferences
from napari_imagec_ai._napari.card import card
from napari_imagec_ai._napari.form import Form
from napari_imagec_ai._napari.results import ResultLayers
from napari_imagec_ai.decoders import Settings, settings_with
from napari_imagec_ai.errors import DecodeError, ImagecAIError
from napari_imagec_ai.library import ModelEntry, default_folders, find_models
from napari_imagec_ai.objects import Objects
from napari_imagec_ai.prediction import DETECTORS, Prediction
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.recipe import PredictSettings, class_threshold
from napari_imagec_ai.session import Session

if TYPE_CHECKING:
    import napari

_LIVE_PIXELS = 1 << 21
"""Up to this many pixels are tuned on the spot, larger results by a worker."""

_LIVE_WINDOWS = 2
"""The same for detectors, in windows of the network."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a worker brings back; errors are sentences, since workers raise errors."""

    prediction: Prediction | None = None
    objects: Objects | None = None
    problem: str = ""


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
        self._entries: list[ModelEntry] = []
        self._worker: Any = None
        self._tuner: Any = None
        self._tune_again = False
        self._ran_with: PredictSettings | None = None
        super().__init__()
        self._connect()
        self.refresh_models()
        self._follow_active()

    def _connect(self) -> None:
        self.refresh.changed.connect(lambda: self.refresh_models())
        self.open_folder.changed.connect(lambda: self._open_folder())
        self.model.changed.connect(lambda _: self._model_changed())
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

    # -- models ------------------------------------------------------------------------

    def refresh_models(self) -> None:
        """Look for models again; the chosen one stays chosen."""
        chosen = self.entry
        self._entries = find_models(*_folders())
        with self.model.changed.blocked():
            self.model.reset_choices()
        usable = [i for i, entry in enumerate(self._entries) if entry.problem is None]
        paths = [entry.path for entry in self._entries]
        if chosen is not None and chosen.path in paths:
            self.model.value = paths.index(chosen.path)
        elif usable:
            self.model.value = usable[0]
        self._model_changed()

    def _model_choices(self, _widget: Any = None) -> list[tuple[str, int]]:
        names = [entry.name for entry in self._entries]
        choices = []
        for i, entry in enumerate(self._entries):
            name = entry.name
            if names.count(name) > 1:
                name = f"{name} ({entry.path.name})"
            choices.append((name if entry.problem is None else f"{name} - no", i))
        return choices

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model."""
        i = self.model.value
        return self._entries[i] if i is not None and i < len(self._entries) else None

    @property
    def entries(self) -> list[ModelEntry]:
        """All models of the list."""
        return list(self._entries)

    def choose(self, folder: str) -> None:
        """Choose the first model whose folder has this name."""
        names = [entry.path.name for entry in self._entries]
        self.model.value = names.index(folder)

    def _model_changed(self) -> None:
        entry = self.entry
        self.card.value = card(entry)
        model = entry.model if entry is not None else None
        if self.session and model and self.session.model.path == model.path:
            self._check()
            return
        if self.session is not None and self._worker is None:
            self.session.close()
        self.session, self.results = None, None
        try:
            if entry is not None and entry.model is not None and entry.problem is None:
                self.session = Session(entry.model)
                self._reset_tuning()
        except ImagecAIError as error:
            self._say(str(error), bad=True)
            return
        self._check()

    def _reset_tuning(self) -> None:
        """Thresholds and classes as the model has them."""
        if self.session is None:
            return
        settings = self.session.defaults.model_dump()
        with self._quiet():
            self.mask_threshold.value = settings.get("mask_threshold", 0.5)
            self.class_threshold.value = class_threshold(self.session.model)
            self.split.value = settings.get("split", True)
        self.settings.show_settings(self.session.defaults, {"mask_threshold", "split"})
        self.mask_threshold.visible = "mask_threshold" in settings
        self.split.visible = "split" in settings
        self.detecting.visible = self.session.model.kind in DETECTORS
        self.classes.set_classes(self.session.model.classes)

    def _show_more(self, shown: bool) -> None:
        self.settings.visible = shown

    def _quiet(self) -> _Quiet:
        return _Quiet(self.mask_threshold, self.class_threshold, self.split)

    def _open_folder(self) -> None:
        folder = next((f for f in _folders() if f.is_dir()), Path.cwd())
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    # -- image -------------------------------------------------------------------------

    def _follow_active(self, event: Any = None) -> None:
        self.source.follow(self.viewer.layers.selection.active)

    def _source_changed(self) -> None:
        self._check()

    def _layer_removed(self, event: Any = None) -> None:
        self._check()

    def _check(self) -> str:
        """Enable Run, or say why it cannot run; gives the reason."""
        reason = self._reason()
        self.run_button.enabled = not reason and self._worker is None
        model = self.session.model if self.session is not None else None
        self.planes.visible = bool(self.source.plane_axes(model))
        if reason:
            self._say(reason)
        elif self._worker is None and self.results is None:
            self._say("Ready.")
        return reason

    def _reason(self) -> str:
        entry = self.entry
        if entry is None or self.session is None:
            return "Choose a model that can run."
        try:
            self.source.plan(self.session.model)
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
        if reason or self.session is None:
            self._say(reason, bad=True)
            return
        source, model = self.source.take(), self.session.model
        settings = PredictSettings(
            engine=self.engine.value,
            device=self.device.value,
            channels=self.source.chosen_channels(),
            planes=self.source.chosen_planes(model, self.viewer.dims.current_step),
            scale=round(self.scale.value, 4) or None,
            overlap=round(self.overlap.value, 4),
            percentiles=(round(self.black.value, 4), round(self.white.value, 4)),
        )
        self._worker = create_worker(
            _work,
            self.session,
            source,
            settings,
            self._settings(),
            self._class_map(),
            _start_thread=False,
        )
        self._worker.yielded.connect(self._progressed)
        session = self.session
        self._worker.returned.connect(
            lambda outcome: self._ran(session, source, settings, outcome)
        )
        self._worker.aborted.connect(lambda: self._say("Cancelled; nothing changed."))
        self._worker.errored.connect(lambda error: self._say(_bug(error), bad=True))
        self._worker.finished.connect(self._finished)
        self.run_button.enabled, self.cancel_button.enabled = False, True
        self.progress.visible = True
        self._say(f"Opening {session.model.name}...")
        self._worker.start()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def objects(self) -> Objects:
        """The objects that the layers show now.

        Raises
        ------
        DecodeError
            If nothing was run yet.
        """
        settings = self._settings()
        if self.session is None or settings is None:
            raise DecodeError("Nothing was run yet; choose a model and run it.")
        return self.session.objects(settings, self._class_map())

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
        settings: PredictSettings,
        outcome: _Outcome,
    ) -> None:
        prediction, objects = outcome.prediction, outcome.objects
        if prediction is None or objects is None:
            self._say(outcome.problem, bad=True)
            return
        if session is not self.session:
            self._say("Another model was chosen meanwhile; the run was left out.")
            return
        if self.results is None or self.results.source.image.key != source.image.key:
            self.results = ResultLayers(self.viewer, source)
        self._ran_with = settings
        if session.decoded is not None:  # a detector may tell its classes only now
            self.classes.set_classes(session.decoded.classes)
        self._show(objects, outlines=True)
        ran = f"Ran on {prediction.device} with {prediction.engine}"
        self._say(
            f"{len(objects)} objects. {ran}, {prediction.network_calls} tile"
            f"{'' if prediction.network_calls == 1 else 's'}, "
            f"{prediction.network_seconds:.1f} s in the network.",
            *objects.assumed,
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

    def _class_map(self) -> Any:
        return self.classes.class_map(round(self.class_threshold.value, 4))

    def _classes_changed(self) -> None:
        self._tune()

    def _tune(self) -> None:
        """Decode and classify again, without the network."""
        session = self.session
        if session is None or session.prediction is None or self.results is None:
            return
        if self._tuner is not None:
            self._tune_again = True
            return
        settings, class_map = self._settings(), self._class_map()
        if settings is None:
            return
        try:
            if _is_small(session.prediction):
                self._show(session.objects(settings, class_map), outlines=False)
                self._outlines_soon()
                return
        except ImagecAIError as error:
            self._say(str(error), bad=True)
            return
        self._tuner = create_worker(
            _decode, session, settings, class_map, _start_thread=False
        )
        self._tuner.returned.connect(self._tuned)
        self._tuner.finished.connect(self._tuner_finished)
        self._tuner.start()

    def _tuned(self, outcome: _Outcome) -> None:
        if outcome.objects is None:
            self._say(outcome.problem, bad=True)
        elif not self._tune_again:
            self._show(outcome.objects, outlines=True)

    def _tuner_finished(self) -> None:
        self._tuner = None
        if self._tune_again:
            self._tune_again = False
            self._tune()

    def _tune_outlines(self) -> None:
        session, settings = self.session, self._settings()
        if session is None or session.prediction is None or settings is None:
            return
        self._show(session.objects(settings, self._class_map()), outlines=True)

    def _show(self, objects: Objects, outlines: bool) -> None:
        if self.results is None or self.session is None:
            return
        notes = self.results.show(objects, outlines)
        self.classes.show_counts(objects.counts())
        settings = self._settings()
        if outlines and settings is not None:
            recipe = self.session.recipe(
                self._ran_with or PredictSettings(), settings, self._class_map()
            )
            self.results.note(recipe.model_dump(mode="json"))
        total = self.session.decoded
        found = len(total) if total is not None else len(objects)
        self._say(f"{len(objects)} of {found} objects count.", *notes)

    def _say(self, *sentences: str, bad: bool = False) -> None:
        text = " ".join(sentence for sentence in sentences if sentence)
        self.status.value = f"<b>{text}</b>" if bad else text


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


def _work(
    session: Session,
    source: Any,
    predicted: PredictSettings,
    settings: Settings | None,
    class_map: Any,
) -> Generator[Progress, None, _Outcome]:
    """Predict and decode in a worker; what a person can mend comes back as a value."""
    try:
        prediction = yield from session.run(source.image, predicted)
        objects = session.objects(settings or session.defaults, class_map)
    except ImagecAIError as error:
        return _Outcome(problem=str(error))
    return _Outcome(prediction, objects)


def _decode(session: Session, settings: Settings, class_map: Any) -> _Outcome:
    try:
        return _Outcome(objects=session.objects(settings, class_map))
    except ImagecAIError as error:
        return _Outcome(problem=str(error))


def _stop(state: dict[str, Any], *_: Any) -> None:
    """The window is gone: nothing may touch it any more.

    The widget itself may be half gone, too, so only its attributes are looked at.
    """
    for name in ("_tune_soon", "_outlines_soon"):
        if name in state:
            state[name].cancel()
    if state.get("_worker") is not None:
        state["_worker"].quit()


def _is_small(prediction: Prediction) -> bool:
    """Whether a result can be tuned between two pictures of the screen."""
    pixels = sum(values.size for values in prediction.maps.values())
    return pixels <= _LIVE_PIXELS and len(prediction.windows) <= _LIVE_WINDOWS


def _folders() -> list[Path]:
    extra = preferences.models_folder()
    folders = [*([extra] if extra is not None else []), *default_folders()]
    return [folder for folder in folders if folder.is_dir()]


def _bug(error: BaseException) -> str:
    return f"Something went wrong that should not ({type(error).__name__}: {error})."
