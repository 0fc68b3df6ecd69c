"""The images that come with the package."""

from __future__ import annotations

import pytest

from napari_imagec_ai.image.samples import sample_image


@pytest.mark.parametrize(("name", "axes"), [("nuclei", "YX"), ("nuclei_stack", "ZYX")])
def test_sample_images_open_with_their_scale(name: str, axes: str) -> None:
    image = sample_image(name)
    assert image.unit == "micrometer"
    assert image.axes == axes
    assert image.pixel_size is not None
    assert image.pixel_size[-2:] == pytest.approx((0.325, 0.325))
