"""What TIFF and JPEG files mean by their numbers, and how large their pixels are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image import opening_files
from napari_imagec_ai.image.opening_files import open_image
from napari_imagec_ai.image.tiff_tags import ome_scale

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)


@pytest.fixture(autouse=True, params=["small", "large"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every file is read at once, or where it is needed."""
    if request.param == "large":
        monkeypatch.setattr(opening_files, "_LARGE", 0)
    return str(request.param)


def _write(path: Path, data: Any = GREY, **options: Any) -> Path:
    tifffile.imwrite(path, data, **options)
    return path


def test_where_white_is_zero_bright_is_bright(tmp_path: Path) -> None:
    image = open_image(_write(tmp_path / "a.tif", photometric="miniswhite"))
    assert np.array_equal(image.data, 255 - GREY)
    assert "inverted" in image.assumed[0]
    with pytest.raises(ImageError, match="white is 0"):
        open_image(_write(tmp_path / "b.tif", GREY * 0.5, photometric="miniswhite"))


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    path = _write(tmp_path / "a.tif", photometric="palette", colormap=colours)
    image = open_image(path)
    assert (image.axes, image.shape, image.rgb) == ("YXC", (5, 6, 3), True)
    with Image.open(path) as seen:
        assert np.array_equal(image.data, np.asarray(seen.convert("RGB")))


def test_imagej_shows_grey_values_with_a_palette(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    ramp = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    ramp[0] = 0
    _write(path, imagej=True, photometric="palette", colormap=ramp)
    assert np.array_equal(open_image(path).data, GREY)


@pytest.mark.parametrize("kind", ["separated", "cielab"])
def test_colours_that_are_not_red_green_and_blue_are_refused(
    kind: str, tmp_path: Path
) -> None:
    inks = np.stack([GREY] * (4 if kind == "separated" else 3), -1)
    with pytest.raises(ImageError, match="convert it to RGB first"):
        open_image(_write(tmp_path / "a.tif", inks, photometric=kind))


def test_a_jpeg_of_inks_becomes_red_green_and_blue(tmp_path: Path) -> None:
    inks = Image.new("CMYK", (6, 5), (255, 0, 0, 0))  # cyan
    inks.save(tmp_path / "a.jpg")
    image = open_image(tmp_path / "a.jpg")
    assert (image.axes, image.shape) == ("YXC", (5, 6, 3))
    assert np.abs(image.data[2, 3].astype(int) - (0, 255, 255)).max() < 4


@pytest.mark.parametrize("shape", [(), (7,)])
def test_an_array_of_no_plane_is_no_image(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(ImageError, match="two or more dimensions"):
        open_image(tmp_path / "a.npy")


def test_axes_of_size_one_stay_where_somebody_wrote_them_down(tmp_path: Path) -> None:
    flat = GREY[None]
    told = open_image(_write(tmp_path / "a.tif", flat, metadata={"axes": "ZYX"}))
    assert (told.axes, told.shape) == ("ZYX", (1, 5, 6))
    for name, options in {
        "b.ome.tif": {"ome": True},
        "c.tif": {"imagej": True},
    }.items():
        path = _write(tmp_path / name, flat, metadata={"axes": "ZYX"}, **options)
        assert open_image(path).axes == "YX"
    assert open_image(_write(tmp_path / "d.tif", flat)).axes == "YX"


@pytest.mark.parametrize(
    ("unit", "dots", "size"),
    [("CENTIMETER", 20_000, 0.5), ("INCH", 25_400 / 0.65, 0.65)],
)
def test_dots_too_fine_to_print_are_a_pixel_size(
    unit: str, dots: float, size: float, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    _write(path, resolution=(dots, dots), resolutionunit=unit, metadata=None)
    image = open_image(path)
    assert image.pixel_size == pytest.approx((size, size), rel=1e-3)
    assert image.unit == "micrometer"
    assert "dots per" in image.assumed[-1]


def test_dots_per_centimetre_of_a_print_are_no_pixel_size(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    _write(path, resolution=(28.35, 28.35), resolutionunit="CENTIMETER", metadata=None)
    image = open_image(path)
    assert (image.pixel_size, image.unit) == ((1.0, 1.0), None)


@pytest.mark.parametrize(
    ("told", "sizes", "unit"),
    [
        ('X="65" X+="nm" Y="66"', {"X": 65, "Y": 66}, "nanometer"),
        ('X="65" Y="66" Y+="nm"', {"X": 65, "Y": 66}, "nanometer"),
        (
            'X="0.5" Y="0.5" Z="300" Z+="nm"',
            {"X": 0.5, "Y": 0.5, "Z": 0.3},
            "micrometer",
        ),
        (
            'X="0.5" X+="&#181;m" Y="500" Y+="nm" Z="0.002" Z+="mm"',
            {"X": 0.5, "Y": 0.5, "Z": 2.0},
            "micrometer",
        ),
        (
            'X="0.5" X+="µm" Y="0.5" Y+="µm" Z="3" Z+="pixel"',
            {"X": 0.5, "Y": 0.5},
            "micrometer",
        ),
        ('X="3" X+="pixel" Y="3" Y+="pixel"', {"X": 3, "Y": 3}, None),
        ('X="0.5"', {"X": 0.5, "Y": 0.5}, "micrometer"),
        ('X="0" Y="nan" Z="2"', {}, None),
    ],
)
def test_ome_sizes_come_in_one_unit(
    told: str, sizes: dict[str, float], unit: str | None
) -> None:
    words = [f"PhysicalSize{word}" for word in told.replace("+", "Unit").split()]
    scale = ome_scale(f"<Pixels {' '.join(words)}/>")
    assert scale.sizes == pytest.approx(sizes)
    assert scale.unit == unit


def test_a_spacing_of_zero_is_none(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 0.0, "unit": "um"}
    path = tmp_path / "a.tif"
    _write(
        path, np.stack([GREY] * 2), imagej=True, resolution=(2, 2), metadata=metadata
    )
    assert open_image(path).pixel_size == (1.0, 0.5, 0.5)
