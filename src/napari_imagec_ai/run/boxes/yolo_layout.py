"""How the rows of a YOLO network are laid out: told by its exporter, else by shapes.

What the exporter wrote into the file comes first: the task and the head, the names of
the classes, how many key points there are. Names that fit no layout are a question to
the person; shapes decide only where nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.window_results import Layout
from napari_imagec_ai.run.boxes import yolo_metadata
from napari_imagec_ai.run.boxes.grid_rows import counts_cells, is_undecoded
from napari_imagec_ai.run.boxes.yolo_metadata import Export

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

_OTHER_TASKS = {
    "classify": "scores of the whole image",
    "semantic": "a map of classes",
    "depth": "a map of depths",
}
"""Tasks of exporters whose outputs are no boxes."""

Name = Literal["objectness", "scores", "end_to_end"]


@dataclass(frozen=True, slots=True)
class _Rows:
    """One table, and what is known of it.

    Attributes
    ----------
    table : (.., ..) array
        Rows along one axis, the numbers of each along the other.
    told : Export
        What the exporter wrote.
    known : int or None
        How many classes have a name.
    masks : int
        Coefficients of masks in each row.
    rows_first : bool
        Whether the first axis counts rows, as far as shape and description tell.
    window : tuple of int or None
        Of the input.
    by_hand : bool
        Whether a person told the classes.
    """

    table: Array
    told: Export
    known: int | None
    masks: int
    rows_first: bool
    window: tuple[int, int] | None
    by_hand: bool

    @property
    def rest(self) -> int:
        """Numbers of a row that are neither box nor scores."""
        return self.told.extra + self.masks

    def turned(self, rows_first: bool) -> Array:
        """With the rows along the first axis."""
        return self.table if rows_first else self.table.T


def find_layout(
    model: Model | None,
    outputs: Sequence[Array],
    metadata: Mapping[str, str],
    window: tuple[int, int] | None = None,
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
    window : tuple of int, optional
        (height, width) of the network's input.

    Raises
    ------
    DecodeError
        If they have none of the known layouts, or what the exporter says fits none.
    """
    told = yolo_metadata.read(metadata)
    if told.task in _OTHER_TASKS:
        raise DecodeError(
            f"The network was exported for the task '{told.task}': it gives "
            f"{_OTHER_TASKS[told.task]} and no boxes; choose another decoder."
        )
    flat = [i for i, array in enumerate(outputs) if array.ndim == 3]
    maps = [i for i, array in enumerate(outputs) if array.ndim == 4]
    if len(flat) != 1 or len(maps) > 1 or not _all_known(outputs, flat[0]):
        raise _unknown(outputs)
    rows, prototypes = flat[0], maps[0] if maps else None
    masks = outputs[prototypes].shape[1] if prototypes is not None else 0
    table = outputs[rows][0]
    known = len(_class_names(model, told)) or None
    first = _rows_first(model, rows, table)
    by_hand = model is not None and model.classes_by_hand
    look = _Rows(table, told, known, masks, first, window, by_hand)
    empty = Layout("scores", rows, prototypes, None, masks, ())
    found = next(_fitting(look, empty), None)
    if found is None and by_hand and known is not None:
        found = _by_hand(look, empty, known)
    if found is None and known is not None:
        short = look.turned(first).shape[1] < look.rest + (6 if first else 5)
        raise _unknown(outputs) if short and not told.task else _asked(model, look)
    found = found or _by_shape(look, empty)
    if found.classes is not None and found.classes < 1:
        raise _unknown(outputs)
    return _named(found, model, rows, told, table)


def _fitting(look: _Rows, empty: Layout) -> Iterator[Layout]:
    """Layouts that agree with all that is told, the likeliest first."""
    told, known = look.told, look.known
    for rows_first in (look.rows_first, not look.rows_first):
        table = look.turned(rows_first)
        width = table.shape[1] - look.rest
        made = _with_extra(empty, told, rows_first)
        if told.is_transformer:
            yield from _of_queries(made, table, width, known)
            continue
        whole = width == 6 and len(table) <= _MOST_FINAL and told.final is not False
        if whole and (told.final or (rows_first and _looks_final(table, known))):
            yield replace(made, name="end_to_end")
        if known is None or told.final:
            continue
        if width == 5 + known and rows_first and not told.task:
            yield _with_objectness(made, look, table, known)
        # With rows first, no usual export is without objectness: it takes a word.
        if width == 4 + known and (not rows_first or told.task or look.by_hand):
            yield replace(made, classes=known)


def _of_queries(
    made: Layout, table: Array, width: int, known: int | None
) -> Iterator[Layout]:
    """Rows of RT-DETR: a score and a class in newer exports, else a score of each."""
    made = replace(made, parts=True, suppressed=True)
    ranked = _looks_final(table, known, upright=False) if width == 6 else False
    if width == 6 and (ranked or known not in (None, 2)):
        yield replace(made, name="end_to_end", centred=True)
    if known is None or width == 4 + known:
        yield replace(made, classes=width - 4)


def _by_shape(look: _Rows, empty: Layout) -> Layout:
    """The layout where nobody named the classes: long tables have objectness."""
    table = look.turned(look.rows_first)
    made = _with_extra(empty, look.told, look.rows_first)
    width = table.shape[1] - look.rest
    if look.rows_first and not look.told.task:
        return _with_objectness(made, look, table, width - 5)
    return replace(made, classes=width - 4)


