"""What a file that PyTorch saved holds, without executing any of it."""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_imagec_ai.errors import ModelError

_MOST_PICKLE = 64 << 20


def is_torch_file(path: Path) -> bool:
    """Whether PyTorch wrote the file, whatever its name is."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError:
        return False
    return zipfile.is_zipfile(path) or head[:1] == b"\x80"


def names_in(path: Path) -> frozenset[str]:
    """Files inside the archive, without the folder that all lie in."""
    if not zipfile.is_zipfile(path):
        return frozenset()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return frozenset(name.partition("/")[2] for name in names)


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: tensors by name.

    Parameters
    ----------
    path : Path
        A state dict, or a training checkpoint that holds one.

    Raises
    ------
    ModelError
        If it holds a whole pickled network, or no tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of pickles that it then refuses
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"Expected a state dict in '{path.name}', found a whole pickled program "
            f"({', '.join(sorted(packages_in(path))) or 'unknown classes'}), which is "
            "never opened; save model.state_dict() instead."
        ) from error
    except (RuntimeError, OSError, EOFError, KeyError, ValueError) as error:
        raise ModelError(
            f"Expected a state dict in '{path.name}', found a file that PyTorch cannot "
            f"read ({_first_line(error)}); copy it again."
        ) from error
    state = _state_in(held)
    if not state:
        raise ModelError(
            f"Expected a state dict in '{path.name}', found {type(held).__name__} "
            "without tensors; save model.state_dict()."
        )
    return state


def _state_in(held: Any) -> dict[str, Tensor]:
    """Tensors by name; checkpoints of trainers hold them one floor lower."""
    if not isinstance(held, Mapping):
        return {}
    for key in ("model_state_dict", "state_dict", "model", "net", "network_weights"):
        inner = held.get(key)
        if isinstance(inner, Mapping) and any(
            isinstance(value, Tensor) for value in inner.values()
        ):
            held = inner
            break
    tensors = {str(k): v for k, v in held.items() if isinstance(v, Tensor)}
    # Trained on several processors, each name has a word in front.
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name[len("module.") :]: v for name, v in tensors.items()}
    return tensors


def packages_in(path: Path) -> frozenset[str]:
    """Packages whose classes a pickle names, read without executing it."""
    return frozenset(name.partition(".")[0] for name in _modules_in(_pickle(path)))


def _pickle(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return file.read(_MOST_PICKLE)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("data.pkl"):
                with archive.open(name) as file:
                    return file.read(_MOST_PICKLE)
    return b""


def _modules_in(data: bytes) -> Iterator[str]:
    recent: list[str] = []
    try:
        for opcode, value, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL" and isinstance(value, str):
                yield value.partition(" ")[0]
            elif opcode.name == "STACK_GLOBAL" and len(recent) > 1:
                yield recent[-2]
            elif isinstance(value, str):
                recent = [*recent[-3:], value]
    except ValueError:
        return


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
