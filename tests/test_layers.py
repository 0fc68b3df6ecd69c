"""Layers in, layers out: results lie exactly on the image they came from."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from conftest import discs
from napari.components import ViewerModel
from napari.layers import Image

import napari_imagec_ai as ai
from napari_imagec_ai._napari.layers import drawing, from_napari
from napari_imagec_ai._napari.layers.drawn_layers import MAX_SHAPES
from napari_imagec_ai._napari.layers.result_layers import (
    Drawn,
    ResultLayers,
)
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.image.region import Cut
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline, draw
from napari_imagec_ai.results.part_to_whole import in_whole


def objects_of(
    labels: np.ndarray, frame: Frame, classes: tuple[str, ...] = ("nucleus",)
) -> Objects:
    """Objects of a label image, dealt to the classes in turn."""
    ids = np.unique(labels)[1:].astype(np.int32)
    space = len(frame.space)
    planes = [np.argwhere(labels == i)[0][: labels.ndim - space] for i in ids]
    return Objects(
        frame=frame,
        id=ids,
        class_id=(np.arange(len(ids)) % len(classes)).astype(np.int32),
        confidence=np.ones(len(ids), np.float32),
        boxes=np.zeros((len(ids), 2 * space), np.float32),
        classes=classes,
        label_image=labels,
        features={"area": np.bincount(labels.ravel())[ids].astype(float)},
        planes=np.array(planes, np.int32).reshape(len(ids), labels.ndim - space),
    )


def flat_frame(shape: tuple[int, int]) -> Frame:
    return Frame("YX", shape, (1.0, 1.0))


def placed_layer(data: np.ndarray, **kwargs: Any) -> Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image(data, name="picture", **kwargs)


TRANSFORMS_2D = {
    "scale": (0.5, 0.25),
    "translate": (10, -4),
    "rotate": 30,
    "shear": (0.2,),
    "affine": np.array([[1.1, 0.1, 3], [-0.2, 0.9, 5], [0, 0, 1]]),
    "units": ("um", "um"),
    "axis_labels": ("y", "x"),
}


@pytest.mark.parametrize(
    "keys",
    [
        ("scale", "units"),
        ("translate",),
        ("rotate",),
        ("shear",),
        ("affine",),
        tuple(TRANSFORMS_2D),
    ],
    ids=lambda keys: "+".join(keys) if len(keys) < 5 else "all",
)
def test_results_lie_on_the_image_whatever_its_transform(keys: Any) -> None:
    image = placed_layer(
        np.zeros((40, 60)), **{key: TRANSFORMS_2D[key] for key in keys}
    )
    viewer = ViewerModel()
    viewer.add_layer(image)
    labels = discs((40, 60), [(12, 14), (25, 45)], (6, 8))
    results = ResultLayers(viewer, from_napari.take(image, "YX"))
    results.show(objects_of(labels, flat_frame((40, 60))))

    points = [(0, 0), (12, 14), (39, 59), (25.5, 7.25)]
    for layer in results.all_layers:
        for point in points:
            there = layer.data_to_world(point)
            assert np.allclose(there, image.data_to_world(point), atol=1e-9)
        assert layer.units == image.units
        assert layer.axis_labels == image.axis_labels


def test_a_later_plane_of_an_anisotropic_stack_lies_in_its_place() -> None:
    image = placed_layer(
        np.zeros((7, 40, 60)),
        scale=(2, 0.5, 0.5),
        translate=(5, 1, 2),
        rotate=np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]),
    )
    viewer = ViewerModel()
    viewer.add_layer(image)
    frame = Frame("ZYX", (1, 40, 60), (2.0, 0.5, 0.5), origin=(4, 0, 0))
    one = np.array([1], np.int32)
    objects = Objects(
        frame=frame,
        id=one,
        class_id=one - 1,
        confidence=one.astype(np.float32),
        boxes=np.zeros((1, 4), np.float32),
        classes=("nucleus",),
        label_image=discs((40, 60), [(12, 14)], (6,))[None],
        planes=np.array([[4]], np.int32),
    )
    results = ResultLayers(viewer, from_napari.take(image, "ZYX"))
    results.show(objects)
    assert len(results.all_layers) == 2
    for layer in results.all_layers:
        there = layer.data_to_world((0, 12, 14))
        assert np.allclose(there, image.data_to_world((4, 12, 14)))
    assert np.all(results._drawings.layers()["outlines", "nucleus"].data[0][:, 0] == 0)


def test_a_channel_axis_in_front_is_left_out() -> None:
    image = placed_layer(
        np.zeros((2, 40, 60)), scale=(1, 0.5, 0.25), translate=(0, 3, 4)
    )
    source = from_napari.take(image, "CYX")
    assert source.image.frame.axes == "YX"
    assert np.allclose(source.placement["scale"], (0.5, 0.25))
    assert np.allclose(source.placement["translate"], (3, 4))


def test_outlines_drawn_again_are_the_labels() -> None:
    labels = discs((80, 90), [(20, 20), (20, 33), (60, 50)], (9, 8, 15))
    polygons = drawing.shape_data(objects_of(labels, flat_frame((80, 90))))
    again = draw({i + 1: [Outline(p)] for i, p in enumerate(polygons)}, (80, 90))
    assert np.array_equal(again, labels)


def test_features_are_keyed_by_the_label() -> None:
    labels = discs((40, 60), [(12, 14), (25, 45)], (6, 8))
    objects = objects_of(labels, flat_frame((40, 60)))[[1]]
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)))
    results = ResultLayers(viewer, from_napari.take(image, "YX"))
    results.show(objects)
    found = results._labels["nucleus"].features.set_index("index")
    assert found.loc[2, "area"] == (labels == 2).sum()
    assert list(
        results._drawings.layers()["outlines", "nucleus"].features["index"]
    ) == [2]


def test_each_class_has_a_labels_and_a_shapes_layer_of_its_own() -> None:
    labels = discs((40, 60), [(12, 14), (25, 45)], (6, 8))
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)), name="dish")
    results = ResultLayers(viewer, from_napari.take(image, "YX"))
    results.show(objects_of(labels, flat_frame((40, 60)), ("round", "rod")))
    names = [layer.name for layer in viewer.layers]
    assert names == [
        "dish",
        "round (dish)",
        "round outlines (dish)",
        "rod (dish)",
        "rod outlines (dish)",
    ]
    assert set(np.unique(results._labels["round"].data)) == {0, 1}
    assert set(np.unique(results._labels["rod"].data)) == {0, 2}


def test_layers_are_updated_in_place_and_deleted_ones_made_again() -> None:
    labels = discs((40, 60), [(12, 14), (25, 45)], (6, 8))
    objects = objects_of(labels, flat_frame((40, 60)))
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)))
    results = ResultLayers(viewer, from_napari.take(image, "YX"))
    results.show(objects)
    before = list(viewer.layers)
    results.show(objects[[0]])
    assert list(viewer.layers) == before
    assert len(results._drawings.layers()["outlines", "nucleus"].data) == 1
    results.show(objects)
    assert len(results._drawings.layers()["outlines", "nucleus"].data) == 2
    assert len(results._drawings.layers()["outlines", "nucleus"].edge_color) == 2
    viewer.layers.remove(results._labels["nucleus"])
    results.show(objects)
    assert len(viewer.layers) == 3


def test_a_class_that_goes_takes_its_layers_along_and_leaves_others_alone() -> None:
    labels = discs((40, 60), [(12, 14), (25, 45)], (6, 8))
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)))
    mine = viewer.add_shapes([np.array([[0, 0], [5, 5]])], name="mine")
    results = ResultLayers(viewer, from_napari.take(image, "YX"))
    results.show(objects_of(labels, flat_frame((40, 60)), ("round", "rod")))
    spare = results._drawings.layers()["outlines", "rod"]
    results.show(objects_of(labels, flat_frame((40, 60)), ("round",)))
    assert spare not in viewer.layers
    assert mine in viewer.layers
    assert len(mine.data) == 1
    results.show(objects_of(labels, flat_frame((40, 60)), ("round", "other")))
    assert results._drawings.layers()["outlines", "other"] in viewer.layers


def test_classes_without_objects_get_no_layers() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)))
    results = ResultLayers(viewer, from_napari.take(image, "YX"))
    results.show(objects_of(np.zeros((40, 60), np.int32), flat_frame((40, 60))))
    assert results.all_layers == []


def test_too_many_outlines_are_left_out_and_said() -> None:
    side = 2 * int(np.ceil(np.sqrt(MAX_SHAPES + 1)))
    labels = np.zeros((side, side), np.int32)
    labels[::2, ::2] = np.arange(1, (side // 2) ** 2 + 1).reshape(side // 2, -1)
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((side, side)))
    results = ResultLayers(viewer, from_napari.take(image, "YX"))
    notes = results.show(objects_of(labels, flat_frame((side, side))))
    assert "outlines" in notes[0]
    assert not results._drawings.layers()["outlines", "nucleus"].data
    assert results._labels["nucleus"].data.max() == labels.max()


@pytest.mark.parametrize(
    ("labels", "shape", "expected"),
    [
        (("t", "y", "x"), (3, 8, 8), "TYX"),
        (("c", "y", "x"), (3, 8, 8), "CYX"),
        (None, (3, 8, 8), "ZYX"),
        (None, (8, 8), "YX"),
        (None, (2, 3, 8, 8), "TZYX"),
    ],
    ids=["time", "channel", "no labels", "flat", "four"],
)
def test_axes_are_guessed_from_labels_and_never_from_sizes(
    labels: Any, shape: Any, expected: str
) -> None:
    layer = placed_layer(np.zeros(shape), axis_labels=labels)
    assert from_napari.guess_axes(layer) == expected


def test_colours_of_an_rgb_layer_are_channels() -> None:
    layer = placed_layer(np.zeros((20, 30, 4), np.uint8), rgb=True)
    source = from_napari.take(layer, "YX")
    assert source.image.axes == "YXC"
    assert source.image.rgb


def test_a_multiscale_layer_gives_its_finest_level() -> None:
    levels = [np.zeros((64, 64)), np.zeros((32, 32))]
    layer = placed_layer(levels, multiscale=True)
    assert from_napari.take(layer, "YX").image.shape == (64, 64)


def test_axes_that_do_not_fit_are_refused() -> None:
    layer = placed_layer(np.zeros((3, 20, 30)))
    with pytest.raises(ai.ImageError, match="3 dimensions"):
        from_napari.take(layer, "YX")


def turned(angle: float, ndim: int) -> np.ndarray:
    """A rotation in the last two axes, and a little in the first where there is one."""
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.eye(ndim)
    matrix[-2:, -2:] = [[cos, -sin], [sin, cos]]
    if ndim == 3:
        tilt = np.eye(3)
        tilt[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
        matrix = tilt @ matrix
    return matrix


# napari cannot draw a slice of a tilted volume as it is; it says so for each layer.
@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize(
    ("ndim", "cut"),
    [(2, False), (2, True), (3, False)],
    ids=["2D", "part of 2D", "3D"],
)
def test_every_layer_of_a_result_lies_on_the_image(ndim: int, cut: bool) -> None:
    shape = (12, 40, 60)[3 - ndim :]
    affine = np.eye(ndim + 1)
    affine[:-1, :-1] += np.arange(ndim**2).reshape(ndim, ndim) / 40
    affine[:-1, -1] = 3
    image = placed_layer(
        np.zeros(shape),
        scale=(2, 0.5, 0.25)[3 - ndim :],
        translate=(7, 10, -4)[3 - ndim :],
        rotate=turned(0.6, ndim),
        shear=(0.1, 0.2, 0.3)[: 1 if ndim == 2 else 3],
        affine=affine,
        units=("um",) * ndim,
    )
    viewer = ViewerModel()
    viewer.add_layer(image)
    source = from_napari.take(image, "ZYX"[3 - ndim :])
    start = np.zeros(ndim)
    if cut:
        ends = [(5, 10), (39.4, 59.4)]
        world = np.array([image.data_to_world(end) for end in ends])
        whole, start = source.image.frame, np.array([5, 10])
        region = from_napari.region_of(source, [world], exact=False)
        source = from_napari.cut(source, region)
        assert source.image.shape[-2:] == (shape[-2] - start[-2], shape[-1] - start[-1])
    labels = np.zeros(source.image.shape, np.int32)
    labels[..., 8:20, 12:30] = 1
    frame = source.image.frame
    box = [*(0,) * (ndim - 2), 8, 12, *shape[: ndim - 2], 20, 30]
    objects = Objects(
        frame=frame,
        id=np.array([1], np.int32),
        class_id=np.zeros(1, np.int32),
        confidence=np.ones(1, np.float32),
        boxes=np.array([box], np.float32),
        classes=("nucleus",),
        label_image=labels,
        features={"area": np.array([float(labels.sum())])},
    )
    if cut:
        objects = in_whole(objects, Cut(region, whole, source.corner))
    results = ResultLayers(viewer, source)
    results.drawn = Drawn(boxes=True, points=True)
    results.show(objects)
    assert len(results.all_layers) == (4 if ndim == 2 else 2)
    for layer in results.all_layers:
        for pixel in (start * 0, np.subtract(frame.shape, 1), start * 0 + 3.25):
            there = image.world_to_data(layer.data_to_world(pixel))
            np.testing.assert_allclose(there, pixel + start, atol=0.01)
        assert layer.units == image.units
    table = results.label_layers[0].features
    names = [f"world_{axis}" for axis in "zyx"[3 - ndim :]]
    middle = (np.array(box[:ndim]) + np.array(box[ndim:]) - 1) / 2 + start
    np.testing.assert_allclose(
        table[names].iloc[0].astype(float), image.data_to_world(middle), atol=1e-6
    )
