"""Room on the disk for what is too large for the memory."""

from __future__ import annotations

import errno
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.system.whole_files import begun, sweep_once

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
            If there is less room on the disk, or no folder can be made.
        """
        check_room(needed)
        with explain_scratch(None):
            place = Path(tempfile.gettempdir())
            sweep_once(place)
            self.path = Path(tempfile.mkdtemp(prefix=begun("imagec-ai")))
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
    with explain_scratch(place):
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
def explain_scratch(place: Path | None) -> Iterator[None]:
    """Say in a sentence what is wrong with a disk, where it turns out while using it.

    Parameters
    ----------
    place : Path or None
        The folder; None: the system's own for such things.

    Raises
    ------
    ImageError
        Instead of what the system says of it.
    """
    try:
        yield
    except (OSError, zarr_errors()) as error:
        there = f"'{place}'" if place else "for temporary files"
        disk = f"of '{place}'" if place else there
        what = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        if getattr(error, "errno", None) in _FULL:
            raise ImageError(
                f"The disk {disk} became full ({what}); make room, or name another "
                "folder (TMPDIR, or --scratch). What was written so far stays, and a "
                "batch goes on from there."
            ) from error
        raise ImageError(
            f"The folder {there}, which takes what is too large for the memory, cannot "
            f"be used ({what}); name another one (TMPDIR, or --scratch)."
        ) from error


def zarr_errors() -> type[Exception]:
    """What zarr raises of its own, where it is in use."""
    loaded = sys.modules.get("zarr.errors")
    found: type[Exception] = getattr(loaded, "BaseZarrError", OSError)
    return found


def check_there(place: Path) -> None:
    """Find out whether a folder was not taken away while it was used.

    What is missing there would be read as zeros.

    Raises
    ------
    ImageError
        If it was.
    """
    if not place.is_dir():
        raise ImageError(
            f"The folder '{place}', which takes what is too large for the memory, was "
            "removed meanwhile, and results with it; run it again."
        )
