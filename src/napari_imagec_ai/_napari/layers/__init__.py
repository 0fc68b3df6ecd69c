"""Results as napari layers, drawn, updated and read back."""
