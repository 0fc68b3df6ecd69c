"""What a person chose for a model before: kept from one session to the next.

Only the widget remembers, and it says so. Python and the command line do what they are
told, and what the description says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from napari_imagec_ai.decoders.decoder import OF_MODEL, Decoder, S, settings_with
from napari_imagec_ai.decoders.registry import decoders, guess_decoder
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model import learned
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.run.settings import RunSettings, about

_FEEDING, _DECODER = "feeding", "decoder"

KEPT = [
    name for name, field in RunSettings.model_fields.items() if about(field, "kept")
]
"""How a network is fed: what a person chose of it is kept with the model."""


def decoder_for(model: Model) -> Decoder[Any] | None:
    """The decoder that a person chose for a model, else the model's own, if any."""
    chosen = learned.recall(model, _DECODER).get("decoder")
    return decoders().get(str(chosen)) or guess_decoder(model)


def settings_for(decoder: Decoder[S], model: Model) -> S:
    """The settings to begin with: the model's own, with what a person chose for it.

    Raises
    ------
    DecodeError
        If a value in the model's description cannot be used.
    """
    settings = decoder.defaults(model)
    kept = learned.recall(model, _DECODER).get("settings")
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
    fields = _of_model(decoder)
    usual = decoder.defaults(model).model_dump(mode="json", include=fields)
    found = settings.model_dump(mode="json", include=fields)
    changed = {name: value for name, value in found.items() if value != usual[name]}
    choice: dict[str, Any] = {"settings": changed} if changed else {}
    if guess_decoder(model) is not decoder:
        choice["decoder"] = decoder.name
    learned.keep(model, _DECODER, choice)


def _of_model(decoder: Decoder[Any]) -> set[str]:
    """Settings that say what the model's output means."""
    return {
        name
        for name, field in decoder.settings.model_fields.items()
        if isinstance(field.json_schema_extra, dict)
        and field.json_schema_extra.get(OF_MODEL)
    }


def feed_for(model: Model) -> RunSettings:
    """How to feed a model to begin with: as it is described, or as a person chose."""
    try:
        return RunSettings.model_validate(learned.recall(model, _FEEDING))
    except ValidationError:  # kept by another version, for which it meant another thing
        return RunSettings()


def keep_feed(model: Model, settings: RunSettings) -> None:
    """Remember how this model is fed, where that is not as usual."""
    usual = RunSettings()
    changed = {name for name in KEPT if getattr(settings, name) != getattr(usual, name)}
    learned.keep(model, _FEEDING, settings.model_dump(mode="json", include=changed))


def forget(model: Model) -> None:
    """Forget what a person chose for this model: the description counts again."""
    for topic in (_FEEDING, _DECODER):
        learned.keep(model, topic, {})


def sentence(model: Model) -> str:
    """What is taken as it was chosen before; empty where that is nothing."""
    read = learned.recall(model, _DECODER)
    chosen = {"output is": read["decoder"]} if "decoder" in read else {}
    kept = read.get("settings")
    chosen |= dict(kept) if isinstance(kept, Mapping) else {}
    chosen |= learned.recall(model, _FEEDING)
    if not chosen:
        return ""
    told = ", ".join(
        f"{name.replace('_', ' ')} {_said(v)}" for name, v in chosen.items()
    )
    return f"As you chose before for this model: {told}."


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
