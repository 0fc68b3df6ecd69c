"""Networks that the zoo's descriptions name: real ones of packages, or stand-ins."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_BIAPY = {
    "U_Net": "unet",
    "ResUNet": "resunet",
    "ResUNet_SE": "resunet_se",
    "ResUNetPlusPlus": "resunet++",
    "Attention_U_Net": "attention_unet",
    "SE_U_Net": "seunet",
    "MultiResUnet": "multiresunet",
    "UNETR": "unetr",
    "U_NeXt_V1": "unext_v1",
    "U_NeXt_V2": "unext_v2",
    "HighResolutionNet": "hrnet",
}
"""BiaPy's classes, and the file of its package that each is in."""

_UNETPP = """
import segmentation_models_pytorch as smp


def UnetPlusPlusResNet34(in_channels, classes):
    return smp.UnetPlusPlus(
        "resnet34", encoder_weights=None, in_channels=in_channels, classes=classes
    )
"""

_STAND_IN = """
import torch
from torch import nn


class {name}(nn.Module):
    # First the axes are put in the order batch, channel, space; then back.
    def __init__(self, **kwargs):
        super().__init__()
        self.first = nn.Conv{dims}d({given}, 8, 3, padding=1)
        self.last = nn.Conv{dims}d(8, {wanted}, 1)

    def forward(self, x):
        x = x.{into}
        x = self.last(torch.relu(self.first(x)))
        return x.{back}
"""


