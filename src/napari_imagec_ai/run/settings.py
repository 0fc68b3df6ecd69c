"""Every setting of a run, in one list.

What `predict` takes, what recipes hold, what flags and forms offer and what scripts
write is made of it: a new setting is a field here, and where it is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.planes import planes_from_text
from napari_imagec_ai.image.region import Region, as_region, region_from_text
from napari_imagec_ai.image.units import known_unit
from napari_imagec_ai.run.size.asked import ObjectSize, check_size, size_from_text

Normalize = Literal["as described", "range", "percentiles", "type"]
"""What to do with grey values before the description's own steps."""

Seams = Literal["crop", "blend"]
"""Each pixel from one window; or mixed where windows overlap."""

MOST_CLASSES = 10_000
"""More classes than these no network has: it is a slip of the hand."""

LEAST_SCALE, MOST_SCALE = 0.01, 100.0
"""Scales beyond these are slips of the pen."""


def _setting(
    default: Any,
    description: str,
    *,
    example: str = "",
    flag: str = "",
    flag_help: str = "",
    of_file: bool = False,
    kept: bool = False,
    **limits: Any,
) -> Any:
    """A field.

    Parameters
    ----------
    default
        What is taken where nobody says anything.
    description : str
        For everybody who reads a help.
    example : str
        As it is written in one word; what the help of a flag shows in its place.
    flag, flag_help : str
        Name and help of the flag, where it says the contrary.
    of_file : bool
        Whether it tells how image files are read: a run on an image needs it no more.
    kept : bool
        Whether the widget keeps it with the model.
    **limits
        As `pydantic.Field` takes them.
    """
    extra: Any = {"example": example, "of_file": of_file, "kept": kept}
    extra |= {"flag": flag, "flag_help": flag_help}
    return Field(default, description=description, json_schema_extra=extra, **limits)


def about(field: FieldInfo, name: str) -> Any:
    """What a field says of itself beside its description; see :func:`_setting`."""
    extra = field.json_schema_extra
    return extra.get(name) if isinstance(extra, dict) else None


