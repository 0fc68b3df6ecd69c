"""Make the models and sample images that come with napari-imagec-ai.

    python tools/train_demo_models.py [nuclei-unet] [--out DIR] [--steps N]

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

import nuclei_evaluation
import sample_images
import torch
from nuclei_network import train
from nuclei_package import predict_with, write_model
from nuclei_training_data import make_samples

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
_SCENE_SEED, _TRAINING_SEED, _EVALUATION_SEED, _EXAMPLE_SEED = 20261, 7, 7130, 4251


@dataclass(frozen=True)
class Job:
    """What a run shall make, and how thoroughly.

    Attributes
    ----------
    out
        Folder of the model folders.
    steps, scenes
        Training batches and synthetic scenes.
    threads
        Number of CPU threads, and of processes that draw scenes.
    """

    out: Path
    steps: int
    scenes: int
    threads: int


def make_nuclei_unet(job: Job) -> None:
    """Train, score and write models/nuclei-unet."""
    samples = make_samples(_SCENE_SEED, job.scenes, job.threads)
    logger.info("drew %d scenes", len(samples))
    model = train(samples, job.steps, _TRAINING_SEED)
    scores = nuclei_evaluation.score(partial(predict_with, model), _EVALUATION_SEED)
    table = nuclei_evaluation.as_markdown(scores)
    logger.info("held-out scenes:\n%s", table)
    about = {"scenes": job.scenes, "steps": job.steps, "table": table}
    write_model(model, job.out / "nuclei-unet", _EXAMPLE_SEED, about)


MODELS: dict[str, Callable[[Job], None]] = {"nuclei-unet": make_nuclei_unet}


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
    parser.add_argument("--steps", type=int, default=1600, help="fewer to try it out")
    parser.add_argument("--scenes", type=int, default=640, help="fewer to try it out")
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
