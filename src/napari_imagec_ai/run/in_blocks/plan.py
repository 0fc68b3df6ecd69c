"""How a large run is divided: its shares, and all that is needed to compute them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_imagec_ai.run.tiles.tiling import Tile
from napari_imagec_ai.run.tiles.window_limits import Geometry
from napari_imagec_ai.system.contents import sha256_of_all


@dataclass(frozen=True, slots=True)
class Share:
    """Planes, by index and position, and the windows of each."""

    number: int
    planes: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What was found out of one plane of an input: how it is prepared.

    Attributes
    ----------
    prepare : bytes
        The fitted preprocessing, pickled.
    fill : float or None
        What takes the place of pixels that are no numbers; None: there are none.
    """

    prepare: bytes
    fill: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is needed to compute shares apart.

    Attributes
    ----------
    folder : Path
        Of this very run.
    geometry : Geometry
        How results lie on windows.
    free : int
        See :func:`napari_imagec_ai.run.maps.larger_windows.free_step`.
    shares : tuple of Share
        Together they have all windows of all planes.
    known : mapping
        For planes that several shares have part of: one for each input.
    measured : tuple of int or None
        Overlap of the windows, where it was measured.
    notices : tuple of str
        Sentences about the image.
    blended : bool
        Whether windows go over into each other where they overlap.
    mark : str
        Of the terms.
    begun : float
        When, in seconds since 1970.
    """

    folder: Path
    geometry: Geometry
    free: int
    shares: tuple[Share, ...]
    known: Mapping[tuple[int, ...], tuple[Known | None, ...]]
    measured: tuple[int, ...] | None
    notices: tuple[str, ...]
    blended: bool = False
    mark: str = ""
    begun: float = field(default_factory=time.time)

    def only(self, share: Share) -> Plan:
        """What one share needs of it."""
        return replace(self, shares=(share,))

    def to_do(self) -> list[Share]:
        """Shares that are not complete yet."""
        return [one for one in self.shares if not is_complete(self.folder, one)]

    def forget(self) -> None:
        """Take away what was computed."""
        shutil.rmtree(self.folder, ignore_errors=True)


def note_of(folder: Path, share: Share) -> Path:
    """The note that a share is complete."""
    return folder / f"share-{share.number:05}.json"


def is_complete(folder: Path, share: Share) -> bool:
    """Whether a share is noted to be complete, and is as it was then."""
    try:
        told = json.loads(note_of(folder, share).read_text(encoding="utf-8"))
        return bool(sha256_of_all(folder / told["place"]) == told["content"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
