"""Objects of several layers as one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.rows_together import rows_together


def joined(several: Sequence[Objects]) -> Objects:
    """Objects of one image in one result.

    Parameters
    ----------
    several : sequence of Objects
        With equal frames. Ids that are there already become new ones.

    Returns
    -------
    Objects
        Classes of the same name are one. Flat objects keep all of their pixels, where
        they overlap as well; of volumes the first ones do.

    Raises
    ------
    ImageError
        If some are volumes and others are flat.
    """
    full = [each for each in several if len(each)] or list(several[:1])
    if len(full) == 1:
        return full[0]
    if len({each.boxes.shape[1] for each in full}) > 1:
        raise ImageError(
            "Expected flat objects or volumes, found both; take them one by one."
        )
    fresh = _renumbered(full)
    classes = tuple(dict.fromkeys(name for each in fresh for name in each.classes))
    fields = rows_together(fresh) | {
        "class_id": np.concatenate([_class_ids(each, classes) for each in fresh]),
        "classes": classes,
        "masks": None,
        "label_image": None,
    }
    if all(each.has_pixels for each in fresh):
        flat = fresh[0].boxes.shape[1] == 4
        fields |= {"masks": _masks(fresh)} if flat else {"label_image": _volumes(fresh)}
    return replace(fresh[0], **fields)


def _class_ids(objects: Objects, classes: tuple[str, ...]) -> NDArray[np.int32]:
    number = np.array([classes.index(name) for name in objects.classes], np.int32)
    return number[objects.class_id]


def _renumbered(several: Sequence[Objects]) -> list[Objects]:
    """The same objects, no id twice."""
    highest = max(int(each.id.max(initial=0)) for each in several)
    taken: set[int] = set()
    result = []
    for each in several:
        ids = each.id.copy()
        for row, n in enumerate(each.id.tolist()):
            if n in taken:
                highest += 1
                ids[row] = highest
            taken.add(int(ids[row]))
        if np.array_equal(ids, each.id) or each.label_image is None:
            result.append(replace(each, id=ids))
            continue
        table = np.zeros(int(each.id.max()) + 1, np.int32)
        table[each.id] = ids
        result.append(replace(each, id=ids, label_image=table[each.as_labels()]))
    return result


def _masks(several: Sequence[Objects]) -> Masks:
    own = [each.masks or masks_of(each) for each in several]
    origins = np.concatenate([masks.origins for masks in own])
    return Masks(origins, tuple(mask for masks in own for mask in masks.pixels))


def masks_of(objects: Objects) -> Masks:
    """A mask for each object of a label image."""
    labels = objects.as_labels()
    first = np.asarray(objects.frame.origin[: objects.planes.shape[1]], np.int32)
    row_of = {n: row for row, n in enumerate(objects.id.tolist())}
    origins = np.zeros((len(objects), 2), np.int32)
    pixels: list[NDArray[np.bool_]] = [np.zeros((0, 0), bool)] * len(objects)
    for index in np.ndindex(labels.shape[:-2]):
        here, compact = np.unique(labels[index], return_inverse=True)
        compact = compact.reshape(labels[index].shape) + 1
        for n, box in zip(here.tolist(), ndimage.find_objects(compact), strict=True):
            row = row_of.get(n)
            if row is None or tuple(objects.planes[row] - first) != index:
                continue
            origins[row] = [part.start for part in box]
            pixels[row] = labels[index][box] == n
    return Masks(origins, tuple(pixels))


def _volumes(several: Sequence[Objects]) -> NDArray[np.int32]:
    labels = several[0].as_labels()
    for each in several[1:]:
        labels = np.where(labels > 0, labels, each.as_labels())
    return labels
