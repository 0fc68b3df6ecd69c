"""The room of tune."""
