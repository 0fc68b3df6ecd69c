"""Detectors: every layout, one window or many, and the published reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from detectors import SceneEngine, detector_rdf, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.boxes.yolo import YoloSettings
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.results import boxes as box_math

REFERENCE = "models/yolov5n_seg_synthetic"

LAYOUTS = [
    (layout, masks)
    for layout in ("objectness", "scores", "end_to_end")
    for masks in (True, False)
]


def run(
    make_model: Any,
    image: np.ndarray,
    layout: str = "objectness",
    masks: bool = True,
    axes: str = "YX",
    **options: Any,
) -> ai.Prediction:
    """Predict with the stand-in for a network."""
    rdf = detector_rdf(layout, masks)
    model = ai.load_model(make_model(f"{layout}{masks}", network=None, **rdf))
    picture = ai.ImageInput(image, axes, name="scene")
    return ai.predict(model, picture, engine=SceneEngine(layout, masks), **options)


@pytest.mark.parametrize(("layout", "masks"), LAYOUTS)
def test_every_layout_gives_the_objects(
    make_model: Any, layout: str, masks: bool
) -> None:
    image, labels = scene((64, 64), [(4, 6, 20, 30, 0), (36, 40, 60, 52, 1)])
    objects = ai.decode(run(make_model, image, layout, masks))
    assert objects.classes == ("round", "rod")
    assert objects.boxes.tolist() == [[4, 6, 20, 30], [36, 40, 60, 52]]
    assert objects.class_id.tolist() == [0, 1]
    assert objects.confidence == pytest.approx([0.89, 0.88])
    assert objects.features["area"].tolist() == [16 * 24, 24 * 12]
    if masks:
        assert np.array_equal(objects.as_labels(), labels)


def test_boxes_alone_have_rectangles_and_no_pixels_until_asked(make_model: Any) -> None:
    image, labels = scene((64, 64), [(4, 6, 20, 30, 0)])
    raw = run(make_model, image, masks=False)
    objects = ai.decode(raw)
    assert not objects.has_pixels
    with pytest.raises(ai.DecodeError, match="boxes but no pixels"):
        objects.as_labels()
    (outline,) = objects.as_polygons()
    assert outline.min(axis=0).tolist() == [3.5, 5.5]
    assert outline.max(axis=0).tolist() == [19.5, 29.5]
    filled = ai.decode(raw, YoloSettings(fill_boxes=True))
    assert np.array_equal(filled.as_labels(), labels)


@pytest.mark.parametrize("shape", [(64, 64), (40, 120), (100, 37), (20, 24)])
def test_an_image_of_another_shape_is_fitted_into_the_window(
    make_model: Any, shape: tuple[int, int]
) -> None:
    height, width = shape
    box = (height // 4, width // 4, 3 * height // 4, 3 * width // 4, 0)
    image, _ = scene(shape, [box])
    raw = run(make_model, image)
    assert raw.network_calls == 1
    objects = ai.decode(raw)
    assert len(objects) == 1
    assert np.abs(objects.boxes[0] - box[:4]).max() <= 2 * max(1, max(shape) / 64)


def test_a_large_image_is_cut_into_windows_and_no_object_is_seen_twice(
    make_model: Any,
) -> None:
    rng = np.random.default_rng(3)
    boxes = [
        (y, x, y + int(rng.integers(5, 9)), x + int(rng.integers(5, 9)), int(i % 2))
        for i, (y, x) in enumerate(np.ndindex(20, 25))
    ]
    boxes = [(y * 12, x * 12, y * 11 + b, x * 11 + d, c) for y, x, b, d, c in boxes]
    image, labels = scene((240, 300), boxes)
    raw = run(make_model, image)
    assert raw.network_calls > 20
    objects = ai.decode(raw)
    assert len(objects) == len(boxes)
    assert np.array_equal(objects.as_labels() > 0, labels > 0)
    found = {tuple(box) for box in objects.boxes.astype(int).tolist()}
    assert found == {box[:4] for box in boxes}


@pytest.mark.parametrize("overlap", [0.1, 0.2, 0.4])
def test_an_object_larger_than_the_overlap_is_joined_from_its_parts(
    make_model: Any, overlap: float
) -> None:
    boxes = [(30, 10, 90, 190, 0), (120, 100, 220, 118, 1), (200, 20, 210, 30, 0)]
    image, labels = scene((240, 200), boxes)
    objects = ai.decode(run(make_model, image, overlap=overlap))
    assert sorted(objects.boxes.astype(int).tolist()) == sorted(
        list(box[:4]) for box in boxes
    )
    assert np.array_equal(objects.as_labels() > 0, labels > 0)


def test_the_scale_is_a_setting(make_model: Any) -> None:
    image, _ = scene((256, 256), [(40, 60, 120, 160, 0)])
    whole = run(make_model, image, scale=0.25)
    assert whole.network_calls == 1
    assert ai.decode(whole).boxes.tolist() == [[40, 60, 120, 160]]


def test_an_image_can_be_enlarged(make_model: Any) -> None:
    image, _ = scene((100, 100), [(40, 60, 80, 80, 0)])
    raw = run(make_model, image, scale=2.0)
    assert raw.network_calls > 4
    assert np.abs(ai.decode(raw).boxes - [[40, 60, 80, 80]]).max() <= 1


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.full((64, 64), 114, np.uint8), ""),
        (np.linspace(300, 5000, 64 * 64).reshape(64, 64).astype("u2"), "99.8 %"),
        (np.linspace(-1, 1, 64 * 64).reshape(64, 64), "99.8 %"),
    ],
    ids=["8 bit", "16 bit", "float"],
)
def test_grey_values_are_scaled_as_they_need_and_that_is_said(
    make_model: Any, image: np.ndarray, said: str
) -> None:
    raw = run(make_model, image)
    sentences = " ".join(raw.assumed)
    assert "all 3 channels" in sentences
    assert ("percentiles" in sentences) == bool(said)
    assert said in sentences


def test_a_dark_16_bit_image_is_found_as_well_as_a_bright_8_bit_one(
    make_model: Any,
) -> None:
    bright, _ = scene((64, 64), [(4, 6, 20, 30, 0), (36, 40, 60, 52, 0)])
    dark = np.where(bright > 200, 900, 469).astype(np.uint16)
    dark[:2] = 120  # black
    objects = ai.decode(run(make_model, dark))
    found = objects.boxes.tolist()
    assert [4, 6, 20, 30] in found
    assert [36, 40, 60, 52] in found


def test_nothing_found_gives_no_objects_and_no_error(
    make_model: Any, tmp_path: Path
) -> None:
    raw = run(make_model, np.full((64, 64), 114, np.uint8))
    objects = ai.decode(raw)
    assert len(objects) == 0
    assert not objects.as_labels().any()
    for name in ("none.tif", "none.csv", "none.geojson"):
        ai.write(objects, tmp_path / name)


def test_a_stack_is_run_plane_by_plane(make_model: Any) -> None:
    first, _ = scene((64, 64), [(4, 6, 20, 30, 0)])
    second, _ = scene((64, 64), [(4, 6, 20, 30, 0), (36, 40, 60, 52, 1)])
    objects = ai.decode(run(make_model, np.stack([first, second]), axes="ZYX"))
    assert objects.planes[:, 0].tolist() == [0, 1, 1]
    labels = objects.as_labels()
    assert set(np.unique(labels[0])) == {0, 1}
    assert set(np.unique(labels[1])) == {0, 2, 3}


def test_a_saved_prediction_decodes_to_the_same(
    make_model: Any, tmp_path: Path
) -> None:
    image, _ = scene((240, 200), [(30, 10, 90, 190, 0), (120, 100, 220, 118, 1)])
    raw = run(make_model, image)
    raw.save(tmp_path / "raw.npz")
    again = ai.decode(ai.Prediction.load(tmp_path / "raw.npz"))
    assert np.array_equal(again.as_labels(), ai.decode(raw).as_labels())
    assert again.classes == ("round", "rod")


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 252)],
        [(1, 4, 16, 16)],
        [(1, 252, 5)],
        [(1, 9, 7)] * 2,
        [(16, 252, 7)],  # not of one image
        [(1, 252, 7), (2, 4, 16, 16)],
        [(1, 252, 7), (1, 252)],  # more than is understood
        [(1, 252, 7), (1, 3, 8, 8, 9)],
    ],
)
def test_tensors_of_no_known_layout_are_refused_with_their_shapes(
    make_model: Any, shapes: Any
) -> None:
    class Odd(SceneEngine):
        def run(self, inputs: Any) -> list[np.ndarray]:
            return [np.zeros(shape, np.float32) for shape in shapes]

    model = ai.load_model(make_model("odd", network=None, **detector_rdf()))
    with pytest.raises(ai.DecodeError, match="known are") as error:
        ai.predict(model, ai.ImageInput(np.zeros((64, 64)), "YX"), engine=Odd())
    assert str(list(shapes[0])) in str(error.value)


def test_grids_that_the_rows_were_made_from_are_known_extras(make_model: Any) -> None:
    class WithGrids(SceneEngine):
        def run(self, inputs: Any) -> list[np.ndarray]:
            grids = [np.zeros((1, 3, side, side, 7), np.float32) for side in (8, 4, 2)]
            return [*super().run(inputs), *grids]

    image, _ = scene((64, 64), [(4, 6, 20, 30, 0)])
    model = ai.load_model(make_model("v5", network=None, **detector_rdf(masks=False)))
    engine = WithGrids(masks=False)
    raw = ai.predict(model, ai.ImageInput(image, "YX"), engine=engine)
    assert ai.decode(raw).boxes.tolist() == [[4, 6, 20, 30]]


def test_a_class_that_comes_up_in_a_later_window_has_a_name(make_model: Any) -> None:
    rdf = detector_rdf("end_to_end")
    rdf["config"]["napari_imagec_ai"]["classes"] = []
    model = ai.load_model(make_model("late", network=None, **rdf))
    image, _ = scene((200, 200), [(4, 6, 20, 30, 0), (150, 150, 170, 180, 1)])
    engine = SceneEngine("end_to_end")
    engine.metadata = {"end2end": "True"}
    objects = ai.decode(ai.predict(model, ai.ImageInput(image, "YX"), engine=engine))
    assert [objects.classes[i] for i in objects.class_id] == ["class 1", "class 2"]


@pytest.mark.parametrize("names", [["one"], ["one", "two", "three"]])
def test_more_or_fewer_names_than_classes_are_asked_for(
    make_model: Any, names: Any
) -> None:
    rdf = detector_rdf()
    rdf["config"]["napari_imagec_ai"]["classes"] = names
    model = ai.load_model(make_model("named", network=None, **rdf))
    image, _ = scene((64, 64), [(4, 6, 20, 30, 0)])
    with pytest.raises(ai.DecodeError, match=rf"names {len(names)} class.*--classes"):
        ai.predict(model, ai.ImageInput(image, "YX"), engine=SceneEngine())


@pytest.mark.parametrize(
    "options", [{"overlap": 0.95}, {"scale": 0.0}, {"percentiles": (99, 1)}]
)
def test_settings_out_of_range_are_refused(make_model: Any, options: Any) -> None:
    with pytest.raises(ai.ImageError, match="Expected"):
        run(make_model, np.zeros((64, 64), np.uint8), **options)


_BOXES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.just(4)),
    elements=st.floats(0, 60, width=32),
)


@settings(max_examples=150, deadline=None)
@given(corners=_BOXES, seed=st.integers(0, 2**16), cut=st.floats(0, 1), data=st.data())
def test_cutting_by_confidence_before_or_after_leaves_the_same(
    corners: np.ndarray, seed: int, cut: float, data: Any
) -> None:
    rng = np.random.default_rng(seed)
    count = len(corners)
    found = np.sort(corners.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    confidence = rng.random(count).astype(np.float32)
    class_id = rng.integers(0, 3, count).astype(np.int32)
    options = (
        data.draw(st.floats(0, 1)),
        data.draw(st.booleans()),
        data.draw(st.floats(0, 1)),
    )
    after = box_math.nms(found, confidence, class_id, *options)
    after = after[confidence[after] >= cut]
    rows = np.flatnonzero(confidence >= cut)
    before = box_math.nms(found[rows], confidence[rows], class_id[rows], *options)
    assert rows[before].tolist() == after.tolist()


def test_the_mask_threshold_moves_without_the_network(shared: Path) -> None:
    model = ai.load_model(shared / REFERENCE)
    image = iio.imread(shared / REFERENCE / "images" / "test_0.png")
    raw = ai.predict(model, ai.ImageInput(image, "YXC", rgb=True))
    loose, strict = (
        ai.decode(raw, settings_with(YoloSettings(), {"mask_threshold": t}))
        for t in (0.3, 0.7)
    )
    assert len(loose) >= len(strict)
    assert loose.features["area"].sum() > 1.05 * strict.features["area"].sum()


@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_results_equal_those_of_the_reference(
    shared: Path, engine: str, number: int
) -> None:
    folder = shared / REFERENCE
    reference = np.load(folder / "reference" / f"test_{number}.npz")
    image = iio.imread(folder / "images" / f"test_{number}.png")
    raw = ai.predict(
        ai.load_model(folder), ai.ImageInput(image, "YXC", rgb=True), engine=engine
    )
    objects = ai.classify(ai.decode(raw), class_threshold=0.25)
    expected = np.ascontiguousarray(reference["boxes"][:, [1, 0, 3, 2]], np.float32)
    overlap = box_math.iou(expected, objects.boxes)
    mine = overlap.argmax(axis=1)
    assert len(objects) == len(expected) == len(set(mine))
    assert overlap.max(axis=1).min() >= 0.95
    assert (objects.class_id[mine] == reference["classes"]).all()
    assert np.abs(objects.confidence[mine] - reference["scores"]).max() < 0.01
    nearest = _mask_overlap(objects[mine], reference, "masks_ultralytics_packed")
    assert nearest.mean() >= 0.97
    assert _mask_overlap(objects[mine], reference, "masks_packed").mean() >= 0.85


def _mask_overlap(objects: ai.Objects, reference: Any, name: str) -> np.ndarray:
    """IoU of each object's mask with the reference's."""
    height, width = reference["image_shape"]
    packed = np.unpackbits(reference[name], axis=1, count=height * width)
    theirs = packed.reshape(-1, height, width).astype(bool)
    result = []
    for i, mask in enumerate(theirs):
        mine = np.zeros((height, width), np.int32)
        assert objects.masks is not None
        objects.masks.paint(mine, i, 1, (0, 0))
        both = mask & (mine > 0)
        result.append(both.sum() / (mask | (mine > 0)).sum())
    return np.array(result)


@pytest.mark.parametrize("name", ["weights.onnx", "weights.torchscript.pt"])
def test_an_export_without_a_description_runs_and_says_what_it_read(
    shared: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes((shared / REFERENCE / name).read_bytes())
    model = ai.load_model(tmp_path / name)
    assert model.kind == "boxes_masks"
    assert model.classes == ("nucleus", "rod")
    image = iio.imread(shared / REFERENCE / "images" / "test_0.png")
    raw = ai.predict(model, ai.ImageInput(image, "YXC", rgb=True))
    assert len(ai.classify(ai.decode(raw), class_threshold=0.25)) == 77
    assert "has no description" in raw.assumed[0]
