"""Loops over pixels, compiled to machine code when they are first called.

The code is kept on the disk, so that it is compiled once after the package was
installed or changed; that takes some seconds. Compiled loops let other threads run
meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """A decorator for loops over NumPy arrays."""
    try:
        made = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # there is no folder to keep the code in
        made = numba.njit(nogil=True)(function)
    return cast("F", made)
