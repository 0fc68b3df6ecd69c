"""Images: shows what a network gives as it is."""

from __future__ import annotations

from pydantic import Field

from napari_imagec_ai.decoders.decoding import Decoder, Settings, as_described
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.run.predicting import Prediction


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
    return Images(
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
