"""Flows that lead from every pixel of an object to its centre.

Pixels follow the flows step by step. Where many of them end, there is an object, and it
is all pixels that end there. Flows are compared with those that such an object should
have: these go down what heat from its centre would spread to.

Source: C. Stringer et al., "Cellpose: a generalist algorithm for cellular
segmentation", 2021.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_imagec_ai.decoders.splitting.split_touching import Labels, compact
from napari_imagec_ai.system import threads

Flow = NDArray[np.float32]
"""(D, [Z,] Y, X): along each axis, in pixels for each step."""

Places = NDArray[np.float32]
"""(D, N): where pixels are."""

_ROUND = 20
"""Steps after which pixels that met go on as one."""

_MET = 64
"""Parts of a pixel: what is nearer to each other than one of them has met."""

_LONGEST = (1 << 15) - 2
"""Longest side of an image that OpenCV samples."""

_ROW = 1024

_SEED = 10
"""Pixels that end in one place, or more, make it the centre of an object."""

_GROWN = 5
"""Pixels that a centre grows by, as far as pixels end there, too."""

_ENDS = 2
"""It grows to places where more pixels end than this."""

_CHUNK = 1 << 20
"""Numbers in one array while centres grow."""

_THREADS = 4
"""That heat is spread in: each has pictures of its own."""

_TOGETHER = 64
"""Objects that heat is spread in at once."""


def follow(flow: Flow, start: Places, steps: int) -> Places:
    """Follow a flow.

    Parameters
    ----------
    flow : (D, [Z,] Y, X) float32
        In pixels for each step; 0 where there is nothing.
    start : (D, N) float32
        Where pixels are.
    steps : int
        How many.

    Returns
    -------
    (D, N) float32
        Where they end.
    """
    if not start.size:
        return start.astype(np.float32)
    sample = _sampler(flow)
    here, walker = _in_rows(start), np.arange(start.shape[1])
    for done in range(0, steps, _ROUND):
        for _ in range(min(_ROUND, steps - done)):
            moved = sample(here)
            for axis, size in enumerate(flow.shape[1:]):
                here[axis] += moved[..., axis]
                np.clip(here[axis], 0, size - 1, out=here[axis])
        # Soon most pixels of an object are in its centre.
        flat = here.reshape(len(here), -1)
        first, together = _met(flat, flow.shape[1:])
        here, walker = _in_rows(flat[:, first]), together[walker]
    return here.reshape(len(here), -1)[:, walker]


def _in_rows(place: Places) -> Places:
    """Rows of places, filled with some of them: OpenCV takes no list that is long."""
    rows = -(-place.shape[1] // _ROW)
    return np.stack([np.resize(p, (rows, _ROW)) for p in place]).astype(np.float32)


def _met(
    place: Places, shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One pixel of each group of those that met, and the group of each pixel."""
    key = np.zeros(place.shape[1], np.int64)
    for part, size in zip(place, shape, strict=True):
        key *= size * _MET
        key += np.rint(part * _MET).astype(np.int64)
    _, first, together = np.unique(key, return_index=True, return_inverse=True)
    return first, together.reshape(-1)


