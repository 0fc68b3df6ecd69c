"""Reads what Mask R-CNN networks give: boxes, classes, scores, masks, a tensor each.

N objects, which may be none:

=========  ====================================  ====================================
boxes      ``[N, 4]``                            x0 y0 x1 y1 in pixels of the window
classes    ``[N]``, or none                      whole numbers
scores     ``[N]``                               from 0 to 1
masks      ``[N, h, w]``, ``[N, 1, h, w]`` or    booleans or from 0 to 1, spread over
           none                                  the box (28 x 28) or over the window
=========  ====================================  ====================================

all with or without a batch axis of 1 in front. They are told apart by the names in the
description, else by their shapes. A mask of the whole window is cut to its box and
averaged to ``SIDE`` x ``SIDE`` values, which is finer than the 28 x 28 that networks of
this family draw it from.

Class 0 is background for torchvision, and a class for detectron2: see
:func:`finish_layout`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.table_outputs import (
    gives_tables,
    outputs_by_role,
    roles_by_name,
)
from napari_imagec_ai.results.window_results import FLOOR, Candidates, Layout
from napari_imagec_ai.run.boxes.rcnn_masks import pictures_of
from napari_imagec_ai.run.boxes.yolo_rows import UNNAMED, numbered, sound

Array = NDArray[Any]


_BACKGROUND = ("background", "bg")


@dataclass(frozen=True, slots=True)
class _Roles:
    """Which output holds what."""

    boxes: int
    scores: int
    classes: int | None
    masks: int | None
    named: bool


def roles_of(
    names: Sequence[str], outputs: Sequence[Array], window: tuple[int, int]
) -> dict[str, int] | None:
    """Which output holds boxes, labels, scores and masks, without a description.

    Parameters
    ----------
    names : sequence of str
        Of the outputs, as the file has them; empty: it has none.
    outputs : sequence of array
        Of one call with one image.
    window : tuple of int
        (height, width) of the network's input.

    Returns
    -------
    dict or None
        None where this is another family of networks.
    """
    tables = _unbatched(outputs)
    at = roles_by_name(names)
    roles = _checked(at, tables) if len(names) >= len(tables) else None
    roles = roles or _by_shape(tables, window)
    if roles is None:
        return None
    found = {
        "boxes": roles.boxes,
        "labels": roles.classes,
        "scores": roles.scores,
        "masks": roles.masks,
    }
    return {role: number for role, number in found.items() if number is not None}


def find_layout(
    model: Model, outputs: Sequence[Array], window: tuple[int, int]
) -> Layout | None:
    """Tell which output holds what; None where this is another family of networks.

    Parameters
    ----------
    model : Model
        For the names of outputs and classes.
    outputs : sequence of array
        Of one call with one image.
    window : tuple of int
        (height, width) of the network's input.

    Raises
    ------
    DecodeError
        If the description has such outputs, but the network gives others.
    """
    tables = _unbatched(outputs)
    roles = _by_name(model, tables) or _by_shape(tables, window)
    if roles is None:
        if gives_tables(model):
            raise _unknown(model, outputs)
        return None
    assumed: tuple[str, ...] = ()
    if not roles.named:
        sentence = (
            "Which output holds boxes, classes, scores and masks was told by their "
            "shapes; outputs of these names in the description would say it."
        )
        assumed = (sentence,)
    return Layout(
        "separate",
        rows=roles.boxes,
        prototypes=None,
        classes=None,
        masks=0,
        names=(),
        assumed=assumed,
        confidences=roles.scores,
        labels=roles.classes,
        pictures=roles.masks,
    )


def read(
    layout: Layout, outputs: Sequence[Array], window: tuple[float, float]
) -> Candidates:
    """Read the objects above the floor; classes are numbered as the network does.

    Parameters
    ----------
    layout : Layout
        Of these outputs.
    outputs : sequence of array
        Of one call with one image.
    window : tuple of int
        (height, width) of the network's input.

    Raises
    ------
    DecodeError
        If masks are no probabilities.
    """
    tables = _unbatched(outputs)
    boxes = np.asarray(tables[layout.rows], np.float32)
    scores = np.asarray(tables[layout.confidences or 0], np.float32).reshape(-1)
    if len(boxes) and np.abs(boxes).max() <= 1.5:  # parts of the window
        boxes = boxes * np.array([window[1], window[0]] * 2, np.float32)
    kept = np.flatnonzero(scores >= FLOOR)
    boxes = np.ascontiguousarray(boxes[kept][:, [1, 0, 3, 2]])
    rows = sound(boxes, scores[kept], window)
    kept, boxes = kept[rows], boxes[rows]
    classes = np.zeros(len(kept), np.int32)
    if layout.labels is not None:
        numbers = tables[layout.labels].reshape(-1)[kept]
        classes = np.nan_to_num(numbers).round().astype(np.int32)
    pictures = None
    if layout.pictures is not None:
        pictures = pictures_of(tables[layout.pictures], kept, boxes, window)
    return Candidates(
        boxes=boxes,
        confidence=scores[kept],
        class_id=classes,
        coefficients=np.zeros((len(kept), 0), np.float32),
        pictures=pictures,
    )


# -- which output is what --------------------------------------------------------------


def _by_name(model: Model, tables: Sequence[Array]) -> _Roles | None:
    """What is what by the description's names, if the shapes agree."""
    if len(tables) != len(model.outputs):
        return None
    return _checked(outputs_by_role(model), tables)


