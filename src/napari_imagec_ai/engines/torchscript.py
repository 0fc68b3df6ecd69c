"""TorchScript, in PyTorch."""

from __future__ import annotations

import contextlib
import importlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines import torchvision_calls
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.faults import is_memory, reason, runtime_error
from napari_imagec_ai.engines.numbers import cast
from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.system import threads

_DTYPES = ("float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
"""Data types that PyTorch has; others become float32."""


class TorchScriptEngine(Engine):
    """A network in PyTorch.

    Parameters
    ----------
    path : Path
        A TorchScript archive.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``mps``, or another device of PyTorch. With
        ``auto`` a network that has the processor written into it goes there, and
        ``device`` says so after the run.
    """

    name = "torchscript"

    def __init__(self, path: Path, device: str = "auto") -> None:
        import torch

        self._torch = torch
        if threads.limit():
            torch.set_num_threads(threads.limit())
        self._device = _device(torch, device)
        self.device = self._device.type
        self._may_move = device == "auto"
        beside = {"config.txt": ""}
        with warnings.catch_warnings():
            # torch.jit is deprecated, but it is what the published weights are.
            warnings.simplefilter("ignore")
            # Detectors call operators that are only there once torchvision is.
            with contextlib.suppress(ImportError):
                importlib.import_module("torchvision")
            try:
                module = torch.jit.load(
                    str(path), map_location=self._device, _extra_files=beside
                )
            except Exception as error:  # PyTorch's errors have no common root
                raise runtime_error(_not_opened(path, error), error) from error
        self._path = path
        self._module = module.eval()
        self._takes_images = torchvision_calls.takes_images(module)
        self.output_names = torchvision_calls.ORDER if self._takes_images else ()
        self.metadata = {name: _text(text) for name, text in beside.items() if text}
        self._weights = _type_of(torch, module)
        self._channels_last = False
        # Convolutions over planes are a fifth faster with the channels last in memory.
        self._arrange(channels_last=True)

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See :meth:`napari_imagec_ai.engines.engine.Engine.run`."""
        torch = self._torch
        with torch.inference_mode():
            try:
                result = self._tried_where_it_runs(inputs)
            except Exception as error:  # PyTorch's errors have no common root
                shapes = [array.shape for array in inputs]
                if self.device == "cuda":  # what is cached is in the way of less
                    torch.cuda.empty_cache()
                sentence = _not_run(self._path, self.device, shapes, error)
                raise runtime_error(sentence, error) from error
            return [_array(torch, tensor) for tensor in _flatten(torch, result)]

    def _tried_where_it_runs(self, inputs: Sequence[NDArray[Any]]) -> Any:
        """What the network gives; on the processor if it was traced for that alone.

        A trace keeps the device of every tensor that the network made by itself, as the
        places of a detector's grid, and such a network fails on a GPU.
        """
        try:
            return self._tried(inputs)
        except Exception as error:  # PyTorch's errors have no common root
            if not (self._may_move and _is_apart(self.device, error)):
                raise
            # Opened again, since what a trace holds as constants cannot be moved.
            self._device = self._torch.device("cpu")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = self._torch.jit.load(str(self._path), self._device)
            self._module, self.device = module.eval(), "cpu"
            self._arrange(channels_last=True)
            return self._tried(inputs)

    def _tried(self, inputs: Sequence[NDArray[Any]]) -> Any:
        """What the network gives; its weights are put back where that is what it needs.

        Some networks look at numbers as they lie in memory (``view``), and fail where
        they lie in another order.
        """
        try:
            return self._called([self._tensor(array) for array in inputs])
        except Exception as error:  # PyTorch's errors have no common root
            if not self._channels_last or is_memory(str(error)):
                raise
            self._arrange(channels_last=False)
            try:
                return self._called([self._tensor(array) for array in inputs])
            except Exception:
                self._arrange(channels_last=True)  # it was something else
                raise

    def _arrange(self, channels_last: bool) -> None:
        """Put the weights of convolutions over planes into an order in memory."""
        torch = self._torch
        order = torch.channels_last if channels_last else torch.contiguous_format
        for weights in self._module.parameters():
            if weights.dim() == 4:
                weights.data = weights.data.contiguous(memory_format=order)
        self._channels_last = channels_last

    def _called(self, tensors: Sequence[Any]) -> Any:
        if self._takes_images:
            return torchvision_calls.call(self._module, tensors)
        return self._module(*tensors)

    def _tensor(self, array: NDArray[Any]) -> Any:
        if array.dtype.name not in _DTYPES:
            wide = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}
            array = cast(array, wide.get(array.dtype.name, np.float32))
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        if not array.flags.writeable:
            array = array.copy()  # PyTorch warns about memory that it must not write
        tensor = self._torch.from_numpy(array).to(self._device)
        if self._weights is not None and tensor.is_floating_point():
            tensor = tensor.to(self._weights)
        if tensor.dim() == 4 and self._channels_last:
            tensor = tensor.contiguous(memory_format=self._torch.channels_last)
        return tensor

    def close(self) -> None:
        """Drop the network; the engine cannot run afterwards."""
        self._module = None


def _not_opened(path: Path, error: Exception) -> str:
    if "torchvision::" in str(error):
        return (
            f"'{path.name}' calls operators of torchvision, which is not installed; "
            "install it with pip install torchvision."
        )
    newer = re.search(r"version (\d+)\D+supported\D+(\d+)", str(error), re.IGNORECASE)
    if newer is not None:
        import torch

        return (
            f"'{path.name}' has version {newer[1]} of TorchScript's format, and "
            f"PyTorch {torch.__version__} reads up to {newer[2]}; update torch, or "
            "export the network with an older one."
        )
    unknown = re.search(r"Unknown builtin op: ([\w:]+)", str(error))
    if unknown is not None:
        return (
            f"'{path.name}' uses the operator '{unknown[1]}', which PyTorch here does "
            "not have; update torch, or install the package that it comes from."
        )
    return (
        f"PyTorch could not open '{path.name}' (damaged, or of a newer version?); "
        f"download it again. PyTorch says: {reason(error)}"
    )


_BAKED = re.compile(
    r"device\(?[\"']*(cuda(?::\d+)?|mps|xpu)|from the '(CUDA|MPS|XPU)\w*' backend"
    r"|not compiled with (CUDA)|No (CUDA) GPUs|Found no NVIDIA driver"
)
"""How PyTorch says that a network asks for a device that is not there."""


_APART = re.compile(
    r"tensors to be on the same device|Input type \(torch\.(cuda|mps|xpu)"
)
"""How PyTorch says that some tensors of a network are on another device."""


def _is_apart(device: str, error: Exception) -> bool:
    return device != "cpu" and _APART.search(str(error)) is not None


def _not_run(
    path: Path, device: str, shapes: Sequence[tuple[int, ...]], error: Exception
) -> str:
    baked = _BAKED.search(str(error)) if device == "cpu" else None
    if baked is not None:
        wanted = next((part for part in baked.groups() if part), "cuda").lower()
        return (
            f"The device '{wanted}' is written into '{path.name}', as tracing on a GPU "
            "does, and this run is on the processor; export the network again with "
            "model.cpu() and example.cpu(), or choose that device where there is one."
        )
    if _is_apart(device, error):
        return (
            f"The processor is written into '{path.name}', as tracing on it does, and "
            f"this run is on '{device}'; choose the device 'cpu', or the ONNX weights."
        )
    return (
        f"PyTorch could not run the network on inputs of shape {list(shapes)}: "
        f"{reason(error)}"
    )


def _type_of(torch: Any, module: Any) -> Any:
    """The type of fractions that most of the weights have; None without any."""
    counts: dict[Any, int] = {}
    for weights in (*module.parameters(), *module.buffers()):
        if weights.is_floating_point():
            counts[weights.dtype] = counts.get(weights.dtype, 0) + weights.numel()
    return max(counts, key=lambda kind: counts[kind]) if counts else None


def _device(torch: Any, wanted: str) -> Any:
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except Exception as error:  # PyTorch's errors have no common root
        raise EngineError(
            f"PyTorch here cannot use the device '{wanted}' ({reason(error)}); "
            "choose 'cpu' or 'auto'."
        ) from error
    return device


def _flatten(torch: Any, result: Any) -> Iterator[Any]:
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from _flatten(torch, value)
    elif isinstance(result, (list, tuple)):
        for value in result:
            yield from _flatten(torch, value)
    elif result is not None:
        raise EngineError(
            f"The network gave a {type(result).__name__}, where a tensor, or a list, "
            "tuple or dict of tensors was expected."
        )


def _array(torch: Any, tensor: Any) -> NDArray[Any]:
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    try:
        array: NDArray[Any] = tensor.detach().cpu().numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise EngineError(
            "The network gave a tensor that is no plain array of numbers (sparse, "
            f"quantized or without values): {reason(error)}"
        ) from error
    return array


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
