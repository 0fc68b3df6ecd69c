"""The part of the dock widget that feeds: what is kept with the model, and recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_imagec_ai._napari.tuned_form import TunedForm
from napari_imagec_ai.decoders.registry import keep_choice
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.recipes.recipe import PredictSettings, Recipe
from napari_imagec_ai.recipes.session import forget, keep_feed, starting_feed

if TYPE_CHECKING:
    import napari

_ELSEWHERE = {"engine", "device", "channels", "planes", "region"}
"""Settings of a run that have controls of their own, or are chosen with the image."""

_OF_FILES = {"axes", "pixel_size", "unit"}
"""Settings that tell how a file is opened: a layer is open."""


class FedForm(TunedForm):
    """The form with what a person changes of a model's description.

    Parameters
    ----------
    viewer : napari.Viewer
        Where layers are added.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._unshown: dict[str, Any] = {}
        super().__init__(viewer)

    def reason(self) -> str:
        """Why it cannot run; empty where it can."""
        return ""

    def _check(self) -> str:
        """Enable Run, or say why it cannot run; gives the reason."""
        return self.reason()

    def _predict_settings(self, channels: tuple[int, ...] | None) -> PredictSettings:
        return PredictSettings(
            engine=self.engine.value,
            device=self.device.value,
            channels=channels,
            planes=self.source.chosen_planes(self.viewer.dims.current_step),
            region=self.source.chosen_region(),
            **self.assumptions.settings(),
            **self._beside(),
        )

    def _beside(self) -> dict[str, Any]:
        """Settings of a run that have no control, as a recipe or an answer set them."""
        knowingly = self.session is not None and not self.session.verify
        return self._unshown | ({"verify": False} if knowingly else {})

    def _feeding_changed(self) -> None:
        if self.session is not None:
            model = self.session.model
            before = starting_feed(model)
            feed = PredictSettings(
                channels=before.channels, **self.assumptions.settings()
            )
            keep_feed(model, feed)
            if feed.classes != before.classes and self._classes_told(feed.classes):
                return
        if not self._check() and self.results is not None:
            self.say("Run again to feed the network so.")

    def _classes_told(self, names: tuple[str, ...] | None) -> bool:
        """Take classes that the person told; gives whether no run is needed for it."""
        if self.session is None:
            return False
        done = self.session.tell(names)
        self.classes.set_classes(self.session.model.classes)
        if not done:
            return False
        self._ran_with = self._ran_with.model_copy(update={"classes": names})
        self._tuner.tune()
        return True

    def _show_feed(self, feed: PredictSettings) -> None:
        """Show how the network is fed, and keep what has no control here."""
        self.assumptions.show_settings(feed)
        self.source.suggest(feed.channels)
        shown = {*self.assumptions.settings(), *_ELSEWHERE, *_OF_FILES}
        names = set(PredictSettings.model_fields) - shown
        self._unshown = {name: getattr(feed, name) for name in names}

    def _channels_changed(self) -> None:
        """Remember which channel of an image is which of the network's."""
        if self.session is None:
            return
        try:
            _, channels = self.source.inputs(self.session.model)
        except ImagecAIError:
            return  # some rows are still to be chosen
        model = self.session.model
        feed = starting_feed(model).model_copy(update={"channels": channels})
        keep_feed(model, feed)

    def _reading_changed(self) -> None:
        settings = self._settings()
        if self.session is not None and settings is not None:
            keep_choice(self.session.model, self.session.decoder, settings)
        self._tune()

    def _forget(self) -> None:
        """The description counts again, and nothing that was chosen before."""
        if self.session is None:
            return
        model = self.session.model
        forget(model)
        self._show_feed(starting_feed(model))
        self._classes_told(None)
        self.assumptions.reading.set_values(self.session.defaults.model_dump())
        self.say(f"For '{model.name}' its description counts again.")
        self._tuner.soon()

    def recipe(self) -> Recipe | None:
        """What would make again what is shown; None, and the reason is said."""
        state = self.state()
        if state is None:
            self.say(self.reason() or self._problem, bad=True)
            return None
        session, settings, class_map = state
        if self.results is not None:
            return session.recipe(self._ran_with, settings, class_map)
        try:
            _, channels = self.source.inputs(session.model)
            predicted = self._predict_settings(channels)
        except ImagecAIError:  # without an image: all but what is chosen of it
            predicted = PredictSettings(
                engine=self.engine.value,
                device=self.device.value,
                **self.assumptions.settings(),
                **self._beside(),
            )
        return session.recipe(predicted, settings, class_map)
