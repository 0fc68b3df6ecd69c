"""What a value should have been, in words of our own.

Packages that check values word it anew from release to release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "words",
    "tuple": "a list",
    "list": "a list",
    "dict": "names with values",
    "model": "names with values",
    "mapping": "names with values",
    "finite": "a number that is finite",
}

_LIMITS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "more than {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "less than {}"),
}


def problem_of(problem: Mapping[str, Any]) -> str:
    """What is wrong with a value, as the end of a sentence.

    Parameters
    ----------
    problem : mapping
        One of the ``errors()`` of a pydantic ``ValidationError``.

    Returns
    -------
    str
        Such as ``expected 1 or more``, without a full stop.
    """
    kind, limits = str(problem["type"]), problem.get("ctx") or {}
    if kind == "value_error":  # what a check of ours says
        return str(limits.get("error") or problem["msg"]).rstrip(".")
    if kind == "missing":
        return "it is missing"
    if kind == "extra_forbidden":
        return "there is no setting of that name"
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"expected {words.format(limits.get(name))}"
    if kind in ("literal_error", "enum") and "expected" in limits:
        return f"expected one of {limits['expected']}"
    known = _KINDS.get(kind.partition("_")[0])
    if known is not None:
        return f"expected {known}"
    return f"it does not fit here ({problem['msg']})"
