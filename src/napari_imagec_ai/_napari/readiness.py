"""Whether a run can begin, and what the status says of it."""

from __future__ import annotations

from napari_imagec_ai._napari import chosen_before
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.image.feeding import Feeding
from napari_imagec_ai._napari.image.moved import ImageWatch
from napari_imagec_ai._napari.layers.showing import Showing
from napari_imagec_ai._napari.model.card import FAILED
from napari_imagec_ai._napari.model.opening_models import Opening
from napari_imagec_ai._napari.running import Running
from napari_imagec_ai._napari.selecting import Selecting
from napari_imagec_ai.errors import ImagecAIError


class Readiness:
    """Enables Run, or says why it cannot run.

    Parameters
    ----------
    opening, feeding : Opening, Feeding
        The model, and the image, that are chosen.
    running : Running
        Has the button and the status.
    showing : Showing
        What was run before.
    selecting, watch : Selecting, ImageWatch
        Look first whether the layers are still those that they were.
    """

    def __init__(
        self,
        opening: Opening,
        feeding: Feeding,
        running: Running,
        showing: Showing,
        selecting: Selecting,
        watch: ImageWatch,
    ) -> None:
        self._opening, self._feeding, self._running = opening, feeding, running
        self._showing, self._selecting, self._watch = showing, selecting, watch
        self._said_of = (0, 0)

    def say(self, *sentences: str, bad: bool = False) -> None:
        """Show sentences in the status; those about a failure stand out."""
        self._said_of = self._chosen()
        self._running.say(*sentences, bad=bad)

    def reason(self) -> str:
        """Why it cannot run; empty where it can."""
        found, session = self._opening.reason(), self._opening.session
        if found or session is None:
            return found
        try:
            self._feeding.check(session.model)
        except ImagecAIError as error:
            return in_form_words(str(error))
        return ""

    def check(self) -> str:
        """Enable Run, or say why it cannot run; gives the reason."""
        self._selecting.follow()
        self._watch.look()
        reason, consent = self.reason(), self._running.consent
        self._running.allow(reason)
        self._feeding.source.show_planes()
        if reason:
            self.say(reason)
        elif consent.asking:
            self.say(consent.waits)
        elif not self._running.running and (
            self._showing.results is None or self._is_outdated()
        ):
            session = self._opening.session
            kept = chosen_before.sentence(session.model) if session is not None else ""
            failed = FAILED if self._opening.choice.verdict == "failed" else ""
            self.say("Ready.", failed, kept)
        return reason

    def _is_outdated(self) -> bool:
        """Whether the status is about another image or model than those chosen."""
        return self._said_of != self._chosen()

    def _chosen(self) -> tuple[int, int]:
        return id(self._feeding.source.layer.value), id(self._opening.session)