def _checked(at: Mapping[str, int], tables: Sequence[Array]) -> _Roles | None:
    """What is what by names, if the shapes and values agree."""
    if not {"boxes", "scores"} <= at.keys() or max(at.values()) >= len(tables):
        return None
    boxes, scores = at["boxes"], at["scores"]
    classes, masks = at.get("classes"), at.get("masks")
    if tables[boxes].ndim != 2 or tables[boxes].shape[1] != 4:
        return None
    count = len(tables[boxes])
    for vector in (scores, classes):
        if vector is not None and tables[vector].size != count:
            return None
    if masks is not None and not _are_masks(tables[masks], count):
        return None
    if classes is not None and _fractions(tables[classes], tables[scores]):
        return None  # in another order than named
    return _Roles(boxes, scores, classes, masks, named=True)


def _by_shape(tables: Sequence[Array], window: tuple[int, int]) -> _Roles | None:
    """What is what by shapes and values; None where that is not sure."""
    wide = [i for i, a in enumerate(tables) if a.ndim == 2 and a.shape[1] == 4]
    if len(wide) != 1:
        return None
    count = len(tables[wide[0]])
    left = [i for i in range(len(tables)) if i != wide[0]]
    masks = [i for i in left if _are_masks(tables[i], count)]
    vectors = [i for i in left if i not in masks and tables[i].shape == (count,)]
    if len(vectors) == 3:  # two objects, and the two sizes of the window
        vectors = [i for i in vectors if not np.array_equal(tables[i], window)]
    extra = set(left) - {*masks, *vectors}
    if len(vectors) != 2 or len(masks) > 1 or any(tables[i].size > 2 for i in extra):
        return None
    # Classes come before scores where values do not tell.
    classes, scores = sorted(vectors, key=lambda i: _like_scores(tables[i]))
    return _Roles(wide[0], scores, classes, masks[0] if masks else None, named=False)


def _fractions(classes: Array, scores: Array) -> bool:
    """Whether the classes are fractions, and the scores are not."""
    return bool(
        np.any(classes != np.round(classes)) and np.all(scores == scores.round())
    )


def _like_scores(vector: Array) -> tuple[bool, bool, bool]:
    """How much a vector looks like scores, and not like numbers of classes."""
    if not np.issubdtype(vector.dtype, np.floating):
        return (False, False, False)
    fractions = bool(np.any(vector != vector.round()))
    return (True, fractions, bool(vector.max(initial=0) <= 1))


def _are_masks(array: Array, count: int) -> bool:
    if array.ndim == 4 and array.shape[1] == 1:
        return len(array) == count
    return array.ndim == 3 and len(array) == count


def _unbatched(outputs: Sequence[Array]) -> list[Array]:
    """Outputs without a batch axis, where the boxes have one."""
    batched = any(a.ndim == 3 and a.shape[0] == 1 and a.shape[2] == 4 for a in outputs)
    return [a[0] if batched and a.ndim > 1 and len(a) == 1 else a for a in outputs]


def _unknown(model: Model, outputs: Sequence[Array]) -> DecodeError:
    shapes = [str(list(array.shape)) for array in outputs]
    if len(shapes) == len(model.outputs):
        named = zip(model.outputs, shapes, strict=True)
        shapes = [f"'{spec.id}' {shape}" for spec, shape in named]
    return DecodeError(
        "Expected boxes [N, 4], classes [N], scores [N] and masks [N, h, w] or "
        f"[N, 1, h, w], or no masks, found {', '.join(shapes)}; export the network so "
        "that it gives these, or choose another model."
    )


# -- classes ---------------------------------------------------------------------------


def finish_layout(
    layout: Layout, found: Sequence[Candidates], model: Model
) -> tuple[Layout, list[Candidates]]:
    """Number the classes from 0 and name them, when all windows were read.

    The network's classes begin with 1 where the description's first class is
    'background', where no object has 0 and the highest is as the description names
    classes, where the output is called labels, as torchvision does, and where nothing
    has a name; else with 0, as detectron2's.

    Parameters
    ----------
    layout : Layout
        As it was told in one window.
    found : sequence of Candidates
        Of all windows.
    model : Model
        For the names of outputs and classes.
    """
    names = model.classes
    numbers = np.unique(np.concatenate([each.class_id for each in found]))
    first, sentence = _first_class(layout, numbers, model)
    if names and names[0].strip("_ ").lower() in _BACKGROUND:
        names = names[1:]
    settled = [
        replace(each[rows], class_id=each.class_id[rows] - np.int32(first))
        for each in found
        for rows in [each.class_id >= first]
    ]
    highest = int(numbers.max(initial=0)) - first + 1
    count = max(highest, len(names), 1)
    assumed = [*layout.assumed, sentence]
    if not names:
        assumed.append(UNNAMED)
    elif highest > len(names):
        assumed.append(
            f"The description names {len(names)} classes, but the network gave number "
            f"{highest}; the rest got numbers."
        )
    said = tuple(filter(None, assumed))
    return replace(layout, names=numbered(names, count), assumed=said), settled


def _first_class(
    layout: Layout, numbers: NDArray[Any], model: Model
) -> tuple[int, str]:
    """The number of the first class, and a sentence where that was assumed."""
    names = model.classes
    if layout.labels is None or model.settings.get("first_class") == 0:
        return 0, ""
    if names and names[0].strip("_ ").lower() in _BACKGROUND:
        return 1, ""
    if not len(numbers) or numbers[0] < 1:
        return 0, ""
    if numbers[-1] == len(names):
        return 1, ""
    named = outputs_by_role(model).get("classes") == layout.labels
    name = model.outputs[layout.labels].id if named else ""
    if "class" in name.lower():
        return 0, (
            f"Classes in '{name}' were taken to count from 0, as detectron2's do; "
            "where 0 is background, write 'background' as the first of the "
            "description's classes."
        )
    return 1, (
        "Classes were taken to count from 1, with 0 for background, as torchvision's "
        "do; where they count from 0, name the output 'classes' in the description."
    )
