"""The version of this package."""

from importlib import metadata


def version() -> str:
    """Version as installed."""
    try:
        return metadata.version("napari-imagec-ai")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0+unknown"
