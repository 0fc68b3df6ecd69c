"""Make the models and sample images that come with napari-imagec-ai.

    python tools/train_demo_models.py [MODEL ...] [--out DIR] [--steps N]
        [--nuclei FOLDER] [--blood FOLDER] [--state DIR] [--minutes N]

Two of the models learn from images of others, which are not part of this project:

- ``nuclei-unet``: stage 1 of the Data Science Bowl 2018, BBBC038v1 of the Broad
  Bioimage Benchmark Collection (CC0), https://bbbc.broadinstitute.org/BBBC038, in the
  layout that `nuclei_images` tells.
- ``blood-yolov5``: the BCCD Dataset (MIT licence),
  https://github.com/Shenggan/BCCD_Dataset, in the layout that `blood_images` tells.

Their trainings can be stopped: with ``--state`` they go on where they were. Needs
torch, onnx, onnxruntime, numpy, scipy, scikit-image, tifffile, PyYAML and
bioimageio.spec. Equal seeds give equal results on the same machine and versions, if a
training runs in one go and for a number of steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import blood_images
import blood_package
import blood_training
import cells_evaluation
import cells_package
import cells_training
import cells_training_data
import nuclei_images
import nuclei_package
import nuclei_training
import numpy as np
import sample_images
import torch
from nuclei_training import Stage
from synthetic_nuclei import make_scene

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
_SCENE_SEED, _TRAINING_SEED, _EVALUATION_SEED, _EXAMPLE_SEED = 20261, 7, 7130, 4251
_CELLS_SEED = 20262
_DRAWN_SIDE = 320
_NOT_MEASURED = "Not measured yet: run `python -m benchmarks.accuracy`."


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
    nuclei, blood
        Folders of images.
    state
        Folder for the states of trainings.
    minutes
        For a training, instead of steps.
    begun_from
        Weights that the nuclei network starts from.
    """

    out: Path
    steps: int | None
    scenes: int | None
    threads: int
    nuclei: Path | None = None
    blood: Path | None = None
    state: Path | None = None
    minutes: float | None = None
    begun_from: Path | None = None

    def stage(self, name: str, steps: int) -> Stage:
        """How far to train a model that is trained in stages."""
        state = None if self.state is None else self.state / f"{name}.state.pt"
        return Stage(state, self.steps or steps, self.minutes)

    def images(self, name: str) -> Path:
        """The folder of images that a model is trained on."""
        folder: Path | None = getattr(self, name)
        if folder is None:
            raise SystemExit(f"Give the folder of the images with --{name}.")
        return folder


def make_nuclei_unet(job: Job) -> None:
    """Train and write models/nuclei-unet; its README is told what was measured."""
    folder = job.images("nuclei")
    names, kept_back = nuclei_images.split(folder)
    samples = nuclei_images.load(folder, names)
    drawn = []
    seeds = np.random.SeedSequence(_SCENE_SEED).spawn(job.scenes or 100)
    for number, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        image, labels = make_scene(rng, (_DRAWN_SIDE, _DRAWN_SIDE))
        drawn.append(nuclei_images.sample(f"drawn{number}", image, labels))
    logger.info("%d images, %d drawn scenes", len(samples), len(drawn))
    stage = dataclasses.replace(job.stage("nuclei", 8000), begun_from=job.begun_from)
    model = nuclei_training.train(samples, drawn, stage, _TRAINING_SEED)
    about = {
        "images": len(samples),
        "drawn": len(drawn),
        "steps": f"{stage.done:,}",
        "validation": len(kept_back),
        "table": _NOT_MEASURED,
    }
    nuclei_package.write_model(model, job.out / "nuclei-unet", _EXAMPLE_SEED, about)


def make_blood_yolov5(job: Job) -> None:
    """Train and write models/blood-yolov5; its README is told what was measured."""
    folder = job.images("blood")
    smears = blood_images.load(folder, "train")
    stage = job.stage("blood", 4000)
    model = blood_training.train(smears, stage, _TRAINING_SEED)
    about = {
        "images": len(smears),
        "steps": f"{stage.done:,}",
        "validation": len(blood_images.load(folder, "val")),
        "table": _NOT_MEASURED,
    }
    blood_package.write_model(model, job.out / "blood-yolov5", _EXAMPLE_SEED, about)


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
    "blood-yolov5": make_blood_yolov5,
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
    parser.add_argument("--nuclei", type=Path, help="folder of BBBC038v1")
    parser.add_argument("--blood", type=Path, help="folder of the BCCD Dataset")
    parser.add_argument("--state", type=Path, help="folder for unfinished trainings")
    parser.add_argument("--minutes", type=float, help="for a training, not steps")
    parser.add_argument(
        "--begun-from", type=Path, help="weights.pt that nuclei-unet starts from"
    )
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
    told = vars(arguments)
    names = (field.name for field in dataclasses.fields(Job))
    job = Job(**{name: told[name] for name in names})
    for name in arguments.models or MODELS:
        start = time.perf_counter()
        MODELS[name](job)
        logger.info("%s took %.0f s", name, time.perf_counter() - start)


if __name__ == "__main__":
    main()
