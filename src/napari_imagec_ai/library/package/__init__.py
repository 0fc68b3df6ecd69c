"""The room of package."""
