"""StarDist: each pixel tells how sure it lies in an object, and how far its outline is.

Every pixel that is sure enough proposes an object: the star-convex shape that its
distances along rays span. Of proposals that overlap, the surest stays. Objects keep the
probability of their pixel as confidence: to raise the class threshold then gives the
same objects as to decode with a higher threshold, since a shape only ever removes, and
is only ever drawn over, less sure ones.

Sources: U. Schmidt et al., "Cell Detection with Star-Convex Polygons", 2018; M. Weigert
et al., "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy",
2020; classes: "Nuclei Instance Segmentation and Classification in Histopathology Images
with StarDist", 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_imagec_ai.decoders import activation
from napari_imagec_ai.decoders.activation import Activation
from napari_imagec_ai.decoders.cache import Kept
from napari_imagec_ai.decoders.decoder import (
    OF_MODEL,
    Decoder,
    Settings,
    as_described,
    channel_number,
)
from napari_imagec_ai.decoders.output_grid import Map
from napari_imagec_ai.decoders.stars.star_nms import KnownShares, suppress
from napari_imagec_ai.decoders.stars.star_output import (
    StarOutput,
    anisotropy_of,
    described_settings,
    find_output,
    other_grid,
    rays_of,
    relative,
    step_of,
)
from napari_imagec_ai.decoders.stars.star_shapes import Rays, Shapes, draw, shapes
from napari_imagec_ai.decoders.tabulate import Regions, tabulate
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import main_output
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

_SHORTEST = 1e-3
"""Pixels that a ray has at least: networks give distances below 0, too."""


class StarDistSettings(Settings):
    """What a person may set for star-convex shapes."""

    prob_threshold: float = Field(
        0.5,
        ge=0.01,
        le=0.99,
        description="Pixels propose an object where the network is surer than this. "
        "The class threshold filters what was found: it can be raised at once.",
    )
    nms_threshold: float = Field(
        0.4,
        ge=0.0,
        le=1.0,
        description="Of two objects that share more than this part of the smaller one, "
        "the surer one stays.",
    )
    border: int = Field(
        2,
        ge=0,
        le=256,
        description="Pixels of the network's output this near to its edge propose "
        "nothing.",
    )
    rays: int = channel_number(
        0,
        "How many distances each pixel has; 0: as many as there are channels for.",
        least=0,
    )
    class_channels: int = channel_number(
        0,
        "How many channels behind the distances are classes, the first of "
        "these being the background; 0: none.",
        least=0,
    )
    anisotropy: float = Field(
        1.0,
        ge=0.01,
        le=100.0,
        description="In volumes: distance of planes that the rays were made for, in "
        "pixels of a plane.",
        json_schema_extra={OF_MODEL: True},
    )
    activation: Activation = Field(
        "auto",
        description="Turns the first channel into probabilities; auto: by the range "
        "of the values.",
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Proposed:
    """Shapes of one plane or volume, before any was suppressed.

    Attributes
    ----------
    cells : (D, K) int
        Their pixels in the map.
    classes : (C, K) float32
        What the network says of their classes.
    shapes : Shapes
        The surest first.
    shares : KnownShares
        What was found out about pairs of them so far.
    """

    cells: NDArray[np.int64]
    classes: Map
    shapes: Shapes
    shares: KnownShares

    @property
    def size(self) -> int:
        """Bytes, about: pairs of shapes take less than their rays."""
        own = self.cells.nbytes + self.classes.nbytes
        return own + 2 * self.shapes.lengths.nbytes


_KEPT: Kept[_Proposed] = Kept(lambda found: found.size)


def decode_shapes(prediction: Prediction, settings: StarDistSettings) -> Objects:
    """Decode probabilities and distances; see :class:`Decoder`."""
    model = prediction.model
    output = find_output(prediction, settings.rays, settings.class_channels)
    rays = rays_of(model, output.rays, prediction.space, settings.anisotropy)
    chosen, sentence = _activation(prediction, settings)

    settled = settings.model_copy(update={"activation": chosen})

    def find(index: tuple[int, ...]) -> Regions:
        sure = activation.apply(chosen, output.probability(index)[None], 0)[0]
        return _find(output, index, sure, rays, settled)

    return tabulate(
        prediction,
        find,
        _classes(model, settings.class_channels - 1),
        sentence,
        other_grid(output),
    )


def _activation(
    prediction: Prediction, settings: StarDistSettings
) -> tuple[Activation, str]:
    output = find_output(prediction, settings.rays, settings.class_channels)
    chosen, sentence = activation.resolve(
        settings.activation,
        prediction.model,
        main_output(prediction.model),
        output.probabilities(),
        exclusive=False,
    )
    # That the first channel is a probability is the family's custom, and no guess.
    return chosen, "" if chosen == "none" else sentence


def settle(
    prediction: Prediction, settings: StarDistSettings
) -> tuple[StarDistSettings, str]:
    """Choose the activation by the whole of the output; see :class:`Decoder`."""
    chosen, sentence = _activation(prediction, settings)
    return settings.model_copy(update={"activation": chosen}), sentence


def _find(
    output: StarOutput,
    index: tuple[int, ...],
    sure: Map,
    rays: Rays,
    settings: StarDistSettings,
) -> Regions:
    """The objects of one plane or volume, the surest first."""
    size, step = output.prediction.frame.shape[-sure.ndim :], step_of(output)
    whatever = settings.model_copy(update={"nms_threshold": 0.0})
    found = _KEPT.get(
        [output.prediction.maps[name] for name in output.names],
        (index, size, step, output.prediction.scale, id(rays), whatever),
        lambda: _propose(output, index, sure, rays, settings),
    )
    cells, classes, proposed = found.cells, found.classes, found.shapes
    kept = suppress(
        proposed, cells, sure.shape, step, settings.nms_threshold, found.shares
    )
    labels = draw(proposed[kept], size)
    # Of some no pixel may be left: these are no objects.
    seen = np.bincount(labels.reshape(-1), minlength=len(kept) + 1)[1:] > 0
    number = np.concatenate([[0], np.where(seen, np.cumsum(seen), 0)]).astype(np.int32)
    labels, kept = number[labels], kept[seen]
    confidence = np.concatenate([[0], sure[tuple(cells[:, kept])]]).astype(np.float32)
    class_id = None
    if settings.class_channels:
        # The background is for pixels: what was found is an object of some class.
        class_id = classes[1:, kept].argmax(axis=0).astype(np.int32)
    return Regions(labels, len(kept), confidence[labels], labels > 0, class_id)


def _propose(
    output: StarOutput,
    index: tuple[int, ...],
    sure: Map,
    rays: Rays,
    settings: StarDistSettings,
) -> _Proposed:
    """The shapes of all pixels that are sure enough, the surest first."""
    size, step = output.prediction.frame.shape[-sure.ndim :], step_of(output)
    inner = (slice(settings.border, -settings.border or None),) * sure.ndim
    cells = np.stack(np.nonzero(sure[inner] > settings.prob_threshold))
    cells += settings.border
    cells = cells[:, np.argsort(-sure[tuple(cells)], kind="stable")]
    lengths, classes = output.read(index, tuple(cells))
    # These give NaN the other number.
    lengths = np.fmin(np.fmax(lengths, _SHORTEST), math.hypot(*size))
    centres = np.rint(cells * np.asarray(step)[:, None]).astype(np.int64)
    return _Proposed(cells, classes, shapes(rays, centres, lengths), KnownShares())


def _classes(model: Model, count: int) -> tuple[str, ...]:
    if count < 1:
        return model.classes[:1] or ("object",)
    if len(model.classes) == count:
        return model.classes
    return tuple(f"class {n + 1}" for n in range(count))


def default_settings(model: Model) -> StarDistSettings:
    """Settings to begin with: what the description says, else what is usual."""
    told = described_settings(model)
    anisotropy = anisotropy_of(told)
    said = {
        "prob_threshold": _number(told.get("prob"), 0.01, 0.99),
        "nms_threshold": _number(told.get("nms"), 0, 1),
        "border": _number(_first(told.get("b")), 0, 256),
        "rays": _number(told.get("n_rays"), 0, 1023),
        "class_channels": _number(_and_background(told.get("n_classes")), 0, 1023),
        "anisotropy": relative(anisotropy) if anisotropy else None,
    }
    usual: dict[str, Any] = {k: v for k, v in said.items() if v is not None}
    return as_described(StarDistSettings(**usual), model)


def _and_background(classes: object) -> int | None:
    return classes + 1 if isinstance(classes, int) and classes > 0 else None


def _number(value: object, low: float, high: float) -> float | None:
    """A number that the settings take; None where it is none."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return min(max(value, low), high)


def _first(value: object) -> object:
    """The first number of nested lists, such as one for each end of each axis."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return value


STARDIST = Decoder(
    name="stardist",
    title="Star-convex shapes (StarDist)",
    settings=StarDistSettings,
    decode=decode_shapes,
    defaults=default_settings,
    recognises=lambda model: model.kind == "stardist",
    settle=settle,
)
