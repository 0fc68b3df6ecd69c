"""Files that hold several images: which one is taken, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence

from napari_imagec_ai.errors import ImageError

_MOST = 12
"""Names that a sentence lists."""


def choose_scene(
    file: str, names: Sequence[str], scene: int | str | None
) -> tuple[int, tuple[str, ...]]:
    """Which image of a file is meant.

    Parameters
    ----------
    file : str
        Name of the file, for sentences.
    names : sequence of str
        Of the images in it, in order; empty where one has no name.
    scene : int, str or None
        A name, else a number that counts from 0; None: the first.

    Returns
    -------
    index, said
        And a sentence where there was a choice that nobody made.

    Raises
    ------
    ImageError
        If there is no such image.
    """
    if scene is None:
        if len(names) < 2:
            return 0, ()
        return 0, (
            (
                f"'{file}' holds {len(names)} images ({listed(names)}): the first was "
                "taken; take another with --scene."
            ),
        )
    told = str(scene).strip()
    if not isinstance(scene, int) and told in names:
        return names.index(told), ()
    if told.isdecimal() and int(told) < len(names):
        return int(told), ()
    holds = f"{len(names)} images: {listed(names)}" if len(names) > 1 else "one image"
    raise ImageError(
        f"There is no scene '{told}' in '{file}', which holds {holds}; "
        f"{'choose one of them' if len(names) > 1 else 'leave out --scene'}."
    )


def listed(names: Sequence[str]) -> str:
    """Names with their numbers, for a sentence; not all of very many."""
    told = [
        f"{number} '{name}'" if name and name != str(number) else str(number)
        for number, name in enumerate(names)
    ]
    more = f" and {len(told) - _MOST} more" if len(told) > _MOST else ""
    return ", ".join(told[:_MOST]) + more
