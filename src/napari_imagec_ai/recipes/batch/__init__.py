"""One recipe on many images: here, on worker processes, or on a cluster.

It knows what is done, what is left and who does it. The command line and the batch
panel call it.
"""
