"""Large files are read where they are needed, and may become shorter meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_imagec_ai as ai
from napari_imagec_ai.image import opening_files
from napari_imagec_ai.image.from_file import FromFile, array_in

DATA = np.random.default_rng(0).integers(0, 60_000, (3, 4, 7, 9)).astype(np.uint16)


def keys(size: int) -> Any:
    bound = st.integers(-size - 2, size + 2) | st.none()
    step = st.sampled_from([None, 1, 2, -1, -3])
    return st.integers(-size, size - 1) | st.builds(slice, bound, bound, step)


@settings(deadline=None)
@given(st.tuples(*map(keys, DATA.shape)), st.integers(0, 4), st.booleans())
def test_what_is_sliced_is_what_numpy_gives(
    tmp_path_factory: pytest.TempPathFactory, key: Any, count: int, turned: bool
) -> None:
    path = tmp_path_factory.mktemp("a") / "a.npy"
    np.save(path, np.asfortranarray(DATA) if turned else DATA)
    array: Any = array_in(path)
    assert (array.shape, array.dtype) == (DATA.shape, DATA.dtype)
    for one in (key, key[:count], (*key[:count], ...), (..., *key[:count])):
        np.testing.assert_array_equal(array[one], DATA[one])
    np.testing.assert_array_equal(np.asarray(array), DATA)


@pytest.mark.parametrize("order", "<>")
def test_both_orders_of_bytes(tmp_path: Path, order: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DATA[0, 0], byteorder=order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening_files, "_LARGE", 1)
        image = ai.open_image(tmp_path / "a.tif")
    assert isinstance(image.data, FromFile)
    np.testing.assert_array_equal(image.data[2:5, 1::2], DATA[0, 0, 2:5, 1::2])


SCRIPT = """
import os, sys
import napari_imagec_ai as ai
from napari_imagec_ai.image import opening_files
opening_files._LARGE = 1
image = ai.open_image(sys.argv[1])
model = ai.load_model("nuclei-unet")
os.truncate(sys.argv[1], 1000)
try:
    ai.predict(model, image)
except ai.ImageError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_an_image_that_shrinks_is_a_sentence_and_no_death(
    tmp_path: Path, name: str
) -> None:
    pixels = np.zeros((600, 700), np.uint16)
    save: Any = tifffile.imwrite if name == "a.tif" else np.save
    save(tmp_path / name, pixels)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"'{name}' is too short: expected" in done.stdout
    assert "found 1000" in done.stdout
