"""How much memory an image takes that does not fit: run by hand, it needs minutes.

    python -m benchmarks.large [SIDE ...]

Each image is a zarr array of 16 bits on the disk, run in a process of its own through
predict, decode and export with a tiny network.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import napari_imagec_ai as ai

SIDES = (10_000, 20_000)

_RDF = """
format_version: 0.5.4
type: model
name: Box
inputs:
  - id: raw
    axes: &axes
      - {type: batch}
      - {type: channel, channel_names: [foreground]}
      - {type: space, id: y, size: {min: 16, step: 16}, halo: 8}
      - {type: space, id: x, size: {min: 16, step: 16}, halo: 8}
    preprocessing:
      - {id: scale_range, kwargs: {min_percentile: 1, max_percentile: 99.8}}
outputs:
  - {id: probability, axes: *axes}
weights: {torchscript: {source: weights.pt}}
config: {napari_imagec_ai: {kind: foreground}}
"""


def make(folder: Path, side: int) -> None:
    """Write a network that blurs, and an image of blobs."""
    import torch
    import zarr
    from scipy.ndimage import gaussian_filter

    model = folder / "model"
    model.mkdir()
    (model / "rdf.yaml").write_text(_RDF)
    torch.jit.save(torch.jit.script(torch.nn.AvgPool2d(9, 1, 4)), model / "weights.pt")
    rng = np.random.default_rng(0)
    piece = np.zeros((1000, 1000), np.float32)
    piece[20::45, 20::45] = 1
    piece = gaussian_filter(piece, 6)
    noisy = 20_000 * piece / piece.max() + 1000 + rng.normal(0, 100, piece.shape)
    image = zarr.create_array(
        str(folder / "image.zarr"),
        shape=(side, side),
        chunks=piece.shape,
        dtype="uint16",
    )
    for y in range(0, side, 1000):
        for x in range(0, side, 1000):
            image[y : y + 1000, x : x + 1000] = noisy.astype(np.uint16)


def run(folder: Path) -> None:
    """Predict, decode and export; print a row's figures."""
    import zarr

    started = time.perf_counter()
    image = ai.ImageInput(zarr.open(str(folder / "image.zarr"), mode="r"), "YX")
    raw = ai.predict(ai.load_model(folder / "model"), image)
    objects = ai.decode(raw)
    for suffix in (".labels.tif", ".objects.csv", ".geojson"):
        ai.write(objects, folder / f"out{suffix}")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    network = f"{raw.network_seconds:.0f} s"
    print(f"{len(objects)} | {network} | {seconds:.0f} s | {peak:.2f} GB")


def table(sides: tuple[int, ...] = SIDES) -> list[str]:
    """A row for each image size."""
    lines = [
        "| image | objects | network | predict, decode, export | peak memory |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for side in sides:
        with tempfile.TemporaryDirectory() as place:
            make(Path(place), side)
            command = [sys.executable, "-m", "benchmarks.large", "run", place]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        lines.append(f"| {side} x {side} | {done.stdout.strip()} |")
    return lines


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(Path(sys.argv[2]))
    else:
        print("\n".join(table(tuple(map(int, sys.argv[1:])) or SIDES)))
