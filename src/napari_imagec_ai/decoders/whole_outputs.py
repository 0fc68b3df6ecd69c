"""Outputs shown as they are: images, or scores of the whole image with class names."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_imagec_ai.decoders import activation
from napari_imagec_ai.decoders.decoder import Decoder, Settings, as_described
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.scores import Scores


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


class ImageSettings(Settings):
    """What a person may set for images."""

    outputs: tuple[str, ...] = Field(
        (), description="Names of the outputs to show; none: all that are images."
    )


def decode_images(prediction: Prediction, settings: ImageSettings) -> Images:
    """Give the maps as they are; see :class:`Decoder`."""
    known = list(prediction.maps)
    strange = [name for name in settings.outputs if name not in known]
    if strange or not known:
        raise DecodeError(
            f"Output '{(strange or [o.id for o in prediction.model.outputs])[0]}' of "
            f"'{prediction.model.name}' is no image; choose from "
            f"{', '.join(known) or 'the other decoders'}."
        )
    chosen = settings.outputs or known
    names = {spec.id: spec.channel_names for spec in prediction.model.outputs}
    space = prediction.space
    deep = {spec.id: spec.own_depth(space) for spec in prediction.model.outputs}
    return Images(
        depths={name: n for name, n in deep.items() if n > 1 and name in chosen},
        frame=prediction.frame,
        space=prediction.space,
        maps={name: prediction.maps[name] for name in chosen},
        channel_names={name: names.get(name, ()) for name in chosen},
        assumed=prediction.assumed,
    )


IMAGE = Decoder(
    name="image",
    title="Images as they are",
    settings=ImageSettings,
    decode=decode_images,
    defaults=lambda model: as_described(ImageSettings(), model),
    recognises=lambda model: model.kind == "image",
    gives=Images,
)
