"""Which decoders there are, and which one a model is decoded with.

Others can be added under the entry point group ``napari_imagec_ai.decoders``: the
object is a :class:`napari_imagec_ai.decoders.decoder.Decoder`.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from napari_imagec_ai.decoders.decoder import (
    Decoder,
    Settings,
)
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS

GROUP = "napari_imagec_ai.decoders"

_log = logging.getLogger(__name__)


def _built_in() -> dict[str, Decoder[Any]]:
    from napari_imagec_ai.decoders.boxes.rcnn import RCNN
    from napari_imagec_ai.decoders.boxes.yolo import YOLO
    from napari_imagec_ai.decoders.flows.cellpose import CELLPOSE
    from napari_imagec_ai.decoders.pixels.affinities import AFFINITIES
    from napari_imagec_ai.decoders.pixels.labels import LABELS
    from napari_imagec_ai.decoders.pixels.semantic import SEMANTIC
    from napari_imagec_ai.decoders.pixels.unet import UNET
    from napari_imagec_ai.decoders.stars.stardist import STARDIST
    from napari_imagec_ai.decoders.whole_outputs import IMAGE, SCORES

    maps = (UNET, SEMANTIC, AFFINITIES, LABELS, STARDIST, CELLPOSE)
    known = (*maps, YOLO, RCNN, IMAGE, SCORES)
    return {decoder.name: decoder for decoder in known}


def decoders() -> dict[str, Decoder[Any]]:
    """All decoders by name: those built in, then those of other packages."""
    known = _built_in()
    # None of another package takes the place of one of ours.
    return known | _of_others(tuple(sys.path)) | known


@functools.lru_cache(maxsize=1)
def _of_others(paths: tuple[str, ...]) -> dict[str, Decoder[Any]]:
    """Decoders of the packages that are installed in these folders.

    To look for them takes milliseconds, for every move of a slider.
    """
    found = {}
    for point in entry_points(group=GROUP):
        try:
            found[point.name] = point.load()
        except (ImportError, AttributeError) as error:
            # One broken package must not take the other decoders away.
            _log.warning("the decoder '%s' does not load: %s", point.name, error)
    return found


def get_decoder(name: str) -> Decoder[Any]:
    """The decoder of that name.

    Raises
    ------
    DecodeError
        If there is none.
    """
    known = decoders()
    if name not in known:
        raise DecodeError(
            f"There is no decoder '{name}'; choose one of {', '.join(known)}."
        )
    return known[name]


def guess_decoder(model: Model) -> Decoder[Any] | None:
    """The decoder that a model asks for or is recognised by; None: a person chooses.

    ``config.napari_imagec_ai.decoder`` of the description comes first.
    """
    known = decoders()
    named = model.settings.get("decoder")
    if isinstance(named, str) and named in known:
        return known[named]
    fitting = list(_recognised(model, known))
    return fitting[0] if len(fitting) == 1 else None


def _recognised(model: Model, known: dict[str, Decoder[Any]]) -> Iterator[Decoder[Any]]:
    for decoder in known.values():
        if decoder.recognises(model):
            yield decoder


def choose_decoder(model: Model, name: str | None = None) -> Decoder[Any]:
    """The decoder of that name, or the model's own.

    Raises
    ------
    DecodeError
        If neither is known.
    """
    if name is not None:
        return get_decoder(name)
    decoder = guess_decoder(model)
    if decoder is None:
        raise DecodeError(
            f"It is not known how to decode the output of '{model.name}' (its kind is "
            f"'{model.kind}'); choose a decoder: {', '.join(decoders())}."
        )
    return decoder


def decoder_of(settings: Settings) -> Decoder[Any]:
    """The decoder that takes these settings.

    Raises
    ------
    DecodeError
        If none does.
    """
    for decoder in decoders().values():
        if type(settings) is decoder.settings:
            return decoder
    raise DecodeError(
        f"No decoder takes {type(settings).__name__}; use the settings of one of "
        f"{', '.join(decoders())}."
    )


def class_threshold(model: Model, decoder: Decoder[Any] | None = None) -> float:
    """The class threshold to begin with: the description's own, else what is usual.

    Parameters
    ----------
    model : Model
        Which one.
    decoder : Decoder, optional
        What it is decoded with; its own by default.
    """
    yolo = model.hints.get("yolo")
    told = yolo.get("conf") if isinstance(yolo, Mapping) else None
    for value in (model.settings.get("class_threshold"), told):
        if isinstance(value, (int, float)) and 0 <= value <= 1:
            return float(value)
    decoder = decoder or guess_decoder(model)
    usual = None if decoder is None else decoder.defaults(model)
    # Objects below are not even made: the filter must not take more of them.
    least = getattr(usual, "prob_threshold", 1.0)
    return 0.25 if model.kind in DETECTORS else min(0.5, least)
