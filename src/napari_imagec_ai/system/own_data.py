"""Where this software keeps what it knows of a person, and what can be had again.

The data: models, what was learned of models, trusted weights, recipes, corrections,
notes on written files, the widget's form. The cache: downloads and unpacked zips.
"""

from __future__ import annotations

from pathlib import Path

import platformdirs

_NAME = "napari-imagec-ai"


def own_data(name: str) -> Path:
    """Where data of this name lie, or will: a file or a folder."""
    return Path(platformdirs.user_data_dir(_NAME, False)) / name


def own_cache(name: str) -> Path:
    """The same for what can be downloaded or unpacked anew."""
    return Path(platformdirs.user_cache_dir(_NAME, False)) / name
