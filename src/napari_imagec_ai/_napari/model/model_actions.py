"""What the widget does beside running and tuning: test, install, calibrate, maps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_imagec_ai._napari import tasks as work
from napari_imagec_ai._napari.background import Run
from napari_imagec_ai._napari.model.card import FAILED, tested_lines
from napari_imagec_ai._napari.model.folders import Drop
from napari_imagec_ai._napari.model.packaging import PackageDialog, packaged
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.library import trust
from napari_imagec_ai.library.package.package_model import Packaged
from napari_imagec_ai.library.undescribed import SUFFIXES
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.calibration import Calibration, Truth
from napari_imagec_ai.run.published import TestResult

if TYPE_CHECKING:
    from napari_imagec_ai._napari.widget import ClassifierWidget


class Extras:
    """Handlers of the buttons that are no part of the corridor.

    Parameters
    ----------
    widget : ClassifierWidget
        Whose buttons they are.
    """

    def __init__(self, widget: ClassifierWidget) -> None:
        self._widget = widget
        self._runs: dict[str, Run] = {}
        choice, options = widget.choice, widget.layer_options
        choice.test.changed.connect(lambda: self.test())
        choice.install.changed.connect(lambda: self._ask_package())
        choice.package.changed.connect(lambda: self.ask_weights())
        options.maps.changed.connect(lambda: self.show_maps())
        options.table.changed.connect(lambda: self.show_table())
        self._drop = Drop(widget.native, self._take)
        self.asking: PackageDialog | None = None

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        for run in self._runs.values():
            run.drop()

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return bool(self._runs)

    def _start(
        self, button: Any, done: Callable[[Any], None], function: Any, *arguments: Any
    ) -> None:
        """Do something in the background; its button is off until it has ended."""
        if button.name in self._runs:
            return
        button.enabled = False
        self._runs[button.name] = Run(
            function,
            *arguments,
            progressed=lambda *_: None,
            returned=done,
            failed=partial(self._widget.say, bad=True),
            finished=partial(self._finished, button),
        )
        self._runs[button.name].start()

    def _finished(self, button: Any) -> None:
        del self._runs[button.name]
        button.enabled = True

    # -- models ------------------------------------------------------------------------

    def test(self) -> None:
        """Run the chosen model's own test."""
        choice, entry = self._widget.choice, self._widget.entry
        if entry is None or entry.model is None:
            return
        model, consent = entry.model, self._widget.consent
        asked = trust.question(model, "torchscript")
        if asked is not None:
            consent.ask(asked, partial(self._test_trusted, model), "Test it")
            return
        choice.tested.value = "Testing..."
        self._start(
            choice.test, lambda out: self._tested(model, out), work.tested, model
        )

    def _test_trusted(self, model: Model) -> None:
        """Test a program that a person trusts."""
        trust.remember(model, "torchscript")
        self.test()

    def _tested(self, model: Model, outcome: list[TestResult] | str) -> None:
        entry = self._widget.entry
        if (
            entry is not None
            and entry.model is not None
            and entry.model.path == model.path
        ):
            words = outcome if isinstance(outcome, str) else tested_lines(outcome)
            self._widget.choice.tested.value = words
        self._widget.choice.show_verdicts()
        if self._widget.choice.verdict == "failed":
            self._widget.say(FAILED)

    def _ask_package(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self._widget.native, "Install a model", "", "Model packages (*.zip)"
        )
        if name:
            self.install(Path(name))

    def install(self, package: Path) -> None:
        """Unpack a model package into the user's models folder, and choose it."""
        self._widget.say(f"Installing {package.name}...")
        button = self._widget.choice.install
        self._start(button, self._installed, work.installed, package)

    def _installed(self, outcome: Path | str) -> None:
        if isinstance(outcome, str):
            self._widget.say(outcome, bad=True)
            return
        self._widget.refresh_models()
        self._widget.choose(outcome.name)
        self._widget.say(f"Installed '{outcome.name}' into {outcome.parent}.")

    def _take(self, file: Path) -> None:
        """Take what was dropped: a package, or bare weights."""
        if file.suffix.lower() == ".zip":
            self.install(file)
        else:
            self.ask_weights(file)

    def ask_weights(self, weights: Path | None = None) -> None:
        """Ask what bare weights do not tell, and make a model folder of them."""
        self.asking = PackageDialog(self._widget.native, self._package, weights)
        self.asking.show()

    def _package(self, told: dict[str, Any]) -> None:
        weights = told["weights"]
        framework = SUFFIXES.get(weights.suffix.lower(), "")
        asked = trust.question_of_file(framework, weights)
        if asked is not None:
            consent = self._widget.consent
            consent.ask(asked, partial(self._package_trusted, told), "Try it")
            return
        self._widget.say(f"Trying {weights.name}...")
        button = self._widget.choice.package
        self._start(button, self._packaged, packaged, told)

    def _package_trusted(self, told: dict[str, Any]) -> None:
        """Make a model of a program that a person trusts."""
        try:
            trust.remember_file(told["weights"], told["name"])
        except OSError as error:
            self._widget.say(f"Could not read the weights: {error}.", bad=True)
            return
        self._package(told)

    def _packaged(self, outcome: Packaged | str) -> None:
        if isinstance(outcome, str):
            self._widget.say(outcome, bad=True)
            return
        self._widget.refresh_models()
        self._widget.choose(outcome.folder.name)
        self._widget.say(f"Made '{outcome.model.name}' in {outcome.folder.parent}.")

    # -- results -----------------------------------------------------------------------

    def calibrate(self) -> None:
        """Choose thresholds by what the person knows."""
        widget, form = self._widget, self._widget.calibration
        state = widget.state()
        if state is None or widget.results is None or state[0].prediction is None:
            form.said.value = "Run the network first; then thresholds can be chosen."
            return
        try:
            truth = form.truth(widget.results.source, state[0].prediction.frame)
        except ImagecAIError as error:
            form.said.value = str(error)
            return
        form.said.value = "Trying thresholds..."
        session = state[0]
        self._start(
            form.go,
            lambda outcome: self._calibrated(session, truth, outcome),
            work.calibrated,
            *state,
            truth,
        )

    def _calibrated(
        self, session: Session, truth: Truth, outcome: Calibration | str
    ) -> None:
        form = self._widget.calibration
        if session is not self._widget.session:
            form.said.value = "Another model was chosen meanwhile."
        elif isinstance(outcome, str):
            form.said.value = outcome
        else:
            form.said.value = _sentence(outcome, truth.count is not None)
            thresholds = (outcome.mask_threshold, outcome.class_threshold)
            self._widget.set_thresholds(*thresholds)

    def show_maps(self) -> None:
        """Show what the network gave as Image layers."""
        widget = self._widget
        if widget.session is None or widget.results is None:
            widget.say("Run the network first; then its maps can be shown.")
            return
        found = work.maps(widget.session)
        if isinstance(found, str):
            widget.say(found, bad=True)
        else:
            widget.results.show_images(found)

    def show_table(self) -> None:
        """List the objects beside the canvas."""
        widget, inspector = self._widget, self._widget.inspector
        if widget.results is None:
            widget.say("There is no result to list yet; run the network first.")
            return
        if inspector.table is not None:
            inspector.table.show()
            inspector.table.parent().show()
            return
        table = inspector.make_table()
        widget.viewer.window.add_dock_widget(table, name="Objects", area="bottom")


def _sentence(found: Calibration, by_count: bool) -> str:
    mask = (
        f"Mask threshold {found.mask_threshold:g}, class"
        if found.mask_threshold is not None
        else "Class"
    )
    how = f"F1 is {found.score:.3f}"
    if by_count:
        how = f"{-found.score:g} off, as near as thresholds come"
        how = how if found.score else "as many as there are"
    which = f"{mask} threshold {found.class_threshold:g}"
    return f"{which}: {found.count} objects count; {how}."
