"""The room of steps."""
