"""Chooses the tiles of a plane: as told, as described, or as measured."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.timed_calls import called
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.run.feed.feed import Feed
from napari_imagec_ai.run.maps.larger_windows import free_step
from napari_imagec_ai.run.maps.measure_halo import known_halo, measure_halo
from napari_imagec_ai.run.maps.sources import WindowSource, window_of
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.run.tiles.blending import LEAST
from napari_imagec_ai.run.tiles.tiling import Tile, other_than_asked, plan_tiles
from napari_imagec_ai.run.tiles.window_limits import Geometry, declared_halo, geometry
from napari_imagec_ai.system.progress import Progress

Sources = Sequence[WindowSource | NDArray[Any]]

_ENOUGH = 1024
"""Pixels along an axis to measure a network's reach on."""


class Tiling:
    """The tiles of a plane, and what the network asks of their windows.

    Parameters
    ----------
    model, engine : Model, Engine
        The network.
    feed : Feed
        Its main input.
    settings : RunSettings
        What a person says of tiles.

    Attributes
    ----------
    geometry : Geometry
        What the network asks; set when tiles are chosen.
    tiles : list of Tile
        Empty until they are.
    free : int
        Step of larger windows than are described; 0: none are taken.
    measured : tuple of int or None
        The overlap of windows, where it was measured.
    """

    geometry: Geometry

    def __init__(
        self, model: Model, feed: Feed, engine: Engine, settings: RunSettings
    ) -> None:
        self._model, self._feed, self._engine = model, feed, engine
        self._settings = settings
        self._wanted = settings.tile_along(feed.space)
        self._halo = settings.halo_along(feed.space)
        self.tiles: list[Tile] = []
        self.free = 0
        self.measured: tuple[int, ...] | None = None

    @property
    def padded_shape(self) -> tuple[int, ...]:
        """Size of the plane with what windows may reach beyond it."""
        sizes = zip(self._feed.scaled_shape, self.geometry.margin, strict=True)
        return tuple(size + 2 * margin for size, margin in sizes)

    @property
    def other_than_asked(self) -> str:
        """A sentence where windows have another size than was asked for; else empty."""
        used = self.tiles[0].shape
        return other_than_asked(self._wanted, used, self.padded_shape)

    def choose(
        self, sources: Callable[[Sequence[int]], Sources]
    ) -> Generator[Progress, None, list[str]]:
        """Choose windows and their halo.

        Parameters
        ----------
        sources : callable
            What to cut windows from, for a plane at a position: a halo that is not
            known is measured on it.

        Returns
        -------
        list of str
            Sentences about what was measured.

        Raises
        ------
        ModelError
            If the network gives no maps.
        """
        model, engine, space = self._model, self._engine, self._feed.space
        none = (0,) * len(space)
        halo = self._halo if self._halo is not None else declared_halo(model, space)
        self._arrange(halo or none)
        seen = any(grid is not None for grid in self.geometry.grids)
        if not seen and all(output.space for output in model.outputs):
            output = model.outputs[0]
            raise ModelError(
                f"Output '{output.id}' has the axes '{output.letters}', where a map "
                f"along '{space}' was expected; such networks cannot be run yet."
            )
        larger = self._settings.larger_tiles and self._wanted is None
        if larger and seen and len(self.tiles) > 1:
            self.free = yield from called(
                engine,
                Progress(0, 1, "trying larger tiles"),
                free_step,
                *(model, engine, space),
            )
            self._arrange(halo or none)
        if halo is not None or len(self.tiles) == 1 or not seen:
            return []
        found = known_halo(model, space, engine)
        if found is None:
            given = sources([span.start for span in self._feed.ranges])
            middle = tuple(map(_middle, self.padded_shape))
            window = Tile(middle, middle, pad=none)
            sample = [window_of(source, window) for source in given]
            found = yield from called(
                engine,
                Progress(0, 1, "measuring how far the network looks"),
                measure_halo,
                *(model, space, engine, sample),
            )
        self.measured = found.sizes
        if self._wanted is not None:  # small, perhaps, for what the network sees
            room = (max(1, size // 4) for size in self._wanted)
            self.measured = tuple(map(min, found.sizes, room))
        self._arrange(self.measured)
        return [found.sentence]

    def _arrange(self, halo: Sequence[int]) -> None:
        model, space, settings = self._model, self._feed.space, self._settings
        if settings.seams == "blend":
            least, room = LEAST.get(len(space), 8), self._wanted or halo
            halo = [
                max(rim, min(least, size // 4 if self._wanted else least))
                for rim, size in zip(halo, room, strict=True)
            ]
        self.geometry = geometry(model, space, halo, self.free, settings.memory)
        self.tiles = plan_tiles(
            self.padded_shape,
            self.geometry.limits,
            self.geometry.budget,
            self._wanted,
        )


def _middle(length: int) -> slice:
    """Enough of an axis to measure on."""
    start = max(0, (length - _ENOUGH) // 2)
    return slice(start, min(start + _ENOUGH, length))
