"""The part of the dock widget that opens models: which one, and how it is read."""

from __future__ import annotations

from napari_imagec_ai._napari import chosen_before
from napari_imagec_ai._napari.controls import Fold
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.layers.live import is_same_model
from napari_imagec_ai._napari.model.model_choice import ASK, ModelChoice
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.recipes.session import Session


class Opening:
    """The list of models, and the session with the chosen one.

    Parameters
    ----------
    desk : Desk
        Who to tell.

    Attributes
    ----------
    session : Session or None
        The chosen model, and what it gave.
    problem : str
        Why there is no session, where the model itself does not say it.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.session: Session | None = None
        self.problem = ""
        self.choice = ModelChoice(self._model_changed, self._decoder_changed)

    def section(self, *below: Fold) -> Fold:
        """The section of the form, with these below the list."""
        return Fold("Model", [self.choice, *below])

    @property
    def model(self) -> Model | None:
        """The chosen model as it is described, where it can run."""
        entry = self.choice.entry
        return entry.model if entry is not None and entry.problem is None else None

    def reason(self) -> str:
        """Why the chosen model cannot run; empty where it can."""
        entry = self.choice.entry
        if entry and entry.model and entry.problem and self.session is not None:
            return (  # it came with a saved result
                f"'{entry.name}' cannot run here, but its result can be tuned: "
                f"{entry.problem}"
            )
        if entry is None or entry.problem is not None or entry.model is None:
            return "Choose a model that can run."
        if self.session is None:
            return self.problem or (
                f"It is not known what the output of '{entry.name}' means; choose it "
                "under 'Read output as'."
            )
        return ""

    def _model_changed(self) -> None:
        entry = self.choice.entry
        model = entry.model if entry is not None else None
        if self.session and model and is_same_model(self.session.model, model):
            if self.model is not None:
                self.session.moved(model)  # its folder may have another name now
            self._desk.check()
            return
        self._open()

    def _open(self) -> None:
        """Part with the model before, and begin with the chosen one."""
        self._leave()
        self.problem = ""
        self._desk.model_chosen()
        if self.model is not None and self.choice.decoder.value != ASK:
            self._begin()
        self._desk.check()

    def _decoder_changed(self) -> None:
        """Another meaning of the output: the network need not run again for it."""
        name, entry = self.choice.decoder.value, self.choice.entry
        model = entry.model if entry is not None else None
        if name == ASK or model is None:
            return
        if self.session is None:
            self._begin()
        else:
            self.session.use(name)
            self._desk.session_begun()
        if self.session is not None:
            settings = chosen_before.settings_for(self.session.decoder, model)
            chosen_before.keep_choice(model, self.session.decoder, settings)
        self._desk.check()
        self._desk.tune()

    def _begin(self) -> None:
        entry = self.choice.entry
        if entry is None or entry.model is None:
            return
        try:
            self.session = Session(entry.model, self.choice.decoder.value)
            self._desk.session_begun()
        except ImagecAIError as error:
            self.session, self.problem = None, str(error)

    def use(self, session: Session) -> None:
        """Go on with another session of the chosen model."""
        self.session = session
        if self.choice.decoder.value != session.decoder.name:
            with self.choice.decoder.changed.blocked():
                self.choice.decoder.value = session.decoder.name

    def choose(self, model: Model) -> bool:
        """Choose a model of the list; gives whether it is there."""
        entry = self.choice.entry
        if entry is not None and entry.model and is_same_model(entry.model, model):
            return True
        for number, other in enumerate(self.choice.entries):
            if other.model is not None and is_same_model(other.model, model):
                self.choice.model.value = number
                return True
        return False

    def find(self, model: Model) -> Model:
        """A model where it lies now, or as it was where it is not here any more."""
        for entry in self.choice.entries:
            if entry.model is not None and is_same_model(entry.model, model):
                if entry.model.path == model.path:
                    return model
                told = model.classes if model.classes_by_hand else None
                return entry.model.with_classes(told)
        return model

    def begin(self, decoder: str | None) -> None:
        """Begin anew with the chosen model, with this decoder or its own."""
        if decoder is not None:
            with self.choice.decoder.changed.blocked():
                self.choice.decoder.value = decoder
        self._open()

    def _leave(self) -> None:
        """Part with the model; one that runs is closed at its end."""
        if self.session is not None and not self._desk.running:
            self.session.close()
        self.session = None
        self._desk.model_left()

    def stop(self) -> None:
        """Give the network's memory back: the window is gone."""
        if self.session is not None and not self._desk.running:
            self.session.close()
