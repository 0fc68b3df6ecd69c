"""Reads the rows that YOLO networks give: boxes, confidences, classes, coefficients.

Three layouts are told apart by the shapes of the tensors, the names of their channels
and what the exporter wrote into the file. C classes, M mask prototypes, N rows:

=================  ============================  =======================================
name               rows                          a row
=================  ============================  =======================================
``objectness``     ``[1, N, 5 + C + M]``         cx cy w h, objectness, C scores, M
``scores``         ``[1, 4 + C + M, N]``         cx cy w h, C scores, M
``end_to_end``     ``[1, N, 6 + M]``             x0 y0 x1 y1, score, class, M
=================  ============================  =======================================

with prototypes ``[1, M, h, w]`` beside them, or none. The first is that of YOLOv5, the
second that of YOLOv8 and later, the third that of exports with their own suppression.
Boxes are in pixels of the window; scores are probabilities. Networks with separate
tensors for boxes, classes, scores and masks are read by `instances`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.window_results import FLOOR, Candidates, Layout
from napari_imagec_ai.run.boxes import yolo_metadata

Array = NDArray[Any]


_LAYOUTS = (
    "[1, N, 5+C+M] with objectness (YOLOv5), [1, 4+C+M, N] (YOLOv8 and later) and "
    "[1, N, 6+M] (end to end), with prototypes [1, M, h, w] or none, and boxes [N, 4], "
    "classes [N], scores [N] and masks [N, h, w] as separate outputs (Mask R-CNN)"
)

UNNAMED = "The classes have no names; they got numbers."

_MOST_FINAL = 3000
"""Networks with suppression inside give a few hundred rows, others thousands."""

_BOX_NAMES = {"cx", "cy", "x", "y", "w", "h", "width", "height", "objectness", "obj"}


def find_layout(
    model: Model | None, outputs: Sequence[Array], metadata: Mapping[str, str]
) -> Layout:
    """Tell the layout of a network's outputs.

    Parameters
    ----------
    model : Model or None
        For channel names and classes; None for weights without a description.
    outputs : sequence of array
        Of one call with one image.
    metadata : mapping of str to str
        What the exporter wrote into the file.

    Raises
    ------
    DecodeError
        If they have none of the known layouts.
    """
    flat = [i for i, array in enumerate(outputs) if array.ndim == 3]
    maps = [i for i, array in enumerate(outputs) if array.ndim == 4]
    if len(flat) != 1 or len(maps) > 1 or not _all_known(outputs, flat[0]):
        raise _unknown(outputs)
    rows, prototypes = flat[0], maps[0] if maps else None
    masks = outputs[prototypes].shape[1] if prototypes is not None else 0
    told = yolo_metadata.read(metadata)
    array = outputs[rows][0]
    long_first = _rows_first(model, rows, array)
    width = array.shape[1] if long_first else array.shape[0]
    known = len(_class_names(model, told)) or None
    if model is not None and model.classes_by_hand:
        found = _by_hand(model, rows, prototypes, masks, array, told, long_first)
    elif long_first and width == 6 + masks and _is_final(array, told, known):
        found = Layout("end_to_end", rows, prototypes, None, masks, ())
    elif long_first:
        found = Layout("objectness", rows, prototypes, width - 5 - masks, masks, ())
    else:
        found = Layout("scores", rows, prototypes, width - 4 - masks, masks, ())
    if found.classes is not None and found.classes < 1:
        raise _unknown(outputs)
    return _named(found, model, rows, told, array)


def read(
    layout: Layout, outputs: Sequence[Array], window: tuple[int, int]
) -> Candidates:
    """Read the candidates above the floor.

    Parameters
    ----------
    layout : Layout
        Of these outputs.
    outputs : sequence of array
        Of one call with one image.
    window : tuple of int
        (height, width) of the network's input.
    """
    array = np.asarray(outputs[layout.rows][0], np.float32)
    if layout.name == "scores" and not layout.rows_first:
        array = array.T
    if layout.name == "end_to_end":
        confidence, class_id = array[:, 4], array[:, 5].round().astype(np.int32)
    else:
        first = 5 if layout.name == "objectness" else 4
        scores = array[:, first : first + (layout.classes or 0)]
        class_id = scores.argmax(axis=1).astype(np.int32)
        confidence = scores[np.arange(len(scores)), class_id]
        if layout.name == "objectness":
            confidence = confidence * array[:, 4]
    kept = np.flatnonzero(confidence >= FLOOR)
    boxes = array[kept, :4]
    if len(boxes) and np.abs(boxes).max() <= 2:  # some exports give parts of the window
        boxes = boxes * np.array([window[1], window[0]] * 2, np.float32)
    return Candidates(
        boxes=_corners(boxes, layout.name != "end_to_end"),
        confidence=confidence[kept],
        class_id=class_id[kept],
        coefficients=array[kept, array.shape[1] - layout.masks :],
    )


def _by_hand(
    model: Model,
    rows: int,
    prototypes: int | None,
    masks: int,
    array: Array,
    told: Mapping[str, Any],
    long_first: bool,
) -> Layout:
    """The layout, where a person told how many classes there are.

    Numbers of a row beyond box, classes and masks (angles, key points) are left out.
    """
    count = len(model.classes)
    width = array.shape[1] if long_first else array.shape[0]
    spare = width - masks - count
    if long_first and width == 6 + masks and _is_final(array, told, None):
        return Layout("end_to_end", rows, prototypes, None, masks, ())
    if spare < 4:
        most = width - masks - (5 if long_first else 4)
        raise DecodeError(
            f"Expected at most {most} classes, as the network gives {width} numbers "
            f"for each box ({masks} of them for masks), found {count} that were told; "
            "correct the classes."
        )
    if spare == 4 or not long_first:
        name, extra = "scores", spare - 4
    else:
        name, extra = "objectness", spare - 5
    assumed: tuple[str, ...] = ()
    if extra:
        assumed = (f"{extra} numbers of each box, beside its classes, were left out.",)
    return Layout(
        name,  # type: ignore[arg-type]
        rows,
        prototypes,
        count,
        masks,
        (),
        assumed,
        rows_first=long_first and name == "scores",
    )


def settle(layout: Layout, found: Sequence[Candidates]) -> Layout:
    """Name the classes that came up in any window, where rows name theirs by number.

    Parameters
    ----------
    layout : Layout
        As it was told in one window.
    found : sequence of Candidates
        Of all windows.
    """
    count = 1 + max((int(each.class_id.max(initial=-1)) for each in found), default=-1)
    if layout.classes is not None or count <= len(layout.names):
        return layout
    return replace(layout, names=numbered(layout.names, count))


def numbered(names: Sequence[str], count: int) -> tuple[str, ...]:
    """That many names of classes: those given, then numbers."""
    return (*names[:count], *(f"class {i + 1}" for i in range(len(names), count)))


def _all_known(outputs: Sequence[Array], rows: int) -> bool:
    """Whether all is of one image, and nothing is there that has no known meaning.

    Beside rows and prototypes some exports give the grids that the rows were made from.
    """
    return all(
        array.ndim in (3, 4, 5)
        and array.shape[0] == 1
        and (array.ndim < 5 or array.shape[-1] in outputs[rows].shape[1:])
        for array in outputs
    )


def _corners(boxes: NDArray[np.float32], centred: bool) -> NDArray[np.float32]:
    """Boxes in XY order as y0, x0, y1, x1."""
    if centred:
        half = boxes[:, 2:] / 2
        boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return np.ascontiguousarray(boxes[:, [1, 0, 3, 2]], np.float32)


def _rows_first(model: Model | None, rows: int, array: Array) -> bool:
    """Whether the first axis counts rows: as described, else it is the longer one."""
    if model is not None and rows < len(model.outputs):
        axes = [axis.name for axis in model.outputs[rows].axes]
        if len(axes) == 3 and "c" in axes and axes[2] != axes[1]:
            return axes[2] == "c"
    return bool(array.shape[0] > array.shape[1])


def _is_final(array: Array, told: Mapping[str, Any], known: int | None) -> bool:
    """Whether suppression was done inside.

    Told, or several classes for which rows with objectness would be too short; else
    rows that hold whole class numbers, the surest row first.
    """
    if told.get("nms") or told.get("end2end") or (known is not None and known > 1):
        return True
    if len(array) > _MOST_FINAL:
        return False
    whole = np.array_equal(array[:, 5], array[:, 5].round())
    return bool(whole and np.all(np.diff(array[:, 4]) <= 1e-6))


def _named(
    layout: Layout,
    model: Model | None,
    rows: int,
    told: Mapping[str, Any],
    array: Array,
) -> Layout:
    """Names of the classes: the description's, else the file's, else numbers."""
    count = layout.classes
    names = _class_names(model, {})
    if model is not None and not names:
        names = _channel_classes(model, rows, layout)
    source = "description"
    if not names:
        names, source = _class_names(None, told), "weights file"
    if count is None:  # rows name their class by number
        highest = int(array[:, 5].max(initial=0)) + 1
        count = max(highest, len(names))
    assumed: tuple[str, ...] = ()
    if names and len(names) != count:
        sentence = (
            f"The {source} names {len(names)} classes, but the network has {count}; "
            "the rest got numbers or was left out."
        )
        assumed = (sentence,)
    elif not names:
        assumed = (UNNAMED,)
    said = (*layout.assumed, *assumed)
    return replace(layout, names=numbered(names, count), assumed=said)


def _class_names(model: Model | None, told: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the classes in the description, else in the file; empty without."""
    if model is not None and model.classes:
        return model.classes
    found = told.get("names")
    if isinstance(found, Mapping):
        found = [found[key] for key in sorted(found, key=_number)]
    return tuple(str(n) for n in found) if isinstance(found, (list, tuple)) else ()


def _number(key: Any) -> tuple[int, str]:
    """Order of class numbers, also where they were written as text."""
    return (int(key), "") if str(key).isdigit() else (1 << 30, str(key))


def _channel_classes(model: Model, rows: int, layout: Layout) -> tuple[str, ...]:
    if rows >= len(model.outputs) or layout.classes is None:
        return ()
    names = model.outputs[rows].channel_names
    first = 5 if layout.name == "objectness" else 4
    if len(names) != first + layout.classes + layout.masks:
        return ()
    if not {name.lower() for name in names[:first]} <= _BOX_NAMES:
        return ()
    return names[first : first + layout.classes]


def _unknown(outputs: Sequence[Array]) -> DecodeError:
    shapes = ", ".join(str(list(array.shape)) for array in outputs)
    return DecodeError(
        f"The network's outputs {shapes} have no known layout of boxes; known are "
        f"{_LAYOUTS}. Export the network in one of these, or choose another model."
    )