class RunSettings(BaseModel):
    """How a network is run over an image.

    Each field has a description; where it is a number, its limits; and may be given as
    a person writes it in one word, such as ``"Y=0:512,X=100:612"`` for a region.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = _setting(
        "auto",
        "Weights format to run; auto: the one that was faster in the model's own test, "
        "else onnx.",
    )
    device: str = _setting(
        "auto", "What it runs on: auto, cpu, or another device of the runtime, as cuda."
    )
    axes: str | None = _setting(
        None,
        "Axes of image files, where the files do not say them, such as ZYX.",
        of_file=True,
    )
    scene: str | None = _setting(
        None,
        "Which image of files that hold several: its name, or its number from 0.",
        of_file=True,
    )
    pixel_size: tuple[float, ...] | None = _setting(
        None,
        "Pixel size along the space axes of image files, such as 0.5,0.5.",
        example="0.5,0.5",
        of_file=True,
    )
    unit: str | None = _setting(
        None, "Unit of the pixel size: um, nm, mm, inch, ...", of_file=True
    )
    tile: tuple[Annotated[int, Field(ge=1)], ...] | None = _setting(
        None,
        "Window size in pixels, along all space axes of the network or each; chosen by "
        "default.",
        example="512 or 64,256,256",
    )
    channels: tuple[int, ...] | None = _setting(
        None,
        "Channel of the image for each channel of the network, counted from 0, -1 for "
        "an empty one.",
        example="0,2",
        kept=True,
    )
    planes: dict[str, int | tuple[int, int]] | None = _setting(
        None,
        "Planes to run along axes that the network does not have: a position, or start "
        "and stop (half-open); Z=3 or T=0-9, with both ends. All by default.",
        example="Z=3 or T=0-9",
    )
    scale: float | tuple[float, ...] | None = _setting(
        None,
        "Pixels of the network for each pixel of the image, for all space axes or "
        "each: 0.5 halves the image. By default the pixel sizes decide, where image "
        "and description have one. Detectors get a small image in one window by "
        "default, a larger one in windows at full resolution.",
        example="0.5 or 1,0.5,0.5",
        kept=True,
    )
    object_size: ObjectSize | None = _setting(
        None,
        "Diameter of the objects in pixels of the image, auto (it is found out) or "
        "as-described: the image is scaled to the size that the network knows best. By "
        "default auto where the model tells which sizes it knows, unless a scale is "
        "given.",
        example="92, auto or as-described",
        kept=True,
    )
    halo: tuple[Annotated[int, Field(ge=0)], ...] | None = _setting(
        None,
        "Pixels that windows overlap at each side; by default as the description says, "
        "else as far as the network is measured to look.",
        example="32 or 8,32,32",
        kept=True,
    )
    normalize: Normalize = _setting(
        "as described",
        "What to do with grey values before the description's own steps: nothing, or "
        "the darkest and brightest pixel (range), the ends of the integer type (type), "
        "or the 1st and 99.8th of 100 (percentiles) to 0 and 1, or to the range that "
        "the description declares.",
        kept=True,
    )
    larger_tiles: bool = _setting(
        True,
        "Whether a network whose description fixes the window's size is tried, once, "
        "with larger ones, which are used where results stay the same.",
        flag="--fixed-tiles",
        flag_help="no larger windows than described",
    )
    overlap: float = _setting(
        0.2,
        "For detectors: part of a window that it shares with the next one.",
        kept=True,
        ge=0,
        le=0.8,
    )
    percentiles: tuple[float, float] = _setting(
        (0.0, 99.8),
        "For detectors: grey values that become black and white, where the description "
        "does not say and the image has not 8 bits.",
        example="0,99.8",
        kept=True,
    )
    region: Region | None = _setting(
        None,
        "Part of the image to run, in its pixels, such as Y=0:512,X=100:612; all by "
        "default.",
        example="Y=0:512,X=100:612",
    )
    verify: bool = _setting(
        True,
        "Whether weights that are not those of the description (sha256) are refused.",
        flag="--unverified",
        flag_help="run weights that are not those of the description (sha256)",
    )
    seams: Seams = _setting(
        "crop",
        "Where windows meet, each pixel comes from the window that sees most around it "
        "(crop), or results go over into each other (blend): for networks that "
        "normalize each window by itself (instance normalization).",
        kept=True,
    )
    memory: float | None = _setting(
        None,
        "Gigabytes that windows and maps may take: windows are as large as they allow, "
        "and maps that take more than a share go to the disk; the image comes on "
        "top. By default what is free.",
        gt=0,
    )
    classes: tuple[str, ...] | None = _setting(
        None,
        "Names of the network's classes in its order, or their number, instead of what "
        "it says. Their number decides how rows of boxes are read.",
        example="round,rod",
        kept=True,
    )

    # -- what a person may write for it ------------------------------------------------

    @field_validator("tile", "halo", "channels", mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """One is for all axes."""
        if isinstance(value, str):
            return _numbers(value, int, info.field_name)
        return (value,) if isinstance(value, (int, float)) else value

    @field_validator("scale", "pixel_size", "percentiles", mode="before")
    @classmethod
    def _sizes(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            return _numbers(value, float, info.field_name)
        return value

    @field_validator("object_size", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        return size_from_text(value) if isinstance(value, str) else check_size(value)

    @field_validator("scene", mode="before")
    @classmethod
    def _scene_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @field_validator("unit")
    @classmethod
    def _unit_of_length(cls, value: str | None) -> str | None:
        """Its usual name, whatever the spelling."""
        return None if value is None else known_unit(value) or "pixel"

    @field_validator("normalize", mode="before")
    @classmethod
    def _in_one_word(cls, value: Any) -> Any:
        return value.replace("-", " ") if isinstance(value, str) else value

    @field_validator("planes", mode="before")
    @classmethod
    def _planes(cls, value: Any) -> Any:
        return planes_from_text(value, "TZ") if isinstance(value, str) else value

    @field_validator("region", mode="before")
    @classmethod
    def _region(cls, value: Any) -> Any:
        if isinstance(value, str):
            return region_from_text(value)
        boxed = isinstance(value, Mapping) and "box" not in value
        return as_region(value) if boxed else value

    @field_validator("classes", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return class_names(value) if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _of_arrays(cls, value: Any) -> Any:
        """Arrays are as good as lists; the validator that is last here comes first."""
        return value.tolist() if hasattr(value, "tolist") else value

    @field_validator("scale")
    @classmethod
    def _in_reach(cls, value: Any) -> Any:
        scales = value if isinstance(value, tuple) else (value,)
        if value is not None and not all(
            LEAST_SCALE <= scale <= MOST_SCALE for scale in scales
        ):
            raise ValueError(
                f"Expected a scale from {LEAST_SCALE:g} to {MOST_SCALE:g}, found "
                f"{value}."
            )
        return value

    @field_validator("percentiles")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not 0 <= low < high <= 100:
            raise ValueError(
                f"Expected two percentiles from 0 to 100, the lower first, found "
                f"{value}."
            )
        return value

    # -- what follows from it ----------------------------------------------------------

    def believed(self, image: ImageInput) -> ImageInput:
        """An image from a file, with the pixel size that counts."""
        size = self.pixel_size if self.pixel_size is not None else image.pixel_size
        unit = image.unit if self.unit is None else self.unit
        unit = None if unit == "pixel" else unit
        if (size, unit) == (image.pixel_size, image.unit):
            return image
        unsized = image.unsized if self.pixel_size is None and unit else ""
        return replace(image, pixel_size=size, unit=unit, unsized=unsized)

    def tile_along(self, space: str) -> tuple[int, ...] | None:
        """Size of tiles along each space axis; None: to be chosen."""
        return _for_each_axis(self.tile, space, "tile")

    def halo_along(self, space: str) -> tuple[int, ...] | None:
        """How far tiles overlap along each space axis; None: to be found out."""
        return _for_each_axis(self.halo, space, "halo")


OF_FILES = frozenset(
    name for name, field in RunSettings.model_fields.items() if about(field, "of_file")
)
"""Settings that tell how image files are read; `predict` gets an image."""


def _numbers(
    text: str, number: Callable[[str], float], name: str | None
) -> tuple[float, ...]:
    field = RunSettings.model_fields[name or ""]
    numbers: tuple[float, ...] = ()
    with contextlib.suppress(ValueError):
        numbers = tuple(number(part) for part in text.split(","))
    if not numbers or (name == "percentiles" and len(numbers) != 2):
        raise ValueError(
            f"Expected numbers such as {about(field, 'example')} for '{name}', found "
            f"'{text}'."
        )
    return numbers


def class_names(text: str) -> tuple[str, ...]:
    """Names of classes, or numbers in their place where only a number is given.

    Raises
    ------
    ImageError
        If it is neither.
    """
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if len(words) == 1 and words[0].isdigit():
        count = min(int(words[0]), MOST_CLASSES + 1)  # not millions, to be refused
        words = tuple(f"class {number}" for number in range(1, count + 1))
    if not 0 < len(words) <= MOST_CLASSES:
        raise ImageError(
            f"Expected names of classes such as round,rod, or their number from 1 to "
            f"{MOST_CLASSES}, found '{text}'."
        )
    return words


def _for_each_axis(
    sizes: Sequence[int] | None, space: str, word: str
) -> tuple[int, ...] | None:
    """One size for each space axis."""
    if sizes is None:
        return None
    if len(sizes) == 1:
        return tuple(sizes) * len(space)
    if len(sizes) != len(space):
        raise ImageError(
            f"Expected a {word} size for each of the axes '{space}', found "
            f"{tuple(sizes)}; give one number, or {len(space)}."
        )
    return tuple(sizes)
