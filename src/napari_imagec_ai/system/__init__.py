"""The ground: disk, memory, threads, whole files, other processes, compiled loops.

It knows nothing of images and networks. Every room above uses it.
"""
