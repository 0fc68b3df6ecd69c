"""Outlines in the formats of other programs: drawn again they give the same pixels."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import shapely
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scenes import drawn
from skimage.draw import polygon2mask
from test_export_labels import found

import napari_imagec_ai as ai
from napari_imagec_ai.export import writing
from napari_imagec_ai.image.blocks import grid
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results import objects as values
from napari_imagec_ai.results.correction.read_back import read_labels
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.objects import Objects

# pycocotools' decoder is older than numpy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept:DeprecationWarning"
)
LABELS = hnp.arrays(
    np.int32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.sampled_from([0, 1, 1, 4]),
)
LAW = settings(deadline=None, max_examples=80)
AWKWARD = {
    "ring": [[1, 1, 1], [1, 0, 1], [1, 1, 1]],
    "island in a hole": np.pad(np.pad([[1]], 1), 1, constant_values=1),
    "two parts": [[1, 0, 1], [1, 0, 1]],
    "corner to corner": [[1, 0], [0, 1]],
    "hole at a corner": [[1, 1, 1], [1, 0, 1], [1, 1, 0]],
    "one in the other": [[1, 1, 1], [1, 2, 1], [1, 1, 1]],
    "touching": [[1, 1, 2], [1, 2, 2]],
    "one pixel": [[1]],
}


def filled(rings: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Pixels whose centre is inside by the even-odd rule; corners at whole numbers."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        inside ^= polygon2mask(shape, np.asarray(ring)[:, ::-1] - 0.5)
    return inside


def named(count: int = 2, **changes: Any) -> Objects:
    """Two boxes without pixels, of two classes."""
    made = Objects(
        frame=Frame("YX", (40, 50), (1.0, 1.0), name="cells"),
        id=np.arange(1, count + 1, dtype=np.int32),
        class_id=np.arange(count, dtype=np.int32) % 2,
        confidence=np.linspace(0.5, 1, count, dtype=np.float32),
        boxes=np.array([[2, 3, 10, 13.5], [20, 30, 44, 50]], np.float32)[:count],
        classes=("nucleus", "cell/rod"),
    )
    return replace(made, **changes)


# -- ImageJ ----------------------------------------------------------------------------


def rois_to_labels(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    for roi in roifile.roiread(path):
        rings = roi.coordinates(multi=True)
        rings = rings if isinstance(rings, list) else [rings]
        plane = labels
        for axis in ("t", "z"):
            at = getattr(roi, f"{axis}_position")
            plane = plane[at - 1] if at else plane
        plane = plane[roi.position - 1] if roi.position else plane
        plane[filled(rings, shape[-2:])] = int(roi.name.split()[0])
    return labels


@LAW
@given(labels=LABELS)
def test_rois_give_the_labels_again(
    labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = ai.write(drawn(labels), tmp_path_factory.mktemp("rois") / "a.rois.zip")
    np.testing.assert_array_equal(rois_to_labels(path, labels.shape), labels)


@pytest.mark.parametrize("axes", ["TYX", "ZYX", "TZYX", "V"])
def test_rois_know_their_plane(axes: str, tmp_path: Path) -> None:
    objects = found(axes)
    path = ai.write(objects, tmp_path / "größe 1.rois.zip")
    labels = objects.as_labels()
    np.testing.assert_array_equal(rois_to_labels(path, labels.shape), labels)


def test_rois_of_a_stack_with_channels_have_places_in_the_hyperstack(
    tmp_path: Path,
) -> None:
    objects = found("TYX")
    image = ai.ImageInput(np.zeros((3, 2, 48, 60)), "TCYX")
    rois = roifile.roiread(ai.write(objects, tmp_path / "a.zip", image=image))
    assert [roi.t_position for roi in rois] == [1, 1, 2, 2, 3, 3]
    assert {roi.position for roi in rois} == {0}


def test_a_square_pixel_is_traced_as_the_wand_does(tmp_path: Path) -> None:
    labels = np.zeros((5, 6), int)
    labels[2, 3] = 7
    (roi,) = roifile.roiread(ai.write(drawn(labels), tmp_path / "a.rois.zip"))
    assert roi.roitype == roifile.ROI_TYPE.TRACED
    assert (roi.left, roi.top, roi.right, roi.bottom) == (3, 2, 4, 3)
    assert roi.name == "7 thing"


def test_rois_have_the_group_of_their_class(tmp_path: Path) -> None:
    rois = roifile.roiread(ai.write(named(), tmp_path / "a.rois.zip"))
    assert [(roi.name, roi.group) for roi in rois] == [
        ("1 nucleus", 1),
        ("2 cell_rod", 2),
    ]
    assert rois[0].coordinates().min(axis=0).tolist() == [3, 2]
    assert rois[0].coordinates().max(axis=0).tolist() == [13.5, 10]


def test_rois_far_out_keep_their_place(tmp_path: Path) -> None:
    masks = Masks(np.array([[70_000, 65_000]], np.int32), (np.ones((2, 3), bool),))
    frame = Frame("YX", (80_000, 80_000), (1.0, 1.0))
    objects = named(1, frame=frame, masks=masks)
    (roi,) = roifile.roiread(ai.write(objects, tmp_path / "a.rois.zip"))
    assert roi.coordinates().min(axis=0).tolist() == [65_000, 70_000]
    assert roi.coordinates().max(axis=0).tolist() == [65_003, 70_002]


# -- COCO ------------------------------------------------------------------------------


def coco_to_labels(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    collection = COCO(str(path))
    flat = labels.reshape(-1, *shape[-2:])
    for n, image in enumerate(sorted(collection.imgs)):
        for annotation in collection.imgToAnns[image]:
            mask = collection.annToMask(annotation).astype(bool)
            assert annotation["area"] == mask.sum()
            assert annotation["bbox"] == list(
                coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask, np.uint8)))
            )
            flat[n][mask] = annotation["id"]
    return labels


@LAW
@given(labels=LABELS)
def test_coco_gives_the_labels_again(
    labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = ai.write(drawn(labels), tmp_path_factory.mktemp("coco") / "a.coco.json")
    np.testing.assert_array_equal(coco_to_labels(path, labels.shape), labels)


@pytest.mark.parametrize("axes", ["TYX", "TZYX"])
def test_coco_has_a_picture_for_each_plane(axes: str, tmp_path: Path) -> None:
    objects = found(axes)
    path = ai.write(objects, tmp_path / "größe 1.coco.json")
    labels = objects.as_labels()
    np.testing.assert_array_equal(coco_to_labels(path, labels.shape), labels)
    pictures = json.loads(path.read_text(encoding="utf-8"))["images"]
    assert {(p["width"], p["height"], p["file_name"]) for p in pictures} == {
        (60, 48, "scene")
    }
    assert [p["t"] for p in pictures][:3] == ([0, 1, 2] if axes == "TYX" else [0] * 3)


def test_holes_are_joined_to_the_ring_around_them(tmp_path: Path) -> None:
    labels = np.pad(np.array(AWKWARD["one in the other"]), 2)
    path = ai.write(drawn(labels), tmp_path / "a.coco.json")
    ring, dot = json.loads(path.read_text())["annotations"]
    (way,) = ring["segmentation"]
    assert len(way) > 16
    assert dot["segmentation"] == [[3, 3, 4, 3, 4, 4, 3, 4]]
    # As torchvision's and detectron2's loaders do it.
    runs = coco_mask.frPyObjects(ring["segmentation"], *labels.shape)
    np.testing.assert_array_equal(coco_mask.decode(runs)[..., 0], labels == ring["id"])


def test_boxes_alone_have_their_box_as_outline(tmp_path: Path) -> None:
    path = ai.write(named(), tmp_path / "a.coco.json")
    for annotation in json.loads(path.read_text(encoding="utf-8"))["annotations"]:
        x, y, width, height = annotation["bbox"]
        (ring,) = annotation["segmentation"]
        assert ring[:2] == [x, y]
        assert ring[4:6] == pytest.approx([x + width, y + height])


def test_boxes_become_annotations_with_their_class(tmp_path: Path) -> None:
    image = tmp_path / "bild 1.npy"
    np.save(image, np.zeros((40, 50)))
    path = ai.write(named(), tmp_path / "a.coco.json", image=ai.open_image(image))
    collection = COCO(str(path))
    assert [c["name"] for c in collection.loadCats([1, 2])] == ["nucleus", "cell/rod"]
    first, second = collection.loadAnns([1, 2])
    assert (first["category_id"], first["bbox"]) == (1, [3, 2, 10.5, 8])
    assert (second["category_id"], second["score"]) == (2, 1.0)
    assert collection.imgs[1]["file_name"] == "bild 1.npy"


# -- YOLO ------------------------------------------------------------------------------


def yolo_to_labels(path: Path, objects: Objects) -> np.ndarray:
    shape = objects.frame.shape
    labels = np.zeros(shape, np.int32)
    for line, number in zip(path.read_text().splitlines(), objects.id, strict=True):
        _, *values = map(float, line.split())
        ring = np.reshape(values, (-1, 2)) * shape[::-1]
        labels[filled([ring], shape)] = number
    return labels


@LAW
@given(labels=LABELS)
def test_yolo_gives_the_labels_again(
    labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    objects = drawn(labels)
    path = ai.write(objects, tmp_path_factory.mktemp("yolo") / "a.yolo.txt")
    np.testing.assert_array_equal(yolo_to_labels(path, objects), labels)


def test_boxes_become_centre_and_size(tmp_path: Path) -> None:
    path = ai.write(named(), tmp_path / "a.txt")
    rows = [list(map(float, line.split())) for line in path.read_text().splitlines()]
    np.testing.assert_allclose(rows[0], [0, 8.25 / 50, 6 / 40, 10.5 / 50, 8 / 40])
    # What reaches beyond the picture is cut off.
    np.testing.assert_allclose(rows[1], [1, 0.8, 0.75, 0.4, 0.5])
    told = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert (told["nc"], told["names"]) == (2, {0: "nucleus", 1: "cell/rod"})


def test_classes_keep_their_numbers_in_a_folder(tmp_path: Path) -> None:
    other = replace(named(), classes=("debris", "cell/rod"))
    writing.write_all(other, tmp_path, "größe 0", ["yolo"])
    words = writing.write_all(named(), tmp_path, "größe 1", ["yolo"])
    assert words == [tmp_path / "größe 1.txt", tmp_path / "data.yaml"]
    assert [line[0] for line in words[0].read_text().splitlines()] == ["2", "1"]
    told = yaml.safe_load(words[1].read_text(encoding="utf-8"))
    assert told["names"] == {0: "debris", 1: "cell/rod", 2: "nucleus"}


@pytest.mark.parametrize("name", ["no", "1", "a: b", "#x", "zwei\nZeilen", "µ", "- y"])
def test_names_of_classes_stay_names_in_yaml(name: str, tmp_path: Path) -> None:
    ai.write(replace(named(), classes=(name, "other")), tmp_path / "a.txt")
    told = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert told["names"] == {0: name, 1: "other"}


def test_a_file_of_classes_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: 3\n")
    with pytest.raises(ai.ImagecAIError, match="Expected names of classes"):
        ai.write(named(), tmp_path / "a.txt")


# -- GeoJSON ---------------------------------------------------------------------------


@LAW
@given(labels=LABELS)
def test_geojson_is_valid_and_gives_the_labels_again(labels: np.ndarray) -> None:
    objects = drawn(labels)
    again = np.zeros_like(labels)
    y, x = np.indices(labels.shape)
    for feature in writing.geojson(objects)["features"]:
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shape.is_valid
        assert shape.area == (labels == feature["id"]).sum()
        again[shapely.contains_xy(shape, x + 0.5, y + 0.5)] = feature["id"]
    np.testing.assert_array_equal(again, labels)


# -- larger than memory ----------------------------------------------------------------


@LAW
@given(labels=hnp.arrays(np.int32, (2, 9, 11), elements=st.sampled_from([0, 1, 1, 4])))
def test_outlines_are_the_same_block_by_block(labels: np.ndarray) -> None:
    labels[1][labels[1] > 0] += 4
    objects = read_labels(labels, Frame("TYX", labels.shape, (1.0, 1.0)))
    expected = objects.as_outlines(smooth=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "LARGE", 0)
        patch.setattr(values, "grid", partial(grid, side=3))
        found = objects.as_outlines(smooth=False)
    for one, other in zip(found, expected, strict=True):
        for part, whole in zip(one, other, strict=True):
            rings = [(part.outer, whole.outer)]
            rings += zip(part.holes, whole.holes, strict=True)
            for ring, same in rings:
                np.testing.assert_array_equal(ring, same)


# -- all of them -----------------------------------------------------------------------


@pytest.mark.parametrize("labels", AWKWARD.values(), ids=AWKWARD)
def test_awkward_objects_survive_every_format(labels: Any, tmp_path: Path) -> None:
    objects = drawn(np.pad(np.asarray(labels), 1))
    shape, expected = objects.frame.shape, objects.as_labels()
    rois, coco, yolo = (
        tmp_path / f"a{writing.EXPORTS[w]}" for w in ("rois", "coco", "yolo")
    )
    for path in (rois, coco, yolo):
        ai.write(objects, path)
    np.testing.assert_array_equal(rois_to_labels(rois, shape), expected)
    np.testing.assert_array_equal(coco_to_labels(coco, shape), expected)
    np.testing.assert_array_equal(yolo_to_labels(yolo, objects), expected)


def test_masks_that_overlap_are_written_whole(tmp_path: Path) -> None:
    ring = np.ones((6, 6), bool)
    ring[2:4, 2:4] = False
    masks = Masks(np.array([[1, 1], [4, 4]], np.int32), (ring, np.ones((5, 5), bool)))
    objects = named(masks=masks)
    collection = COCO(str(ai.write(objects, tmp_path / "a.coco.json")))
    rois = roifile.roiread(ai.write(objects, tmp_path / "a.rois.zip"))
    for row, roi in enumerate(rois):
        expected = np.zeros((40, 50), bool)
        y, x = masks.origins[row]
        mask = masks.pixels[row]
        expected[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
        rings = roi.coordinates(multi=True)
        rings = rings if isinstance(rings, list) else [rings]
        np.testing.assert_array_equal(filled(rings, (40, 50)), expected)
        annotated = collection.annToMask(collection.anns[row + 1])
        np.testing.assert_array_equal(annotated.astype(bool), expected)
