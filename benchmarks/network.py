"""What a run costs beyond the network itself."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import napari_imagec_ai as ai
from napari_imagec_ai.engines import open_engine
from napari_imagec_ai.samples import sample_image

MODEL = Path(__file__).resolve().parents[1] / "models" / "nuclei-unet"
ROUNDS = 3


def table() -> list[str]:
    """Total time of predict and decode over time in the network, by image size."""
    model = ai.load_model(MODEL)
    sample = np.asarray(sample_image().data)
    lines = [
        "| image | engine | network | predict + decode | ratio | pixels computed |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for side in (512, 2048):
        tiled = np.tile(sample, (side // 512, side // 512))
        image = ai.ImageInput(tiled, "YX")
        for name in model.runnable:
            lines.append(_row(model, image, name, side))
    return lines


def _row(model: ai.Model, image: ai.ImageInput, name: str, side: int) -> str:
    engine = open_engine(model, name)
    ai.predict(model, image, engine=engine)  # the first call warms the runtime up
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        prediction = ai.predict(model, image, engine=engine)
        ai.decode(prediction)
        rounds.append((time.perf_counter() - started, prediction))
    engine.close()
    total, best = min(rounds, key=lambda each: each[0])
    ratio = total / best.network_seconds
    computed = _pixels(model, image) / side**2
    return (
        f"| {side} x {side} | {name} | {best.network_seconds:.2f} s | {total:.2f} s | "
        f"{ratio:.2f} | {computed:.2f} x |"
    )


def _pixels(model: ai.Model, image: ai.ImageInput) -> int:
    """Pixels that the network computes for an image."""
    from napari_imagec_ai.limits import geometry
    from napari_imagec_ai.tiling import plan_tiles

    shape = geometry(model, "YX")
    tiles = plan_tiles(image.shape, shape.limits, shape.budget)
    return sum(tile.pixels for tile in tiles)
