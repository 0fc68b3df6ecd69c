"""Cellpose's network (versions 1 to 3), rebuilt from the shapes of its weights.

Source: C. Stringer et al., "Cellpose: a generalist algorithm for cellular
segmentation", 2021. How layers are called is read off saved files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_imagec_ai.errors import ModelError

State = Mapping[str, Tensor]

_EPSILON = 1e-5
"""What is added to the variance in batch normalisation."""


class _Norm(nn.Module):
    """Batch normalisation as it is after training, then a convolution or none."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__()
        spread = torch.sqrt(_of(state, f"{name}.running_var").double() + _EPSILON)
        factor = _of(state, f"{name}.weight").double() / spread
        addend = _of(state, f"{name}.bias").double()
        addend = addend - _of(state, f"{name}.running_mean").double() * factor
        self.factor = _fixed(factor[None, :, None, None])
        self.addend = _fixed(addend[None, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.addend


class _Conv(nn.Module):
    """Normalise, cut off what is negative unless told not to, convolve."""

    def __init__(
        self, state: State, name: str, last: int = 2, positive: bool = True
    ) -> None:
        super().__init__()
        self.norm = _Norm(state, f"{name}.0")
        self.positive = positive
        self.weight = _fixed(_of(state, f"{name}.{last}.weight"))
        self.bias = _fixed(_of(state, f"{name}.{last}.bias"))
        self.channels_out, self.channels_in = self.weight.shape[:2]
        self.padding = self.weight.shape[-1] // 2

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        if self.positive:
            x = torch.relu(x)
        return functional.conv2d(x, self.weight, self.bias, padding=self.padding)


class _StyleConv(nn.Module):
    """A convolution of an image to which something of its style was added."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__()
        self.weight = _fixed(_of(state, f"{name}.full.weight"))
        self.bias = _fixed(_of(state, f"{name}.full.bias"))
        self.conv = _Conv(state, f"{name}.conv")

    def forward(self, style: Tensor, x: Tensor) -> Tensor:
        offset = functional.linear(style, self.weight, self.bias)
        result: Tensor = self.conv(x + offset[:, :, None, None])
        return result


class CellposeNetwork(nn.Module):
    """Flows along y and x, and how sure a pixel lies in an object: (B, 3, Y, X).

    Parameters
    ----------
    state : mapping of str to Tensor
        What the file holds.
    style : bool
        Whether the style of the whole window is used, as it is unless training was
        told otherwise; the weights do not tell.

    Attributes
    ----------
    channels : int
        Of the input.
    levels : int
        Sizes of the image that it looks at: a window is a multiple of
        ``2 ** (levels - 1)``.

    Raises
    ------
    ModelError
        If the state is not one of these networks.
    """

    def __init__(self, state: State, style: bool = True) -> None:
        super().__init__()
        self.residual = "downsample.down.res_down_0.conv.conv_0.0.weight" in state
        kind = "res" if self.residual else "conv"
        self.levels = _count(state, rf"downsample\.down\.{kind}_down_(\d+)\.")
        if not self.levels:
            raise ModelError(
                "Expected weights of a Cellpose network (versions 1 to 3), found "
                f"{_some(state)}; choose the file that Cellpose saved."
            )
        self.use_style = style
        self.down = nn.ModuleList(
            _Down(state, f"downsample.down.{kind}_down_{n}", self.residual)
            for n in range(self.levels)
        )
        self.up = nn.ModuleList(
            _Up(state, f"upsample.up.{kind}_up_{n}", self.residual)
            for n in range(self.levels)
        )
        self.output = _Conv(state, "output")
        self.channels = self.down[0].convs[0].channels_in

    def forward(self, x: Tensor) -> Tensor:
        """Of an image (B, C, Y, X)."""
        seen: list[Tensor] = []
        for n, layer in enumerate(self.down):
            x = layer(functional.max_pool2d(x, 2, 2) if n else x)
            seen.append(x)
        style = x.mean(dim=(2, 3))
        style = style / torch.sqrt((style * style).sum(1, keepdim=True))
        if not self.use_style:
            style = style * 0
        for n in reversed(range(self.levels)):
            if n < self.levels - 1:
                x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.up[n](x, seen[n], style)
        result: Tensor = self.output(x)
        return result


class _Down(nn.Module):
    def __init__(self, state: State, name: str, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        inner = f"{name}.conv.conv"
        number = 4 if residual else 2
        self.convs = nn.ModuleList(_Conv(state, f"{inner}_{n}") for n in range(number))
        self.along = (
            _Conv(state, f"{name}.proj", 1, positive=False) if residual else None
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.convs[1](self.convs[0](x))
        if self.along is None:
            return first  # type: ignore[no-any-return]
        x = self.along(x) + first
        result: Tensor = x + self.convs[3](self.convs[2](x))
        return result


class _Up(nn.Module):
    def __init__(self, state: State, name: str, residual: bool) -> None:
        super().__init__()
        inner = f"{name}.conv.conv"
        self.first = _Conv(state, f"{inner}_0")
        number = 3 if residual else 1
        self.styled = nn.ModuleList(
            _StyleConv(state, f"{inner}_{n}") for n in range(1, 1 + number)
        )
        self.along = (
            _Conv(state, f"{name}.proj", 1, positive=False) if residual else None
        )
        # What was seen on the way down is added, or put beside: then twice as many
        # channels go in.
        self.beside = self.styled[0].conv.channels_in == 2 * self.first.channels_out

    def forward(self, x: Tensor, seen: Tensor, style: Tensor) -> Tensor:
        inner = self.first(x)
        inner = torch.cat([seen, inner], 1) if self.beside else inner + seen
        inner = self.styled[0](style, inner)
        if self.along is None:
            return inner  # type: ignore[no-any-return]
        x = self.along(x) + inner
        result: Tensor = x + self.styled[2](style, self.styled[1](style, x))
        return result


def _count(state: State, pattern: str) -> int:
    found = [int(m.group(1)) for name in state if (m := re.match(pattern, name))]
    return max(found, default=-1) + 1


def _of(state: State, name: str) -> Tensor:
    if name not in state:
        raise ModelError(
            f"Expected weights of a Cellpose network (versions 1 to 3), found none "
            f"called '{name}'; the file belongs to another version or is damaged."
        )
    return state[name]


def _some(state: State) -> str:
    names = list(state)
    return f"{len(names)} tensors such as '{names[0]}'" if names else "none"


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach().float().contiguous(), requires_grad=False)
