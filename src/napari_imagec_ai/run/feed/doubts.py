"""Whether an image is one that the network was made for: sentences, never a refusal."""

from __future__ import annotations

from napari_imagec_ai.image.appearance import Looks, look_at
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.domain import Domain, domain_of

_HARDLY = "what it finds is hardly to be believed"


def doubts(
    model: Model, image: ImageInput, channels: tuple[int, ...] = (0,)
) -> tuple[str, ...]:
    """Sentences on what the image lacks for this network; empty where it fits.

    Parameters
    ----------
    model : Model
        For what its description tells of the images it knows.
    image : ImageInput
        To look at.
    channels : tuple of int
        Those that the network gets.
    """
    domain = domain_of(model)
    if domain == Domain():
        return ()
    channel = channels[0] if len(channels) == 1 else None
    return doubts_of(domain, look_at(image, channel), model.name, image.name)


def doubts_of(domain: Domain, looks: Looks, model: str, image: str) -> tuple[str, ...]:
    """The same, of what was seen."""
    if looks.flat:
        return ()  # the run itself says that there is nothing to tell apart
    found = []
    if domain.polarity == "bright on dark" and looks.bright_background:
        kind = "a picture in colours" if looks.coloured else "a picture"
        found.append(
            f"'{model}' knows objects that are bright on dark, but '{image}' looks "
            f"like {kind} with a bright background: {_HARDLY}; choose a model for "
            "such images, another channel, or invert the image."
        )
    elif domain.polarity == "dark on bright" and not looks.bright_background:
        found.append(
            f"'{model}' knows objects that are dark on bright, but '{image}' has a "
            f"dark background: {_HARDLY}; choose a model for such images, or invert "
            "the image."
        )
    elif domain.colours == "colour" and not looks.coloured:
        found.append(
            f"'{model}' knows pictures in colours, but '{image}' has none: {_HARDLY}; "
            "choose a model for grey images."
        )
    if looks.noisy:
        found.append(f"'{image}' shows hardly more than noise; {_HARDLY}.")
    return tuple(found)
