"""Every decoder on what an ideal network of each kind says, in 2D and in 3D."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from conftest import discs
from scenes import maps, prediction

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.results.objects import Objects

ANISOTROPIC = (3.0, 1.0, 1.0)


@dataclass(frozen=True)
class Scene:
    """Objects as they are, and as a network sees them: with holes."""

    truth: np.ndarray
    seen: np.ndarray
    class_of: np.ndarray
    spacing: tuple[float, ...] = field(default=(1.0, 1.0))

    @property
    def small(self) -> np.ndarray:
        """Which objects are so small that a pixel more or less counts."""
        area = np.bincount(self.truth.ravel())[1:]
        return np.asarray(area < (80 if self.truth.ndim == 2 else 400))


def ellipses(
    shape: tuple[int, ...], parts: list[Any], spacing: tuple[float, ...], first: int
) -> np.ndarray:
    """Draw long ellipses (ellipsoids), (centre, half length, half width, angle)."""
    labels = np.zeros(shape, np.int32)
    grid = np.indices(shape, float)
    for number, (centre, length, width, angle) in enumerate(parts, start=first):
        *z, y, x = ((g - c) * s for g, c, s in zip(grid, centre, spacing, strict=True))
        along = np.cos(angle) * x + np.sin(angle) * y
        across = np.cos(angle) * y - np.sin(angle) * x
        away = (along / length) ** 2 + (across / width) ** 2
        labels[away + sum((d / width) ** 2 for d in z) < 1] = number
    return labels


def plane() -> Scene:
    """Single discs, touching pairs, a ring, long ones, one at the edge."""
    shape = (150, 210)
    centres = [(12, 12), (14, 34), (24, 64), (30, 112)]  # of several sizes
    radii: list[float] = [4, 7, 11, 17]
    centres += [(60, 20), (60, 40), (98, 24), (98, 45), (66, 80), (81, 93)]  # pairs
    radii += [11, 11, 14, 8, 10, 11]
    centres += [(72, 130), (120, 0)]  # the ring, and one that the edge cuts
    radii += [16, 13]
    truth = discs(shape, centres, radii)
    hole = discs(shape, [(72, 130)], [6]) > 0
    long = [((35, 172), 32, 8, 0.5), ((120, 120), 34, 9, -0.3), ((95, 180), 28, 6, 1.2)]
    drawn = ellipses(shape, long, (1.0, 1.0), int(truth.max()) + 1)
    truth = np.where(drawn > 0, drawn, truth)
    class_of = np.arange(truth.max() + 1) % 2 + 1
    class_of[0] = 0
    return Scene(truth, np.where(hole, 0, truth), class_of)


def volume() -> Scene:
    """The same in a volume with planes far apart."""
    shape = (22, 84, 140)
    centres = [(5, 10, 10), (6, 14, 32), (7, 20, 64), (10, 60, 18), (10, 60, 38)]
    radii = [6.5, 8, 12, 11, 11]
    centres += [(7, 60, 66), (12, 60, 66), (11, 24, 100), (15, 66, 100), (15, 0, 20)]
    radii += [9, 9, 16, 12, 12]
    truth = discs(shape, centres, radii, ANISOTROPIC)
    hole = discs(shape, [(11, 24, 100)], [6], ANISOTROPIC) > 0
    long = [((16, 36, 50), 26, 8, 0.3), ((8, 44, 122), 30, 9, 1.4)]
    drawn = ellipses(shape, long, ANISOTROPIC, int(truth.max()) + 1)
    truth = np.where(drawn > 0, drawn, truth)
    class_of = np.arange(truth.max() + 1) % 2 + 1
    class_of[0] = 0
    return Scene(truth, np.where(hole, 0, truth), class_of, ANISOTROPIC)


def tissue(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int) -> Scene:
    """Cells that fill the image."""
    rng = np.random.default_rng(seed)
    size = np.array(shape) * spacing
    count = 24 if len(shape) == 2 else 16
    points: list[np.ndarray] = []
    while len(points) < count:
        new = rng.uniform(0, size)
        if all(np.linalg.norm(new - p) > 20 for p in points):
            points.append(new)
    grid = np.indices(shape).T * spacing
    away = [np.linalg.norm(grid - point, axis=-1).T for point in points]
    truth = np.argmin(away, axis=0).astype(np.int32) + 1
    return Scene(truth, truth, np.ones(count + 1, int), spacing)


SCENES = {
    "2D": plane(),
    "3D": volume(),
    "2D tissue": tissue((120, 140), (1.0, 1.0), 3),
    "3D tissue": tissue((20, 60, 70), ANISOTROPIC, 4),
}


@dataclass(frozen=True)
class Row:
    """One kind of network: which scenes it is for, and how well they come back."""

    drawn: str
    kind: str
    decoder: str
    scenes: tuple[str, ...]
    large: float
    small: float = 0.95
    said: dict[str, Any] = field(default_factory=dict)


ALL = tuple(SCENES)
DEPTH = {"names": ["foreground", "distance"]}
# The overlap that is reached, rounded down; at least 0.8 for large, 0.7 for small ones.
TABLE = [
    Row("foreground", "foreground", "unet", ("2D", "3D"), 0.95),
    Row("foreground_boundary", "foreground_boundary", "unet", ALL, 0.95),
    Row("three_class", "three_class", "unet", ALL, 0.95),
    Row("foreground_distance", "foreground", "unet", ALL, 0.93, said=DEPTH),
    Row(*["foreground_boundary_distance"] * 2, "unet", ALL, 0.95),
    Row("membranes", "boundary", "unet", ALL, 0.92),
    Row("multi_class", "multi_class", "semantic", ("2D", "3D"), 0.95),
    Row("affinities", "affinities", "affinities", ALL, 0.95),
    Row("labels", "labels", "labels", ALL, 1.0, 1.0),
]
CASES = [
    pytest.param(row, scene, logits, id=f"{row.drawn}-{scene}{'-logits' * logits}")
    for row in TABLE
    for scene in row.scenes
    for logits in (False, True)
    if not (logits and row.drawn == "labels")
]


def decoded(row: Row, scene: Scene, logits: bool) -> Objects:
    """What the decoder that the model asks for finds, with its own settings."""
    values = maps(
        scene.seen, row.drawn, logits, scene.spacing, scene.class_of, scene.truth
    )
    space = "ZYX"[-scene.truth.ndim :]
    made = prediction(
        values,
        row.kind,
        axes=space,
        space=space,
        pixel_size=scene.spacing,
        classes=["round", "long"] if row.kind == "multi_class" else ["thing"],
        **row.said,
    )
    assert choose_decoder(made.model).name == row.decoder
    found = ai.decode(made)
    assert isinstance(found, Objects)
    return found


def overlaps(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Intersection over union of each true object with each that was found."""
    n, k = int(truth.max()) + 1, int(found.max()) + 1
    pairs = truth.astype(np.int64) * k + found
    both = np.bincount(pairs.ravel(), minlength=n * k).reshape(n, k)
    either = both.sum(1)[:, None] + both.sum(0)[None] - both
    return np.asarray(both / np.maximum(either, 1))


@pytest.mark.parametrize(("row", "name", "logits"), CASES)
def test_every_object_comes_back(row: Row, name: str, logits: bool) -> None:
    scene = SCENES[name]
    found = decoded(row, scene, logits)
    # Only the decoder of ready labels does not fill holes.
    truth = scene.seen if row.kind == "labels" else scene.truth
    iou = overlaps(truth, found.as_labels())[1:, 1:]
    best = iou.max(axis=1)
    assert (best >= np.where(scene.small, row.small, row.large)).all(), best.round(3)
    mine = iou.argmax(axis=1)
    assert len(set(mine)) == len(mine)
    assert (found.confidence[mine] > 0.8).all()
    expected = scene.class_of[1:] - 1 if row.kind == "multi_class" else 0
    np.testing.assert_array_equal(found.class_id[mine], expected)
    others = np.setdiff1d(np.arange(len(found)), mine)
    if row.kind != "boundary":
        assert len(others) == 0
    # Between membranes there is also what lies around the cells.
    around = truth[np.isin(found.as_labels(), others + 1)]
    assert (around == 0).mean() > 0.9 if len(others) else True
