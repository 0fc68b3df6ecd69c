"""Ids at pixels in the formats of other programs, read by their own readers."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ome_zarr.format import FormatV04
from ome_zarr.io import parse_url
from ome_zarr.reader import Node, Reader
from ome_zarr_models.v04.image import ImageAttrs
from ome_zarr_models.v04.image_label import ImageLabelAttrs
from ome_zarr_models.v04.labels import LabelsAttrs
from scenes import drawn, maps, prediction, scattered

import napari_imagec_ai as ai
from napari_imagec_ai.export import labels as label_files
from napari_imagec_ai.export import planes, writing
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.objects import Objects

SIZES, UNIT = (2.0, 0.5, 0.25), "micrometer"


def found(axes: str, seed: int = 0) -> Objects:
    """Objects of a plane, a stack of planes or, with ``V``, a volume."""
    space = "ZYX" if axes == "V" else "YX"
    axes = axes.replace("V", "ZYX")
    shape = (3,) * (len(axes) - 2)
    labels = np.zeros((*shape, 48, 60), np.int32)
    for n, index in enumerate(np.ndindex(shape)):
        labels[index] = scattered(seed + (0 if space == "ZYX" else n), (48, 60), 2)
    values = np.stack([maps(labels[i], "foreground") for i in np.ndindex(shape)])
    values = values.reshape(*shape, 1, 48, 60)
    if space == "ZYX":
        values = np.moveaxis(values, 0, 1)
    sizes = SIZES[-sum(axis in "ZYX" for axis in axes) :]
    return ai.decode(
        prediction(values, axes=axes, space=space, pixel_size=sizes, unit=UNIT)
    )


ALL = pytest.mark.parametrize("axes", ["YX", "TYX", "ZYX", "TZYX", "V"])


# -- TIFF ------------------------------------------------------------------------------


@ALL
def test_ome_tiff_keeps_ids_axes_and_pixel_size(axes: str, tmp_path: Path) -> None:
    objects = found(axes)
    path = ai.write(objects, tmp_path / "Größe 1.ome.tif")
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        text, series = file.ome_metadata or "", file.series[0]
        assert (series.axes, series.dtype) == (objects.frame.axes, np.int32)
        np.testing.assert_array_equal(series.asarray(), objects.as_labels())
    for axis, size in zip(objects.frame.space, objects.frame.pixel_size, strict=True):
        assert f'PhysicalSize{axis}="{size}" PhysicalSize{axis}Unit="µm"' in text
    assert re.findall(r'<Channel [^>]*Name="([^"]+)"', text) == ["labels (thing)"]
    image = ai.open_image(path)
    assert (image.pixel_size, image.unit) == (objects.frame.pixel_size, UNIT)


@ALL
def test_imagej_reads_a_hyperstack(axes: str, tmp_path: Path) -> None:
    objects = found(axes)
    path = ai.write(objects, tmp_path / "a.imagej.tif")
    with tifffile.TiffFile(path) as file:
        told = file.imagej_metadata
        assert told is not None
        assert file.pages[0].dtype == np.uint16
        assert (told["unit"], told["max"]) == ("um", len(objects))
        sizes = dict(zip(objects.frame.axes, objects.frame.shape, strict=True))
        assert told.get("frames", 1) == sizes.get("T", 1)
        assert told.get("slices", 1) == sizes.get("Z", 1)
        assert told.get("spacing") == (2.0 if "Z" in sizes else None)
        np.testing.assert_array_equal(file.asarray(), objects.as_labels())
    image = ai.open_image(path)
    assert image.pixel_size == pytest.approx(objects.frame.pixel_size)


def test_imagej_gets_floats_where_16_bits_do_not_hold_the_ids(tmp_path: Path) -> None:
    labels = np.array([[0, 70_000], [1 << 24, 3]])
    path = ai.write(drawn(labels), tmp_path / "a.imagej.tif")
    assert tifffile.imread(path).dtype == np.float32
    np.testing.assert_array_equal(tifffile.imread(path), labels)


def test_ids_that_imagej_would_round_are_refused(tmp_path: Path) -> None:
    objects = drawn([[0, (1 << 24) + 1]])
    assert "imagej" not in writing.fitting(objects)
    with pytest.raises(ai.ImagecAIError, match=r"16777216.*what fits is labels, csv"):
        ai.write(objects, tmp_path / "a.imagej.tif")


@pytest.mark.parametrize("name", ["a.labels.tif", "a.ome.tif", "a.imagej.tif"])
@pytest.mark.parametrize("kind", ["zarr", "masks"])
def test_labels_larger_than_the_memory_are_written_piece_by_piece(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 9, (13, 17)), np.ones((90, 70), int))
    objects = drawn(labels)
    if kind == "zarr":
        stored = zarr.create_array(
            tmp_path / "labels.zarr", data=labels.astype(np.int32), chunks=(256, 256)
        )
        objects = replace(objects, label_image=stored)
    else:
        masks = [np.argwhere(labels == n) for n in objects.id]
        objects = replace(
            objects,
            label_image=None,
            masks=Masks(
                np.array([m.min(axis=0) for m in masks], np.int32),
                tuple(
                    (labels == n)[m[:, 0].min() :, m[:, 1].min() :]
                    for n, m in zip(objects.id, masks, strict=True)
                ),
            ),
            planes=np.zeros((len(masks), 0), np.int32),
        )
    monkeypatch.setattr(label_files, "LARGE", 10_000)
    monkeypatch.setattr(planes, "LARGE", 10_000)
    path = ai.write(objects, tmp_path / name)
    np.testing.assert_array_equal(tifffile.imread(path), labels)


def test_objects_that_were_dropped_are_in_no_file(tmp_path: Path) -> None:
    objects = found("TYX")
    kept = objects[objects.id != 3]
    for name in ("a.ome.tif", "a.imagej.tif"):
        labels = tifffile.imread(ai.write(kept, tmp_path / name))
        np.testing.assert_array_equal(labels, kept.as_labels())
        assert 3 not in labels


@pytest.mark.parametrize("name", ["a.ome.tif", "a.imagej.tif"])
@settings(deadline=None, max_examples=25)
@given(
    labels=hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.sampled_from([0, 1, 2, 70_000, 2_000_000]),
    )
)
def test_any_labels_come_back(
    name: str, labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = ai.write(drawn(labels), tmp_path_factory.mktemp("any") / name)
    np.testing.assert_array_equal(tifffile.imread(path).reshape(labels.shape), labels)


# -- OME-Zarr --------------------------------------------------------------------------


def nodes(path: Path) -> dict[str, Node]:
    """What ome-zarr's reader finds, by place in the folder."""
    location = parse_url(path, fmt=FormatV04())
    assert location is not None
    found = list(Reader(location)())
    start = len(str(path))
    return {str(node.zarr)[start:].split(" ")[0].strip("/"): node for node in found}


