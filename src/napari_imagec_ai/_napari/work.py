"""What the widget's workers do: run a network, decode; no window is known here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from napari_imagec_ai.classes import ClassMap
from napari_imagec_ai.decoders import Result, Settings
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.inputs import InputImages
from napari_imagec_ai.prediction import Prediction
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.recipe import PredictSettings
from napari_imagec_ai.session import Session

_LIVE_PIXELS = 1 << 21
"""Up to this many pixels are tuned on the spot, larger results by a worker."""

_LIVE_WINDOWS = 2
"""The same for detectors, in windows of the network."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker brings back; errors are sentences, since workers raise errors."""

    prediction: Prediction | None = None
    result: Result | None = None
    problem: str = ""


def run(
    session: Session,
    images: InputImages,
    predicted: PredictSettings,
    settings: Settings,
    class_map: ClassMap,
) -> Generator[Progress, None, Outcome]:
    """Predict and decode; what a person can mend comes back as a value."""
    try:
        prediction = yield from session.run(images, predicted)
        result = session.result(settings, class_map)
    except ImagecAIError as error:
        return Outcome(problem=str(error))
    return Outcome(prediction, result)


def tune(session: Session, settings: Settings, class_map: ClassMap) -> Outcome:
    """Decode and classify what was predicted."""
    try:
        return Outcome(result=session.result(settings, class_map))
    except ImagecAIError as error:
        return Outcome(problem=str(error))


def is_small(prediction: Prediction) -> bool:
    """Whether a result can be tuned between two pictures of the screen."""
    pixels = sum(values.size for values in prediction.maps.values())
    return pixels <= _LIVE_PIXELS and len(prediction.windows) <= _LIVE_WINDOWS
