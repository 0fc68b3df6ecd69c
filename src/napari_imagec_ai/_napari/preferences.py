"""What a person set in napari's preferences for this plugin."""

from __future__ import annotations

from pathlib import Path

PLUGIN = "napari-imagec-ai"


def models_folder() -> Path | None:
    """The models folder of the preferences; None where there is none, or it is gone."""
    folder = _chosen()
    return folder if folder is not None and folder.is_dir() else None


def problem() -> str:
    """What is wrong with the preferences, as a sentence; empty: nothing."""
    folder = _chosen()
    if folder is None or folder.is_dir():
        return ""
    return (
        f"The models folder of the preferences, '{folder}', is not there; bring it "
        "back, or choose another under Preferences > Plugin Preferences."
    )


def _chosen() -> Path | None:
    """The folder as it was typed."""
    try:
        from napari.settings import get_plugin_settings

        text = get_plugin_settings(PLUGIN).models.folder
    except (ImportError, AttributeError, KeyError, ValueError):
        # An older napari, or a plugin that is not registered: defaults apply.
        return None
    return Path(text).expanduser() if text else None
