"""A whole network that Keras saved (``.keras``, ``.h5``), written as ONNX.

Keras itself opens it, in a process of its own (:mod:`.sandbox`), and only for this:
what is written needs no Keras. Networks that bring Python code along are refused
unopened.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files as resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.library.convert.cases import (
    Case,
    largest_difference,
    read_cases,
)
from napari_imagec_ai.library.convert.conversion import Conversion, Tick
from napari_imagec_ai.library.convert.described_folder import (
    DescribedFolder,
    weights_file,
)
from napari_imagec_ai.library.convert.rebuilt import OPSET, TOLERANCE
from napari_imagec_ai.library.convert.sandbox import run_alone
from napari_imagec_ai.library.package.description import Rdf, described
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.library.package.network import probe
from napari_imagec_ai.model.description import FixedSize, Model
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.run.published_tests import prepared, published_inputs
from napari_imagec_ai.system.safe_yaml import read_yaml

FORMATS = ("keras_v3", "keras_hdf5")
"""What descriptions call them."""

Told = Mapping[str, Any]
Free = tuple[str, ...]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MOST_CONFIG = 64 << 20

_CODE = {"Lambda", "__lambda__", "TorchModuleWrapper"}
"""Parts of a network that are pickled or marshalled Python code."""

_ELSEWHERE = {"TFSMLayer", "JaxLayer", "FlaxLayer"}
"""Layers that are only a frame around a network of something else."""

_WAYS: Free = ("all", "sizes", "")
"""Which axes of the ONNX file are left open, first what is best."""

_MOST_CHANNELS = 3
"""Channels of an output that a U-Net usually has: foreground, boundary, background."""

_SIZES = {"byxc": {"y": 128, "x": 192}, "bzyxc": {"z": 16, "y": 64, "x": 96}}
"""Of examples, where the network leaves them open."""


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What came back.

    Attributes
    ----------
    onnx : bytes
        The network.
    told : mapping
        What Keras says: ``shapes`` of the inputs, last ``activation``, ``keras``.
    output : tuple of int
        Shape of the first output.
    difference : float
        Between what the ONNX file and Keras give.
    free : bool
        Whether it takes all sizes that the Keras network takes.
    """

    onnx: bytes
    told: Told
    output: tuple[int, ...]
    difference: float
    free: bool

    @property
    def checked(self) -> str:
        """A sentence: what was compared."""
        return (
            f"The network gives what Keras {self.told['keras']} gives on random "
            f"images (largest difference {self.difference:.1g})."
        )


def is_keras(path: Path) -> bool:
    """Whether Keras may have written the file, whatever its name is."""
    if not path.is_file():
        return False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return {"config.json", "model.weights.h5"} <= set(archive.namelist())
    with path.open("rb") as file:
        return file.read(8) == _HDF5


def read_keras(path: Path, scratch: Path, tick: Tick) -> Conversion:
    """Write a network as ONNX that comes without any description.

    Raises
    ------
    ModelError
        If it brings code along, Keras cannot open it or is not installed, or the ONNX
        file gives something else.
    """
    config = _config(path)
    axes = _axes(config, path)
    exported = _export(path, axes, (), tick)
    onnx = scratch / "weights.onnx"
    onnx.write_bytes(exported.onnx)
    source = {"kind": "Keras", "file": path.name, "sha256": sha256(path)}
    decoder, meant = _decoder(exported, axes)
    said = [] if exported.free else [_only_one_size(path)]
    if "z" in axes:
        said.append("The first of the three axes of space was taken as z.")
    said.append(f"The file does not say what the output means; {meant}.")
    facts = Facts(decoder=decoder, name=path.stem, axes=axes)
    if decoder == "semantic":
        count = exported.output[axes.index("c")] - 1
        classes = tuple(f"class{n}" for n in range(1, count + 1))
        facts = replace(facts, classes=classes)

    def describe(weights: Path, engine: Engine) -> Rdf:
        rdf = described(weights, probe(engine, facts), facts)
        rdf["config"]["napari_imagec_ai"]["converted_from"] = source
        return rdf

    return Conversion({"onnx": onnx}, describe, (exported.checked,), tuple(said))


