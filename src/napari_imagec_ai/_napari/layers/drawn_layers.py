"""What is drawn of a result beside its pixels: outlines, boxes and points by class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Shapes

from napari_imagec_ai._napari.layers import drawing, lazy_labels
from napari_imagec_ai._napari.layers.draw_kinds import Drawn
from napari_imagec_ai._napari.layers.drawing import ShapeKind
from napari_imagec_ai._napari.layers.from_napari import Source, Style, move, placed
from napari_imagec_ai._napari.layers.many_shapes import ManyShapes

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Layer, Points

    from napari_imagec_ai._napari.layers.edits import Edits
    from napari_imagec_ai.results.objects import Objects

MAX_SHAPES = 2000
"""More outlines than these stop the window for a second."""

MANY = f"Outlines above {MAX_SHAPES} objects"
"""What the control is called that asks for them."""

PIECEWISE = 1000
"""More outlines than these are added some at a time."""

Table = Callable[[], "pd.DataFrame"]
"""Gives the table of objects; made once for all layers that hold it."""

Key = tuple[ShapeKind, str]
"""What is drawn, and of which class."""


def title(source: Source, name: str, kind: str = "") -> str:
    """Name of a layer of a class."""
    return f"{name} {kind} ({source.name})" if kind else f"{name} ({source.name})"


def retitle(
    source: Source, layers: Iterable[tuple[Layer, str, str]], names: Mapping[str, str]
) -> None:
    """Give layers (layer, kind, class) the names that their classes have now.

    A layer that the person named keeps its name.
    """
    mine = [
        (layer, title(source, names[old], kind))
        for layer, kind, old in layers
        if old in names and layer.name == title(source, old, kind)
    ]
    for layer, name in mine:  # napari numbers names that are there at the moment
        layer.name = f"{name} {id(layer)}"
    for layer, name in mine:
        layer.name = name


class Drawings:
    """Shapes and Points layers of one result.

    Outlines that a person took away stay away until they are asked for.

    Parameters
    ----------
    viewer : ViewerModel
        Where layers are added.
    source : Source
        The image layer that they lie on.
    edits : Edits
        Told of outlines that are drawn.
    """

    def __init__(self, viewer: ViewerModel, source: Source, edits: Edits) -> None:
        self.viewer, self.source, self._edits = viewer, source, edits
        self.drawn = Drawn()
        self._layers: dict[Key, Shapes | Points] = {}
        self._dismissed: set[Key] = set()
        self._many = ManyShapes()

    @property
    def busy(self) -> bool:
        """Whether outlines are being drawn in the background."""
        return self._many.busy

    def stop(self) -> None:
        """Draw no more."""
        self._many.stop()

    def has(self, name: str) -> bool:
        """Whether something is drawn of a class."""
        return any(of == name for _, of in self._layers)

    def bring_back(self) -> None:
        """Draw again what the person took away."""
        self._dismissed.clear()

    def prepare(self, name: str, mine: Objects, style: Style) -> list[str]:
        """Have a layer for all that is to be drawn of a class, empty where it is new.

        Gives sentences on what is not drawn.
        """
        notes: list[str] = []
        for kind in self._kinds(name, mine):
            layer = self._layers.get((kind, name))
            if layer is None or layer not in self.viewer.layers:
                layer = self._new(kind, name, mine)
                layer.visible = style.visible
                style_drawn(kind, layer, style.colour)
            if self._is_slow(kind, mine) and self.drawn.many:
                notes.append(f"{len(mine)} {kind} are being drawn in the background.")
            elif self._is_slow(kind, mine):
                notes.append(
                    f"{name}: {len(mine)} {kind} take napari long to build, so the "
                    f"Shapes layer has none above {MAX_SHAPES}; '{MANY}' in the tab "
                    "'Results' draws them."
                )
        return notes

    def draw(self, name: str, mine: Objects, table: Table) -> None:
        """Fill the layers of a class, which are prepared; the table is its objects'."""
        for kind in self._kinds(name, mine):
            layer = self._layers.get((kind, name))
            if layer is not None and layer in self.viewer.layers:
                self._draw(kind, name, layer, mine, table)

    def _kinds(self, name: str, mine: Objects) -> list[ShapeKind]:
        """What is to be drawn of a class."""
        return [
            kind
            for kind in self.drawn.kinds
            if (kind == "points" or len(mine.space) == 2)
            and (kind, name) not in self._dismissed
        ]

    def _is_slow(self, kind: ShapeKind, mine: Objects) -> bool:
        return kind != "points" and len(mine) > MAX_SHAPES

    def _draw(
        self,
        kind: ShapeKind,
        name: str,
        layer: Shapes | Points,
        mine: Objects,
        table: Table,
    ) -> None:
        slow, features = self._is_slow(kind, mine), table()
        if slow and not self.drawn.many:
            mine, features = mine[np.zeros(len(mine), bool)], features[:0]
        self._many.leave(layer)
        in_depth = bool(self.viewer.dims.ndisplay == 3)
        if kind == "points":
            drawing.update_points(cast("Points", layer), mine, features)
        elif (slow and self.drawn.many) or len(mine) > PIECEWISE:
            shapes = cast("Shapes", layer)
            self._edits.leave(shapes)
            self._many.draw(shapes, mine, features, kind, in_depth)
        else:
            shapes = cast("Shapes", layer)
            own = self._edits.own_outlines(name) if kind == "outlines" else {}
            drawing.update_shapes(shapes, mine, features, kind, in_depth, own)
            small = mine.has_pixels and not lazy_labels.is_lazy(mine)
            if kind == "outlines" and small and not slow:
                self._edits.watch_outlines(name, shapes, mine)
        move(layer, self.source, mine.frame.origin)

    def _new(self, kind: ShapeKind, name: str, mine: Objects) -> Shapes | Points:
        named = title(self.source, name, kind)
        place = placed(self.source, mine.frame.origin)
        ndim = len(mine.frame.axes)
        made: Shapes | Points
        if kind == "points":
            made = self.viewer.add_points(ndim=ndim, name=named, **place)
        else:
            # Made before it is displayed: see drawing.refill.
            made = Shapes(ndim=ndim, name=named, **place)
            self.viewer.add_layer(made)
        self._layers[kind, name] = made
        return made

    def retire(self, wanted: tuple[str, ...]) -> None:
        """Take away what is drawn of classes and kinds that are no longer wanted."""
        kinds = self.drawn.kinds
        self._dismissed = {key for key in self._dismissed if key[0] in kinds}
        for kind, name in list(self._layers):
            if name not in wanted or kind not in kinds:
                unused = self._layers.pop((kind, name))
                self._many.leave(unused)
                self._edits.leave(unused)
                if unused in self.viewer.layers:
                    self.viewer.layers.remove(unused)

    def removed(self, layer: Layer) -> None:
        """The person took a layer away."""
        for key in [key for key, one in self._layers.items() if one == layer]:
            self._many.leave(self._layers.pop(key))
            self._dismissed.add(key)

    def part_with(self, name: str) -> list[Layer]:
        """Leave what is drawn of a class to the person; gives the layers."""
        keys = [key for key in self._layers if key[1] == name]
        mine: list[Layer] = [self._layers.pop(key) for key in keys]
        for layer in mine:
            self._many.leave(layer)
        return mine

    def rename(self, names: Mapping[str, str]) -> None:
        """Classes have other names now; a layer that the person named keeps its."""
        self._dismissed = {(k, names.get(n, n)) for k, n in self._dismissed}
        mine = ((layer, kind, old) for (kind, old), layer in self._layers.items())
        retitle(self.source, mine, names)
        self._layers = {
            (k, names.get(n, n)): one for (k, n), one in self._layers.items()
        }

    def layers(self) -> dict[Key, Shapes | Points]:
        """What is still in the viewer."""
        there = self.viewer.layers
        return {key: one for key, one in self._layers.items() if one in there}


def style_drawn(
    kind: ShapeKind | None, layer: Any, colour: str, fill: str = ""
) -> None:
    """Give a layer its colour; None: Labels, filled like this."""
    if kind is None:
        drawing.style_labels(layer, colour, fill)
    elif kind == "points":
        drawing.style_points(layer, colour)
    else:
        drawing.style_shapes(layer, colour)
