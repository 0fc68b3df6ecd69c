"""Builds a network of somebody's code and writes it as ONNX, in a process of its own.

This file is run as a script by :mod:`.state_dict`, never imported by the package: it
executes code of strangers. What it answers is data: ONNX and TorchScript in a numpy
archive.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import sys
import warnings
from typing import Any

PATHS = os.environ.get("IMAGEC_AI_PATHS", "").split(os.pathsep)
sys.path += [path for path in PATHS if path not in sys.path]

import numpy as np  # noqa: E402


def main() -> None:
    """Read the job, build, export, answer."""
    answer = os.fdopen(os.dup(1), "wb")
    # What the code prints is no answer, and nobody reads it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    archive = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    job = json.loads(bytes(archive["job"]))
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(2)
    state = torch.load(
        io.BytesIO(archive["state"].tobytes()), map_location="cpu", weights_only=True
    )
    load, no_grad, export = torch.nn.Module.load_state_dict, torch.no_grad, torch.onnx
    network = make(job)
    for key in ("model_state_dict", "state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    found = load(network, state, strict=False)
    if found.missing_keys or found.unexpected_keys:
        raise SystemExit(
            "the weights do not fit the network: "
            f"missing {found.missing_keys[:5]}, surplus {found.unexpected_keys[:5]}"
        )
    network.eval()
    inputs = tuple(torch.from_numpy(archive[f"input{n}"]) for n in range(job["inputs"]))
    written = io.BytesIO()
    with no_grad():
        export.export(
            network,
            inputs,
            written,
            dynamo=False,
            opset_version=job["opset"],
            input_names=job["input_names"],
            output_names=job["output_names"],
            dynamic_axes={
                name: {int(at): word for at, word in axes.items()}
                for name, axes in job["dynamic"].items()
            },
        )
        script = scripted(torch, network, inputs)
    with answer:
        np.savez(
            answer,
            onnx=np.frombuffer(written.getvalue(), np.uint8),
            torchscript=np.frombuffer(script, np.uint8),
        )


def scripted(torch: Any, network: Any, inputs: tuple[Any, ...]) -> bytes:
    """The network as TorchScript; nothing, where it does not give the same then."""
    file = io.BytesIO()
    try:
        traced = torch.jit.trace(network, inputs)
        torch.jit.save(traced, file)
    except Exception:  # noqa: BLE001  (of any network: ONNX is there already)
        return b""
    return file.getvalue()


def make(job: dict[str, Any]) -> Any:
    """The network, without weights."""
    if job["file"]:
        folder, name = os.path.split(job["file"])
        sys.path.insert(0, folder)
        module = builtins.__import__(os.path.splitext(name)[0])
    else:
        module = builtins.__import__(job["module"], fromlist=[job["callable"]])
    return getattr(module, job["callable"])(**job["kwargs"])


if __name__ == "__main__":
    main()
