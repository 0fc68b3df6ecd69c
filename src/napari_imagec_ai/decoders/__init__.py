"""The room of decoders."""
