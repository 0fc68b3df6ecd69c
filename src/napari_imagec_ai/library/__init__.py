"""The room of library."""
