"""Image files: what they say of themselves, and damaged ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.imagefile import open_image

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)
COLOUR = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


def test_imagej_tells_pixel_size_spacing_and_unit(tmp_path: Path) -> None:
    path, data = tmp_path / "a.tif", np.zeros((3, 2, 5, 6), np.uint16)
    metadata = {"axes": "ZCYX", "spacing": 1.5, "unit": "um"}
    tifffile.imwrite(path, data, imagej=True, resolution=(4, 2), metadata=metadata)
    image = open_image(path)
    assert (image.axes, image.shape) == ("ZCYX", (3, 2, 5, 6))
    assert image.pixel_size == (1.5, 0.5, 0.25)
    assert image.unit == "micrometer"
    assert image.name == "a"


def test_ome_tells_pixel_size_and_unit(tmp_path: Path) -> None:
    path, data = tmp_path / "a.ome.tif", np.zeros((3, 5, 6), np.uint16)
    sizes = {"PhysicalSizeX": 65, "PhysicalSizeY": 66, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(path, data, metadata={"axes": "TYX", **sizes})
    image = open_image(path)
    assert (image.axes, image.pixel_size) == ("TYX", (66.0, 65.0))
    assert image.unit == "nanometer"


def test_dots_per_inch_of_a_plain_tiff_are_no_pixel_size(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, resolution=(300, 300), resolutionunit=2, metadata=None)
    image = open_image(path)
    assert (image.pixel_size, image.unit) == ((1.0, 1.0), None)


def test_pages_of_a_plain_tiff_are_taken_for_a_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((9, 5, 6), np.uint8), photometric="minisblack", metadata=None
    )
    assert open_image(path).axes == "ZYX"


@pytest.mark.parametrize("planar", [False, True], ids=["interleaved", "planar"])
def test_a_colour_tiff_is_colour(planar: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = np.moveaxis(COLOUR, -1, 0) if planar else COLOUR
    how = {"planarconfig": "separate"} if planar else {}
    tifffile.imwrite(path, data, photometric="rgb", **how)
    image = open_image(path)
    assert (image.axes, image.rgb) == ("CYX" if planar else "YXC", True)


def test_axes_that_a_person_names_count(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 5, 6), np.uint8), metadata=None)
    assert open_image(tmp_path / "a.tif", "CYX").axes == "CYX"
    with pytest.raises(ImageError, match="3 dimensions"):
        open_image(tmp_path / "a.tif", "YX")


@pytest.mark.parametrize(
    ("data", "axes", "rgb"),
    [
        (GREY, "YX", False),
        (COLOUR, "YXC", True),
        (np.dstack([COLOUR, GREY]), "YXC", True),
        (np.dstack([GREY, GREY, GREY]), "YX", False),
        (np.dstack([GREY, GREY]), "YX", False),
        (GREY.astype(np.uint16) * 900, "YX", False),
    ],
    ids=["grey", "rgb", "rgba", "grey as rgb", "grey and alpha", "16 bits"],
)
def test_a_png_is_colour_where_its_channels_differ(
    data: np.ndarray, axes: str, rgb: bool, tmp_path: Path
) -> None:
    iio.imwrite(tmp_path / "a.png", data)
    image = open_image(tmp_path / "a.png")
    assert (image.axes, image.rgb) == (axes, rgb)
    if axes == "YX":
        expected = data if data.ndim == 2 else data[..., 0]
        np.testing.assert_array_equal(image.data, expected)


@pytest.mark.parametrize(("ndim", "axes"), [(2, "YX"), (3, "ZYX")])
def test_an_array_file_has_the_usual_axes(ndim: int, axes: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4,) * ndim))
    assert open_image(tmp_path / "a.npy").axes == axes


def test_an_array_file_of_many_dimensions_is_to_be_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 5)))
    with pytest.raises(ImageError, match=r"4 dimensions.*such as --axes TZYX"):
        open_image(tmp_path / "a.npy")
    assert open_image(tmp_path / "a.npy", "TZYX").axes == "TZYX"


def written(path: Path) -> Path:
    if path.suffix == ".npy":
        np.save(path, GREY)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, GREY)
    else:
        iio.imwrite(path, GREY)
    return path


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".npy"])
@pytest.mark.parametrize("damage", ["empty", "half", "text"])
def test_a_damaged_file_is_an_error_that_says_so(
    damage: str, suffix: str, tmp_path: Path
) -> None:
    path = written(tmp_path / f"a{suffix}")
    whole = path.read_bytes()
    content: Any = {"empty": b"", "half": whole[: len(whole) // 2], "text": b"hello\n"}
    path.write_bytes(content[damage])
    with pytest.raises(ImageError, match="cannot be read") as caught:
        open_image(path)
    assert f"'a{suffix}'" in str(caught.value)
    assert "it may be damaged" in str(caught.value)


def test_a_zip_of_arrays_is_no_image(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=GREY)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path / "a.npy")


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path / "a.npy")


def test_an_unknown_suffix_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.czi").touch()
    with pytest.raises(ImageError, match=r"'a.czi' has no known.*\.tif.*\.png"):
        open_image(tmp_path / "a.czi")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="There is no image"):
        open_image(tmp_path / "gone.tif")
