"""Finds out which class a correction belongs to once classes have other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Places = Mapping[tuple[str, str], str]
"""The person's class at each place that names one: (class of the model, part)."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of the names of classes.

    Attributes
    ----------
    named : dict
        The name at each place, also at those that name nothing at the moment.
    renamed : dict of str to str
        Classes that have another name now, all at once: two may have changed names.
    joined : list of tuple of str
        Classes, by their old names, that belong to another one now, by its new name.
    """

    named: dict[tuple[str, str], str]
    renamed: dict[str, str] = field(default_factory=dict)
    joined: list[tuple[str, str]] = field(default_factory=list)


def followed(before: Places, now: Places, is_known: Callable[[str], bool]) -> Followed:
    """Follow classes by the places that name them.

    Parameters
    ----------
    before, now : mapping
        See :attr:`ClassMap.named <napari_imagec_ai.results.class_map.ClassMap.named>`;
        a place of ``before`` that is not in ``now`` names nothing at the moment and may
        do so again, so that its class keeps its name meanwhile.
    is_known : callable
        Whether a class of this name has objects or corrections already.
    """
    found = Followed({**before, **now})
    stay = {name for place, name in before.items() if now.get(place, name) == name}
    moves: dict[str, str] = {}
    for place, new in now.items():
        old = before.get(place, new)
        if old != new and old not in stay:
            moves.setdefault(old, new)
    for old, new in moves.items():
        if (new not in moves and is_known(new)) or new in found.renamed.values():
            found.joined.append((old, new))
        else:
            found.renamed[old] = new
    return found
