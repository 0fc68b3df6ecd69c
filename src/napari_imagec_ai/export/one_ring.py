"""One ring through all rings of an object, for formats that know of one only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results.outlines import Outline


def joined(parts: list[Outline]) -> NDArray[np.float64]:
    """One ring (x, y) through all rings of an object, pixel edges at whole numbers.

    A pixel's centre is inside by the even-odd rule as before: the ways between rings
    are walked twice and lead along edges of pixels.
    """
    rings = [ring for part in parts for ring in (part.outer, *part.holes)]
    hub, *others = ((ring[:, ::-1] + 0.5).astype(np.float64) for ring in rings)
    if not others:
        return hub
    ways: dict[int, list[NDArray[np.float64]]] = {}
    for ring in others:
        away = np.abs(hub[:, None] - ring[None]).sum(axis=2)
        start, end = np.unravel_index(int(away.argmin()), away.shape)
        corner = np.array([[ring[end, 0], hub[start, 1]]])
        turned = np.roll(ring, -int(end), axis=0)
        loop = [corner, turned, turned[:1], corner, hub[start : start + 1]]
        ways.setdefault(int(start), []).extend(loop)
    pieces: list[NDArray[np.float64]] = []
    for i in range(len(hub)):
        pieces += [hub[i : i + 1], *ways.get(i, [])]
    return np.concatenate(pieces)
