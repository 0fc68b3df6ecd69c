"""The part of the dock widget that feeds: the image, the engine, what was assumed.

What a person says of how a model is fed is kept with the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox

from napari_imagec_ai._napari import chosen_before
from napari_imagec_ai._napari.controls import Fold, column
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.image.image_choice import ImageChoice
from napari_imagec_ai._napari.image.object_size import ObjectSizeForm
from napari_imagec_ai._napari.image.scene_choice import SceneChoice
from napari_imagec_ai._napari.tune.settings_form import about_the_model
from napari_imagec_ai._napari.tune.told_and_assumed import Assumptions
from napari_imagec_ai.engines.registry import engine_names
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.run.settings import OF_FILES, RunSettings
from napari_imagec_ai.run.told_settings import settings_of

if TYPE_CHECKING:
    from napari_imagec_ai._napari.layers.showing import Showing
    from napari_imagec_ai.model.description import Model
    from napari_imagec_ai.recipes.session import Session

DEVICES = ("auto", "cpu", "cuda", "mps", "dml")

_ELSEWHERE = {"engine", "device", "channels", "planes", "region"}
"""Settings of a run that have controls of their own, or are chosen with the image."""


class Feeding:
    """Everything that a run needs to know beside the model.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    showing : Showing
        Whether there is a result that was fed otherwise.
    """

    def __init__(self, desk: Desk, showing: Showing) -> None:
        self._desk, self._showing = desk, showing
        self._unshown: dict[str, Any] = {}
        self.engine = ComboBox(
            choices=["auto", *engine_names()],
            name="engine",
            label="Engine",
            tooltip="What runs the network; auto takes the first that the model has.",
        )
        self.device = ComboBox(
            choices=list(DEVICES),
            name="device",
            label="Device",
            tooltip="Where it runs; auto takes a GPU where the runtime has one.",
        )
        self.engine_section = Fold(
            "Engine and device",
            [column(self.engine, self.device)],
            tooltip="What runs the network, and where.",
            open_=False,
            minor=True,
        )
        self.source = ImageChoice(self._source_changed, self._channels_changed)
        self.scenes = SceneChoice(desk, self.source)
        self.object_size = ObjectSizeForm(self._feeding_changed)
        parts = [self.source, self.object_size, self.source.measured]
        self.section = Fold("Image", parts)
        self.assumptions = Assumptions(
            self._feeding_changed, self._reading_changed, self._forget
        )

    # -- what is shown -----------------------------------------------------------------

    def show_model(self, model: Model | None) -> None:
        """Show what this model needs to know, and how it was fed before."""
        self._unshown = {}
        self.source.show_model(model)
        self.object_size.show_model(model)
        if model is not None:
            self.show_feed(chosen_before.feed_for(model))

    def show_feed(self, feed: RunSettings) -> None:
        """Show how the network is fed, and keep what has no control here."""
        self.assumptions.show_settings(feed)
        self.object_size.show_value(feed.object_size)
        self.source.suggest(feed.channels)
        shown = {*self._fed_so(), *_ELSEWHERE, *OF_FILES}
        names = set(RunSettings.model_fields) - shown
        self._unshown = {name: getattr(feed, name) for name in names}

    def begin(self, session: Session, described: Model | None) -> None:
        """Show how the output of a model is read."""
        settings = chosen_before.settings_for(session.decoder, session.model)
        self.assumptions.show_reading(settings, about_the_model(settings))
        self.assumptions.show_kind(session.model.kind in DETECTORS)
        self.assumptions.show_described(described.classes if described else ())
        self.assumptions.telling.visible = session.decoder.gives is not Images
        self.assumptions.show_sentences(())

    # -- what a run takes --------------------------------------------------------------

    def predict_settings(self) -> RunSettings:
        """How to run the network on what is chosen now.

        Raises
        ------
        ImagecAIError
            If something of the image is missing, or a value cannot be.
        """
        session, viewer = self._desk.session, self._desk.viewer
        channels = None if session is None else self.source.inputs(session.model)[1]
        return settings_of(
            {
                "engine": self.engine.value,
                "device": self.device.value,
                "channels": channels,
                "planes": self.source.chosen_planes(viewer.dims.point),
                "region": self.source.chosen_region(),
                **self._fed_so(),
                **self._beside(),
            }
        )

    def without_image(self) -> RunSettings:
        """How to run the network, but for what is chosen of an image.

        Raises
        ------
        ImageError
            If a value cannot be.
        """
        return settings_of(
            {
                "engine": self.engine.value,
                "device": self.device.value,
                **self._fed_so(),
                **self._beside(),
            }
        )

    def check(self, model: Model) -> None:
        """See whether a model could be fed by what is chosen now.

        Raises
        ------
        ImagecAIError
            If it cannot.
        """
        self.source.check(model)
        settings_of(self._fed_so())

    def _fed_so(self) -> dict[str, Any]:
        """What the form says of how the network is fed."""
        return self.assumptions.settings() | {"object_size": self.object_size.value()}

    def _beside(self) -> dict[str, Any]:
        """Settings of a run that have no control, as a recipe or an answer set them."""
        session = self._desk.session
        knowingly = session is not None and not session.verify
        return self._unshown | ({"verify": False} if knowingly else {})

    # -- what the person changes -------------------------------------------------------

    def _source_changed(self) -> None:
        self.scenes.follow()
        self._desk.check()

    def _feeding_changed(self) -> None:
        session = self._desk.session
        if session is not None:
            model = session.model
            before = chosen_before.feed_for(model)
            try:
                feed = settings_of({"channels": before.channels, **self._fed_so()})
            except ImagecAIError:
                self._desk.check()  # says what cannot be; nothing of it is kept
                return
            chosen_before.keep_feed(model, feed)
            if feed.classes != before.classes and self._desk.classes_told(feed.classes):
                return
        if not self._desk.check() and self._showing.results is not None:
            self._desk.say("Run again to feed the network so.")

    def _channels_changed(self) -> None:
        """Remember which channel of an image is which of the network's."""
        session = self._desk.session
        if session is None:
            return
        try:
            _, channels = self.source.inputs(session.model)
        except ImagecAIError:
            return  # some rows are still to be chosen
        feed = chosen_before.feed_for(session.model).model_copy(
            update={"channels": channels}
        )
        chosen_before.keep_feed(session.model, feed)

    def _reading_changed(self) -> None:
        state = self._desk.state()
        if state is not None:
            session, settings, _ = state
            chosen_before.keep_choice(session.model, session.decoder, settings)
        self._desk.tune_soon()

    def _forget(self) -> None:
        """The description counts again, and nothing that was chosen before."""
        session = self._desk.session
        if session is None:
            return
        chosen_before.forget(session.model)
        self.show_feed(chosen_before.feed_for(session.model))
        self._desk.classes_told(None)
        self.assumptions.reading.set_values(session.defaults.model_dump())
        self._desk.say(f"For '{session.model.name}' its description counts again.")
        self._desk.tune_soon()
