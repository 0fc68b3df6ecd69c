"""How the nuclei network is trained: in stages whose state is kept in a file."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from nuclei_crops import draw_batch
from nuclei_images import Sample
from nuclei_network import NucleiUNet, folded, unfold
from torch import Tensor, nn

logger = logging.getLogger(__name__)

_BATCH = 8
_RATE = 3e-3
_RATE_AGAIN = 1.5e-3  # for a network that has learned before
_WARM_UP = 200  # steps
_KEEP = 0.998  # of the averaged weights at each step
_SETTLE = 0.65  # from this share of the training on the rate falls
_SAVE_EVERY = 250  # steps


@dataclass
class Stage:
    """How far a training shall go.

    Attributes
    ----------
    state
        File from which it goes on, if it is there, and into which it is saved.
    steps
        Batches of the whole training; the learning rate falls to 0 with the last.
    minutes
        Instead: time for the whole training from now on, whatever number of steps
        that gives.
    begun_from
        TorchScript file of a finished network; the training starts from its weights,
        at a lower rate, where there is no state yet.
    done
        Steps so far; counted in training.
    """

    state: Path | None = None
    steps: int = 8000
    minutes: float | None = None
    begun_from: Path | None = None
    done: int = 0


def _loss(logits: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross entropy of all maps, and Dice loss of foreground and boundary."""
    entropy = F.binary_cross_entropy_with_logits(logits, maps, reduction="none")
    scale = torch.tensor([1.0, 1.0, 1.5])[None, :, None, None]
    said = torch.sigmoid(logits[:, :2]) * weights
    true = maps[:, :2] * weights
    # Dice over the batch, not per crop: crops without nuclei would be all noise.
    overlap = (said * maps[:, :2]).sum(dim=(0, 2, 3))
    dice = 1 - (2 * overlap + 1) / (said.sum((0, 2, 3)) + true.sum((0, 2, 3)) + 1)
    return (entropy * weights * scale).sum() / weights.sum() / 2 + 0.5 * dice.mean()


def _share(samples: list[Sample]) -> np.ndarray:
    """Odds of each image: those with more nuclei have more to teach."""
    odds = np.array([max(s.labels.max(), 4) ** 0.5 for s in samples], float)
    return np.asarray(odds / odds.sum())


def blend(average: nn.Module, model: nn.Module, keep: float) -> None:
    """Move the averaged weights and statistics a little towards the current ones."""
    now = model.state_dict()
    with torch.no_grad():
        for name, mean in average.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(now[name], 1 - keep)


def _rate(highest: float, progress: float, step: int) -> float:
    warm = min(1.0, step / _WARM_UP)
    fall = max(0.0, (progress - _SETTLE) / (1 - _SETTLE))
    return highest * warm * (0.5 + 0.5 * math.cos(math.pi * min(fall, 1.0))) + 1e-6


def train(
    samples: list[Sample],
    drawn: list[Sample],
    stage: Stage,
    seed: int,
    watch: Callable[[NucleiUNet, int], None] | None = None,
    watch_every: int = 500,
) -> NucleiUNet:
    """Train a network and return it in evaluation mode, normalisation folded.

    Parameters
    ----------
    samples, drawn
        Real images and drawn scenes; one crop in six is of a drawn scene.
    stage
        How far to go.
    seed
        Of weights and crops.
    watch
        Is given the averaged network and the step.
    watch_every
        How often, in steps.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng((seed, 0))
    everything = [*samples, *drawn]
    odds = np.concatenate([_share(samples) * (5 / 6 if drawn else 1)]
                          + ([_share(drawn) / 6] if drawn else []))  # fmt: skip
    highest = _RATE
    model = NucleiUNet().to(memory_format=torch.channels_last)
    if stage.begun_from is not None:
        highest = _RATE_AGAIN
        crops = draw_batch(rng, everything, odds, 64)[0]
        unfold(model, stage.begun_from, torch.from_numpy(crops))
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=highest, weight_decay=1e-2)
    step, progress = 0, 0.0
    if stage.state is not None and stage.state.exists():
        kept = torch.load(stage.state, weights_only=True)
        model.load_state_dict(kept["model"])
        average.load_state_dict(kept["average"])
        optimiser.load_state_dict(kept["optimiser"])
        step = kept["step"]
        logger.info("going on after step %d", step)
    rng = np.random.default_rng((seed, step))
    # Numbers of half the length are faster only where the processor counts in them.
    halves = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    begin, recent = time.monotonic(), []
    while progress < 1:
        step += 1
        progress = step / stage.steps
        if stage.minutes is not None:
            progress = (time.monotonic() - begin) / 60 / stage.minutes
        for group in optimiser.param_groups:
            group["lr"] = _rate(highest, progress, step)
        images, maps, weights = map(
            torch.from_numpy, draw_batch(rng, everything, odds, _BATCH)
        )
        model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=halves):
            logits = model(images.contiguous(memory_format=torch.channels_last))
        loss = _loss(logits.float(), maps, weights)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        blend(average, model, keep=min(_KEEP, step / (step + 10)))
        recent.append(loss.item())
        if step % 100 == 0:
            logger.info(
                "step %d, %.0f %%: loss %.4f", step, 100 * progress, np.mean(recent)
            )
            recent.clear()
        if stage.state is not None and (step % _SAVE_EVERY == 0 or progress >= 1):
            save(stage.state, model, average, optimiser, step)
        if watch is not None and step % watch_every == 0:
            watch(folded(average), step)
    stage.done = step
    return folded(average)


def save(
    path: Path, model: nn.Module, average: nn.Module,
    optimiser: torch.optim.Optimizer, step: int,
) -> None:  # fmt: skip
    """Keep the state of a training in a file that is replaced as a whole."""
    part = path.with_suffix(".part")
    torch.save(
        {
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
        },
        part,
    )
    part.replace(path)
