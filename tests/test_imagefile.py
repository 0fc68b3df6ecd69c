"""Image files: what they say of themselves, and damaged ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

import napari_imagec_ai as ai
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image import opening_files
from napari_imagec_ai.image.opening_files import open_image

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)
COLOUR = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


@pytest.fixture(autouse=True, params=["small", "large"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every file is read at once, or where it is needed."""
    if request.param == "large":
        monkeypatch.setattr(opening_files, "_LARGE", 0)
    return str(request.param)


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
        open_image(path).read("YX", {})
    assert "'a" in str(caught.value)
    assert "may be damaged" in str(caught.value)


def test_a_zip_of_arrays_is_no_image(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=GREY)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(ImageError, match="holds several arrays"):
        open_image(tmp_path / "a.npy")


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path / "a.npy")


def test_an_unknown_suffix_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.czi").touch()
    with pytest.raises(ImageError, match=r"'a.czi' has no known.*TIFF.*PNG"):
        open_image(tmp_path / "a.czi")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="There is no image"):
        open_image(tmp_path / "gone.tif")


# -- larger than memory ----------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_large_tiff_is_not_read_as_a_whole(
    compression: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening_files, "_LARGE", 100)
    data = np.arange(2 * 40 * 50, dtype=np.uint16).reshape(2, 40, 50)
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 2.0}
    path = tmp_path / "it.tif"
    tifffile.imwrite(
        path, data, metadata=metadata, resolution=(4, 4), compression=compression
    )
    image = ai.open_image(path)
    assert image.axes == "ZYX"
    assert not isinstance(image.data, np.ndarray)
    np.testing.assert_array_equal(np.asarray(image.data[1, 5:9, 7:]), data[1, 5:9, 7:])
    assert image.pixel_size == (2.0, 0.25, 0.25)


def test_a_large_npy_is_not_read_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening_files, "_LARGE", 100)
    np.save(tmp_path / "it.npy", np.ones((20, 30), np.float32))
    assert not isinstance(ai.open_image(tmp_path / "it.npy").data, np.ndarray)


def test_a_zarr_array_opens_as_it_lies_there(tmp_path: Path) -> None:
    data = np.arange(600, dtype=np.uint16).reshape(20, 30)
    zarr.save_array(str(tmp_path / "it.zarr"), data)
    image = ai.open_image(tmp_path / "it.zarr")
    assert (image.axes, image.name, image.shape) == ("YX", "it", (20, 30))
    assert isinstance(image.data, zarr.Array)
    np.testing.assert_array_equal(image.read("YX", {"X": slice(3, 9)}), data[:, 3:9])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_tells_its_axes_and_pixel_size(version: str, tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "it.ome.zarr"), mode="w")
    fine = np.random.default_rng(0).integers(0, 9, (2, 20, 30)).astype(np.uint8)
    group.create_array("0", data=fine)
    group.create_array("1", data=fine[:, ::2, ::2])
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = {"type": "scale", "scale": [1.0, 0.5, 0.25]}
    levels = [{"path": p, "coordinateTransformations": [scale]} for p in "01"]
    told = [{"axes": axes, "datasets": levels, "version": version}]
    group.attrs["multiscales" if version == "0.4" else "ome"] = (
        told if version == "0.4" else {"multiscales": told}
    )
    image = ai.open_image(tmp_path / "it.ome.zarr")
    assert (image.axes, image.name, image.unit) == ("CYX", "it", "micrometer")
    assert image.pixel_size == (0.5, 0.25)
    np.testing.assert_array_equal(image.data[:], fine)


def test_zarr_folders_without_an_image_are_told(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
    with pytest.raises(ai.ImageError, match="group without an image"):
        ai.open_image(tmp_path / "group.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ai.ImageError, match="cannot be read"):
        ai.open_image(tmp_path / "empty.zarr")
    zarr.save_array(str(tmp_path / "four.zarr"), np.zeros((2, 2, 2, 2)))
    with pytest.raises(ai.ImageError, match=r"4 dimensions .* --axes TZYX"):
        ai.open_image(tmp_path / "four.zarr")
