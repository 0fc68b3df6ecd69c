"""Reads YAML of strangers: plain values only, and no more of them than sensible.

What aliases and nesting would make of a file is counted before any of it is made, so
that a few bytes cannot fill the memory.
"""

from __future__ import annotations

from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 1 << 20
"""Descriptions and recipes are text of some kilobytes."""

_MAX_DEPTH = 100
"""Deeper nesting crashes the parser."""

_MAX_VALUES = 50_000
"""The longest description of the BioImage Model Zoo has 1300, counting its keys."""

_MAX_DIGITS = 1000
"""Numbers of more digits take Python minutes."""


def read_yaml(source: bytes) -> Any:
    """The values that a text stands for.

    Parameters
    ----------
    source : bytes
        UTF-8, or UTF-16 with its mark.

    Raises
    ------
    ValueError
        If it is no YAML, or too much of it; the message says why, in a few words.
    """
    if len(source) > MAX_BYTES:
        raise ValueError(f"{len(source)} bytes, at most {MAX_BYTES} are read")
    try:
        _measure(source)
        return _loaded(source)
    except yaml.YAMLError as error:
        # Versions of PyYAML differ in who notices it first.
        if _nested(source) > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels") from error
        raise ValueError(_where(error)) from error


def _nested(source: bytes) -> int:
    """How deep brackets are open at the same time, wherever they stand."""
    depth = deepest = 0
    for byte in source:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth = max(depth - 1, 0)
    return deepest


def _loaded(source: bytes) -> Any:
    try:
        return yaml.load(source, Loader=_Loader)
    except (
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as error:
        raise ValueError("a value is not what its tag says") from error


def _where(error: yaml.YAMLError) -> str:
    """Where it stops to be YAML, and what PyYAML says of it."""
    said = " ".join(str(error).split())[:200]
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"it is no YAML: {said}"
    if isinstance(error, yaml.constructor.ConstructorError):
        return f"line {mark.line + 1} has a tag that is not read: {said}"
    return f"line {mark.line + 1} is no YAML: {said}"


class _Meter:
    """Counts what the parser tells, with aliases as often as they are followed."""

    def __init__(self) -> None:
        self.seen = 0
        self.open: list[tuple[str | None, int]] = []  # anchors, and values before them
        self.sizes: dict[str | None, int] = {}

    def count(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self.open.pop()
            if anchor is not None:
                self.sizes[anchor] = self.seen - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in self.open}:
                raise ValueError(f"'*{event.anchor}' refers to itself")
            self.seen += self.sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            self.open.append((event.anchor, self.seen))
            self.seen += 1
        elif isinstance(event, yaml.ScalarEvent):
            self.seen += 1
            _check_number(event)


def _measure(source: bytes) -> None:
    meter = _Meter()
    for event in yaml.parse(source, Loader=_Loader):
        meter.count(event)
        if len(meter.open) > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        if meter.seen > _MAX_VALUES:
            raise ValueError(f"more than {_MAX_VALUES} values, counting aliases")


def _check_number(scalar: yaml.ScalarEvent) -> None:
    """Refuse what might be a number of very many digits."""
    if len(scalar.value) <= _MAX_DIGITS:
        return
    plain = scalar.implicit[0] and scalar.value[0] in "+-.0123456789"
    if plain or (scalar.tag or "").endswith((":int", ":float")):
        raise ValueError(f"a number of {len(scalar.value)} letters")
