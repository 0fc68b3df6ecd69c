"""A small one-stage detector with mask prototypes, in the layout of YOLOv5-seg.

One prediction without anchors for each cell of a grid of stride 4. The rows of the
first output are box, objectness, classes and mask coefficients; the second output
holds the prototypes, whose weighted sums are the logits of the masks.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from synthetic_cells import CLASSES
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDE = 4  # of grid and prototypes
STEP = 16  # sizes must be multiples of it
PROTOTYPES = 24
_UNIT = 24.0  # pixels; a usual size of a cell
_WAVES = (24.0, 48.0, 96.0)  # wavelengths in pixels


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


def grid(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Pixel coordinates (1, Y, X) x and y of the middles of the grid cells."""
    y = STRIDE * (torch.arange(rows, dtype=torch.float32) + 0.5)
    x = STRIDE * (torch.arange(columns, dtype=torch.float32) + 0.5)
    return x.expand(1, rows, columns), y[:, None].expand(1, rows, columns)


def waves(rows: int, columns: int) -> Tensor:
    """Plane waves (1, C, Y, X) that tell places within some 50 pixels apart.

    Sums of waves of suitable phase are large at one place only: they let the mask
    coefficients choose among cells that look the same and share a box.
    """
    x, y = grid(rows, columns)
    diagonal = math.sqrt(0.5)
    channels = []
    for length in _WAVES:
        for u in (x, y, (x + y) * diagonal, (x - y) * diagonal):
            phase = u * (2 * math.pi / length)
            channels += [phase.sin(), phase.cos()]
    return torch.cat(channels)[None]


class CellDetector(nn.Module):
    """Images (N, 3, Y, X) from 0 to 1, to rows (N, cells, C) and prototypes."""

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 48, 64)) -> None:
        super().__init__()
        a, b, c, d = widths
        places = 8 * len(_WAVES)
        self.stem = nn.Sequential(_ConvBlock(3, a, 2), _ConvBlock(a, b, 2))
        self.quarter = _Residual(b)
        self.eighth = nn.Sequential(_ConvBlock(b, c, 2), _Residual(c))
        self.deep = nn.Sequential(_ConvBlock(c, d, 2), _Residual(d))
        self.up8 = nn.Sequential(_ConvBlock(c + d, c), _ConvBlock(c, c))
        self.up4 = _ConvBlock(b + c, b)
        self.what = _ConvBlock(b, b)
        self.which = nn.Conv2d(b, 1 + len(CLASSES), 1)
        self.where = _ConvBlock(b + places, b + 16)
        self.extent = nn.Conv2d(b + 16, 4, 1)
        self.mix = nn.Conv2d(b + 16 + places, PROTOTYPES, 1)
        self.shape = _ConvBlock(b + places, b + 16)
        self.prototype = nn.Conv2d(b + 16 + places, PROTOTYPES, 1)
        # Few grid cells hold an object: begin by expecting none.
        nn.init.constant_(self.which.bias[:1], -4.0)
        nn.init.normal_(self.extent.weight, std=0.01)
        nn.init.zeros_(self.extent.bias)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of objectness and classes, boxes, coefficients and prototypes.

        All are (N, C, Y / 4, X / 4); boxes are cx, cy, w, h in pixels.
        """
        quarter = self.quarter(self.stem(images))
        eighth = self.eighth(quarter)
        y = self.up8(torch.cat([_doubled(self.deep(eighth)), eighth], dim=1))
        y = self.up4(torch.cat([_doubled(y), quarter], dim=1))
        rows, columns = images.shape[2] // STRIDE, images.shape[3] // STRIDE
        place = waves(rows, columns).expand(images.shape[0], -1, -1, -1)
        placed = torch.cat([y, place], dim=1)
        where = self.where(placed)
        boxes = _decoded(self.extent(where), *grid(rows, columns))
        coefficients = self.mix(torch.cat([where, place], dim=1))
        shapes = torch.cat([self.shape(placed), place], dim=1)
        return self.which(self.what(y)), boxes, coefficients, self.prototype(shapes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give rows and prototypes in the published layout."""
        logits, boxes, coefficients, prototypes = self.maps(images)
        rows = torch.cat([boxes, torch.sigmoid(logits), coefficients], dim=1)
        return rows.flatten(2).transpose(1, 2), prototypes


def _decoded(raw: Tensor, x: Tensor, y: Tensor) -> Tensor:
    middle = torch.stack([x, y], dim=1) + 8.0 * raw[:, :2]
    size = _UNIT * torch.exp(raw[:, 2:].clamp(-3.0, 2.0))
    return torch.cat([middle, size], dim=1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def folded(model: CellDetector) -> CellDetector:
    """Return a copy in evaluation mode without separate normalisation."""
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)
    for module in model.modules():
        if isinstance(module, _ConvBlock):
            module.fold()
    return model
