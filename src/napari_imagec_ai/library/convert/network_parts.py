"""Layers of Keras networks as PyTorch modules: same numbers out, channels first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.keras_weights import Layer

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "elu": functional.elu,
    "celu": functional.celu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "log_sigmoid": functional.logsigmoid,
    "hard_sigmoid": lambda x: functional.relu6(x + 3) / 6,
    "hard_sigmoid_keras2": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "softplus": functional.softplus,
    "softsign": lambda x: x / (1 + torch.abs(x)),
    "swish": functional.silu,
    "silu": functional.silu,
    "hard_swish": functional.hardswish,
    "hard_silu": functional.hardswish,
    "mish": functional.mish,
    "exponential": torch.exp,
    "softmax": lambda x: torch.softmax(x, 1),
}
"""By the names that Keras has for them."""

_EPSILON = 1e-3
"""What Keras adds to the variance in batch normalisation."""


def activation(name: str | None) -> Callable[[Tensor], Tensor]:
    """One of Keras' activations, by its name; None is none.

    Raises
    ------
    ModelError
        If it is unknown.
    """
    found = _FUNCTIONS.get((name or "linear").lower())
    if found is None:
        known = ", ".join(word for word in _FUNCTIONS if "keras2" not in word)
        raise ModelError(
            f"Expected an activation out of {known}, found '{name}' in the "
            "configuration; this network cannot be rebuilt."
        )
    return found


class Conv(nn.Module):
    """A convolution with Keras' padding 'same', batch normalisation, activation.

    Parameters
    ----------
    layer : Layer
        Its kernel (space axes, in, out), and its bias if it has one.
    after : str or None
        Name of the activation.
    norm : Layer, optional
        Of the batch normalisation between them.
    stride : sequence of int
        One number for each space axis, or none for 1. Input sizes are multiples of it.
    """

    def __init__(
        self,
        layer: Layer,
        after: str | None = None,
        norm: Layer | None = None,
        stride: Sequence[int] = (),
    ) -> None:
        super().__init__()
        kernel = layer.weights["kernel"]
        dims = kernel.ndim - 2
        self.dims = dims
        self.stride = tuple(stride) or (1,) * dims
        self.channels_in, self.channels_out = kernel.shape[-2:]
        weight = np.moveaxis(kernel, (-1, -2), (0, 1))
        self.weight = _fixed(weight)
        bias = layer.weights.get("bias")
        self.bias = _fixed(np.zeros(self.channels_out) if bias is None else bias)
        # Keras pads so that each stride gives one pixel, the odd one at the end.
        pads: list[int] = []
        for size, step in zip(
            kernel.shape[:dims][::-1], self.stride[::-1], strict=True
        ):
            total = max(size - step, 0)
            pads += [total // 2, total - total // 2]
        self.pads = pads
        self.normalise = norm is not None
        if norm is not None:
            self._take(norm)
        self.activation = activation(after)

    def _take(self, norm: Layer) -> None:
        """Batch normalisation as it is after training: a factor and an addend."""
        values = {name: a.astype(np.float64) for name, a in norm.weights.items()}
        spread = np.sqrt(values["moving_variance"] + _EPSILON)
        factor = values.get("gamma", np.ones_like(spread)) / spread
        addend = values.get("beta", 0.0) - values["moving_mean"] * factor
        shape = (1, -1, *(1,) * self.dims)
        self.factor = _fixed(factor.reshape(shape))
        self.addend = _fixed(np.asarray(addend).reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to (B, C, [Z,] Y, X)."""
        if any(self.pads):
            x = functional.pad(x, self.pads)
        run = functional.conv3d if self.dims == 3 else functional.conv2d
        x = run(x, self.weight, self.bias, self.stride)
        if self.normalise:
            x = x * self.factor + self.addend
        return self.activation(x)


def _fixed(values: np.ndarray) -> nn.Parameter:
    array = np.ascontiguousarray(values, np.float32)
    return nn.Parameter(torch.from_numpy(array.copy()), requires_grad=False)


def pool(x: Tensor, size: Sequence[int]) -> Tensor:
    """The largest value of each box."""
    run = functional.max_pool3d if len(size) == 3 else functional.max_pool2d
    result: Tensor = run(x, tuple(size), tuple(size))
    return result


def repeat(x: Tensor, size: Sequence[int]) -> Tensor:
    """Each pixel a box of the same value."""
    factors = [float(n) for n in size]
    return functional.interpolate(x, scale_factor=factors, mode="nearest")
