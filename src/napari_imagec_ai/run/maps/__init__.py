"""Runs of networks that give maps: window after window, stitched together.

It knows windows, memory and the order of calls, and nothing of objects. `planning`
chooses it for every network that is no detector of boxes.
"""
