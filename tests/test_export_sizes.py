"""Pixel sizes, units and intervals in files of results; nothing is invented."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
import zarr

import napari_imagec_ai as ai
from napari_imagec_ai.export import writing
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.image.units import LENGTHS
from napari_imagec_ai.results.correction.read_back import read_labels
from napari_imagec_ai.results.images import Images

Run = Callable[..., tuple[int, str, str]]


def found(axes: str, unit: str | None, size: tuple[float, ...], **told: Any) -> Any:
    """One object of 2 x 3 pixels in the first plane of each volume."""
    shape = tuple({"T": 2, "Z": 3, "Y": 20, "X": 24}[axis] for axis in axes)
    labels = np.zeros(shape, np.int32)
    for number, t in enumerate(np.ndindex(shape[: axes.count("T")]), start=1):
        place = (0,) * (len(shape) - 2 - len(t))
        labels[(*t, *place, slice(4, 6), slice(10, 13))] = number
    return read_labels(
        labels, Frame(axes, shape, size, unit, **told), volumes="Z" in axes
    )


@pytest.mark.parametrize("unit", LENGTHS)
@pytest.mark.parametrize("word", ["labels", "ometiff", "imagej", "omezarr"])
def test_every_format_carries_every_unit_of_length(
    word: str, unit: str, tmp_path: Path
) -> None:
    objects = found("ZYX", unit, (2.0, 0.5, 0.25))
    path = writing.write_as(word, objects, tmp_path / f"a{writing.EXPORTS[word]}")
    again = ai.open_image(path / "labels" / "objects" if word == "omezarr" else path)
    here = LENGTHS[again.unit or ""].metres / LENGTHS[unit].metres
    assert np.multiply(again.pixel_size, here) == pytest.approx((2.0, 0.5, 0.25))
    if word != "omezarr":  # which lists fewer units
        assert again.unit == unit
    assert again.axes == "ZYX"


def test_labels_are_described_as_imagej_does(tmp_path: Path) -> None:
    objects = found("TZYX", "micron", (2.0, 0.5, 0.25), interval=1.5)
    path = ai.write(objects, tmp_path / "a.labels.tif")
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        told = file.imagej_metadata
        assert told is not None
        assert (told["unit"], told["spacing"]) == ("um", 2.0)
        assert (told["frames"], told["slices"], told["finterval"]) == (2, 3, 1.5)
        assert file.series[0].dtype == np.int32
        x, y = (file.pages[0].tags[f"{a}Resolution"].value for a in "XY")
        assert (x[0] / x[1], y[0] / y[1]) == (4.0, 2.0)
    again = ai.open_image(path)
    np.testing.assert_array_equal(again.data, objects.as_labels())
    assert (again.interval, again.axes) == (1.5, "TZYX")


def test_axes_of_size_one_come_back(tmp_path: Path) -> None:
    labels = np.ones((1, 5, 6), np.int32)
    frame = Frame("ZYX", labels.shape, (1.0, 1.0, 1.0))
    objects = read_labels(labels, frame, volumes=True)
    again = ai.open_image(ai.write(objects, tmp_path / "a.labels.tif"))
    assert (again.axes, again.shape) == ("ZYX", (1, 5, 6))


def test_a_depth_that_nobody_knows_is_in_no_file(tmp_path: Path) -> None:
    objects = found("ZYX", "nm", (1.0, 500, 500), unsized="Z")
    columns = pd.read_csv(ai.write(objects, tmp_path / "a.csv"))
    assert columns["area"].tolist() == [6]
    assert not any(name.startswith("area_") for name in columns)
    assert "centroid_x_nanometer" in columns
    assert "centroid_z_nanometer" not in columns
    with tifffile.TiffFile(ai.write(objects, tmp_path / "a.ome.tif")) as file:
        text = str(file.ome_metadata)
    assert 'PhysicalSizeXUnit="nm"' in text
    assert "PhysicalSizeZ" not in text
    for name in ("a.labels.tif", "a.imagej.tif"):
        with tifffile.TiffFile(ai.write(objects, tmp_path / name)) as file:
            assert "spacing" not in (file.imagej_metadata or {})
        assert ai.open_image(tmp_path / name).unsized == "Z"
    group = zarr.open_group(str(ai.write(objects, tmp_path / "a.ome.zarr")), mode="r")
    z, _, x = group.attrs["multiscales"][0]["axes"]  # type: ignore[index,call-overload]
    assert "unit" not in z
    assert x["unit"] == "nanometer"
    assert writing.lost(objects, ["ometiff"]) == ()
    assert "a depth is unknown" in writing.lost(objects, ["labels"])[0]


def test_a_report_says_that_a_depth_is_unknown(tmp_path: Path) -> None:
    objects = found("ZYX", "nm", (1.0, 500, 250), unsized="Z")
    text = ai.write(objects, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "pixels of unknown x 500 x 250 nanometer (ZYX)" in text


def test_without_a_unit_no_size_is_written(tmp_path: Path) -> None:
    objects = found("YX", None, (1.0, 1.0))
    with tifffile.TiffFile(ai.write(objects, tmp_path / "a.ome.tif")) as file:
        assert "PhysicalSize" not in str(file.ome_metadata)
    assert "centroid_x_micrometer" not in writing.table(objects)


def test_parquet_and_ome_have_size_and_interval(tmp_path: Path) -> None:
    objects = found("TYX", "um", (0.5, 0.25), interval=60.0)
    path = ai.write(objects, tmp_path / "a.parquet")
    told = pq.read_schema(path).metadata
    assert json.loads(told[b"pixel_size"]) == {"y": 0.5, "x": 0.25}
    assert json.loads(told[b"unit"]) == "micrometer"
    assert json.loads(told[b"time_interval"]) == 60.0
    frame = pd.read_parquet(path)
    assert frame.attrs["unit"] == "micrometer"
    assert frame["centroid_x"].tolist() == [11, 11]
    assert frame["centroid_x_micrometer"].tolist() == [2.75, 2.75]
    assert frame["t_second"].tolist() == [0, 60]
    with tifffile.TiffFile(ai.write(objects, tmp_path / "a.ome.tif")) as file:
        assert 'TimeIncrement="60.0" TimeIncrementUnit="s"' in str(file.ome_metadata)
    group = zarr.open_group(str(ai.write(objects, tmp_path / "a.ome.zarr")), mode="r")
    scales: Any = group.attrs["multiscales"]
    assert scales[0]["axes"][0] == {"name": "t", "type": "time", "unit": "second"}
    step = scales[0]["datasets"][0]["coordinateTransformations"][0]
    assert step["scale"] == [60.0, 0.5, 0.25]


def test_images_of_networks_have_units_that_are_not_ascii(tmp_path: Path) -> None:
    frame = Frame("YX", (4, 5), (2.0, 2.0), "Å")
    images = Images(frame, "YX", {"a": np.ones((1, 4, 5), np.float32)})
    again = ai.open_image(ai.write(images, tmp_path / "a.tif"))
    assert (again.unit, again.pixel_size) == ("angstrom", (2.0, 2.0))


@pytest.mark.parametrize("unit", ["um", "µm", "μm", "micron", "m", "in", "pm", "Å"])
def test_the_unit_of_a_command_is_in_every_format(
    unit: str, tmp_path: Path, run_cli: Run, make_model: Callable[..., Path]
) -> None:
    pixels = np.zeros((40, 48), np.float32)
    pixels[8:20, 10:30] = 0.97
    tifffile.imwrite(tmp_path / "it.tif", pixels)
    words = ("--pixel-size", "0.5,0.25", "--unit", unit)
    unfit = ("yolo", "tracks", "tracklabels")
    formats = ",".join(word for word in writing.EXPORTS if word not in unfit)
    folder = tmp_path / "o"
    argv = ("predict", make_model(), tmp_path / "it.tif", "-o", folder)
    code, _, err = run_cli(*argv, *words, "--export", formats)
    assert (code, err) == (0, "")
    name = ai.open_image(folder / "it.ome.tif").unit
    for file in ("it.labels.tif", "it.imagej.tif", "it.ome.tif", "it.ome.zarr"):
        image = ai.open_image(folder / file)
        assert (image.pixel_size, image.unit) == ((0.5, 0.25), name)
    assert f"area_{name}2" in pd.read_csv(folder / "it.objects.csv")
    code, _, err = run_cli(*argv, "--unit", "cubits")
    assert code == 1
    assert "Expected a unit of length" in err
