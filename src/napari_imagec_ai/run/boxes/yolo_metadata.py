"""What the exporters of YOLO networks write into their files."""

from __future__ import annotations

import ast
import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LARGEST = 1 << 16
"""Sizes and counts above are slips."""


@dataclass(frozen=True, slots=True)
class Export:
    """What an export says of itself; empty or None where it does not.

    Attributes
    ----------
    task : str
        ``detect``, ``segment``, ``obb`` (rotated boxes), ``pose``, ``classify``,
        ``semantic`` ...
    head : str
        Name of the network's last part, such as ``RTDETRDecoder``.
    names : tuple of str
        Of the classes.
    points : tuple of int
        How many key points each box has, and how many numbers each of them: (K, D).
    point_names : tuple of str
        Of the key points.
    final : bool or None
        Whether doubles are suppressed inside.
    window : tuple of int or None
        (height, width) of the input.
    channels, batch : int or None
        Of the input.
    """

    task: str = ""
    head: str = ""
    names: tuple[str, ...] = ()
    points: tuple[int, int] = (0, 0)
    point_names: tuple[str, ...] = ()
    final: bool | None = None
    window: tuple[int, int] | None = None
    channels: int | None = None
    batch: int | None = None

    @property
    def is_transformer(self) -> bool:
        """Whether rows are queries with centres and sizes in parts of the window."""
        return "RTDETR" in self.head.upper().replace("-", "")

    @property
    def extra(self) -> int:
        """Numbers of each row behind the scores of the classes: angle or key points."""
        if self.task == "obb" or self.head.upper().startswith("OBB"):
            return 1
        return math.prod(self.points)


def read(metadata: Mapping[str, str]) -> Export:
    """What YOLO's exporters wrote.

    Parameters
    ----------
    metadata : mapping of str to str
        Of an ONNX file, or the ``config.txt`` of a TorchScript archive.
    """
    found: dict[str, Any] = {}
    if "config.txt" in metadata:
        with contextlib.suppress(ValueError):  # not an exporter that we know
            told = json.loads(metadata["config.txt"])
            found.update(told if isinstance(told, Mapping) else {})
    for name, text in metadata.items():
        if name != "config.txt":
            found[name] = _literal(text)
    size = found.get("imgsz", found.get("shape"))
    if _count(size):
        size = (size, size)
    batch = found.get("batch")
    if batch is None and isinstance(found.get("shape"), (list, tuple)):
        batch = found["shape"][0] if len(found["shape"]) == 4 else None
    points = _sizes(found.get("kpt_shape"), 2)
    return Export(
        task=str(found.get("task") or "").strip().lower(),
        head=str(found.get("head") or "").strip(),
        names=_names(found.get("names")),
        points=points or (0, 0),
        point_names=_point_names(found.get("kpt_names"), points),
        final=_final(found),
        window=_sizes(size, 2),
        channels=_count(found.get("channels", found.get("ch"))),
        batch=_count(batch),
    )


def _final(found: Mapping[str, Any]) -> bool | None:
    arguments = found.get("args")
    if isinstance(arguments, str):
        arguments = _literal(arguments)
    said = [found[name] for name in ("end2end", "nms") if name in found]
    if isinstance(arguments, Mapping):
        said.append(arguments.get("nms"))
    if not said:
        return None
    return any(str(word).strip().lower() in ("true", "1") for word in said)


def _names(value: Any) -> tuple[str, ...]:
    """Names of classes: a list, or a mapping of their numbers."""
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value, key=_number)]
    return tuple(str(n) for n in value) if isinstance(value, (list, tuple)) else ()


def _number(key: Any) -> tuple[int, str]:
    """Order of class numbers, also where they were written as text."""
    return (int(key), "") if str(key).isdigit() else (1 << 30, str(key))


def _point_names(value: Any, points: tuple[int, int] | None) -> tuple[str, ...]:
    """Names of key points, of the first class where each has its own."""
    if isinstance(value, Mapping) and value:
        value = value[min(value, key=_number)]
    names = tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()
    fits = points is not None and len(set(names)) == points[0]
    return names if fits else ()


def _sizes(value: Any, count: int) -> tuple[int, int] | None:
    """The last two of some sizes."""
    if not isinstance(value, (list, tuple)) or len(value) < count:
        return None
    height, width = _count(value[-2]), _count(value[-1])
    return (height, width) if height and width else None


def _count(value: Any) -> int | None:
    usable = isinstance(value, int) and not isinstance(value, bool)
    return value if usable and 0 < value <= _LARGEST else None


def _literal(text: Any) -> Any:
    """A Python literal that the exporter wrote, without running anything."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
