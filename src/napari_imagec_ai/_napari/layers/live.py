"""Results that are live: each belongs to a model and an image, and stays tunable.

A result lives as long as one of its layers does.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_imagec_ai._napari.tune.history import History
from napari_imagec_ai.run.settings import RunSettings

if TYPE_CHECKING:
    from napari_imagec_ai._napari.layers.result_layers import ResultLayers
    from napari_imagec_ai.decoders.decoder import Settings
    from napari_imagec_ai.model.description import Model
    from napari_imagec_ai.recipes.session import Session
    from napari_imagec_ai.results.class_map import ClassMap
    from napari_imagec_ai.results.correction.kept_corrections import ByHand

Tuned = tuple["Settings", "ClassMap"]
"""What a result was tuned to."""


@dataclass(slots=True, eq=False)
class Live:
    """One result that can be tuned.

    Attributes
    ----------
    session : Session
        The model, and what it gave.
    results : ResultLayers
        Where it is shown.
    image : hashable
        Which image layer it is of.
    ran_with : RunSettings
        How the network ran.
    tuned : Tuned or None
        Settings that gave what is shown.
    history : History
        Settings that the person tried.
    kept : tuple of ByHand
        Corrections that a copy was made of.
    discarded : dict of str to ByHand
        Corrections that the person discarded last, by class.
    """

    session: Session
    results: ResultLayers
    image: Hashable
    ran_with: RunSettings
    tuned: Tuned | None = None
    history: History[Any] = field(default_factory=History)
    kept: tuple[ByHand, ...] = ()
    discarded: dict[str, ByHand] = field(default_factory=dict)


class LiveResults:
    """All results of a viewer that can be tuned."""

    def __init__(self) -> None:
        self._all: list[Live] = []

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def add(self, live: Live) -> None:
        """One more."""
        self._all.append(live)

    def drop(self, live: Live) -> None:
        """Let one go: it is tuned no more, and its memory is given back."""
        if live in self._all:
            self._all.remove(live)
            live.results.stop()

    def of(self, model: Model, image: Hashable) -> Live | None:
        """The result of a model on an image."""
        for live in reversed(self._all):
            if live.image == image and is_same_model(live.session.model, model):
                return live
        return None

    def on(self, image: Hashable) -> list[Live]:
        """All results on an image."""
        return [live for live in self._all if live.image == image]

    def with_layer(self, layer: Any) -> Live | None:
        """The result that a layer belongs to."""
        for live in self._all:
            if any(one == layer for one in live.results.all_layers):
                return live
        return None


def is_same_model(one: Model, other: Model) -> bool:
    """Whether two are one model, which may have been moved."""
    moved = one.source == other.source and not one.path.exists()
    return one.path == other.path or moved
