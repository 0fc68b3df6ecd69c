"""The room of in_blocks."""
