"""A small U-Net that tells foreground, boundary and depth of nuclei."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STEP = 8  # sizes must be multiples of it: three halvings
MAPS = 3  # foreground, boundary, depth


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
    """U-Net on squares of 2 x 2 pixels; (N, 1, Y, X) intensities to (N, 3, Y, X).

    All convolutions work at half the size, where they cost a quarter; the last one
    gives the four pixels of each square. There are no statistics over the picture, so
    that a tile gives what the whole image gives.
    """

    def __init__(self, widths: tuple[int, int, int] = (24, 48, 96)) -> None:
        super().__init__()
        a, b, c = widths
        self.enter = nn.Sequential(_ConvBlock(8, a), _ConvBlock(a, a))
        self.down1 = nn.Sequential(_ConvBlock(a, b), _ConvBlock(b, b))
        self.down2 = nn.Sequential(*(_ConvBlock(n, c) for n in (b, c, c, c)))
        self.up1 = nn.Sequential(_ConvBlock(b + c, b), _ConvBlock(b, b))
        self.up0 = nn.Sequential(_ConvBlock(a + b, a), _ConvBlock(a, a))
        self.leave = nn.Conv2d(a, 4 * MAPS, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Give the logits of an image whose sizes are multiples of `STEP`."""
        # The second copy is compressed, so that nuclei far fainter than the
        # brightest one remain visible.
        x = torch.cat([image, image / (image.abs() + 0.15)], dim=1)
        half = self.enter(F.pixel_unshuffle(x, 2))
        quarter = self.down1(F.max_pool2d(half, 2))
        deep = self.down2(F.max_pool2d(quarter, 2))
        y = self.up1(torch.cat([_doubled(deep), quarter], dim=1))
        y = self.up0(torch.cat([_doubled(y), half], dim=1))
        return F.pixel_shuffle(self.leave(y), 2)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def unfold(model: NucleiUNet, weights: Path, images: Tensor) -> None:
    """Take the weights of a finished network, whose normalisation is folded.

    Parameters
    ----------
    model
        Takes them, in place.
    weights
        TorchScript file as `nuclei_package` writes it.
    images
        (N, 1, Y, X) to learn the statistics of each layer from: normalised by them and
        scaled back, a layer gives what it gave.
    """
    found = torch.jit.load(str(weights), map_location="cpu").state_dict()
    given = {name.removeprefix("model."): value for name, value in found.items()}
    model.leave.weight.data.copy_(given.pop("leave.weight"))
    model.leave.bias.data.copy_(given.pop("leave.bias"))  # type: ignore[union-attr]
    model.eval()
    for name, block in model.named_modules():
        if isinstance(block, _ConvBlock):
            block.conv.weight.data.copy_(given.pop(f"{name}.conv.weight"))
            norm = block.norm
            norm.weight.data.fill_((1 + norm.eps) ** 0.5)
            norm.bias.data.copy_(given.pop(f"{name}.conv.bias"))
            block.conv.register_forward_hook(partial(_learn_statistics, norm))
    if given:
        raise ValueError(f"the network has no {', '.join(given)}")
    with torch.no_grad():
        model(images)
    for block in model.modules():
        if isinstance(block, _ConvBlock):
            block.conv._forward_hooks.clear()


def _learn_statistics(
    norm: nn.BatchNorm2d, _conv: nn.Module, _given: object, result: Tensor
) -> None:
    mean = result.mean(dim=(0, 2, 3))
    variance = result.var(dim=(0, 2, 3))
    norm.running_mean.copy_(mean)  # type: ignore[union-attr]
    norm.running_var.copy_(variance)  # type: ignore[union-attr]
    norm.weight.data.copy_((variance + norm.eps).sqrt())
    norm.bias.data.add_(mean)


def folded(model: NucleiUNet) -> NucleiUNet:
    """Return a copy in evaluation mode without separate normalisation."""
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)
    for module in model.modules():
        if isinstance(module, _ConvBlock):
            module.fold()
    return model
