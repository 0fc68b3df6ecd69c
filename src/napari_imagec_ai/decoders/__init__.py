"""What a prediction means: objects, images or scores."""

from importlib import import_module
from typing import Any

_HOME = {
    "Decoder": "decoder",
    "Settings": "decoder",
    "choose_decoder": "registry",
    "decode": "decoding",
    "decoders": "registry",
    "get_decoder": "registry",
    "settings_with": "decoder",
    "starting_settings": "registry",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
