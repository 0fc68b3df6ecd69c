"""Tracks layers: the ways of objects that are followed through time, by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai._napari.layers.drawing import point_data
from napari_imagec_ai._napari.layers.from_napari import Source, placed
from napari_imagec_ai.results.linking.assign_tracks import PARENT, TRACK

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Tracks

    from napari_imagec_ai.results.objects import Objects


class TrackLayers:
    """The Tracks layers of one result.

    Parameters
    ----------
    viewer : ViewerModel
        Where layers are added.
    source : Source
        The image layer that they lie on.
    """

    def __init__(self, viewer: ViewerModel, source: Source) -> None:
        self.viewer, self.source = viewer, source
        self._layers: dict[str, Tracks] = {}

    def show(self, name: str, mine: Objects) -> None:
        """Bring the ways of a class up to date; objects without tracks have none."""
        if not has_ways(mine):
            self.retire([one for one in self._layers if one != name])
            return
        data, graph = ways(mine)
        layer = self._layers.get(name)
        if layer is not None and layer in self.viewer.layers:
            layer.graph = {}
            layer.data = data
            layer.graph = graph
            return
        self._layers[name] = self.viewer.add_tracks(
            data,
            graph=graph,
            name=f"{name} tracks ({self.source.name})",
            **placed(self.source, mine.frame.origin),
        )

    def retire(self, wanted: Any) -> None:
        """Take away the layers of classes that are no longer wanted."""
        for name in [name for name in self._layers if name not in wanted]:
            layer = self._layers.pop(name)
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    def layers(self) -> dict[str, Tracks]:
        """The layers that are still in the viewer, by class."""
        there = self._layers.items()
        return {name: one for name, one in there if one in self.viewer.layers}


def has_ways(objects: Objects) -> bool:
    """Whether objects are followed through time."""
    timed = objects.frame.axes.startswith("T")
    return timed and len(objects) > 0 and TRACK in objects.features


def ways(objects: Objects) -> tuple[NDArray[np.float64], dict[int, list[int]]]:
    """Points of tracks as napari wants them, and which track came from which.

    Returns
    -------
    data : (N, 1 + D) float
        Track and position along the axes of the frame, sorted by track and time.
    graph : dict of int to list of int
        Tracks that a track divided from.
    """
    tracks = np.asarray(objects.features[TRACK], np.int64)
    data = np.column_stack([tracks, point_data(objects)]).astype(np.float64)
    order = np.lexsort((data[:, 1], data[:, 0]))
    graph: dict[int, list[int]] = {}
    if PARENT in objects.features:
        parents = np.asarray(objects.features[PARENT], np.int64)
        here = set(tracks.tolist())
        for track, parent in zip(tracks.tolist(), parents.tolist(), strict=True):
            if parent in here:
                graph[track] = [parent]
    return data[order], graph
