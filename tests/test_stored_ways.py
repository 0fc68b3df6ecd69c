"""The many ways of storing pixels: codecs, pyramids, suffixes, depths, orientations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

import napari_imagec_ai as ai
from napari_imagec_ai.image import opening_files

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (96, 128)).astype(np.uint16)


@pytest.fixture(autouse=True, params=["small", "large"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Files are read at once, or where they are needed."""
    if request.param == "large":
        monkeypatch.setattr(opening_files, "_LARGE", 0)
    return str(request.param)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(ai.open_image(path).data)


@pytest.mark.parametrize("tile", [None, (32, 32)], ids=["strips", "tiles"])
@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "zstd"},
        {"compression": "deflate", "predictor": True},
        {"compression": "lzma"},
        {"compression": "packbits"},
        {"compression": "jpeg2000"},
        {"compression": "webp"},
        {"compression": "jpeg", "compressionargs": {"level": 100}},
        {"compression": "lzw", "predictor": True, "dtype": np.float32},
    ],
    ids=lambda o: "-".join(str(v) for v in list(o.values())[:2]),
)
def test_compressed_pixels_are_read(
    options: dict[str, Any], tile: tuple[int, int] | None, tmp_path: Path
) -> None:
    options = dict(options)
    data = GREY.astype(options.pop("dtype", np.uint16))
    near = options["compression"] in ("jpeg", "jpeg2000", "webp")
    if near:
        data = (np.add.outer(np.arange(96), np.arange(128)) % 250).astype(np.uint8)
    if options["compression"] == "webp":
        data = np.dstack([data] * 3)
        options["compressionargs"] = {"level": 100}
    tifffile.imwrite(tmp_path / "a.tif", data, tile=tile, **options)
    found = pixels(tmp_path / "a.tif")
    np.testing.assert_allclose(found, data, atol=12 if near else 0)


def test_fax_and_packed_numbers_are_read(tmp_path: Path) -> None:
    black = (RNG.random((96, 128)) > 0.5) & (np.arange(128) > 40)
    Image.fromarray(black).save(tmp_path / "fax.tif", compression="group4")
    np.testing.assert_array_equal(pixels(tmp_path / "fax.tif").astype(bool), black)
    packed = imagecodecs.packints_encode(GREY, 12)
    _twelve_bits(tmp_path / "packed.tif", packed)
    np.testing.assert_array_equal(pixels(tmp_path / "packed.tif"), GREY)


def _twelve_bits(path: Path, packed: bytes) -> None:
    """A TIFF whose pixels have 12 bits, which no writer here makes."""
    tags = [
        (256, 3, 128),
        (257, 3, 96),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, 96),
        (279, 4, len(packed)),
    ]
    start = 8 + len(packed) + len(packed) % 2
    entries = b"".join(
        number.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for number, kind, value in tags
    )
    directory = len(tags).to_bytes(2, "little") + entries + bytes(4)
    head = b"II*\0" + start.to_bytes(4, "little")
    path.write_bytes(head + packed + bytes(len(packed) % 2) + directory)


