"""Objects of maps that say of each pixel what it is.

It turns channels of foreground, boundary, class or affinity into evidence and evidence
into regions; taking touching ones apart is the work of `splitting`. The registry names
its decoders.
"""
