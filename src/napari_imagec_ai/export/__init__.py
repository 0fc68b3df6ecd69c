"""Results as files: a writer for each format."""

from importlib import import_module
from typing import Any

_HOME = {"write": "writing", "write_all": "writing", "FORMATS": "writing"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
