"""The room of run."""
