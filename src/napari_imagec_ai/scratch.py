"""Room on the disk for what is too large for the memory."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImageError

_CHUNK = {2: 1024, 3: 128}
"""Pixels along each side of a chunk, by number of space axes."""


class Scratch:
    """A folder that goes when nothing refers to it any more."""

    def __init__(self, needed: int = 0) -> None:
        """Make a folder; ``needed`` is how many bytes will go into it.

        Raises
        ------
        ImageError
            If there is less room on the disk.
        """
        place = tempfile.gettempdir()
        free = shutil.disk_usage(place).free
        if needed > free:
            raise ImageError(
                f"{needed / 1e9:.1f} GB are needed on the disk for what does not fit "
                f"into the memory, but '{place}' has {free / 1e9:.1f} GB; make room, "
                "or name another folder in TMPDIR."
            )
        self.path = Path(tempfile.mkdtemp(prefix="imagec-ai-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def array(self, name: str, shape: Sequence[int], dtype: str, space: int) -> Any:
        """Make a zarr array of zeros.

        Parameters
        ----------
        name : str
            Of its folder in this one.
        shape : sequence of int
            Space axes last.
        dtype : str
            Type of its values.
        space : int
            How many space axes there are.
        """
        import zarr

        side = _CHUNK.get(space, 1024)
        chunks = (1,) * (len(shape) - space) + tuple(
            min(side, size) for size in shape[-space:]
        )
        return zarr.create_array(
            str(self.path / name),
            shape=tuple(shape),
            chunks=chunks,
            dtype=dtype,
            fill_value=0,
            # Fast, and enough for background: these files live as long as a run.
            compressors=zarr.codecs.BloscCodec(cname="lz4", clevel=1),
        )
