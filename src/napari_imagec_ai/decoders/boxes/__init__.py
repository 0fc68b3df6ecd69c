"""Objects of detectors: boxes and masks, joined over windows, doubles suppressed.

It begins with candidates above the floor. The registry names its decoders.
"""