def _sampler(flow: Flow) -> Callable[[Places], Places]:
    """Give a function for the flow (..., D) at places (D, ...), between pixels, too."""
    shape = flow.shape[1:]
    if len(shape) == 2:
        flow, depth = flow[:, None], 1
    else:
        depth = shape[0]
    height, width = shape[-2:]
    rows = min(max(_LONGEST // height, 1), depth)
    columns = -(-depth // rows)
    if rows * height > _LONGEST or columns * width > _LONGEST:
        return lambda place: _sampled(flow.reshape(-1, *shape), place)
    planes = np.zeros((columns * rows, height, width, len(flow)), np.float32)
    planes[:depth] = np.moveaxis(flow, 0, -1)
    # One large picture: planes below each other, and what is too much beside them.
    picture = planes.reshape(columns, rows * height, width, -1).transpose(1, 0, 2, 3)
    picture = np.ascontiguousarray(picture.reshape(rows * height, -1, len(flow)))

    def sample(place: Places) -> Places:
        *z, y, x = place
        if not z:
            return _remapped(picture, y, x)
        low = z[0].astype(np.int32)
        share = (z[0] - low)[..., None]
        found = np.zeros((*y.shape, len(flow)), np.float32)
        for plane, part in ((low, 1 - share), (np.minimum(low + 1, depth - 1), share)):
            down, right = y + plane % rows * height, x + plane // rows * width
            found += part * _remapped(picture, down, right)
        return found

    return sample


def _remapped(picture: Flow, y: Places, x: Places) -> Places:
    y, x = (part.astype(np.float32, copy=False) for part in (y, x))
    edge = cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, None, edge))


def _sampled(flow: Flow, place: Places) -> Places:
    """The same for images that are too long for OpenCV, but slower."""
    each = [ndimage.map_coordinates(f, place, order=1, mode="nearest") for f in flow]
    return np.stack(each, axis=-1)


# -- objects ---------------------------------------------------------------------------


def gather(
    start: NDArray[np.integer], end: Places, shape: tuple[int, ...], most: float
) -> tuple[Labels, int]:
    """Make objects of the pixels that end together.

    Parameters
    ----------
    start : (D, N) int
        Pixels.
    end : (D, N) float32
        Where each of them ends.
    shape : tuple of int
        Of the plane or volume.
    most : float
        Part of it that an object may cover: larger ones are left out.

    Returns
    -------
    labels, count
        Ids 1 to ``count``.
    """
    place = tuple(end.astype(np.int64))
    ends = np.bincount(
        np.ravel_multi_index(place, shape), minlength=int(np.prod(shape))
    )
    ends = np.pad(ends.reshape(shape), _GROWN)
    number = _centres(ends)[tuple(part + _GROWN for part in place)]
    labels = np.zeros(shape, np.int32)
    labels[tuple(start)] = number
    size = np.bincount(number, minlength=1)
    size[0] = 0
    number[size[number] > most * labels.size] = 0
    labels[tuple(start)] = number
    return compact(labels, len(size) - 1)


def _centres(ends: NDArray[np.integer]) -> NDArray[np.int32]:
    """Numbers at places that are the centre of an object, each grown a little."""
    highest = _highest(ends)
    seeds = np.argwhere((ends > _SEED) & (ends == highest))
    # The larger one is written later, where two grew into each other.
    seeds = seeds[np.argsort(ends[tuple(seeds.T)], kind="stable")]
    side = [np.arange(-_GROWN, _GROWN + 1)] * ends.ndim
    around = np.stack(np.meshgrid(*side, indexing="ij"))[:, None]
    numbers = np.zeros(ends.shape, np.int32)
    step = max(_CHUNK // around[0].size, 1)
    for first in range(0, len(seeds), step):
        corner = seeds[first : first + step].T.reshape(ends.ndim, -1, *[1] * ends.ndim)
        at: tuple[NDArray[np.int64], ...] = tuple(corner + around)
        grown = np.zeros(at[0].shape, bool)
        grown.reshape(len(grown), -1)[:, around[0].size // 2] = True
        for _ in range(_GROWN):
            grown = ndimage.maximum_filter(grown, (1, *[3] * ends.ndim))
            grown &= ends[at] > _ENDS
        numbers[tuple(part[grown] for part in at)] = np.nonzero(grown)[0] + first + 1
    return numbers


def _highest(ends: NDArray[np.integer]) -> NDArray[np.floating]:
    """Highest number within two pixels of each place."""
    if ends.ndim == 2:
        return np.asarray(
            cv2.dilate(ends.astype(np.float32), np.ones((5, 5), np.uint8))
        )
    return np.asarray(ndimage.maximum_filter(ends.astype(np.float32), 5))


# -- what flows should be --------------------------------------------------------------


def flow_errors(labels: Labels, count: int, flow: Flow) -> NDArray[np.float64]:
    """Mean squared error of the flow in each object, compared to what it should be.

    Parameters
    ----------
    labels : (Y, X) int32
        Ids 1 to ``count``, each of them present.
    count : int
        How many.
    flow : (2, Y, X) float32
        Of the network; its length should be 1.
    """
    errors = np.zeros(count)
    boxes = ndimage.find_objects(labels, max_label=count)
    sizes = np.array([[s.stop - s.start for s in b] for b in boxes]).reshape(-1, 2)
    corners = np.array([[s.start - 1 for s in b] for b in boxes]).reshape(-1, 2)
    order = np.argsort(sizes.sum(axis=1), kind="stable")

    def compare(start: int) -> None:
        rows = order[start : start + _TOGETHER]  # of like size: these spread as long
        height, width = sizes[rows].max(axis=0)
        masks = np.zeros((len(rows), height + 2, width + 2), np.float32)
        for mask, row in zip(masks, rows, strict=True):
            h, w = sizes[row]
            mask[1 : h + 1, 1 : w + 1] = labels[boxes[row]] == row + 1
        ideal = _ideal_flow(masks)
        member, y, x = np.nonzero(masks)
        corner = corners[rows]
        there = flow[:, y + corner[member, 0], x + corner[member, 1]]
        with np.errstate(over="ignore"):  # the error is then infinite, as it should be
            wrong = ((ideal[:, member, y, x] - there) ** 2).sum(axis=0)
        errors[rows] = np.bincount(member, wrong) / np.bincount(member)

    threads.map_parts(compare, range(0, count, _TOGETHER), _THREADS)
    return errors


def _ideal_flow(masks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flows (2, N, H, W) of masks (N, H, W), which have a free rim."""
    heat = _spread(masks)
    flow = np.zeros((2, *masks.shape), np.float32)
    flow[0, :, 1:-1] = heat[:, 2:] - heat[:, :-2]
    flow[1, :, :, 1:-1] = heat[:, :, 2:] - heat[:, :, :-2]
    length = np.sqrt((flow.astype(np.float64) ** 2).sum(axis=0))
    return np.asarray(flow / np.maximum(length, 1e-60), np.float32)


def _spread(masks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Heat that comes from the middle of each mask, spreads, and is lost outside."""
    count, height, width = masks.shape
    y, x = np.arange(height)[:, None], np.arange(width)
    area = masks.sum(axis=(1, 2))
    middle = [((masks * a).sum(axis=(1, 2)) / area)[:, None, None] for a in (y, x)]
    away = (y - middle[0]) ** 2 + (x - middle[1]) ** 2
    away[masks == 0] = np.inf  # the middle of a bow is not on it
    nearest = away.reshape(count, -1).argmin(axis=1)
    sources = np.arange(count) * height * width + nearest
    # Below each other they are one image; their rims keep them apart.
    mask = masks.reshape(-1, width)
    heat, spread = np.zeros_like(mask), np.empty_like(mask)
    kernel = np.full(3, 1 / 3, np.float32)
    for _ in range(2 * (height + width)):
        heat.reshape(-1)[sources] += 1
        cv2.sepFilter2D(heat, -1, kernel, kernel, spread)
        np.multiply(spread, mask, out=heat)
    return heat.reshape(masks.shape)