def read_keras_folder(model: Model, name: str, tick: Tick) -> DescribedFolder:
    """Write the network of a BioImage.IO folder as ONNX.

    Parameters
    ----------
    model : Model
        Whose only usable weights are those.
    name : str
        One of :data:`FORMATS`.
    tick : callable
        Gets a sentence before each step; may raise to stop.

    Raises
    ------
    ModelError
        As :func:`read_keras`, and if files are missing.
    """
    path = weights_file(model, name)
    _config(path)
    exported = _export(path, "", prepared(model, published_inputs(model)), tick)
    if not exported.free and not _has_one_size(model):
        raise ModelError(
            f"Expected a network of all sizes that the description of '{model.name}' "
            f"allows, found one that PyTorch can write for one size alone; "
            f"{_by_tensorflow(path.name)}."
        )
    rdf = read_yaml(model.source)
    said = (exported.checked,)
    return DescribedFolder(model, name, "Keras", rdf, exported.onnx, b"", said)


def _has_one_size(model: Model) -> bool:
    return all(
        isinstance(axis.size, FixedSize)
        for spec in model.inputs
        for axis in spec.axes
        if axis.name != "b"
    )


def _only_one_size(path: Path) -> str:
    return f"PyTorch could write '{path.name}' for one size of windows only."


def _decoder(exported: Exported, axes: str) -> tuple[str, str]:
    """What the output is, as far as shape and last activation tell; and in words."""
    last, shape = str(exported.told["activation"]), exported.output
    if len(shape) != len(axes):
        return "scores", "it is no map, so one row of scores for an image was assumed"
    channels = shape[axes.index("c")]
    if last in ("sigmoid", "softmax") and channels <= _MOST_CHANNELS:
        found, what = (
            "unet",
            "objects (and boundaries, if there are more channels)",
        )
    elif last == "softmax":
        found, what = "semantic", "a class in each channel but the first"
    else:
        return "image", "it is shown as an image ('decoder' in rdf.yaml)"
    return found, f"its last activation is {last}, so {what} was assumed"


# -- what is in the file ---------------------------------------------------------------


def _config(path: Path) -> Mapping[str, Any]:
    """The network's layers as Keras wrote them down, free of code."""
    found = _written(path)
    if found is None:
        raise ModelError(
            f"Expected a whole Keras network in '{path.name}', found HDF5 without one "
            "(weights alone, or no model at all); save the network with "
            "model.save('network.keras'), or give the folder that StarDist saved."
        )
    try:
        config = json.loads(found)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not isinstance(config, Mapping):
        raise _damaged(path, "no layers")
    for part in _parts(config):
        _refuse_code(part, path)
    return config


def _written(path: Path) -> str | bytes | None:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
                return file.read(_MOST_CONFIG)
        with h5py.File(path, "r") as file:
            found = file.attrs.get("model_config")
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    return found if isinstance(found, str | bytes) else None


def _damaged(path: Path, error: object) -> ModelError:
    return ModelError(
        f"Expected a Keras network in '{path.name}', found a file that cannot be read "
        f"({error}); copy it again."
    )


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects of a configuration, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _refuse_code(part: Mapping[str, Any], path: Path) -> None:
    name = part.get("class_name")
    if not isinstance(name, str):
        return
    config = part.get("config")
    own = config.get("name") if isinstance(config, Mapping) else None
    called = f"{name} '{own}'" if isinstance(own, str) else name
    if name.rpartition(">")[2] in _CODE:
        raise ModelError(
            f"Expected a Keras network of plain layers in '{path.name}', found Python "
            f"code inside ({called}), which is never run; build that part of layers "
            "of Keras and save the network again, or write ONNX where it was trained."
        )
    module = part.get("module")
    foreign = isinstance(module, str) and module.partition(".")[0] != "keras"
    if name in _ELSEWHERE or ">" in name or foreign:
        where = f" of {module}" if foreign else ""
        raise ModelError(
            f"Expected a Keras network of Keras's own layers in '{path.name}', found "
            f"{called}{where}, whose code is not in the file; write ONNX in the "
            "environment where it was trained, then 'imagec-ai package weights.onnx'."
        )


