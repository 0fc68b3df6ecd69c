"""What a prediction means: objects, images or scores."""

from importlib import import_module
from typing import Any

_HOME = {
    "Decoder": "decoding",
    "Settings": "decoding",
    "decode": "decoding",
    "decoders": "decoding",
    "get_decoder": "decoding",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
