"""Decoders: from a network's raw output to objects, images or scores.

A decoder is a record of functions and has no state. Others can be added under the entry
point group ``napari_imagec_ai.decoders``: the object is a :class:`Decoder`.
"""

from __future__ import annotations

import functools
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.blocks import LARGE
from napari_imagec_ai.model import memory as model_memory
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.placing import in_whole
from napari_imagec_ai.results.scores import Scores
from napari_imagec_ai.run.predicting import Prediction

GROUP = "napari_imagec_ai.decoders"

_log = logging.getLogger(__name__)

_TOPIC = "decoder"

OF_MODEL = "of_model"
"""Mark of a setting, in ``json_schema_extra``: it says what the model's output means,
and a person's choice of it is kept with the model."""

Result = Objects | Images | Scores
"""What a decoder may give."""


class Settings(BaseModel):
    """Base of every decoder's settings: frozen, hashable, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Decoder(Generic[S]):
    """How one family of networks is decoded.

    Attributes
    ----------
    name : str
        The word for it in recipes and on the command line.
    title : str
        The word for it in the widget.
    settings : type of Settings
        What a person may set; makes the form, the flags and the recipe.
    decode : callable
        Turns a prediction into objects, images or scores. Pure.
    defaults : callable
        The settings to begin with, for instance thresholds from the description.
    recognises : callable
        Whether a model is of this family, from its description.
    gives : type
        What comes out: Objects, Images or Scores.
    settle : callable or None
        Settings for the parts of a prediction, in which is chosen what depends on the
        whole of it, and a sentence on what had to be assumed; None: nothing does.
    layers : callable or None
        Settings for each of several layers of objects that may lie over each other;
        None: there is one.
    together : callable or None
        Makes one result of those of the layers.
    follow : callable or None
        While a setting moves: objects that are nearly those of a full decoding, in a
        fraction of its time, from the settings and objects of the last full one; gives
        None where it cannot.
    """

    name: str
    title: str
    settings: type[S]
    decode: Callable[[Prediction, S], Result]
    defaults: Callable[[Model], S]
    recognises: Callable[[Model], bool]
    gives: type = Objects
    settle: Callable[[Prediction, S], tuple[S, str]] | None = None
    layers: Callable[[Prediction, S], Sequence[S]] | None = None
    together: Callable[[Prediction, Sequence[Objects]], Objects] | None = None
    follow: Callable[[Prediction, S, S, Objects], Objects | None] | None = None


def _built_in() -> dict[str, Decoder[Any]]:
    from napari_imagec_ai.decoders.boxes.rcnn import RCNN
    from napari_imagec_ai.decoders.boxes.yolo import YOLO
    from napari_imagec_ai.decoders.flows.cellpose import CELLPOSE
    from napari_imagec_ai.decoders.pixels.affinities import AFFINITIES
    from napari_imagec_ai.decoders.pixels.labels import LABELS
    from napari_imagec_ai.decoders.pixels.semantic import SEMANTIC
    from napari_imagec_ai.decoders.pixels.unet import UNET
    from napari_imagec_ai.decoders.stars.stardist import STARDIST
    from napari_imagec_ai.decoders.whole_image import IMAGE
    from napari_imagec_ai.decoders.whole_outputs import SCORES

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


@functools.cache
def prepare() -> None:
    """Compile the loops of the decoders, where that was not done before.

    Without this the first decoding does it, and takes some seconds more.
    """
    from napari_imagec_ai.decoders.splitting import split_touching as splitting
    from napari_imagec_ai.results import measure as features

    features.prepare()
    splitting.prepare()


def decode(prediction: Prediction, settings: Settings | None = None) -> Result:
    """Turn a network's raw output into objects, images or scores.

    Parameters
    ----------
    prediction : Prediction
        From :func:`napari_imagec_ai.predict`; not changed.
    settings : Settings, optional
        Of one of the decoders, which they choose; by default the model's own decoder
        with the model's own settings.

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
        settings = starting_settings(decoder, prediction.model)
    else:
        decoder = _decoder_of(settings)
    return run_decoder(decoder, prediction, settings)


def run_decoder(decoder: Decoder[S], prediction: Prediction, settings: S) -> Result:
    """Decode with these settings; in blocks, where the maps are large.

    Objects of a region lie in pixels of the whole image.

    Raises
    ------
    DecodeError
        If the output cannot be decoded so.
    """
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
        layers = [run_decoder(decoder, prediction, each) for each in several]
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
    return decoder.follow(prediction, settings, before, found)


def _decoder_of(settings: Settings) -> Decoder[Any]:
    for decoder in decoders().values():
        if type(settings) is decoder.settings:
            return decoder
    raise DecodeError(
        f"No decoder takes {type(settings).__name__}; use the settings of one of "
        f"{', '.join(decoders())}."
    )


def settings_with(settings: S, changes: Mapping[str, Any]) -> S:
    """Settings with some of them changed, checked.

    Raises
    ------
    DecodeError
        If a name is unknown or a value is out of range.
    """
    try:
        return type(settings).model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"][:1].lower() + problem["msg"][1:]
        raise DecodeError(
            f"'{name}' cannot be {problem['input']!r:.60}: {message}."
        ) from error


def as_described(settings: S, model: Model) -> S:
    """Settings, changed as ``config.napari_imagec_ai`` of a description says.

    Raises
    ------
    DecodeError
        If a value there cannot be used.
    """
    own = model.settings
    named = {name: own[name] for name in type(settings).model_fields if name in own}
    try:
        return settings_with(settings, named)
    except DecodeError as error:
        raise DecodeError(f"In the description of '{model.name}': {error}") from error
