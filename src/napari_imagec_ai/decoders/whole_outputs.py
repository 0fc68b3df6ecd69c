"""Scores: a network's answer about the whole image, with the names of the classes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_imagec_ai.decoders import activation
from napari_imagec_ai.decoders.decoding import Decoder, Settings, as_described
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.scores import Scores
from napari_imagec_ai.run.predicting import Prediction


class ScoreSettings(Settings):
    """What a person may set for scores."""

    output: str = Field("", description="Name of the output; empty: the first.")
    activation: Literal["none", "sigmoid", "softmax"] = Field(
        "none", description="Turns the network's own numbers into probabilities."
    )


def decode_scores(prediction: Prediction, settings: ScoreSettings) -> Scores:
    """Give the numbers of one output; see :class:`Decoder`."""
    known = prediction.vectors
    name = settings.output or next(iter(known), "")
    if not known:
        raise DecodeError(
            f"Expected a network that gives scores of the whole image, but "
            f"'{prediction.model.name}' gives none; choose another decoder."
        )
    if name not in known:
        raise DecodeError(
            f"'{prediction.model.name}' gives no scores under the name '{name}'; "
            f"choose from {', '.join(known)}."
        )
    values = known[name]
    spec = next(spec for spec in prediction.model.outputs if spec.id == name)
    scores = activation.apply(settings.activation, values, values.ndim - 1)
    count = values.shape[-1]
    classes = prediction.model.classes
    if len(classes) != count:  # an output that the description's classes are not for
        classes = spec.channel_names or tuple(f"class {n + 1}" for n in range(count))
    return Scores(
        frame=prediction.frame,
        planes=prediction.frame.axes[: values.ndim - 1],
        classes=classes[:count],
        values=scores,
        assumed=(*prediction.assumed, *_notice(scores)),
    )


def _notice(scores: NDArray[np.float32]) -> list[str]:
    low, high = float(scores.min()), float(scores.max())
    if low >= 0 and high <= 1:
        return []
    sentence = (
        f"The scores are the network's own numbers ({low:.3g} to {high:.3g}), and no "
        "probabilities."
    )
    return [sentence]


SCORES = Decoder(
    name="scores",
    title="Scores of the whole image",
    settings=ScoreSettings,
    decode=decode_scores,
    defaults=lambda model: as_described(ScoreSettings(), model),
    recognises=lambda model: model.kind == "scores",
    gives=Scores,
)
