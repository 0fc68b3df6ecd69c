"""Weights of Mask R-CNN networks without a description: their outputs tell enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_imagec_ai.run.boxes.rcnn_tables import roles_of

_COLOURS = ["red", "green", "blue"]


def describe(
    name: str,
    given: tuple[int, ...],
    free: bool,
    outputs: Sequence[Any],
    names: Sequence[str],
) -> dict[str, Any] | None:
    """Describe a network that gives boxes, classes and scores in tensors of their own.

    Parameters
    ----------
    name : str
        Of the file.
    given : tuple of int
        Shape of the input that it took: (C, Y, X) or (1, C, Y, X).
    free : bool
        Whether it takes other sizes as well.
    outputs : sequence of array
        What it gave for a black image.
    names : sequence of str
        Of the outputs, as the file has them; empty: it has none.

    Returns
    -------
    dict or None
        Inputs, outputs and config of a description; None for other networks.
    """
    height, width = given[-2:]
    roles = roles_of(names, outputs, (height, width))
    if roles is None:
        return None
    sizes = {"y": height, "x": width}
    space = [
        {
            "type": "space",
            "id": axis,
            "size": {"min": 32, "step": 1} if free else size,
        }
        for axis, size in sizes.items()
    ]
    batch = [{"type": "batch"}] if len(given) == 4 else []
    channel = {"type": "channel", "channel_names": _COLOURS}
    what = "a window of any size" if free else f"a window of {width} x {height}"
    sentence = (
        f"'{name}' has no description: {what} RGB pixels, and which output holds "
        f"{', '.join(roles)}, were read from the file."
    )
    at = {number: role for role, number in roles.items()}
    return {
        "inputs": [{"id": "images", "axes": [*batch, channel, *space]}],
        "outputs": [
            _table(at.get(i, f"output{i}"), array) for i, array in enumerate(outputs)
        ],
        "config": {
            "napari_imagec_ai": {
                "decoder": "rcnn",
                "kind": "boxes_masks" if "masks" in roles else "boxes",
                "assumed": [sentence],
            }
        },
    }


def _table(role: str, array: Any) -> dict[str, Any]:
    """One output: objects along the first axis, or behind a batch of one."""
    wide = {"boxes": 2, "masks": 3}.get(role, 1)
    axes: list[dict[str, Any]] = [{"type": "index", "size": {"min": 0}}]
    if role == "boxes":
        axes += [{"type": "channel", "size": 4}]
    elif role == "masks":
        sizes = zip("yx", array.shape[-2:], strict=True)
        axes += [{"type": "space", "id": a, "size": int(n)} for a, n in sizes]
    if array.ndim > wide and array.shape[0] == 1 and role != "masks":
        axes = [{"type": "batch"}, *axes]
    return {"id": role, "axes": axes}
