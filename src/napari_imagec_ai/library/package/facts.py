"""What a person tells about weights, since the file does not."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from napari_imagec_ai.errors import ModelError

Scaling = Literal[
    "none", "percentiles", "range", "zero-mean", "bytes", "bit-depth", "imagenet"
]
"""What is done to grey values: nothing, 1 and 99.8 % to 0 and 1, the darkest and the
brightest to 0 and 1, mean 0 and deviation 1, divided by 255, divided by the highest
value of the image's type, divided by it and brought to ImageNet's means and
deviations."""

SCALINGS: tuple[Scaling, ...] = get_args(Scaling)

_AXES = "bcztyx"


@dataclass(frozen=True, slots=True)
class Facts:
    """About one network.

    Attributes
    ----------
    decoder : str
        Name of the decoder; empty: the weights tell (YOLO exports).
    classes : tuple of str
        Names of the classes of objects.
    name, description, license : str
        For the description. The licence is an SPDX identifier, such as ``MIT``.
    authors : tuple of str
        Names.
    axes : str
        Of the network's input, such as ``bcyx``; empty: what is usual.
    input_shape : tuple of int
        One that the network takes, along ``axes``; empty: from the file, else tried.
    output_channels : tuple of str
        What the channels of the main output mean, such as ``foreground, boundary``.
    scaling : str
        What the network was trained with, see :data:`Scaling`; empty: what is usual
        for the decoder.
    pixel_size : tuple of float
        In micrometres, for each of the space axes or one for all; empty: unknown.
    settings : mapping
        Of the decoder, such as ``{"mask_threshold": 0.4}``, and ``class_threshold``.
    """

    decoder: str = ""
    classes: tuple[str, ...] = ()
    name: str = ""
    description: str = ""
    license: str = ""
    authors: tuple[str, ...] = ()
    axes: str = ""
    input_shape: tuple[int, ...] = ()
    output_channels: tuple[str, ...] = ()
    scaling: Scaling | Literal[""] = ""
    pixel_size: tuple[float, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        axes = self.axes.lower()
        object.__setattr__(self, "axes", axes)
        unknown = set(axes) - set(_AXES) or len(set(axes)) != len(axes)
        if axes and (unknown or not {"y", "x"} <= set(axes)):
            raise ModelError(
                f"Expected axes of the network's input out of '{_AXES}', each once and "
                f"y and x among them, found '{self.axes}'; usual are bcyx and bczyx."
            )
        if self.input_shape and min(self.input_shape) < 1:
            raise ModelError(
                f"Expected sizes from 1 on, found {self.input_shape}; give a shape "
                "such as 1,1,256,256."
            )
        if axes and self.input_shape and len(axes) != len(self.input_shape):
            raise ModelError(
                f"Expected one size for each of the axes '{axes}', found "
                f"{self.input_shape}; give as many."
            )
        if self.scaling and self.scaling not in SCALINGS:
            raise ModelError(
                f"There is no scaling '{self.scaling}'; choose one of "
                f"{', '.join(SCALINGS)}."
            )
        if not all(math.isfinite(size) and size > 0 for size in self.pixel_size):
            raise ModelError(
                f"Expected pixel sizes above 0 in micrometres, found {self.pixel_size}."
            )

    def pixel_sizes(self, space: Sequence[str]) -> dict[str, float]:
        """Pixel size of each space axis; empty where it is unknown.

        Raises
        ------
        ModelError
            If there are neither one nor as many as axes.
        """
        sizes = self.pixel_size
        if len(sizes) == 1:
            sizes = sizes * len(space)
        if sizes and len(sizes) != len(space):
            raise ModelError(
                f"Expected one pixel size, or one for each of the axes "
                f"{', '.join(space)}, found {len(sizes)}."
            )
        return dict(zip(space, sizes, strict=True)) if sizes else {}


def identifier(text: str, taken: Sequence[str] = ()) -> str:
    """A word as the format wants names of tensors and channels: letters, digits, _."""
    word = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[:24] or "x"
    if word[0].isdigit() or keyword.iskeyword(word):
        word = f"n_{word}"
    number = 2
    found = word
    while found in taken:
        found, number = f"{word}_{number}", number + 1
    return found


def title(text: str) -> str:
    """A model's name in the letters and the length that the format allows."""
    words = re.sub(r"[^A-Za-z0-9_+\- ()]+", " ", text).strip()[:128] or "model"
    return words if len(words) >= 5 else f"{words} model"
