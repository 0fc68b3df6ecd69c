"""A BioImage.IO folder whose weights are a PyTorch state dict, made to run by itself.

The network is code: of a stranger, in the folder, or of an installed package. It is run
once, alone (:mod:`.sandbox`), to write the network as ONNX and TorchScript; what comes
back is data.
"""

from __future__ import annotations

import io
import json
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.architecture import (
    Architecture,
    read_architecture,
)
from napari_imagec_ai.library.convert.described_folder import (
    DescribedFolder,
    weights_file,
)
from napari_imagec_ai.library.convert.rebuilt import OPSET
from napari_imagec_ai.library.convert.sandbox import (
    guards,
    run_alone,
)
from napari_imagec_ai.library.convert.torch_file import read_state
from napari_imagec_ai.model.description import FixedSize, Model
from napari_imagec_ai.run.published_tests import prepared, published_inputs
from napari_imagec_ai.system.safe_yaml import read_yaml

FORMAT = "pytorch_state_dict"


def read_state_dict_folder(
    model: Model, trust_code: bool, tick: Any
) -> DescribedFolder:
    """Build the network of a folder and write it as ONNX.

    Parameters
    ----------
    model : Model
        Whose only usable weights are a state dict.
    trust_code : bool
        Whether code that lies in the folder may run.
    tick : callable
        Gets a sentence before each step; may raise to stop.

    Raises
    ------
    ModelError
        If the code may not run, or fails, or the weights do not fit it.
    """
    rdf = read_yaml(model.source)
    entry = rdf["weights"][FORMAT]
    path = weights_file(model, FORMAT)
    made = read_architecture(entry, model.folder)
    if made.file is not None and not trust_code:
        raise ModelError(
            f"Building this network runs Python code of its folder once: "
            f"{made.shown()}; read it, and if you trust it, say so (--trust-code)."
        )
    if made.missing:
        names = " ".join(made.missing)
        raise ModelError(
            f"The network's code needs {', '.join(made.missing)}, which is not "
            f"installed here; install it (pip install {names}) and convert again."
        )
    read_state(path)  # a whole pickled program is refused in words
    tick("Building the network")
    answer = run_alone(
        _script(),
        _job(model, made, path),
        [model.folder],
        lambda: tick("Building the network"),
    )
    said = (guards(),) if made.file is not None else ()
    return DescribedFolder(
        model, FORMAT, "PyTorch state dict", rdf, *_networks_in(answer), said
    )


def _script() -> str:
    source = resources("napari_imagec_ai.library.convert") / "build_alone.py"
    return source.read_text(encoding="utf-8")


def _job(model: Model, made: Architecture, weights: Path) -> bytes:
    inputs = prepared(model, published_inputs(model))
    names = [f"input{n}" for n in range(len(inputs))]
    outputs = [f"output{n}" for n in range(len(model.outputs))]
    dynamic = {
        name: {
            str(at): f"{name}_{axis.name}"
            for at, axis in enumerate(spec.axes)
            if not isinstance(axis.size, FixedSize)
        }
        for name, spec in [
            *zip(names, model.inputs, strict=True),
            *zip(outputs, model.outputs, strict=True),
        ]
    }
    job = {
        "file": str(made.file.resolve()) if made.file else "",
        "module": made.module,
        "callable": made.callable,
        "kwargs": dict(made.kwargs),
        "inputs": len(inputs),
        "input_names": names,
        "output_names": outputs,
        "dynamic": {name: axes for name, axes in dynamic.items() if axes},
        "opset": OPSET,
    }
    try:
        told = json.dumps(job).encode()
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"Expected plain values as the architecture's kwargs, found others "
            f"({error}); correct the description."
        ) from error
    packed = io.BytesIO()
    arrays: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(array)
        for name, array in zip(names, inputs, strict=True)
    }
    arrays["job"] = np.frombuffer(told, np.uint8)
    arrays["state"] = np.frombuffer(weights.read_bytes(), np.uint8)
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def _networks_in(answer: bytes) -> tuple[bytes, bytes]:
    """What came back: ONNX, and TorchScript where there is any."""
    try:
        with np.load(io.BytesIO(answer), allow_pickle=False) as archive:
            return archive["onnx"].tobytes(), archive["torchscript"].tobytes()
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise ModelError(
            "The code of the network gave no ONNX file; export it by hand."
        ) from error