def test_a_pyramid_opens_in_full_resolution(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(GREY, subifds=1, tile=(32, 32), compression="zstd", metadata=sizes)
        file.write(GREY[::2, ::2], subfiletype=1, tile=(32, 32))
    image = ai.open_image(path)
    assert (image.axes, image.shape, image.unit) == ("YX", (96, 128), "micrometer")
    np.testing.assert_array_equal(image.read("YX", {}), GREY)
    np.testing.assert_array_equal(
        image.read("YX", {"Y": slice(30, 70), "X": slice(5, 9)}), GREY[30:70, 5:9]
    )


def test_bytes_of_another_machine(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, byteorder=">", imagej=True)
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif"), GREY)


@pytest.mark.parametrize(
    "suffix", ["tf8", "btf", "tf2", "lsm", "stk", "ome.tf8", "ome.btf", "TF8", "ptif"]
)
def test_tiff_has_many_suffixes(suffix: str, tmp_path: Path) -> None:
    path, data = tmp_path / f"a.{suffix}", np.stack([[GREY, GREY + 1]] * 3)
    told: dict[str, Any] = {"axes": "ZCYX"}
    if "ome" in suffix:
        told |= {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    else:
        told |= {"unit": "um", "spacing": 2.0}
    kind = {"ome": True, "bigtiff": True} if "ome" in suffix else {"imagej": True}
    tifffile.imwrite(path, data, resolution=(2, 2), metadata=told, **kind)
    image = ai.open_image(path)
    assert (image.axes, image.shape) == ("ZCYX", data.shape)
    assert (image.pixel_size, image.unit) == ((2.0, 0.5, 0.5), "micrometer")
    np.testing.assert_array_equal(image.read("ZCYX", {}), data)


def test_channels_have_the_names_that_ome_gives_them(tmp_path: Path) -> None:
    told = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.stack([GREY, GREY]), metadata=told)
    assert ai.open_image(tmp_path / "a.ome.tif").channel_names == ("DAPI", "GFP")


def test_planes_in_files_that_are_gone_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([GREY] * 2), metadata={"axes": "TYX"})
    tifffile.imwrite(tmp_path / "b.ome.tif", GREY, metadata={"axes": "YX"})
    with tifffile.TiffFile(path) as file:
        text = file.ome_metadata
    assert text is not None
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as file:
        other = file.ome_metadata
    assert other is not None
    uuid = other[other.index("urn:uuid:") :].partition('"')[0]
    start, end = text.index("<TiffData"), text.index("</Pixels>")
    gone = "00000000-0000-0000-0000-000000000000"
    files = "".join(
        f'<TiffData IFD="0" FirstT="{t}" PlaneCount="1"><UUID FileName="{name}">'
        f"{which}</UUID></TiffData>"
        for t, name, which in ((0, "b.ome.tif", uuid), (1, "c.ome.tif", gone))
    )
    told = text[:start] + files + text[end:]
    own = told[told.index("urn:uuid:") :].partition('"')[0]
    tifffile.imwrite(
        tmp_path / "b.ome.tif",
        GREY,
        metadata=None,
        description=told.replace(own, uuid, 1),
    )
    image = ai.open_image(tmp_path / "b.ome.tif")
    assert image.axes == "TYX"
    assert "1 of the 2 planes of 'b.ome.tif' lie in files that are not here" in (
        " ".join(image.assumed)
    )


# -- pictures --------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_of_a_png_stay_sixteen(channels: int, tmp_path: Path) -> None:
    data = RNG.integers(0, 65536, (9, 7, channels)).astype(np.uint16)
    data = data[..., 0] if channels == 1 else data
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data))
    found = pixels(tmp_path / "a.png")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, data[..., 0] if channels == 2 else data)


def test_sixteen_bits_of_jpeg_2000_stay_sixteen(tmp_path: Path) -> None:
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(GREY, reversible=True))
    np.testing.assert_array_equal(pixels(tmp_path / "a.jp2"), GREY)


def test_a_picture_that_is_to_be_turned_says_so(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((5, 6, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.png"):
        picture.save(tmp_path / name, exif=exif)
        image = ai.open_image(tmp_path / name)
        assert "turned by 90 degrees clockwise (orientation 6)" in image.assumed[-1]
        assert image.shape[:2] == (5, 6)
    picture.save(tmp_path / "b.jpg")
    assert not ai.open_image(tmp_path / "b.jpg").assumed
    tags = [(274, "H", 1, 3, True)]
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=tags)
    assert "turned by 180 degrees" in ai.open_image(tmp_path / "a.tif").assumed[-1]


# -- what cannot be read ---------------------------------------------------------------


def test_damage_is_said_only_of_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, metadata=None)
    raw = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[0].tags["Compression"].valueoffset
    raw[place : place + 2] = (34677).to_bytes(2, "little")  # ThunderScan and the like
    (tmp_path / "a.tif").write_bytes(raw)
    with pytest.raises(ai.ImageError, match="stored in a way that is not known here"):
        ai.open_image(tmp_path / "a.tif").read("YX", {})

    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    if limit == "small":
        monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", full)
        tifffile.imwrite(tmp_path / "b.tif", GREY)
        with pytest.raises(ai.ImageError, match="not enough memory"):
            ai.open_image(tmp_path / "b.tif")
