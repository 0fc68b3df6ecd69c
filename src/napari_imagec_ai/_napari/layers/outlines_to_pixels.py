"""What a person did to outlines, as pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai._napari.layers.corners import outline
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.correction.labels import fresh_ids
from napari_imagec_ai.results.correction.read_back import read_outlines

if TYPE_CHECKING:
    from napari.layers import Shapes


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """Pixels after outlines were changed.

    Attributes
    ----------
    pixels : array of int
        Ids.
    ids, rings : list
        Of the outlines that are there now.
    own : dict
        Corners, type and number of pixels of those that the person drew, by id.
    """

    pixels: NDArray[Any]
    ids: list[int]
    rings: list[NDArray[Any]]
    own: dict[int, tuple[NDArray[Any], str, int]]

    def renumber(self, layer: Shapes) -> None:
        """Write the ids into the layer's table: napari repeats those of the last."""
        table = layer.features.copy()
        if "index" in table and len(table) == len(self.ids):
            table["index"] = self.ids
            layer.features = table


def redrawn(
    layer: Shapes,
    known: dict[int, NDArray[Any]],
    frame: Frame,
    pixels: NDArray[Any],
    highest: int,
) -> Redrawn | None:
    """Take over changes of outlines into pixels.

    Parameters
    ----------
    layer : Shapes
        The outlines as they are now.
    known : dict of int to array
        Corners of each as they were drawn, by id.
    frame : Frame
        Of the pixels.
    pixels : array of int
        Ids; not changed.
    highest : int
        Highest id that ever was: one that is gone is not used again.

    Returns
    -------
    Redrawn or None
        None where all outlines are as they were drawn.
    """
    now = [np.asarray(ring) for ring in layer.data]
    told = list(layer.features["index"]) if "index" in layer.features else []
    told += [0] * (len(now) - len(told))
    mine = _assigned(now, told, known)
    erased = [n for n in known if n not in mine]
    moved = [
        row for row, n in enumerate(mine) if not n or not _equal(known[n], now[row])
    ]
    if not erased and not moved:
        return None
    fresh = fresh_ids({int(pixels.max(initial=0)), highest, *mine})
    taken = [n or next(fresh) for n in mine]
    gone = [*erased, *(taken[row] for row in moved)]
    after = np.where(np.isin(pixels, gone), 0, pixels)
    drawn = _drawn(layer, now, moved, [taken[row] for row in moved], frame)
    if drawn is not None:
        after = np.where(drawn > 0, drawn, after)
    small = after.max(initial=0) <= np.iinfo(pixels.dtype).max
    own = {
        taken[row]: (now[row], layer.shape_type[row], int((after == taken[row]).sum()))
        for row in moved
    }
    return Redrawn(after.astype(pixels.dtype if small else np.int32), taken, now, own)


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other))


def _assigned(
    now: Sequence[NDArray[Any]], told: Sequence[Any], known: dict[int, NDArray[Any]]
) -> list[int]:
    """Id of each outline: those that did not move first; 0 for one drawn anew."""
    ids = [int(n) if n == n and int(n) in known else 0 for n in told]
    mine, used = [0] * len(now), set()
    for still in (True, False):
        for row, n in enumerate(ids):
            if n and not mine[row] and n not in used:
                if still and not _equal(known[n], now[row]):
                    continue
                mine[row] = n
                used.add(n)
    return mine


def _drawn(
    layer: Shapes,
    now: Sequence[NDArray[Any]],
    rows: Sequence[int],
    ids: Sequence[int],
    frame: Frame,
) -> NDArray[Any] | None:
    """Pixels of outlines; lines and paths enclose none."""
    kinds = layer.shape_type
    closed = [
        (outline(np.asarray(now[row], float), kinds[row]), n)
        for row, n in zip(rows, ids, strict=True)
        if kinds[row] not in ("line", "path")
    ]
    if not closed:
        return None
    try:
        found = read_outlines(
            [ring for ring, _ in closed], frame, ids=[n for _, n in closed]
        )
    except ImagecAIError:
        return None
    return found.as_labels() if len(found) else None
