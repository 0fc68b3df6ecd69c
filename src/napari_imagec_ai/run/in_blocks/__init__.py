"""A large run of maps in shares that can be computed apart, on any machine.

It divides a plan of windows, keeps what was computed in a folder, and puts it together
to the same bits. Batches ask for it; `run.maps` does the work of each share.
"""
