"""Files that hold several images, and layers of more dimensions than can be run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import discs, finish
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

Open = Callable[..., tuple[Any, Any]]


@pytest.fixture
def scene() -> np.ndarray:
    labels = discs((96, 96), [(25, 25), (25, 70), (70, 25)], (12, 12, 12))
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


@pytest.fixture
def several(tmp_path: Path, scene: np.ndarray) -> Path:
    """An OME-TIFF of three positions, the second of them empty."""
    path = tmp_path / "well.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for name, image in (
            ("left", scene),
            ("gap", scene * 0),
            ("right", scene[::-1]),
        ):
            told = {"Name": name, "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
            file.write(np.ascontiguousarray(image), metadata=told)
    return path


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_another_image_of_a_file_is_opened_as_a_layer_and_run(
    qtbot: Any, open_widget: Open, several: Path, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(show=True)
    viewer.open(str(several), plugin="napari")
    choice = widget.feeding.scenes.scene
    settle(qtbot, choice.native.isVisible)
    assert [words for words, _ in widget.feeding.scenes._shown] == [
        "0 left",
        "1 gap",
        "2 right",
    ]
    assert choice.value == 0
    choice.native.setCurrentIndex(2)
    settle(qtbot, lambda: "well.ome [right]" in names(viewer))
    layer = viewer.layers["well.ome [right]"]
    np.testing.assert_array_equal(layer.data, scene[::-1])
    assert widget.image.value is layer
    assert np.allclose(layer.scale, 0.25)
    assert choice.value == 2
    widget.run()
    finish(qtbot, widget)
    assert len(widget.objects()) == 3
    assert "scene='2'" in widget.repeating.copy_python().replace('"', "'")
    choice.native.setCurrentIndex(0)
    settle(qtbot, lambda: widget.image.value is viewer.layers[0])
    assert sum("well" in name and "(" not in name for name in names(viewer)) == 2


def test_a_file_with_one_image_offers_no_choice(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    viewer, widget = open_widget(show=True)
    tifffile.imwrite(tmp_path / "one.tif", scene)
    viewer.open(str(tmp_path / "one.tif"), plugin="napari")
    settle(qtbot, lambda: not widget.feeding.scenes.busy)
    assert not widget.feeding.scenes.scene.native.isVisible()


def test_a_part_of_six_dimensions_is_chosen_and_run(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(show=True)
    data = np.zeros((3, 1, 1, 2, 96, 96), np.float32)
    data[2, 0, 0, 1] = scene
    labels = ("position", "time", "channel", "z", "y", "x")
    viewer.add_image(
        data, name="plate", axis_labels=labels, scale=(1,) * 4 + (0.5, 0.5)
    )
    assert "choose one under 'Scene'" in widget.status.value
    assert not widget.run_button.enabled
    choice = widget.feeding.scenes.scene
    settle(qtbot, choice.native.isVisible)
    choice.native.setCurrentIndex(1 + 2)
    assert names(viewer) == ["plate", "plate [2]"]
    assert widget.axes.value == "TCZYX"
    assert widget.run_button.enabled
    widget.run()
    finish(qtbot, widget)
    assert len(widget.objects()) == 3
    assert np.allclose(viewer.layers["thing (plate [2])"].scale[-2:], 0.5)
