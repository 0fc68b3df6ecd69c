"""What the exporters of YOLO networks write into their files."""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Mapping
from typing import Any


def read(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What YOLO's exporters write: names, stride, and whether suppression is inside."""
    found: dict[str, Any] = {}
    if "config.txt" in metadata:
        with contextlib.suppress(ValueError):  # not an exporter that we know
            found.update(json.loads(metadata["config.txt"]))
    for name, text in metadata.items():
        if name != "config.txt":
            found[name] = _literal(text)
    arguments = found.get("args")
    if isinstance(arguments, str):
        arguments = _literal(arguments)
    if isinstance(arguments, Mapping):
        found["nms"] = bool(arguments.get("nms"))
    found["end2end"] = str(found.get("end2end", "")).lower() == "true"
    return found


def window(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """(height, width) that an exporter wrote down, or None."""
    notes = read(metadata)
    size = notes.get("imgsz", notes.get("shape"))
    if isinstance(size, (list, tuple)) and len(size) >= 2:
        height, width = size[-2:]
        if isinstance(height, int) and isinstance(width, int):
            return (height, width)
    return None


def _literal(text: Any) -> Any:
    """A Python literal that the exporter wrote, without running anything."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
