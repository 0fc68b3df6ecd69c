"""Labels of large images in a napari window: mapped where they are looked at."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import zarr

from napari_imagec_ai._napari.layers import lazy_labels
from napari_imagec_ai._napari.layers.from_napari import take
from napari_imagec_ai._napari.layers.inspector import Inspector
from napari_imagec_ai._napari.layers.result_layers import ResultLayers
from napari_imagec_ai._napari.layers.writers import objects_of
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.classifying import classify
from napari_imagec_ai.results.correction.read_back import read_labels
from napari_imagec_ai.results.objects import Objects

SHAPE = (1050, 1500)


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_labels, "ABOVE", 1000)
    monkeypatch.setattr(lazy_labels, "_COARSEST", 300)
    monkeypatch.setattr(lazy_labels, "_IN_ONE", 512)


def scene(on_disk: Any = None) -> Objects:
    """Squares of two classes, surer from left to right."""
    labels = np.zeros(SHAPE, np.int32)
    for number, (y, x) in enumerate(
        ((y, x) for y in range(50, 1000, 200) for x in range(50, 1450, 200)), start=1
    ):
        labels[y : y + 80, x : x + 80] = number
    count = int(labels.max())
    classes = {n: ("round", "rod")[n % 2] for n in range(1, count + 1)}
    found = read_labels(labels, Frame("YX", SHAPE, (1.0, 1.0)), classes=classes)
    surer = (np.arange(count) + 1) / (count + 1)
    stored: Any = labels
    if on_disk is not None:
        stored = zarr.create_array(
            str(on_disk), shape=SHAPE, chunks=(256, 256), dtype="int32"
        )
        stored[...] = labels
    return Objects(
        **{
            name: getattr(found, name)
            for name in (
                "frame",
                "id",
                "class_id",
                "boxes",
                "classes",
                "features",
                "planes",
            )
        },
        confidence=surer.astype(np.float32),
        label_image=stored,
    )


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_large_result_is_mapped_where_it_is_looked_at(
    on_disk: bool, make_napari_viewer: Any, tmp_path: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="slide", scale=(2, 2))
    shown = ResultLayers(viewer, take(image, "YX"))
    objects = scene(tmp_path / "labels.zarr" if on_disk else None)
    notes = shown.show(classify(objects, class_threshold=0.0), outlines=False)
    assert sum("cannot be painted on" in sentence for sentence in notes) == 2
    rods = objects.class_id == objects.classes.index("rod")
    layers = {layer.name.split(" ")[0]: layer for layer in shown.label_layers}
    assert set(layers) == {"round", "rod"}
    layer = layers["rod"]
    assert layer.multiscale
    assert not layer.editable
    assert layer.data[0].dtype == np.uint16
    # Seen from afar, and from near.
    viewer.reset_view()
    drawn = np.unique(layer._slice.image.raw)
    assert set(drawn) == {0, *objects.id[rods]}
    # A click tells what is there, and where it is not of this class.
    inspector = Inspector(viewer, lambda _: None)
    inspector.watch(shown)
    first = int(objects.id[rods][0])
    box = objects.boxes[first - 1]
    middle = tuple((box[:2] + box[2:]) / 2 * 2)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0.0, *middle), 4
    assert f"rod {first}" in inspector.ask(middle)
    # A threshold changes the table, and nothing else.
    before = list(layer.data)
    assert not shown.show(classify(objects, class_threshold=0.5), outlines=False)
    assert all(one is other for one, other in zip(layer.data, before, strict=True))
    assert inspector.ask(middle) == ""
    kept = objects.id[rods & (objects.confidence >= 0.5)]
    assert list(layer.features["index"]) == list(kept)
    viewer.reset_view()
    assert set(np.unique(layer._slice.image.raw)) == {0, *kept}
    # Another mask threshold: other pixels in the same layer.
    shown.show(classify(scene(), class_threshold=0.9), outlines=False)
    assert layer in viewer.layers
    assert layer.data[0].ids is not before[0].ids
    # What is saved is what is shown.
    state = layer.as_layer_data_tuple()
    assert set(objects_of([state]).id) == set(layer.features["index"])
    inspector.stop()


def test_a_layer_follows_from_small_to_large(
    make_napari_viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer()
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="slide")
    shown = ResultLayers(viewer, take(image, "YX"))
    objects = classify(scene(), class_threshold=0.0)
    for above, multiscale in ((1000, True), (1 << 30, False), (1000, True)):
        monkeypatch.setattr(lazy_labels, "ABOVE", above)
        shown.show(objects, outlines=False)
        assert [one.multiscale for one in shown.label_layers] == [multiscale] * 2
        assert len(viewer.layers) == 3


def test_levels_are_made_once_and_forgotten() -> None:
    objects = scene()
    labels = np.asarray(objects.label_image)
    pyramid = lazy_labels.pyramid_of(objects)
    again = lazy_labels.pyramid_of(objects[:3])
    assert all(
        one is other for one, other in zip(again.levels, pyramid.levels, strict=True)
    )
    assert [level.shape for level in pyramid.levels[1:]] == [
        (525, 750),
        (263, 375),
        (132, 188),
    ]
    for number, level in enumerate(pyramid.levels):
        step = 1 << number
        np.testing.assert_array_equal(level, labels[::step, ::step])
    assert pyramid.highest == labels.max()
    held = len(lazy_labels._made)
    del objects, pyramid, again, labels, level
    gc.collect()
    assert len(lazy_labels._made) < held