@ALL
@pytest.mark.parametrize("with_image", [True, False])
def test_ome_zarr_holds_labels_with_their_table(
    axes: str, with_image: bool, tmp_path: Path
) -> None:
    objects = found(axes)
    frame = objects.frame
    pixels = np.random.default_rng(0).random(frame.shape).astype(np.float32)
    image = ai.ImageInput(pixels, frame.axes, frame.pixel_size, UNIT, "cells")
    path = tmp_path / "Größe 1.ome.zarr"
    ai.write(objects, path, image=image if with_image else None)
    root = zarr.open_group(path, mode="r")
    shown = ImageAttrs.model_validate(root.attrs.asdict()).multiscales[0]
    assert [axis.name for axis in shown.axes] == list(frame.axes.lower())
    assert [axis.unit for axis in shown.axes[-2:]] == [UNIT, UNIT]
    assert LabelsAttrs.model_validate(root["labels"].attrs.asdict()).labels == [
        "objects"
    ]
    told = ImageLabelAttrs.model_validate(root["labels/objects"].attrs.asdict())
    scale = told.multiscales[0].datasets[0].coordinateTransformations[0].scale
    assert tuple(scale[-len(frame.pixel_size) :]) == frame.pixel_size
    rows = root["labels/objects"].attrs["image-label"]["properties"]
    assert [row["label-value"] for row in rows] == objects.id.tolist()
    assert {row["class"] for row in rows} == {"thing"}
    np.testing.assert_allclose(
        [row["area"] for row in rows], objects.features["area"], rtol=1e-6
    )
    stored = root["labels/objects/0"].metadata
    assert (stored.dimension_separator, stored.compressor.codec_id) == ("/", "blosc")
    read = nodes(path)
    np.testing.assert_array_equal(
        np.asarray(read["labels/objects"].data[0]), objects.as_labels()
    )
    expected = pixels if with_image else objects.as_labels()
    np.testing.assert_array_equal(np.asarray(read[""].data[0]), expected)


