"""The room of boxes."""
