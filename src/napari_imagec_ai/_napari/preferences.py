"""What a person set in napari's preferences for this plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_imagec_ai.engines.opening_weights import prefer_isolated

PLUGIN = "napari-imagec-ai"

_OWN_PROCESS = {"always": True, "never": False}


def models_folder() -> Path | None:
    """The models folder of the preferences; None where there is none, or it is gone."""
    folder = _chosen()
    return folder if folder is not None and folder.is_dir() else None


def other_python() -> str | None:
    """The Python that has what models of other software need; None: not named."""
    return _setting("models", "python") or None


def problem() -> str:
    """What is wrong with the preferences, as a sentence; empty: nothing."""
    folder = _chosen()
    if folder is None or folder.is_dir():
        return ""
    return (
        f"The models folder of the preferences, '{folder}', is not there; bring it "
        "back, or choose another under Preferences > Plugin Preferences."
    )


def apply_own_process() -> None:
    """Let networks run from now on in the process that the person wants."""
    prefer_isolated(_OWN_PROCESS.get(_setting("engines", "own_process")))


def _chosen() -> Path | None:
    """The folder as it was typed."""
    text = _setting("models", "folder")
    return Path(text).expanduser() if text else None


def _setting(group: str, name: str) -> Any:
    """What was set; empty where nothing was."""
    try:
        from napari.settings import get_plugin_settings

        return getattr(getattr(get_plugin_settings(PLUGIN), group), name)
    except (ImportError, AttributeError, KeyError, ValueError):
        # An older napari, or a plugin that is not registered: defaults apply.
        return ""
