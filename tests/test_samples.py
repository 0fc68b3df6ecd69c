"""The images that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_imagec_ai.image.samples import sample_image

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(("name", "axes"), [("nuclei", "YX"), ("nuclei_stack", "ZYX")])
def test_sample_images_open_with_their_scale(name: str, axes: str) -> None:
    image = sample_image(name)
    assert image.unit == "micrometer"
    assert image.axes == axes
    assert image.pixel_size is not None
    assert image.pixel_size[-2:] == pytest.approx((0.325, 0.325))


def test_samples_may_be_written_again_and_run(run_cli: Run) -> None:
    first = run_cli("samples")
    assert first[0] == 0
    assert [Path(line) for line in first[1].split()][-1] == Path("plate/b1.tif")
    assert run_cli("samples") == first
    told = run_cli("predict", "nuclei-unet", "plate", "-o", "out")[1]
    assert "all 4 images together" in told
    code, _, told = run_cli("predict", "nuclei-unet", "plate", "-o", "plate")
    assert code == 1
    assert "choose another one with -o" in told
    code, _, told = run_cli("predict", "nuclei-unet", ".", "-o", ".")
    assert "written by this software" in told


@pytest.mark.parametrize("name", ["image.tif", "film.tif", "plate/mine.tif", "plate"])
def test_samples_leave_what_is_there(run_cli: Run, name: str) -> None:
    mine = Path(name)
    mine.parent.mkdir(exist_ok=True)
    mine.write_bytes(b"mine")
    code, _, told = run_cli("samples")
    assert code == 1
    assert f"found '{mine}'" in told
    assert "-o samples" in told
    assert mine.read_bytes() == b"mine"
    assert not Path("stack.tif").exists(), "all or none"
    assert run_cli("samples", "-o", "samples")[0] == 0


def test_samples_take_a_folder(run_cli: Run) -> None:
    Path("here").write_bytes(b"")
    assert "found the file 'here'" in run_cli("samples", "-o", "here")[2]
