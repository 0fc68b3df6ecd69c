"""Parts of one result side by side: in one label image where they do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results.correction.join_objects import joined
from napari_imagec_ai.results.correction.labels import fresh_ids
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.rows_together import rows_together


def beside(several: Sequence[Objects], like: Objects) -> Objects:
    """Put parts of a result together again.

    Parameters
    ----------
    several : sequence of Objects
        In one frame. An id that is used before becomes another one.
    like : Objects
        The result that they are of: its classes come first, and what was assumed for
        it is kept.

    Returns
    -------
    Objects
        With the columns that all parts have. Parts that overlap get a mask for each
        object, which takes longer.
    """
    parts = [_with_classes(part, like.classes) for part in several if len(part)]
    if not parts:
        return like[np.zeros(len(like), bool)]
    classes = max((part.classes for part in parts), key=len)
    parts = [_with_classes(part, classes) for part in parts]
    if len(parts) == 1:
        return replace(parts[0], assumed=like.assumed)
    labels: NDArray[np.int32] | None = None
    if all(part.label_image is not None for part in parts):
        parts = _renumbered(parts)
        labels = _label_image(parts)
    if labels is None:
        return replace(_with_classes(joined(parts), classes), assumed=like.assumed)
    fields = rows_together(parts)
    features = {
        n: fields["features"][n] for n in like.features if n in fields["features"]
    }
    fields |= {"features": features, "label_image": labels, "assumed": like.assumed}
    return replace(parts[0], **fields)


def _label_image(parts: Sequence[Objects]) -> NDArray[np.int32] | None:
    """Ids at pixels; None where parts overlap."""
    labels = parts[0].as_labels()
    for part in parts[1:]:
        own = part.as_labels()
        there = own > 0
        if (labels[there] > 0).any():
            return None
        labels[there] = own[there]
    return labels


def _renumbered(parts: Sequence[Objects]) -> list[Objects]:
    """The same parts, no id twice; the first one keeps its."""
    taken: set[int] = set()
    every = {n for part in parts for n in part.id.tolist()}
    fresh = fresh_ids(every)
    result = []
    for part in parts:
        other = {n: next(fresh) for n in part.id.tolist() if n in taken}
        if other:
            labels = part.as_labels()
            table = np.arange(int(labels.max(initial=0)) + 1, dtype=np.int32)
            for n, m in other.items():
                table[n] = m
            ids = np.array([other.get(n, n) for n in part.id.tolist()], np.int32)
            part = replace(part, id=ids, label_image=table[labels])
        taken |= set(part.id.tolist())
        result.append(part)
    return result


def _with_classes(objects: Objects, classes: tuple[str, ...]) -> Objects:
    """The same objects, their classes numbered as these, others after them."""
    if objects.classes == classes:
        return objects
    names = [objects.classes[i] for i in objects.class_id.tolist()]
    known = tuple(dict.fromkeys((*classes, *names)))
    numbers = np.array([known.index(name) for name in names], np.int32)
    return replace(objects, classes=known, class_id=numbers)
