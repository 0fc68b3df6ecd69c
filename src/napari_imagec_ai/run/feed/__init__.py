"""The room of feed."""
