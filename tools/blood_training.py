"""Losses of the blood detector, and how it is trained: in stages that are kept."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from blood_crops import UNDECIDED, Picture, draw_batch
from blood_images import Smear
from blood_network import BloodDetector, folded
from nuclei_training import Stage, blend, save
from torch import Tensor, nn

logger = logging.getLogger(__name__)

_BATCH = 8
_RATE = 3e-3
_WARM_UP = 200  # steps
_KEEP = 0.998
_SETTLE = 0.6
_SAVE_EVERY = 250


def overlap(found: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """IoU, and loss from the complete IoU, of boxes (n, 4) cx, cy, w, h."""
    low = torch.maximum(found[:, :2] - found[:, 2:] / 2, true[:, :2] - true[:, 2:] / 2)
    high = torch.minimum(found[:, :2] + found[:, 2:] / 2, true[:, :2] + true[:, 2:] / 2)
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = found[:, 2:].prod(dim=1) + true[:, 2:].prod(dim=1)
    iou = shared / (areas - shared + 1e-6)
    hull = (found[:, 2:] + true[:, 2:] - (high - low)) ** 2  # of the common box
    apart = ((found[:, :2] - true[:, :2]) ** 2).sum(1) / (hull.sum(1) + 1e-6)
    slant = torch.atan(true[:, 2] / true[:, 3]) - torch.atan(found[:, 2] / found[:, 3])
    aspect = 4 / math.pi**2 * slant**2
    with torch.no_grad():
        weight = aspect / (1 - iou + aspect + 1e-6)
    return iou, 1 - iou + apart + weight * aspect


def _loss(
    logits: Tensor, boxes: Tensor, pictures: list[Picture], owners: Tensor
) -> Tensor:
    """Objectness, class and box losses, (3,); their sum is minimised."""
    batch, rows, columns = torch.nonzero(owners >= 0, as_tuple=True)
    cells = owners[batch, rows, columns]
    firsts = np.cumsum([0, *(len(p.kinds) for p in pictures)])[:-1]
    index = torch.from_numpy(firsts)[batch] + cells
    corners = torch.from_numpy(np.concatenate([p.boxes for p in pictures]))[index]
    true = torch.cat(
        [(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], dim=1
    )
    iou, box = overlap(boxes[batch, :, rows, columns], true)
    quality = torch.zeros_like(logits[:, 0])
    quality[batch, rows, columns] = iou.detach().clamp(0, 1)
    entropy = F.binary_cross_entropy_with_logits(
        logits[:, 0], quality, reduction="none"
    )
    # Focal: the many easy squares of the background must not drown the rest.
    focus = (quality - logits[:, 0].detach().sigmoid()).abs() ** 1.5
    entropy = entropy * focus * (owners != UNDECIDED)
    kinds = torch.from_numpy(np.concatenate([p.kinds for p in pictures]))[index]
    true_kinds = F.one_hot(kinds, logits.shape[1] - 1).float()
    # Each class counts alike, however rare it is.
    number = true_kinds.sum(0, keepdim=True).clamp(min=1)
    weight = (true_kinds / number).sum(1) ** 0.5
    weight = weight / weight.mean()
    said = logits[batch, 1:, rows, columns]
    kind = F.binary_cross_entropy_with_logits(said, true_kinds, reduction="none")
    kind = (kind.mean(1) * weight).mean()
    return torch.stack(
        [3 * entropy.sum() / max(len(batch), 1), kind, 1.5 * (box * weight).mean()]
    )


def _rate(progress: float, step: int) -> float:
    warm = min(1.0, step / _WARM_UP)
    fall = max(0.0, (progress - _SETTLE) / (1 - _SETTLE))
    return _RATE * warm * (0.5 + 0.5 * math.cos(math.pi * min(fall, 1.0))) + 1e-6


def train(
    smears: list[Smear],
    stage: Stage,
    seed: int,
    watch: Callable[[BloodDetector, int], None] | None = None,
    watch_every: int = 500,
) -> BloodDetector:
    """Train a detector and return it in evaluation mode, normalisation folded.

    Parameters
    ----------
    smears
        Photographs to draw pictures from.
    stage
        How far to go.
    seed
        Of weights and pictures.
    watch
        Is given the averaged network and the step.
    watch_every
        How often, in steps.
    """
    torch.manual_seed(seed)
    model = BloodDetector().to(memory_format=torch.channels_last)
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=1e-2)
    step, progress = 0, 0.0
    if stage.state is not None and stage.state.exists():
        kept = torch.load(stage.state, weights_only=True)
        model.load_state_dict(kept["model"])
        average.load_state_dict(kept["average"])
        optimiser.load_state_dict(kept["optimiser"])
        step = kept["step"]
        logger.info("going on after step %d", step)
    rng = np.random.default_rng((seed, step))
    begin, recent = time.monotonic(), []
    while progress < 1:
        step += 1
        progress = step / stage.steps
        if stage.minutes is not None:
            progress = (time.monotonic() - begin) / 60 / stage.minutes
        for group in optimiser.param_groups:
            group["lr"] = _rate(progress, step)
        images, pictures, owners = draw_batch(rng, smears, _BATCH)
        if not (owners >= 0).any():
            continue
        tensor = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
        model.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits, boxes = model.maps(tensor)
        losses = _loss(
            logits.float(), boxes.float(), pictures, torch.from_numpy(owners)
        )
        optimiser.zero_grad()
        losses.sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        blend(average, model, keep=min(_KEEP, step / (step + 10)))
        recent.append(losses.detach().numpy())
        if step % 100 == 0:
            parts = " ".join(f"{part:.3f}" for part in np.mean(recent, axis=0))
            logger.info("step %d, %.0f %%: losses %s", step, 100 * progress, parts)
            recent.clear()
        if stage.state is not None and (step % _SAVE_EVERY == 0 or progress >= 1):
            save(stage.state, model, average, optimiser, step)
        if watch is not None and step % watch_every == 0:
            watch(folded(average), step)
    stage.done = step
    return folded(average)
