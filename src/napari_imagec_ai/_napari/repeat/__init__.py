"""The room of repeat."""
