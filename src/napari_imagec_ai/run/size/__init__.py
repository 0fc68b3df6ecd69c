"""The room of object sizes: at which scale a network sees the image."""
