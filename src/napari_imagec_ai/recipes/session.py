"""The corridor with memory: it redoes only what changed."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from dataclasses import replace
from typing import Any

from napari_imagec_ai.decoders.decoder import Decoder, Settings
from napari_imagec_ai.decoders.decoding import compile_loops, follow, run_decoder
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.decoders.visible_part import View
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.opening_weights import open_engine, preferred_isolated
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.recipes.recipe import (
    Recipe,
    Used,
    describe_model,
    found_out,
    settled,
)
from napari_imagec_ai.results.class_map import ClassMap
from napari_imagec_ai.results.classifying import classify
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.run.feed.inputs import InputImages, input_key
from napari_imagec_ai.run.predicting import predict_iter
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.system import threads
from napari_imagec_ai.system.progress import Progress
from napari_imagec_ai.system.version import version


class Session:
    """One model and one image, tuned again and again.

    Parameters
    ----------
    model : Model
        Which one.
    decoder : str, optional
        Which decoder; the model's own by default.

    Attributes
    ----------
    verify : bool
        Whether weights that are not those of the description are refused.

    Raises
    ------
    DecodeError
        If the decoder is not known.
    """

    def __init__(self, model: Model, decoder: str | None = None) -> None:
        self._described = model
        self.model = model
        self.decoder: Decoder[Settings] = choose_decoder(model, decoder)
        self.prediction: Prediction | None = None
        self._predict_key: Hashable = None
        self._decoded: tuple[tuple[Hashable, Settings], Result] | None = None
        self._followed: Result | None = None
        self._view: tuple[Hashable, View[Settings]] | None = None
        self._engine: tuple[Hashable, Engine] | None = None
        self.verify = True

    def fresh(self, engine: bool = True) -> Session:
        """The same model, read in the same way, for another image.

        Parameters
        ----------
        engine : bool
            Whether the open network goes over to it; this session opens it again when
            it runs.
        """
        other = Session(self._described, self.decoder.name)
        other.model, other.verify = self.model, self.verify
        if engine:
            other.take_engine(self)
        return other

    def take_engine(self, other: Session) -> None:
        """Go on with the open network of another session, where it is of one model."""
        if other is self or other.model.path != self.model.path:
            return
        if self._engine is None:
            self._engine, other._engine = other._engine, None

    def use(self, decoder: str) -> None:
        """Read the output in another way from now on; the prediction stays."""
        self.decoder, self._decoded = choose_decoder(self.model, decoder), None

    def tell(self, classes: Sequence[str] | None) -> bool:
        """Take these for the names of the network's classes; None: as described.

        Returns
        -------
        bool
            Whether that can be done with what was predicted. Else the network has to
            run again: the number of classes decides how rows of boxes are read.
        """
        self.model = self._described.with_classes(classes)
        held, names = self.prediction, self.model.classes
        if held is None:
            return True
        layout = held.layout
        if layout is not None and len(names) == len(layout.names):
            layout = replace(layout, names=names)
        elif layout is not None:
            return False
        self.prediction = replace(held, model=self.model, layout=layout)
        self._decoded = None
        return True

    def moved(self, model: Model) -> None:
        """The same model lies in another place, or was read again."""
        told = self.model.classes if self.model.classes_by_hand else None
        self._described, self.model = model, model.with_classes(told)

    @property
    def defaults(self) -> Settings:
        """The decoder's settings to begin with."""
        return self.decoder.defaults(self.model)

    def run(
        self, image: InputImages, settings: RunSettings
    ) -> Generator[Progress, None, Prediction]:
        """Run the network, unless it ran on these pixels with these settings.

        Yields progress and returns the prediction; closing it stops the run and keeps
        the last prediction.
        """
        # Names of classes change nothing in the maps that a network gives.
        names = set() if self.model.kind in DETECTORS else {"classes"}
        key = (input_key(image), settings.model_dump_json(exclude=names))
        if self.prediction is not None and key == self._predict_key:
            return self.prediction
        threads.aside(compile_loops)
        prediction = yield from predict_iter(
            self.model,
            image,
            settings,
            engine=self._open(settings),
        )
        self.hold(prediction)
        self._predict_key = key
        return prediction

    def hold(self, prediction: Prediction) -> None:
        """Tune this prediction from now on."""
        self.prediction, self._predict_key, self._decoded = prediction, None, None
        self._followed = self._view = None

    def place(self, frame: Frame) -> None:
        """The image has another pixel size than it was said to have when it ran.

        Parameters
        ----------
        frame : Frame
            Of the image as it is now: pixel size and unit are taken from it.
        """
        held = self.prediction
        if held is None:
            return
        now: dict[str, Any] = {
            "pixel_size": frame.pixel_size,
            "unit": frame.unit,
            "unsized": frame.unsized,
        }
        cut = held.cut
        if cut is not None:
            cut = replace(cut, whole=replace(cut.whole, **now))
        self.hold(replace(held, frame=replace(held.frame, **now), cut=cut))

    def result(
        self, settings: Settings, class_map: ClassMap, *, moving: bool = False
    ) -> Result:
        """Decode and classify the prediction, from the first stage that changed.

        Parameters
        ----------
        settings, class_map
            What to do.
        moving : bool
            A setting is just being moved: what follows it at once is enough, until it
            rests. Touching objects stay taken apart as they were.
        """
        if self.prediction is None:
            raise DecodeError("Nothing was run yet; run the network first.")
        key = (self.prediction.key, settings)
        if self._decoded is None or self._decoded[0] != key:
            followed = self._follow(settings) if moving else None
            if followed is not None:
                self._followed = followed
                return classify(followed, class_map)
            found = run_decoder(self.decoder, self.prediction, settings)
            self._decoded = (key, found)
        self._followed = None
        return classify(self._decoded[1], class_map)

    def is_decoded(self, settings: Settings) -> bool:
        """Whether the last full decoding was one with these settings."""
        if self._decoded is None or self.prediction is None:
            return False
        return self._decoded[0] == (self.prediction.key, settings)

    def part(
        self,
        settings: Settings,
        class_map: ClassMap,
        box: Sequence[tuple[int, int]],
        index: tuple[int, ...] = (),
        step: int = 1,
    ) -> Objects:
        """Decode and classify a part of the prediction, and leave the whole as it is.

        Parameters
        ----------
        settings, class_map
            What to do.
        box, index, step
            As for :class:`napari_imagec_ai.decoders.visible_part.View`, which is kept
            for the next time.
        """
        if self.prediction is None:
            raise DecodeError("Nothing was run yet; run the network first.")
        key = (self.prediction.key, self.decoder.name, tuple(box), index, step)
        if self._view is None or self._view[0] != key:
            view = View(self.prediction, self.decoder, box, index, step)
            self._view = (key, view)
        return classify(self._view[1].decode(settings), class_map.of_each_plane())

    def _follow(self, settings: Settings) -> Result | None:
        if self._decoded is None or self.prediction is None:
            return None
        (run, before), found = self._decoded
        if run != self.prediction.key:
            return None
        return follow(self.decoder, self.prediction, settings, before, found)

    @property
    def decoded(self) -> Result | None:
        """The last decoding, before any object was left out."""
        if self._followed is not None:
            return self._followed
        return self._decoded[1] if self._decoded is not None else None

    def recipe(
        self, predicted: RunSettings, settings: Settings, class_map: ClassMap
    ) -> Recipe:
        """What would make this result again."""
        ran = self.prediction
        return Recipe(
            model=describe_model(self.model),
            predict=predicted if ran is None else settled(predicted, ran),
            decoder=self.decoder.name,
            settings=settings.model_dump(mode="json"),
            classes=class_map,
            used=Used(
                engine=ran.engine if ran else "",
                device=ran.device if ran else "",
                napari_imagec_ai=version(),
                assumed=ran.assumed if ran else (),
                found=found_out(predicted) if ran else (),
            ),
        )

    def _open(self, settings: RunSettings) -> Engine:
        """The engine, kept open between runs."""
        name, device = settings.engine, settings.device
        verify = settings.verify and self.verify
        key = (name, device, verify, preferred_isolated())
        if self._engine is None or self._engine[0] != key:
            self.close()
            knowingly = {} if verify else {"verify": False}
            self._engine = (key, open_engine(self.model, name, device, **knowingly))
        return self._engine[1]

    def close(self) -> None:
        """Give the network's memory back."""
        if self._engine is not None:
            self._engine[1].close()
            self._engine = None