def test_levels_of_a_pyramid_lie_on_each_other(tmp_path: Path) -> None:
    labels = np.kron(np.arange(35 * 27).reshape(35, 27), np.ones((32, 40), int))
    image = ai.ImageInput(labels.astype(np.uint16), "YX", (0.5, 0.5), UNIT, "cells")
    path = ai.write(drawn(labels), tmp_path / "a.ome.zarr", image=image)
    root = zarr.open_group(path, mode="r")
    for place, moved in (("", True), ("labels/objects", False)):
        group = root[place] if place else root
        datasets = group.attrs["multiscales"][0]["datasets"]
        assert len(datasets) == 3
        for level, dataset in enumerate(datasets):
            array = np.asarray(group[dataset["path"]])
            assert array.shape == tuple(-(-size // 2**level) for size in labels.shape)
            step, *shift = dataset["coordinateTransformations"]
            unit = image.pixel_size[0] if moved else 1.0
            assert step["scale"] == [unit * 2**level] * 2
            if moved and level:
                assert shift[0]["translation"] == [unit * (2**level - 1) / 2] * 2
            # Blocks of one id are larger than any window: inside, all levels agree.
            middle = 8 // 2**level
            inside = np.s_[middle :: 32 // 2**level, middle :: 40 // 2**level]
            np.testing.assert_array_equal(
                array[inside], np.arange(35 * 27).reshape(35, 27)
            )


def test_channels_and_colours_of_the_image_are_kept(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (48, 60, 3)).astype(np.uint8)
    image = ai.ImageInput(pixels, "YXC", name="stained", rgb=True)
    path = ai.write(found("YX"), tmp_path / "a.ome.zarr", image=image)
    axes = zarr.open_group(path, mode="r").attrs["multiscales"][0]["axes"]
    assert [axis["name"] for axis in axes] == ["c", "y", "x"]
    read = np.asarray(nodes(path)[""].data[0])
    np.testing.assert_array_equal(np.moveaxis(read, 0, -1), pixels)


def test_an_older_store_is_replaced_whole(tmp_path: Path) -> None:
    objects = found("YX")
    path = tmp_path / "a.ome.zarr"
    ai.write(objects, path)
    ai.write(objects[:1], path)
    assert os.listdir(tmp_path) == ["a.ome.zarr"]
    labels = np.asarray(nodes(path)["labels/objects"].data[0])
    np.testing.assert_array_equal(labels, objects[:1].as_labels())


def test_a_store_that_fails_midway_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = found("YX")
    path = ai.write(objects, tmp_path / "a.ome.zarr")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("napari_imagec_ai.export.omezarr._label_metadata", full)
    with pytest.raises(ai.ImagecAIError, match=r"Could not write .*a\.ome\.zarr"):
        ai.write(objects[:1], path)
    assert os.listdir(tmp_path) == ["a.ome.zarr"]
    labels = np.asarray(nodes(path)["labels/objects"].data[0])
    np.testing.assert_array_equal(labels, objects.as_labels())


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.txt").write_text("years")
    with pytest.raises(ai.ImagecAIError, match="folder of other files"):
        ai.write(found("YX"), tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr" / "thesis.txt").read_text() == "years"


def test_a_file_in_the_place_of_a_store_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").write_text("old")
    with pytest.raises(ai.ImagecAIError, match="Could not write"):
        ai.write(found("YX"), tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.zarr"]
