"""Label images that a person has changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.image.opening_files import open_image
from napari_imagec_ai.results.correction.carried_over import (
    Before,
    Columns,
    intensities,
)
from napari_imagec_ai.results.measure import measure

HIGHEST = (1 << 31) - 1
"""The highest id."""


def opened(labels: Any, frame: Frame) -> tuple[str, Any]:
    """What labels are called in messages, and their pixels, read where they lie.

    Raises
    ------
    ImageError
        If they have another size than the frame.
    """
    name = "The labels"
    if isinstance(labels, (str, Path)):
        name = f"'{Path(labels).name}'"
        labels = open_image(labels).data
    if not hasattr(labels, "shape") or not hasattr(labels, "dtype"):
        labels = np.asarray(labels)
    found = tuple(int(size) for size in labels.shape)
    if found != tuple(frame.shape):
        raise ImageError(
            f"{name}: expected the shape {tuple(frame.shape)} ({frame.axes}) of the "
            f"image, found {found}; take the labels of the same image."
        )
    return name, labels


def as_ids(ids: NDArray[Any], name: str) -> NDArray[np.int32]:
    """Pixels as ids.

    Raises
    ------
    ImageError
        If they are none.
    """
    whole = ids.dtype.kind in "bui" or (ids.dtype.kind == "f" and (ids % 1 == 0).all())
    # As whole numbers of Python: float32 has none between 2147483520 and 2147483648.
    if not whole or ids.min(initial=0) < 0 or int(ids.max(initial=0)) > HIGHEST:
        raise ImageError(
            f"{name}: expected whole numbers from 0 to {HIGHEST}, one for each object; "
            "these are no labels."
        )
    return ids.astype(np.int32)


def fresh_ids(taken: Collection[int]) -> Iterator[int]:
    """Ids that are not taken: those above, then what is free below."""
    yield from range(max(taken, default=0) + 1, HIGHEST + 1)
    yield from (n for n in range(1, HIGHEST) if n not in taken)


def unique_over_planes(ids: NDArray[np.int32], before: Before) -> NDArray[np.int32]:
    """The same ids, but new ones where one is used in several planes."""
    if not before.planes:
        return ids
    old = before.objects
    home: dict[int, tuple[int, ...]] = {}
    if old is not None:
        home = {
            n: tuple(p - before.first)
            for n, p in zip(old.id.tolist(), old.planes, strict=True)
        }
    here = {i: np.unique(ids[i]) for i in np.ndindex(ids.shape[: before.planes])}
    present = {(i, int(n)) for i, found in here.items() for n in found if n}
    fresh = fresh_ids({*home, *(n for _, n in present)})
    seen: set[int] = set()
    for index, found in here.items():
        for n in (int(n) for n in found if n):
            elsewhere = home.get(n, index) != index and (home[n], n) in present
            if n in seen or elsewhere:
                ids[index][ids[index] == n] = next(fresh)
            else:
                seen.add(n)
    return ids


def measured_labels(
    ids: NDArray[np.int32], before: Before, image: ImageInput | None
) -> Columns:
    """The table of all planes, with the columns ``id`` and ``plane``."""
    tables: list[Columns] = []
    for index in np.ndindex(ids.shape[: before.planes]):
        here, compact = np.unique(ids[index], return_inverse=True)
        compact = compact.reshape(ids[index].shape).astype(np.int32)
        if len(here) and here[0] > 0:  # no background
            compact += 1
        here = here[here > 0]
        means = intensities(before, image, index)
        columns: Columns = dict(measure(compact, len(here), means))
        columns["id"] = here.astype(np.int64)
        columns["plane"] = np.tile(before.position(index), (len(here), 1))
        tables.append(columns)
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