def _axes(config: Mapping[str, Any], path: Path) -> str:
    """Of the input: Keras has channels last, unless a layer says otherwise."""
    formats = {part.get("data_format") for part in _parts(config)}
    ranks = {
        len(shape)
        for part in _parts(config)
        for shape in (part.get("batch_shape"), part.get("batch_input_shape"))
        if isinstance(shape, Sequence) and not isinstance(shape, str)
    }
    rank = max(ranks, default=4)
    if rank not in (4, 5):
        raise ModelError(
            f"Expected a Keras network of images or volumes with channels in "
            f"'{path.name}', found one whose input has {rank} axes; write it as ONNX "
            "and describe it by hand."
        )
    if formats >= {"channels_first"}:
        return "bcyx" if rank == 4 else "bczyx"
    return "byxc" if rank == 4 else "bzyxc"


# -- export ----------------------------------------------------------------------------


def _export(
    path: Path, axes: str, inputs: Sequence[NDArray[Any]], tick: Tick
) -> Exported:
    if find_spec("keras") is None:
        raise ModelError(
            f"'{path.name}' is a Keras network, and Keras, which opens it once, is not "
            "installed here; install it (pip install 'napari-imagec-ai[keras]') and "
            f"convert again, or {_by_tensorflow(path.name)}."
        )
    tick("Opening the network in Keras")
    script = resources("napari_imagec_ai.library.convert") / "keras_alone.py"
    why = ""
    for free in _WAYS:
        answer = run_alone(
            script.read_text(encoding="utf-8"),
            _job(path, axes, inputs, free),
            [path.resolve()],
            lambda: tick("Writing ONNX"),
        )
        onnx, told, cases = _read(answer, path)
        tick("Comparing with Keras")
        try:
            off = largest_difference(onnx, cases)
        except EngineError as error:
            why = f"does not run ({str(error).rstrip('.')})"
            continue
        why = f"is off by {off:.3g}"
        if off <= TOLERANCE:
            return Exported(onnx, told, cases[0][1][0].shape, off, bool(free))
    raise ModelError(
        f"Expected ONNX that gives what Keras gives for '{path.name}', found one that "
        f"{why}; {_by_tensorflow(path.name)}."
    )


def _by_tensorflow(name: str) -> str:
    return (
        'in an environment with tensorflow and tf2onnx, run python -c "import keras; '
        f"keras.saving.load_model('{name}', compile=False).export('saved_model')\" and "
        "python -m tf2onnx.convert --saved-model saved_model --output weights.onnx, "
        "then 'imagec-ai package weights.onnx'"
    )


def _job(path: Path, axes: str, inputs: Sequence[NDArray[Any]], free: str) -> bytes:
    job = {
        "path": str(path.resolve()),
        "axes": axes,
        "sizes": _SIZES["bzyxc" if "z" in axes else "byxc"],
        "inputs": len(inputs),
        "free": free,
        "opset": OPSET,
    }
    arrays: dict[str, NDArray[Any]] = {
        f"input{n}": np.ascontiguousarray(array) for n, array in enumerate(inputs)
    }
    arrays["job"] = np.frombuffer(json.dumps(job).encode(), np.uint8)
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def _read(answer: bytes, path: Path) -> tuple[bytes, Told, list[Case]]:
    """The network, what Keras says of it, and what it gives for inputs."""
    try:
        with np.load(io.BytesIO(answer), allow_pickle=False) as archive:
            found = dict(archive)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"Keras gave nothing for '{path.name}'; {_by_tensorflow(path.name)}."
        ) from error
    if "problem" in found:
        problem = found["problem"].tobytes().decode(errors="replace").rstrip(". ")
        shown = "".join(c if c.isprintable() else " " for c in problem)
        raise ModelError(
            f"Expected a network that Keras 3 can open in '{path.name}', found one "
            f"that it cannot ({shown}); {_by_tensorflow(path.name)}."
        )
    return (
        found["onnx"].tobytes(),
        json.loads(found["told"].tobytes()),
        read_cases(found),
    )
