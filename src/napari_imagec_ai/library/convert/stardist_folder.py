"""A StarDist folder, as training saves it: configuration, thresholds, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.keras_weights import read_layers
from napari_imagec_ai.library.convert.rebuilt import Rebuilt
from napari_imagec_ai.library.convert.stardist_network import (
    Config,
    StarDistNetwork,
)
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.library.package.network import Network
from napari_imagec_ai.library.package.output_geometry import Growth, Output, Span
from napari_imagec_ai.model.weights import sha256

WEIGHTS = ("weights_best.h5", "weights_last.h5", "weights_now.h5")
"""As training names them, the best first."""

_MOST_BYTES = 1 << 20

_NEEDED = ("n_dim", "n_rays", "grid", "n_channel_in")

_PAPERS = {
    2: (
        "Schmidt et al., Cell Detection with Star-Convex Polygons (2018)",
        "10.1007/978-3-030-00934-2_30",
    ),
    3: (
        "Weigert et al., Star-convex Polyhedra for 3D Object Detection (2020)",
        "10.1109/WACV45572.2020.9093435",
    ),
}


def is_stardist(folder: Path) -> bool:
    """Whether a folder looks like one, also like half of one."""
    if not folder.is_dir():
        return False
    if any((folder / name).is_file() for name in (*WEIGHTS, "thresholds.json")):
        return True
    try:
        return "n_rays" in _json(folder / "config.json")
    except ModelError:
        return False


def read_stardist(folder: Path) -> Rebuilt:
    """Rebuild the network of a folder.

    Raises
    ------
    ModelError
        If something is missing or does not fit together.
    """
    config = _config(folder)
    path = _weights(folder, config)
    layers = read_layers(path)
    module = StarDistNetwork(config, layers)
    _check(module, config)
    dims = int(config["n_dim"])
    thresholds = _thresholds(folder)
    classes = config.get("n_classes")
    said = []
    if not thresholds:
        said.append(
            "There is no thresholds.json in the folder; 0.5 and 0.4 were taken for "
            "the probability and the overlap."
        )
    settings: dict[str, Any] = {"rays": int(config["n_rays"])}
    settings |= {
        name: thresholds[key]
        for name, key in (("prob_threshold", "prob"), ("nms_threshold", "nms"))
        if key in thresholds
    }
    names: tuple[str, ...] = ()
    if classes is not None:
        settings["class_channels"] = int(classes) + 1
        names = tuple(f"class {n + 1}" for n in range(int(classes)))
    paper, doi = _PAPERS[dims]
    facts = Facts(
        decoder="stardist",
        classes=names,
        name=f"StarDist {folder.resolve().name}",
        description=f"StarDist network ({dims}D) converted from '{folder.name}'.",
        scaling="percentiles",
        output_channels=_channels(config),
        settings=settings,
    )
    return Rebuilt(
        module,
        _network(config, module),
        facts,
        {"kind": "StarDist", "file": path.name, "sha256": sha256(path)},
        {
            "cite": [{"text": paper, "doi": doi}],
            "config": {"stardist": {"config": config, "thresholds": thresholds}},
        },
        said=tuple(said),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"'{path.name}' is too large for settings of StarDist.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"Expected '{path.name}' in '{path.parent.name}', found none; give the "
            "whole folder that StarDist saved."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"Expected settings of StarDist in '{path.name}', found a file that cannot "
            f"be read ({error}); copy it again."
        ) from error
    if not isinstance(found, dict):
        raise ModelError(
            f"Expected settings of StarDist in '{path.name}', found something else; "
            "copy it again."
        )
    return found


def _config(folder: Path) -> Config:
    config = _json(folder / "config.json")
    missing = [name for name in _NEEDED if name not in config]
    if missing:
        raise ModelError(
            f"Expected {', '.join(missing)} in config.json of '{folder.name}', found "
            "none; give a folder that StarDist saved."
        )
    try:
        dims = int(config["n_dim"])
        grid = [int(n) for n in config["grid"]]
        fits = dims in (2, 3) and len(grid) == dims and int(config["n_rays"]) > dims
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ModelError(
            f"Expected 2 or 3 dimensions, a grid for each and the number of rays in "
            f"config.json of '{folder.name}', found n_dim {config['n_dim']!r}, grid "
            f"{config['grid']!r}, n_rays {config['n_rays']!r}."
        )
    return config


def _weights(folder: Path, config: Config) -> Path:
    named = [config.get("train_checkpoint"), *WEIGHTS]
    for name in named:
        # A name only: nothing outside of the folder is read.
        if isinstance(name, str) and Path(name).name == name and name:
            path = folder / name
            if path.is_file():
                return path
    others = sorted(folder.glob("*.h5"))
    if len(others) == 1:
        return others[0]
    raise ModelError(
        f"Expected weights ({', '.join(WEIGHTS)}) in '{folder.name}', found "
        f"{'several others' if others else 'none'}; give the whole folder that "
        "StarDist saved."
    )


def _thresholds(folder: Path) -> dict[str, float]:
    if not (folder / "thresholds.json").is_file():
        return {}
    found = _json(folder / "thresholds.json")
    values = {}
    for key in ("prob", "nms"):
        value = found.get(key)
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ModelError(
                f"Expected a number from 0 to 1 for '{key}' in thresholds.json, found "
                f"{value!r}; correct it or remove the file."
            )
        values[key] = float(value)
    return values


def _check(module: StarDistNetwork, config: Config) -> None:
    """Whether configuration and weights speak of the same network."""
    classes = config.get("n_classes")
    for what, expected, found in (
        ("rays", int(config["n_rays"]), module.dist.channels_out),
        ("channels of the image", int(config["n_channel_in"]), module.channels_in),
        (
            "classes with the background",
            0 if classes is None else int(classes) + 1,
            0 if module.classes is None else module.classes.channels_out,
        ),
    ):
        if expected != found:
            raise ModelError(
                f"Expected weights with {expected} {what}, as config.json says, found "
                f"{found}; the weights belong to another configuration."
            )


def _channels(config: Config) -> tuple[str, ...]:
    rays = (f"distance{n}" for n in range(int(config["n_rays"])))
    classes = config.get("n_classes")
    named = () if classes is None else range(int(classes) + 1)
    return ("probability", *rays, *(f"class{n}" for n in named))


def _network(config: Config, module: StarDistNetwork) -> Network:
    dims = int(config["n_dim"])
    space = "zyx"[-dims:]
    grid = [int(n) for n in config["grid"]]
    steps = list(grid)
    if module.pooled:
        pool = [int(n) for n in config["unet_pool"]]
        depth = int(config["unet_n_depth"])
        steps = [g * p**depth for g, p in zip(grid, pool, strict=True)]
    usual = {"z": 32, "y": 256, "x": 256} if dims == 2 else {"z": 32, "y": 64, "x": 64}
    spans = {
        axis: Span(max(step, (64 if axis != "z" else 8) // step * step), step)
        for axis, step in zip(space, steps, strict=True)
    }
    sizes = [
        max(spans[axis].least, usual[axis] // step * step)
        for axis, step in zip(space, steps, strict=True)
    ]
    channels = len(_channels(config))
    return Network(
        f"bc{space}",
        "image",
        (1, int(config["n_channel_in"]), *sizes),
        spans,
        (
            Output(
                "output",
                (1, channels, *(n // g for n, g in zip(sizes, grid, strict=True))),
                {a: Growth(1 / g, 0) for a, g in zip(space, grid, strict=True)},
                f"bc{space}",
            ),
        ),
    )
