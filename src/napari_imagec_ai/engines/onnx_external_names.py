"""Walks through the bytes of an ONNX file and finds every other file that it names.

The file is a protocol buffer: fields, each with a number and a length, in each other.
All that may hold a tensor is gone into, whatever its size, and however its numbers are
spelled; what a runtime might read in another way is refused. Nothing is copied and
nothing is built, so that a file of gigabytes costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Buffer: TypeAlias = "bytes | memoryview"

_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""Messages of ``onnx.proto`` on the way to a tensor, by the numbers of their fields."""

_MOST_NESTED = 100
"""As protocol buffers themselves have it."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def named_files(source: Buffer) -> list[str]:
    """Places of numbers outside an ONNX file, as the file spells them.

    Parameters
    ----------
    source : bytes
        The whole file.

    Returns
    -------
    list of str
        Each once; empty where the network is complete in itself.

    Raises
    ------
    ValueError
        If the bytes cannot be read without doubt; the message says why, in a few words.
    """
    found: dict[str, None] = {}
    view = memoryview(source)
    waiting = [("model", 0, len(view), 0)]
    while waiting:
        kind, start, end, depth = waiting.pop()
        if depth > _MOST_NESTED:
            raise ValueError(f"nested deeper than {_MOST_NESTED} levels")
        below = _INSIDE[kind]
        for field, at, stop in _fields(view, start, end):
            inner = below.get(field)
            if inner == "entry":
                found |= dict.fromkeys(_location(view, at, stop))
            elif inner is not None:
                waiting.append((inner, at, stop, depth + 1))
    return list(found)


def _location(view: memoryview, start: int, end: int) -> list[str]:
    """What an entry of external data says of a place."""
    keys, values = [b""], [b""]
    for field, at, stop in _fields(view, start, end):
        if field in (1, 2):
            (keys if field == 1 else values).append(bytes(view[at:stop]))
    if b"location" not in keys:
        return []
    try:
        return [value.decode() for value in values[1:]] or [""]
    except UnicodeDecodeError:
        raise ValueError("the name of another file is no text") from None


def _fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field that has a length."""
    at = start
    while at < end:
        tag, at = _number(view, at, end)
        field, form = tag >> 3, tag & 7
        if field == 0 or tag >= 1 << 32:
            raise ValueError(f"no field has the number {field}")
        if form == _BYTES:
            size, at = _number(view, at, end)
            if size > end - at:
                raise ValueError(f"a field of {size} bytes where {end - at} are left")
            yield field, at, at + size
            at += size
        elif form == _VARINT:
            _, at = _number(view, at, end)
        elif form in (_FIXED64, _FIXED32):
            at += 8 if form == _FIXED64 else 4
        else:  # groups, which ONNX never had
            raise ValueError(f"a field of the unknown form {form}")
    if at != end:
        raise ValueError("the last field is cut off")


def _number(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """A number in groups of seven bits, which may have more groups than it needs."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError("a number is cut off")
        group = view[at]
        at += 1
        value |= (group & 0x7F) << shift
        if group < 0x80:
            if value >= 1 << 64:
                raise ValueError("a number of more than 64 bits")
            return value, at
    raise ValueError("a number of more than ten bytes")
