"""The corridor with memory: it redoes only what changed."""

from __future__ import annotations

from collections.abc import Generator, Hashable

from pydantic import ValidationError

from napari_imagec_ai import memory
from napari_imagec_ai.classes import ClassMap, classify
from napari_imagec_ai.decoders import (
    Decoder,
    Result,
    Settings,
    choose_decoder,
    run_decoder,
    starting_settings,
)
from napari_imagec_ai.engines import Engine, open_engine
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.inputs import InputImages, input_key
from napari_imagec_ai.model import Model
from napari_imagec_ai.prediction import Prediction, predict_iter
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.recipe import PredictSettings, Recipe, Used, describe_model
from napari_imagec_ai.version import version

KEPT = ("normalize", "scale", "halo", "channels", "overlap", "percentiles")
"""How a network is fed: what a person chose of it is kept with the model."""

_FEEDING, _DECODER = "feeding", "decoder"


def starting_feed(model: Model) -> PredictSettings:
    """How to feed a model to begin with: as it is described, or as a person chose."""
    try:
        return PredictSettings.model_validate(memory.recall(model, _FEEDING))
    except ValidationError:  # kept by another version, for which it meant another thing
        return PredictSettings()


def keep_feed(model: Model, settings: PredictSettings) -> None:
    """Remember how this model is fed, where that is not as usual."""
    usual = PredictSettings()
    chosen = settings.model_dump(
        mode="json",
        include={
            name for name in KEPT if getattr(settings, name) != getattr(usual, name)
        },
    )
    memory.keep(model, _FEEDING, chosen)


def forget(model: Model) -> None:
    """Forget what a person chose for this model: the description counts again."""
    for topic in (_FEEDING, _DECODER):
        memory.keep(model, topic, {})


class Session:
    """One model and one image, tuned again and again.

    Parameters
    ----------
    model : Model
        Which one.
    decoder : str, optional
        Which decoder; the model's own by default.

    Raises
    ------
    DecodeError
        If the decoder is not known.
    """

    def __init__(self, model: Model, decoder: str | None = None) -> None:
        self.model = model
        self.decoder: Decoder[Settings] = choose_decoder(model, decoder)
        self.prediction: Prediction | None = None
        self._predict_key: Hashable = None
        self._decoded: tuple[Hashable, Result] | None = None
        self._engine: tuple[Hashable, Engine] | None = None

    def use(self, decoder: str) -> None:
        """Read the output in another way from now on; the prediction stays."""
        self.decoder, self._decoded = choose_decoder(self.model, decoder), None

    @property
    def defaults(self) -> Settings:
        """The decoder's settings to begin with."""
        return starting_settings(self.decoder, self.model)

    def run(
        self, image: InputImages, settings: PredictSettings
    ) -> Generator[Progress, None, Prediction]:
        """Run the network, unless it ran on these pixels with these settings.

        Yields progress and returns the prediction; closing it stops the run and keeps
        the last prediction.
        """
        key = (input_key(image), settings.model_dump_json())
        if self.prediction is not None and key == self._predict_key:
            return self.prediction
        prediction = yield from predict_iter(
            self.model,
            image,
            engine=self._open(settings.engine, settings.device),
            **settings.arguments(),
        )
        self.hold(prediction)
        self._predict_key = key
        return prediction

    def hold(self, prediction: Prediction) -> None:
        """Tune this prediction from now on."""
        self.prediction, self._predict_key, self._decoded = prediction, None, None

    def result(self, settings: Settings, class_map: ClassMap) -> Result:
        """Decode and classify the prediction, from the first stage that changed."""
        if self.prediction is None:
            raise DecodeError("Nothing was run yet; run the network first.")
        key = (self.prediction.key, settings)
        if self._decoded is None or self._decoded[0] != key:
            found = run_decoder(self.decoder, self.prediction, settings)
            self._decoded = (key, found)
        return classify(self._decoded[1], class_map)

    @property
    def decoded(self) -> Result | None:
        """The last decoding, before any object was left out."""
        return self._decoded[1] if self._decoded is not None else None

    def recipe(
        self, predicted: PredictSettings, settings: Settings, class_map: ClassMap
    ) -> Recipe:
        """What would make this result again."""
        ran = self.prediction
        return Recipe(
            model=describe_model(self.model),
            predict=predicted,
            decoder=self.decoder.name,
            settings=settings.model_dump(mode="json"),
            classes=class_map,
            used=Used(
                engine=ran.engine if ran else "",
                device=ran.device if ran else "",
                napari_imagec_ai=version(),
                assumed=ran.assumed if ran else (),
            ),
        )

    def _open(self, name: str, device: str) -> Engine:
        """The engine, kept open between runs."""
        if self._engine is None or self._engine[0] != (name, device):
            self.close()
            self._engine = ((name, device), open_engine(self.model, name, device))
        return self._engine[1]

    def close(self) -> None:
        """Give the network's memory back."""
        if self._engine is not None:
            self._engine[1].close()
            self._engine = None
