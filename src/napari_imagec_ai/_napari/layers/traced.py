"""Outlines of objects, traced once for each decoding: thresholds choose among them."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results.objects import Objects

_KEPT = 4
"""Decodings whose outlines are kept."""

Ring = NDArray[np.float32]


class _Traced:
    """The outlines of one decoding that were asked for until now."""

    def __init__(self, of: Any) -> None:
        self.of = weakref.ref(of)
        self.rings: dict[int, Ring] = {}


_known: OrderedDict[int, _Traced] = OrderedDict()
_lock = Lock()


def polygons(objects: Objects) -> list[Ring]:
    """The same as ``objects.as_polygons()``; what was traced before is not again.

    A worker may ask first, so that the window has nothing to wait for.
    """
    pixels = objects.label_image
    if type(pixels) is not np.ndarray or objects.masks is not None:
        return objects.as_polygons()
    if objects.corners is not None:
        return objects.as_polygons()
    with _lock:
        known = _known.get(id(pixels))
        if known is None or known.of() is not pixels:  # another array at its place
            known = _known[id(pixels)] = _Traced(pixels)
        _known.move_to_end(id(pixels))
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    new = [n not in known.rings for n in objects.id.tolist()]
    if any(new):
        mine = objects[np.asarray(new)]
        known.rings |= dict(zip(mine.id.tolist(), mine.as_polygons(), strict=True))
    return [known.rings[n] for n in objects.id.tolist()]
