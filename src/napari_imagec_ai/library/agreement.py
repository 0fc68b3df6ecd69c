"""Whether objects are those that were published with a model.

Descriptions whose output ends in ``stardist_postprocessing`` or
``cellpose_flow_dynamics`` publish labels, where the network gives maps: these are
decoded with the description's settings, and compared with the labels object by object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.decoding import decode
from napari_imagec_ai.errors import DecodeError, ImagecAIError
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.run.feed.feed import from_network

LEAST = 0.98
"""Mean overlap (intersection over union) with the published objects."""

MOST_MISSED = 0.01
"""Part of the published objects by which the number may differ."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well objects agree.

    Attributes
    ----------
    published, found : int
        How many there are.
    overlap : float
        Mean over the published objects of the overlap with the best of those found.
    """

    published: int
    found: int
    overlap: float

    @property
    def enough(self) -> bool:
        """Whether the objects are the same, but for pixels at their rims."""
        missed = abs(self.found - self.published)
        return missed <= MOST_MISSED * self.published and self.overlap >= LEAST

    def __str__(self) -> str:
        return (
            f"{self.found} objects of {self.published}, mean overlap {self.overlap:.3f}"
        )


def compare_objects(
    model: Model,
    outputs: Sequence[NDArray[Any]],
    spec: TensorSpec,
    published: NDArray[Any],
) -> Agreement:
    """Decode what the network gave, and compare with published labels.

    Parameters
    ----------
    model : Model
        Its settings are used.
    outputs : sequence of array
        Of one call of the network.
    spec : TensorSpec
        The output that was published.
    published : array
        Its labels, in the axes of the description.

    Raises
    ------
    ImagecAIError
        If the maps cannot be decoded, or lie on other pixels than the labels.
    """
    space = "".join(spec.space).upper()
    truth = _plane(published, spec)
    maps: Mapping[str, NDArray[np.float32]] = {
        own.id: from_network(array, own, space)
        for own, array in zip(model.outputs, outputs, strict=False)
        if own.space == spec.space
    }
    size = next(iter(maps.values())).shape[1:]
    grid = [max(round(t / n), 1) for n, t in zip(size, truth.shape, strict=True)]
    ends = zip(grid, size, truth.shape, strict=True)
    if any(abs(g * n - t) >= g for g, n, t in ends):
        raise DecodeError(
            f"Expected maps on the pixels of the published labels, {truth.shape}, or "
            f"on a coarser grid, found {size}; the description and the weights "
            "disagree."
        )
    prediction = Prediction(
        model=model,
        frame=Frame(space, truth.shape, (1.0,) * len(space)),
        space=space,
        maps=maps,
        engine="",
        device="",
        network_seconds=0.0,
        network_calls=1,
    )
    objects = decode(prediction)
    if not isinstance(objects, Objects):
        raise ImagecAIError(f"'{model.name}' gave no objects to compare.")
    return agreement(truth, objects.as_labels())


def _plane(labels: NDArray[Any], spec: TensorSpec) -> NDArray[np.int64]:
    """Labels (Y, X) or (Z, Y, X): the first where there are several."""
    letters = [axis.name for axis in spec.axes]
    index = tuple(slice(None) if name in spec.space else 0 for name in letters)
    order = [name for name in letters if name in spec.space]
    plane = np.asarray(labels)[index].transpose([order.index(n) for n in spec.space])
    known, numbers = np.unique(np.rint(plane), return_inverse=True)
    return numbers.reshape(plane.shape) + int(known[0] != 0)


def agreement(truth: NDArray[Any], found: NDArray[Any]) -> Agreement:
    """Compare two label images of one size; the lowest number is background."""
    n, k = int(truth.max(initial=0)) + 1, int(found.max(initial=0)) + 1
    both = np.bincount((truth.astype(np.int64) * k + found).ravel(), minlength=n * k)
    both = both.reshape(n, k)
    union = both.sum(axis=1)[:, None] + both.sum(axis=0)[None] - both
    overlap = (both / np.maximum(union, 1))[1:, 1:].max(axis=1, initial=0)
    present = int(np.count_nonzero(both[:, 1:].sum(axis=0)))
    return Agreement(n - 1, present, float(overlap.mean()) if n > 1 else 1.0)
