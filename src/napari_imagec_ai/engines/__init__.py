"""Opens weights and runs the network, one batch at a time."""

from importlib import import_module
from typing import Any

_HOME = {
    "Engine": "engine",
    "open_engine": "opening",
    "open_file": "opening",
    "engine_names": "engine",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
