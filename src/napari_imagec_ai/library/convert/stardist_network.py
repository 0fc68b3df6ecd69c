"""StarDist's networks, rebuilt from the weights that it saved.

Sources: U. Schmidt et al., "Cell Detection with Star-Convex Polygons", 2018; M. Weigert
et al., "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy",
2020. What the layers are called, and how they follow each other, is read off saved
files: ``config.json`` and the HDF5 weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.keras_weights import Layer, unnamed
from napari_imagec_ai.library.convert.network_parts import (
    Conv,
    activation,
    pool,
    repeat,
)

Config = dict[str, Any]

_SHORTEST = 1e-3
"""Pixels that StarDist takes a distance for at least, before it draws shapes."""


class _Weights:
    """Hands layers out in the order in which the network was made."""

    def __init__(self, layers: dict[str, Layer], dims: int) -> None:
        self.named = layers
        self.convolutions = iter(unnamed(layers, f"conv{dims}d"))
        self.norms = iter(unnamed(layers, "batch_normalization"))
        self.used: set[str] = set()

    def get(self, name: str) -> Layer:
        if name not in self.named:
            raise _missing(f"a layer '{name}'")
        return self._take(self.named[name])

    def conv(self) -> Layer:
        return self._take(_next(self.convolutions, "one more convolution"))

    def norm(self, wanted: bool) -> Layer | None:
        if not wanted:
            return None
        return self._take(_next(self.norms, "one more batch normalisation"))

    def _take(self, layer: Layer) -> Layer:
        self.used.add(layer.name)
        return layer

    def check_all_used(self) -> None:
        left = [name for name in self.named if name not in self.used]
        if left:
            raise ModelError(
                "Expected weights of the network in config.json, found layers that it "
                f"does not have ({', '.join(left[:5])}); the weights belong to another "
                "configuration."
            )


def _next(layers: Iterator[Layer], what: str) -> Layer:
    found = next(layers, None)
    if found is None:
        raise _missing(what)
    return found


def _missing(what: str) -> ModelError:
    return ModelError(
        f"Expected weights of the network in config.json, which has {what}, found none "
        "in the weights; they belong to another configuration."
    )


class StarDistNetwork(nn.Module):
    """Probability, distances and classes, one behind the other: (B, C, [Z,] Y, X).

    Parameters
    ----------
    config : dict
        What ``config.json`` holds.
    layers : dict of str to Layer
        The weights.

    Raises
    ------
    ModelError
        If the weights are not those of the configuration.
    """

    def __init__(self, config: Config, layers: dict[str, Layer]) -> None:
        super().__init__()
        self.dims = int(config["n_dim"])
        weights = _Weights(layers, self.dims)
        backbone = str(config.get("backbone", "unet")).lower()
        if backbone == "unet":
            self.body: nn.Module = _UNet(config, weights)
            prefix = "unet"
        elif backbone == "resnet":
            self.body = _ResNet(config, weights)
            prefix = "resnet"
        else:
            raise ModelError(
                f"Expected a backbone 'unet' or 'resnet', found '{backbone}' in "
                "config.json; this network cannot be rebuilt."
            )
        self.pooled = prefix == "unet"
        self.channels_in = self.body.channels_in
        after = config.get(f"{prefix}_activation")
        features = int(config.get(f"net_conv_after_{prefix}") or 0) > 0
        classes = config.get("n_classes") is not None
        self.features = Conv(weights.get("features"), after) if features else None
        self.prob = Conv(weights.get("prob"), "sigmoid")
        self.dist = Conv(weights.get("dist"))
        self.class_features = None
        self.classes = None
        if classes:
            if features:
                self.class_features = Conv(weights.get("features_class"), after)
            self.classes = Conv(weights.get("prob_class"), "softmax")
        weights.check_all_used()

    def forward(self, x: Tensor) -> Tensor:
        """Of an image (B, C, [Z,] Y, X)."""
        body = self.body(x)
        features = body if self.features is None else self.features(body)
        dist = torch.clamp(self.dist(features), min=_SHORTEST)
        found = [self.prob(features), dist]
        if self.classes is not None:
            if self.class_features is not None:
                body = self.class_features(body)
            found.append(self.classes(body))
        return torch.cat(found, 1)


def shrinking(config: Config) -> Iterator[tuple[int, ...]]:
    """By how much the network shrinks the image, step by step, to reach its grid."""
    grid = [int(step) for step in config["grid"]]
    done = [1] * len(grid)
    while done != grid:
        step = tuple(2 if g > d else 1 for g, d in zip(grid, done, strict=True))
        done = [d * s for d, s in zip(done, step, strict=True)]
        if any(d > g for d, g in zip(done, grid, strict=True)):
            raise ModelError(
                f"Expected a grid of powers of two in config.json, found {grid}."
            )
        yield step


class _UNet(nn.Module):
    """Down to the grid, then a U-Net."""

    def __init__(self, config: Config, weights: _Weights) -> None:
        super().__init__()
        after = config.get("unet_activation")
        last = config.get("unet_last_activation") or after
        norm = bool(config.get("unet_batch_norm"))
        depth = int(config["unet_n_depth"])
        each = int(config["unet_n_conv_per_depth"])
        prefix = str(config.get("unet_prefix") or "")
        self.pool = [int(n) for n in config["unet_pool"]]
        self.steps = list(shrinking(config))
        self.before = nn.ModuleList(
            nn.Sequential(*(Conv(weights.conv(), after) for _ in range(each)))
            for _ in self.steps
        )

        def conv(name: str, activation: str | None = after) -> Conv:
            return Conv(weights.get(prefix + name), activation, weights.norm(norm))

        self.down = nn.ModuleList(
            nn.Sequential(*(conv(f"down_level_{n}_no_{i}") for i in range(each)))
            for n in range(depth)
        )
        middle = [*range(each - 1), each]
        self.middle = nn.Sequential(*(conv(f"middle_{i}") for i in middle))
        convs = [m for m in self.modules() if isinstance(m, Conv)]
        self.channels_in = convs[0].channels_in
        up = []
        for n in reversed(range(depth)):
            *first, end = middle
            found = [conv(f"up_level_{n}_no_{i}") for i in first]
            found.append(conv(f"up_level_{n}_no_{end}", after if n > 0 else last))
            up.append(nn.Sequential(*found))
        self.up = nn.ModuleList(up)

    def forward(self, x: Tensor) -> Tensor:
        for step, convolve in zip(self.steps, self.before, strict=True):
            x = pool(convolve(x), step)
        skipped = []
        for convolve in self.down:
            x = convolve(x)
            skipped.append(x)
            x = pool(x, self.pool)
        x = self.middle(x)
        for convolve in self.up:
            x = convolve(torch.cat([repeat(x, self.pool), skipped.pop()], 1))
        return x


class _ResNet(nn.Module):
    """Two convolutions, then residual blocks, the first of which shrink to the grid."""

    def __init__(self, config: Config, weights: _Weights) -> None:
        super().__init__()
        steps = list(shrinking(config))
        dims = int(config["n_dim"])
        self.first = nn.Sequential(Conv(weights.conv()), Conv(weights.conv()))
        self.channels_in = self.first[0].channels_in
        blocks = []
        channels = self.first[-1].channels_out
        for n in range(int(config["resnet_n_blocks"])):
            step = steps[n] if n < len(steps) else (1,) * dims
            block = _Residual(config, weights, channels, step)
            channels = block.channels_out
            blocks.append(block)
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.blocks(self.first(x))
        return result


class _Residual(nn.Module):
    """Convolutions whose result is added to what came in."""

    def __init__(
        self, config: Config, weights: _Weights, channels: int, step: tuple[int, ...]
    ) -> None:
        super().__init__()
        after = config.get("resnet_activation")
        norm = bool(config.get("resnet_batch_norm"))
        number = int(config["resnet_n_conv_per_block"])
        convs = []
        for i in range(number):
            stride = step if i == 0 else ()
            layer, name = weights.conv(), after if i < number - 1 else None
            convs.append(Conv(layer, name, weights.norm(norm), stride))
        self.convs = nn.Sequential(*convs)
        self.channels_out = convs[-1].channels_out
        changes = any(n > 1 for n in step) or self.channels_out != channels
        self.along = Conv(weights.conv(), stride=step) if changes else None
        self.after = activation(after)

    def forward(self, x: Tensor) -> Tensor:
        along = x if self.along is None else self.along(x)
        return self.after(along + self.convs(x))
