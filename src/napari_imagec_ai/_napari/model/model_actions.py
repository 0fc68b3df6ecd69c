"""The part of the dock widget for models: their own test, packages, bare weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_imagec_ai._napari import preferences, tasks
from napari_imagec_ai._napari.background import Jobs
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.model.card import FAILED, tested_lines
from napari_imagec_ai._napari.model.folders import Drop
from napari_imagec_ai._napari.model.packaging import PackageDialog, packaged
from napari_imagec_ai._napari.model.zoo_dialog import ZooDialog
from napari_imagec_ai.library import trust
from napari_imagec_ai.library.package.model_folder import Packaged
from napari_imagec_ai.library.undescribed import SUFFIXES
from napari_imagec_ai.library.zoo_models import ZooModel
from napari_imagec_ai.model.description import FileRef, Model
from napari_imagec_ai.model.weights import check_weights
from napari_imagec_ai.run.published_tests import TestResult

if TYPE_CHECKING:
    from napari_imagec_ai._napari.model.model_choice import ModelChoice
    from napari_imagec_ai._napari.model.yes_no_question import Consent

CONVERTED = (".keras", ".pt2", ".pth")
"""Endings of files that other programs save models, and nothing else, in."""


class ModelActions:
    """Handlers of the buttons for models.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    choice : ModelChoice
        The list, and its buttons.
    consent : Consent
        Asks before programs of strangers run.
    """

    def __init__(self, desk: Desk, choice: ModelChoice, consent: Consent) -> None:
        self._desk, self._choice, self._consent = desk, choice, consent
        self.jobs = Jobs(desk.say)
        choice.test.changed.connect(lambda: self.test())
        choice.zoo.connect(self.open_zoo)
        choice.install.connect(self._ask_package)
        choice.package.connect(self.ask_weights)
        choice.convert.connect(self._ask_file)
        choice.convert_folder.connect(self._ask_folder)
        self._drop = Drop(desk.native, self._take, _is_model)
        self.asking: PackageDialog | None = None
        self.zoo: ZooDialog | None = None

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        self.jobs.stop()
        if self.zoo is not None:
            self.zoo.stop()

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self.jobs.busy

    def test(self) -> None:
        """Run the chosen model's own test."""
        choice, entry = self._choice, self._choice.entry
        if entry is None or entry.model is None:
            return
        model, consent = entry.model, self._consent
        asked = trust.question(model, "torchscript")
        if asked is not None:
            consent.ask(asked, partial(self._test_trusted, model), "Test it")
            return
        choice.tested.value = "Testing..."
        self.jobs.start(
            choice.test, lambda out: self._tested(model, out), tasks.tested, model
        )

    def _test_trusted(self, model: Model) -> None:
        """Test a program that a person trusts."""
        trust.remember(model, "torchscript")
        self.test()

    def _tested(self, model: Model, outcome: list[TestResult] | str) -> None:
        entry = self._choice.entry
        if (
            entry is not None
            and entry.model is not None
            and entry.model.path == model.path
        ):
            words = outcome if isinstance(outcome, str) else tested_lines(outcome)
            self._choice.tested.value = words
        self._choice.show_verdicts()
        if self._choice.verdict == "failed":
            self._desk.say(FAILED)

    def _ask_package(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self._desk.native, "Install a model", "", "Model packages (*.zip)"
        )
        if name:
            self.install(Path(name))

    def install(self, package: Path) -> None:
        """Unpack a model package into the user's models folder, and choose it."""
        self._desk.say(f"Installing {package.name}...")
        button = self._choice.install
        self.jobs.start(button, self._installed, tasks.installed, package)

    def _installed(self, outcome: Path | str) -> None:
        if isinstance(outcome, str):
            self._desk.say(outcome, bad=True)
            return
        self._choice.look()
        self._choice.choose(outcome.name)
        self._desk.say(f"Installed '{outcome.name}' into {outcome.parent}.")

    def open_zoo(self) -> None:
        """Let a person find a model of the zoo."""
        if self.zoo is None:
            self.zoo = ZooDialog(self._desk.native, self._fetched)
        self.zoo.show()
        self.zoo.raise_()

    def _fetched(self, model: ZooModel, folder: Path) -> None:
        """Choose a model that was installed, and offer to convert it where it must."""
        self._installed(folder)
        if model.outlook.way == "after converting":
            question = f"'{model.name}' runs after it was converted once. Convert it?"
            self._consent.ask(question, partial(self.convert, folder), "Convert it")

    def _take(self, file: Path) -> None:
        """Take what was dropped: a package, bare weights, or what others saved."""
        if _is_to_convert(file):
            self.convert(file)
        elif file.suffix.lower() == ".zip":
            self.install(file)
        else:
            self.ask_weights(file)

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self._desk.native, "Import a model")
        if name:
            self.convert(Path(name))

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self._desk.native, "Import a model")
        if name:
            self.convert(Path(name))

    def convert(self, source: Path, trust_code: bool = False) -> None:
        """Make a model folder of what another program saved, and choose it."""
        self._desk.say(f"Importing {source.name}...")
        done = partial(self._converted, source)
        button = self._choice.convert
        python = preferences.other_python()
        self.jobs.start(button, done, tasks.converted, source, trust_code, python)

    def _converted(self, source: Path, outcome: Packaged | str) -> None:
        if isinstance(outcome, str) and "--trust-code" in outcome:
            question = f"'{source.name}' holds Python code. Run it once, to import it?"
            again = partial(self.convert, source, True)
            self._consent.ask(question, again, "Run its code")
            return
        self._packaged(outcome)

    def ask_weights(self, weights: Path | None = None) -> None:
        """Ask what bare weights do not tell, and make a model folder of them."""
        self.asking = PackageDialog(self._desk.native, self._package, weights)
        self.asking.show()

    def _package(self, told: dict[str, Any]) -> None:
        weights = told["weights"]
        framework = SUFFIXES.get(weights.suffix.lower(), "")
        asked = trust.question_of_file(framework, weights)
        if asked is not None:
            consent = self._consent
            consent.ask(asked, partial(self._package_trusted, told), "Try it")
            return
        self._desk.say(f"Trying {weights.name}...")
        button = self._choice.package
        self.jobs.start(button, self._packaged, packaged, told)

    def _package_trusted(self, told: dict[str, Any]) -> None:
        """Make a model of a program that a person trusts."""
        try:
            trust.remember_file(told["weights"], told["name"])
        except OSError as error:
            self._desk.say(f"Could not read the weights: {error}.", bad=True)
            return
        self._package(told)

    def _packaged(self, outcome: Packaged | str) -> None:
        if isinstance(outcome, str):
            self._desk.say(outcome, bad=True)
            return
        self._choice.look()
        self._choice.choose(outcome.folder.name)
        self._desk.say(f"Made '{outcome.model.name}' in {outcome.folder.parent}.")


def _is_to_convert(file: Path) -> bool:
    """Whether other software saved it; a ``.pt`` may be TorchScript, which runs."""
    if file.suffix.lower() == ".pt":
        found = check_weights("torchscript", FileRef(file.name, path=file))
        return found.problem is not None
    return file.is_dir() or file.suffix.lower() in CONVERTED


def _is_model(place: Path) -> bool:
    """Whether something that is dropped is a model, and not an image for napari."""
    if place.is_dir():
        if (place / "saved_model.pb").is_file():
            return True
        return (place / "config.json").is_file() and any(place.glob("weights*.h5"))
    return place.suffix.lower() in (".zip", *SUFFIXES, *CONVERTED)