def named(entry: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Class or function of an architecture, and what it is called with."""
    told = entry["architecture"]
    if isinstance(told, Mapping):
        return str(told["callable"]), dict(told.get("kwargs") or {})
    name = str(told).rpartition(":")[2].rpartition(".")[2]
    return name, dict(entry.get("kwargs") or {})


def code_of(
    name: str, entry: Mapping[str, Any], described: Mapping[str, Any]
) -> tuple[str | None, str]:
    """Code of one file, None for a package's own; and where it comes from."""
    told = entry["architecture"]
    module = told.get("import_from") if isinstance(told, Mapping) else None
    if module and _installed(module):
        return None, f"the real network of {module.partition('.')[0]}"
    if name in _BIAPY and _installed("biapy"):
        return _biapy(_BIAPY[name]), "the real network of BiaPy"
    if name == "UnetPlusPlusResNet34" and _installed("segmentation_models_pytorch"):
        return _UNETPP, "the real network of segmentation_models_pytorch"
    return _stand_in(name, described), "a small network of its tensors (not on PyPI)"


def fitting(factory: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that the package's release of today still has."""
    taken = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return dict(kwargs)
    return {key: value for key, value in kwargs.items() if key in taken}


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _biapy(file: str) -> str:
    """One file with all that it needs of BiaPy, as BiaPy itself writes for the zoo."""
    spec = importlib.util.find_spec("biapy")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    seen: list[str] = []
    parts: list[str] = []

    def add(name: str) -> None:
        if name in seen:
            return
        seen.append(name)
        source = (folder / f"{name}.py").read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.ImportFrom) and "biapy" in (node.module or ""):
                add(str(node.module).rpartition(".")[2])
                for at in range(node.lineno - 1, node.end_lineno or node.lineno):
                    lines[at] = ""
        parts.append("\n".join(lines))

    add(file)
    return "\n\n".join(parts)


def _stand_in(name: str, described: Mapping[str, Any]) -> str:
    given, wanted = described["inputs"][0], described["outputs"][0]
    axes, channels = _layout(given)
    _, out = _layout(wanted)
    space = [axis for axis in axes if axis in "zyx"]
    order = [axes.index(axis) for axis in ("b", "c", *space) if axis in axes]
    into = f"permute({', '.join(map(str, order))})"
    back = f"permute({', '.join(str(order.index(n)) for n in range(len(order)))})"
    if "c" not in axes:
        into += ".unsqueeze(1)" if "b" in axes else "[None, None]"
        back = "squeeze(1)" if "b" in axes else "[0, 0]"
        into, back = into.removeprefix("permute(0)"), back
    return _STAND_IN.format(
        name=name,
        dims=len(space),
        given=channels,
        wanted=out,
        into=into,
        back=back,
    ).replace(".[", "[")


_SAVED = """
import json, sys
import tensorflow as tf
job = json.load(open(sys.argv[1]))
tf.keras.utils.set_random_seed(0)
class Net(tf.Module):
    def __init__(self):
        dims = len(job["axes"]) - 2
        layer = tf.keras.layers.Conv2D if dims == 2 else tf.keras.layers.Conv3D
        self.body = layer(8, 3, padding="same", activation="relu")
        self.heads = [layer(n, 1, activation="tanh") for n in job["outputs"]]
    def __call__(self, image):
        at = job["axes"].index("c")
        last = [n for n in range(len(job["axes"])) if n != at] + [at]
        back = [last.index(n) for n in range(len(last))]
        values = tf.transpose(tf.cast(image, tf.float32) / job["range"], last)
        hidden = self.body(values)
        return {f"z{9 - n}": tf.transpose(head(hidden), back)
                for n, head in enumerate(self.heads)}
net = Net()
spec = tf.TensorSpec(job["shape"], job["dtype"], name="image")
net(tf.zeros([s or 32 for s in job["shape"]], job["dtype"]))
call = tf.function(net.__call__, input_signature=[spec])
tf.saved_model.save(net, sys.argv[2], signatures={"serving_default": call})
"""

_RUN_SAVED = """
import sys
import numpy as np
import tensorflow as tf
call = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
values = np.load(sys.argv[2])
dtype = call.structured_input_signature[1]["image"].dtype
found = call(image=tf.cast(tf.constant(values), dtype))
np.savez(sys.argv[3], *[found[name].numpy() for name in sorted(found, reverse=True)])
"""


def saved_network(described: Mapping[str, Any], file: Path, python: str) -> Any:
    """A small SavedModel of a description's tensors, zipped; its own call."""
    axes, channels = _layout(described["inputs"][0])
    shape: list[int | None] = [None] * len(axes)
    shape[0], shape[axes.index("c")] = 1, channels
    dtype = str(described["inputs"][0].get("data_type", "float32"))
    job = {
        "axes": axes,
        "shape": shape,
        "dtype": dtype,
        "range": 255.0 if dtype == "uint8" else 1.0,
        "outputs": [_layout(tensor)[1] for tensor in described["outputs"]],
    }
    place = file.parent / "saved"
    told = file.with_suffix(".json")
    told.write_text(json.dumps(job), encoding="utf-8")
    subprocess.run([python, "-c", _SAVED, told, place], check=True, capture_output=True)
    told.unlink()
    shutil.make_archive(str(file.with_suffix("")), "zip", place)

    def call(values: Any) -> list[Any]:
        given, gave = file.with_suffix(".npy"), file.with_suffix(".npz")
        np.save(given, values)
        command = [python, "-c", _RUN_SAVED, place, given, gave]
        subprocess.run(command, check=True, capture_output=True)
        with np.load(gave) as archive:
            found = [archive[f"arr_{n}"] for n in range(len(archive.files))]
        given.unlink()
        gave.unlink()
        shutil.rmtree(place)
        return found

    return call


def _layout(tensor: Mapping[str, Any]) -> tuple[str, int]:
    """Axes as letters, and the number of channels."""
    axes = tensor["axes"]
    if isinstance(axes, str):
        shape = tensor.get("shape")
        sizes = shape if isinstance(shape, list) else (shape or {}).get("min")
        if sizes is None:  # of a reference: twice the offset, or as the input
            offsets = (shape or {}).get("offset") or [0] * len(axes)
            sizes = [round(2 * value) or 1 for value in offsets]
        return axes, int(sizes[axes.index("c")]) if "c" in axes else 1
    letters, channels = "", 1
    for axis in axes:
        kind = str(axis.get("type", "space"))
        letters += {"batch": "b", "channel": "c"}.get(kind) or str(
            axis.get("id") or "x"
        )
        if kind == "channel":
            channels = len(axis["channel_names"])
    return letters, channels


def keras_network(described: Mapping[str, Any], file: Path) -> Callable[..., Any]:
    """A small Keras network of a description's tensors, saved; its own call."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    axes, channels = _layout(described["inputs"][0])
    _, wanted = _layout(described["outputs"][0])
    dims = len(axes) - 2
    conv = keras.layers.Conv2D if dims == 2 else keras.layers.Conv3D
    pool = keras.layers.MaxPooling2D if dims == 2 else keras.layers.MaxPooling3D
    up = keras.layers.UpSampling2D if dims == 2 else keras.layers.UpSampling3D
    first = keras.Input((None,) * dims + (channels,))
    fine = conv(8, 3, padding="same", activation="relu")(first)
    coarse = keras.layers.BatchNormalization()(pool(2)(fine))
    coarse = conv(8, 3, padding="same", activation="elu")(coarse)
    joined = keras.layers.Concatenate()([up(2)(coarse), fine])
    last = conv(wanted, 1, activation="sigmoid")(joined)
    network = keras.Model(first, last)
    network.save(file)

    def call(values: Any) -> Any:
        return network(values).detach().cpu().numpy()

    return call
