"""The room of stars."""
