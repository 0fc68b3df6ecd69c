"""Colours of classes: people who see other colours tell them apart, too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.color import rgb2lab

from napari_imagec_ai.export.palette import PALETTE, as_hex

# Machado, Oliveira and Fernandes (2009), severity 1.
SEEN_BY = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(colours: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Colours (N, 3) from 0 to 255 in CIELAB, as these people see them."""
    part = colours / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(linear @ np.asarray(matrix).T, 0, 1)
    back = np.where(
        mixed <= 0.0031308, mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055
    )
    return np.asarray(rgb2lab(back[None])[0])


@pytest.mark.parametrize("people", SEEN_BY)
def test_no_two_classes_look_alike(people: str) -> None:
    lab = seen(np.array(PALETTE, float), np.asarray(SEEN_BY[people]))
    for one, other in itertools.combinations(range(len(PALETTE)), 2):
        assert np.linalg.norm(lab[one] - lab[other]) > 12, (one, other)


def test_more_than_seven_classes_have_colours_of_their_own() -> None:
    assert len({as_hex(i) for i in range(16)}) == 16
    assert (seen(np.array(PALETTE, float), np.eye(3))[:, 0] > 50).all()  # on black
