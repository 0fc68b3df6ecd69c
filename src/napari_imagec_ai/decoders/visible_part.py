"""The part of a result that is looked at, decoded before the rest.

While a threshold moves on a large image, only what the window shows has to follow. A
view holds its part of the maps, so that one move costs what the part costs; objects
that lie in it are those of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.confidence import calibrated, sure
from napari_imagec_ai.decoders.decoder import Decoder, Settings, settings_with
from napari_imagec_ai.decoders.in_blocks import OVERLAP
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.results.intensities import plane_position
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

S = TypeVar("S", bound=Settings)

_POWERS = {"area": 2, "perimeter": 1}
"""How measures of flat objects grow with the side of a pixel."""


class View(Generic[S]):
    """Part of one plane of a prediction.

    Parameters
    ----------
    prediction : Prediction
        With maps.
    decoder : Decoder
        Gives objects.
    box : sequence of (start, stop)
        Along the space axes, in pixels of the prediction; what reaches over its edges
        is cut off.
    index : tuple of int
        Of the plane in the prediction.
    step : int
        One pixel of so many is looked at: from far away, the screen has no more. The
        objects are then those of a coarser map, and nearly the same.

    Attributes
    ----------
    box : tuple of (start, stop)
        What is left of it.
    step : int
        See above.

    Raises
    ------
    DecodeError
        If the decoder gives no objects, or nothing is left of the box.
    """

    def __init__(
        self,
        prediction: Prediction,
        decoder: Decoder[S],
        box: Sequence[tuple[int, int]],
        index: tuple[int, ...] = (),
        step: int = 1,
    ) -> None:
        if decoder.gives is not Objects or not prediction.maps:
            raise DecodeError(
                f"Only objects of maps can be decoded in part, not what "
                f"'{decoder.name}' gives; decode the whole."
            )
        self._whole, self._decoder, self._index = prediction, decoder, index
        self._plane = prediction.frame.shape[-len(prediction.space) :]
        self.step = max(1, int(step))
        self.box = tuple(
            (max(0, int(start)) // self.step * self.step, min(int(stop), size))
            for (start, stop), size in zip(box, self._plane, strict=True)
        )
        if any(stop <= start for start, stop in self.box):
            raise DecodeError(f"No pixel of the result lies in {tuple(box)}.")
        margin = OVERLAP.get(len(self.box), 24) * self.step
        self._seen = tuple(
            (max(0, start - margin), min(size, stop + margin))
            for (start, stop), size in zip(self.box, self._plane, strict=True)
        )
        self._part = self._cut()
        self._settled: tuple[S, S] | None = None

    def decode(self, settings: S) -> Objects:
        """Decode what is looked at.

        Returns
        -------
        Objects
            All that have a pixel in the box, with ids of their own from 1. Boxes,
            centroids and areas are in pixels of the whole; the label image is that of
            the box, a pixel for each ``step``, and the frame says where it lies: its
            ``origin``, and its ``pixel_size``, which is ``step`` times the whole's.
        """
        found = self._decoder.decode(self._part, self._for_part(settings))
        if not isinstance(found, Objects) or found.label_image is None:
            raise DecodeError(f"'{self._decoder.name}' gives no objects with pixels.")
        found = sure(calibrated(found, self._part.model), settings)
        inner = tuple(
            slice((start - first) // self.step, -(-(stop - first) // self.step))
            for (start, stop), (first, _) in zip(self.box, self._seen, strict=True)
        )
        labels = np.asarray(found.label_image)[inner]
        inside = np.zeros(int(found.id.max(initial=0)) + 1, bool)
        inside[labels.reshape(-1)] = True
        return self._in_whole(found[inside[found.id]], labels)

    def _for_part(self, settings: S) -> S:
        """Settings, with what only the whole can tell, for pixels of this size."""
        settled = settings
        if self._decoder.settle is not None:
            settled = self._told_by_whole(settings)
        if self.step > 1 and "min_size" in type(settled).model_fields:
            least = settled.model_dump()["min_size"] / self.step ** len(self.box)
            settled = settings_with(settled, {"min_size": math.ceil(least)})
        return settled

    def _told_by_whole(self, settings: S) -> S:
        # A mask threshold has nothing to do with it, and is what moves.
        apart = set(type(settings).model_fields) & {"mask_threshold"}
        usual = type(settings).model_validate(settings.model_dump(exclude=apart))
        if self._settled is None or self._settled[0] != usual:
            assert self._decoder.settle is not None
            self._settled = (usual, self._decoder.settle(self._whole, usual)[0])
        kept = {name: getattr(settings, name) for name in apart}
        return self._settled[1].model_copy(update=kept)

    def _cut(self) -> Prediction:
        whole, space = self._whole.frame, self._whole.space
        maps = {}
        for name, values in self._whole.maps.items():
            sizes = values.shape[-len(space) :]
            if len(values.shape) != len(self._index) + 1 + len(space):
                continue
            there = tuple(
                slice(round(a * n / size), round(b * n / size), self._stride(n, size))
                for (a, b), n, size in zip(self._seen, sizes, self._plane, strict=True)
            )
            at: Any = (*self._index, slice(None), *there)
            maps[name] = np.ascontiguousarray(values[at])
        frame = replace(
            whole,
            axes=space,
            shape=tuple(-(-(b - a) // self.step) for a, b in self._seen),
            pixel_size=tuple(p * self.step for p in whole.pixel_size[-len(space) :]),
            origin=(),
        )
        image = self._pixels()
        return replace(
            self._whole, frame=frame, maps=maps, image=image, cut=None, assumed=()
        )

    def _stride(self, own: int, size: int) -> int:
        """Of a map that may be coarser than the image."""
        return max(1, round(self.step * own / size))

    def _pixels(self) -> ImageInput | None:
        """What the objects are measured with."""
        image, space = self._whole.image, self._whole.space
        if image is None:
            return None
        position = plane_position(self._whole, self._index)
        at: dict[str, int | slice] = {
            axis: int(where)
            for axis, where in zip(self._whole.frame.axes, position, strict=False)
        }
        for axis, (start, stop) in zip(space, self._seen, strict=True):
            at[axis] = slice(start, stop, self.step)
        order = f"C{space}" if "C" in image.axes else space
        data = image.read(order, at)
        return replace(image, data=data, axes=order, pixel_size=None, key=None)

    def _in_whole(self, objects: Objects, labels: NDArray[np.int32]) -> Objects:
        first = np.array([start for start, _ in self._seen], float)
        half = len(first)
        boxes = objects.boxes * self.step + np.tile(first, 2)[: objects.boxes.shape[1]]
        ends = np.array(self._plane, float)
        boxes[:, half:] = np.minimum(boxes[:, half:], ends)
        features = dict(objects.features)
        for axis, start in zip(self._whole.space.lower(), first, strict=True):
            if (name := f"centroid_{axis}") in features:
                features[name] = features[name] * self.step + start
        for name, power in _POWERS.items():
            if name in features and self.step > 1:
                grown = power if half == 2 or name != "area" else half
                features[name] = features[name] * self.step**grown
        if "touches_edge" in features:
            flat = slice(half - 2, half)
            touching = (boxes[:, :half][:, flat] <= 0).any(axis=1)
            touching |= (boxes[:, half:][:, flat] >= ends[flat]).any(axis=1)
            features["touches_edge"] = touching.astype(np.float64)
        where = plane_position(self._whole, self._index)
        frame = replace(
            objects.frame,
            shape=labels.shape,
            origin=tuple(start for start, _ in self.box),
        )
        return replace(
            objects,
            frame=frame,
            boxes=boxes.astype(np.float32),
            features=features,
            label_image=labels,
            planes=np.tile(where, (len(objects), 1)).astype(np.int32),
        )
