"""Absurd values, and trees of values with one of them somewhere."""

from __future__ import annotations

import contextlib
import copy
import math
import random
import sys
from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    "",
    " ",
    "\0",
    "x" * 100_000,
    "\u202e\u0645\U0001f52c\ufeff",
    "../../etc/passwd",
    "/etc/passwd",
    "http://[::1/weights.onnx",
    "C:\\weights.onnx",
    "nan",
    "bcyx",
    "yx" * 500,
    -1,
    0,
    1,
    2,
    1.5,
    -0.5,
    1 << 31,
    1 << 63,
    -(1 << 63),
    10**30,
    10**400,
    1 << 20_000,
    1e308,
    math.nan,
    math.inf,
    -math.inf,
    b"\x80\x04",
    [None],
    [[]],
    [{}],
    [[[[[[1]]]]]],
    {"": ""},
    {None: None},
    {1: 2, 1.5: 3},
    {"id": None, "name": None},
    {"min": 0, "step": 0},
    {"min": 1, "step": -1},
    {"min": 1 << 39, "step": 1 << 39},
    {"tensor_id": "raw", "axis_id": "y", "offset": -(10**9)},
    {"tensor_id": "probability", "axis_id": "y"},
    {"reference_tensor": "input0", "scale": [0, 1, 1, 1], "offset": [0, 1e9, 1, 1]},
    list(range(5000)),
    ["a"] * 5000,
    {str(n): n for n in range(5000)},
    "custom",
    "channel",
    "batch",
)
"""Each of them is legal YAML, and hardly one is what stands in a description."""

Path = tuple[Any, ...]


@contextlib.contextmanager
def any_digits() -> Iterator[None]:
    """Let Python write numbers of any length."""
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(digits)


def places(tree: Any) -> list[Path]:
    """Where values stand in a tree of lists and mappings."""
    found: list[Path] = []
    pending: list[tuple[Path, Any]] = [((), tree)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            below = list(value.items())
        elif isinstance(value, list):
            below = list(enumerate(value))
        else:
            below = []
        for key, inner in below:
            found.append((*path, key))
            pending.append(((*path, key), inner))
    return found


def spoil(tree: Any, chance: random.Random, times: int = 1) -> tuple[Any, str]:
    """Change a copy of a tree at some places; gives it, and what was done."""
    tree = copy.deepcopy(tree)
    told = []
    for _ in range(times):
        where = places(tree)
        if not where:
            break
        path = chance.choice(where)
        change = chance.choice(tuple(_CHANGES))
        told.append(f"{change} {'.'.join(str(part)[:20] for part in path)}")
        _CHANGES[change](tree, path, chance)
    return tree, "; ".join(told)


def _at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _odd(tree: Any, path: Path, chance: random.Random) -> None:
    _at(tree, path[:-1])[path[-1]] = copy.deepcopy(chance.choice(ODD))


def _drop(tree: Any, path: Path, chance: random.Random) -> None:
    del _at(tree, path[:-1])[path[-1]]


def _more(tree: Any, path: Path, chance: random.Random) -> None:
    parent, value = _at(tree, path[:-1]), copy.deepcopy(_at(tree, path))
    if isinstance(parent, list):
        parent.insert(chance.randrange(len(parent) + 1), value)
    else:
        parent[chance.choice((None, 1, "", "id", "name", "size", "axes"))] = value


def _other(tree: Any, path: Path, chance: random.Random) -> None:
    other = copy.deepcopy(_at(tree, chance.choice(places(tree))))
    _at(tree, path[:-1])[path[-1]] = other


def _wrapped(tree: Any, path: Path, chance: random.Random) -> None:
    value = _at(tree, path)
    wrap = chance.choice((lambda v: [v], lambda v: {"source": v}, str, repr))
    _at(tree, path[:-1])[path[-1]] = wrap(value)


def _number(tree: Any, path: Path, chance: random.Random) -> None:
    value = _at(tree, path)
    if isinstance(value, (int, float)):
        size = chance.choice((-1, 0, 0.5, 2, 1e6, 1e18, 1e300))
        _at(tree, path[:-1])[path[-1]] = value * size
    else:
        _odd(tree, path, chance)


_CHANGES = {
    "odd": _odd,
    "drop": _drop,
    "more": _more,
    "other": _other,
    "wrap": _wrapped,
    "number": _number,
}
