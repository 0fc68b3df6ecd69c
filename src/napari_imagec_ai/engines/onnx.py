"""ONNX Runtime."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.faults import reason, runtime_error
from napari_imagec_ai.engines.numbers import cast
from napari_imagec_ai.engines.onnx_external_data import OnnxNetwork, read_network
from napari_imagec_ai.engines.onnx_graph import freed, runnable, single
from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.system import threads

_PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "dml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}

_AUTO = ("cuda", "rocm", "migraphx", "dml", "cpu")
"""CoreML and OpenVINO round differently: only when asked for."""

_ON_THE_PROCESSOR = ("cpu", "openvino")

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


_FILES_FROM = "session.model_external_initializers_file_folder_path"


class OnnxEngine(Engine):
    """A network in ONNX Runtime.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file; what it keeps in other files lies in its folder.
    device : str
        ``auto``, or a provider: ``cpu``, ``cuda``, ``rocm``, ``dml``, ``coreml``.
    """

    name = "onnx"
    can_interrupt = True

    def __init__(self, path: Path, device: str = "auto") -> None:
        onnxruntime = _runtime()
        # Without its path, so that it cannot pull in data from elsewhere on the disk.
        source = read_network(path)
        source = replace(source, content=runnable(source.content))
        self._runtime, self._asked, self._path = onnxruntime, device, path
        self._loose = False
        self._options: Any = None
        try:
            self._session = _open(onnxruntime, source, path.name, device)
        except EngineError as error:
            lacking = "find an implementation" in str(error.__cause__)
            other = None
            if lacking and not source.apart:
                other = single(source.content)
            if other is None:
                raise
            self._session = _open(onnxruntime, OnnxNetwork(other), path.name, device)
        # Which provider runs is known only once the session is there: a provider that
        # is listed may still have been unable to start.
        running = self._session.get_providers()[0]
        names = {provider: name for name, provider in _PROVIDERS.items()}
        self.device = names.get(running, running)
        self._inputs = self._session.get_inputs()
        self._tell()

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See :meth:`napari_imagec_ai.engines.engine.Engine.run`."""
        if len(inputs) != len(self._inputs):
            names = ", ".join(f"'{node.name}'" for node in self._inputs)
            raise EngineError(
                f"The ONNX network has {len(self._inputs)} inputs, but {len(inputs)} "
                f"were given; give one for each of {names}."
            )
        feed: dict[str, NDArray[Any]] = {}
        for node, array in zip(self._inputs, inputs, strict=True):
            _check_shape(node, array.shape)
            feed[node.name] = cast(array, _DTYPES.get(node.type, np.float32))
        self._options = self._runtime.RunOptions()
        try:
            results = self._session.run(None, feed, self._options)
        except Exception as error:  # the runtime's errors have no common root
            sentence = (
                f"ONNX Runtime could not run the network on inputs of shape "
                f"{[array.shape for array in inputs]}: {reason(error)}"
            )
            raise runtime_error(sentence, error) from error
        finally:
            self._options = None
        return [np.asarray(result) for result in results]

    def interrupt(self) -> None:
        """End a call that is under way in another thread; it raises an error there."""
        options = self._options
        if options is not None:
            options.terminate = True  # looked at before each node of the network

    def close(self) -> None:
        """Close the session; the engine cannot run afterwards."""
        self._session = None

    def loosen(self, axes: Sequence[int]) -> bool:
        """See :meth:`napari_imagec_ai.engines.engine.Engine.loosen`."""
        shape = self._inputs[0].shape
        if self._loose or not any(isinstance(shape[i], int) for i in axes):
            return True
        try:
            whole = read_network(self._path)
            source = replace(whole, content=freed(whole.content, axes))
            session = _open(self._runtime, source, self._path.name, self._asked)
        except Exception:  # noqa: BLE001 - of protobuf and the runtime; we stay as we are
            return False
        self._session, self._inputs, self._loose = session, session.get_inputs(), True
        self._tell()
        return True

    def _tell(self) -> None:
        """Note what the file says of the network."""
        shape = self._inputs[0].shape
        height, width = shape[-2:] if len(shape) in (3, 4) else (None, None)
        self.window = None
        if isinstance(height, int) and isinstance(width, int):
            self.window = (height, width)
        self.signature = tuple(
            (
                node.name,
                tuple(
                    size if isinstance(size, int) and size > 0 else None
                    for size in node.shape
                ),
            )
            for node in self._inputs
        )
        self.dtypes = tuple(
            np.dtype(_DTYPES.get(node.type, np.float32)).name for node in self._inputs
        )
        self.output_names = tuple(node.name for node in self._session.get_outputs())
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)


