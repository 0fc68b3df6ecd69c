"""The room of batch."""
