"""Everything that can go wrong for a person's own reasons, in one family.

Every message is one or two sentences: what was expected, what was found, what to do.
Anything that is not an :class:`ImagecAIError` is a bug.
"""

from __future__ import annotations


class ImagecAIError(Exception):
    """Root of the family; catch this one to show a sentence to a person."""


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
