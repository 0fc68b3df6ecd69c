"""Which channels of an image feed which channels of a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.model.description import TensorSpec
from napari_imagec_ai.results.prediction import EMPTY

LUMINANCE = np.array([0.2125, 0.7154, 0.0721], np.float32)
"""Weights of red, green and blue in the luminance of ITU-R BT.709, as scikit-image."""


def match_channels(
    spec: TensorSpec, image: ImageInput, wanted: Sequence[int] | None
) -> tuple[tuple[int, ...], bool, tuple[str, ...]]:
    """Channels of the image for those of a network's input, in its order.

    Parameters
    ----------
    spec : TensorSpec
        The input.
    image : ImageInput
        The image.
    wanted : sequence of int or None
        What the person chose, :data:`EMPTY` for none; None: what follows from the
        numbers of channels and from whether the image has colours, never from a size
        of 3 or 4 alone.

    Returns
    -------
    channels, luminance, sentences
        Whether the three channels are to be mixed into one, and what was assumed.

    Raises
    ------
    ImageError
        If the channels do not fit.
    """
    need = spec.channels
    if wanted is not None:
        return _checked(spec, image, wanted), False, ()
    # The transparency of a colour image is no channel.
    have = 3 if image.rgb else image.size("C")
    if image.rgb and need == 1:
        sentence = "The colour image was turned into grey by its luminance."
        return (0, 1, 2), True, (sentence,)
    if image.rgb and (order := _colours(spec)):
        return order, False, ()
    if need is None or need == have:
        return tuple(range(have)), False, ()
    if have == 1 and need == 3:
        sentence = "The grey image was given to all 3 channels of the network."
        return (0, 0, 0), False, (sentence,)
    if need is not None and have < need and _rest_is_optional(spec, have):
        names = ", ".join(spec.channel_names[have:])
        sentence = f"The image has no channel for {names}; the network got zeros there."
        return (*range(have), *(EMPTY,) * (need - have)), False, (sentence,)
    raise ImageError(
        f"The network takes {_described(spec)}, but '{image.name}' has {have}; choose "
        "which channel of the image feeds which channel of the network (--channels)."
    )


def _rest_is_optional(spec: TensorSpec, have: int) -> bool:
    """Whether channels behind the first ones are named as such: nuclei_optional."""
    rest = spec.channel_names[have:]
    return bool(rest) and all(name.lower().endswith("optional") for name in rest)


def _colours(spec: TensorSpec) -> tuple[int, ...]:
    """Channels of a colour image by the names of the network's, such as b, g, r."""
    letters = "".join(name.strip().lower()[:1] for name in spec.channel_names)
    whole = all(
        name.strip().lower() in ("r", "g", "b", "red", "green", "blue")
        for name in spec.channel_names
    )
    if not whole or sorted(letters) != ["b", "g", "r"]:
        return ()
    return tuple("rgb".index(letter) for letter in letters)


def _checked(
    spec: TensorSpec, image: ImageInput, wanted: Sequence[int]
) -> tuple[int, ...]:
    have, need = image.size("C"), spec.channels
    chosen = tuple(int(channel) for channel in wanted)
    if not all(EMPTY <= channel < have for channel in chosen) or set(chosen) == {EMPTY}:
        raise ImageError(
            f"'{image.name}' has the channels 0 to {have - 1}, but "
            f"{chosen!s:.60} were asked for; choose others, {EMPTY} for an empty one."
        )
    if len(chosen) == 1 and need is not None:
        return chosen * need
    if need is not None and len(chosen) != need:
        raise ImageError(
            f"The network takes {_described(spec)}, but {len(chosen)} were chosen; "
            "choose one channel of the image for each, or one for all."
        )
    return chosen


def _described(spec: TensorSpec) -> str:
    names = f" ({', '.join(spec.channel_names)})" if spec.channel_names else ""
    return f"{spec.channels} channel{'' if spec.channels == 1 else 's'}{names}"
