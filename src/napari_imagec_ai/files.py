"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from napari_imagec_ai.errors import ImagecAIError


def replace_whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Write a file beside its place, then move it there in one step.

    Parameters
    ----------
    path : Path
        Final name; its folder is made where it is missing.
    write : callable
        Writes to the path that it is given, which has the same suffix.

    Raises
    ------
    ImagecAIError
        If the file cannot be written; an older one is then as it was.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=".writing-", suffix="".join(path.suffixes[-2:]), dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise ImagecAIError(
            f"Could not write '{path}': {error.strerror or error}. Choose another "
            "folder, or make room."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
