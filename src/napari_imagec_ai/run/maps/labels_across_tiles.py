"""Ids of objects that reach from one tile into the next."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Same = list[tuple[int, int]]
"""Pairs of ids that turned out to be one object."""


def continued(
    before: NDArray[np.float32],
    labels: NDArray[np.float32],
    highest: int,
    core: tuple[slice, ...],
) -> tuple[NDArray[np.float32], int, Same]:
    """Give a tile's objects the ids that they have already, and new ones to the rest.

    Parameters
    ----------
    before : (Y, X) or (Z, Y, X) float32
        What earlier tiles wrote within this tile's window; 0: nothing yet.
    labels : float32, as before
        The tile's own ids, whole numbers; 0 is background.
    highest : int
        Highest id so far.
    core : tuple of slice
        The part of the window that this tile will write.

    Returns
    -------
    labels, highest, same
        An object takes an id if it covers at least half of what was written of it.
        Where it does so of several that reach to the core, these are parts of it.
    """
    ids, inverse = np.unique(labels, return_inverse=True)
    inverse = inverse.reshape(labels.shape)
    old, numbered = np.unique(before, return_inverse=True)
    numbered = numbered.reshape(before.shape)
    pairs = np.bincount(
        (inverse * len(old) + numbered).reshape(-1), minlength=len(ids) * len(old)
    ).reshape(len(ids), len(old))
    written = pairs.sum(axis=0)
    pairs[:, old <= 0] = 0
    cut = _reaching(numbered, core, len(old))
    table = np.zeros(len(ids), np.float32)
    same: Same = []
    for row, identity in enumerate(ids):
        if identity <= 0:
            continue
        best = int(pairs[row].argmax())
        covered = (pairs[row] > 0) & (2 * pairs[row] >= written)
        if covered[best]:
            table[row] = old[best]
            parts = np.flatnonzero(covered & cut)
            same += [(int(old[best]), int(old[n])) for n in parts if n != best]
        else:
            highest += 1
            table[row] = highest
    return table[inverse], highest, same


def _reaching(
    numbered: NDArray[np.intp], core: tuple[slice, ...], count: int
) -> NDArray[np.bool_]:
    """Which of the ids that were written have a pixel beside the core."""
    beside = np.zeros(numbered.shape, bool)
    beside[core] = True
    beside = ndimage.binary_dilation(beside)
    reach = np.zeros(count, bool)
    reach[numbered[beside]] = True
    return reach


def united(same: Iterable[tuple[int, int]]) -> dict[int, int]:
    """For each id that is part of another object, the id of that object."""
    root: dict[int, int] = {}

    def find(number: int) -> int:
        while root.get(number, number) != number:
            number = root[number]
        return number

    for first, second in same:
        a, b = sorted((find(first), find(second)))
        root[a], root[b] = a, a
    return {number: find(number) for number in root if find(number) != number}
