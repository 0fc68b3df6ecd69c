"""Losses of the cell detector, and how to train it."""

from __future__ import annotations

import copy
import logging
import math

import numpy as np
import torch
import torch.nn.functional as F
from cells_network import STRIDE, CellDetector, folded
from cells_training_data import UNDECIDED, Sample, Targets, draw_batch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

_BATCH = 8
_PEAK_RATE = 4e-3
_REACH = 20  # side of the windows for masks, in grid cells
_MASKS = 160  # largest number of masks to learn from in one batch


def _overlap(found: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
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


def _mask_loss(
    coefficients: Tensor, prototypes: Tensor, targets: list[Targets], places: Tensor
) -> Tensor:
    """Cross entropy inside the boxes, at full resolution, each cell weighted alike.

    ``places`` are batch, row, column and cell of each prediction (n, 4).
    """
    batch, rows, columns, cells = places.T
    height, width = prototypes.shape[2:]
    top = (rows - _REACH // 2).clamp(0, height - _REACH)
    left = (columns - _REACH // 2).clamp(0, width - _REACH)
    span = torch.arange(_REACH)
    y, x = top[:, None] + span, left[:, None] + span
    windows = prototypes.permute(0, 2, 3, 1)[
        batch[:, None, None], y[:, :, None], x[:, None, :]
    ]
    chosen = coefficients[batch, :, rows, columns]
    logits = torch.einsum("nyxc,nc->nyx", windows, chosen)
    # Readers enlarge the logits, so the loss sees what they will see.
    logits = F.interpolate(logits[:, None], scale_factor=STRIDE, mode="bilinear")[:, 0]
    labels = torch.from_numpy(np.stack([t.labels for t in targets])).long()
    fine = torch.arange(_REACH * STRIDE)
    y, x = STRIDE * top[:, None] + fine, STRIDE * left[:, None] + fine
    own = labels[batch[:, None, None], y[:, :, None], x[:, None, :]]
    true = (own == cells[:, None, None] + 1).float()
    boxes = torch.from_numpy(
        np.stack([targets[b].boxes[i] for b, i in zip(batch, cells, strict=True)])
    )
    x1, y1, x2, y2 = (edge[:, None, None] for edge in boxes.T)
    y, x = y[:, :, None], x[:, None, :]
    # A margin, since the boxes that will be found are not exact.
    inside = (x >= x1 - 2) & (x < x2 + 2) & (y >= y1 - 2) & (y < y2 + 2)
    loss = F.binary_cross_entropy_with_logits(logits, true, reduction="none") * inside
    return (loss.sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)).mean()


def _loss(model: CellDetector, images: Tensor, targets: list[Targets]) -> Tensor:
    """Objectness, class, box and mask losses, (4,); their sum is minimised."""
    logits, boxes, coefficients, prototypes = model.maps(images)
    owners = torch.from_numpy(np.stack([t.owners for t in targets]))
    batch, rows, columns = torch.nonzero(owners >= 0, as_tuple=True)
    if not len(batch):
        return F.softplus(logits[:, 0]).mean() * torch.ones(4)
    cells = owners[batch, rows, columns]
    firsts = np.cumsum([0, *(len(t.kinds) for t in targets)])[:-1]
    index = torch.from_numpy(firsts)[batch] + cells
    corners = torch.from_numpy(np.concatenate([t.boxes for t in targets]))[index]
    true = torch.cat(
        [(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], dim=1
    )
    iou, box = _overlap(boxes[batch, :, rows, columns], true)
    quality = torch.zeros_like(logits[:, 0])
    quality[batch, rows, columns] = iou.detach().clamp(0, 1)
    entropy = F.binary_cross_entropy_with_logits(
        logits[:, 0], quality, reduction="none"
    )
    # Focal: the many easy grid cells of the background must not drown the rest.
    focus = (quality - logits[:, 0].detach().sigmoid()).abs() ** 1.5
    entropy = entropy * focus * (owners != UNDECIDED)
    kinds = torch.from_numpy(np.concatenate([t.kinds for t in targets]))[index]
    true_kinds = F.one_hot(kinds, logits.shape[1] - 1).float()
    said = logits[batch, 1:, rows, columns]
    kind = F.binary_cross_entropy_with_logits(said, true_kinds)
    places = torch.stack([batch, rows, columns, cells], dim=1)
    places = places[torch.randperm(len(places))[:_MASKS]]
    mask = _mask_loss(coefficients, prototypes, targets, places)
    return torch.stack(
        [3 * entropy.sum() / len(batch), kind, 1.5 * box.mean(), 3 * mask]
    )


def _batch(
    rng: np.random.Generator, samples: list[Sample]
) -> tuple[Tensor, list[Targets]]:
    images, targets = draw_batch(rng, samples, _BATCH)
    tensor = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    return tensor, targets


def _settle_norms(
    model: nn.Module, rng: np.random.Generator, samples: list[Sample], batches: int
) -> None:
    """Measure the statistics of the normalisation anew for averaged weights."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # plain mean over the batches
    model.train()
    with torch.no_grad():
        for _ in range(batches):
            model(_batch(rng, samples)[0])
    model.eval()


def train(samples: list[Sample], steps: int, seed: int) -> CellDetector:
    """Train a detector and return it in evaluation mode, normalisation folded.

    Parameters
    ----------
    samples
        Scenes to draw crops from.
    steps
        Number of batches; the learning rate rises and falls over them.
    seed
        Of weights and crops.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = CellDetector().to(memory_format=torch.channels_last)
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=_PEAK_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=_PEAK_RATE, total_steps=steps, pct_start=0.1
    )
    recent = []
    for step in range(1, steps + 1):
        losses = _loss(model, *_batch(rng, samples))
        optimiser.zero_grad()
        losses.sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        keep = min(0.99, step / (step + 10))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        recent.append(losses.detach().numpy())
        if step % 50 == 0 or step == steps:
            parts = " ".join(f"{part:.3f}" for part in np.mean(recent, axis=0))
            logger.info("step %d of %d: losses %s", step, steps, parts)
            recent.clear()
    _settle_norms(average, rng, samples, batches=min(40, steps))
    return folded(average)
