"""The room of tiles."""
