"""The description's own pre- and postprocessing: pure functions over arrays.

They know neither images nor engines. Feeding runs them before the network, stitching
after it.
"""