def accelerates(device: str) -> bool:
    """Whether ONNX Runtime would use something else than the processor."""
    if device != "auto":
        return device in _PROVIDERS and device not in _ON_THE_PROCESSOR
    try:
        onnxruntime = _runtime()
    except ImportError:
        return False
    available = onnxruntime.get_available_providers()
    return any(_PROVIDERS[name] in available for name in _AUTO if name != "cpu")


def _runtime() -> Any:
    """ONNX Runtime, told to keep to itself.

    Since 1.29 its builds report each session (names and hashes of graph and weights)
    to Microsoft, and mark the machine with an id, unless the environment forbids it
    when it is imported. A person who set the variable decides.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
        # For Windows, and where somebody else has imported it before.
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def _open(onnxruntime: Any, source: OnnxNetwork, name: str, device: str) -> Any:
    available = onnxruntime.get_available_providers()
    if device == "auto":
        wanted = [_PROVIDERS[n] for n in _AUTO if _PROVIDERS[n] in available]
    else:
        provider = _PROVIDERS.get(device)
        if provider is None or provider not in available:
            known = [name for name, p in _PROVIDERS.items() if p in available]
            raise EngineError(
                f"ONNX Runtime here has no device '{device}'; choose one of "
                f"{', '.join(known)} or 'auto'."
            )
        wanted = [provider]
    options = onnxruntime.SessionOptions()
    # What it could not do it also raises: no line of its own on a person's screen.
    options.log_severity_level = 4
    options.intra_op_num_threads = threads.limit()
    # Threads that spin while they wait steal the cores from the viewer, for no gain.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Where newer runtimes look for files that a network names: nowhere.
    options.add_session_config_entry(_FILES_FROM, os.devnull)
    try:
        if source.apart:
            values = [
                *map(onnxruntime.OrtValue.ortvalue_from_numpy, source.apart.values())
            ]
            options.add_external_initializers([*source.apart], values)
        return onnxruntime.InferenceSession(source.content, options, providers=wanted)
    except Exception as error:  # the runtime's errors have no common root
        raise runtime_error(_not_opened(onnxruntime, name, error), error) from error


def _not_opened(onnxruntime: Any, name: str, error: Exception) -> str:
    """Why a file did not open; one that is too new for the runtime is not damaged."""
    text, here = str(error), f"ONNX Runtime {onnxruntime.__version__}"
    form = re.search(r"model IR version: (\d+), max supported IR version: (\d+)", text)
    if form is not None:
        return (
            f"'{name}' has version {form[1]} of the ONNX format (IR version), and "
            f"{here} reads up to {form[2]}; update onnxruntime, or export the network "
            f"with IR version {form[2]} or less."
        )
    words = re.search(
        r"Opset (\d+) is .* support for domain (\S+) is till opset (\d+)", text
    )
    if words is not None:
        return (
            f"'{name}' uses version {words[1]} of the operators (opset of "
            f"{words[2]}), and {here} knows up to {words[3]}; update onnxruntime, or "
            f"export the network with opset_version={words[3]} or less."
        )
    foreign = re.search(r"Fatal error: (\S+?)\(-?\d+\) is not a registered", text)
    foreign = foreign or re.search(r"No Op registered for (\S+)", text)
    if foreign is not None:
        return (
            f"'{name}' uses the operator '{foreign[1]}', which {here} does not have; "
            "update onnxruntime, or export the network without it."
        )
    return f"ONNX Runtime could not open '{name}': {reason(error)}"


def _check_shape(node: Any, shape: tuple[int, ...]) -> None:
    expected = node.shape
    if len(expected) != len(shape) or any(
        isinstance(size, int) and size > 0 and size != found
        for size, found in zip(expected, shape, strict=True)
    ):
        raise EngineError(
            f"The network's input '{node.name}' expects the shape {list(expected)}, "
            f"but got {list(shape)}; give windows of that shape."
        )
