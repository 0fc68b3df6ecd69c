"""napari's reader for what this software wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from napari.utils.notifications import show_error, show_warning

from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.preferences import PLUGIN
from napari_imagec_ai._napari.saved import labels_file, outlines_file
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.recipes.saved_run import PREDICTION, RECIPE

LayerData = tuple[Any, dict[str, Any], str]
Read = Callable[[Any], list[Any]]

_NOTHING: list[Any] = [(None,)]
"""What napari takes for a file that was read, and has no layers of its own."""

_RUNS = (PREDICTION, RECIPE, ".recipe.yml")

_FILES: dict[str, Callable[[Path, Any], tuple[list[LayerData], str]]] = {
    labels_file.SUFFIX: labels_file.layers_of,
    outlines_file.SUFFIX: outlines_file.layers_of,
}


def reader(path: Any) -> Read | None:
    """What reads a file; None: it is none of ours."""
    if not isinstance(path, str):
        return None
    name = path.lower()
    if name.endswith(_RUNS):
        return _open_in_panel
    if name.endswith(tuple(_FILES)):
        return _read_layers
    return None


def _open_in_panel(path: Any) -> list[Any]:
    """Open the panel, where it is not, and let it go on with a saved run."""
    viewer = napari.current_viewer()
    if viewer is None:
        return _NOTHING
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "AI classifier")
    panel.open_saved(Path(path))
    return _NOTHING


def _read_layers(path: Any) -> list[Any]:
    """Labels or outlines, where their image lies if it is open."""
    viewer = napari.current_viewer()
    read = next(one for end, one in _FILES.items() if str(path).lower().endswith(end))
    try:
        found, doubt = read(Path(path), viewer.layers if viewer is not None else None)
    except ImagecAIError as error:
        show_error(in_form_words(str(error)))
        return _NOTHING
    if doubt:
        show_warning(doubt)
    return found
