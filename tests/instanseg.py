"""A network that ends as InstanSeg's do: in ids, nuclei first, then cells."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import yaml

_COUNT = itertools.count()

# Each pixel of an object takes the highest number among those that it is joined with.
_SOURCE = """
def labelled(self, inside: Tensor) -> Tensor:
    size = inside.size(0) * inside.size(1)
    numbers = torch.arange(1, size + 1, dtype=torch.float32)
    ids = numbers.reshape(inside.size(0), inside.size(1)) * inside
    before = torch.zeros_like(ids)
    while not torch.equal(ids, before):
        before = ids
        ids = torch.max_pool2d(ids[None, None], [3, 3], [1, 1], [1, 1])[0, 0] * inside
    known = torch.unique(torch.cat([torch.zeros(1), ids.flatten()]))
    return torch.bucketize(ids, known).to(torch.float32)

def forward(self, x: Tensor, target_segmentation: Tensor = torch.ones([2]),
            min_size: int = 10, mask_threshold: float = 0.53) -> Tensor:
    x = torch.clamp_min_(torch.clamp_max_(x, 3.), -2.)
    grey = torch.mean(x, 1)[0]
    found: List[Tensor] = []
    for level in [LEVELS]:
        found.append(self.labelled((grey > level).to(torch.float32)))
    return torch.stack(found)[None]
"""


def network(path: Path, outputs: int = 2) -> Path:
    """Nuclei are brighter than 0.7, cells than 0.3; with one output the cells alone."""
    import torch

    levels = "0.7, 0.3" if outputs == 2 else "0.3"
    source = _SOURCE.replace("LEVELS", levels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what is used
        module = type(f"InstanSeg{next(_COUNT)}", (torch.jit.ScriptModule,), {})()
        module.define(source)
        torch.jit.save(module, str(path))
    return path


def description(outputs: int = 2, channels: int | None = 1) -> dict[str, Any]:
    """What InstanSeg's own export writes, for so many input channels; None: any."""
    return {
        "type": "model",
        "format_version": "0.4.10",
        "name": "fluorescence_nuclei_and_cells",
        "description": "InstanSeg model",
        "tags": ["cell-segmentation", "nuclei", "cells", "unet", "qupath", "instanseg"],
        "config": {
            "qupath": {
                "axes": [
                    {"role": "x", "step": 0.5, "unit": "um"},
                    {"role": "y", "step": 0.5, "unit": "um"},
                ]
            },
            "deepimagej": {"allow_tiling": True},
        },
        "inputs": [
            {
                "name": "raw",
                "axes": "bcyx",
                "data_type": "float32",
                "data_range": ["-inf", "inf"],
                "shape": {
                    "min": [1, channels or 1, 128, 128],
                    "step": [0, 0 if channels else 1, 32, 32],
                },
                "preprocessing": [
                    {
                        "name": "scale_range",
                        "kwargs": {
                            "axes": "xy",
                            "eps": 1e-6,
                            "min_percentile": 0.1,
                            "max_percentile": 99.9,
                            "mode": "per_sample",
                        },
                    }
                ],
            }
        ],
        "outputs": [
            {
                "name": "instance",
                "axes": "bcyx",
                "data_type": "float32",
                "data_range": ["-inf", "inf"],
                "shape": {
                    "reference_tensor": "raw",
                    "scale": [1.0, 0.0, 1.0, 1.0],
                    "offset": [0.0, outputs / 2, 0.0, 0.0],
                },
            }
        ],
        "weights": {"torchscript": {"source": "instanseg.pt"}},
    }


def folder(place: Path, outputs: int = 2, channels: int | None = 1) -> Path:
    """Write a model folder."""
    place.mkdir(parents=True)
    text = yaml.safe_dump(description(outputs, channels), sort_keys=False)
    (place / "rdf.yaml").write_text(text)
    network(place / "instanseg.pt", outputs)
    return place


def picture(cells: np.ndarray, nuclei: np.ndarray) -> np.ndarray:
    """An image of cells with nuclei, as labels: (Y, X) float32."""
    return np.where(nuclei > 0, 1.0, np.where(cells > 0, 0.5, 0.0)).astype(np.float32)
