"""Labels that were exported, with the table beside them: a layer for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_imagec_ai._napari.layers.drawing import one_colour
from napari_imagec_ai._napari.layers.from_napari import COLOURS, placed
from napari_imagec_ai._napari.layers.marks import METADATA, PLACE
from napari_imagec_ai._napari.saved.image_of_result import image_of
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.export.csv_files import as_written
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.image.opening_files import open_image

LayerData = tuple[Any, dict[str, Any], str]

SUFFIX = ".labels.tif"

_TABLE = ".objects.csv"


def layers_of(path: Path, layers: Any) -> tuple[list[LayerData], str]:
    """Labels layers of a file, and a sentence where their image is in doubt.

    Parameters
    ----------
    path : Path
        The file; its table lies beside it, under the same name.
    layers : LayerList or None
        Of the viewer: the image that the labels lie on is looked for in them.

    Raises
    ------
    ImageError
        If it holds no labels.
    """
    image, stem = open_image(path), path.name[: -len(SUFFIX)]
    if np.dtype(image.data.dtype).kind not in "ui" or "C" in image.axes:
        raise ImageError(
            f"Expected labels, whole numbers without channels, in '{path.name}'; found "
            f"{image.data.dtype} with the axes {image.axes}; open it as an image."
        )
    data = np.asarray(image.data).astype(np.int32, copy=False)
    place, doubt = _place(image, layers, stem)
    usual: dict[str, Any] = place | {"opacity": 0.35}
    usual["metadata"] = {METADATA: {}, PLACE: _whole(image.frame)}
    table = _table(path.with_name(stem + _TABLE))
    if table is None:
        return [(data, usual | {"name": f"labels ({stem})"}, "labels")], doubt
    found: list[LayerData] = []
    for number, (name, mine) in enumerate(table.groupby("class", sort=False)):
        keep = np.zeros(
            max(int(data.max(initial=0)), int(mine["index"].max())) + 1, bool
        )
        keep[mine["index"]] = True
        told: dict[str, Any] = {
            "name": f"{name} ({stem})",
            "features": mine.reset_index(drop=True),
            "colormap": one_colour(COLOURS[number % len(COLOURS)]),
        }
        found.append((np.where(keep[data], data, 0), usual | told, "labels"))
    return found, doubt


def _table(path: Path) -> pd.DataFrame | None:
    """The table of the objects; None: there is none that belongs to labels."""
    try:
        table = pd.read_csv(path, encoding="utf-8-sig")
    except (OSError, ValueError):
        return None
    if not {"id", "class"} <= set(table) or not len(table):
        return None
    ids = pd.to_numeric(table["id"], errors="coerce")
    if ids.isna().any() or (ids < 1).any() or (ids >= 1 << 31).any():
        return None
    table["class"] = [as_written(str(name)) for name in table["class"]]
    return table.rename(columns={"id": "index"}).astype({"index": int})


def _place(image: ImageInput, layers: Any, stem: str) -> tuple[dict[str, Any], str]:
    """Transforms: those of the open image that the labels lie on, or the file's own."""
    frame = image.frame
    if layers is not None:
        try:
            found = image_of(layers, frame, frame.axes, stem)
        except ImageError:
            pass  # it is not open: the file has a pixel size of its own
        else:
            return placed(found.source, ()), found.doubt
    sizes = frame.sizes
    unit = frame.unit or "pixel"
    own = {
        "scale": [sizes.get(axis, 1.0) for axis in frame.axes],
        "units": [unit if axis in sizes else "pixel" for axis in frame.axes],
        "axis_labels": list(frame.axes.lower()),
    }
    return own, ""


def _whole(frame: Frame) -> dict[str, list[int]]:
    corner = [0] * len(frame.axes)
    return {"shape": list(frame.shape), "corner": corner, "origin": corner}
