"""The scale of a run, from the size of objects that a person tells or that is found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.appearance import look_at
from napari_imagec_ai.image.blocks import LARGE
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.object_size import known_sizes, size_to_aim_at
from napari_imagec_ai.run.feed.feed import Feed
from napari_imagec_ai.run.feed.inputs import Inputs
from napari_imagec_ai.run.feed.pixel_size import chosen_scale
from napari_imagec_ai.run.settings import Normalize
from napari_imagec_ai.run.size.asked import ObjectSize, check_fits
from napari_imagec_ai.run.size.glance import Glance, can_glance
from napari_imagec_ai.run.size.ladder import Rung, climb

_DIFFERENT = 1.6
"""Planes whose objects differ by more in size are told of."""

_NEAR_ONE = 1.3
"""Scales this near to 1 gain less than resampling costs."""

_NOT_TOLD = (
    "The size of the objects could not be told from this image (none were found that "
    "the network is sure of); it ran as described."
)

_TOO_LARGE = (
    "The image is too large to be resized as a whole, so the size of its objects was "
    "not looked for; it ran as described. Run a region of it, or give their diameter."
)

_NO_WAY = (
    "The size of objects cannot be found out for this kind of network; it ran as "
    "described. Give their diameter instead."
)


@dataclass(frozen=True, slots=True)
class Choice:
    """How large the network shall see the image.

    Attributes
    ----------
    scale : tuple of float or None
        Pixels of the network for each of the image along each space axis; None: as
        described.
    object_size : float or None
        Diameter of the objects in pixels of the image, where it was told or found.
    sentences : tuple of str
        What was found out, and why.
    """

    scale: tuple[float, ...] | None = None
    object_size: float | None = None
    sentences: tuple[str, ...] = ()


AS_DESCRIBED = Choice()


def choose(
    model: Model,
    inputs: Inputs,
    engine: Engine,
    asked: ObjectSize | None,
    normalize: Normalize,
) -> Choice:
    """Choose the scale of a run.

    Parameters
    ----------
    model, inputs, engine
        What is run, on what, by what.
    asked : float, str or None
        See :data:`~napari_imagec_ai.run.size.asked.ObjectSize`; None: automatic where
        the model tells its sizes.
    normalize : Normalize
        What to do with grey values first.

    Raises
    ------
    ImageError
        If the size is larger than the image, or the model does not say which sizes it
        knows.
    """
    if asked is None:
        if known_sizes(model) is None or not can_glance(model, inputs):
            return AS_DESCRIBED
        return _automatic(model, inputs, engine, normalize)
    if asked == "as described":
        return AS_DESCRIBED
    if isinstance(asked, str):
        if not can_glance(model, inputs):
            return Choice(sentences=(_NO_WAY,))
        return _automatic(model, inputs, engine, normalize)
    return _told(model, inputs.main, asked)


def _told(model: Model, feed: Feed, size: float) -> Choice:
    check_fits(size, feed.image)
    aim = size_to_aim_at(model)
    if aim is None:
        raise ImageError(
            f"'{model.name}' does not say which sizes of objects it knows, so {size:g} "
            "pixels tell nothing; give a scale instead, or write "
            "config.napari_imagec_ai.object_size into its description."
        )
    return _scaled(feed, aim / size, size, f"Objects were told to be {size:g} px wide")


def _scaled(feed: Feed, scale: float, size: float | None, reason: str) -> Choice:
    """The same scale within a plane; across planes as the pixel sizes say."""
    if abs(math.log(scale)) < math.log(_NEAR_ONE):
        scale = 1.0
    scales = tuple(scale * part / feed.scale[-1] for part in feed.scale)
    chosen_scale(scales, feed.space)
    words = "x, ".join(f"{part:.2f}" for part in dict.fromkeys(scales))
    return Choice(scales, size, (f"{reason}; fed at {words}x.",))


def _automatic(
    model: Model, inputs: Inputs, engine: Engine, normalize: Normalize
) -> Choice:
    known, feed = known_sizes(model), inputs.main
    if feed.count * math.prod(feed.shape) > LARGE:
        return Choice(sentences=(_TOO_LARGE,))
    looks = look_at(feed.image)
    best = None
    if not (looks.flat or looks.noisy):
        glance = Glance(model, inputs, engine, normalize)
        best = climb(glance.look, known)
    if best is None:
        return Choice(sentences=(_NOT_TOLD,))
    # As it will stand in the recipe, so that the recipe gives the same scale.
    size = float(f"{best.in_image:.3g}")
    reason = f"Objects look about {size:.0f} px wide (found automatically)"
    if known is None:
        made = _scaled(feed, best.scale, None, reason)
    else:
        made = _scaled(feed, known.best / size, size, reason)
    return replace(made, sentences=(*made.sentences, *_planes(glance, best, model)))


def _planes(glance: Glance, best: Rung, model: Model) -> tuple[str, ...]:
    """A sentence where other planes have objects of another size."""
    others = [rung.in_image for rung in glance.other_planes(known_sizes(model))]
    sizes = [best.in_image, *others]
    if not others or max(sizes) / min(sizes) < _DIFFERENT:
        return ()
    sentence = (
        f"Objects differ between planes (about {min(sizes):.0f} to {max(sizes):.0f} px "
        "wide), and all planes were fed at one scale; choose planes, or give a size."
    )
    return (sentence,)
