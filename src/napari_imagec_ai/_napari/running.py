"""The part of the dock widget that runs: Run, Cancel, progress, and the status."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from magicgui.widgets import Container, ProgressBar, PushButton

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.background import Run
from napari_imagec_ai._napari.controls import keep_low, put, row, shown, text
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.low_window import LowText
from napari_imagec_ai._napari.model.yes_no_question import Consent
from napari_imagec_ai.library import trust
from napari_imagec_ai.system.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_imagec_ai._napari.image.feeding import Feeding
    from napari_imagec_ai._napari.layers.from_napari import Source
    from napari_imagec_ai._napari.layers.live import Tuned
    from napari_imagec_ai.recipes.session import Session
    from napari_imagec_ai.results.prediction import Prediction
    from napari_imagec_ai.run.settings import RunSettings


_LINES = 5
"""As many of the status are in sight: the page above it has to have room, too."""


class Running:
    """The bar under the tabs, and the run that it starts.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    feeding : Feeding
        What is run.
    ran : callable
        Given the session, the image, how it ran, what was tuned, and what came out.

    Attributes
    ----------
    session : Session or None
        The one that runs.
    """

    def __init__(
        self,
        desk: Desk,
        feeding: Feeding,
        ran: Callable[[Session, Source, RunSettings, Tuned, tasks.TaskResult], None],
    ) -> None:
        self._desk, self._feeding, self._ran_to = desk, feeding, ran
        self._run: Run | None = None
        self.session: Session | None = None
        self.button = PushButton(
            text="Run",
            tooltip="Run the network on the image (Ctrl+Enter). Thresholds are moved "
            "afterwards, without another run.",
        )
        self.cancel_button = PushButton(
            text="Cancel", enabled=False, tooltip="Stop after this tile."
        )
        self.button.native.setObjectName("run")
        self.consent = Consent(desk.say)
        self.progress = ProgressBar(value=0, min=0, max=1, step=1, visible=False)
        self.status = text("status")
        self.bar = Container(
            labels=False,
            widgets=[
                row(self.button, self.cancel_button),
                self.consent,
                self.progress,
            ],
        )
        self._low = LowText(self.status, _LINES)
        put(self.bar, 3, self._low)
        self.bar.margins = (4, 4, 4, 4)
        keep_low(self.bar)
        self.button.changed.connect(lambda: self.run())
        self.cancel_button.changed.connect(lambda: self.cancel())
        for control in (feeding.engine, feeding.device):
            control.changed.connect(lambda _: self._engine_changed())

    def say(self, *sentences: str, bad: bool = False) -> None:
        """Show sentences under the Run button; those about a failure stand out."""
        said = (in_form_words(sentence) for sentence in sentences if sentence)
        self.status.value = shown(" ".join(said), bold=bad)
        self._low.fit()

    def paint(self, accent: str) -> None:
        """Let Run stand out, in the colours of the theme."""
        self.button.native.setStyleSheet(
            f"QPushButton:enabled {{ background: {accent}; color: white;"
            " font-weight: bold; padding: 5px; }"
            "QPushButton { padding: 5px; }"
        )

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None

    def cancel(self) -> None:
        """Stop the run after the tile that it is at."""
        if self._run is not None:
            self._run.cancel()

    def stop(self) -> None:
        """Tell nobody any more: the window is gone."""
        if self._run is not None:
            self._run.drop()

    def allow(self, reason: str) -> None:
        """Switch the button on where there is no reason against it."""
        self.button.enabled = not reason and self._run is None

    def run(self) -> None:
        """Run the network on the image layer as it is now."""
        if self._run is not None:
            self._desk.say(
                "A run is under way; cancel it or wait for its end.", bad=True
            )
            return
        self._feeding.source.look()
        reason = self._desk.check()
        if reason:
            self._desk.say(reason, bad=True)
            return
        state = self._desk.state()
        if state is None:  # the reason was said
            return
        session = state[0]
        engine, device = self._feeding.engine.value, self._feeding.device.value
        asked = trust.question(session.model, engine, device)
        if asked is not None:
            self.consent.ask(asked, self._run_trusted)
            return
        self.consent.drop()
        source = self._feeding.source.take()
        images, _ = self._feeding.source.inputs(session.model)
        predicted = self._feeding.predict_settings()
        self._run = Run(
            tasks.run,
            session,
            images,
            predicted,
            *state[1:],
            progressed=self._progressed,
            returned=partial(self._returned, session, source, predicted, state[1:]),
            failed=self._failed,
            finished=self._finished,
        )
        self.session = session
        self.button.enabled, self.cancel_button.enabled = False, True
        self.progress.visible = True
        self._desk.say(f"Opening {session.model.name}...")
        self._run.start()

    def _run_trusted(self) -> None:
        """Run a program that a person trusts."""
        session = self._desk.session
        if session is not None:
            engine, device = self._feeding.engine.value, self._feeding.device.value
            trust.remember(session.model, engine, device)
            self.run()

    def _run_knowingly(self, session: Session) -> None:
        """Run weights that are not those described."""
        if session is self._desk.session:
            session.verify = False
            self.run()

    def _engine_changed(self) -> None:
        """Other weights would run: what was asked is no longer the question."""
        if self.consent.asking:
            self.consent.drop()
            self._desk.check()

    def _progressed(self, progress: Progress, words: str) -> None:
        self.progress.max = max(progress.total, 1)
        self.progress.value = progress.done
        self._desk.say(words)

    def _returned(
        self,
        session: Session,
        source: Source,
        predicted: RunSettings,
        tuned: Tuned,
        outcome: tasks.TaskResult,
    ) -> None:
        mine = session is self._desk.session
        if outcome.prediction is None or outcome.result is None:
            problem = outcome.problem
            self._desk.say(problem, bad=True)
            if outcome.other_weights and mine:
                question = "Run the weights that are there, knowingly?"
                self.consent.ask(question, partial(self._run_knowingly, session))
                self._desk.say(problem, self.consent.waits, bad=True)
        else:
            self._ran_to(session, source, predicted, tuned, outcome)

    def _failed(self, sentence: str) -> None:
        self._desk.say(sentence, bad=not sentence.startswith("Cancelled"))

    def _finished(self) -> None:
        self._run = None
        ran, self.session = self.session, None
        if ran is not None and ran is not self._desk.session:
            ran.close()  # its model or its image was left meanwhile
        self.cancel_button.enabled = False
        self.progress.visible = False
        self.button.enabled = not self._desk.reason()


def ran_on(prediction: Prediction) -> str:
    """How a network ran, as a sentence."""
    calls = prediction.network_calls
    return (
        f"Ran on {prediction.device} with {prediction.engine}, {calls} "
        f"tile{'' if calls == 1 else 's'}, {prediction.network_seconds:.1f} s in the "
        "network."
    )
