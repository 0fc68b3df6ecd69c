"""What a run costs beyond the network itself."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import napari_imagec_ai as ai
from napari_imagec_ai.engines.opening_weights import open_engine
from napari_imagec_ai.image.samples import sample_image

ROOT = Path(__file__).resolve().parents[1]
RUNS = (
    (ROOT / "models" / "nuclei-unet", (512, 2048), ("onnx", "torchscript")),
    (
        ROOT.parent / "shared" / "models" / "unet2d_nuclei_broad",
        (2048, 4096),
        ("onnx", "torchscript"),
    ),
)
"""Models (the second where it is there), sides of images, engines."""

ROUNDS = 3


def table() -> list[str]:
    """Total time of predict and decode over time in the network, by image size."""
    head = (
        "model | image | engine | network | predict | decode | total / network | pixels"
    )
    lines = [f"| {head} |", "| --- | --- | --- |" + " ---: |" * 5]
    sample = np.asarray(sample_image().data)
    for path, sides, engines in RUNS:
        if not path.exists():
            continue
        model = ai.load_model(path)
        for side in sides:
            tiled = np.tile(sample, (side // 512, side // 512))
            for name in engines:
                image = ai.ImageInput(tiled, "YX")
                lines.append(f"| {path.name} | {_row(model, image, name, side)} |")
    return lines


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of one run, and the pixels that were computed."""

    network: float
    predict: float
    decode: float
    pixels: int

    @property
    def total(self) -> float:
        """Everything."""
        return self.predict + self.decode


def _row(model: ai.Model, image: ai.ImageInput, name: str, side: int) -> str:
    engine = open_engine(model, name)
    ai.predict(model, image, engine=engine)  # the first call warms the runtime up
    best = min(_rounds(model, image, engine), key=lambda each: each.total)
    engine.close()
    return (
        f"{side} x {side} | {name} | {best.network:.2f} s | {best.predict:.2f} s | "
        f"{best.decode:.2f} s | {best.total / best.network:.2f} | "
        f"{best.pixels / side**2:.2f} x"
    )


def _rounds(model: ai.Model, image: ai.ImageInput, engine: Any) -> Iterator[Round]:
    run, sizes = engine.run, []

    def counted(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        sizes.append(math.prod(inputs[0].shape[-2:]))
        return list(run(inputs))

    engine.run = counted
    for _ in range(ROUNDS):
        sizes.clear()
        started = time.perf_counter()
        prediction = ai.predict(model, image, engine=engine)
        middle = time.perf_counter()
        ai.decode(prediction)
        ended = time.perf_counter()
        network = prediction.network_seconds
        yield Round(network, middle - started, ended - middle, sum(sizes))
