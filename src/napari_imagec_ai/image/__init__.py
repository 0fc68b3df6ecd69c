"""The room of image."""
