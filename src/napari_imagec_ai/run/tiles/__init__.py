"""Windows over an image, in numbers alone: their sizes, halos, cores and seams.

It reads no pixel and runs no network. Runs of maps plan with it.
"""
