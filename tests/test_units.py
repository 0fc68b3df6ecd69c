"""One table of units: for readers, writers, images and flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image

import napari_imagec_ai as ai
from napari_imagec_ai._napari.layers.from_napari import take
from napari_imagec_ai.image import units
from napari_imagec_ai.image.units import as_unit, known_unit, seconds
from napari_imagec_ai.model.description import Axis, FixedSize, TensorSpec
from napari_imagec_ai.run.feed.pixel_size import natural_scale


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("um|µm|μm|micron|microns|Micron|micrometer|micrometre|UM", "micrometer"),
        ("Micrometers|Âµm|u|\\u00B5m|\\u00b5m", "micrometer"),
        ("nm|nanometre|NM|nanometers", "nanometer"),
        ("mm|millimetres", "millimeter"),
        ("Mm|megameter", "megameter"),
        ("cm|CM|centimeter", "centimeter"),
        ("m|metre|meters", "meter"),
        ("pm|picometer", "picometer"),
        ("Å|Å|Å|\\u00C5|A|angstrom|Angstroms|ångström", "angstrom"),
        ("in|inch|inches|Inch|\"", "inch"),
        ("ft|foot|feet", "foot"),
        ("pixel|pixels|px|PIXEL||reference frame|voxel", None),
    ],
)  # fmt: skip
def test_every_spelling_of_a_unit_is_one_unit(words: str, name: str | None) -> None:
    assert {as_unit(word) for word in words.split("|")} == {name}
    image = ai.ImageInput(np.zeros((3, 4)), "YX", (2, 2), words.split("|")[0])
    assert image.unit == image.frame.unit == name


def test_a_word_that_is_no_unit_is_refused_where_a_person_gives_it() -> None:
    assert known_unit("µm") == "micrometer"
    assert known_unit("pixel") is None
    with pytest.raises(ai.ImageError, match=r"such as micrometer, nm.*found 'cubits'"):
        known_unit("cubits")
    assert as_unit("cubits") == "cubits"


def test_units_have_their_lengths() -> None:
    assert units.ratio("inch", "mm") == pytest.approx(25.4)
    assert units.ratio("Å", "nm") == pytest.approx(0.1)
    assert units.ratio("pixel", "nm") is None


@pytest.mark.parametrize(
    ("number", "unit", "found"),
    [
        (2, "min", 120),
        ("500", "ms", 0.5),
        (3, None, 3),
        (1, "hours", 3600),
        (0, "s", None),
        (1, "fortnight", None),
        ("nan", "s", None),
    ],
)
def test_intervals_are_in_seconds(
    number: object, unit: str | None, found: float | None
) -> None:
    assert seconds(number, unit) == (found if found is None else pytest.approx(found))


def test_a_size_that_is_not_known_stays_unknown() -> None:
    image = ai.ImageInput(np.zeros((2, 3, 4)), "ZYX", (None, 0.1, 0.1), "um")
    assert (image.unsized, image.pixel_size) == ("Z", (1.0, 0.1, 0.1))
    assert image.frame.sizes == {"Y": 0.1, "X": 0.1}
    assert image.frame.spacing == (0.1, 0.1, 0.1)


def test_ome_without_a_depth_says_so(tmp_path: Path) -> None:
    path, data = tmp_path / "a.ome.tif", np.zeros((3, 5, 6), np.uint8)
    told = {"PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm"}
    told |= {"PhysicalSizeY": 500, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(path, data, metadata={"axes": "ZYX", **told})
    image = ai.open_image(path)
    assert (image.unit, image.unsized) == ("nanometer", "Z")
    assert "how far its planes are apart" in image.assumed[-1]
    told |= {"PhysicalSizeZ": 2, "PhysicalSizeZUnit": "µm"}
    tifffile.imwrite(path, data, metadata={"axes": "ZYX", **told})
    image = ai.open_image(path)
    assert (image.pixel_size, image.unsized) == ((2000, 500, 500), "")
    assert not image.assumed


def test_imagej_units_by_axis_interval_and_escapes(tmp_path: Path) -> None:
    path, data = tmp_path / "a.tif", np.zeros((2, 3, 5, 6), np.uint8)
    told = {"axes": "TZYX", "unit": "\\u00B5m", "zunit": "nm", "spacing": 250.0}
    told |= {"finterval": 2.0, "tunit": "min"}
    tifffile.imwrite(path, data, imagej=True, resolution=(2, 2), metadata=told)
    image = ai.open_image(path)
    assert (image.unit, image.pixel_size) == ("micrometer", (0.25, 0.5, 0.5))
    assert image.interval == 120


def _ngff(path: Path, shape: tuple[int, ...], **told: object) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.create_array("0", data=np.zeros(shape, np.uint8))
    group.attrs["multiscales"] = [told | {"version": "0.4"}]
    return path


def test_zarr_has_units_by_axis_and_scales_of_all_levels(tmp_path: Path) -> None:
    axes = [
        {"name": "t", "type": "time", "unit": "minute"},
        {"name": "z", "type": "space", "unit": "nanometer"},
        {"name": "y", "type": "space", "unit": "micron"},
        {"name": "x", "type": "space", "unit": "micron"},
    ]
    level = [{"type": "scale", "scale": [1, 500, 1, 1]}]
    both = [{"type": "scale", "scale": [3, 2, 0.5, 0.5]}]
    levels = [{"path": "0", "coordinateTransformations": level}]
    path = _ngff(
        tmp_path / "a.zarr",
        (2, 3, 5, 6),
        axes=axes,
        datasets=levels,
        coordinateTransformations=both,
    )
    image = ai.open_image(path)
    assert (image.axes, image.unit) == ("TZYX", "micrometer")
    assert image.pixel_size == pytest.approx((1.0, 0.5, 0.5))
    assert image.interval == 180
    del axes[1]["unit"]
    path = _ngff(tmp_path / "b.zarr", (2, 3, 5, 6), axes=axes, datasets=levels)
    assert ai.open_image(path).unsized == "Z"


@pytest.mark.parametrize(
    ("size", "unit"),
    [(0.5, "um"), (0.5, "μm"), (0.5, "microns"), (500, "nm"), (5000, "Å"), (5e-7, "m")],
)
def test_an_image_comes_to_the_size_of_a_network_in_any_unit(
    size: float, unit: str
) -> None:
    axes = [Axis("y", FixedSize(8), pixel_size=1.0, unit="µm")]
    axes += [Axis("x", FixedSize(8), pixel_size=1.0, unit="micrometer")]
    image = ai.ImageInput(np.zeros((8, 8)), "YX", (size, size), unit)
    scale, said = natural_scale(TensorSpec("x", tuple(axes)), image, "YX")
    assert scale == pytest.approx((0.5, 0.5))
    assert "scale 0.5" in said
    unknown = ai.ImageInput(np.zeros((8, 8)), "YX", (None, size), unit)
    assert natural_scale(TensorSpec("x", tuple(axes)), unknown, "YX")[0] == (1.0, 1.0)


def test_a_layer_tells_its_units_axis_by_axis() -> None:
    layer = Image(
        np.zeros((2, 3, 5, 6)),
        scale=(2, 1, 500, 0.25),
        units=("minute", "pixel", "nanometer", "micrometer"),
    )
    image = take(layer, "TZYX").image
    assert (image.unit, image.unsized, image.interval) == ("micrometer", "Z", 120)
    assert image.pixel_size == pytest.approx((1, 0.5, 0.25))
