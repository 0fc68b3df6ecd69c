"""What holds for any map, also for one that no network would give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scenes import CHANNELS, prediction
from scipy import ndimage

import napari_imagec_ai as ai
from napari_imagec_ai.decoders import decoding, in_blocks
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.image import blocks as image_blocks
from napari_imagec_ai.results.objects import Objects

COUNTS = {kind: len(names) for kind, names in CHANNELS.items()}
COUNTS |= {"multi_class": 3, "affinities": 3, "labels": 1}
"""Channels by kind."""

CHOSEN = st.fixed_dictionaries(
    {
        "mask_threshold": st.floats(0.01, 0.99),
        "split": st.booleans(),
        "neck": st.sampled_from([0.0, 0.5, 0.96, 1.0]),
        "fill_holes": st.booleans(),
        "min_size": st.integers(0, 6),
    }
)


@st.composite
def decoded(draw: st.DrawFn) -> tuple[Objects, dict[str, object]]:
    kind = draw(st.sampled_from(sorted(COUNTS)))
    planes = draw(st.sampled_from(["", "T", "Z", "TZ"]))
    space = draw(st.sampled_from(["YX", "YX", "ZYX"])) if "Z" not in planes else "YX"
    sizes = draw(hnp.array_shapes(min_dims=5, max_dims=5, max_side=7))
    shape = (
        *sizes[: len(planes)],
        COUNTS[kind],
        *sizes[-len(space) :],
    )
    low, high = draw(st.sampled_from([(0, 1), (-6, 6)]))
    values = draw(
        hnp.arrays(np.float32, shape, elements=st.floats(low, high, width=32))
    )
    if kind == "labels":
        values = np.rint(values)
    axes = planes + space
    steps = draw(st.sampled_from([0.5, 1.0, 3.0]))
    made = prediction(
        values,
        kind,
        axes=axes,
        space=space,
        pixel_size=(steps, 1.0, 1.0)[-sum(axis in "ZYX" for axis in axes) :],
        unit="micrometer",
        classes=["one", "two"] if kind == "multi_class" else ["one"],
    )
    usual = choose_decoder(made.model).defaults(made.model)
    known = type(usual).model_fields
    chosen = {name: value for name, value in draw(CHOSEN).items() if name in known}
    found = ai.decode(made, settings_with(usual, chosen))
    assert isinstance(found, Objects)
    return found, chosen


@settings(deadline=None, max_examples=150)
@given(found=decoded())
def test_the_table_and_the_labels_tell_the_same_objects(
    found: tuple[Objects, dict[str, object]],
) -> None:
    objects, chosen = found
    assert objects.id.tolist() == list(range(1, len(objects) + 1))
    pixels = np.bincount(objects.as_labels().ravel(), minlength=len(objects) + 1)[1:]
    np.testing.assert_array_equal(objects.features["area"], pixels)
    assert (pixels >= max(1, chosen["min_size"])).all()  # type: ignore[call-overload]


@settings(deadline=None, max_examples=100)
@given(found=decoded())
def test_every_number_is_finite_and_every_confidence_from_0_to_1(
    found: tuple[Objects, dict[str, object]],
) -> None:
    objects, _ = found
    assert all(np.isfinite(column).all() for column in objects.features.values())
    assert ((objects.confidence >= 0) & (objects.confidence <= 1)).all()
    assert set(objects.class_id) <= set(range(len(objects.classes)))


@settings(deadline=None, max_examples=100)
@given(found=decoded())
def test_boxes_hold_their_centroids(
    found: tuple[Objects, dict[str, object]],
) -> None:
    objects, _ = found
    half = objects.boxes.shape[1] // 2
    for i, axis in enumerate("zyx"[-half:]):
        centre = objects.features[f"centroid_{axis}"]
        assert (objects.boxes[:, i] <= centre).all()
        assert (centre <= objects.boxes[:, half + i] - 1).all()


def test_a_finer_output_leaves_no_object_without_pixels() -> None:
    values = np.zeros((1, 40, 40))
    values[0, 10, 5:35] = 1
    found = ai.decode(prediction(values, shape=(20, 20)))
    assert (found.features["area"] > 0).all()


def test_a_threshold_of_the_description_that_is_no_number_is_refused() -> None:
    with pytest.raises(ai.DecodeError, match="'Tiny'"):
        ai.decode(prediction(np.zeros((1, 20, 20)), mask_threshold="high"))


NOISE = [*sorted(CHANNELS), "multi_class", "affinities"]
FINER = {"as fine": (60, 70), "coarser": (25, 33), "finer": (139, 101)}


def noisy(kind: str, seed: int, shape: tuple[int, ...]) -> Any:
    """What no network is sure of: specks of all sizes that touch."""
    rng = np.random.default_rng(seed)
    values = rng.random((COUNTS[kind], *shape)).astype(np.float32)
    values = ndimage.gaussian_filter(values, (0, 1.0, 1.0))
    values = (values - values.min()) / np.ptp(values)
    return prediction(values, kind, classes=["one", "two"][: COUNTS[kind]])


def smallest_of(objects: Objects) -> int:
    pixels = np.bincount(objects.as_labels().ravel(), minlength=len(objects) + 1)[1:]
    np.testing.assert_array_equal(objects.features["area"], pixels)
    return int(pixels.min())


@pytest.mark.parametrize("filled", [False, True], ids=["holes stay", "holes filled"])
@pytest.mark.parametrize("blocks", [False, True], ids=["whole", "in blocks"])
@pytest.mark.parametrize("fine", FINER)
@pytest.mark.parametrize("kind", NOISE)
def test_what_is_too_small_is_no_object_of_any_decoder(
    kind: str, fine: str, blocks: bool, filled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = noisy(kind, 7, FINER["as fine"])
    size = {"min_size": 12, "fill_holes": filled}
    if fine != "as fine":
        made = replace(noisy(kind, 7, FINER[fine]), frame=made.frame)
    if blocks:
        monkeypatch.setattr(decoding, "LARGE", 1000)
        monkeypatch.setitem(image_blocks.SIDE, 2, 24)
        monkeypatch.setitem(in_blocks.OVERLAP, 2, 6)
    usual = choose_decoder(made.model).defaults(made.model)
    found = ai.decode(made, settings_with(usual, size))
    assert isinstance(found, Objects)
    assert smallest_of(found) >= 12


@pytest.mark.parametrize("filled", [False, True], ids=["holes stay", "holes filled"])
@pytest.mark.parametrize("kind", sorted(CHANNELS))
def test_what_is_too_small_is_no_object_while_a_threshold_moves(
    kind: str, filled: bool
) -> None:
    made = noisy(kind, 3, (60, 70))
    decoder = choose_decoder(made.model)
    usual = decoder.defaults(made.model)
    before = settings_with(usual, {"min_size": 9, "fill_holes": filled})
    found = ai.decode(made, before)
    for threshold in (0.45, 0.55, 0.6):
        moved = settings_with(before, {"mask_threshold": threshold})
        seen = decoding.follow(decoder, made, moved, before, found)
        if seen is not None and len(seen):
            assert smallest_of(seen) >= 9
