"""The room of correction."""
