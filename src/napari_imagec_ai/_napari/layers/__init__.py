"""The room of layers."""
