"""The part of the dock widget that finds thresholds by what a person knows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.background import Jobs
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.tune.calibrate_form import CalibrateForm
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.calibration import Calibration, Truth

if TYPE_CHECKING:
    from napari_imagec_ai._napari.layers.showing import Showing
    from napari_imagec_ai._napari.tune.tuning import Tuning


class Calibrating:
    """Tries thresholds on what was predicted, in the background.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    tuning : Tuning
        Takes the thresholds that were found.
    showing : Showing
        Knows where the result lies.
    """

    def __init__(self, desk: Desk, tuning: Tuning, showing: Showing) -> None:
        self._desk, self._tuning, self._showing = desk, tuning, showing
        self.form = CalibrateForm(self.start, lambda: desk.viewer.layers)
        self.jobs = Jobs(desk.say)

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        self.jobs.stop()

    def start(self) -> None:
        """Choose thresholds by what the person knows."""
        state, results = self._desk.state(), self._showing.results
        if state is None or results is None or state[0].prediction is None:
            self.form.said.value = (
                "Run the network first; then thresholds can be found."
            )
            return
        try:
            truth = self.form.truth(results.source, state[0].prediction.frame)
        except ImagecAIError as error:
            self.form.said.value = in_form_words(str(error))
            return
        self.form.said.value = "Trying thresholds..."
        done = partial(self._found, state[0], truth)
        self.jobs.start(self.form.go, done, tasks.calibrated, *state, truth)

    def _found(
        self, session: Session, truth: Truth, outcome: Calibration | str
    ) -> None:
        if session is not self._desk.session:
            self.form.said.value = "Another model was chosen meanwhile."
        elif isinstance(outcome, str):
            self.form.said.value = in_form_words(outcome)
        else:
            self.form.said.value = _sentence(outcome, truth.count is not None)
            self._tuning.set_thresholds(outcome.mask_threshold, outcome.class_threshold)


def _sentence(found: Calibration, by_count: bool) -> str:
    mask = (
        f"Mask threshold {found.mask_threshold:g}, minimum"
        if found.mask_threshold is not None
        else "Minimum"
    )
    how = (
        f"F1 is {found.score:.3f} (1: each of yours is found, and nothing else; the "
        "objects are those that the thresholds were chosen by)"
    )
    if by_count:
        how = f"{-found.score:g} off, as near as thresholds come"
        how = how if found.score else "as many as there are"
    which = f"{mask} confidence {found.class_threshold:g}"
    return f"{which}: {found.count} objects are kept; {how}."
