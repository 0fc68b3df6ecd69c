"""A foreign network that was rebuilt: what a converter hands on, and its two files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.package.description import Rdf, described
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.library.package.network import Network

OPSET = 17
"""Of the ONNX file: onnxruntime 1.17 and all later ones know it."""

TOLERANCE = 1e-4
"""By how much an output may differ from the original's, relative to its values."""


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """A network, and what its source says of it.

    Attributes
    ----------
    module : torch.nn.Module
        Takes one tensor along ``network.axes`` and gives one.
    network : Network
        Sizes that it takes and gives.
    facts : Facts
        For the description.
    source : dict
        Where it comes from, for ``config.napari_imagec_ai.converted_from``: ``kind``,
        ``file``, ``sha256``.
    more : dict
        What else the description gets: ``cite``, ``config``, ``preprocessing``.
    expected : (inputs, outputs) or None
        Arrays that the original is known to have given.
    said : tuple of str
        Sentences: what the source did not tell.
    """

    module: nn.Module
    network: Network
    facts: Facts
    source: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)
    expected: tuple[NDArray[Any], NDArray[Any]] | None = None
    said: tuple[str, ...] = ()

    def describe(self, path: Path, engine: Engine) -> Rdf:
        """The content of ``rdf.yaml``; see :data:`~.model_folder.Describe`."""
        rdf = described(path, self.network, self.facts)
        more = dict(self.more)
        steps = more.pop("preprocessing", None)
        if steps is not None:
            rdf["inputs"][0]["preprocessing"] = steps
        names = more.pop("input_channels", None)
        if names is not None:
            for axis in rdf["inputs"][0]["axes"]:
                if axis["type"] == "channel":
                    axis["channel_names"] = list(names)
        own = rdf["config"]["napari_imagec_ai"]
        own |= {"converted_from": dict(self.source)} | more.pop("own", {})
        rdf["config"] |= more.pop("config", {})
        return rdf | more


def write_weights(
    rebuilt: Rebuilt, folder: Path, tick: Callable[[str], None]
) -> dict[str, Path]:
    """Write a network as ONNX and TorchScript.

    Parameters
    ----------
    rebuilt : Rebuilt
        The network.
    folder : Path
        Where both files go.
    tick : callable
        Gets a sentence before each step; may raise to stop.

    Returns
    -------
    dict of str to Path
        By format.

    Raises
    ------
    ModelError
        If PyTorch cannot export it.
    """
    module = rebuilt.module.eval()
    network = rebuilt.network
    example = torch.from_numpy(_example(network.shape))
    sizes = {
        at: f"size_{axis}" for at, axis in enumerate(network.axes) if axis in "bzyx"
    }
    paths = {"onnx": folder / "weights.onnx", "torchscript": folder / "weights.pt"}
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter talks about itself, and checks of shapes are constants here.
        warnings.simplefilter("ignore")
        try:
            tick("Writing ONNX")
            torch.onnx.export(
                module,
                (example,),
                str(paths["onnx"]),
                dynamo=False,
                opset_version=OPSET,
                input_names=["image"],
                output_names=["output"],
                dynamic_axes={"image": sizes, "output": dict(sizes)},
            )
            tick("Writing TorchScript")
            torch.jit.trace(module, example, check_trace=False).save(
                str(paths["torchscript"])
            )
        except (RuntimeError, ValueError, TypeError) as error:
            raise ModelError(
                f"PyTorch could not export the network: {str(error).splitlines()[0]}"
            ) from error
    return paths


def run(module: nn.Module, values: NDArray[Any]) -> NDArray[np.float32]:
    """What the network gives."""
    with torch.no_grad():
        found = module.eval()(torch.from_numpy(np.ascontiguousarray(values)))
    return np.asarray(found)


def _example(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference, relative to values above 1."""
    if found.shape != expected.shape:
        return float("inf")
    scale = np.maximum(np.abs(expected), 1)
    return float(np.max(np.abs(found - expected) / scale, initial=0))
