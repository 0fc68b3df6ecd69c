"""Takes touching objects apart: basins, ridges and bands of a foreground.

It knows masks and depths, but no networks. Decoders of pixels call it.
"""
