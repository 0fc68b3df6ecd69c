"""Recipes of older layouts become recipes of today's, one layout at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Data = dict[str, Any]
"""A recipe as it lies in its file."""


def _numbered(data: Data) -> Data:
    """0 to 1: what a person wrote by hand may have no version."""
    return data


def _nulls_said(data: Data) -> Data:
    """1 to 2: nothing is left out that is null.

    The first files of layout 1 left nulls out. That a class becomes null takes its
    objects away, while a filter's class that is left out means: as the rule says.
    """
    if not data.get("used"):  # written by hand: what is left out is meant so
        return data
    for rule in _mappings(data.get("classes"), "rules"):
        rule.setdefault("becomes", None)
        for each in _mappings(rule, "filters"):
            each.setdefault("becomes", None)
    return data


def _mappings(data: Any, name: str) -> Iterator[Data]:
    """The mappings in a list of a mapping; what is none is refused later, in words."""
    several = data.get(name) if isinstance(data, dict) else None
    for each in several if isinstance(several, list) else ():
        if isinstance(each, dict):
            yield each


STEPS: tuple[Callable[[Data], Data], ...] = (_numbered, _nulls_said)
"""The n-th leads from layout n to layout n + 1."""

VERSION = len(STEPS)
"""Version of today's layout."""


def migrated(data: Data) -> Data:
    """A recipe in today's layout.

    Parameters
    ----------
    data : dict
        In any layout up to today's; may be changed.
    """
    for step in STEPS[data.get("version", 0) :]:
        data = step(data)
    return data | {"version": VERSION}
