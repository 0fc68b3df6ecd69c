"""The room of splitting."""