def _with_extra(empty: Layout, told: Export, rows_first: bool) -> Layout:
    """What lies behind the scores, by the exporter's words."""
    points = told.points if told.task in ("", "pose") else (0, 0)
    return replace(
        empty,
        rows_first=rows_first,
        angles=told.extra == 1 and points == (0, 0),
        points=points,
        point_names=told.point_names,
        parts=False if told.task else None,
    )


def _with_objectness(made: Layout, look: _Rows, table: Array, classes: int) -> Layout:
    """Rows with objectness; those of YOLOX may still have to be put on their grid."""
    found = replace(made, name="objectness", classes=classes)
    if look.window is None or not counts_cells(len(table), look.window):
        return found
    raw = is_undecoded(table)
    sentence = "Rows were taken as those of YOLOX: box, objectness, classes" + (
        ", boxes counted from the cells of its grids." if raw else "."
    )
    return replace(found, grid=raw, assumed=(*found.assumed, sentence))


def _looks_final(table: Array, known: int | None, upright: bool = True) -> bool:
    """Whether rows hold whole class numbers, the surest row first, and whole boxes."""
    sure, label = table[:, 4], table[:, 5]
    if known is not None and known > 1 and not np.any(table):
        return True  # nothing was found, and rows with objectness would be too short
    there = table[sure > 1e-6]
    whole = np.array_equal(label, label.round()) and bool(np.all(label >= 0))
    ordered = bool(np.all(np.diff(sure) <= 1e-6)) and bool(np.all(sure <= 1.001))
    boxes = not upright or bool(np.all(there[:, 2:4] >= there[:, :2] - 1e-3))
    fits = known is None or label.max(initial=0) < known
    return whole and ordered and boxes and bool(fits)


def _by_hand(look: _Rows, empty: Layout, count: int) -> Layout:
    """The layout, where a person told how many classes there are.

    Numbers of a row beyond box, classes and masks are left out.
    """
    table = look.turned(look.rows_first)
    width = table.shape[1]
    whole = width == 6 + look.masks and len(table) <= _MOST_FINAL
    if look.rows_first and whole and _looks_final(table, None):
        return replace(empty, name="end_to_end", rows_first=True)
    spare = width - look.masks - count
    if spare < 4:
        most = width - look.masks - (5 if look.rows_first else 4)
        raise DecodeError(
            f"Expected at most {most} classes, as the network gives {width} numbers "
            f"for each box ({look.masks} of them for masks), found {count} that were "
            "told; correct the classes."
        )
    objectness = spare > 4 and look.rows_first
    name: Name = "objectness" if objectness else "scores"
    extra = spare - (5 if objectness else 4)
    assumed: tuple[str, ...] = ()
    if extra:
        assumed = (f"{extra} numbers of each box, beside its classes, were left out.",)
    return replace(
        empty,
        name=name,
        classes=count,
        assumed=assumed,
        rows_first=look.rows_first,
    )


def _asked(model: Model | None, look: _Rows) -> DecodeError:
    """A question to the person: what is named does not fit what is there."""
    names = _class_names(model, look.told)
    source = "The description" if model is not None and model.classes else "The file"
    short = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    count = look.turned(look.rows_first).shape[1]
    also = f" for the task '{look.told.task}'" if look.told.task else ""
    rest = f" and {look.rest} for masks, angle or key points" if look.rest else ""
    classes = f"{len(names)} class{'es' * (len(names) != 1)}"
    return DecodeError(
        f"{source} names {classes} ({short}){also}, which does not fit the {count} "
        f"numbers that the network gives for each box (4 for the box{rest}); say the "
        "classes that it has (--classes), and what is left over is left out."
    )


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


def _rows_first(model: Model | None, rows: int, array: Array) -> bool:
    """Whether the first axis counts rows: as described, else it is the longer one."""
    if model is not None and rows < len(model.outputs):
        axes = [axis.name for axis in model.outputs[rows].axes]
        if len(axes) == 3 and "c" in axes and axes[2] != axes[1]:
            return axes[2] == "c"
    return bool(array.shape[0] > array.shape[1])


def _named(
    layout: Layout, model: Model | None, rows: int, told: Export, array: Array
) -> Layout:
    """Names of the classes: the description's, else the file's, else numbers."""
    count = layout.classes
    names = _class_names(model, Export())
    if model is not None and not names:
        names = _channel_classes(model, rows, layout)
    source = "description"
    if not names:
        names, source = told.names, "weights file"
    if count is None:  # rows name their class by number
        turned = array if layout.rows_first else array.T
        labels = turned[turned[:, 4] > 1e-6, 5]
        count = max(int(labels.max(initial=-1)) + 1, len(names))
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


def numbered(names: Sequence[str], count: int) -> tuple[str, ...]:
    """That many names of classes: those given, then numbers."""
    return (*names[:count], *(f"class {i + 1}" for i in range(len(names), count)))


def _class_names(model: Model | None, told: Export) -> tuple[str, ...]:
    """Names of the classes in the description, else in the file; empty without."""
    return model.classes if model is not None and model.classes else told.names


def _channel_classes(model: Model, rows: int, layout: Layout) -> tuple[str, ...]:
    if rows >= len(model.outputs) or layout.classes is None:
        return ()
    names = model.outputs[rows].channel_names
    first = 5 if layout.name == "objectness" else 4
    if len(names) < first + layout.classes + layout.masks:
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
