"""Ids of objects that reach from one tile into the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def continued(
    before: NDArray[np.float32], labels: NDArray[np.float32], highest: int
) -> tuple[NDArray[np.float32], int]:
    """Give a tile's objects the ids that they have already, and new ones to the rest.

    Parameters
    ----------
    before : (...) float32
        What earlier tiles wrote within this tile's window; 0: nothing yet.
    labels : (...) float32
        The tile's own ids, whole numbers; 0 is background.
    highest : int
        Highest id so far.

    Returns
    -------
    labels, highest
        An object takes an id if it covers at least half of what was written of it.
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
    table = np.zeros(len(ids), np.float32)
    for row, identity in enumerate(ids):
        if identity <= 0:
            continue
        best = int(pairs[row].argmax())
        if pairs[row, best] and 2 * pairs[row, best] >= written[best]:
            table[row] = old[best]
        else:
            highest += 1
            table[row] = highest
    return table[inverse], highest
