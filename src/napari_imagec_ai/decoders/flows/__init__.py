"""Objects of networks that give flows: every pixel follows them to its object's middle.

It knows Cellpose's maps alone. The registry names its decoder.
"""
