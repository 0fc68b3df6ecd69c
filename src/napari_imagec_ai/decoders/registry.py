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
    OF_MODEL,
    Decoder,
    S,
    Settings,
    settings_with,
)
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model import memory as model_memory
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS

GROUP = "napari_imagec_ai.decoders"

_log = logging.getLogger(__name__)

_TOPIC = "decoder"


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

    What a person chose for it comes first, then ``config.napari_imagec_ai.decoder`` of
    the description.
    """
    known = decoders()
    chosen = model_memory.recall(model, _TOPIC).get("decoder")
    for named in (chosen, model.settings.get("decoder")):
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


def starting_settings(decoder: Decoder[S], model: Model) -> S:
    """The settings to begin with: the model's own, with what a person chose for it.

    Raises
    ------
    DecodeError
        If a value in the model's description cannot be used.
    """
    settings = decoder.defaults(model)
    kept = model_memory.recall(model, _TOPIC).get("settings")
    if not isinstance(kept, Mapping):
        return settings
    fields = _of_model(decoder)
    known = {name: value for name, value in kept.items() if name in fields}
    try:
        return settings_with(settings, known)
    except DecodeError:  # kept by another version, for which it meant another thing
        return settings


def keep_choice(model: Model, decoder: Decoder[S], settings: S) -> None:
    """Remember how this model is decoded: the decoder, and which channel is what.

    Thresholds and the like belong to an image, and are not kept.
    """
    usual = decoder.defaults(model)
    changed = {
        name: value
        for name, value in settings.model_dump(mode="json").items()
        if name in _of_model(decoder) and value != usual.model_dump(mode="json")[name]
    }
    choice: dict[str, Any] = {"settings": changed} if changed else {}
    model_memory.keep(model, _TOPIC, {})
    if guess_decoder(model) is not decoder:
        choice["decoder"] = decoder.name
    model_memory.keep(model, _TOPIC, choice)


def _of_model(decoder: Decoder[Any]) -> set[str]:
    """Settings that say what the model's output means."""
    return {
        name
        for name, field in decoder.settings.model_fields.items()
        if isinstance(field.json_schema_extra, dict)
        and field.json_schema_extra.get(OF_MODEL)
    }


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


def class_threshold(model: Model) -> float:
    """The class threshold to begin with: the description's own, else what is usual."""
    yolo = model.hints.get("yolo")
    told = yolo.get("conf") if isinstance(yolo, Mapping) else None
    for value in (model.settings.get("class_threshold"), told):
        if isinstance(value, (int, float)) and 0 <= value <= 1:
            return float(value)
    decoder = guess_decoder(model)
    usual = None if decoder is None else decoder.defaults(model)
    # Objects below are not even made: the filter must not take more of them.
    least = getattr(usual, "prob_threshold", 1.0)
    return 0.25 if model.kind in DETECTORS else min(0.5, least)
