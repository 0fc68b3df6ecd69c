"""A small U-Net for foreground and boundary of nuclei, and how to train it."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from nuclei_training_data import draw_batch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from nuclei_training_data import Sample

logger = logging.getLogger(__name__)

STEP = 8  # sizes must be multiples of it: three halvings
_BATCH = 8
_PEAK_RATE = 4e-3


class _ConvBlock(nn.Module):
    """3x3 convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv: nn.Conv2d = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.relu(self.norm(self.conv(x)))
        return out

    def fold(self) -> None:
        """Put the normalisation into the convolution."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class NucleiUNet(nn.Module):
    """U-Net with three halvings; (N, 1, Y, X) intensities to (N, 2, Y, X) logits.

    It has few convolutions at full size, where they cost most, and no statistics
    over the picture, so that a tile gives what the whole image gives.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (12, 24, 40, 64)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.enter = _ConvBlock(2, a)
        self.down1 = nn.Sequential(_ConvBlock(a, b), _ConvBlock(b, b))
        self.down2 = nn.Sequential(_ConvBlock(b, c), _ConvBlock(c, c))
        self.down3 = nn.Sequential(_ConvBlock(c, d), _ConvBlock(d, d))
        self.up2 = nn.Sequential(_ConvBlock(c + d, c), _ConvBlock(c, c))
        self.up1 = _ConvBlock(b + c, b)
        self.up0 = _ConvBlock(a + b, a)
        self.leave = nn.Conv2d(a, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Give the logits of an image whose sizes are multiples of `STEP`."""
        # The second copy is compressed, so that nuclei far fainter than the
        # brightest one remain visible.
        x = torch.cat([image, image / (image.abs() + 0.15)], dim=1)
        full = self.enter(x)
        half = self.down1(F.max_pool2d(full, 2))
        quarter = self.down2(F.max_pool2d(half, 2))
        deep = self.down3(F.max_pool2d(quarter, 2))
        y = self.up2(torch.cat([_doubled(deep), quarter], dim=1))
        y = self.up1(torch.cat([_doubled(y), half], dim=1))
        y = self.up0(torch.cat([_doubled(y), full], dim=1))
        out: Tensor = self.leave(y)
        return out


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _loss(logits: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross entropy plus Dice loss of either map."""
    entropy = F.binary_cross_entropy_with_logits(logits, maps, reduction="none")
    said = torch.sigmoid(logits) * weights
    true = maps * weights
    # Dice over the batch, not per crop: crops without nuclei would be all noise.
    overlap = (said * maps).sum(dim=(0, 2, 3))
    dice = 1 - (2 * overlap + 1) / (said.sum((0, 2, 3)) + true.sum((0, 2, 3)) + 1)
    return (entropy * weights).sum() / weights.sum() / 2 + 0.5 * dice.mean()


def _batch(
    rng: np.random.Generator, samples: list[Sample]
) -> tuple[Tensor, Tensor, Tensor]:
    images, maps, weights = draw_batch(rng, samples, _BATCH)
    image = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    return image, torch.from_numpy(maps), torch.from_numpy(weights)


def _blend(average: nn.Module, model: nn.Module, keep: float) -> None:
    """Move the averaged parameters a little towards the current ones."""
    with torch.no_grad():
        for mean, now in zip(average.parameters(), model.parameters(), strict=True):
            mean.lerp_(now, 1 - keep)


def _settle_norms(
    model: nn.Module, rng: np.random.Generator, samples: list[Sample], batches: int
) -> None:
    """Measure the statistics of the normalisation anew for averaged weights."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain mean over the batches
    model.train()
    with torch.no_grad():
        for _ in range(batches):
            model(_batch(rng, samples)[0])
    model.eval()


def train(samples: list[Sample], steps: int, seed: int) -> NucleiUNet:
    """Train a network and return it in evaluation mode, normalisation folded.

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
    model = NucleiUNet().to(memory_format=torch.channels_last)
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=_PEAK_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=_PEAK_RATE, total_steps=steps, pct_start=0.15
    )
    recent = []
    for step in range(1, steps + 1):
        images, maps, weights = _batch(rng, samples)
        loss = _loss(model(images), maps, weights)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        _blend(average, model, keep=min(0.99, step / (step + 10)))
        recent.append(loss.item())
        if step % 50 == 0 or step == steps:
            logger.info("step %d of %d: loss %.4f", step, steps, np.mean(recent))
            recent.clear()
    _settle_norms(average, rng, samples, batches=min(60, steps))
    return folded(average)


def folded(model: NucleiUNet) -> NucleiUNet:
    """Return a copy in evaluation mode without separate normalisation."""
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)
    for module in model.modules():
        if isinstance(module, _ConvBlock):
            module.fold()
    return model
