"""The widget's part for images that hold several: scenes of a file, more dimensions."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox
from napari.layers import Image

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.background import Jobs
from napari_imagec_ai._napari.controls import Eliding
from napari_imagec_ai._napari.desk import Desk
from napari_imagec_ai._napari.image.origin import file_of
from napari_imagec_ai._napari.layers.from_napari import MOST_AXES
from napari_imagec_ai._napari.layers.marks import SCENE
from napari_imagec_ai.image.opening_files import scene_names

if TYPE_CHECKING:
    from napari_imagec_ai._napari.image.image_choice import ImageChoice
    from napari_imagec_ai.image.image_input import ImageInput

_NONE = -1


@dataclass(slots=True)
class _NoButton:
    """A look into a file: it needs no button."""

    name: str
    enabled: bool = True


class SceneChoice:
    """Which image of a file, or which position of a layer of many dimensions.

    The chosen one becomes a layer of its own, and is run.

    Parameters
    ----------
    desk : Desk
        Who to tell.
    source : ImageChoice
        Knows the layer.
    """

    def __init__(self, desk: Desk, source: ImageChoice) -> None:
        self._desk, self._source = desk, source
        self._names: dict[Path, tuple[str, ...]] = {}
        self._shown: list[tuple[str, int]] = []
        self._value = _NONE
        self.jobs = Jobs(desk.say)
        self.scene: Any = ComboBox(
            choices=lambda _: self._shown,
            name="scene",
            label="Scene",
            tooltip="The file holds several images, or the layer has a dimension more "
            "than can be run: the one that you choose is opened as a layer.",
        )
        source.insert(1, self.scene)
        self.scene.visible = False
        Eliding(self.scene)
        self.scene.changed.connect(lambda _: self._chosen())

    def stop(self) -> None:
        """Touch nothing any more: the window is gone."""
        self.jobs.stop()

    @property
    def busy(self) -> bool:
        """Whether a file is being read."""
        return self.jobs.busy

    # -- what is shown -----------------------------------------------------------------

    def follow(self) -> None:
        """Show what there is to choose of the layer that is chosen."""
        layer = self._source.layer.value
        if layer is None:
            self._show([], _NONE)
            return
        own = layer.metadata.get(SCENE, _NONE)
        if layer.ndim > MOST_AXES:
            named = range(layer.data.shape[_first(layer)])
            self._show([("(choose)", _NONE), *((str(n), n) for n in named)], _NONE)
            return
        path = file_of(layer)
        if path is None:
            self._show([], _NONE)
        elif path in self._names:
            names = self._names[path]
            told = [(f"{n} {name}".rstrip(), n) for n, name in enumerate(names)]
            self._show(told, own if own != _NONE else 0)
        else:
            self._show([], _NONE)
            done = partial(self._found, path)
            self.jobs.start(_NoButton(str(path)), done, scene_names, path)

    def _found(self, path: Path, names: tuple[str, ...]) -> None:
        self._names[path] = names
        self.follow()

    def _show(self, choices: list[tuple[str, int]], chosen: int) -> None:
        if (choices, chosen) == (self._shown, self._value):
            return
        self._shown, self._value = choices, chosen
        with self.scene.changed.blocked():
            self.scene.reset_choices()
            if choices:
                self.scene.value = chosen
        self.scene.visible = bool(choices)

    # -- what is chosen ----------------------------------------------------------------

    def _chosen(self) -> None:
        layer, number = self._source.layer.value, self.scene.value
        self._value = number
        if layer is None or number is None or number == _NONE:
            return
        if layer.ndim > MOST_AXES:
            self._take_out(layer, number)
            return
        path = file_of(layer)
        if path is None or number == layer.metadata.get(SCENE, 0):
            return
        for other in self._source.layer.choices:
            if file_of(other) == path and other.metadata.get(SCENE, 0) == number:
                self._source.layer.value = other  # it is open already
                return
        self._desk.say("Opening the scene...")
        done = partial(self._opened, path, number)
        self.jobs.start(self.scene, done, tasks.scene, path, number)

    def _opened(self, path: Path, number: int, outcome: ImageInput | str) -> None:
        if isinstance(outcome, str):
            self._desk.say(outcome, bad=True)
            self.follow()
            return
        name = self._names[path][number] or str(number)
        sizes, unit = outcome.frame.sizes, outcome.unit or "pixel"
        axes = outcome.axes[:-1] if outcome.rgb else outcome.axes
        options: dict[str, Any] = {
            "name": f"{path.stem} [{name}]",
            "rgb": outcome.rgb,
            "scale": [sizes.get(axis, 1.0) for axis in axes],
            "units": [unit if axis in sizes else "pixel" for axis in axes],
            "axis_labels": list(axes.lower()),
        }
        with _opened_from(path):
            made = Image(_for_napari(outcome.data), metadata={SCENE: number}, **options)
        self._add(made)

    def _take_out(self, layer: Image, position: int) -> None:
        """One position along the first dimension, as a layer."""
        first = _first(layer)
        where = (slice(None),) * first + (position,)
        levels = layer.data if layer.multiscale else [layer.data]
        parts = [level[where] for level in levels]
        keep = [axis for axis in range(layer.ndim) if axis != first]
        made = Image(
            parts if layer.multiscale else parts[0],
            multiscale=layer.multiscale,
            rgb=layer.rgb,
            name=f"{layer.name} [{position}]",
            scale=np.asarray(layer.scale)[keep],
            translate=np.asarray(layer.translate)[keep],
            units=[layer.units[axis] for axis in keep],
            axis_labels=[layer.axis_labels[axis] for axis in keep],
            contrast_limits=layer.contrast_limits,
            metadata={SCENE: position},
        )
        self._add(made)

    def _add(self, layer: Image) -> None:
        self._desk.viewer.add_layer(layer)
        self._source.layer.value = layer
        self._desk.check()


def _first(layer: Image) -> int:
    """The dimension that is too many: one that is none of TCZYX, or the first."""
    labels = [str(label)[:1].upper() for label in layer.axis_labels]
    told = {"T", "C", "Z", "Y", "X"} & set(labels)
    strange = [axis for axis, label in enumerate(labels) if label not in "TCZYX"]
    return strange[0] if told and strange else 0


def _for_napari(data: Any) -> Any:
    """What is read where it is needed goes through dask, which napari knows."""
    if isinstance(data, np.ndarray):
        return data
    import dask.array

    return dask.array.from_array(data, chunks=getattr(data, "chunks", "auto"))


def _opened_from(path: Path) -> Any:
    """While it lasts, layers that are made know that they come from this file."""
    try:
        from napari.layers._source import layer_source
    except ImportError:  # it is no promise of napari's
        return contextlib.nullcontext()
    return layer_source(path=str(path))
