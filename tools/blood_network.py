"""A small one-stage detector of boxes, in the layout of YOLOv5.

One prediction without anchors for each square of a grid of stride 8; the rows of the
output are box, objectness and classes.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from blood_images import CLASSES
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDE = 8
STEP = 32  # sizes must be multiples of it
_UNIT = 40.0  # pixels; a usual size of a cell


class _ConvBlock(nn.Module):
    """3x3 convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv: nn.Conv2d = nn.Conv2d(
            inputs, outputs, 3, stride=stride, padding=1, bias=False
        )
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.relu(self.norm(self.conv(x)))
        return out

    def fold(self) -> None:
        """Put the normalisation into the convolution."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class _Residual(nn.Module):
    """Two blocks whose result is added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(_ConvBlock(width, width), _ConvBlock(width, width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.blocks(x)
        return out


class BloodDetector(nn.Module):
    """Images (N, 3, Y, X) from 0 to 1, to rows (N, squares, 5 + classes)."""

    def __init__(self, widths: tuple[int, ...] = (16, 24, 40, 56, 64)) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(
            _ConvBlock(3, a, 2), _ConvBlock(a, b, 2), _Residual(b)
        )
        self.eighth = nn.Sequential(_ConvBlock(b, c, 2), _Residual(c))
        self.deep16 = nn.Sequential(_ConvBlock(c, d, 2), _Residual(d), _Residual(d))
        self.deep32 = nn.Sequential(_ConvBlock(d, e, 2), _Residual(e), _Residual(e))
        self.up16 = _ConvBlock(d + e, d)
        self.up8 = _ConvBlock(c + d, c)
        self.what = _ConvBlock(c, c)
        self.which = nn.Conv2d(c, 1 + len(CLASSES), 1)
        self.where = _ConvBlock(c, c)
        self.extent = nn.Conv2d(c, 4, 1)
        # Few squares hold an object: begin by expecting none.
        nn.init.constant_(self.which.bias[:1], -4.0)
        nn.init.normal_(self.extent.weight, std=0.01)
        nn.init.zeros_(self.extent.bias)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of objectness and classes, and boxes cx, cy, w, h in pixels."""
        eighth = self.eighth(self.stem(images))
        sixteenth = self.deep16(eighth)
        y = self.up16(torch.cat([_doubled(self.deep32(sixteenth)), sixteenth], dim=1))
        y = self.up8(torch.cat([_doubled(y), eighth], dim=1))
        return self.which(self.what(y)), _decoded(self.extent(self.where(y)))

    def forward(self, images: Tensor) -> Tensor:
        """Give the rows in the published layout."""
        logits, boxes = self.maps(images)
        rows = torch.cat([boxes, torch.sigmoid(logits)], dim=1)
        return rows.flatten(2).transpose(1, 2)


def _decoded(raw: Tensor) -> Tensor:
    rows, columns = raw.shape[2], raw.shape[3]
    y = STRIDE * (torch.arange(rows, dtype=torch.float32) + 0.5)
    x = STRIDE * (torch.arange(columns, dtype=torch.float32) + 0.5)
    places = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)])
    size = _UNIT * torch.exp(raw[:, 2:].clamp(-3.0, 2.5))
    return torch.cat([places + 8.0 * raw[:, :2], size], dim=1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def folded(model: BloodDetector) -> BloodDetector:
    """Return a copy in evaluation mode without separate normalisation."""
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)
    for module in model.modules():
        if isinstance(module, _ConvBlock):
            module.fold()
    return model
