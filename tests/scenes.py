"""Scenes of discs, and what an ideal network would say about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from conftest import description, discs
from scipy import ndimage, special
from skimage.segmentation import find_boundaries

from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.model.rdf import parse_rdf
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

CHANNELS = {
    "foreground": ["foreground"],
    "foreground_boundary": ["foreground", "boundary"],
    "foreground_boundary_distance": ["foreground", "boundary", "distance"],
    "three_class": ["background", "foreground", "boundary"],
    "boundary": ["boundary"],
}
"""Channel names by kind, in the order of the network."""

_SURE = 0.97


def scattered(seed: int, shape: tuple[int, int], count: int) -> np.ndarray:
    """Draw discs of random radius that do not touch, as labels from 1."""
    rng = np.random.default_rng(seed)
    centres: list[np.ndarray] = []
    radii: list[float] = []
    while len(centres) < count:
        radius = rng.uniform(6, 11)
        centre = rng.uniform(radius + 2, np.array(shape) - radius - 2)
        away = [
            np.hypot(*(centre - c)) - r for c, r in zip(centres, radii, strict=True)
        ]
        if all(gap > radius + 4 for gap in away):
            centres.append(centre)
            radii.append(radius)
    return discs(shape, centres, radii)


def pairs(scale: float = 1.0) -> np.ndarray:
    """Draw three pairs of touching discs, at another scale if asked: 6 objects."""
    centres = [(24, 24), (24, 44), (60, 30), (78, 38), (30, 80), (46, 92)]
    radii = [11, 11, 10, 11, 10, 11]
    shape = (round(104 * scale), round(116 * scale))
    return discs(shape, np.array(centres) * scale, np.array(radii) * scale)


def rims(labels: np.ndarray) -> np.ndarray:
    """Pixels of objects at the border to background or to another object."""
    return np.asarray(find_boundaries(labels, mode="inner"))


def maps(
    labels: np.ndarray,
    kind: str,
    logits: bool = False,
    spacing: tuple[float, ...] | None = None,
    class_of: np.ndarray | None = None,
    whole: np.ndarray | None = None,
) -> np.ndarray:
    """What an ideal network of that kind gives: (C, ...) float32.

    Probabilities, or with ``logits`` what a sigmoid (a softmax, where channels exclude
    each other) turns into them; distances and labels are neither. ``class_of`` has the
    class of each label, from 1, for ``multi_class``; ``whole`` the labels without their
    holes, which are smudges between ``membranes``.
    """
    inside, rim = labels > 0, rims(labels)
    smudges = ~inside & (whole is not None and whole > 0)
    if kind == "labels":
        return labels[None].astype(np.float32)
    exclusive = {
        "three_class": [~inside, inside & ~rim, rim],
        "multi_class": [] if class_of is None else _classes(class_of[labels]),
    }
    if kind in exclusive:
        planes = [_blurred(mask, spacing) for mask in exclusive[kind]]
        channels = np.stack(planes) / np.sum(planes, axis=0)
        return (np.log(channels) if logits else channels).astype(np.float32)
    drawn = {
        "foreground": [inside],
        "foreground_boundary": [inside, rim],
        "foreground_boundary_distance": [inside, rim],
        "foreground_distance": [inside],
        "boundary": [rim | ~inside],
        "membranes": [_membranes(labels if whole is None else whole) | smudges],
        "affinities": _affinities(labels),
    }[kind]
    channels = np.stack([_blurred(mask, spacing) for mask in drawn])
    channels = special.logit(channels) if logits else channels
    if "distance" in kind:
        channels = np.concatenate([channels, depths(labels, spacing)[None]])
    return channels.astype(np.float32)


def depths(labels: np.ndarray, spacing: tuple[float, ...] | None = None) -> np.ndarray:
    """Distance of each pixel of an object to the nearest pixel outside of it."""
    depth = np.zeros(labels.shape)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        place = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        mine = labels[place] == number
        depth[place][mine] = ndimage.distance_transform_edt(mine, spacing)[mine]
    return np.asarray(ndimage.gaussian_filter(depth, 0.5))


def _membranes(labels: np.ndarray) -> np.ndarray:
    return np.asarray(find_boundaries(labels, mode="thick"))


def _classes(class_image: np.ndarray) -> list[np.ndarray]:
    return [class_image == number for number in range(class_image.max() + 1)]


def _affinities(labels: np.ndarray) -> list[np.ndarray]:
    """Whether each pixel is in one object with the one before it, along each axis."""
    found = []
    for axis in range(labels.ndim):
        before = np.roll(labels, 1, axis)
        before[(slice(None),) * axis + (0,)] = 0
        found.append((labels > 0) & (labels == before))
    return found


def _blurred(mask: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
    sharp = np.where(mask, _SURE, 1 - _SURE)
    return np.asarray(ndimage.gaussian_filter(sharp, 0.5 / np.array(spacing or 1.0)))


def prediction(
    values: np.ndarray,
    kind: str = "foreground",
    *,
    axes: str = "YX",
    space: str = "YX",
    pixel_size: tuple[float, ...] | None = None,
    unit: str | None = None,
    shape: tuple[int, ...] | None = None,
    origin: tuple[int, ...] = (),
    image: ImageInput | None = None,
    channels: tuple[int, ...] = (0,),
    names: list[str] | None = None,
    postprocessing: Any = (),
    **own: Any,
) -> Prediction:
    """A prediction with these values, (planes, C, space), from no network.

    ``own`` goes to ``config.napari_imagec_ai`` of the description, ``shape`` is the
    image's where it differs from that of the values.
    """
    rdf = description()
    output = rdf["outputs"][0]
    count = values.shape[-1 - len(space)]
    names = names or CHANNELS.get(kind, [f"channel{i}" for i in range(count)])
    output["axes"][1]["channel_names"] = names[:count]
    output["postprocessing"] = list(postprocessing)
    rdf["config"]["napari_imagec_ai"] |= {"kind": kind, "decoder": None, **own}
    if space == "ZYX":
        for tensor in (rdf["inputs"][0], output):
            tensor["axes"].insert(2, {"type": "space", "id": "z", "size": 8})
    planes = values.shape[: len(axes) - len(space)]
    inner = values.shape[len(planes) + 1 :]
    frame = Frame(
        axes=axes,
        shape=shape or (*planes, *inner),
        pixel_size=pixel_size or (1.0,) * sum(axis in "ZYX" for axis in axes),
        unit=unit,
        name="scene",
        origin=origin,
    )
    return Prediction(
        model=parse_rdf(yaml.safe_dump(rdf).encode(), Path("nowhere") / "rdf.yaml"),
        frame=frame,
        space=space,
        maps={"probability": np.asarray(values, np.float32)},
        engine="none",
        device="none",
        network_seconds=0.0,
        network_calls=0,
        channels=channels,
        image=image,
    )


def drawn(labels: object) -> Objects:
    """Objects with these labels, whatever their pixels."""
    image = np.asarray(labels, np.int32)
    ids = np.unique(image[image > 0]).astype(np.int32)
    return Objects(
        frame=Frame("YX", image.shape, (1.0, 1.0)),
        id=ids,
        class_id=np.zeros(len(ids), np.int32),
        confidence=np.ones(len(ids), np.float32),
        boxes=np.zeros((len(ids), 4), np.float32),
        classes=("thing",),
        label_image=image,
    )
