"""Make the models and sample images that come with napari-imagec-ai.

    python tools/train_demo_models.py [MODEL ...] [--out DIR] [--steps N]

Needs torch, onnx, onnxruntime, numpy, scipy, scikit-image, tifffile, PyYAML and
bioimageio.spec. Equal seeds give equal results on the same machine and versions.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cells_evaluation
import cells_package
import cells_training
import cells_training_data
import nuclei_evaluation
import sample_images
import torch
from nuclei_network import train
from nuclei_package import predict_with, write_model
from nuclei_training_data import make_samples

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
_SCENE_SEED, _TRAINING_SEED, _EVALUATION_SEED, _EXAMPLE_SEED = 20261, 7, 7130, 4251
_CELLS_SEED = 20262


@dataclass(frozen=True)
class Job:
    """What a run shall make, and how thoroughly.

    Attributes
    ----------
    out
        Folder of the model folders.
    steps, scenes
        Training batches and synthetic scenes; None for as many as the model needs.
    threads
        Number of CPU threads, and of processes that draw scenes.
    """

    out: Path
    steps: int | None
    scenes: int | None
    threads: int


def make_nuclei_unet(job: Job) -> None:
    """Train, score and write models/nuclei-unet."""
    steps, scenes = job.steps or 1600, job.scenes or 640
    samples = make_samples(_SCENE_SEED, scenes, job.threads)
    logger.info("drew %d scenes", len(samples))
    model = train(samples, steps, _TRAINING_SEED)
    scores = nuclei_evaluation.score(partial(predict_with, model), _EVALUATION_SEED)
    table = nuclei_evaluation.as_markdown(scores)
    logger.info("held-out scenes:\n%s", table)
    about = {"scenes": scenes, "steps": steps, "table": table}
    write_model(model, job.out / "nuclei-unet", _EXAMPLE_SEED, about)


def make_cells_yolov5seg(job: Job) -> None:
    """Train, score and write models/cells-yolov5seg."""
    steps, scenes = job.steps or 1500, job.scenes or 420
    samples = cells_training_data.make_samples(_CELLS_SEED, scenes, job.threads)
    logger.info("drew %d scenes", len(samples))
    model = cells_training.train(samples, steps, _TRAINING_SEED)
    number = cells_evaluation.SCENES
    drawn = cells_evaluation.scenes(_EVALUATION_SEED, number)
    scores = cells_evaluation.score(partial(cells_package.predict_with, model), drawn)
    logger.info("held-out scenes:\n%s", cells_evaluation.as_markdown(scores))
    about = {"scenes": scenes, "steps": steps, "number": number}
    folder = job.out / "cells-yolov5seg"
    cells_package.write_model(model, folder, _EXAMPLE_SEED, scores, about)


MODELS: dict[str, Callable[[Job], None]] = {
    "nuclei-unet": make_nuclei_unet,
    "cells-yolov5seg": make_cells_yolov5seg,
}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help=f"default: {', '.join(MODELS)}"
    )
    parser.add_argument("--out", type=Path, default=_ROOT / "models")
    parser.add_argument(
        "--samples",
        type=Path,
        default=_ROOT / "src" / "napari_imagec_ai" / "data",
        help="folder for the sample images",
    )
    parser.add_argument("--steps", type=int, help="fewer to try it out")
    parser.add_argument("--scenes", type=int, help="fewer to try it out")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.models) - set(MODELS):
        parser.error(f"no model {', '.join(sorted(unknown))}; one of {list(MODELS)}")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    arguments = _arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    sample_images.write(arguments.samples, _EXAMPLE_SEED)
    job = Job(arguments.out, arguments.steps, arguments.scenes, arguments.threads)
    for name in arguments.models or MODELS:
        start = time.perf_counter()
        MODELS[name](job)
        logger.info("%s took %.0f s", name, time.perf_counter() - start)


if __name__ == "__main__":
    main()
