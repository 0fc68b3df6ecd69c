"""What a person set in napari's preferences for this plugin."""

from __future__ import annotations

from pathlib import Path

PLUGIN = "napari-imagec-ai"


def models_folder() -> Path | None:
    """The models folder of the preferences; None where there is none, or it is gone."""
    try:
        from napari.settings import get_plugin_settings

        text = get_plugin_settings(PLUGIN).models.folder
    except (ImportError, AttributeError, KeyError, ValueError):
        # An older napari, or a plugin that is not registered: defaults apply.
        return None
    folder = Path(text).expanduser() if text else None
    return folder if folder is not None and folder.is_dir() else None
