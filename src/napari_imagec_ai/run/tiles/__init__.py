"""Tiles over an image, in numbers alone: their windows, halos, cores and seams.

A window is what the network sees at once; a tile is a window and the core of it that
it answers for. People who set a tile's size set the window's. No pixel is read here,
and no network run. Runs of maps plan with it.
"""
