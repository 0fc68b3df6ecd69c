"""The room of summary."""
