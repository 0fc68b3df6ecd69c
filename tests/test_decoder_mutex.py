"""Affinities of pixels far from each other: what they part stays apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import discs, match_f1
from scenes import pairs as touching
from scenes import prediction
from scipy import ndimage
from test_decoder_table import SCENES, overlaps

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.pixels import mutex_watershed
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

NEAR = {2: [[-1, 0], [0, -1]], 3: [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]}
FAR = {
    2: [[-9, 0], [0, -9], [-9, -9], [9, -9], [-9, -4], [-4, -9]],
    3: [[-3, 0, 0], [0, -9, 0], [0, 0, -9], [0, -9, -9], [0, 9, -9]],
}


def affinities(labels: np.ndarray, spacing: Any = 1.0) -> np.ndarray:
    """What an ideal network says: near channels, then far ones."""
    offsets = NEAR[labels.ndim] + FAR[labels.ndim]
    found = np.zeros((len(offsets), *labels.shape))
    for channel, offset in zip(found, offsets, strict=True):
        here, there = mutex_watershed.pairs(tuple(offset), labels.shape)
        channel[here] = (labels[here] == labels[there]) & (labels[here] > 0)
    blurred = [
        ndimage.gaussian_filter(np.where(c > 0, 0.97, 0.03), 0.5 / np.array(spacing))
        for c in found
    ]
    return np.array(blurred, np.float32)


def made(values: np.ndarray, offsets: bool = True, **more: Any) -> Prediction:
    """A prediction, whose description may tell the offsets."""
    found = prediction(values, "affinities", attractive=True, **more)
    if not offsets:
        return found
    space = values.ndim - 1
    hints = {**found.model.hints, "mws": {"offsets": NEAR[space] + FAR[space]}}
    return replace(found, model=replace(found.model, hints=hints))


def decoded(found: Prediction, **changes: Any) -> Objects:
    settings = choose_decoder(found.model).defaults(found.model)
    objects = ai.decode(found, settings_with(settings, changes))
    assert isinstance(objects, Objects)
    return objects


@pytest.mark.parametrize("name", SCENES)
def test_ideal_scenes_come_back(name: str) -> None:
    scene = SCENES[name]
    space = "ZYX"[-scene.truth.ndim :]
    values = affinities(scene.seen, scene.spacing)
    found = decoded(made(values, axes=space, space=space, pixel_size=scene.spacing))
    best = overlaps(scene.truth, found.as_labels())[1:, 1:].max(axis=1)
    assert len(found) == len(best)
    assert best.min() > 0.95


def leaky(share: float) -> tuple[np.ndarray, np.ndarray]:
    """A tissue, and affinities of neighbours that miss parts of its borders."""
    truth = SCENES["2D tissue"].truth
    values = affinities(truth)
    rng = np.random.default_rng(1)
    noise = ndimage.gaussian_filter(rng.normal(size=truth.shape), 3)
    values[:2, noise > np.quantile(noise, 1 - share)] = 0.9
    return truth, values


def test_far_channels_part_what_gaps_in_borders_join() -> None:
    truth, values = leaky(0.3)
    near = match_f1(truth, decoded(made(values), long_range=False).as_labels())
    far = match_f1(truth, decoded(made(values)).as_labels())
    assert near < 0.5
    assert far > 0.9


def test_without_offsets_only_neighbours_are_used() -> None:
    _, values = leaky(0.3)
    unknown = decoded(made(values, offsets=False)).as_labels()
    near = decoded(made(values), long_range=False).as_labels()
    np.testing.assert_array_equal(unknown, near)


def test_nothing_is_parted_when_nobody_wants_it() -> None:
    values = affinities(touching())
    assert len(decoded(made(values))) == 6
    assert len(decoded(made(values), split=False)) == 3


def test_small_objects_are_left_out_and_holes_filled() -> None:
    labels = discs((60, 80), [(30, 30), (30, 66)], [20, 3])
    labels[26:34, 26:34] = 0
    found = decoded(made(affinities(labels)), min_size=60)
    assert len(found) == 1
    assert found.features["area"][0] > (labels == 1).sum() + 50


def test_an_image_of_background_has_no_objects() -> None:
    assert len(decoded(made(affinities(np.zeros((40, 50), int))))) == 0


# -- the order of things ---------------------------------------------------------------


def joined(edges: list[tuple[int, int, bool]], count: int) -> list[int]:
    """Which parts are one, of edges (a, b, keeps apart), the surest first."""
    key = np.array([a * (count + 1) + b for a, b, _ in edges], np.int64)
    root = mutex_watershed._joined(key, np.array([e[2] for e in edges]), count)[1:]
    return np.unique(root, return_inverse=True)[1].tolist()


@pytest.mark.parametrize(
    ("edges", "groups"),
    [
        ([(1, 2, False), (2, 3, False)], [0, 0, 0]),
        ([(1, 3, True), (1, 2, False), (2, 3, False)], [0, 0, 1]),
        # Too late: they are together already.
        ([(1, 2, False), (2, 3, False), (1, 3, True)], [0, 0, 0]),
        # What keeps parts apart holds for what they became.
        ([(1, 4, True), (1, 2, False), (3, 4, False), (2, 3, False)], [0, 0, 1, 1]),
        ([(2, 3, True), (1, 2, False), (3, 4, False), (1, 4, False)], [0, 0, 1, 1]),
        ([(1, 2, True), (2, 3, True), (1, 3, False), (2, 3, False)], [0, 1, 0]),
    ],
)
def test_the_surest_goes_first(
    edges: list[tuple[int, int, bool]], groups: list[int]
) -> None:
    assert joined(edges, max(groups and [max(a, b) for a, b, _ in edges])) == groups
