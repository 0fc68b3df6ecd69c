"""Scripted detectors of torchvision: a list of images in, tables by name out.

``torch.jit.script`` keeps their own signature: ``forward(images: List[Tensor], targets)
-> (losses, [{"boxes": ..., "labels": ..., "scores": ..., "masks": ...}])``, of images
(C, H, W), each of any size. Traced ones take and give plain tensors, and need nothing
of this.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ORDER = ("boxes", "labels", "scores", "masks")
"""Names of tables, in the order that they are given on; others come behind."""


def takes_images(module: Any) -> bool:
    """Whether a TorchScript module takes a list of images."""
    try:
        arguments = module.forward.schema.arguments
    except (AttributeError, RuntimeError):  # a module without a forward of its own
        return False
    # The first one is the module itself.
    return len(arguments) > 1 and str(arguments[1].type) == "List[Tensor]"


def call(module: Any, tensors: Sequence[Any]) -> list[Any]:
    """Run it on one image, (1, C, H, W) or (C, H, W).

    Returns
    -------
    list of tensor
        The image's tables.
    """
    images = [part for t in tensors for part in (t if t.dim() == 4 else [t])]
    with warnings.catch_warnings():
        # It says that it gives losses as well, each time that it is opened.
        warnings.filterwarnings("ignore", "RCNN always returns")
        result = module(images)
    tables = next(_tables(result), None)
    if tables is None:
        return [result]
    known = [tables[name] for name in ORDER if name in tables]
    return known + [tables[name] for name in tables if name not in ORDER]


def _tables(result: Any) -> Iterator[Mapping[str, Any]]:
    """Tables of each image, which stand in a list; losses do not."""
    if isinstance(result, list):
        yield from (entry for entry in result if isinstance(entry, Mapping))
    elif isinstance(result, tuple):
        for part in result:
            yield from _tables(part)
