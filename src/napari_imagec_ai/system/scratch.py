"""Room on the disk for what is too large for the memory."""

from __future__ import annotations

import errno
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImageError

_CHUNK = {2: 1024, 3: 128}
"""Pixels along each side of a chunk, by number of space axes."""


_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
"""What systems call a disk, a file or a share of the disk that is full."""


class Scratch:
    """A folder that goes when nothing refers to it any more."""

    def __init__(self, needed: int = 0) -> None:
        """Make a folder; ``needed`` is how many bytes will go into it.

        Raises
        ------
        ImageError
            If there is less room on the disk.
        """
        check_room(needed)
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
        return make_array(self.path / name, shape, dtype, space)


def check_room(needed: int, place: Path | None = None) -> None:
    """Find out whether a disk has room for so many bytes.

    Raises
    ------
    ImageError
        If it has less.
    """
    there = str(place or tempfile.gettempdir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ImageError(
            f"{needed / 1e9:.1f} GB are needed on the disk for what does not fit into "
            f"the memory, but '{there}' has {free / 1e9:.1f} GB; make room, or name "
            f"another folder {'with --scratch' if place else 'in TMPDIR'}."
        )


def make_array(path: Path, shape: Sequence[int], dtype: str, space: int) -> Any:
    """Make a zarr array of zeros, for as long as a run; see :meth:`Scratch.array`."""
    import zarr

    side = _CHUNK.get(space, 1024)
    chunks = (1,) * (len(shape) - space) + tuple(
        min(side, size) for size in shape[-space:]
    )
    return zarr.create_array(
        str(path),
        shape=tuple(shape),
        chunks=chunks,
        dtype=dtype,
        fill_value=0,
        # Fast, and enough for background.
        compressors=zarr.codecs.BloscCodec(cname="lz4", clevel=1),
    )


@contextmanager
def explain_full_disk(place: Path) -> Iterator[None]:
    """Say in a sentence that a disk is full, where it turns out while writing.

    Raises
    ------
    ImageError
        Instead of what the system says of it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ImageError(
            f"The disk of '{place}' became full ({error.strerror}); make room, or "
            "name another folder (TMPDIR, or --scratch). What was written so far "
            "stays, and a batch goes on from there."
        ) from error
