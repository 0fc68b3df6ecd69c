"""What the dimensions of an image mean, in words."""

from __future__ import annotations

_AXES = {
    "YX": "one plane",
    "ZYX": "z-stack",
    "TYX": "time series",
    "CYX": "channels first",
    "YXC": "channels last",
}

_AXIS = {"T": "time", "Z": "z", "C": "channels"}


def axes_words(axes: str) -> str:
    """Axes as a person would say them, such as 'z-stack (ZYX)'."""
    if axes in _AXES:
        return f"{_AXES[axes]} ({axes})"
    more = [_AXIS[axis] for axis in axes if axis in _AXIS]
    return f"{', '.join(more)} ({axes})" if more else axes
