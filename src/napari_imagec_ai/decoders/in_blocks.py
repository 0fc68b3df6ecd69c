"""Objects of maps that are too large to be decoded at once.

Maps are decoded in blocks that overlap; each block answers for its core. An object that
reaches over the edge of a core was seen by both neighbours: where the parts that they
saw agree, they are one. Ids are unique over the whole, labels lie on the disk.

What the whole map decides, such as whether it holds probabilities, is settled before;
how much shapes are smoothed goes by the size of the objects, and so may well differ
from block to block. So may the level of a part of a plain foreground that reaches
beyond what a block sees; a part that fits into the overlap has that of the whole. What
is usual in an image, beside which a part is faint, is what is usual in its block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.blocks import SIDE, Where, grid, with_rim
from napari_imagec_ai.results.intensities import (
    measured_pixels,
    physical_area,
    plane_position,
)
from napari_imagec_ai.results.measure import Sums
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.system.file_changes import place_of
from napari_imagec_ai.system.scratch import Scratch, check_there, explain_scratch

OVERLAP = {2: 192, 3: 24}
"""Pixels that blocks reach beyond their core, by number of space axes."""

_AGREE = 0.5
"""Part of what was written of an object that its other half must cover."""

Decode = Callable[[Prediction], Objects]


def decode_in_blocks(
    prediction: Prediction, decode: Decode, sentence: str = "", smallest: int = 0
) -> Objects:
    """Decode a large prediction.

    Parameters
    ----------
    prediction : Prediction
        With maps; not changed.
    decode : callable
        Decodes a small one, whose frame has space axes only.
    sentence : str
        What was assumed for the whole of it; empty: nothing.
    smallest : int
        Objects of fewer pixels are left out: also those of which a block has a piece
        of at least so many, but not inside its core.

    Returns
    -------
    Objects
        With labels in a zarr array.
    """
    work = _Work(prediction, smallest)
    work.say(*prediction.assumed, sentence)
    with explain_scratch(work.folder.path):
        for index in np.ndindex(prediction.planes):
            for core in grid(work.plane, SIDE[len(work.plane)]):
                work.take(index, core, decode)
        found = work.objects()
    # What is missing on the disk would be read as zeros.
    for place in (work.folder.path, *map(place_of, prediction.maps.values())):
        if place is not None:
            check_there(place)
    return found


@dataclass(slots=True)
class _Work:
    """Labels on the disk, and what is known of each piece of an object so far."""

    prediction: Prediction
    smallest: int
    folder: Any = field(init=False)
    labels: Any = field(init=False)
    pieces: list[tuple[int, int, float, float]] = field(default_factory=list)
    parent: list[int] = field(default_factory=lambda: [0])
    classes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.folder = Scratch()
        shape = self.prediction.frame.shape
        self.labels = self.folder.array("labels.zarr", shape, "int32", len(self.plane))

    @property
    def plane(self) -> tuple[int, ...]:
        """Size of one plane or volume."""
        return self.prediction.frame.shape[-len(self.prediction.space) :]

    def say(self, *assumed: str) -> None:
        """Remember sentences, each once."""
        self.assumed = tuple(dict.fromkeys((*self.assumed, *filter(None, assumed))))

    def take(self, index: tuple[int, ...], core: Where, decode: Decode) -> None:
        """Decode a block, and write its core."""
        margin = OVERLAP[len(self.plane)]
        window = tuple(
            slice(max(0, part.start - margin), min(size, part.stop + margin))
            for part, size in zip(core, self.plane, strict=True)
        )
        found = decode(_cut(self.prediction, index, window))
        self.classes = self.classes or found.classes
        self.say(*found.assumed)
        if found.label_image is None or not len(found):
            return
        seen = np.asarray(found.label_image)
        inner = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(core, window, strict=True)
        )
        sizes = np.bincount(seen[inner].reshape(-1), minlength=len(found) + 1)[1:]
        first = len(self.parent) - 1
        for row, size in enumerate(sizes):
            self.parent.append(len(self.parent))
            confidence = float(found.confidence[row])
            self.pieces.append((int(found.class_id[row]), int(size), confidence, 0.0))
        self._join(np.asarray(self.labels[(*index, *window)]), seen, sizes, first)
        here = np.where(seen[inner] > 0, seen[inner] + first, 0)
        self.labels[(*index, *core)] = here.astype(np.int32)

    def _join(
        self,
        written: NDArray[np.int32],
        seen: NDArray[np.int32],
        sizes: NDArray[np.int64],
        first: int,
    ) -> None:
        """Find what neighbours wrote already of the objects of this block."""
        both = (written > 0) & (seen > 0)
        if not both.any():
            return
        pairs, counts = np.unique(
            np.stack([written[both], seen[both]]), axis=1, return_counts=True
        )
        area = {int(i): int(n) for i, n in zip(*_counted(written), strict=True)}
        own = {
            int(i): int(n) for i, n in zip(*_counted(seen * (written > 0)), strict=True)
        }
        for (before, now), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            if sizes[now - 1] and count >= _AGREE * min(area[before], own[now]):
                a, b = self.root(before), self.root(now + first)
                self.parent[max(a, b)] = min(a, b)

    def root(self, number: int) -> int:
        """The piece that stands for the whole object."""
        while self.parent[number] != number:
            self.parent[number] = self.parent[self.parent[number]]
            number = self.parent[number]
        return number

    def objects(self) -> Objects:
        """Number the objects through, and measure them."""
        roots = np.array([self.root(i) for i in range(len(self.parent))])
        class_id, size, confidence, _ = (
            np.array([piece[i] for piece in self.pieces], np.float64) for i in range(4)
        )
        weight = np.bincount(roots[1:], weights=size, minlength=len(roots))
        present = weight >= max(self.smallest, 1)
        table = np.where(present, np.cumsum(present), 0)[roots].astype(np.int32)
        count = int(np.count_nonzero(present))
        sums = np.bincount(table[1:], weights=confidence * size, minlength=count + 1)
        surest = np.zeros(count + 1, np.int32)
        # The largest piece tells the class: it is written last.
        order = np.argsort(size, kind="stable")
        surest[table[1:][order]] = class_id[order]
        columns, planes = self._measured(table, count)
        space = [axis.lower() for axis in self.prediction.space]
        names = [f"box_{axis}{end}" for end in "01" for axis in space]
        boxes = np.stack([columns.pop(name) for name in names], axis=1)
        area = columns["area"]
        return Objects(
            frame=self.prediction.frame,
            id=np.arange(1, count + 1, dtype=np.int32),
            class_id=surest[1:],
            confidence=(sums[1:] / weight[present]).astype(np.float32),
            boxes=boxes.astype(np.float32),
            classes=self.classes,
            label_image=self.labels,
            features=columns | physical_area(self.prediction, area),
            planes=planes,
            assumed=self.assumed,
            place=self.folder,
        )

    def _measured(
        self, table: NDArray[np.int32], count: int
    ) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int32]]:
        """Relabel block by block, and add up what each block has of each object."""
        sums = Sums(count, self.plane)
        planes = np.zeros((count, len(self.prediction.planes)), np.int32)
        for index in np.ndindex(self.prediction.planes):
            blocks = list(grid(self.plane, SIDE[len(self.plane)]))
            for core in blocks:
                part = table[np.asarray(self.labels[(*index, *core)])]
                self.labels[(*index, *core)] = part
            for core in blocks:
                labels = with_rim(self.labels, core, index)
                pixels = measured_pixels(self.prediction, index, core)
                sums.add(labels, core, pixels)
            here = plane_position(self.prediction, index)
            planes[sums.fresh()] = here
        return sums.columns(), planes


def _counted(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.unique(labels, return_counts=True)


def _cut(prediction: Prediction, index: tuple[int, ...], window: Where) -> Prediction:
    """Part of one plane as a small prediction, without pixels to measure."""
    space = prediction.space
    whole = prediction.frame
    frame = replace(
        whole,
        axes=space,
        shape=tuple(part.stop - part.start for part in window),
        pixel_size=whole.pixel_size[-len(space) :],
        origin=(),
    )
    maps = {}
    for name, values in prediction.maps.items():
        sizes = values.shape[-len(space) :]
        if len(sizes) != len(window):
            continue
        there = tuple(
            slice(round(p.start * n / size), round(p.stop * n / size))
            for p, n, size in zip(
                window, sizes, whole.shape[-len(space) :], strict=True
            )
        )
        at: Any = (*index, slice(None), *there)
        maps[name] = np.asarray(values[at])
    return replace(prediction, frame=frame, maps=maps, image=None, assumed=())
