"""Hostile input, tried on purpose: damaged files, absurd values, sudden death."""

from __future__ import annotations

from faults import (
    arrays,
    corrections,
    descriptions,
    imagefiles,
    kills,
    packages,
    places,
    power,
    promises,
    weights,
)
from faults.fault import Fault

ALL: dict[str, Fault] = {
    "promises": promises.KEPT,
    "batches": kills.BATCHES,
    "edits": kills.EDITS,
    "exports": kills.EXPORTS,
    "places": places.PLACES,
    "power": power.POWER,
    "descriptions": descriptions.READ,
    "described": descriptions.RUN,
    "onnx": weights.ONNX,
    "torchscript": weights.TORCH,
    "onnx-apart": weights.ONNX_APART,
    "torchscript-here": weights.TORCH_HERE,
    "arrays": arrays.ARRAYS,
    "layers": arrays.LAYERS,
    "imagefiles": imagefiles.FILES,
    "zips": packages.ZIPS,
    "recipes": packages.RECIPES,
    "predictions": packages.PREDICTIONS,
    "corrections": corrections.CORRECTIONS,
}
"""Every class of faults, by the word that asks for it."""
