"""What a model description says, in plain values.

A :class:`Model` is what the ``rdf.yaml`` of a BioImage.IO model folder tells, whatever
its format version: :mod:`napari_imagec_ai.model.rdf` reads it, everything else only
looks. Axes are single letters where the format has names: ``b`` batch, ``c`` channel,
``t`` time, ``z y x`` space, ``i`` index; other names stand as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from napari_imagec_ai.errors import ModelError

RUNNABLE = ("onnx", "torchscript")
"""Weight formats that an engine exists for, the preferred one first."""

Kind = Literal[
    "foreground",
    "foreground_boundary",
    "three_class",
    "foreground_boundary_distance",
    "boundary",
    "multi_class",
    "affinities",
    "labels",
    "stardist",
    "cellpose",
    "boxes",
    "boxes_masks",
    "image",
    "scores",
    "embedding",
    "promptable",
    "unknown",
]
"""What the outputs of a network mean."""


@dataclass(frozen=True, slots=True)
class FixedSize:
    """The axis has exactly ``size`` elements."""

    size: int


@dataclass(frozen=True, slots=True)
class SteppedSize:
    """The axis has ``min + n * step`` elements, for any n >= 0 (``step`` 0: fixed)."""

    min: int
    step: int


@dataclass(frozen=True, slots=True)
class RelativeSize:
    """The axis has ``scale * reference + offset`` elements.

    ``reference`` is the size of axis ``axis`` of tensor ``tensor``.
    """

    tensor: str
    axis: str
    scale: float
    offset: float


@dataclass(frozen=True, slots=True)
class FreeSize:
    """The axis may have any size, or one that depends on the data."""


AxisSize = FixedSize | SteppedSize | RelativeSize | FreeSize


def takes_one(size: AxisSize) -> bool:
    """Whether an axis may have a single element."""
    if isinstance(size, FixedSize):
        return size.size == 1
    return not isinstance(size, SteppedSize) or size.min <= 1


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor.

    Attributes
    ----------
    name : str
        ``b c t z y x i``, or another name for a space axis that has one.
    size : AxisSize
        How long it may be.
    halo : int
        Output pixels at each end that are worth less and are to be cut off.
    pixel_size : float
        Size of one element in ``unit``; 1.0 where the description has none.
    unit : str or None
        Unit of the pixel size, None where the description has none.
    channel_names : tuple of str
        Names of the channels, for a channel axis that has them.
    """

    name: str
    size: AxisSize
    halo: int = 0
    pixel_size: float = 1.0
    unit: str | None = None
    channel_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One pre- or postprocessing step: its name and its arguments."""

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file that the description names.

    Attributes
    ----------
    source : str
        As written: a name inside the folder, or a URL.
    sha256 : str or None
        Expected hash, lower-case hex.
    path : Path or None
        The file inside the model folder, None where it is not there.
    """

    source: str
    sha256: str | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of the network, in the axis order that it has there."""

    id: str
    axes: tuple[Axis, ...]
    dtype: str = "float32"
    data_range: tuple[float | None, float | None] = (None, None)
    steps: tuple[Step, ...] = ()
    description: str = ""
    optional: bool = False
    test_tensor: FileRef | None = None

    @property
    def letters(self) -> str:
        """Axis names joined, such as ``bcyx``; a longer name gives its first letter."""
        return "".join(axis.name[0] for axis in self.axes)

    @property
    def space(self) -> tuple[str, ...]:
        """Names of the axes ``z y x`` that it has, in the tensor's order.

        Without a z that is there in the place of a batch axis: planes in a row.
        """
        names = [axis.name for axis in self.axes]
        batch = names[:2] == ["z", "c"] and "b" not in names
        batch = batch and takes_one(self.axes[0].size)
        return tuple(n for n in names if n in ("z", "y", "x")[batch:])

    def axis(self, name: str) -> Axis | None:
        """The axis of that name, or None."""
        return next((axis for axis in self.axes if axis.name == name), None)

    def own_depth(self, space: str) -> int:
        """Planes that an output has for one of the input; 1: it is a plane, too.

        Inside a run they lie one after the other, as channels do.

        Parameters
        ----------
        space : str
            Space axes of the input, such as ``YX``.
        """
        axis = self.axis("z")
        if axis is None or "z" in space.lower() or not isinstance(axis.size, FixedSize):
            return 1
        return axis.size.size

    @property
    def channels(self) -> int | None:
        """Number of channels: 1 without a channel axis, None where it is not fixed."""
        axis = self.axis("c")
        if axis is None:
            return 1
        if isinstance(axis.size, FixedSize):
            return axis.size.size
        return len(axis.channel_names) or None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, empty where the description has none."""
        axis = self.axis("c")
        return axis.channel_names if axis is not None else ()


@dataclass(frozen=True, slots=True)
class Weights:
    """One weights entry: the framework's name in the description, and the file.

    ``problem`` is a sentence where this entry cannot be run. ``beside`` is a file that
    the weights keep numbers in, where the description names one.
    """

    format: str
    file: FileRef
    problem: str | None = None
    beside: FileRef | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model folder's description, nothing more.

    Attributes
    ----------
    name, version, description : str
        As the description has them; version is empty where there is none.
    folder, path : Path
        The model folder, and the description in it.
    format_version : str
        Version of the description's format.
    inputs, outputs : tuple of TensorSpec
        In the order of the network's own tensors.
    weights : mapping of str to Weights
        By framework (``onnx``, ``torchscript``, ``pytorch_state_dict`` ...).
    classes : tuple of str
        Names of the object classes that the network tells apart.
    classes_by_hand : bool
        Whether a person told the classes, and not the description.
    kind : Kind
        What the outputs mean.
    hints : mapping
        The description's ``config``, verbatim.
    problems : tuple of str
        Sentences: why it cannot run, empty where it can.
    source : bytes
        The description itself, as it was read.
    """

    name: str
    folder: Path
    path: Path
    format_version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: Mapping[str, Weights]
    version: str = ""
    description: str = ""
    classes: tuple[str, ...] = ()
    kind: Kind = "unknown"
    hints: Mapping[str, Any] = field(default_factory=dict)
    authors: tuple[str, ...] = ()
    citation: tuple[str, ...] = ()
    license: str = ""
    tags: tuple[str, ...] = ()
    cover: Path | None = None
    documentation: Path | None = None
    problems: tuple[str, ...] = ()
    source: bytes = field(default=b"", repr=False)
    classes_by_hand: bool = False

    def with_classes(self, names: Sequence[str] | None) -> Model:
        """The same model with classes that a person told; without names, as it is.

        Raises
        ------
        ModelError
            If a name is blank or there twice.
        """
        if not names:
            return self
        told = tuple(name.strip() for name in names)
        if len(set(told)) < len(told) or not all(told):
            raise ModelError(
                f"Expected a different name for each class, found {', '.join(names)}; "
                "name them in the order of the network's classes."
            )
        return replace(self, classes=told, classes_by_hand=True)

    @property
    def usable(self) -> bool:
        """Whether some engine can open weights of it."""
        return not self.problems

    @property
    def problem(self) -> str | None:
        """Why it cannot run, in words; None where it can."""
        return " ".join(self.problems) or None

    @property
    def runnable(self) -> tuple[str, ...]:
        """Formats whose weights are here and readable, the preferred one first."""
        return tuple(
            name
            for name in dict.fromkeys((*RUNNABLE, *self.weights))
            if name in self.weights and self.weights[name].problem is None
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the description says to this package: ``config.napari_imagec_ai``."""
        own = self.hints.get("napari_imagec_ai")
        return own if isinstance(own, Mapping) else {}
