"""Names of classes: each has one, and no two have the same."""

from __future__ import annotations

from collections.abc import Sequence


def each_named(listed: Sequence[object]) -> tuple[tuple[str, ...], str]:
    """A name of its own for each class, and a sentence where some had none."""
    names: list[str] = []
    changed = []
    for number, given in enumerate(listed, start=1):
        name = "" if given is None else str(given).strip()
        if not name or name in names:
            name = f"{name or 'class'} {number}"
            while name in names:
                name += "'"
            changed.append(f"number {number} is called '{name}'")
        names.append(name)
    sentence = (
        f"The description has classes without a name of their own: "
        f"{', '.join(changed[:5])}."
        if changed
        else ""
    )
    return tuple(names), sentence
