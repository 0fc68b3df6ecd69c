"""Everything that can go wrong for a person's own reasons, in one family.

Every message is one or two sentences: what was expected, what was found, what to do.
Anything that is not an :class:`ImagecAIError` is a bug.
"""

from __future__ import annotations

import unicodedata

_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that change the direction of the letters after them."""

_NOT_SHOWN = ("Cc", "Cs", "Zl", "Zp")
"""Kinds of letters that move the cursor, or are none."""


def shown(text: str) -> str:
    """A text for a person's screen, in one line.

    Names come from strangers' files. What would begin a line, colour the screen or turn
    the order of letters is written as Python writes it, so that no name looks like
    something that this software said.
    """
    return "".join(
        letter.encode("unicode_escape").decode("ascii")
        if letter in _TURNING or unicodedata.category(letter) in _NOT_SHOWN
        else letter
        for letter in text
    )


class ImagecAIError(Exception):
    """Root of the family; catch this one to show a sentence to a person."""

    def __str__(self) -> str:
        return shown(super().__str__())


class ModelError(ImagecAIError, ValueError):
    """A model folder, its description or its weights cannot be used."""


class WeightsError(ModelError):
    """The weights are not the file that the description means."""


class EngineError(ImagecAIError, RuntimeError):
    """A runtime could not open or run the network."""


class OutOfMemory(EngineError):
    """The memory was not enough for a window; a smaller one may fit."""


class EngineDied(EngineError):
    """The process that ran the network is gone; the next run starts another."""


class ImageError(ImagecAIError, ValueError):
    """The image does not fit: axes, channels, size, data type or values."""


class DecodeError(ImagecAIError, ValueError):
    """The network's output cannot be turned into objects as asked."""
