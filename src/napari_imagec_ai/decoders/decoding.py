"""Decodes: from a network's raw output to objects, images or scores."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np

from napari_imagec_ai.decoders.confidence import calibrated, sure
from napari_imagec_ai.decoders.decoder import (
    Decoder,
    S,
    Settings,
    settings_with,
)
from napari_imagec_ai.decoders.plausible import implausible
from napari_imagec_ai.decoders.registry import (
    choose_decoder,
    decoder_of,
)
from napari_imagec_ai.engines.faults import enough_memory
from napari_imagec_ai.image.blocks import LARGE
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.part_to_whole import in_whole
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.result import Result


@functools.cache
def compile_loops() -> None:
    """Compile the loops of the decoders, where that was not done before.

    Without this the first decoding does it, and takes some seconds more.
    """
    from napari_imagec_ai.decoders.splitting.split_touching import compile_splitting
    from napari_imagec_ai.results.measure import compile_measuring

    compile_measuring()
    compile_splitting()


def decode(
    prediction: Prediction, settings: Settings | None = None, **changes: Any
) -> Result:
    """Turn a network's raw output into objects, images or scores.

    Parameters
    ----------
    prediction : Prediction
        From :func:`napari_imagec_ai.predict`; not changed.
    settings : Settings, optional
        Of one of the decoders, which they choose; by default the model's own decoder
        with the model's own settings.
    **changes
        Fields of these settings by name, such as ``mask_threshold=0.4``, in the place
        of what they say.

    Returns
    -------
    Objects, Images or Scores
        By the decoder: objects with ids from 1 and features, from most of them.

    Raises
    ------
    DecodeError
        If the output cannot be decoded so.
    """
    if settings is None:
        decoder = choose_decoder(prediction.model)
        settings = decoder.defaults(prediction.model)
    else:
        decoder = decoder_of(settings)
    if changes:
        settings = settings_with(settings, changes)
    return run_decoder(decoder, prediction, settings)


def run_decoder(decoder: Decoder[S], prediction: Prediction, settings: S) -> Result:
    """Decode with these settings; in blocks, where the maps are large.

    Objects of a region lie in pixels of the whole image.

    Raises
    ------
    DecodeError
        If the output cannot be decoded so.
    """
    with enough_memory("to find the objects"):
        found = _placed(decoder, prediction, settings)
        if not isinstance(found, Objects):
            return found
        told = implausible(prediction, found)
        found = sure(calibrated(found, prediction.model), settings)
    return replace(found, assumed=(*found.assumed, *told)) if told else found


def _placed(decoder: Decoder[S], prediction: Prediction, settings: S) -> Result:
    """What is found, in pixels of the whole image."""
    found = _decoded(decoder, prediction, settings)
    if isinstance(found, Objects) and prediction.cut is not None:
        return in_whole(found, prediction.cut)
    return found


def _decoded(decoder: Decoder[S], prediction: Prediction, settings: S) -> Result:
    size = math.prod(prediction.frame.shape[-len(prediction.space) :])
    if size <= LARGE or decoder.gives is not Objects or not prediction.maps:
        return decoder.decode(prediction, settings)
    from napari_imagec_ai.decoders.in_blocks import decode_in_blocks

    several = decoder.layers(prediction, settings) if decoder.layers else ()
    if len(several) > 1 and decoder.together is not None:
        layers = [_placed(decoder, prediction, each) for each in several]
        return decoder.together(
            prediction, [each for each in layers if isinstance(each, Objects)]
        )

    settled, sentence = settings, ""
    if decoder.settle is not None:
        settled, sentence = decoder.settle(prediction, settings)

    def decode_part(part: Prediction) -> Objects:
        found = decoder.decode(part, settled)
        assert isinstance(found, Objects)
        return found

    smallest = int(getattr(settled, "min_size", 0))
    return decode_in_blocks(prediction, decode_part, sentence, smallest)


def follow(
    decoder: Decoder[S], prediction: Prediction, settings: S, before: S, found: Result
) -> Objects | None:
    """What a moved setting does, at once: see :class:`Decoder`.

    Parameters
    ----------
    decoder, prediction, settings
        As for :func:`run_decoder`.
    before, found
        Settings and outcome of the last full decoding.

    Returns
    -------
    Objects or None
        None where only a full decoding tells.
    """
    if decoder.follow is None or not isinstance(found, Objects):
        return None
    if prediction.cut is not None or not isinstance(found.label_image, np.ndarray):
        return None
    followed = decoder.follow(prediction, settings, before, found)
    if followed is None:
        return None
    return sure(calibrated(followed, prediction.model), settings)
