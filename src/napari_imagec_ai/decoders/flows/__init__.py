"""The room of flows."""
