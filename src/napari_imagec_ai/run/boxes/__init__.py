"""Runs of detectors: candidates of each window above a low floor, instead of maps.

It tells how a detector's tensors are laid out and reads them; what is suppressed and
joined, the decoders say later. `planning` chooses it for detectors.
"""
