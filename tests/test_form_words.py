"""Advice for the command line is said in the form's words in the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication

import napari_imagec_ai as ai
from napari_imagec_ai._napari.form_words import in_form_words


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("name them, such as --axes TZYX.", "name them under 'Axes', such as TZYX."),
        ("take another with --scene.", "take another under 'Scene'."),
        ("run a region of it (--region), or stop.", "run a region of it, or stop."),
        (
            "name another folder (TMPDIR, or --scratch).",
            "name another folder (TMPDIR).",
        ),
        ("tell it with --pixel-size.", "tell it as the layer's scale."),
        (
            "try smaller tiles, such as --tile 512, or close other programs.",
            "try smaller tiles or close other programs.",
        ),
        ("and try --tile 64,64, or another engine.", "and try another engine."),
        ("Nothing -- at all.", "Nothing -- at all."),
    ],
)
def test_flags_become_controls(said: str, meant: str) -> None:
    assert in_form_words(said) == meant


def test_a_whole_command_stays_as_it_is_typed() -> None:
    command = "run 'imagec-ai package weights.onnx --decoder unet' in a terminal."
    assert in_form_words(command) == command


def test_a_batch_of_images_without_axes_names_the_control(
    open_widget: Any, tmp_path: Path
) -> None:
    _, widget = open_widget()
    pixels = np.zeros((2, 5, 4, 32, 32), np.uint8)
    tifffile.imwrite(tmp_path / "odd.tif", pixels, photometric="minisblack")
    with pytest.raises(ai.ImageError, match="--axes") as caught:
        ai.open_image(tmp_path / "odd.tif")
    widget.say(str(caught.value), bad=True)
    QApplication.processEvents()
    assert "under 'Axes'" in widget.status.value
    assert "--" not in widget.status.value
