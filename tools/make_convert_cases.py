"""Write small networks of StarDist and Cellpose and what they give, for the tests.

The package depends on neither; this is run by hand, from the root of the repository,
with environments of their own that lie elsewhere::

    ../stardist/bin/pip install "stardist==0.9.*" tensorflow
    ../stardist/bin/python tools/make_convert_cases.py stardist
    ../cellpose/bin/pip install "cellpose==2.2.*"
    ../cellpose/bin/python tools/make_convert_cases.py cellpose

All weights are random. What is written are ``tests/data/convert_stardist.npz`` and
``tests/data/convert_cellpose.npz``: for each case its files as bytes
(``NAME/config.json``), its input (``NAME/x``), and its outputs (``NAME/prob``,
``NAME/dist``, ``NAME/classes``, or ``NAME/y``).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"

Cases = dict[str, NDArray[Any]]

_FLAT = {"unet_n_filter_base": 4, "net_conv_after_unet": 6, "n_rays": 8}
_DEEP = {"n_rays": 10}
_UNET_3D = {"unet_n_filter_base": 2, "net_conv_after_unet": 4, "backbone": "unet"}
_RESNET = {"backbone": "resnet", "resnet_n_filter_base": 2, "net_conv_after_resnet": 4}

STARDIST: dict[str, dict[str, Any]] = {
    "plain": _FLAT | {"grid": (1, 1)},
    "grid_4_norm": _FLAT | {"grid": (4, 4), "unet_batch_norm": True},
    "colour_classes": _FLAT
    | {"grid": (2, 2), "n_channel_in": 3, "axes": "YXC", "n_classes": 2},
    "elu_even_kernel": _FLAT
    | {
        "grid": (1, 2),
        "unet_activation": "elu",
        "unet_last_activation": "tanh",
        "unet_kernel_size": (4, 4),
        "unet_n_depth": 1,
        "net_conv_after_unet": 0,
    },
    "volume_unet": _DEEP | _UNET_3D | {"grid": (1, 2, 2), "unet_pool": (1, 2, 2)},
    "volume_resnet": _DEEP
    | _RESNET
    | {"grid": (1, 2, 2), "resnet_batch_norm": True, "resnet_n_blocks": 3},
    "volume_resnet_classes": _DEEP
    | _RESNET
    | {"grid": (2, 4, 4), "n_classes": 2, "resnet_activation": "swish"},
}

CELLPOSE: dict[str, dict[str, Any]] = {
    "cyto_like": {"nbase": [2, 4, 8, 12]},
    "plain_convolutions": {"nbase": [2, 4, 8], "residual_on": False},
    "beside": {"nbase": [2, 4, 8], "concatenation": True},
    "one_channel_style_off": {"nbase": [1, 4, 8], "style_on": False},
}


def stardist_cases() -> Cases:
    """StarDist's own networks, weights and predictions."""
    from stardist.models import Config2D, Config3D, StarDist2D, StarDist3D

    random = np.random.default_rng(0)
    found: Cases = {}
    for name, settings in STARDIST.items():
        flat = len(settings["grid"]) == 2
        config = (Config2D if flat else Config3D)(**settings)
        with tempfile.TemporaryDirectory() as place:
            model = (StarDist2D if flat else StarDist3D)(
                config, name=name, basedir=place
            )
            for layer in model.keras_model.layers:
                layer.set_weights([_stirred(w, random) for w in layer.get_weights()])
            folder = Path(place) / name
            model.keras_model.save_weights(str(folder / "weights_best.h5"))
            for file in ("config.json", "weights_best.h5"):
                data = (folder / file).read_bytes()
                found[f"{name}/{file}"] = np.frombuffer(data, np.uint8)
        shape = (64, 64) if flat else (8, 16, 24)
        channels = (3,) if settings.get("n_channel_in") == 3 else ()
        image = random.random((*shape, *channels)).astype(np.float32)
        outputs = model.predict(image)
        found[f"{name}/x"] = image
        for key, values in zip(("prob", "dist", "classes"), outputs, strict=False):
            found[f"{name}/{key}"] = values
    return found


def _stirred(values: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    """Weights away from where they begin; variances stay above 0."""
    noise = random.normal(0, 0.05, values.shape)
    return values + np.where(values == 1, np.abs(noise), noise)


def cellpose_cases() -> Cases:
    """Cellpose's own networks and what they give."""
    import torch
    from cellpose.resnet_torch import CPnet

    random = np.random.default_rng(0)
    found: Cases = {}
    for number, (name, settings) in enumerate(CELLPOSE.items()):
        torch.manual_seed(number)
        settings = dict(settings)
        base = settings.pop("nbase")
        network = CPnet(base, 3, 3, **settings).eval()
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.2)
                part.running_var.uniform_(0.5, 1.5)
                part.weight.data.uniform_(0.5, 1.5)
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / name
            network.save_model(str(file))
            found[f"{name}/file"] = np.frombuffer(file.read_bytes(), np.uint8)
        image = random.random((1, base[0], 32, 48)).astype(np.float32)
        with torch.no_grad():
            found[f"{name}/y"] = network(torch.from_numpy(image))[0].numpy()
        found[f"{name}/x"] = image
    return found


if __name__ == "__main__":
    made = {"stardist": stardist_cases, "cellpose": cellpose_cases}[sys.argv[1]]()
    np.savez_compressed(DATA / f"convert_{sys.argv[1]}.npz", **made)
