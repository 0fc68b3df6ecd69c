"""A plain foreground is taken at the level that suits each part of it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_imagec_ai.decoders.output_grid import OutputGrid
from napari_imagec_ai.decoders.pixels.segment import Evidence, RegionSettings, segment
from napari_imagec_ai.decoders.splitting.own_level import own_levels

GRID = OutputGrid((1.0, 1.0))


def disk(
    shape: tuple[int, int], y: float, x: float, radius: float
) -> NDArray[np.bool_]:
    """Pixels of a disk."""
    rows, columns = np.indices(shape)
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def soft(
    shape: tuple[int, int], y: float, x: float, radius: float
) -> NDArray[np.float32]:
    """A disk whose edge fades as that of a network's map does."""
    rows, columns = np.indices(shape)
    away = np.hypot(rows - y, columns - x)
    return np.asarray(1 / (1 + np.exp(1.5 * (away - radius))), np.float32)


def test_objects_in_a_common_haze_come_apart() -> None:
    shape = (60, 100)
    probability = np.where(disk(shape, 30, 50, 28), 0.7, 0.01).astype(np.float32)
    truth = [disk(shape, 30, 36, 9), disk(shape, 30, 64, 9)]
    for each in truth:
        probability[each] = 0.9995
    labels = segment(Evidence(probability), RegionSettings(), GRID).labels
    assert labels.max() == 2
    for each in truth:
        own = labels == labels[each].max()
        assert (own & each).sum() / (own | each).sum() > 0.9


def test_an_object_loses_a_tail_that_the_network_is_not_sure_of() -> None:
    shape = (60, 100)
    body = disk(shape, 30, 30, 12)
    probability = np.where(body, 0.999, 0.01).astype(np.float32)
    probability[28:32, 42:90] = 0.6
    labels = segment(Evidence(probability), RegionSettings(), GRID).labels
    assert labels.max() == 1
    assert (labels > 0)[:, 45:].sum() == 0


def test_soft_round_objects_stay_as_large_as_the_threshold_says() -> None:
    shape = (80, 80)
    probability = np.maximum(soft(shape, 22, 22, 9), soft(shape, 55, 52, 14))
    mask = probability >= 0.5
    assert np.array_equal(own_levels(mask, probability), mask)


def test_a_drawn_boundary_goes_on_deciding() -> None:
    shape = (60, 100)
    haze = disk(shape, 30, 50, 28)
    foreground = np.where(haze, 0.7, 0.01).astype(np.float32)
    foreground[disk(shape, 30, 36, 9)] = 0.9995
    rim = np.zeros(shape, np.float32)
    labels = segment(
        Evidence(foreground, foreground * (1 - rim), rim), RegionSettings(), GRID
    ).labels
    assert np.array_equal(labels > 0, haze)


def test_nothing_changes_where_objects_are_not_to_be_taken_apart() -> None:
    shape = (60, 100)
    haze = disk(shape, 30, 50, 28)
    probability = np.where(haze, 0.7, 0.01).astype(np.float32)
    probability[disk(shape, 30, 36, 9)] = 0.9995
    settings = RegionSettings(split=False)
    assert np.array_equal(
        segment(Evidence(probability), settings, GRID).labels > 0, haze
    )


def test_what_was_taken_above_the_threshold_is_said() -> None:
    shape = (60, 100)
    probability = np.where(disk(shape, 30, 50, 28), 0.7, 0.01).astype(np.float32)
    for x in (36, 64):
        probability[disk(shape, 30, x, 9)] = 0.9995
    said = segment(Evidence(probability), RegionSettings(), GRID).assumed
    assert "above the mask threshold" in said[0]
    whole = segment(Evidence(probability), RegionSettings(split=False), GRID)
    assert not whole.assumed
    assert (whole.labels > 0).sum() == (probability >= 0.5).sum()
    sharp = segment(Evidence(soft((80, 80), 40, 40, 14)), RegionSettings(), GRID)
    assert not sharp.assumed


def _scene(sure: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Objects that the network is sure of, and one that it is not."""
    shape = (60, 40 * (sure + 1))
    probability = np.full(shape, 0.01, np.float32)
    for number in range(sure):
        probability[disk(shape, 30, 40 * number + 20, 10)] = 0.99
    faint = disk(shape, 30, 40 * sure + 20, 10)
    probability[faint] = 0.8
    return probability, faint


def confidence(
    probability: NDArray[np.float32], place: NDArray[np.bool_], **settings: bool
) -> float:
    """How sure an object at a place is."""
    regions = segment(Evidence(probability), RegionSettings(**settings), GRID)
    assert (regions.labels[place] > 0).all()
    return float(regions.confidence[place].mean())


def test_a_part_that_is_nowhere_as_sure_as_the_others_counts_half() -> None:
    probability, faint = _scene(sure=5)
    assert confidence(probability, faint) == pytest.approx(0.4)
    assert confidence(probability, probability > 0.9) == pytest.approx(0.99)
    told = segment(Evidence(probability), RegionSettings(), GRID).assumed
    assert any("half their confidence" in sentence for sentence in told)


def test_few_others_do_not_tell_what_is_usual() -> None:
    probability, faint = _scene(sure=4)
    assert confidence(probability, faint) == pytest.approx(0.8)


def test_a_network_that_is_nowhere_very_sure_is_not_held_to_more() -> None:
    probability, faint = _scene(sure=5)
    probability *= 0.8
    probability[faint] = 0.78
    assert confidence(probability, faint) == pytest.approx(0.78)


def test_objects_of_every_sureness_are_all_usual() -> None:
    shape = (60, 40 * 12)
    probability = np.full(shape, 0.01, np.float32)
    places = [disk(shape, 30, 40 * number + 20, 10) for number in range(12)]
    for place, sure in zip(places, np.linspace(0.8, 0.99, 12), strict=True):
        probability[place] = sure
    assert confidence(probability, places[0]) == pytest.approx(0.8)


def test_confidence_is_as_it_is_where_objects_are_not_taken_apart() -> None:
    probability, faint = _scene(sure=5)
    assert confidence(probability, faint, split=False) == pytest.approx(0.8)
